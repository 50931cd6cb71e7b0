"""What the demo's site answers to a request."""

from __future__ import annotations

import gzip
import hashlib
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from urllib.parse import unquote

from caravan.demo.site import menus
from caravan.demo.site.pages import headers_of, render
from caravan.demo.site.shop import Shop
from caravan.demo.site.words import MARKETS

_SMALL = 600
"""Bytes that are sent as they are."""
XML = "application/xml; charset=utf-8"
STATIC = {"cache-control": "public, max-age=604800"}
_CSS = "main{max-width:60rem;margin:auto}nav a{margin-right:1rem}\n"


@dataclass(frozen=True)
class Reply:
    """`seconds`: before it is sent. `is_lost`: it is not."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    seconds: float = 0.0
    is_lost: bool = False


Route = Callable[[str, str], Reply]
"""Path with query as asked for, and the origin that was asked, to an answer."""


@dataclass
class WebSite:
    """The shop as a night has it. Pages are written when they are first asked for."""

    shop: Shop
    others: Mapping[str, str] = field(default_factory=dict)
    """Other sites that pages link to, by the name that they have in the pages."""
    _written: dict[str, Reply] = field(default_factory=dict)

    def __call__(self, path: str, origin: str) -> Reply:
        if path not in self._written:
            self._written[path] = self._answer(path, origin)
        return self._written[path]

    def _answer(self, path: str, origin: str) -> Reply:
        shop = self.shop
        if path in ("/robots.txt", "/sitemap.xml", "/feed.atom") or path.startswith("/sitemaps/"):
            return self._beside(path, origin)
        bare = path.partition("?")[0]
        if bare in shop.files:
            body, headers = shop.files[bare]
            return Reply(200, headers, body)
        if bare == "/" or bare.startswith(("/static/", "/img/")):
            return _static(bare)
        page = shop.pages.get(path) or shop.pages.get(unquote(path)) or shop.pages.get(bare)
        if page is None:
            return missing()
        headers = headers_of(page, origin)
        body = render(page, origin, menus.menu(shop, page)) if page.answer is None else page.answer
        for name, url in self.others.items():
            body = body.replace(name.encode(), url.encode())
        reply = Reply(page.status, headers, body, page.seconds, page.is_lost)
        if page.status != 200:
            return reply
        reply = reply if page.is_untagged else tagged(reply)
        return reply if page.is_plain else packed(reply)

    def _beside(self, path: str, origin: str) -> Reply:
        if path == "/robots.txt":
            return Reply(200, {"content-type": "text/plain; charset=utf-8"}, self._robots(origin).encode())
        if path == "/feed.atom":
            text = menus.feed(self.shop, origin)
            return packed(Reply(200, {"content-type": "application/atom+xml; charset=utf-8", **STATIC}, text.encode()))
        market = MARKETS.get(path.removeprefix("/sitemaps/").removesuffix(".xml"))
        if path == "/sitemap.xml":
            text = menus.sitemap_index(self.shop, origin)
        elif market:
            text = menus.sitemap_of(self.shop, market, origin)
        elif path in self.shop.sitemaps:
            text = self.shop.sitemaps[path].replace("{origin}", origin)
        else:
            return missing()
        return packed(Reply(200, {"content-type": XML}, text.encode()))

    def _robots(self, origin: str) -> str:
        return menus.robots_txt(self.shop, origin)


def missing() -> Reply:
    body = b"<!doctype html><html lang=en><title>Not found</title><h1>There is no such page</h1></html>"
    return Reply(404, {"content-type": "text/html; charset=utf-8"}, body)


def tagged(reply: Reply) -> Reply:
    """With an ETag: what has not changed need not be sent again."""
    tag = f'"{hashlib.sha256(reply.body).hexdigest()[:20]}"'
    return Reply(reply.status, {"etag": tag, **reply.headers}, reply.body, reply.seconds, reply.is_lost)


def packed(reply: Reply) -> Reply:
    if len(reply.body) < _SMALL:
        return reply
    headers = {**reply.headers, "content-encoding": "gzip", "vary": reply.headers.get("vary", "accept-encoding")}
    return Reply(reply.status, headers, gzip.compress(reply.body, 1, mtime=0), reply.seconds, reply.is_lost)


def _static(path: str) -> Reply:
    if path == "/":
        return Reply(301, {"location": "/en-gb/"})
    if path.endswith(".css"):
        return Reply(200, {"content-type": "text/css; charset=utf-8", **STATIC}, _CSS.encode())
    if path.endswith(".js"):
        return Reply(200, {"content-type": "text/javascript; charset=utf-8", **STATIC}, b'"use strict";\n')
    return Reply(200, {"content-type": "image/png", **STATIC}, picture())


@cache
def picture(padding: int = 0) -> bytes:
    """A white PNG of one pixel. `padding`: bytes of a text in it that nobody sees."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    text = chunk(b"tEXt", b"Comment\0" + b"x" * padding) if padding else b""
    pixels = chunk(b"IDAT", zlib.compress(b"\0\xff"))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + text + pixels + chunk(b"IEND", b"")
