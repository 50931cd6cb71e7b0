"""include/checks/site: the catalogue of the site audit. `<category>.yml` holds its checks; `macros.sql`, `views.sql`
and `graph.sql` what they ask, and `<category>.sql` what only those of one category do.

A check is a query over a crawl's tables. Its rows are what it found: `page_key` (or `url`, where `over` has no pages)
says where, `affected_count` how many a row stands for (1 when absent), every other column is evidence. A row that
`is_unknown` is no issue: what it would take to judge this place did not come tonight, and no issue of it ends.

The checks are the code's own and come with it. A site may set limits and severities of its own (`adjusted`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from caravan import INCLUDE_DIR
from caravan.config.document import Document, read
from caravan.config.frozen import Frozen
from caravan.config.validation import validate
from caravan.core.errors import Fault, Misconfigured, nearest

FOLDER = INCLUDE_DIR / "checks" / "site"

Severity = Literal["error", "warning", "notice"]
"""error: costs indexing, sales or trust now. warning: likely harm. notice: an opportunity, or information."""
SEVERITIES: tuple[Severity, ...] = get_args(Severity)

LISTED_BY = "./caravan site checks"
"""The command that lists them all."""

CATEGORIES = (
    "response",
    "indexability",
    "metadata",
    "content",
    "links",
    "international",
    "structured-data",
    "sitemap-robots",
    "performance",
    "security-markup",
    "url",
    "traffic",
)

_SHARED = ("macros", "views", "graph")
"""Scripts that those of all categories ask; each asks only what stands in those before it."""

INPUTS: Mapping[str, str] = {
    "complete_crawl": "a complete crawl",
    "external_links": "the answers of other sites (asked for with `--external` or `check_external: true`)",
    "resources": "the answers of the site's own styles, scripts and images (asked for unless its file says "
    "`check_resources: false`)",
    "sitemaps": "an answer of each of the site's sitemaps",
    "previous_crawl": "an earlier complete crawl of the site with the same configuration",
    "link_score": "the internal link score of this and of an earlier comparable crawl",
    "redirect_history": "30 days of crawls of the site",
    "market": "the site's markets with their prefixes, languages and currencies (`markets` in the site's file)",
    "price": "the warehouse's prices by market and sku",
    "stock": "the warehouse's availability by market and sku",
    "dictionary": "a spelling dictionary of the page's language",
    "search_console": "Google Search Console's figures by page and day",
    "logs": "the server's access logs with verified crawlers",
    "crux": "the Chrome UX Report by page and form factor",
    "analytics": "sessions and revenue by page and day",
    "ai_answers": "citations in answers of AI assistants",
}
"""What a check may need beyond the crawl itself, in the words of a report: `Without ... this cannot be judged.`

