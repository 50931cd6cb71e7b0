"""What steps of the release function work on: files, outlets, outbox. And planning, with all of it put in."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from caravan.assembly import letters
from caravan.assembly.clock import utc_now
from caravan.assembly.drawing import faults_of
from caravan.assembly.outbox import is_made, open_ledger, secret_key
from caravan.assembly.outlets import open_outlet
from caravan.assembly.shelf import Shelf, read_shelf
from caravan.config.approvals import load_approvals
from caravan.config.outlets import SiteOutlet
from caravan.config.releases import FOLDER, Release
from caravan.config.settings import Settings
from caravan.core.approval import Approval, Revocation, person
from caravan.core.contacts import subject_of
from caravan.core.errors import Fault, Misconfigured, Rejected
from caravan.core.outbox import SUPERSEDED
from caravan.core.release import Outlet
from caravan.functions.release import planning
from caravan.functions.release.content import Revision
from caravan.functions.release.hashes import content_hash
from caravan.functions.release.links import sent_links
from caravan.functions.release.planning import FUNCTION, Standing
from caravan.functions.release.review import review as sheet
from caravan.warehouse.contacts import StoredContacts
from caravan.warehouse.lists import StoredLists
from caravan.warehouse.outbox import StoredOutbox
from caravan.warehouse.outbox_stops import StoredStops
from caravan.warehouse.releases import StoredReleases

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Desk:
    """What a step has open."""

    settings: Settings
    shelf: Shelf
    outbox: StoredOutbox
    contacts: StoredContacts
    releases: StoredReleases
    lists: StoredLists
    stops: StoredStops
    key: bytes

    def subject_of(self, address: str) -> str:
        return subject_of(address.lower(), self.key)


@contextmanager
def open_desk(settings: Settings | None = None) -> Iterator[Desk]:
    settings = settings or Settings.from_environment()
    with open_ledger(settings) as ledger:
        stores = StoredOutbox(ledger), StoredContacts(ledger), StoredReleases(ledger), StoredLists(ledger)
        stops = StoredStops(ledger)
        yield Desk(settings, read_shelf(settings.config_dir), *stores, stops, secret_key(settings, stores[1]))


@contextmanager
def opened(
    desk: Desk, codes: Sequence[str], variables: Sequence[str], faults: list[Fault]
) -> Iterator[dict[str, Outlet]]:
    """Outlets that are there and switched on, by code. One that cannot be opened keeps no other one back: why, is put
    into `faults`."""
    known = desk.shelf.known.outlets
    accounts = [known[code] for code in codes if code in known]
    sites = {code: each for code, each in known.items() if isinstance(each, SiteOutlet) and each.enabled}
    zones = {code: market.zone for code, market in desk.shelf.known.markets.items()}
    found = {}
    with ExitStack() as stack:
        for account in accounts:
            if account.enabled:
                try:
                    opening = open_outlet(account, desk.settings, desk.key, variables, sites, zones)
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
    faults = take_down(desk, release.id)
    return _standing(desk.shelf, release, _given(desk.releases, release), faults)


def take_down(desk: Desk, release_id: str) -> list[Fault]:
    """What is signed in its folder: approvals, and what takes them back."""
    signed, revoked, faults = load_approvals(desk.settings.config_dir / FOLDER / release_id, release_id)
    if revoked:
        desk.releases.revoke(revoked)
    if signed:
        desk.releases.approve(signed)
    for fault in faults:
        log.error("%s", fault)
    return faults


def standings(settings: Settings, shelf: Shelf) -> dict[str, Standing]:
    """Where each release is, by its id. Writes nothing, and makes no outbox where there is none."""
    given: dict[str, _Given] = {}
    if is_made(settings):
        with open_ledger(settings) as ledger:
            stored = StoredReleases(ledger)
            given = {each.id: _given(stored, each) for each in shelf.releases.values()}
    found = {}
    for each in shelf.releases.values():
        signed, revoked, faults = load_approvals(settings.config_dir / FOLDER / each.id, each.id)
        known = given.get(each.id, _Given())
        both = _Given([*known.approvals, *signed], [*known.revocations, *revoked], known.used)
        found[each.id] = _standing(shelf, each, both, faults)
    return found


@dataclass(frozen=True)
class _Given:
    """What was said of a release, and what was planned under its revision."""

    approvals: Sequence[Approval] = ()
    revocations: Sequence[Revocation] = ()
    used: Collection[str] = ()


def _given(stored: StoredReleases, release: Release) -> _Given:
    used = stored.contents(release.id, release.revision)
    return _Given(stored.approvals(release.id), stored.revocations(release.id), used)


def _standing(shelf: Shelf, release: Release, given: _Given, faults: Sequence[Fault]) -> Standing:
    """`faults`: of its approvals.yml. Whoever tried to stop it there is not to find it sent."""
    revision, needed = shelf.revision(release), shelf.settings.approvals
    found = planning.standing(revision, given.approvals, needed, utc_now(), given.revocations, given.used)
    if faults and found.state in ("in_review", "planned"):
        return Standing(release.id, "in_review", tuple(map(str, faults)))
    return found


def review(release_id: str) -> dict[str, str]:
    """What somebody is asked to approve: `release_id`, `content_hash`, `subject` and `body` (Markdown).

    Rejected for one that could not go out, whoever approved it.
    """
    with open_desk() as desk:
        release = desk.shelf.release(release_id)
        found = stand(desk, release)
        if found.state == "draft":
            raise _faulty(release, found.reasons)
        if found.state == "over":
            raise Rejected("RELEASE_OVER", f"{release.id}: its time has passed; give it a later one and a new revision")
        if faults := faults_of(desk.settings, desk.shelf, release):
            raise _faulty(release, faults)
        revision = desk.shelf.revision(release)
        told = _taken_back(desk, release)
        so_far = f"{release.id} is {', '.join(found.reasons) or 'approved by all that it needs'}"
        return {
            "release_id": release.id,
            "content_hash": _hash(revision),
            "subject": f"Approve {release.id}, revision {release.revision}: {release.source.front.title}",
            "body": "\n".join([f"{sheet(revision)}\n{so_far}.", *([f"\n**Note**: {told}."] if told else [])]),
        }


def _taken_back(desk: Desk, release: Release) -> str:
    """How much mail of an older revision still waits, and what becomes of it; empty where none does."""
    waiting = desk.outbox.people_waiting(FUNCTION, release.id, release.revision - 1)
    if not waiting:
        return ""
    known, counts = desk.shelf.known.outlets, ", ".join(f"{outlet}: {count:,}" for outlet, count in waiting.items())
    becomes = "mail of this revision is planned instead"
    if not any(known[code].is_mail for code in release.outlets if code in known):
        becomes = (
            "this one has no outlet for mail, so nobody gets it. To write to those people all the same, name the mail "
            "outlet too, with `only_missed: true`"
        )
    return f"mail of an older revision waits and is taken back once this one is planned ({counts}): {becomes}"


def _faulty(release: Release, faults: Iterable[object]) -> Rejected:
    return Rejected("RELEASE_FAULTY", f"{release.id}:\n" + "\n".join(f"  - {each}" for each in faults))


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


def revoke(release_id: str, by: str, why: str) -> int:
    """Take back all that was approved of a release so far, whatever its files say by now: how many contents. What
    waits in the outbox is held. Rejected when nobody has approved any."""
    with open_desk() as desk:
        signed, _, faults = load_approvals(desk.settings.config_dir / FOLDER / release_id, release_id)
        approvals = [*desk.releases.approvals(release_id), *signed]
        if not approvals and not faults:
            raise Rejected("NOT_APPROVED", f"nobody has approved anything of a release '{release_id}'")
        # One that is dated ahead is meant as well, and one that cannot be read for a fault beside it.
        at = max([utc_now(), *(each.at for each in approvals)])
        contents = {each.content_hash for each in approvals}
        if release_id in desk.shelf.releases:
            contents.add(_hash(desk.shelf.revision(desk.shelf.releases[release_id])))
        desk.releases.revoke([Revocation(release_id, content, by, at, why, "command") for content in contents])
        log.info("%s: approval revoked by %s: %s", release_id, by, why)
        return len(contents)


def plan(release_id: str, by: str) -> dict[str, object]:
    """Put what is to leave of one release into the outbox, once it is approved as it is. `by`: for the log.

    What is planned of an older revision is taken back. Raises Rejected for one that its outlets or its list refuse, or
    whose revision was planned with other content; Misconfigured for outlets that cannot be opened, when all others are
    planned. A list's rows stop mail alone.
    """
    with open_desk() as desk:
        release = desk.shelf.release(release_id)
        found = stand(desk, release)
        for reason in found.reasons:
            log.warning("%s: %s: %s", release.id, found.state, reason)
        revision, used = desk.shelf.revision(release), desk.releases.contents(release.id, release.revision)
        reused = planning.used_for_other_words(release, _hash(revision), used)
        if reused and found.state != "over":
            raise Rejected("REVISION_USED", f"{release.id}: {reused}")
        if found.state != "planned":
            return {"state": found.state, "reasons": list(found.reasons)}
        revision = replace(revision, published_at=_published_at(desk, release))
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
            raise _faulty(release, faults)
        now = utc_now()
        if told := _taken_back(desk, release):
            log.warning("%s: %s", release.id, told)
        taken_back = desk.outbox.cancel(FUNCTION, release.id, release.revision - 1, SUPERSEDED, now, by)
        links = sent_links(release, payloads, known, desk.shelf.settings.own_hosts)
        desk.releases.keep(payloads, links, now)
        pages = planning.publications(revision, payloads)
        counts: dict[str, object] = {"state": "planned", "new": desk.outbox.plan(pages, now, by)}
        counts |= {"taken_back": taken_back} if taken_back else {}
        refused: list[Rejected] = []
        if of_list and mail:
            of_outlets, refused = letters.plan(desk, revision, payloads, mail, of_list, now, by)
            counts |= of_outlets
        log.info("%s: %s", release.id, counts)
        # What can be planned is; the others are told, and tried again by the next run.
        if unopened:
            raise Misconfigured([*unopened, *(Fault(f"list {release.list}", str(error)) for error in refused)])
        if refused:
            raise refused[0]
        return counts


def _published_at(desk: Desk, release: Release) -> dict[str, datetime]:
    """By market, when an older revision brought it out first: a correction does not make it news again."""
    first: dict[str, datetime] = {}
    for each in desk.outbox.published_before(FUNCTION, release.id, release.revision):
        first.setdefault(each.intention.market_code or "", each.intention.planned_for)
    return first


def hashes(shelf: Shelf) -> Mapping[tuple[str, int], str]:
    """Of each release as its files are now."""
    return {(each.id, each.revision): _hash(shelf.revision(each)) for each in shelf.releases.values()}


def _hash(revision: Revision) -> str:
    return content_hash(revision.release, revision.templates)
