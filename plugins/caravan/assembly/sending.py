"""Handing releases over: who may get one now, what outlets are given, and what becomes of what nobody knows."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache

from caravan.assembly.clock import sleep, utc_now
from caravan.assembly.outlets import domains_of, spacing_of
from caravan.assembly.releases import Desk, hashes, open_desk, opened, take_down
from caravan.config.calendars import contact_spine
from caravan.config.outlets import IndexNowOutlet, MailOutlet, OutletAccount, SiteOutlet, WebSubOutlet
from caravan.config.types import Configuration
from caravan.core.approval import missing
from caravan.core.calendar import Spine
from caravan.core.errors import CaravanError, Fault, Misconfigured, Rejected
from caravan.core.outbox import Accepted, Cap, Caps, Content, Gate, Key, Message, Outcome, Refused
from caravan.core.privacy import Policies
from caravan.core.release import Outlet, Payload, PayloadKey
from caravan.functions.outbox import confirming, feedback
from caravan.functions.outbox.gate import ContactGate
from caravan.functions.outbox.sending import USUAL, Sender
from caravan.functions.release.order import OrderGate
from caravan.functions.release.planning import FUNCTION, list_faults
from caravan.functions.site import announcing
from caravan.warehouse.outbox import StoredOutbox

log = logging.getLogger(__name__)

TICK = timedelta(seconds=75)
"""What falls due in the next minute is held until its instant; the rest is the next run's, which begins some seconds
late."""
NOTICE_TICK = timedelta(seconds=15)
"""Who tells of pages waits for the feeds of a site, but for no page that is not there: in the next run it may be."""
TURN = timedelta(minutes=1)
"""A long list goes on in the next runs: with all places taken by it, a page that falls due would be late."""
_CLAIM = timedelta(seconds=30)
"""No more is claimed at once than leaves in so long at an outlet's rate."""
FUNCTIONS: Mapping[str, tuple[timedelta, timedelta]] = {
    confirming.FUNCTION: (timedelta(seconds=1), timedelta(seconds=15)),
    FUNCTION: (TICK, TURN),
    announcing.FUNCTION: (TICK, TURN),
}
"""Whose messages are handed over, in this order: how far ahead, and for how long. Who has just signed up is waiting for
the mail; but what was promised for an instant is not to wait for them."""
TOLD_FOR = timedelta(minutes=15)
"""That messages were missed or refused is an incident for so long: told once, and over by itself."""
REFUSED_SHARE, REFUSED_OF = Decimal("0.05"), 20
"""Some addresses of every list are refused; more than this share of at least so many is about us, or the list."""
_CALENDAR_DAYS = 400


def list_outlets() -> list[str]:
    """What workers that died have left is put right first; then the outlets for which anything waits, and first among
    them those that no other run is sending to: it may be at a long list for a while.

    One that is gone, or has a fault, is among them: what waits for it has to fail, or nobody would know.
    """
    with open_desk() as desk:
        now = utc_now()
        if moved := desk.outbox.recover(now, USUAL.lease):
            log.warning("left by workers that died, or too late: %s", moved)
        until, questions = now + TICK, desk.outbox
        waiting = dict.fromkeys(code for function in FUNCTIONS for code in questions.waiting(function, now, until))
        off = {code for code, each in desk.shelf.known.outlets.items() if not each.enabled}
        notices = {code for code, each in desk.shelf.known.outlets.items() if each.is_notice}
        return sorted((code for code in waiting if code not in off), key=notices.__contains__)


def send(outlet: str) -> dict[str, int]:
    """What of one outlet falls due before the next tick, for one turn; then evidence of what nobody knows."""
    counts: Counter[str] = Counter()
    with open_desk() as desk, _senders(desk, outlet) as (senders, carrier):
        carrier.start()
        is_notice = desk.shelf.known.outlets[outlet].is_notice
        for sender in senders:
            now, (tick, turn) = utc_now(), FUNCTIONS[sender.function]
            counts += sender.send_due(now + (NOTICE_TICK if is_notice else tick), now + turn)
        if counts["accepted"]:
            carrier.finish()
        for sender in senders:
            counts += sender.settle()
        return dict(counts)


def refresh_lists() -> list[str]:
    """The feeds and sitemaps of every site as its pages are now: news grow old, and a worker may have died before it
    came to them. Where nothing has changed nothing is written."""
    faults: list[Fault] = []
    failed: list[CaravanError] = []
    with open_desk() as desk:
        sites = [code for code, each in desk.shelf.known.outlets.items() if isinstance(each, SiteOutlet)]
        used = {outlet for _, outlet, state, _ in desk.outbox.counts() if state == "accepted"}
        with opened(desk, [code for code in sites if code in used], (), faults) as outlets:
            for code, outlet in outlets.items():
                try:
                    carrier_of(desk, outlet).finish()
                except CaravanError as error:  # one site keeps no other one's back
                    log.error("%s: %s", code, error)
                    failed.append(error)
    if faults:
        raise Misconfigured(faults)
    if failed:
        raise failed[0]
    return sorted(outlets)


