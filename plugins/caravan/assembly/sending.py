"""Handing releases over: who may get one now, what outlets are given, and what becomes of what nobody knows."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache

from caravan.assembly.clock import utc_now
from caravan.assembly.releases import Desk, hashes, open_desk, opened
from caravan.config.calendars import contact_spine
from caravan.config.outlets import IndexNowOutlet, OutletAccount, SiteOutlet, WebSubOutlet
from caravan.core.calendar import Spine
from caravan.core.errors import Fault, Misconfigured, Rejected
from caravan.core.outbox import LEFT, Accepted, Gate, Key, Message, Outcome, Refused, Skip, Wait
from caravan.core.privacy import Policies
from caravan.core.release import Outlet, Payload, PayloadKey
from caravan.functions.outbox.gate import Cap, ContactGate
from caravan.functions.outbox.sending import Sender
from caravan.functions.release.order import OrderGate, provider_id
from caravan.functions.release.planning import FUNCTION
from caravan.warehouse.outbox import StoredOutbox

log = logging.getLogger(__name__)

TICK = timedelta(seconds=75)
"""What falls due in the next minute is held until its instant; the rest is the next run's, which begins some seconds
late."""
TURN = timedelta(minutes=2)
"""A long list goes on in the next runs: with all places taken by it, a page that falls due would be missed."""
TOLD_FOR = timedelta(minutes=15)
"""That messages were missed is an incident for so long: told once, and over by itself."""
_AGAIN = timedelta(minutes=5)
_CALENDAR_DAYS = 400


def list_outlets() -> list[str]:
    """What workers that died have left is put right first; then the outlets for which anything waits.

    One that is gone, or has a fault, is among them: what waits for it has to fail, or nobody would know.
    """
    with open_desk() as desk:
        if moved := desk.outbox.recover(utc_now()):
            log.warning("left by workers that died, or too late: %s", moved)
        waiting = desk.outbox.waiting(FUNCTION, utc_now() + TICK)
        off = {code for code, each in desk.shelf.known.outlets.items() if not each.enabled}
        notices = {code for code, each in desk.shelf.known.outlets.items() if each.is_notice}
        return sorted(waiting - off, key=lambda code: (code in notices, code))


def send(outlet: str) -> dict[str, int]:
    """What of one outlet falls due before the next tick, for one turn; then evidence of what nobody knows."""
    with open_desk() as desk, _sender(desk, outlet) as (sender, carrier):
        carrier.start()
        now = utc_now()
        counts = sender.send_due(now + TICK, now + TURN)
        if counts["accepted"]:
            carrier.finish()
        counts += sender.settle()
        return dict(counts)


def refresh_lists() -> list[str]:
    """The feeds and sitemaps of every site as its pages are now: news grow old, and a worker may have died before it
    came to them. Where nothing has changed nothing is written."""
    faults: list[Fault] = []
    with open_desk() as desk:
        sites = [code for code, each in desk.shelf.known.outlets.items() if isinstance(each, SiteOutlet)]
        used = {outlet for _, outlet, state, _ in desk.outbox.counts() if state == "accepted"}
        with opened(desk, [code for code in sites if code in used], (), faults) as outlets:
            for outlet in outlets.values():
                carrier_of(desk, outlet).finish()
    if faults:
        raise Misconfigured(faults)
    return sorted(outlets)


@contextmanager
def _sender(desk: Desk, code: str) -> Iterator[tuple[Sender, ReleaseCarrier]]:
    faults: list[Fault] = []
    with opened(desk, [code], (), faults) as outlets:
        if faults:
            raise Misconfigured(faults)
        if code not in outlets:
            own = [fault for fault in desk.shelf.faults if fault.where.startswith(f"outlets/{code}.yml")]
            raise Misconfigured(own or [Fault(f"outlet {code}", "is not there, or is switched off")])
        carrier = carrier_of(desk, outlets[code])
        worker = f"{socket.gethostname()}:{os.getpid()}:{time.monotonic_ns():x}"
        yield Sender(desk.outbox, FUNCTION, code, carrier, gate_of(desk, code), worker, utc_now, time.sleep), carrier


class ReleaseCarrier:
    """An outlet with the payloads that were made for it when the release was planned. `earlier`: as of `OrderGate`."""

    def __init__(
        self,
        outlet: Outlet,
        payload_of: Callable[[PayloadKey], Payload | None],
        earlier: Callable[[Key], Iterable[Message]],
    ) -> None:
        self.outlet = outlet
        self.is_repeatable = outlet.is_repeatable
        self._kept = cache(payload_of)
        self._earlier = earlier

    def hand_over(self, message: Message) -> Outcome:
        payload = self._payload(message)
        if payload is None:
            return Refused("what was planned for it is gone")
        return self.outlet.hand_over(self._told(message), payload)

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
        payload = {**message.intention.payload, "provider_id": provider_id(self._earlier(message.key))}
        return replace(message, intention=replace(message.intention, payload=payload))

    def _payload(self, message: Message) -> Payload | None:
        return self._kept(PayloadKey.of(message))


@dataclass(frozen=True)
class ApprovedGate:
    """Before all else: the files still say what was approved. `current`: by release and revision, the hash of what
    they say now."""

    current: Mapping[tuple[str, int], str]
    then: Gate

    def ask(self, message: Message, now: datetime) -> Wait | Skip | None:
        key = message.key
        if self.current.get((key.object_id, key.revision)) != message.intention.content_hash:
            return Wait(now + _AGAIN, "its files are not what was approved: approve them under a new revision")
        return self.then.ask(message, now)


def gate_of(desk: Desk, outlet: str) -> Gate:
    configuration, account = desk.shelf.configuration, desk.shelf.known.outlets[outlet]
    end = (utc_now() + timedelta(days=_CALENDAR_DAYS)).date()
    today = utc_now().date()

    @cache
    def hours(market: str, zone: str | None) -> Spine:
        return contact_spine(configuration.markets[market], "email", end, zone)

    contact = ContactGate(
        channel=account.medium,
        contacts=desk.contacts,
        history=desk.outbox,
        policies=configuration.privacy,
        regimes={code: market.privacy.on(today).regime for code, market in configuration.markets.items()},
        caps=tuple(Cap(each.count, each.days) for each in configuration.project.contact_caps),
        unasked=unasked(configuration.privacy),
        hours=hours,
    )
    approved = ApprovedGate(hashes(desk.shelf), contact)
    if account.is_mail:
        return approved
    return OrderGate(
        get=lambda key: desk.outbox.get(key.message_id),
        earlier=lambda key: earlier(desk.outbox, key),
        sites=_told_of(desk.shelf.known.outlets, account),
        edits=account.edits,
        then=approved,
    )


def _told_of(outlets: Mapping[str, OutletAccount], account: OutletAccount) -> list[str]:
    """The sites whose pages an outlet tells of."""
    if not isinstance(account, WebSubOutlet | IndexNowOutlet):
        return []
    return [code for code, each in outlets.items() if isinstance(each, SiteOutlet) and account.site in (None, code)]


def carrier_of(desk: Desk, outlet: Outlet) -> ReleaseCarrier:
    return ReleaseCarrier(outlet, desk.releases.payload, lambda key: earlier(desk.outbox, key))


def earlier(outbox: StoredOutbox, key: Key) -> list[Message]:
    """Of older revisions for the same outlet and target, what was accepted or may still arrive."""
    states = ", ".join(f"'{state}'" for state in ("claimed", *LEFT))
    return outbox.find(
        f"state IN ({states}) AND function = :function AND outlet = :outlet AND object_id = :object_id "
        "AND target = :target AND revision < :revision",
        vars(key),
    )


def unasked(policies: Policies) -> frozenset[str]:
    """Purposes for which no regime asks anybody."""
    asked = {row.purpose for regime in policies.regimes.values() for row in regime.rows if row.consent_type != "none"}
    return frozenset(policies.purposes) - asked


def verdict() -> None:
    """Rejected where a person has to decide, and for a while where messages were missed."""
    with open_desk() as desk:
        counts = desk.outbox.counts()
        missed = desk.outbox.missed_since(FUNCTION, utc_now() - TOLD_FOR)
    waiting = {
        outlet: count for function, outlet, state, count in counts if (function, state) == (FUNCTION, "operator")
    }
    told = []
    if waiting:
        told.append(
            f"nobody knows whether these arrived ({_listed(waiting)}): `./caravan outbox list --state operator`"
        )
    if missed:
        told.append(f"too late, and not sent ({_listed(missed)}): `./caravan outbox list --state missed`")
    if told:
        raise Rejected("DECISION_NEEDED" if waiting else "MESSAGES_MISSED", "; ".join(told))


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{outlet}: {count:,}" for outlet, count in counts.items())
