"""Whether what outlets show is what was handed over to them, and whether its languages know of each other. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from caravan.core.consistency import Appearance, Aspect, Check, Outcome
from caravan.core.outbox import Message

Status = Callable[[str], int | None]
"""What a link answers over HTTP; None for no answer."""

LOOKED_AT_FOR = timedelta(days=7)
"""After its last revision left."""
SETTLING = timedelta(minutes=5)
"""Caches and search pages of others take a moment."""
X_DEFAULT = "x-default"


@dataclass(frozen=True)
class Last:
    """When a message was read back last, and what came of it: the worst of its outcomes."""

    at: datetime
    outcome: Outcome


def newest(messages: Iterable[Message]) -> list[Message]:
    """Of each release, outlet and language the newest revision, if it was accepted: before that nobody knows."""
    found: dict[tuple[str, str, str], Message] = {}
    for each in messages:
        key = each.key.object_id, each.key.outlet, each.key.target
        if key not in found or found[key].key.revision < each.key.revision:
            found[key] = each
    return [each for each in found.values() if each.state == "accepted"]


def due(pages: Iterable[Message], last: Mapping[str, Last], now: datetime) -> list[Message]:
    """A release on an outlet once a day; what differed, or did not answer, each time. `last`: by message id.

    All its languages together: whether they know of each other is seen when all of them are read.
    """
    groups: dict[tuple[str, str], list[Message]] = {}
    for page in pages:
        groups.setdefault((page.key.outlet, page.key.object_id), []).append(page)
    return [page for group in groups.values() if _is_due(group, last, now) for page in group]


def _is_due(group: Iterable[Message], last: Mapping[str, Last], now: datetime) -> bool:
    group = list(group)
    if any(page.changed_at and now < page.changed_at + SETTLING for page in group):
        return False
    looks = [last.get(page.message_id) for page in group]
    return any(
        look is None or look.at.date() < now.date() or look.outcome in ("differs", "unanswered") for look in looks
    )


def compare(expected: Appearance, found: Appearance, status: Status) -> list[Check]:
    if not expected.is_there:
        gone = Check("presence", "differs", "was withdrawn, and is still there")
        return [Check("presence", "same", found.note) if not found.is_there else gone]
    if not found.is_there:
        return [Check("presence", "differs", "is not there")]
    return [
        Check("presence", "same", found.note),
        _version(expected, found),
        _text(expected, found),
        _prices(expected, found),
        _links(expected, found, status),
        _alternates(expected, found),
        _language(expected, found),
    ]


def mutual(pages: Collection[Appearance]) -> Iterator[tuple[str, str]]:
    """Of one release on one site: the address of a page, and what is wrong with a language that it names."""
    by_url = {page.url: page for page in pages if page.url}
    for url, page in by_url.items():
        for tag, other_url in (page.alternates or {}).items():
            other = by_url.get(other_url)
            if tag == X_DEFAULT or other is None or other is page or not page.is_there:
                continue
            if not other.is_there:
                yield url, f"names {tag}, which is not there"
            elif url not in (other.alternates or {}).values():
                yield url, f"names {tag}, which does not name it"


def with_mutual(checks: Iterable[Check], problems: Collection[str]) -> tuple[Check, ...]:
    """The checks of one page, with what `mutual` says of it."""
    said = "; ".join(dict.fromkeys(problems))
    return tuple(
        Check("hreflang", "differs", "; ".join(filter(None, (each.detail, said))))
        if said and each.aspect == "hreflang"
        else each
        for each in checks
    )


def worst(outcomes: Collection[str]) -> Outcome:
    order: tuple[Outcome, ...] = ("differs", "unanswered", "same", "not_evaluated")
    return next((each for each in order if each in outcomes), "not_evaluated")


def _version(expected: Appearance, found: Appearance) -> Check:
    return _equal("version", expected.version, found.version, "shows another version")


def _language(expected: Appearance, found: Appearance) -> Check:
    return _equal("language", expected.locale, found.locale, f"is in {found.locale}, not in {expected.locale}")


def _equal(aspect: Aspect, expected: str | None, found: str | None, difference: str) -> Check:
    if expected is None or (found is None and aspect == "language"):
        return Check(aspect, "not_evaluated", "the outlet does not say")
    return Check(aspect, "same") if expected == found else Check(aspect, "differs", difference)


def _text(expected: Appearance, found: Appearance) -> Check:
    if expected.text is None or found.text is None:
        return Check("text", "not_evaluated", "the outlet does not say")
    if _plain(expected.text) in _plain(found.text):
        return Check("text", "same")
    return Check("text", "differs", f"lacks its title: {expected.text}")


def _prices(expected: Appearance, found: Appearance) -> Check:
    if expected.prices is None or found.prices is None:
        return Check("price", "not_evaluated", "the outlet does not say")
    if not expected.prices and not found.prices:
        return Check("price", "not_evaluated", "no amount with a currency is there to compare")
    if expected.prices == found.prices:
        return Check("price", "same", ", ".join(sorted(found.prices)))
    wanted, shown = (", ".join(sorted(each)) or "none" for each in (expected.prices, found.prices))
    return Check("price", "differs", f"shows {shown}; approved was {wanted}")


def _links(expected: Appearance, found: Appearance, status: Status) -> Check:
    """Those that were handed over: they are there, and answer. An outlet's own menus are no matter of ours."""
    if expected.links is None:
        return Check("links", "not_evaluated", "the outlet does not say")
    missing = [link for link in expected.links if found.links is not None and link not in found.links]
    answers = {link: status(link) for link in expected.links if re.match("https?://", link)}
    broken = [f"{link} answers {code}" for link, code in answers.items() if code is not None and code >= 400]
    if missing or broken:
        return Check("links", "differs", "; ".join([*(f"lacks {link}" for link in missing), *broken]))
    silent = [link for link, code in answers.items() if code is None]
    return Check("links", "unanswered", f"no answer: {', '.join(silent)}") if silent else Check("links", "same")


def _alternates(expected: Appearance, found: Appearance) -> Check:
    if expected.alternates is None or found.alternates is None:
        return Check("hreflang", "not_evaluated", "the outlet names no other languages")
    wrong = [*_lacking(expected.alternates, found.alternates, "lacks")]
    wrong += _lacking(found.alternates, expected.alternates, "has besides")
    return Check("hreflang", "differs", "; ".join(wrong)) if wrong else Check("hreflang", "same")


def _lacking(of: Mapping[str, str], there: Mapping[str, str], word: str) -> Iterator[str]:
    return (f"{word} {tag}: {url}" for tag, url in of.items() if there.get(tag) != url)


def _plain(text: str) -> str:
    return " ".join(text.split())
