"""What steps of the release function work on: files, outlets, outbox. And planning, with all of it put in."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice

from caravan.assembly.clock import utc_now
from caravan.assembly.outbox import is_made, open_ledger, secret_key
from caravan.assembly.outlets import normalise, open_outlet
from caravan.assembly.shelf import Shelf, read_shelf
from caravan.config.approvals import load_approvals
from caravan.config.lists import RecipientList
from caravan.config.outlets import OutletAccount, SiteOutlet
from caravan.config.releases import FOLDER, Release
from caravan.config.settings import Settings
from caravan.core.approval import Approval, person
from caravan.core.contacts import subject_of
from caravan.core.errors import Fault, Misconfigured, Rejected
from caravan.core.outbox import Intention
from caravan.core.release import Outlet
from caravan.functions.release import planning
from caravan.functions.release.content import Revision
from caravan.functions.release.hashes import content_hash
from caravan.functions.release.planning import FUNCTION, Payloads, People, Standing
from caravan.functions.release.recipients import read_recipients
from caravan.functions.release.review import review as sheet
from caravan.warehouse.contacts import StoredContacts
from caravan.warehouse.outbox import StoredOutbox
from caravan.warehouse.releases import StoredReleases

log = logging.getLogger(__name__)

_BATCH = 1000


@dataclass(frozen=True)
class Desk:
    """What a step has open."""

    settings: Settings
    shelf: Shelf
    outbox: StoredOutbox
    contacts: StoredContacts
    releases: StoredReleases
    key: bytes

    def subject_of(self, address: str) -> str:
        return subject_of(address.lower(), self.key)


@contextmanager
def open_desk(settings: Settings | None = None) -> Iterator[Desk]:
    settings = settings or Settings.from_environment()
    with open_ledger(settings) as ledger:
        stores = StoredOutbox(ledger), StoredContacts(ledger), StoredReleases(ledger)
        yield Desk(settings, read_shelf(settings.config_dir), *stores, secret_key(settings))


@contextmanager
def opened(
    desk: Desk, codes: Sequence[str], variables: Sequence[str], faults: list[Fault]
) -> Iterator[dict[str, Outlet]]:
    """Outlets that are there and switched on, by code. One that cannot be opened keeps no other one back: why, is put
    into `faults`."""
    known = desk.shelf.known.outlets
    accounts = [known[code] for code in codes if code in known]
    sites = {code: each for code, each in known.items() if isinstance(each, SiteOutlet) and each.enabled}
    found = {}
    with ExitStack() as stack:
        for account in accounts:
            if account.enabled:
                try:
                    opening = open_outlet(account, desk.settings, desk.key, variables, sites)
                    found[account.code] = stack.enter_context(opening)
                except Misconfigured as error:
                    faults += error.faults
        yield found


def list_releases() -> list[str]:
    """Those that can still reach somebody. Every fault of the others is told, and stops none of these."""
    shelf, now = read_shelf(Settings.from_environment().config_dir), utc_now()
    for fault in shelf.faults:
        log.error("left out: %s", fault)
    return [
        release.id
        for release in shelf.releases.values()
        if now <= planning.last_instant(release) + release.max_lateness
    ]


def stand(desk: Desk, release: Release) -> Standing:
    """Where a release is. What is signed in its folder is taken down first."""
    signed, faults = load_approvals(desk.settings.config_dir / FOLDER / release.id, release.id)
    desk.releases.approve(signed)
    for fault in faults:
        log.error("%s", fault)
    approvals = desk.releases.approvals(release.id)
    return planning.standing(desk.shelf.revision(release), approvals, desk.shelf.settings.approvals, utc_now())


def standings(settings: Settings, shelf: Shelf) -> dict[str, Standing]:
    """Where each release is, by its id. Writes nothing, and makes no outbox where there is none."""
    given: dict[str, list[Approval]] = {}
    if is_made(settings):
        with open_ledger(settings) as ledger:
            stored = StoredReleases(ledger)
            given = {release_id: stored.approvals(release_id) for release_id in shelf.releases}
    found, now = {}, utc_now()
    for release in shelf.releases.values():
        signed, faults = load_approvals(settings.config_dir / FOLDER / release.id, release.id)
        approvals = [*given.get(release.id, []), *signed]
        standing = planning.standing(shelf.revision(release), approvals, shelf.settings.approvals, now)
        if faults and standing.state == "in_review":
            standing = replace(standing, reasons=tuple(map(str, faults)))
        found[release.id] = standing
    return found


def review(release_id: str) -> dict[str, str]:
    """What somebody is asked to approve: `release_id`, `content_hash`, `subject` and `body` (Markdown).

    Rejected for one that could not go out, whoever approved it.
    """
    with open_desk() as desk:
        release = desk.shelf.release(release_id)
        found = stand(desk, release)
        if found.state == "draft":
            raise Rejected("RELEASE_FAULTY", f"{release.id}:\n" + "\n".join(f"  - {each}" for each in found.reasons))
        if found.state == "over":
            raise Rejected("RELEASE_OVER", f"{release.id}: its time has passed; give it a later one and a new revision")
        revision = desk.shelf.revision(release)
        so_far = f"{release.id} is {', '.join(found.reasons) or 'approved by all that it needs'}"
        return {
            "release_id": release.id,
            "content_hash": _hash(revision),
            "subject": f"Approve {release.id}, revision {release.revision}: {release.source.front.title}",
            "body": f"{sheet(revision)}\n{so_far}.",
        }


def approve(release_id: str, content_hash: str, approver: str) -> dict[str, object]:
    """Take down that somebody has approved this very content, on Airflow's page. Returns where the release is then.

    Rejected for its author, and where the files say something else by now.
    """
    with open_desk() as desk:
        release = desk.shelf.release(release_id)
        if not person(approver) or person(approver) == person(release.owner):
            raise Rejected("AUTHOR_APPROVES", f"{release.id} is by {release.owner}: somebody else has to approve it")
        if _hash(desk.shelf.revision(release)) != content_hash:
            raise Rejected(
                "OTHER_CONTENT", f"{release.id}: approved for other content than its files have by now; ask again"
            )
        given = Approval(release.id, content_hash, approver, utc_now(), "airflow")
        is_new = bool(desk.releases.approve([given]))
        found = stand(desk, release)
        log.info("%s: %s by %s; %s", release.id, "approved" if is_new else "was approved", approver, found.state)
        return {"state": found.state, "reasons": list(found.reasons)}


def plan(release_id: str, by: str) -> dict[str, object]:
    """Put what is to leave of one release into the outbox, once it is approved as it is. `by`: for the log.

    What is planned of an older revision is taken back. Raises Rejected for one that its outlets or its list refuse;
    Misconfigured for outlets that cannot be opened, when all others are planned.
    """
    with open_desk() as desk:
        release = desk.shelf.release(release_id)
        found = stand(desk, release)
        for reason in found.reasons:
            log.warning("%s: %s: %s", release.id, found.state, reason)
        if found.state != "planned":
            return {"state": found.state, "reasons": list(found.reasons)}
        revision = replace(desk.shelf.revision(release), published_at=_published_at(desk, release))
        of_list = desk.shelf.lists.get(release.list or "")
        known, unopened = desk.shelf.known.outlets, list[Fault]()
        unopened += [
            Fault(f"outlets/{code}.yml", "has a fault: `./caravan release lint`")
            for code in release.outlets
            if code not in known
        ]
        with opened(desk, release.outlets, of_list.variables if of_list else (), unopened) as outlets:
            payloads, faults = planning.render(revision, outlets)
            mail = [known[code] for code in outlets if known[code].is_mail]
        faults += planning.list_faults(release, of_list) if mail else []
        if faults:
            raise Rejected("RELEASE_FAULTY", f"{release.id}:\n" + "\n".join(f"  - {fault}" for fault in faults))
        now = utc_now()
        desk.outbox.cancel(FUNCTION, release.id, release.revision - 1, "a newer revision is approved", now, by)
        desk.releases.keep(payloads, now)
        pages = planning.publications(revision, payloads)
        counts: dict[str, object] = {"state": "planned", "new": desk.outbox.plan(pages, now, by)}
        for account in mail if of_list else ():
            assert of_list is not None
            counts[account.code] = _plan_letters(desk, revision, payloads, account, of_list, now, by)
        log.info("%s: %s", release.id, counts)
        if unopened:  # what can be planned is; the others are told, and tried again by the next run
            raise Misconfigured(unopened)
        return counts


def _plan_letters(
    desk: Desk,
    revision: Revision,
    payloads: Payloads,
    account: OutletAccount,
    of_list: RecipientList,
    now: datetime,
    by: str,
) -> dict[str, object]:
    path, people = desk.settings.home / of_list.file, People()
    if not path.is_file():
        raise Rejected("LIST_MISSING", f"list {of_list.code}: {of_list.file} is not in CARAVAN_HOME")

    def intentions() -> Iterator[Intention]:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            rows = read_recipients(lines, of_list.file, desk.shelf.known.markets, of_list.variables, normalise)
            found = planning.letters(revision, payloads, account, rows, of_list, desk.subject_of, people)
            while batch := list(islice(found, _BATCH)):
                # What they said is known before anybody may ask whether to write to them.
                said = [event for _, event in batch if event]
                desk.contacts.add_consent(said, now, f"list {of_list.code}")
                yield from (intention for intention, _ in batch)

    new = desk.outbox.plan(intentions(), now, by)
    for bad in people.bad:
        log.warning("%s:%s %s: %s: %s", of_list.file, bad.row, bad.field_name, bad.reason_code, bad.message)
    counts = {"received": people.received, "planned": people.planned, "new": new, "bad": people.bad_count}
    return {**counts, "elsewhere": dict(people.elsewhere)}


def _published_at(desk: Desk, release: Release) -> dict[str, datetime]:
    """By market, when an older revision brought it out first: a correction does not make it news again."""
    found = desk.outbox.find(
        "function = :function AND object_id = :id AND revision < :revision AND state = 'accepted' AND subject IS NULL",
        {"function": FUNCTION, "id": release.id, "revision": release.revision},
    )
    first: dict[str, datetime] = {}
    for each in found:  # the earliest come first
        first.setdefault(each.intention.market_code or "", each.intention.planned_for)
    return first


def hashes(shelf: Shelf) -> Mapping[tuple[str, int], str]:
    """Of each release as its files are now."""
    return {(each.id, each.revision): _hash(shelf.revision(each)) for each in shelf.releases.values()}


def _hash(revision: Revision) -> str:
    return content_hash(revision.release, revision.templates)
