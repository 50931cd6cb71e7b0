"""Which text each market reads, and which it lacks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import langcodes

from caravan.config.release_bodies import Body
from caravan.config.releases import KnownMarket, Release
from caravan.core.errors import Fault

_RIGHT_TO_LEFT = frozenset(["Arab", "Hebr", "Syrc", "Thaa", "Nkoo", "Adlm", "Rohg"])


@dataclass(frozen=True)
class Edition:
    """What one market reads in one of its languages. `wanted`: the language's tag. `locale`: that of the text which it
    gets; None when it gets none. `is_own`: the text is in that language, not one that stands in."""

    market_code: str
    wanted: str
    locale: str | None
    is_own: bool


def direction(locale: str) -> Literal["ltr", "rtl"]:
    """By the script that the tag names, or that the language is written in."""
    return "rtl" if _written(locale)[1] in _RIGHT_TO_LEFT else "ltr"


def editions(release: Release, markets: Mapping[str, KnownMarket]) -> list[Edition]:
    """One for each language of each market of the release. A market's first language follows its policy: it is what
    most people there read. A further one gets a text of its own, or none. A stale translation counts as none."""
    usable = set(release.bodies) - {body.locale for body in stale(release)}
    return [
        _edition(release, code, chain, usable, is_first=index == 0)
        for code in release.markets
        for index, chain in enumerate(markets[code].chains)
    ]


def _edition(release: Release, market: str, chain: tuple[str, ...], usable: Collection[str], is_first: bool) -> Edition:
    wanted = chain[0]
    own = next((tag for tag in chain if tag in usable and _written(tag) == _written(wanted)), None)
    if own is not None:
        return Edition(market, wanted, own, True)
    stands_in = is_first and release.policy(market) == "fallback"
    return Edition(market, wanted, next((tag for tag in chain if stands_in and tag in usable), None), False)


def published(editions: Iterable[Edition]) -> list[Edition]:
    """Those with a text; two languages of a market that lead to one text are one."""
    found = {(each.market_code, each.locale): each for each in reversed(list(editions)) if each.locale is not None}
    return list(reversed(found.values()))


def text_for(wanted: str | None, texts: Sequence[str]) -> str:
    """Which of a market's texts, its first language first, somebody reads who wants a language: that very one, the same
    language of another country (`ar-AE` of the texts in `ar` and `en`), or else the first."""
    if wanted is None or wanted in texts:
        return wanted or texts[0]
    return next((tag for tag in texts if _written(tag) == _written(wanted)), texts[0])


def untranslated_share(editions: Collection[Edition]) -> float | None:
    """Of all languages of all markets, those without a text of their own: 0 to 1. None when there are none."""
    return sum(not each.is_own for each in editions) / len(editions) if editions else None


def stale(release: Release) -> list[Body]:
    """Texts that say which source body they translate, where that has changed since."""
    now = release.source.sha256
    bodies = [body for body in release.bodies.values() if body is not release.source]
    return [body for body in bodies if body.front.translation_of not in (None, now)]


def passed_over(release: Release, markets: Mapping[str, KnownMarket]) -> list[Fault]:
    """Stale translations that stop nothing, since another text stands in or the market is skipped: not faults, but
    nobody would see why their text is not used."""
    told = {fault.where for fault in missing(release, markets)}
    found = []
    for body in stale(release):
        read = [each for each in editions(release, markets) if _written(each.wanted) == _written(body.locale)]
        instead = ", ".join(f"{each.market_code} gets {each.locale or 'none'}" for each in read) or "no market reads it"
        message = (
            f"stale: {body.locale} translates an older source, and is not used ({instead}); translate it again and "
            f"write {release.source.sha256}"
        )
        found.append(body.front_fault("translation_of", message))
    return [each for each in found if each.where not in told]


def missing(release: Release, markets: Mapping[str, KnownMarket]) -> Iterator[Fault]:
    """The gate before approval: markets that would get nothing though they have to get something."""
    where = f"releases/{release.id}/release.yml"
    outdated = {body.locale: body for body in stale(release)}
    found = editions(release, markets)
    for code in release.markets:
        policy, chain = release.policy(code), markets[code].chains[0]
        first = next(each for each in found if each.market_code == code)
        if first.locale is not None or policy == "skip":
            continue
        own = [tag for tag in chain if _written(tag) == _written(chain[0])]
        body = next((outdated[tag] for tag in own if tag in outdated), None)
        if body is not None:
            message = f"{code}: the source has changed since; translate it again and write {release.source.sha256}"
            yield body.front_fault("translation_of", message)
        elif policy == "fallback":
            yield Fault(where, f"{code}: there is no text in any of {', '.join(chain)}; add one")
        else:
            message = (
                f"{code}: there is no text in {' or '.join(own)}; add one, or set translations to fallback or skip"
            )
            yield Fault(where, message)
    if not published(found) and all(release.policy(code) == "skip" for code in release.markets):
        yield Fault(where, "no market gets a text: all of them are skipped")


@lru_cache(maxsize=1024)
def _written(tag: str) -> tuple[str | None, str | None]:
    """Language and script: Simplified and Traditional Chinese are two, British and American English one."""
    full = langcodes.Language.get(tag).maximize()
    return full.language, full.script