@contextmanager
def _senders(desk: Desk, code: str) -> Iterator[tuple[list[Sender], ReleaseCarrier]]:
    faults: list[Fault] = []
    with opened(desk, [code], (), faults) as outlets:
        if faults:
            raise Misconfigured(faults)
        if code not in outlets:
            own = [fault for fault in desk.shelf.faults if fault.where.startswith(f"outlets/{code}.yml")]
            raise Misconfigured(own or [Fault(f"outlet {code}", "is not there, or is switched off")])
        carrier = carrier_of(desk, outlets[code])
        worker = f"{socket.gethostname()}:{os.getpid()}:{time.monotonic_ns():x}"
        account = desk.shelf.known.outlets[code]
        spacing, pace = spacing_of(account), replace(USUAL, batch=_at_once(account))
        caps = caps_of(desk.shelf.configuration)
        senders = [
            Sender(
                desk.outbox,
                function,
                code,
                carrier,
                gate_of(desk, code, function),
                worker,
                utc_now,
                sleep,
                pace,
                spacing,
                caps,
                # What asks people to confirm is our own words: a list's file says that it is sent.
                held=_unless_stopped(
                    desk, code, held(desk, account.is_mail) if function == FUNCTION else lambda content: None
                ),
                domains=domains_of(account, pace.batch, _CLAIM),
            )
            for function in FUNCTIONS
        ]
        yield senders, carrier


def _at_once(account: OutletAccount) -> int:
    if not isinstance(account, MailOutlet):
        return USUAL.batch
    return max(1, min(USUAL.batch, int(account.per_second * int(_CLAIM.total_seconds()))))


class ReleaseCarrier:
    """An outlet with the payloads that were made for it when the release was planned. `before`: of an older
    revision, what was accepted last. `note_gone`: is told of messages whose target is not there."""

    def __init__(
        self,
        outlet: Outlet,
        payload_of: Callable[[PayloadKey], Payload | None],
        before: Callable[[Key], Message | None],
        note_gone: Callable[[Message], None] = lambda message: None,
    ) -> None:
        self.outlet = outlet
        self._note_gone = note_gone
        self.is_repeatable = outlet.is_repeatable
        self._kept = cache(payload_of)
        self._before = before

    def hand_over(self, message: Message) -> Outcome:
        payload = self._payload(message)
        if payload is None:
            return Refused("what was planned for it is gone")
        outcome = self.outlet.hand_over(self._told(message), payload)
        if isinstance(outcome, Refused) and outcome.is_gone:
            self._note_gone(message)
        return outcome

    def find(self, message: Message) -> Accepted | Refused | None:
        payload = self._payload(message)
        return None if payload is None else self.outlet.find(self._told(message), payload)

    def start(self) -> None:
        """What would fail for every message fails before one is claimed: a mail server that does not let us in."""
        open_ = getattr(self.outlet, "open", None)
        if open_ is not None:
            open_()

    def finish(self) -> None:
        """What an outlet does once for many: a site's feeds and sitemaps."""
        publish = getattr(self.outlet, "publish_lists", None)
        if publish is not None:
            publish()

    def _told(self, message: Message) -> Message:
        """With what the other side calls the post of the revision before: that may have been accepted only after this
        one was planned."""
        if message.intention.subject or message.key.revision == 1:
            return message
        before = self._before(message.key)
        payload = {**message.intention.payload, "provider_id": before.provider_id if before else None}
        return replace(message, intention=replace(message.intention, payload=payload))

    def _payload(self, message: Message) -> Payload | None:
        return self._kept(PayloadKey.of(message))


def gate_of(desk: Desk, outlet: str, function: str) -> Gate:
    configuration, account = desk.shelf.configuration, desk.shelf.known.outlets[outlet]
    end = (utc_now() + timedelta(days=_CALENDAR_DAYS)).date()
    today = utc_now().date()

    @cache
    def hours(market: str, zone: str | None) -> Spine:
        return contact_spine(configuration.markets[market], "email", end, zone)

    contact = ContactGate(
        channel=account.medium,
        contacts=desk.contacts,
        policies=configuration.privacy,
        regimes={code: market.privacy.on(today).regime for code, market in configuration.markets.items()},
        unasked=unasked(configuration.privacy),
        hours=hours,
    )
    if function != FUNCTION or account.is_mail:
        return contact
    return OrderGate(
        get=lambda key: desk.outbox.get(key.message_id),
        undecided=desk.outbox.undecided_before,
        sites=_told_of(desk.shelf.known.outlets, account),
        is_for=lambda message, site: _is_for(desk, message, site),
        last_at=desk.outbox.last_at,
        edits=account.edits,
        then=contact,
    )


