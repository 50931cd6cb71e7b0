"""Pages of the site as text: include/templates/release/site, or a locale's own in its place. Pure but for templates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import langcodes
import yaml
from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from babel.languages import get_official_languages
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

import caravan
from caravan.clients.site.manifest import X_DEFAULT, Entry, page_url
from caravan.core.release import Content

INDEX_ENTRIES = 20
"""On one page of a locale's index."""
_LAST_RESORT = "en"


@dataclass(frozen=True)
class Site:
    """`base_url`: where the store's root is served. `name`: the publisher's, as readers and news search know it.
    `zones`: by market code, in which a page tells its date; UTC for the others. `hub`: that of the feeds (WebSub).
    `indexnow_key`: shown in a file of its name, which proves to search engines whose site it is."""

    base_url: str
    name: str
    zones: Mapping[str, str] = field(default_factory=dict)
    hub: str | None = None
    indexnow_key: str | None = None

    def url(self, path: str = "") -> str:
        return f"{self.base_url.rstrip('/')}/{path}"


def render_page(site: Site, content: Content) -> str:
    """The whole page; its pictures lie beside it under their names."""
    url = page_url(site.base_url, content.locale, content.release_id)
    alternates = alternates_of(site, content)
    others = {_territorial(tag, "") for tag in alternates if tag not in (X_DEFAULT, content.locale)}
    days = [_day(site, content.market_code, content.locale, at) for at in (content.published_at, content.updated_at)]
    return _render(
        site,
        "page",
        content.locale,
        content.direction,
        content=content,
        url=url,
        canonical=content.url or url,
        alternates=alternates,
        og_locale=_territorial(content.locale, content.market_code),
        og_alternates=sorted(others - {""}),
        linked_data=_linked_data(site, content, url),
        # A picture that the text does not show itself comes before it.
        figures=[image for image in content.images if image.name not in content.html],
        body=Markup(content.html),
        published_day=days[0],
        updated_day=days[1],
    )


def render_withdrawn(site: Site, locale: str, direction: str, release_id: str, revision: int) -> str:
    return _render(site, "withdrawn", locale, direction, release_id=release_id, revision=revision)


def render_index(site: Site, locale: str, direction: str, entries: Sequence[Entry]) -> Iterator[tuple[str, str]]:
    """Path and text of each page of a locale's index; `entries`: of the locale, newest first."""
    count = max(1, -(-len(entries) // INDEX_ENTRIES))
    for number in range(1, count + 1):
        shown = entries[(number - 1) * INDEX_ENTRIES : number * INDEX_ENTRIES]
        text = _render(
            site,
            "list",
            locale,
            direction,
            number=number,
            canonical=site.url(f"{locale}/{'' if number == 1 else index_name(number)}"),
            entries=[(entry, _day(site, entry.market_code, locale, entry.published_at)) for entry in shown],
            newer=None if number == 1 else "./" if number == 2 else index_name(number - 1),
            older=None if number == count else index_name(number + 1),
        )
        yield f"{locale}/{index_name(number)}", text


def index_name(number: int) -> str:
    return "index.html" if number == 1 else f"page-{number}.html"


def alternates_of(site: Site, content: Content) -> dict[str, str]:
    """With the page itself, as hreflang wants it; empty for a page in one language."""
    if not content.alternates:
        return {}
    own = content.url or page_url(site.base_url, content.locale, content.release_id)
    found = {content.locale: own, **content.alternates}
    return {tag: found[tag] for tag in sorted(found, key=lambda tag: (tag == X_DEFAULT, tag))}


def lacks_words(locale: str) -> bool:
    """Whether the pages of a locale would speak English between their content."""
    return not any(tag in _all_words(caravan.TEMPLATES_DIR) for tag in _chain(locale)[:-1]) and _own(locale) == {}


def instant(at: datetime) -> str:
    """RFC 3339 of UTC."""
    return f"{at.replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def _render(site: Site, template: str, locale: str, direction: str, **values: Any) -> str:
    made = _environment(caravan.TEMPLATES_DIR, locale)
    return made.get_template(f"site/{template}.html.j2").render(
        site=site,
        locale=locale,
        direction=direction,
        index_url=site.url(f"{locale}/"),
        words=_words(locale),
        **values,
    )


@lru_cache(maxsize=128)
def _environment(templates_dir: Path, locale: str) -> Environment:
    folder = templates_dir / "release"
    made = Environment(
        loader=FileSystemLoader([*(folder / tag for tag in _chain(locale)[:-1]), folder]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["instant"] = instant
    # `tojson` writes < > & and ' as escapes: no title can end the element that it is in.
    made.policies["json.dumps_kwargs"] = {"ensure_ascii": False}
    made.globals["style"] = Markup(made.get_template("site/style.css").render())
    return made


def _words(locale: str) -> Mapping[str, str]:
    words = _all_words(caravan.TEMPLATES_DIR)
    tag = next(tag for tag in _chain(locale) if tag in words)
    return {**words[_LAST_RESORT], **words[tag], **_own(locale)}


def _own(locale: str) -> Mapping[str, str]:
    for tag in _chain(locale)[:-1]:
        path = caravan.TEMPLATES_DIR / "release" / tag / "site" / "words.yml"
        if path.exists():
            found: Mapping[str, str] = yaml.safe_load(path.read_text(encoding="utf-8"))
            return found
    return {}


@lru_cache(maxsize=8)
def _all_words(templates_dir: Path) -> Mapping[str, Mapping[str, str]]:
    path = templates_dir / "release" / "site" / "words.yml"
    found: Mapping[str, Mapping[str, str]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def _chain(locale: str) -> list[str]:
    """`zh-Hans-CN`, `zh-Hans`, `zh`, `en`."""
    parts = locale.split("-")
    return ["-".join(parts[:count]) for count in range(len(parts), 0, -1)] + [_LAST_RESORT]


def _territorial(tag: str, market_code: str) -> str:
    """As Open Graph writes a locale: `de_DE`; empty where there is no country. A language without one has that of the
    market if it is official there, else where most speak it: English for Dubai is no `en_AE`, which nobody knows."""
    language = langcodes.Language.get(tag)
    official = get_official_languages(market_code, regional=True, de_facto=True) if market_code else ()
    is_theirs = any(each.partition("_")[0] == language.language for each in official)
    territory = language.territory or (market_code if is_theirs else market_code and language.maximize().territory)
    return f"{language.language}_{territory}" if territory else ""


def _day(site: Site, market_code: str, locale: str, at: datetime) -> str:
    zone = site.zones.get(market_code, "UTC")
    day: date = at.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).date()
    try:
        return format_date(day, "long", locale=Locale.parse(locale, sep="-"))
    except (UnknownLocaleError, ValueError):
        return day.isoformat()


def _linked_data(site: Site, content: Content, url: str) -> dict[str, Any]:
    publisher = {"@type": "Organization", "name": site.name}
    by = content.author
    return {
        "@context": "https://schema.org",
        "@type": "NewsArticle",
        "headline": content.title,
        "description": content.summary,
        "inLanguage": content.locale,
        "mainEntityOfPage": content.url or url,
        "datePublished": instant(content.published_at),
        "dateModified": instant(content.updated_at),
        "image": [url + image.name for image in content.images],
        "keywords": list(content.tags),
        "author": publisher if by in ("", site.name) else {"@type": "Person", "name": by},
        "publisher": publisher,
    }
