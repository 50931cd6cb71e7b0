"""From an approved release to what is to leave: one intention for each page, post and person.

Planned again, nothing is added but who is new on a list: keys are there already.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from caravan.config.lists import RecipientList
from caravan.config.outlets import OutletAccount
from caravan.config.releases import Release
from caravan.core.approval import Approval, Revocation, missing
from caravan.core.outbox import Intention, Key
from caravan.core.release import Outlet, Payload, PayloadKey
from caravan.functions.release.content import Revision
from caravan.functions.release.hashes import content_hash
from caravan.functions.release.lint import lint
from caravan.functions.release.locales import text_for
from caravan.functions.release.recipients import BadRecipient, Recipient

FUNCTION = "release"
LAST_ZONE = timedelta(hours=12)
"""The last place on earth where a wall time comes is so long after UTC."""

SEED = "seed"
"""The variant of what goes to addresses of our own: mart.fct_delivery tells it from all others."""

State = Literal["draft", "in_review", "planned", "over"]
"""draft: it has faults. in_review: not approved as it is. planned: what is to leave is in the outbox. over: nobody can
get it in time any more."""


@dataclass(frozen=True)
class Standing:
    """Where a release is, and why."""

    release_id: str
    state: State
    reasons: tuple[str, ...] = ()


Payloads = Mapping[PayloadKey, Payload]
"""What outlets are given."""


@dataclass
class People:
    """What became of the rows of a list: received = planned + elsewhere + bad. `elsewhere`: of a market that the
    release is not for, or without a text, or reached before: by an earlier revision, or another outlet."""

    received: int = 0
    planned: int = 0
    bad: int = 0
    elsewhere: Counter[str] = field(default_factory=Counter)


def standing(
    revision: Revision,
    approvals: Iterable[Approval],
    needed: int,
    now: datetime,
    revocations: Iterable[Revocation] = (),
    used: Collection[str] = (),
) -> Standing:
    """Before anything is rendered. `needed`: approvals by others than its author. `used`: what was planned under this
    revision, by its hash."""
    release = revision.release
    if now > last_instant(release) + release.max_lateness:
        return Standing(release.id, "over")
    if faults := lint(revision):
        return Standing(release.id, "draft", tuple(map(str, faults)))
    content = content_hash(release, revision.templates)
    if reused := used_for_other_words(release, content, used):
        return Standing(release.id, "draft", (reused,))
    why = missing(content, release.owner, approvals, needed, now, revocations)
    return Standing(release.id, "in_review", (why,)) if why else Standing(release.id, "planned")


def used_for_other_words(release: Release, content: str, used: Collection[str]) -> str | None:
    """A revision has one content for good: of two, some would get one and some the other, or both."""
    if set(used) <= {content}:
        return None
    return (
        f"revision {release.revision} was planned with other content: put its files back as they were then, or give it "
        "a new revision"
    )


def last_instant(release: Release) -> datetime:
    """When the last one is promised it."""
    if release.when.utc is not None:
        return release.when.utc
    assert release.when.local is not None
    return release.when.local + LAST_ZONE


def render(revision: Revision, outlets: Mapping[str, Outlet]) -> tuple[Payloads, list[str]]:
    """For the outlets that are there; and what they find wrong with it, in words."""
    payloads: dict[PayloadKey, Payload] = {}
    faults: list[str] = []
    for account, content in revision.contents():
        if account.code not in outlets:
            continue
        where = (content.market_code, content.locale)
        key = PayloadKey(content.release_id, content.revision, account.code, *where, content.content_hash)
        payload = outlets[account.code].render(content)
        faults += [f"{account.code} {content.locale}: {each}" for each in outlets[account.code].check(payload)]
        payloads[key] = payload
    return payloads, list(dict.fromkeys(faults))


def publications(revision: Revision, payloads: Payloads) -> Iterator[Intention]:
    """Of outlets that are no lists: each language once, when the first of its markets is to have it."""
    release = revision.release
    first: dict[tuple[str, str], tuple[datetime, PayloadKey]] = {}
    for key in payloads:
        if revision.known.outlets[key.outlet].is_mail:
            continue
        due = release.when.instant(revision.known.markets[key.market_code].zone)
        there = first.get((key.outlet, key.locale))
        if there is None or due < there[0]:
            first[key.outlet, key.locale] = (due, key)
    for (outlet, locale), (due, key) in first.items():
        own = Key(FUNCTION, release.id, release.revision, outlet, locale)
        yield _intention(release, own, key, due)


def letters(
    revision: Revision,
    payloads: Payloads,
    account: OutletAccount,
    people: Iterable[Recipient | BadRecipient],
    of_list: RecipientList,
    subject_of: Callable[[str], str],
    found: People,
    is_reached: Callable[[str], bool] = lambda target: False,
) -> Iterator[Intention]:
    """One for each person whom the release is for. `found` counts. `is_reached`: by an earlier revision or by another
    outlet, or they may have been."""
    release, markets = revision.release, revision.known.markets
    texts: dict[str, dict[str, PayloadKey]] = {}
    for each in payloads:
        if each.outlet == account.code:
            texts.setdefault(each.market_code, {})[each.locale] = each
    for person in people:
        found.received += 1
        if isinstance(person, BadRecipient):
            found.bad += 1
            continue
        market = person.market or of_list.market
        if market is None or market not in texts:
            found.elsewhere["no market" if market is None else f"market {market}"] += 1
            continue
        # In lower case: Anna@ and anna@ are one person, whatever the standard allows.
        key = Key(FUNCTION, release.id, release.revision, account.code, person.address.lower())
        if is_reached(key.target):
            found.elsewhere["reached before"] += 1
            continue
        # The market's first language comes first: contents are made in that order.
        payload_key = texts[market][text_for(person.locale, [*texts[market]])]
        zone = person.zone or markets[market].zone
        subject = subject_of(person.address)
        details = {
            "variables": dict(person.variables),
            "zone": zone,
            "zone_source": "recipient" if person.zone else "market",
            "is_customer": person.is_customer,
        }
        due = release.when.instant(zone)
        found.planned += 1
        yield _intention(release, key, payload_key, due, subject=subject, details=details)


def seeds(
    release: Release,
    payloads: Iterable[PayloadKey],
    outlet: str,
    people: Iterable[Recipient],
    variables: Iterable[str],
    approved_at: datetime,
) -> Iterator[Intention]:
    """One for each address of ours and each language, as soon as it is approved: to look at it before anybody else can.

    Like a page it goes to nobody in particular: neither consent nor caps nor hours are asked for. A variable that the
    file does not have is filled with its own name.
    """
    texts: dict[str, PayloadKey] = {}
    for each in payloads:
        if each.outlet == outlet:
            texts.setdefault(each.locale, each)
    until = last_instant(release) + release.max_lateness
    for person in people:
        details = {"to": person.address, "variables": {name: name for name in variables} | dict(person.variables)}
        for locale, payload_key in texts.items():
            key = Key(FUNCTION, release.id, release.revision, outlet, f"{SEED} {locale} {person.address.lower()}")
            planned = _intention(release, key, payload_key, approved_at, details=details)
            yield replace(planned, not_after=until, variant=SEED)


def _intention(
    release: Release,
    key: Key,
    payload_key: PayloadKey,
    due: datetime,
    *,
    subject: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> Intention:
    return Intention(
        key,
        planned_for=due,
        not_after=due + release.max_lateness,
        content_hash=payload_key.content_hash,
        embargo_until=release.embargo_until,
        market_code=payload_key.market_code,
        locale=payload_key.locale,
        purpose=release.purpose if subject else None,
        subject=subject,
        payload={"action": release.action, **(details or {})},
    )


def list_faults(release: Release, of_list: RecipientList | None) -> list[str]:
    """Why the people of the list are not to get the release."""
    if of_list is None:
        return [f"there is no list '{release.list}' (include/config/lists), or it has a fault"]
    found = []
    if not of_list.enabled:
        found.append(f"the list {of_list.code} is switched off")
    if of_list.purpose != release.purpose:
        found.append(f"the list {of_list.code} is for {of_list.purpose}, the release for {release.purpose}")
    if of_list.audience != release.audience:
        found.append(f"the list {of_list.code} is of {of_list.audience}, the release for {release.audience}")
    return found