def _told_of(outlets: Mapping[str, OutletAccount], account: OutletAccount) -> list[str]:
    """The sites whose pages an outlet tells of."""
    if not isinstance(account, WebSubOutlet | IndexNowOutlet):
        return []
    return [code for code, each in outlets.items() if isinstance(each, SiteOutlet) and account.site in (None, code)]


def _is_for(desk: Desk, message: Message, site: str) -> bool:
    """Whether a site that is on is to have what the message tells of."""
    release, account = desk.shelf.releases.get(message.key.object_id), desk.shelf.known.outlets[site]
    is_named = release is not None and site in release.outlets and account.enabled
    return is_named and account.serves(message.intention.market_code or "", message.intention.locale or "")


def carrier_of(desk: Desk, outlet: Outlet) -> ReleaseCarrier:
    channel = desk.shelf.known.outlets[outlet.code].medium

    def note_gone(message: Message) -> None:
        feedback.note_gone(message, desk.contacts, channel, utc_now())

    return ReleaseCarrier(outlet, desk.releases.payload, desk.outbox.accepted_before, note_gone)


def held(desk: Desk, is_mail: bool) -> Callable[[Content], str | None]:
    """Why what was approved may not leave now: the files say something else, it was taken back, or, of mail, its list
    would be refused. Files are read once; what was approved or revoked elsewhere is asked for each time."""
    current = hashes(desk.shelf)
    faults_of = cache(lambda release_id: take_down(desk, release_id))

    def why(content: Content) -> str | None:
        release_id, revision, content_hash = content
        if release_id not in desk.shelf.releases and not desk.shelf.faults_of(release_id):
            return f"its folder releases/{release_id} is gone: put it back; it is missed once it is too late"
        if current.get((release_id, revision)) != content_hash:
            return "its files are not what was approved: approve them under a new revision"
        faults = faults_of(release_id)
        given, revoked = desk.releases.approvals(release_id), desk.releases.revocations(release_id)
        release, needed = desk.shelf.releases[release_id], desk.shelf.settings.approvals
        if faults or missing(content_hash, release.owner, given, needed, utc_now(), revoked):
            # Without who and why: this goes into the warehouse.
            return "it is approved no longer: `caravan release list` says why"
        refused = list_faults(release, desk.shelf.lists.get(release.list or "")) if is_mail else []
        return refused[0] if refused else None

    return why


def _unless_stopped(desk: Desk, outlet: str, then: Callable[[Content], str | None]) -> Callable[[Content], str | None]:
    """Asked before each message: a long list is stopped in the middle."""

    def why(content: Content) -> str | None:
        stop = desk.stops.standing().get(outlet)
        return f"the outlet is stopped: {stop.reason}; `./caravan outbox lift {outlet}`" if stop else then(content)

    return why


def caps_of(configuration: Configuration) -> Caps:
    each = tuple(Cap(cap.count, cap.days) for cap in configuration.project.contact_caps)
    return Caps(each, unasked(configuration.privacy))


def unasked(policies: Policies) -> frozenset[str]:
    """Purposes for which no regime asks anybody."""
    asked = {row.purpose for regime in policies.regimes.values() for row in regime.rows if row.consent_type != "none"}
    return frozenset(policies.purposes) - asked


def verdict() -> None:
    """Rejected where a person has to decide, and for a while where messages were missed, a page or post was refused for
    good, or more mails than some addresses of every list are."""
    since = utc_now() - TOLD_FOR
    with open_desk() as desk:
        waiting: Counter[str] = Counter()
        missed: Counter[str] = Counter()
        refused: Counter[str] = Counter()
        for function in FUNCTIONS:
            waiting.update(desk.outbox.undecided(function))
            missed.update(desk.outbox.missed_since(function, since))
            refused.update(_refused(desk.outbox, function, since))
    told = []
    if waiting:
        told.append(
            f"nobody knows whether these arrived ({_listed(waiting)}): `./caravan outbox list --state operator`"
        )
    if missed:
        told.append(f"too late, and not sent ({_listed(missed)}): `./caravan outbox list --state missed`")
    if refused:
        told.append(f"refused for good ({_listed(refused)}): `./caravan outbox list --state rejected`")
    if told:
        code = "DECISION_NEEDED" if waiting else "MESSAGES_MISSED" if missed else "MESSAGES_REFUSED"
        raise Rejected(code, "; ".join(told))


def _refused(outbox: StoredOutbox, function: str, since: datetime) -> dict[str, int]:
    """By outlet, as far as it is worth telling."""
    told = {}
    for outlet, (posts, mails) in outbox.rejected_since(function, since).items():
        answered = mails + (outbox.sent_since(outlet, since) if mails else 0)
        if posts or (answered >= REFUSED_OF and mails > REFUSED_SHARE * answered):
            told[outlet] = posts + mails
    return told


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{outlet}: {count:,}" for outlet, count in sorted(counts.items()))
