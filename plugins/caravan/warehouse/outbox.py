"""The store of what leaves the machine: `caravan.core.outbox` in a ledger, with a log of every change."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from operator import attrgetter, itemgetter

from caravan.core.outbox import (
    TRANSITIONS,
    UNCAPPED,
    UNLIMITED,
    UNSETTLED,
    Accepted,
    Caps,
    Content,
    Domains,
    Intention,
    Message,
    Outcome,
    Refused,
    Skip,
    Spacing,
    State,
    Unknown,
    Wait,
)
from caravan.warehouse import outbox_caps, outbox_domains, outbox_log, outbox_rate
from caravan.warehouse.ledger import Ledger, Row, Transaction, Values, as_text
from caravan.warehouse.outbox_questions import INTENDED, KEY, OutboxQuestions, are_due, read

_BATCH = 500
_PAYLOADS = json.JSONEncoder(sort_keys=True)
_PLANNED_AT_ONCE = 10_000
"""Others who write wait for so many; each is put into indexes in the order of its hash, cheaper for many together."""
SCHEMA = (
    # A key is one row because its hash is.
    """CREATE TABLE IF NOT EXISTS outbox_message (
    message_id TEXT PRIMARY KEY, function TEXT NOT NULL, object_id TEXT NOT NULL, revision INTEGER NOT NULL,
    outlet TEXT NOT NULL, target TEXT NOT NULL, planned_for TEXT NOT NULL, not_after TEXT NOT NULL, embargo_until TEXT,
    content_hash TEXT NOT NULL, market_code TEXT, locale TEXT, purpose TEXT, subject TEXT, variant TEXT,
    payload TEXT NOT NULL, state TEXT NOT NULL, attempt INTEGER NOT NULL, due_at TEXT NOT NULL, worker TEXT,
    lease_until TEXT, provider_id TEXT, reason TEXT, changed_at TEXT NOT NULL, planned_at TEXT NOT NULL,
    handed_over_at TEXT, settled_at TEXT, changed_seq INTEGER NOT NULL)""",
    "CREATE TABLE IF NOT EXISTS outbox_restored (at TEXT NOT NULL, backup_of TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS outbox_due ON outbox_message "
    # The last three: what is held is passed over without a look at its rows.
    "(state, function, outlet, due_at, object_id, revision, content_hash)",
    "CREATE INDEX IF NOT EXISTS outbox_object ON outbox_message (function, object_id, revision)",
    "CREATE INDEX IF NOT EXISTS outbox_outlet ON outbox_message (outlet, handed_over_at)",
    "CREATE INDEX IF NOT EXISTS outbox_changed ON outbox_message (changed_seq)",
    "CREATE INDEX IF NOT EXISTS outbox_provider ON outbox_message (provider_id) WHERE provider_id IS NOT NULL",
    *outbox_caps.SCHEMA,
    *outbox_log.SCHEMA,
    *outbox_rate.SCHEMA,
)


class StoredOutbox(OutboxQuestions):
    """An `Outbox`, and what people ask of one."""

    def __init__(self, ledger: Ledger, observe: Callable[[str], None] = lambda phase: None) -> None:
        """`observe`: told each new state before it is committed, and `after <state>` then; tests die there."""
        super().__init__(ledger)
        self._observe = observe
        ledger.make(SCHEMA)

    def plan(self, intentions: Iterable[Intention], now: datetime, by: str) -> int:
        added, rest = 0, iter(intentions)
        while batch := list(islice(rest, _PLANNED_AT_ONCE)):
            with self._ledger.write() as transaction:
                seq, before = outbox_log.tail_of(transaction)
                restored = transaction.rows("SELECT MAX(at) FROM outbox_restored")[0][0]
                alike = as_text(now), as_text(now), seq + 1, 0
                rows = sorted(((*_planned(each, restored), *alike) for each in batch), key=itemgetter(0))
                transaction.insert("outbox_message", _OF_A_PLAN, rows, if_new=True)
                new = transaction.rows(
                    "SELECT message_id FROM outbox_message WHERE changed_seq = :seq ORDER BY message_id",
                    {"seq": seq + 1},
                )
                if new:
                    digest = hashlib.sha256("".join(row[0] for row in new).encode()).hexdigest()
                    detail = json.dumps({"count": len(new), "messages": digest})
                    outbox_log.write(transaction, (seq, before), now, None, None, "planned", 0, by, detail)
                self._observe("planned")
            self._observe("after planned")
            added += len(new)
        return added

    def recover(self, now: datetime, longest: timedelta | None = None) -> dict[str, int]:
        lease, gone = "lease_until < :now", "its worker did not come back"
        values = {"now": as_text(now)}
        if longest is not None:
            lease = "(lease_until < :now OR lease_until > :no_lease)"
            values["no_lease"] = as_text(now + longest + outbox_rate.CLOCKS)
        late: tuple[tuple[State, str, State, str], ...] = (
            ("claimed", lease, "planned", gone),
            ("handed_over", lease, "unknown", gone),
            ("planned", "not_after < :now", "missed", "too late"),
        )
        moved: dict[str, int] = {}
        for state, is_over, to, reason in late:
            of = values | {"state": state}
            if count := self._move_all(f"state = :state AND {is_over}", of, to, now, "recovery", reason):
                moved[to] = count
        with self._ledger.write() as transaction:
            outbox_rate.forget(transaction, now)
        return moved

    def claim(
        self,
        function: str,
        outlet: str,
        worker: str,
        now: datetime,
        until: datetime,
        lease: timedelta,
        limit: int,
        held: Collection[Content] = (),
        domains: Domains | None = None,
    ) -> list[Message]:
        due, values = are_due(function, outlet, until, held)
        with self._ledger.write() as transaction:
            if domains is None:
                found = read(transaction, due, values, "ORDER BY due_at", limit)
            else:
                found = outbox_domains.earliest(transaction, due, values, limit, domains, now)
            claimed = [
                replace(each, state="claimed", attempt=each.attempt + 1, worker=worker, lease_until=now + lease)
                for each in found
            ]
            for each, mine in zip(found, claimed, strict=True):
                change: dict[str, str | int | None] = {
                    "attempt": mine.attempt,
                    "worker": worker,
                    "lease_until": as_text(mine.lease_until),
                }
                _move(transaction, each, "claimed", now, worker, None, change)
            self._observe("claimed")
        self._observe("after claimed")
        return claimed

    def wait(self, message: Message, until: datetime, reason: str, now: datetime) -> bool:
        return self._move(message, "planned", now, _worker(message), reason, due_at=as_text(until))

    def skip(self, message: Message, reason: str, now: datetime) -> bool:
        return self._move(message, "skipped", now, _worker(message), reason)

    def miss(self, message: Message, now: datetime, reason: str = "too late") -> bool:
        return self._move(message, "missed", now, _worker(message), reason)

    def begin(
        self, message: Message, now: datetime, spacing: Spacing = UNLIMITED, caps: Caps = UNCAPPED
    ) -> Message | Wait | Skip | None:
        if message.lease_until is None or message.lease_until <= now:
            return None
        with self._ledger.write() as transaction:
            if cap := outbox_caps.reached(transaction, message.intention, caps, now):
                return Skip(f"over the cap of {cap.count} in {cap.days} days")
            if other := outbox_caps.sent_by(transaction, message.intention):
                return Skip(f"it has reached them by {other}, or may have")
            if wait := outbox_rate.wait(transaction, spacing, now):
                return wait
            change: dict[str, str | int | None] = {"handed_over_at": as_text(now)}
            moved = _move(transaction, message, "handed_over", now, _worker(message), None, change)
            if moved:
                outbox_rate.take(transaction, spacing, now)
            self._observe("handed_over")
        self._observe("after handed_over")
        return replace(message, state="handed_over", changed_at=now) if moved else None

    def record(self, message: Message, outcome: Outcome, now: datetime, *, again_at: datetime | None = None) -> bool:
        if isinstance(outcome, Unknown):
            return self._move(message, "unknown", now, _worker(message), outcome.reason)
        # The worker may have been given up meanwhile: what it knows for certain counts all the same.
        found: State
        for found in ("handed_over", "unknown"):
            if self._answer(replace(message, state=found), outcome, now, again_at):
                return True
        return False

    def _answer(self, message: Message, outcome: Accepted | Refused, now: datetime, again_at: datetime | None) -> bool:
        if isinstance(outcome, Accepted):
            theirs = _storable(outcome.provider_id)
            return self._move(message, "accepted", now, _worker(message), None, provider_id=theirs)
        with self._ledger.write() as transaction:
            moved = _move(transaction, message, "rejected", now, _worker(message), outcome.reason, {})
            if moved and again_at is not None:
                refused, change = replace(message, state="rejected"), {"due_at": as_text(again_at)}
                _move(transaction, refused, "planned", now, _worker(message), outcome.reason, change)
            self._observe("rejected")
        self._observe("after rejected")
        return moved

    def settle(
        self, message: Message, state: State, reason: str, now: datetime, by: str, provider_id: str | None = None
    ) -> bool:
        change = {"due_at": as_text(now)} if state == "planned" else {}
        return self._move(message, state, now, by, reason, provider_id=provider_id or message.provider_id, **change)

    def cancel(self, function: str, object_id: str, revision: int, reason: str, now: datetime, by: str) -> int:
        """Take back what is planned of an object up to a revision."""
        where = "function = :function AND object_id = :object_id AND revision <= :revision AND state = 'planned'"
        values = {"function": function, "object_id": object_id, "revision": revision}
        return self._move_all(where, values, "cancelled", now, by, reason)

    def keep_only(
        self,
        function: str,
        object_id: str,
        revision: int,
        outlet: str,
        is_kept: Callable[[str], bool],
        now: datetime,
        by: str,
    ) -> Counter[str]:
        """Of people for whom a revision is planned on an outlet: take back whose message is not kept, by its id, and
        plan again whose was taken back so and is kept now. Counts, by state: `cancelled`, `planned`, and `claimed` of
        those not kept that may have left or are about to. Sixteen bytes in memory for each that moves."""
        values = {"function": function, "object_id": object_id, "revision": revision, "outlet": outlet}
        moves: dict[tuple[State, State], bytearray] = {
            ("planned", "cancelled"): bytearray(),
            ("cancelled", "planned"): bytearray(),
        }
        counts: Counter[str] = Counter()
        with self._ledger.read() as transaction:
            for message_id, state in transaction.stream(_OF_PEOPLE, values | {"reason": _TAKEN_OFF}):
                if state not in ("planned", "cancelled"):
                    counts["claimed"] += not is_kept(message_id)
                elif is_kept(message_id) == (state == "cancelled"):
                    moves[state, "planned" if state == "cancelled" else "cancelled"].extend(bytes.fromhex(message_id))
        for (state, to), ids in moves.items():
            for begin in range(0, len(ids), 16 * _BATCH):
                batch = ids[begin : begin + 16 * _BATCH]
                with self._ledger.write() as transaction:
                    for at in range(0, len(batch), 16):
                        where = {"id": batch[at : at + 16].hex(), "state": state}
                        for each in read(transaction, "message_id = :id AND state = :state", where, "", 1):
                            reason = _TAKEN_OFF if to == "cancelled" else "on its list again"
                            counts[to] += _move(transaction, each, to, now, by, reason, {})
        return +counts

    def _move_all(self, where: str, values: Values, to: State, now: datetime, by: str, reason: str) -> int:
        """Some hundred in each transaction: what is taken back is not to leave while the disk is waited for."""
        count = 0
        while True:
            with self._ledger.write() as transaction:
                found = read(transaction, where, values, "", _BATCH)
                for each in found:
                    _move(transaction, each, to, now, by, reason, {})
                if found:
                    self._observe(to)
            if not found:
                return count
            self._observe(f"after {to}")
            count += len(found)

    def _move(
        self, message: Message, to: State, now: datetime, by: str, reason: str | None, **change: str | None
    ) -> bool:
        with self._ledger.write() as transaction:
            moved = _move(transaction, message, to, now, by, reason, change)
            self._observe(to)
        self._observe(f"after {to}")
        return moved


def doubt(transaction: Transaction, backup_of: datetime, now: datetime) -> int:
    """This store comes from a backup: what fell due since may have left, and nobody here knows. In the transaction that
    brings it, for the next one may be a sender's."""
    reason = f"restored from a backup of {backup_of:%Y-%m-%d %H:%M} UTC: it may have left since"
    due, values, count = "state IN ('planned', 'claimed') AND due_at <= :now", {"now": as_text(now)}, 0
    while found := read(transaction, due, values, "", _BATCH):
        for each in found:
            _move(transaction, each, "unknown", now, "restore", reason, {})
        count += len(found)
    return count


