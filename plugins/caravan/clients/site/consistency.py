"""What a published page says, read back over HTTP or from its store: to compare channels with each other."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

import requests
import urllib3
from babel.numbers import list_currencies
from requests.adapters import HTTPAdapter

from caravan.clients.site.store import Store
from caravan.core.errors import Rejected, Retryable

MOST_BYTES = 5 * 1000**2
_TIMEOUT_SECONDS = (10, 30)
_GONE = (404, 410)
_SILENT = ("script", "style", "template", "title")
_SYMBOLS = re.escape("".join(chr(code) for code in range(0x10000) if unicodedata.category(chr(code)) == "Sc"))
_WORDS = "zł|Kč|kr|Ft|лв|lei|руб|[Ee]uros?|Fr|Rs|RM|Rp|درهم|ريال|دينار|جنيه"
_CURRENCY = (
    rf"(?:[A-Z]{{0,3}}[{_SYMBOLS}]|\b(?:{'|'.join(sorted(list_currencies()))})\b|\b(?:{_WORDS})\b\.?|元|円|원|د\.إ)"
)
_AMOUNT = r"\d+(?:[.,'’\u066b\u066c\s]\d+)*"
_WHOLE = "(?:[,.:][-–])"
"""As in `99,-` and `99:-`, where it often stands for the currency too."""
_PRICE = re.compile(rf"{_CURRENCY}\s?{_AMOUNT}{_WHOLE}?|{_AMOUNT}{_WHOLE}?\s?{_CURRENCY}|{_AMOUNT}[,:][-–](?![\w()])")


@dataclass(frozen=True)
class PageFacts:
    """`status`: of HTTP; 404 or 410 with nothing else where the page is gone. `revision`, `content_hash`: from the
    page's own meta tags, None where it has none. `links`: absolute, in order, each once. `prices`: as they are written,
    blanks of any kind as one space. `text`: all that is to be read."""

    status: int
    locale: str | None = None
    revision: int | None = None
    content_hash: str | None = None
    title: str = ""
    canonical: str | None = None
    alternates: Mapping[str, str] = field(default_factory=dict)
    links: tuple[str, ...] = ()
    prices: tuple[str, ...] = ()
    is_indexed: bool = True
    is_withdrawn: bool = False
    text: str = ""


def read_back(url: str, store: Store | None = None) -> PageFacts:
    """`url`: of the page, or its path where a store is given. Raises Rejected PAGE_UNREADABLE for what is no page,
    Retryable where nobody can tell."""
    if store is None:
        return _ask(url)
    content = store.get(url)
    return PageFacts(404) if content is None else read_page(content, url)


def read_page(content: bytes, url: str, status: int = 200) -> PageFacts:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise Rejected("PAGE_UNREADABLE", f"{url} is no page: it is not UTF-8") from None
    if re.search("<html[ >]", text, re.IGNORECASE) is None:
        raise Rejected("PAGE_UNREADABLE", f"{url} is no page: it has no <html>")
    return read_text(text, url, status)


def read_text(html: str, url: str = "", status: int = 200) -> PageFacts:
    """Of a page, or of a part of one."""
    page = _Page()
    page.feed(html)
    page.close()
    shown = re.sub(r"\s+", " ", " ".join(page.text))
    revision = page.meta.get("caravan-revision", "")
    return PageFacts(
        status=status,
        locale=page.locale,
        revision=int(revision) if re.fullmatch("[0-9]{1,9}", revision) else None,
        content_hash=page.meta.get("caravan-content"),
        title=page.title.strip(),
        canonical=page.canonical,
        alternates=page.alternates,
        links=tuple(dict.fromkeys(urljoin(url, link) for link in page.links)),
        prices=prices_in(shown),
        is_indexed="noindex" not in page.meta.get("robots", ""),
        is_withdrawn=page.meta.get("caravan-state") == "withdrawn",
        text=shown.strip(),
    )


def prices_in(shown: str) -> tuple[str, ...]:
    """Every amount with a currency, each once, in the usual forms of letters and digits (NFKC)."""
    found = _PRICE.finditer(unicodedata.normalize("NFKC", shown))
    return tuple(dict.fromkeys(match[0].strip() for match in found))


def _ask(url: str) -> PageFacts:
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=0))
    # `from None`: a page's address may hold what is not to be shown, and so do the texts of requests.
    try:
        # No redirect is followed: the next host is none that anybody has named.
        with session, session.get(url, timeout=_TIMEOUT_SECONDS, stream=True, allow_redirects=False) as response:
            if response.status_code in _GONE:
                return PageFacts(response.status_code)
            if response.status_code != 200:
                raise Retryable(f"{url} answers {response.status_code}")
            content = response.raw.read(MOST_BYTES + 1, decode_content=True)
            if len(content) > MOST_BYTES:
                raise Rejected("PAGE_UNREADABLE", f"{url} is larger than {MOST_BYTES} bytes")
            return read_page(content, response.url)
    except (requests.RequestException, urllib3.exceptions.HTTPError, ConnectionError, TimeoutError) as error:
        raise Retryable(f"{url} does not answer: {type(error).__name__}") from None


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.locale: str | None = None
        self.title = ""
        self.meta: dict[str, str] = {}
        self.canonical: str | None = None
        self.alternates: dict[str, str] = {}
        self.links: list[str] = []
        self.text: list[str] = []
        self._silent: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "html":
            self.locale = given.get("lang")
        elif tag == "meta" and "name" in given:
            self.meta[given["name"]] = given.get("content", "")
        elif tag == "link":
            self._link(given)
        elif tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag in _SILENT:
            self._silent.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._silent:
            self._silent.remove(tag)

    def handle_data(self, data: str) -> None:
        if self._silent == ["title"]:
            self.title += data
        if not self._silent:
            self.text.append(data)

    def _link(self, given: Mapping[str, str]) -> None:
        rel = given.get("rel", "").split()
        if "canonical" in rel:
            self.canonical = given.get("href")
        elif "alternate" in rel and given.get("hreflang"):
            self.alternates[given["hreflang"]] = given.get("href", "")
