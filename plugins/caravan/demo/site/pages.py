"""One page of the demo's site: what it says, and how that is written as HTML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

from caravan.demo.site.words import DEFAULT, MARKETS, Market, Words, words

SECURITY = {
    "content-security-policy": "default-src 'self'; frame-ancestors 'self'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "strict-origin-when-cross-origin",
}
HTML = "text/html; charset=utf-8"
_FRAME = ("<!doctype html>\n", '<meta charset="utf-8">', '<meta name="viewport" content="width=device-width">')


@dataclass
class Page:
    """An address of the site, with the defects that it was given.

    `path`: as it is linked, with its query. `cluster`: what it is in all markets alike; None where only one has it.
    `listed`: in a sitemap. `linked`: by the pages that lead to its kind: `all`, `index` (one of them), or None.
    `titles`, `descriptions`, `h1s`: usually one each. `main`: HTML. `canonical`: absolute or not, `""` is none.
    `alternates`: code to path; `said`: where. `headers`: beside SECURITY; None takes one away. `answer`: instead of a
    page, with `status`. `is_bare`: without menus; `is_plain`: sent uncompressed; `is_untagged`: without an ETag.
    `seconds`: before it answers. `is_lost`: the connection ends without an answer.
    """

    path: str
    market: Market
    kind: str
    titles: list[str]
    h1s: list[str]
    descriptions: list[str]
    main: str
    cluster: str | None = None
    listed: bool = True
    linked: str | None = "all"
    lastmod: str = "2026-03-02T08:30:00+00:00"
    lang: str | None = None
    canonicals: list[str] | None = None
    alternates: list[tuple[str, str]] = field(default_factory=list)
    said: str = "html"
    robots: str | None = None
    head: str = ""
    top: str = ""
    data: list[dict[str, Any] | str] = field(default_factory=list)
    headers: dict[str, str | None] = field(default_factory=dict)
    status: int = 200
    answer: bytes | None = None
    frame: tuple[str, str, str] = _FRAME
    is_bare: bool = False
    is_plain: bool = False
    seconds: float = 0.0
    is_lost: bool = False
    is_untagged: bool = False
    neighbours: list[str] = field(default_factory=list)

    @property
    def words(self) -> Words:
        return words(self.market.language)

    def __post_init__(self) -> None:
        self.lang = self.lang or self.market.locale

    def redirects(self, target: str, status: int = 301) -> None:
        self.status, self.headers["location"], self.answer, self.listed = status, target, b"", False

    def fails(self, status: int) -> None:
        """It answers with an error, and no sitemap has it."""
        self.status, self.answer, self.listed = status, b"<!doctype html><title>Error</title><h1>Error</h1>", False


def head_lines(page: Page, origin: str) -> list[str]:
    doctype, charset, viewport = page.frame
    lang = f' lang="{page.lang}"' if page.lang else ""
    canonicals = [origin + page.path] if page.canonicals is None else page.canonicals
    lines = [f"{doctype}<html{lang}><head>{charset}{viewport}"]
    lines += [f"<title>{escape(each)}</title>" for each in page.titles]
    lines += [f'<meta name="description" content="{escape(each)}">' for each in page.descriptions]
    lines += [f'<link rel="canonical" href="{escape(each.format(origin=origin))}">' for each in canonicals]
    if page.robots is not None:
        lines.append(f'<meta name="robots" content="{page.robots}">')
    if page.said == "html":
        lines += [
            f'<link rel="alternate" hreflang="{code}" href="{escape(absolute(path, origin))}">'
            for code, path in page.alternates
        ]
    lines.append('<link rel="stylesheet" href="/static/site.css"><script src="/static/site.js" defer></script>')
    lines.append('<link rel="alternate" type="application/atom+xml" href="/feed.atom">')
    for each in page.data:
        text = each if isinstance(each, str) else json.dumps(each, ensure_ascii=False)
        lines.append(f'<script type="application/ld+json">{text.replace("{origin}", origin)}</script>')
    lines.append(page.head.replace("{origin}", origin) + "</head>")
    return lines


def absolute(path: str, origin: str) -> str:
    """`./...` stays as it is: an address that is not absolute, on purpose."""
    return origin + path if path.startswith("/") else path


def render(page: Page, origin: str, menu: str) -> bytes:
    """`menu`: header and footer of its market."""
    body = page.top.replace("{origin}", origin)
    top, bottom = ("", "") if page.is_bare else menu.split("<!-- main -->")
    headings = "".join(f"<h1>{escape(each)}</h1>" for each in page.h1s)
    main = page.main.replace("{origin}", origin)
    beside = "".join(page.neighbours)
    beside = f"<nav>{beside}</nav>" if beside and not page.is_bare else ""
    lines = [*head_lines(page, origin), f"<body>{body}{top}<main>{headings}{main}</main>{beside}{bottom}</body></html>"]
    return "\n".join(lines).encode()


def headers_of(page: Page, origin: str) -> dict[str, str]:
    """As they are sent, names in lower case."""
    found: dict[str, str | None] = {"content-type": HTML, "cache-control": "no-cache", **SECURITY, **page.headers}
    if page.said == "header" and page.alternates:
        found["link"] = ", ".join(
            f'<{absolute(path, origin)}>; rel="alternate"; hreflang="{code}"' for code, path in page.alternates
        )
    return {name: value.replace("{origin}", origin) for name, value in found.items() if value is not None}


def link(path: str, text: str) -> str:
    return f'<a href="{escape(path)}">{escape(text)}</a>'


def paragraphs(texts: list[str]) -> str:
    return "".join(f"<p>{escape(each)}</p>" for each in texts)


def alternates_of(paths: Mapping[str, str]) -> list[tuple[str, str]]:
    """A set of hreflang. `paths`: by market."""
    found = [(MARKETS[code].locale.lower(), path) for code, path in paths.items()]
    return [*found, ("x-default", paths.get(DEFAULT, next(iter(paths.values()))))]
