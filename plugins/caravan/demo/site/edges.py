"""The demo's further hosts: what is wrong with a whole host, or needs https, and cannot be planted on a shop's page.

secure: by https, with a certificate that an authority signed. plain: the same shop by http. stranger: by https, with a
certificate that nobody signed. lenient: answers 200 for everything. closed: its robots.txt fails.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from functools import partial

from caravan.demo.site.answers import STATIC, XML, Reply, Route, missing, packed, tagged
from caravan.demo.site.menus import urlset
from caravan.demo.site.pages import Page, headers_of, link, render
from caravan.demo.site.planting import Found
from caravan.demo.site.shop import guide
from caravan.demo.site.words import MARKETS

HSTS = {"strict-transport-security": "max-age=31536000"}
BY_HTTPS = {"secure": "signed", "stranger": "unsigned", "lenient": "signed"}
"""Hosts to their kind of certificate; the others speak http."""
HOSTS = ("secure", "plain", "stranger", "lenient", "closed")
_TOO_MANY, _TOO_LARGE = 50_001, 52_428_801

PLANTED: frozenset[Found] = frozenset(
    [
        ("response-http-on-https-site", "{plain}/old-page/"),
        ("response-mixed-content", "{secure}/mixed/"),
        ("sec-hsts-missing", "{secure}/short-memory/"),
        ("sec-form-action-insecure", "{secure}/form/"),
        ("sec-cert-expiry", "{stranger}/"),
        ("robots-unavailable", "{stranger}/robots.txt"),
        ("robots-unavailable", "{closed}/robots.txt"),
        ("response-soft-404", "{lenient}/"),
        ("response-soft-404", "{lenient}/lost/"),
        ("sitemap-too-many-urls", "{lenient}/many.xml"),
        ("sitemap-too-large", "{lenient}/large.xml"),
    ]
)
"""Check and address; {secure} and so on stand for the origin of the host."""


def routes(urls: Mapping[str, str]) -> dict[str, Route]:
    """By host. `urls`: of the hosts, filled in once they are served."""
    return {name: partial(globals()[f"_{name}"], urls) for name in HOSTS}


def _page(number: int, path: str) -> Page:
    """One of a row of pages that all link to each other."""
    page = guide(MARKETS["en-gb"], number, path)
    page.headers |= HSTS
    page.is_bare = True
    return page


def _sent(page: Page, others: Mapping[str, str], urls: Mapping[str, str], origin: str) -> Reply:
    links = " ".join(link(url, text) for url, text in others.items() if url != origin + page.path)
    page.main += f"<nav>{links}</nav>"
    body = render(page, origin, "").decode()
    for name, url in urls.items():
        body = body.replace(f"{{{name}}}", url)
    return packed(tagged(Reply(200, headers_of(page, origin), body.encode())))


def _beside(path: str) -> Reply | None:
    if path.startswith("/static/"):
        kind = "text/css; charset=utf-8" if path.endswith(".css") else "text/javascript; charset=utf-8"
        return Reply(200, {"content-type": "image/png" if path.endswith(".png") else kind, **STATIC}, b" ")
    if path == "/feed.atom":
        body = b'<feed xmlns="http://www.w3.org/2005/Atom"><title>Kontor</title></feed>'
        return Reply(200, {"content-type": "application/atom+xml; charset=utf-8", **STATIC}, body)
    return None


def _secure(urls: Mapping[str, str], path: str, origin: str) -> Reply:
    pages = {path: _page(number, path) for number, path in enumerate(("/", "/mixed/", "/form/", "/short-memory/"))}
    if path not in pages:
        return _beside(path) or missing()
    page = pages[path]
    if path == "/mixed/":
        page.main += '<img src="{plain}/static/old.png" alt="Oak" width="3" height="4">'
    if path == "/form/":
        page.main += '<form method="post" action="{plain}/ask/"><input name="question"></form>'
    if path == "/short-memory/":
        page.headers["strict-transport-security"] = "max-age=0"
    others = {origin + each.path: each.titles[0] for each in pages.values()}
    others |= {f"{urls['plain']}/old-page/": "A page of the old shop", f"{urls['lenient']}/": "The other shop"}
    return _sent(page, others, urls, origin)


def _plain(urls: Mapping[str, str], path: str, origin: str) -> Reply:
    if path == "/":
        return Reply(301, {"location": f"{urls['secure']}/"})
    if path != "/old-page/":
        return _beside(path) or missing()
    return _sent(_page(7, path), {f"{urls['secure']}/": "To the shop"}, urls, origin)


def _stranger(urls: Mapping[str, str], path: str, origin: str) -> Reply:
    return missing()


def _lenient(urls: Mapping[str, str], path: str, origin: str) -> Reply:
    if path == "/robots.txt":
        lines = f"User-agent: *\nDisallow: /shelf/\nSitemap: {origin}/many.xml\nSitemap: {origin}/large.xml\n"
        return Reply(200, {"content-type": "text/plain"}, lines.encode())
    if path == "/many.xml":
        return packed(Reply(200, {"content-type": XML}, urlset(_many(urls, origin)).encode()))
    if path == "/large.xml":
        text = urlset(iter([f"<url><loc>{origin}/</loc></url>"])).encode()
        filled = gzip.compress(text.replace(b"<url>", b" " * _TOO_LARGE + b"<url>"), 1, mtime=0)
        return Reply(200, {"content-type": XML, "content-encoding": "gzip"}, filled)
    if (found := _beside(path)) is not None:
        return found
    others = {f"{origin}/": "The front page", f"{origin}/lost/": "What was lost", f"{origin}/kept/": "What was kept"}
    number = {"/": 11, "/kept/": 12}.get(path, 13)
    page = _page(number, path)
    if number == 13:
        page.main = guide(MARKETS["en-gb"], number, "/nothing/").main
    return _sent(page, others, urls, origin)


def _many(urls: Mapping[str, str], origin: str) -> Iterator[str]:
    """All pages that there are, and addresses that robots.txt keeps to itself."""
    pages = [f"{origin}{path}" for path in ("/", "/lost/", "/kept/")]
    pages += [f"{urls['secure']}{path}" for path in ("/", "/mixed/", "/form/", "/short-memory/")]
    pages.append(f"{urls['plain']}/old-page/")
    pages += [pages[0]] * (_TOO_MANY - len(pages))
    return (f"<url><loc>{page}</loc></url>" for page in pages)


def _closed(urls: Mapping[str, str], path: str, origin: str) -> Reply:
    return Reply(503, {"content-type": "text/plain", "retry-after": "3600"}, b"later")