`complete_crawl`: of what tells that something is nowhere (no link to a page, no page of a market), for it may be where
the crawl did not come to."""

JUDGED: Mapping[str, str] = {
    "announced_page": "page that a sitemap, Search Console or a log names",
    "article_page": "article",
    "asked_address": "address that could be asked for",
    "asset": "style, script, font or image that answered",
    "canonicalised": "page whose canonical is another address",
    "clustered_market_page": "page of a configured market that names alternates",
    "clustered_page": "indexable page that names alternates",
    "configured_market": "answer from the site of any market",
    "external_answer": "link to another site that answered",
    "external_target": "link to another site that was asked for",
    "hreflang_page": "page with hreflang",
    "html_answer": "HTML page",
    "html_page": "HTML page that was read to its end",
    "http_page": "page on http://",
    "https_host": "host on https://",
    "https_page": "page on https://",
    "image_answer": "image that was asked for",
    "indexable": "page that search engines may index",
    "indexable_text": "indexable page with a text of its own",
    "known_page": "page",
    "listed_page": "page of the site in a sitemap",
    "market_page_with_prices": "page of a market that shows a price",
    "market_redirect": "redirect in a market",
    "named_page": "page that another one names as its alternate",
    "named_text": "alternate with enough text to tell its language",
    "ok_page": "page that answered well",
    "page_of_https_site": "page of a host that answers on https://",
    "page_of_sitemap_hreflang": "alternate in a sitemap",
    "page_template": "template with enough pages to tell how fast it is",
    "page_to_be_missing": "page to compare with a not-found page",
    "page_to_list": "indexable page of a site that has a sitemap",
    "page_with_both_availabilities": "page that states an availability both to readers and in structured data",
    "page_with_both_currencies": "page that states a currency both to readers and in structured data",
    "page_with_both_prices": "page that states a price both to readers and in structured data",
    "page_with_images": "page with images",
    "page_with_known_price": "page with a product whose price the warehouse knows",
    "page_with_known_stock": "page with a product whose stock the warehouse knows",
    "rated_page": "page with an aggregate rating",
    "readable_text": "page with enough prose in a language that the formula is made for",
    "reached_address": "address that something leads to, and that could be asked for",
    "redirect_page": "redirect",
    "resource": "style, script or image of the site",
    "robots_file": "robots.txt",
    "robots_pair": "robots.txt that an earlier crawl has read too",
    "sitemap_file": "declared sitemap",
    "stated_text": "page that states its language and has enough text to tell it",
    "structured_page": "page with structured data",
    "text_answer": "text that is worth compressing",
    "translated_page": "page with a translation to compare it with",
}
"""What checks look at, by the view that they are `over`: `... the crawl found no page with hreflang.`"""

OF_ANSWERS = frozenset(("asked_address", "reached_address", "known_page", "listed_page", "page_of_sitemap_hreflang"))
"""Of them, views of what addresses answered, or of what others say of them. The others are of what pages say: one that
failed tonight stands there as it was last read, for what is told of other pages, and is not judged itself."""

_Text = Annotated[str, Field(min_length=1)]
_Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class Check(Frozen):
    """`id` never changes its meaning: a check that judges otherwise gets a new `version`, another rule a new id."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)+$")]
    category: str
    severity: Severity
    version: Annotated[int, Field(ge=1)] = 1
    title: _Text
    why: _Text
    """Why it matters to somebody who is neither engineer nor marketer."""
    fix: _Text
    needs: tuple[str, ...] = ()
    """Of `INPUTS`; where one is absent the check is not evaluated."""
    over: _Name | None = None
    """The view whose rows are judged. What is found elsewhere is no issue, and where it is empty nothing passed."""
    limits: Mapping[_Name, Decimal] = {}
    """Thresholds by the name that `sql` knows them by, as `$words`."""
    sql: _Text | None = None
    later: _Text | None = None
    """What is missing before it can be evaluated at all."""

    @model_validator(mode="after")
    def _one_way(self) -> Check:
        if (self.sql is None) == (self.later is None):
            raise ValueError("a check has either `sql`, or `later` with what it waits for")
        if self.sql is not None and self.over is None:
            raise ValueError("needs `over`: the view whose rows `sql` judges")
        return self

    @property
    def is_implemented(self) -> bool:
        return self.sql is not None

    @property
    def judges(self) -> str:
        """What stands behind FROM where its view's rows are meant without those that could not be read tonight."""
        if self.over is None or self.over in OF_ANSWERS:
            return str(self.over)
        return f"(SELECT * FROM {self.over} ANTI JOIN kept_page USING (page_key))"


class Catalogue(Frozen):
    """Checks in the order of `CATEGORIES` and of their files. `views`: the scripts' statements by what each makes."""

    checks: tuple[Check, ...]
    views: Mapping[str, str]

    def __getitem__(self, check_id: str) -> Check:
        return next(check for check in self.checks if check.id == check_id)

    def only(self, check_ids: Collection[str]) -> Catalogue:
        return self.model_copy(update={"checks": tuple(check for check in self.checks if check.id in check_ids)})

    def script(self, *asked: str) -> list[str]:
        """The statements that its checks, and the SQL that is `asked` besides, need, directly or through others."""
        needed: set[str] = set()
        asking = " ".join([*asked, *(f"{check.judges} {check.sql}" for check in self.checks if check.sql)])
        for name, statement in reversed(list(self.views.items())):
            # What a statement asks stands before it, so one way back finds all.
            if re.search(rf"(?i)\b{name}\b", asking):
                needed.add(name)
                asking += " " + statement
        return [statement for name, statement in self.views.items() if name in needed]


class _File(Frozen):
    category: str
    checks: dict[str, Check]


