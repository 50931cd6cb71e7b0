"""What only a look at the parsed page can tell, by name: rows of the table `mark`."""

from __future__ import annotations

from collections.abc import Mapping

MARKS: Mapping[str, str] = {
    "canonical-outside-head": "value: href as written. The parser had left head before the link came.",
    "hreflang-outside-head": "value: code as written; count: links with it.",
    "meta-outside-head": "value: title, robots or description.",
    "duplicate-id": "value: the id; count: elements that have it, two at least. As far as 50 ids.",
    "raw-address": "value: address of the site as a link has it, not ASCII in path or query; count.",
    "lorem-ipsum": "count: how often, outside code.",
    "placeholder": "value: a template's marker (`{{ name }}`), or a translation's key that is all that a block"
    " says; count.",
    "visible-price": "value: as written; amount; currency_codes: those that its sign may mean; count. As far as 20.",
    "visible-availability": "value: in_stock or out_of_stock, in the words of the page's language; count. Only looked"
    " for on pages that show a price or state an availability in structured data; neither in code.",
    "form-on-page": "value: method and address (`post https://..`), the page's own where a form names none; count.",
    "form-insecure-action": "value: address by http:// to which a page by https:// sends a form; count.",
    "links-dropped": "count: links beyond Limits.links_of_page, which are in no table.",
    "rows-dropped": "value: another table (or `ids`), of which more rows were found than that; count: those left out.",
    "nesting-cut": "value: character at which a page was cut that would have cost its reader minutes or gigabytes.",
}
