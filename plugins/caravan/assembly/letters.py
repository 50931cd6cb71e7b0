"""Mail of a release: planned for the people of its list, unless too many of them are gone."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection
from datetime import datetime
from typing import TYPE_CHECKING

from caravan.assembly import lists
from caravan.config.lists import RecipientList
from caravan.config.outlets import MailOutlet, OutletAccount
from caravan.config.releases import Release
from caravan.core.errors import Rejected
from caravan.core.outbox import LEFT, Key
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
    account: OutletAccount,
    of_list: RecipientList,
    now: datetime,
    by: str,
) -> dict[str, object]:
    """For everybody on the list whom the release is for, and for nobody else; and for addresses of our own. Counts; of
    a list that was planned as it is, nothing but `new`. Rejected for a list that is none, or has lost more than half of
    its people."""
    release, found, kept = revision.release, People(), Kept()
    reading = lists.take_in(desk, of_list, now)
    own = _plan_seeds(desk, revision, payloads, account, of_list, now, by)
    uses, this = desk.lists.uses(of_list.code), (release.id, release.revision)
    used = next((each for each in uses if (*this, account.code) == (each.release_id, each.revision, each.outlet)), None)
    if used and _is_as_it_was(desk, release, used, reading):
        return {"new": 0, **own}
    last = used or next((each for each in uses if (each.release_id, each.revision) != this), None)
    markets = {key.market_code for key in payloads if key.outlet == account.code}
    fallen = None if release.audience_may_fall else _fallen(desk, account.code, last, reading, markets)
    if fallen and not used:
        raise fallen
    is_reached = _reached(desk, release)
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
    counts = {"new": new, **own, **{name: count for name, count in changed.items() if count}}
    return {**vars(found), "elsewhere": dict(found.elsewhere), **counts}


def _is_as_it_was(desk: Desk, release: Release, used: ListUse, reading: StoredReading) -> bool:
    """Nothing would come of planning it again. Who was reached by an earlier revision may turn out to have not been."""
    rendered_at = desk.releases.rendered_at(release.id, release.revision, used.outlet)
    is_same = used.reading_id == reading.reading_id and rendered_at is not None and rendered_at <= used.at
    return is_same and not release.only_missed


def _reached(desk: Desk, release: Release) -> Callable[[str], bool]:
    """Whether mail of an earlier revision has left for somebody, or may have, or is about to: by whichever outlet.
    Nobody is asked about, where the release is for all."""
    accounts = desk.shelf.known.outlets
    earlier = [
        (number, outlet)
        for number, outlet in desk.releases.planned_before(release.id, release.revision)
        if release.only_missed and (outlet not in accounts or accounts[outlet].is_mail)
    ]

    def is_reached(target: str) -> bool:
        keys = (Key(planning.FUNCTION, release.id, number, outlet, target) for number, outlet in earlier)
        found = (desk.outbox.get(key.message_id) for key in keys)
        return any(each is not None and each.state in ("claimed", *LEFT) for each in found)

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
