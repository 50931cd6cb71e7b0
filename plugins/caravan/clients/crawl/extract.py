"""One answer of a server as rows of a crawl's tables, and the addresses that it leads to. No I/O.

Pages are parsed as a browser parses them that runs scripts, without running any: noscript is no part of the page, and
what stands in head or not is judged in the tree. Of structured data JSON-LD and microdata are read; RDFa is not.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from caravan.clients.crawl.decoding import decode
from caravan.clients.crawl.directives import links_of_headers, robots_of_headers
from caravan.clients.crawl.notes import Notes
from caravan.clients.crawl.page import Facts, read_page
from caravan.clients.crawl.sniffing import sniffed_type
from caravan.clients.crawl.structured import clean
from caravan.clients.crawl.tables import PAGE
from caravan.clients.crawl.targets import Target, Targets
from caravan.core.crawl import REDIRECTS, UNREAD, UNREAD_STATUSES, Answer, Extracted, Kind, Limits, Rows, Scope
from caravan.core.urls import BadUrl, host_of, resolve

VERSION = 7
"""Of what pages are read for: with another one a page that has not changed is asked for whole."""
_HTML = frozenset(("text/html", "application/xhtml+xml"))
_NO_PLACE = frozenset(("about", "blob", "data", "file", "filesystem", "javascript", "vbscript"))
"""Schemes of addresses to which no browser goes from a redirect. Others may open a program of the reader's."""
_REFUSED = frozenset(("refused_address", "bad_url"))
_HEADER_CHARACTERS = 8_000
_MOST_HEADERS = 200
_COLUMNS = tuple(PAGE)


class Extractor:
    """Of one crawl: what addresses mean is kept from page to page. May be shared by threads."""

    def __init__(self, scope: Scope, limits: Limits) -> None:
        self.targets = Targets(scope, limits)

    def extract(self, answer: Answer, kind: Kind = "page", depth: int = 0) -> Extracted:
        """All rows of one address that was asked for. Never raises for what a server sent.

        Other tables than `page` and `header` only of a success: what an error page links to is nobody's fault, but its
        words are in `page`, to know them again. Nothing of other sites is read.
        """
        asked = self.targets.of_url(answer.ask.url)
        facts = _facts_of(answer, asked, kind, depth)
        notes = Notes(self.targets.base(answer.ask.url), self.targets)
        rows: Rows = {}
        status = answer.status_code
        if status is not None:
            rows["header"] = [(asked.key, name, value) for name, value in _headers(answer)]
            facts["robots_http"] = robots_of_headers(_values(answer, "x-robots-tag"))
        if status in REDIRECTS:
            self._read_location(answer, kind, facts, notes)
        elif status is not None and kind == "page":
            if is_html := bool(answer.body) and _is_html(facts):
                content_type = answer.header("content-type")
                decoded = decode(answer.body, content_type, is_cut=answer.body_reason is not None)
                notes, read = read_page(decoded, answer.ask.url, asked.key, self.targets, facts)
                if 200 <= status < 300:
                    rows |= read
                else:
                    notes.found.clear()
            facts["is_html"] = is_html if answer.body else None
            if 200 <= status < 300:
                self._read_link_headers(answer, asked, notes, rows)
        rows["page"] = [tuple(map(facts.get, _COLUMNS))]
        found = tuple(each for each in notes.found.values() if each.key != asked.key)
        return Extracted(rows, found, is_read=_is_read(status, facts))

    def _read_location(self, answer: Answer, kind: Kind, facts: Facts, notes: Notes) -> None:
        written = answer.header("location")
        if not written or _leads_nowhere(answer.ask.url, _as_sent(written)):
            facts["reason"] = "no_location"
            return
        target = self.targets.at(notes.base, _as_sent(written), kind)
        facts["location_url"] = target.url
        facts["location_key"] = target.key
        facts["location_is_internal"] = target.is_internal
        if target.found is not None:
            notes.lead_to(target.found)

    def _read_link_headers(self, answer: Answer, asked: Target, notes: Notes, rows: Rows) -> None:
        """They are relative to the address asked for: a page's base element is not for them."""
        base = self.targets.base(answer.ask.url)
        for link in links_of_headers(_as_sent(value) for value in _values(answer, "link")):
            if not ({"canonical", "alternate", "next", "prev"} & set(link.rel)):
                continue
            target = self.targets.at(base, link.href)
            if "canonical" in link.rel:
                row = (asked.key, "header", link.href, target.url, target.key, target.is_internal, None)
                rows.setdefault("canonical", []).append(row)
            if "alternate" in link.rel and link.hreflang is not None:
                named = (asked.key, "header", link.hreflang, link.href, target.url, target.key, None, None)
                rows.setdefault("hreflang", []).append(named)
            if target.found is not None:
                notes.lead_to(target.found)