_TIMES, _REST = INTENDED[:3], INTENDED[3:]
_OF_A_PLAN = ("message_id", *KEY, *_TIMES, "due_at", *_REST, "payload", "state", "reason", "changed_at", "planned_at",
              "changed_seq", "attempt")  # fmt: skip
_of_key, _rest_of = attrgetter(*KEY), attrgetter(*_REST)
_TAKEN_OFF = "taken off its list"
# After a restore nobody knows what became of those that were promised before: they are not planned again.
_OF_PEOPLE = (
    "SELECT message_id, state FROM outbox_message WHERE function = :function AND object_id = :object_id "
    "AND revision = :revision AND outlet = :outlet AND subject IS NOT NULL "
    f"AND (state IN ({', '.join(repr(state) for state in ('planned', 'claimed', *UNSETTLED))}) "
    "OR (state = 'cancelled' AND reason = :reason "
    "AND planned_for > (SELECT COALESCE(MAX(at), '') FROM outbox_restored)))"
)
_FINAL = ("accepted", "rejected", "skipped", "missed", "cancelled")


def _planned(intention: Intention, restored_at: str | None) -> Row:
    """In the order of `_OF_A_PLAN`, up to the reason. `restored_at`: what was promised up to then may have left
    already."""
    key, planned_for = intention.key, as_text(intention.planned_for)
    times = planned_for, as_text(intention.not_after), as_text(intention.embargo_until), planned_for
    standing: tuple[State, str | None] = ("planned", None)
    if restored_at and intention.planned_for <= datetime.fromisoformat(restored_at):
        standing = ("unknown", "promised before the store was restored: it may have left already")
    payload = _PAYLOADS.encode(intention.payload)
    return (key.message_id, *_of_key(key), *times, *_rest_of(intention), payload, *standing)


