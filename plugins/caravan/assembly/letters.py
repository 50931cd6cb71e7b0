"""Mail of a release: planned for the people of its list, unless too many of them are gone."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from caravan.assembly import lists
from caravan.config.lists import RecipientList
from caravan.config.outlets import MailOutlet, OutletAccount
from caravan.config.releases import Release
from caravan.core.errors import Rejected
from caravan.core.outbox import LEFT, Key
from caravan.core.release import PayloadKey
from caravan.functions.release import planning
from caravan.functions.release.content import Revision
from caravan.functions.release.planning import Payloads, People
from caravan.functions.release.reading import Kept, has_fallen
from caravan.warehouse.lists import ListUse, StoredReading

if TYPE_CHECKING:
    from caravan.assembly.releases import Desk

log = logging.getLogger(__name__)


def plan(
    desk: Desk,
    revision: Revision,
    payloads: Payloads,
    accounts: Sequence[OutletAccount],
    of_list: RecipientList,
    now: datetime,
    by: str,
) -> tuple[dict[str, object], list[Rejected]]:
    """For everybody on the list whom the release is for, and for nobody else, each by one outlet; and for addresses of
    our own. Counts by outlet; of a list that was planned as it is, nothing but `new`. And why outlets got nobody:
    Rejected for a list that is none, or has lost more than half of its people."""
    counts: dict[str, object] = {}
    refused: list[Rejected] = []
    by_outlet: dict[str, list[PayloadKey]] = {account.code: [] for account in accounts}
    for key in payloads:
        by_outlet.get(key.outlet, []).append(key)
    try:
        is_as_it_was = _is_as_it_was(desk, revision.release, by_outlet, of_list, now)
    except Rejected as error:
        return counts, [error]
    before: list[str] = []
    for account in accounts:
        try:
            own = _plan_seeds(desk, revision, payloads, account, of_list, now, by)
            if is_as_it_was:
                counts[account.code] = {"new": 0, **own}
            else:
                counts[account.code] = _plan(desk, revision, payloads, account, before, of_list, now, by) | own
        except Rejected as error:
            refused.append(error)
        before.append(account.code)
    return counts, refused


def _plan(
    desk: Desk,
    revision: Revision,
    payloads: Payloads,
    account: OutletAccount,
    before: Collection[str],
    of_list: RecipientList,
    now: datetime,
    by: str,
) -> dict[str, object]:
    """`before`: outlets that are planned already; whoever is on the list under two markets is theirs."""
    release, found, kept = revision.release, People(), Kept()
    reading = lists.take_in(desk, of_list, now)
    uses, this = desk.lists.uses(of_list.code), (release.id, release.revision)
    used = next((each for each in uses if (*this, account.code) == (each.release_id, each.revision, each.outlet)), None)
    last = used or next((each for each in uses if (each.release_id, each.revision) != this), None)
    markets = {key.market_code for key in payloads if key.outlet == account.code}
    fallen = None if release.audience_may_fall else _fallen(desk, account.code, last, reading, markets)
    if fallen and not used:
        raise fallen
    is_reached = _reached(desk, release, account, before)
    with lists.people(desk, of_list, reading.read_at) as rows:
        letters = planning.letters(revision, payloads, account, rows, of_list, desk.subject_of, found, is_reached)
        new = desk.outbox.plan(kept.note(letters), now, by)
    moved = Counter[str]()
    if fallen:
        log.warning("nobody is taken back: %s", fallen)
    elif lists.take_in(desk, of_list, now) == reading:  # nobody has written the file meanwhile
        moved = desk.outbox.keep_only(planning.FUNCTION, *this, account.code, kept.lookup(), now, by)
        if not moved["claimed"]:  # else it is looked at again
            desk.lists.keep_use(ListUse(of_list.code, *this, account.code, reading.reading_id, now))
    if found.bad:
        log.warning("list %s: %d rows are left out; ops.quarantine names each", of_list.code, found.bad)
    if not found.planned:
        log.warning("%s: nobody on the list %s is written to by %s", release.id, of_list.code, account.code)
    changed = {"taken_back": moved["cancelled"], "again": moved["planned"]}
    counts = {"new": new, **{name: count for name, count in changed.items() if count}}
    return {**vars(found), "elsewhere": dict(found.elsewhere), **counts}


def _is_as_it_was(
    desk: Desk, release: Release, by_outlet: Mapping[str, Collection[PayloadKey]], of_list: RecipientList, now: datetime
) -> bool:
    """Nothing would come of planning it again on any outlet: a market that one gives away, another one has. Who was
    reached by an earlier revision may turn out to have not been."""
    reading = lists.take_in(desk, of_list, now)
    if release.only_missed:
        return False
    uses = {
        each.outlet: each
        for each in desk.lists.uses(of_list.code)
        if (each.release_id, each.revision) == (release.id, release.revision)
    }
    for outlet, keys in by_outlet.items():
        used, rendered_at = uses.get(outlet), desk.releases.rendered_at(release.id, release.revision, outlet)
        if used is None or used.reading_id != reading.reading_id or (rendered_at and rendered_at > used.at):
            return False
        markets = {key.market_code for key in keys}
        if desk.outbox.is_planned_beyond(planning.FUNCTION, release.id, release.revision, outlet, markets):
            return False
    return True


def _reached(desk: Desk, release: Release, account: OutletAccount, before: Collection[str]) -> Callable[[str], bool]:
    """Whether mail has left for somebody, or may have, or is about to: of this revision by another outlet, of an
    earlier one by whichever, where the release is for those alone who have missed that. Of outlets that are planned
    `before` this one also what is planned."""
    accounts, found, theirs = desk.shelf.known.outlets, Kept(), []
    for number, outlet in desk.releases.planned_before(release.id, release.revision + 1):
        is_mail = outlet not in accounts or accounts[outlet].is_mail
        is_this = number == release.revision
        if is_mail and (outlet != account.code if is_this else release.only_missed):
            states = ("claimed", *LEFT, *(["planned"] if is_this and outlet in before else []))
            count = found.note_ids(desk.outbox.of_people(planning.FUNCTION, release.id, number, outlet, states))
            theirs += [(number, outlet)] if count else []
    is_there = found.lookup()

    def is_reached(target: str) -> bool:
        keys = (Key(planning.FUNCTION, release.id, number, outlet, target) for number, outlet in theirs)
        return any(is_there(key.message_id) for key in keys)

    return is_reached


def _plan_seeds(
    desk: Desk,
    revision: Revision,
    payloads: Payloads,
    account: OutletAccount,
    of_list: RecipientList,
    now: datetime,
    by: str,
) -> dict[str, int]:
    if not isinstance(account, MailOutlet) or account.seeds is None:
        return {}
    release, variables = revision.release, of_list.variables
    contents = {key.content_hash for key in payloads}
    # Promised by then, whenever it is planned: what was sent before a restore is not sent again.
    approved_at = max(
        each.at for each in desk.releases.approvals(release.id) if each.content_hash in contents and each.at <= now
    )
    ours = lists.seeds(desk, account.code, account.seeds, now)
    trials = planning.seeds(release, payloads, account.code, ours, variables, approved_at)
    return {"seeds": desk.outbox.plan(trials, now, by)}


def _fallen(
    desk: Desk, outlet: str, last: ListUse | None, reading: StoredReading, markets: Collection[str]
) -> Rejected | None:
    """Compared with what the list held when it was used last: for this very revision, or else for another release or
    an earlier revision."""
    before = desk.lists.reading(last.reading_id) if last else None
    fallen = has_fallen(before.people, reading.people, markets) if before else None
    if last is None or fallen is None:
        return None
    return Rejected(
        "AUDIENCE_FELL",
        f"{outlet}: the list {reading.list_code} held {fallen[0]:,} people for {', '.join(sorted(markets))} when "
        f"{last.release_id}, revision {last.revision}, was planned on {last.at:%Y-%m-%d}, and holds {fallen[1]:,}: "
        f"put {reading.file} right, or, if it is meant, write `audience_may_fall: true` and a new revision into "
        "release.yml and have that approved",
    )