def _facts_of(answer: Answer, asked: Target, kind: Kind, depth: int) -> Facts:
    """What is known before anything is read."""
    status, url = answer.status_code, answer.ask.url
    facts: Facts = {
        "page_key": asked.key,
        "url": url,
        "host": host_of(url),
        "kind": kind,
        "depth": depth,
        "requested_at": answer.requested_at,
        "attempt_count": answer.attempt_count,
        "status_code": status,
        "ttfb_ms": answer.ttfb_ms,
        "total_ms": answer.total_ms,
    }
    if status is None:
        facts["outcome"] = "refused" if answer.reason in _REFUSED else "failed"
        facts["reason"] = answer.reason
        return facts
    media_type = (answer.header("content-type") or "").partition(";")[0].strip().lower()
    return facts | {
        "outcome": "not_modified" if status == 304 else "fetched",
        "reason": _why_not_whole(answer, kind) if 200 <= status < 300 else None,
        "wire_bytes": answer.wire_bytes,
        "body_bytes": len(answer.body),
        "is_truncated": answer.body_reason is not None,
        "media_type": media_type or None,
        "sniffed_type": sniffed_type(answer.body) if answer.body else None,
        "content_encoding": answer.header("content-encoding"),
        "etag": answer.header("etag"),
        "last_modified": answer.header("last-modified"),
    }


def _why_not_whole(answer: Answer, kind: Kind) -> str | None:
    """Of a success."""
    is_empty = kind == "page" and answer.status_code == 200 and not answer.body
    return answer.body_reason or ("empty" if is_empty else None)


def _is_read(status: int | None, facts: Facts) -> bool:
    if status is None or status in UNREAD_STATUSES or status >= 500:
        return False
    # Of another document than a page nothing is read but that it is there.
    is_page = facts["media_type"] is None or facts["media_type"] in _HTML or facts["reason"] == "no_location"
    return not (is_page and facts["reason"] in UNREAD)


def _leads_nowhere(url: str, location: str) -> bool:
    """Whether a browser finds no address in it either."""
    try:
        resolve(url, location, limit=sys.maxsize)
    except BadUrl as bad:
        return bad.reason == "invalid" or bad.detail in _NO_PLACE
    return False


def _is_html(facts: Facts) -> bool:
    """As browsers have it: the header counts, and only without one the body."""
    return (facts["media_type"] or facts["sniffed_type"]) in _HTML


def _headers(answer: Answer) -> Iterator[tuple[str, str | None]]:
    for name, value in answer.headers[:_MOST_HEADERS]:
        yield name, None if name == "set-cookie" else clean(value[:_HEADER_CHARACTERS])


def _values(answer: Answer, name: str) -> list[str]:
    return [value for each, value in answer.headers if each == name]


def _as_sent(value: str) -> str:
    """Headers are read as Latin-1; many servers send addresses in UTF-8, and browsers take them so."""
    if value.isascii():
        return value
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return clean(value)
