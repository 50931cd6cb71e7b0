"""Links of a text: what is added to them so that visits are traced to the release, and by which id each is known."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from html import unescape
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from caravan.config.outlets import OutletAccount, SiteOutlet
from caravan.config.release_bodies import Body
from caravan.config.releases import Release
from caravan.core.release import Payload, PayloadKey, SentLink

TABLE = "raw.release__link"
KEY = ("release_id", "revision", "content_hash", "outlet", "locale", "link_id")
SHORT_ID = 10
"""Hexadecimal digits."""


@dataclass(frozen=True)
class Link:
    """`url`: as it is sent. `written`: as the text has it. `is_tagged`: it carries parameters of ours."""

    short_id: str
    url: str
    written: str
    is_tagged: bool


@dataclass(frozen=True)
class Tagging:
    """What links of one text in one outlet carry. `own_hosts`: those whose links do, with their subdomains."""

    own_hosts: Collection[str]
    source: str
    medium: str
    campaign: str
    content: str

    def tag(self, url: str) -> str:
        """The link with all four parameters; as it is if it has any of them, or leads to somebody else's host."""
        if not is_web(url) or not is_own(url, self.own_hosts):
            return url
        parts = urlsplit(url)
        if any(name.lower().startswith("utm_") for name, _ in parse_qsl(parts.query, keep_blank_values=True)):
            return url
        added = urlencode(
            {
                "utm_source": self.source,
                "utm_medium": self.medium,
                "utm_campaign": self.campaign,
                "utm_content": self.content,
            }
        )
        # The query that is there stays as it is written: to decode and encode it may change what it means.
        return urlunsplit(parts._replace(query=f"{parts.query}&{added}" if parts.query else added))


def tagging(release: Release, body: Body, outlet: OutletAccount, own_hosts: Collection[str]) -> Tagging:
    """The text's own words come before the release's, and those before what follows from outlet and language."""
    own, common = body.front.utm, release.utm
    hosts = set(own_hosts)
    if isinstance(outlet, SiteOutlet):
        # Within one site a tag would make a new visit of a click, and forget where the visitor came from.
        hosts.discard(urlsplit(outlet.base_url).hostname or "")
    return Tagging(
        hosts,
        own.source or common.source or outlet.code,
        own.medium or common.medium or outlet.medium,
        own.campaign or common.campaign or release.id,
        own.content or common.content or body.locale.lower(),
    )


def register(body: Body, tagging: Tagging) -> dict[str, Link]:
    """The web links of a text by their short ids, in order; mail addresses and anchors are none."""
    found: dict[str, Link] = {}
    for each in body.references:
        if each.kind == "link" and is_web(each.target):
            url = tagging.tag(each.target)
            link = Link(short_id(url), url, each.target, url != each.target)
            found.setdefault(link.short_id, link)
    return found


def sent_links(
    release: Release,
    payloads: Mapping[PayloadKey, Payload],
    outlets: Mapping[str, OutletAccount],
    own_hosts: Collection[str],
) -> Iterator[SentLink]:
    """The links that are in what outlets are given, once for each outlet and language: a post may have none of the
    text's."""
    for key, payload in {(key.outlet, key.locale): (key, payload) for key, payload in payloads.items()}.values():
        body = release.bodies[key.locale]
        said = unescape("\n".join(_words(payload)))
        links = register(body, tagging(release, body, outlets[key.outlet], own_hosts)).values()
        for place, link in enumerate(links, start=1):
            if link.url in said:
                yield SentLink(
                    release.id,
                    release.revision,
                    key.content_hash,
                    key.outlet,
                    key.locale,
                    link.short_id,
                    place,
                    link.url,
                    link.written,
                )


def _words(value: object) -> Iterator[str]:
    """All text in what is JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _words(list(value.values()))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _words(each)


def link_rows(links: Iterable[SentLink]) -> list[dict[str, object]]:
    """Rows of TABLE; the UTM values are those that the link carries, whoever put them there."""
    rows = []
    for link in links:
        query = {name.lower(): value for name, value in parse_qsl(urlsplit(link.url).query)}
        tags = {name: query.get(name) for name in ("utm_source", "utm_medium", "utm_campaign", "utm_content")}
        rows.append(vars(link) | tags | {"is_tagged": link.url != link.target_url})
    return rows


def short_id(url: str) -> str:
    """Of a link as it is sent: the same link has the same one for ever."""
    return hashlib.sha256(url.encode()).hexdigest()[:SHORT_ID]


def is_web(url: str) -> bool:
    return url.lower().startswith(("http://", "https://"))


def host_of(url: str) -> str:
    """In lower case; empty for what has none, or is no address."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def is_own(url: str, own_hosts: Collection[str]) -> bool:
    host = host_of(url)
    return any(host == own or host.endswith(f".{own}") for own in own_hosts)