def load_site_checks(folder: Path = FOLDER) -> Catalogue:
    """Raises Misconfigured with every fault of every file."""
    faults: list[Fault] = []
    checks: list[Check] = []
    scripts = sorted(folder.glob("*.sql"), key=_place)
    views = read_views("\n".join(path.read_text(encoding="utf-8") for path in scripts))
    for path in sorted(folder.glob("*.yml"), key=_place):
        document, found = read(path, f"site/{path.name}")
        faults += found
        if document is None:
            continue
        faults += _category_faults(document, path.stem)
        data = document.data | {"checks": dict(_with_ids(document))}
        file, found = validate(document, _File, data)
        faults += found
        if file is None:
            continue
        for check in file.checks.values():
            faults += _check_faults(document, check, views, {other.id for other in checks})
            checks.append(check)
    if not checks and not faults:
        faults.append(Fault("site", f"no checks in {folder}; the clone is incomplete"))
    if faults:
        raise Misconfigured(faults)
    return Catalogue(checks=tuple(checks), views=views)


def read_views(script: str) -> dict[str, str]:
    """What a script makes (macros, tables, views), each to its statement. A `;` that ends a line ends a statement."""
    statements = [part.strip() for part in re.split(r";\s*$", script, flags=re.MULTILINE)]
    found: dict[str, str] = {}
    for statement in statements:
        made = re.search(r"(?m)^CREATE TEMP (?:MACRO|TABLE|VIEW) (\w+)", statement)
        if made:
            found[made[1]] = statement
    return found


def adjusted(
    catalogue: Catalogue,
    limits: Mapping[str, Mapping[str, Decimal]] | None = None,
    severities: Mapping[str, Severity] | None = None,
    where: str = "checks",
) -> Catalogue:
    """The catalogue with a site's own limits and severities, both by check id. Raises Misconfigured."""
    limits, severities = limits or {}, severities or {}
    by_id = {check.id: check for check in catalogue.checks}
    faults = [
        Fault(f"{where}.{check_id}", f"there is no check '{check_id}'" + nearest(check_id, by_id, LISTED_BY))
        for check_id in sorted({*limits, *severities} - set(by_id))
    ]
    for check_id in sorted(set(limits) & set(by_id)):
        known = by_id[check_id].limits
        faults += [
            Fault(f"{where}.{check_id}.{name}", f"{check_id} has no limit '{name}'" + nearest(name, known))
            for name in limits[check_id]
            if name not in known
        ]
    if faults:
        raise Misconfigured(faults)

    def own(check: Check) -> Check:
        update = {
            "limits": {**check.limits, **limits.get(check.id, {})},
            "severity": severities.get(check.id, check.severity),
        }
        return check.model_copy(update=update)

    return catalogue.model_copy(update={"checks": tuple(own(check) for check in catalogue.checks)})


def _place(path: Path) -> tuple[int, str]:
    order = (*_SHARED, *CATEGORIES)
    return (order.index(path.stem) if path.stem in order else len(order), path.stem)


def _with_ids(document: Document) -> Iterator[tuple[str, object]]:
    """The file maps ids to checks: an id given twice is a fault of reading. A check knows its id and category."""
    for check_id, body in document.mapping("checks").items():
        known = {"id": check_id, "category": document.text("category")}
        yield check_id, known | body if isinstance(body, dict) else body


def _category_faults(document: Document, stem: str) -> Iterator[Fault]:
    if stem not in CATEGORIES:
        yield document.fault((), f"'{stem}' is no category{nearest(stem, CATEGORIES)}")
    if document.text("category") != stem:
        yield document.fault(("category",), f"differs from the file's name; write `category: {stem}`")


def _check_faults(document: Document, check: Check, views: Collection[str], taken: set[str]) -> Iterator[Fault]:
    """What a check says that is known nowhere."""
    at = ("checks", check.id)
    if check.id in taken:
        yield document.fault(at, f"another file has a check '{check.id}' already")
    for name in check.needs:
        if name not in INPUTS:
            yield document.fault((*at, "needs"), f"'{name}' is no input{nearest(name, INPUTS)}")
    if check.sql is None:
        return
    if str(check.over) not in views:
        yield document.fault((*at, "over"), f"no script makes '{check.over}'{nearest(str(check.over), views)}")
    used = set(re.findall(r"\$(\w+)", check.sql))
    for name in sorted(used - set(check.limits)):
        yield document.fault((*at, "sql"), f"${name} is none of its limits{nearest(name, check.limits)}")
    for name in sorted(set(check.limits) - used):
        yield document.fault((*at, "limits", name), f"is not used: `sql` has no ${name}")
