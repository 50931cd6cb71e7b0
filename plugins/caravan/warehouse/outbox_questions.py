"""What the outbox is asked: messages as they stand, by the names of questions; nothing is changed here."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any

from caravan.core.outbox import LEFT, UNSETTLED, Content, Intention, Key, Message, Traffic
from caravan.warehouse import outbox_log
from caravan.warehouse.ledger import Ledger, Row, Transaction, Values, as_moment, as_text
from caravan.warehouse.outbox_log import Event

KEY = ("function", "object_id", "revision", "outlet", "target")
INTENDED = ("planned_for", "not_after", "embargo_until", "content_hash", "market_code", "locale", "purpose", "subject",
             "variant")  # fmt: skip
_STANDING = ("state", "attempt", "due_at", "worker", "lease_until", "provider_id", "reason", "changed_at")
COLUMNS = ("message_id", *KEY, *INTENDED, "payload", *_STANDING, "planned_at", "handed_over_at", "settled_at",
           "changed_seq")  # fmt: skip
_TIMES = ("planned_for", "not_after", "embargo_until", "due_at", "lease_until", "changed_at")
_LAST_OF_EACH = """
    WITH RECURSIVE known (outlet) AS (
        SELECT MIN(outlet) FROM outbox_message
        UNION ALL
        SELECT (SELECT MIN(outlet) FROM outbox_message WHERE outlet > known.outlet) FROM known WHERE outlet IS NOT NULL
    )
    SELECT outlet, (SELECT MAX(handed_over_at) FROM outbox_message WHERE outlet = known.outlet)
    FROM known WHERE outlet IS NOT NULL ORDER BY outlet
    """
"""From one outlet to the next in an index: neither engine does so by itself for DISTINCT."""
_COUNTS = ("planned_count", "due_count", "overdue_count", "unknown_count", "undecided_count", "missed_count")
_UNSETTLED_OF_EACH = """
    SELECT outlet,
        SUM(CASE WHEN state IN ('planned', 'claimed') AND due_at > :now THEN 1 ELSE 0 END),
        SUM(CASE WHEN state IN ('planned', 'claimed') AND due_at <= :now AND not_after >= :now THEN 1 ELSE 0 END),
        SUM(CASE WHEN state IN ('planned', 'claimed') AND due_at <= :now AND not_after < :now THEN 1 ELSE 0 END),
        SUM(CASE WHEN state IN ('handed_over', 'unknown') THEN 1 ELSE 0 END),
        SUM(CASE WHEN state = 'operator' THEN 1 ELSE 0 END),
        SUM(CASE WHEN state = 'missed' AND changed_at >= :since THEN 1 ELSE 0 END)
    FROM outbox_message WHERE state IN ('planned', 'claimed', 'handed_over', 'unknown', 'operator', 'missed')
    GROUP BY outlet
    """
_OF_A_REVISION = "function = :function AND object_id = :object_id AND revision = :revision AND outlet = :outlet"
_WAITING = "'planned', 'claimed', 'handed_over', 'unknown'"
"""States out of which something may still be sent, or found to have been."""
MOST = 500
"""Messages given at once, where nobody asks for more."""


class OutboxQuestions:
    """Of a ledger that has the outbox's tables."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def refusals(self, message: Message) -> int:
        return sum(event.to_state == "rejected" for event in self.events(message.message_id))

    def due(self, function: str, outlet: str, until: datetime) -> dict[Content, int]:
        where, values = are_due(function, outlet, until)
        with self._ledger.read() as transaction:
            rows = transaction.rows(
                f"SELECT object_id, revision, content_hash, COUNT(*) FROM outbox_message WHERE {where} "
                "GROUP BY object_id, revision, content_hash ORDER BY object_id, revision, content_hash",
                values,
            )
        return {(row[0], int(row[1]), row[2]): int(row[3]) for row in rows}

    def unsettled(self, function: str, outlet: str, before: datetime, limit: int) -> list[Message]:
        where = "function = :function AND outlet = :outlet AND state = 'unknown' AND changed_at < :before"
        values = {"function": function, "outlet": outlet, "before": as_text(before)}
        with self._ledger.read() as transaction:
            return read(transaction, where, values, "ORDER BY changed_at, message_id", limit)

    def find(
        self,
        *,
        state: str | None = None,
        function: str | None = None,
        object_id: str | None = None,
        limit: int = MOST,
    ) -> list[Message]:
        """Messages of a state, a function and an object, of all where one is not named; the earliest first."""
        given = {"state": state, "function": function, "object_id": object_id}
        values = {name: value for name, value in given.items() if value is not None}
        where = " AND ".join(f"{name} = :{name}" for name in values) or "1 = 1"
        with self._ledger.read() as transaction:
            return read(transaction, where, values, "ORDER BY planned_for, message_id", limit)

    def get(self, message_id: str) -> Message | None:
        return self._one("message_id = :id", {"id": message_id})

    def named(self, begin: str, limit: int = 2) -> list[Message]:
        """Those whose ids begin with these hexadecimal digits."""
        where, values = "message_id >= :begin AND message_id < :end", {"begin": begin, "end": f"{begin}g"}
        with self._ledger.read() as transaction:
            return read(transaction, where, values, "ORDER BY message_id", limit)

    def accepted_before(self, key: Key) -> Message | None:
        """The newest earlier revision of the same for the same target that the other side has a name for."""
        return self._one(
            "function = :function AND object_id = :object_id AND revision < :revision AND outlet = :outlet "
            "AND target = :target AND state = 'accepted' AND provider_id IS NOT NULL",
            vars(key),
            "ORDER BY revision DESC",
        )

    def undecided_before(self, key: Key) -> list[Message]:
        """Earlier revisions of the same for the same target that are on their way, or of which nobody knows."""
        states = ", ".join(f"'{state}'" for state in ("claimed", *UNSETTLED))
        where = (
            f"state IN ({states}) AND function = :function AND outlet = :outlet AND object_id = :object_id "
            "AND target = :target AND revision < :revision"
        )
        with self._ledger.read() as transaction:
            return read(transaction, where, vars(key), "ORDER BY revision", MOST)

    def published_before(self, function: str, object_id: str, revision: int) -> list[Message]:
        """What earlier revisions published for nobody in particular, the earliest first."""
        where = (
            "function = :function AND object_id = :object_id AND revision < :revision AND state = 'accepted' "
            "AND subject IS NULL"
        )
        values = {"function": function, "object_id": object_id, "revision": revision}
        with self._ledger.read() as transaction:
            return read(transaction, where, values, "ORDER BY planned_for, message_id", MOST)

    def people_waiting(self, function: str, object_id: str, revision: int) -> dict[str, int]:
        """By outlet, how many people wait for a revision up to this one."""
        with self._ledger.read() as transaction:
            rows = transaction.rows(
                "SELECT outlet, COUNT(*) FROM outbox_message WHERE function = :function AND object_id = :object_id "
                "AND revision <= :revision AND state = 'planned' AND subject IS NOT NULL "
                "GROUP BY outlet ORDER BY outlet",
                {"function": function, "object_id": object_id, "revision": revision},
            )
        return {row[0]: int(row[1]) for row in rows}

    def of_people(
        self, function: str, object_id: str, revision: int, outlet: str, states: Collection[str]
    ) -> Iterator[str]:
        """Ids of what is for somebody and in one of these states."""
        values = {"function": function, "object_id": object_id, "revision": revision, "outlet": outlet}
        marks = {f"state{place}": state for place, state in enumerate(states)}
        with self._ledger.read() as transaction:
            found = transaction.stream(
                f"SELECT message_id FROM outbox_message WHERE {_OF_A_REVISION} "
                f"AND subject IS NOT NULL AND state IN ({', '.join(f':{name}' for name in marks)})",
                values | marks,
            )
            yield from (row[0] for row in found)

    def is_planned_beyond(
        self, function: str, object_id: str, revision: int, outlet: str, markets: Collection[str]
    ) -> bool:
        """Whether a revision waits on an outlet for people of other markets than these."""
        values: dict[str, str | int] = {"function": function, "object_id": object_id, "revision": revision}
        marks = {f"market{place}": market for place, market in enumerate(sorted(markets))}
        others = f"market_code NOT IN ({', '.join(f':{name}' for name in marks)})" if marks else "1 = 1"
        where = f"{_OF_A_REVISION} AND state = 'planned' AND subject IS NOT NULL AND {others}"
        return self._one(where, values | marks | {"outlet": outlet}) is not None

    def left_since(self, function: str, outlet: str, since: datetime, limit: int) -> list[Message]:
        """What was promised since then and has left, or may have."""
        states = ", ".join(f"'{state}'" for state in LEFT)
        where = f"state IN ({states}) AND function = :function AND outlet = :outlet AND planned_for >= :since"
        values = {"function": function, "outlet": outlet, "since": as_text(since)}
        with self._ledger.read() as transaction:
            return read(transaction, where, values, "ORDER BY planned_for, message_id", limit)

    def overdue(self, now: datetime) -> int:
        """How many are planned still, and too late: nothing has looked at them."""
        with self._ledger.read() as transaction:
            found = transaction.row(
                "SELECT COUNT(*) FROM outbox_message WHERE state = 'planned' AND not_after < :now",
                {"now": as_text(now)},
            )
        return int(found[0]) if found else 0

    def _one(self, where: str, values: Values, order: str = "") -> Message | None:
        with self._ledger.read() as transaction:
            found = read(transaction, where, values, order, 1)
        return found[0] if found else None

    def sent_since(self, outlet: str, since: datetime) -> int:
        """How many were accepted of those that were handed over since then."""
        with self._ledger.read() as transaction:
            found = transaction.row(
                "SELECT COUNT(*) FROM outbox_message WHERE outlet = :outlet AND state = 'accepted' "
                "AND handed_over_at >= :since",
                {"outlet": outlet, "since": as_text(since)},
            )
        return int(found[0]) if found else 0

    def last_at(self, outlet: str, now: datetime) -> datetime | None:
        """When an outlet was handed something last; `now` while a run has something in hand for it."""
        in_hand = "outlet = :outlet AND state IN ('claimed', 'handed_over') AND lease_until > :now"
        if self._one(in_hand, {"outlet": outlet, "now": as_text(now)}) is not None:
            return now
        with self._ledger.read() as transaction:
            last = "SELECT MAX(handed_over_at) FROM outbox_message WHERE outlet = :outlet"
            found = transaction.row(last, {"outlet": outlet})
        return as_moment(found[0]) if found else None

    def is_stuck(self, outlet: str, since: datetime, now: datetime) -> bool:
        """Whether something promised by now waits, and nothing was accepted of what was handed over since then."""
        where = f"outlet = :outlet AND state IN ({_WAITING}) AND planned_for <= :now"
        waits = self._one(where, {"outlet": outlet, "now": as_text(now)}) is not None
        return waits and not self.sent_since(outlet, since)

    def by_provider(self, outlet: str, provider_id: str) -> Message | None:
        """The message that the other side calls so."""
        return self._one("outlet = :outlet AND provider_id = :id", {"outlet": outlet, "id": provider_id})

    def undecided(self, function: str) -> dict[str, int]:
        """By outlet, how many wait for a person to decide."""
        with self._ledger.read() as transaction:
            rows = transaction.rows(
                "SELECT outlet, COUNT(*) FROM outbox_message WHERE function = :function AND state = 'operator' "
                "GROUP BY outlet ORDER BY outlet",
                {"function": function},
            )
        return {row[0]: int(row[1]) for row in rows}

    def missed_since(self, function: str, since: datetime) -> dict[str, int]:
        """By outlet, how many have turned out to be too late since then."""
        with self._ledger.read() as transaction:
            rows = transaction.rows(
                "SELECT outlet, COUNT(*) FROM outbox_message WHERE function = :function AND state = 'missed' "
                "AND changed_at >= :since GROUP BY outlet ORDER BY outlet",
                {"function": function, "since": as_text(since)},
            )
        return {row[0]: int(row[1]) for row in rows}

    def rejected_since(self, function: str, since: datetime) -> dict[str, tuple[int, int]]:
        """By outlet, how many were refused for good since then: pages and posts, and what was for somebody."""
        with self._ledger.read() as transaction:
            rows = transaction.rows(
                "SELECT outlet, COUNT(*) - COUNT(subject), COUNT(subject) FROM outbox_message "
                "WHERE function = :function AND state = 'rejected' AND changed_at >= :since "
                "GROUP BY outlet ORDER BY outlet",
                {"function": function, "since": as_text(since)},
            )
        return {row[0]: (int(row[1]), int(row[2])) for row in rows}

    def waiting(self, function: str, now: datetime, until: datetime) -> list[str]:
        """Outlets for which something is due before `until`, or has to be settled; first those that nobody sends to."""
        of = "SELECT DISTINCT outlet FROM outbox_message WHERE function = :function AND"
        values = {"function": function, "now": as_text(now), "until": as_text(until)}
        with self._ledger.read() as transaction:
            due = transaction.rows(f"{of} ((state = 'planned' AND due_at < :until) OR state = 'unknown')", values)
            busy = transaction.rows(f"{of} state IN ('claimed', 'handed_over') AND lease_until > :now", values)
        return sorted((row[0] for row in due), key=lambda outlet: ((outlet,) in busy, outlet))

    def traffic(self, now: datetime, missed_since: datetime) -> list[Traffic]:
        """How each outlet does; `missed_count` is of what has turned out to be too late since then.

        Reads what has not settled and what was missed, not all that ever left.
        """
        with self._ledger.read() as transaction:
            last = transaction.rows(_LAST_OF_EACH)
            counted = transaction.rows(_UNSETTLED_OF_EACH, {"now": as_text(now), "since": as_text(missed_since)})
        counts = {outlet: dict(zip(_COUNTS, map(int, of_outlet), strict=True)) for outlet, *of_outlet in counted}
        none = dict.fromkeys(_COUNTS, 0)
        return [
            Traffic(outlet=outlet, last_at=as_moment(at), is_stopped=False, **counts.get(outlet, none))
            for outlet, at in last
        ]

    def counts(self) -> list[tuple[str, str, str, int]]:
        """function, outlet, state and how many."""
        with self._ledger.read() as transaction:
            rows = transaction.rows(
                "SELECT function, outlet, state, COUNT(*) FROM outbox_message GROUP BY function, outlet, state "
                "ORDER BY function, outlet, state"
            )
        return [(row[0], row[1], row[2], int(row[3])) for row in rows]

    def changes(self, after: tuple[int, str], limit: int) -> list[dict[str, Any]]:
        """Rows as they stand that changed after a number of the log and a message in it, in that order; for the mirror.

        Of a plan many rows have one number: the message says how far among them.
        """
        with self._ledger.read() as transaction:
            rows = transaction.rows(
                f"SELECT {', '.join(COLUMNS)} FROM outbox_message "
                "WHERE (changed_seq, message_id) > (:seq, :message) "
                "ORDER BY changed_seq, message_id LIMIT :limit",
                {"seq": after[0], "message": after[1], "limit": limit},
            )
        return [dict(zip(COLUMNS, row, strict=True)) for row in rows]

    def logged_at(self, seq: int) -> str | None:
        """When the log got this number; None while it has not."""
        with self._ledger.read() as transaction:
            found = transaction.row("SELECT at FROM outbox_event WHERE seq = :seq", {"seq": seq})
        return found[0] if found else None

    def events(self, message_id: str) -> list[Event]:
        """What became of a message, in order."""
        return outbox_log.events_of(self._ledger, message_id)

    def verify(self) -> int | None:
        """The first number of the log that was changed, taken out or put in; None when it is whole."""
        return outbox_log.first_wrong(self._ledger)


