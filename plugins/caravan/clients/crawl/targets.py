"""Where the links of pages lead: resolved, keyed and judged, each once.

A site's pages link to the same addresses again and again, written alike. What a link means depends on its page only
through the folder (the address itself for `#top` and `?page=2`), so pages of one folder share what was resolved.
"""

from __future__ import annotations

import codecs
from functools import lru_cache
from typing import NamedTuple

from caravan.clients.crawl.charsets import codec_of
from caravan.core.crawl import Found, Kind, Limits, Scope
from caravan.core.urls import BadUrl, frontier_key, host_of, is_internal, key_of, resolve, split_fragment

_SPACE = " \t\n\r\f"
_KEPT_ADDRESSES = 1 << 15
_PROBLEM_CHARACTERS = 300
NOT_OF_THE_WEB = frozenset(
    str.split(
        "mailto tel sms callto data javascript blob about whatsapp skype viber tg geo maps market intent xmpp irc "
        "magnet webcal facetime line weixin alipays kakaotalk zalo fb-messenger"
    )
)
"""Schemes that are meant: a page may have links of them, and they are no address to ask. `file:` is not."""


class Target(NamedTuple):
    """Without `url`: `problem` says why; neither: it is not of the web. `found`: where it may be asked."""

    url: str | None
    key: int | None
    fragment: str | None
    is_internal: bool | None
    problem: str | None
    found: Found | None


NOWHERE = Target(None, None, None, None, None, None)


class Base(NamedTuple):
    """What addresses of one page are relative to. `charset`: by which browsers encode what a query has beyond ASCII."""

    url: str
    folder: str
    origin: str
    charset: str
    page: str


class Targets:
    """Of one crawl. May be shared by threads: what is kept is only ever what would come out again."""

    def __init__(self, scope: Scope, limits: Limits) -> None:
        self.scope = scope
        self.limits = limits
        self._resolved = lru_cache(maxsize=_KEPT_ADDRESSES)(self._resolve)

    def at(self, base: Base, href: str, kind: Kind = "page") -> Target:
        """`kind`: what the place where it is written asks for, were it of the site."""
        href = href.strip(_SPACE)
        first = href[:1]
        if first == "/":
            onto = base.origin
        elif not first or first in "#?":
            onto = base.url
        else:
            onto = base.folder
        return self._resolved(onto, href, kind, "utf-8" if href.isascii() else base.charset)

    def of_url(self, url: str, kind: Kind = "page") -> Target:
        return self._resolved("", url, kind, "utf-8")

    def base(self, page_url: str, charset: str | None = None, base_href: str | None = None) -> Base:
        """`base_href`: of the page's first base element; one that is no web address counts for nothing."""
        url = page_url
        if base_href:
            try:
                url = resolve(page_url, base_href, self.limits.url_characters)
            except BadUrl:
                url = page_url
        address = split_fragment(url)[0]
        path_at = address.index("/", 8)
        folder = address.partition("?")[0]
        return Base(url, folder[: folder.rindex("/") + 1], address[: path_at + 1], _codec(charset or "utf-8"), page_url)

    def _resolve(self, base: str, href: str, kind: Kind, charset: str) -> Target:
        try:
            whole = resolve(base, href, self.limits.url_characters, charset)
        except BadUrl as error:
            if error.reason == "scheme" and error.detail in NOT_OF_THE_WEB:
                return NOWHERE
            return NOWHERE._replace(problem=f"{href[:_PROBLEM_CHARACTERS]}: {error}")
        url, fragment = split_fragment(whole)
        key = key_of(frontier_key(url, self.scope))
        internal = is_internal(url, self.scope)
        return Target(url, key, fragment, internal, None, self._found(url, key, internal, kind))

    def _found(self, url: str, key: int, internal: bool, kind: Kind) -> Found | None:
        if kind == "resource" and host_of(url) in self.scope.hosts:
            return Found(key, url, "resource") if self.scope.check_resources else None
        if kind == "page" and internal:
            return Found(key, url, "page")
        return Found(key, url, "external") if self.scope.check_external and not internal else None


@lru_cache(maxsize=256)
def _codec(charset: str) -> str:
    """The charset as Python calls it. UTF-16 pages have UTF-8 in queries, and so has what Python does not know."""
    try:
        name = codecs.lookup(codec_of(charset)).name
    except LookupError:
        return "utf-8"
    return "utf-8" if name.startswith("utf") else name