def _move(
    transaction: Transaction,
    message: Message,
    to: State,
    now: datetime,
    by: str,
    reason: str | None,
    change: Mapping[str, str | int | None],
) -> bool:
    """False when the message is no longer where it was: another one has moved it."""
    if to not in TRANSITIONS[message.state]:
        raise ValueError(f"a message does not go from {message.state} to {to}")
    tail = outbox_log.tail_of(transaction)
    moment, reason = as_text(now), _storable(reason)
    new = {"reason": reason, **change, "state": to, "changed_at": moment, "changed_seq": tail[0] + 1}
    if to in _FINAL:
        new["settled_at"] = moment
    found = transaction.rows(
        f"UPDATE outbox_message SET {', '.join(f'{name} = :{name}' for name in new)} "
        "WHERE message_id = :message_id AND state = :was AND attempt = :tried RETURNING message_id",
        {**new, "message_id": message.message_id, "was": message.state, "tried": message.attempt},
    )
    if found:
        attempt = int(new.get("attempt") or message.attempt)
        outbox_log.write(transaction, tail, now, message.message_id, message.state, to, attempt, by, reason)
    return bool(found)


def _storable(text: str | None) -> str | None:
    """Others may send what no database keeps: half a character, a NUL. What has left is written down all the same."""
    return text.encode(errors="replace").decode().replace("\0", "?") if text else text


def _worker(message: Message) -> str:
    return message.worker or "nobody"