def are_due(
    function: str, outlet: str, until: datetime, held: Collection[Content] = ()
) -> tuple[str, dict[str, str | int | None]]:
    """Condition and its values: planned, due before `until`, and nothing of what is held."""
    where = "function = :function AND outlet = :outlet AND state = 'planned' AND due_at < :until"
    values: dict[str, str | int | None] = {"function": function, "outlet": outlet, "until": as_text(until)}
    marks = []
    for place, (object_id, revision, content_hash) in enumerate(held):
        values |= {f"object{place}": object_id, f"revision{place}": revision, f"content{place}": content_hash}
        marks.append(f"(:object{place}, :revision{place}, :content{place})")
    if marks:
        where += f" AND (object_id, revision, content_hash) NOT IN (VALUES {', '.join(marks)})"
    return where, values


def read(transaction: Transaction, where: str, values: Values, order: str, limit: int) -> list[Message]:
    rows = transaction.rows(
        f"SELECT {', '.join(COLUMNS)} FROM outbox_message WHERE {where} {order} LIMIT :limit",
        {**values, "limit": limit},
    )
    return [_message(row) for row in rows]


def _message(row: Row) -> Message:
    given = dict(zip(COLUMNS, row, strict=True))
    given |= {name: as_moment(given[name]) for name in _TIMES}
    intention = Intention(
        Key(**{name: given[name] for name in KEY}),
        **{name: given[name] for name in INTENDED},
        payload=json.loads(given["payload"]),
    )
    return Message(intention, **{name: given[name] for name in _STANDING})
