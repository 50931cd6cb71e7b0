"""A release as each outlet takes it, in each language that its markets read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from caravan.config.outlets import OutletAccount, SiteOutlet
from caravan.config.release_bodies import Body
from caravan.config.release_settings import ReleaseSettings
from caravan.config.releases import Known, Release
from caravan.core.errors import Rejected
from caravan.core.release import Content, Image
from caravan.functions.release.hashes import content_hash
from caravan.functions.release.links import tagging
from caravan.functions.release.locales import Edition, direction, editions, published
from caravan.functions.release.markup import refusals, to_html, to_text

X_DEFAULT = "x-default"


@dataclass(frozen=True)
class Revision:
    """What all contents of one revision share. `published_at`: UTC, when it came out first, market by market; the
    planned instant where a market is not named."""

    release: Release
    known: Known
    settings: ReleaseSettings
    templates: Mapping[str, str]
    published_at: Mapping[str, datetime]

    def contents(self, without: Collection[str] = ()) -> Iterator[tuple[OutletAccount, Content]]:
        """Each outlet that is on, with what it takes; `without`: locales that are left out. Rejected for a text with
        what no outlet may get."""
        read = published(editions(self.release, self.known.markets))
        for code in self.release.outlets:
            outlet = self.known.outlets.get(code)
            if outlet is None or not outlet.enabled:
                continue
            for edition in read:
                if edition.locale is None or edition.locale in without:
                    continue
                if outlet.serves(edition.market_code, edition.locale):
                    yield outlet, self.content(edition, outlet, read)

    def content(self, edition: Edition, outlet: OutletAccount, read: Iterable[Edition]) -> Content:
        """`read`: all editions with a text, for the page's other languages."""
        release, market = self.release, edition.market_code
        if edition.locale is None:
            raise ValueError(f"{release.id}: {market} gets no text in {edition.wanted}")
        body = release.bodies[edition.locale]
        if faults := refusals(body):
            raise Rejected("TEXT_REFUSED", str(faults[0]))
        pictures = images(release, body)
        tags = tagging(release, body, outlet, self.settings.own_hosts)
        site = self.site(outlet, edition)
        url = page_url(site.base_url, body.locale, release.id) if site else None
        images_at = url if url and not outlet.takes_images else ""
        planned = release.when.instant(self.known.markets[market].zone)
        others = (each for each in read if site and each.locale and site.serves(each.market_code, each.locale))
        return Content(
            release_id=release.id,
            revision=release.revision,
            kind=release.kind,
            market_code=market,
            locale=body.locale,
            title=body.front.title,
            summary=body.front.summary,
            html=to_html(body.text, tags.tag, pictures, images_at),
            text=to_text(body.text, tags.tag, pictures),
            published_at=self.published_at.get(market, planned),
            updated_at=planned,
            content_hash=content_hash(release, self.templates),
            direction=direction(body.locale),
            url=url,
            alternates=alternates(release, site, others) if site else {},
            images=tuple(pictures.values()),
            images_at=images_at,
            tags=release.tags,
            author=release.author or "",
        )

    def site(self, outlet: OutletAccount, edition: Edition) -> SiteOutlet | None:
        """The outlet if it is one, else the release's first that has the page."""
        codes = [outlet.code, *self.release.outlets]
        for site in (self.known.outlets.get(code) for code in codes):
            if isinstance(site, SiteOutlet) and site.enabled and site.serves(edition.market_code, edition.locale or ""):
                return site
        return None


def page_url(base_url: str, locale: str, release_id: str) -> str:
    """Where the page of a release is. Its images lie beside it: their names in the HTML are relative to it."""
    return f"{base_url}/{locale}/{release_id}/"


def alternates(release: Release, site: SiteOutlet, editions: Iterable[Edition]) -> dict[str, str]:
    """By tag, the pages in all languages. x-default: the language of the source, or else the first."""
    found = {each.locale: page_url(site.base_url, each.locale, release.id) for each in editions if each.locale}
    default = found.get(release.source_locale) or next(iter(found.values()), None)
    return found | ({X_DEFAULT: default} if default else {})


def images(release: Release, body: Body) -> dict[str, Image]:
    """By the name that the text uses, in the order in which they are shown."""
    files = {name: release.images[name] for name in body.alternatives}
    return {
        name: Image(
            path=str(file.path),
            name=file.published_name,
            media_type=file.media_type,
            alt=body.alternatives[name],
            width=file.width,
            height=file.height,
            sha256=file.sha256,
        )
        for name, file in files.items()
    }
