"""ops.incident and ops.incident_message: the record of what is wrong and who has been told."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from caravan.core.incidents import Changes, Incident, Message, MessageState, Openings, Sighting
from caravan.warehouse.evidence import insert
from caravan.warehouse.port import Session, Warehouse

Decide = Callable[[Sequence[Incident], Openings], Changes]

_SIGHTING = (
    "kind",
    "severity",
    "subject",
    "what",
    "dag_id",
    "task_id",
    "channel_code",
    "market_code",
    "run_id",
    "link",
)
_COLUMNS = (*_SIGHTING, "incident_id", "opened_at", "last_seen_at", "seen_count", "closed_at")


class IncidentBook:
    """Reads without the write lock, and takes it only when there is something to write."""

    def __init__(self, warehouse: Warehouse, clock: Callable[[], datetime]) -> None:
        self._warehouse = warehouse
        self._clock = clock

    def open_incidents(self) -> list[Incident]:
        """Oldest first."""
        with self._warehouse.read() as session:
            return _open(session)

    def change(self, decide: Decide) -> Changes:
        """Apply what `decide` makes of the open incidents, and of the targets that have an opening message.

        It is asked again under the lock: of two that see one thing at once, the second one counts.
        """
        with self._warehouse.read() as session:
            if not decide(_open(session), _told(session)):
                return Changes()
        with self._warehouse.write() as session:
            changes = decide(_open(session), _told(session))
            self._apply(session, changes)
        return changes

    def _apply(self, session: Session, changes: Changes) -> None:
        for incident in changes.opened:
            insert(session, "ops.incident", {"incident_key": incident.key, **_row(incident)})
        for incident in (*changes.seen, *changes.closed):
            marks = ", ".join(f"{name} = ${name}" for name in _COLUMNS if name != "incident_id")
            session.execute(f"UPDATE ops.incident SET {marks} WHERE incident_id = $incident_id", _row(incident))
        for message in changes.messages:
            values = {**asdict(message), "created_at": self._clock()}
            if message.state == "sent":
                values["sent_at"] = self._clock()
            insert(session, "ops.incident_message", values)

    def claim(self, abandoned_after: timedelta, skip: Collection[str] = ()) -> list[tuple[Message, Incident]]:
        """Take the messages that nobody is sending: pending ones, and those whose sender has died, oldest first.

        Not those for the targets of `skip`.

        A sender that dies between delivery and `settle` leaves a message that is sent once more.
        """
        now = self._clock()
        values: dict[str, Any] = {"since": now - abandoned_after}
        waiting = "(m.state = 'pending' OR (m.state = 'sending' AND m.claimed_at < $since))"
        for number, name in enumerate(sorted(skip)):
            values[f"skip{number}"] = name
            waiting += f" AND m.target <> $skip{number}"
        with self._warehouse.read() as session:
            if not session.rows(f"SELECT 1 FROM ops.incident_message AS m WHERE {waiting} LIMIT 1", values):
                return []
        names = ", ".join(f"i.{name}" for name in _COLUMNS)
        with self._warehouse.write() as session:
            found = session.rows(
                f"SELECT m.phase, m.target, m.attempt_count, {names} FROM ops.incident_message AS m "
                f"JOIN ops.incident AS i ON i.incident_id = m.incident_id WHERE {waiting} "
                "ORDER BY m.created_at, i.incident_id, m.phase DESC, m.target",
                values,
            )
            session.execute(
                "UPDATE ops.incident_message AS m SET state = 'sending', claimed_at = $now, "
                f"attempt_count = attempt_count + 1 WHERE {waiting}",
                {"now": now, **values},
            )
        claimed = []
        for phase, target, attempts, *row in found:
            incident = _incident(row)
            claimed.append((Message(incident.incident_id, phase, target, "sending", attempts + 1), incident))
        return claimed

    def settle(self, message: Message, state: MessageState, error: str | None = None) -> None:
        """Note what became of a claimed message."""
        with self._warehouse.write() as session:
            session.execute(
                "UPDATE ops.incident_message SET state = $state, error = $error, sent_at = $sent_at "
                "WHERE incident_id = $incident AND phase = $phase AND target = $target",
                {
                    "state": state,
                    "error": error,
                    "sent_at": self._clock() if state == "sent" else None,
                    "incident": message.incident_id,
                    "phase": message.phase,
                    "target": message.target,
                },
            )


def _open(session: Session) -> list[Incident]:
    rows = session.rows(
        f"SELECT {', '.join(_COLUMNS)} FROM ops.incident WHERE closed_at IS NULL ORDER BY opened_at, incident_id"
    )
    return [_incident(row) for row in rows]


def _told(session: Session) -> dict[str, dict[str, MessageState]]:
    told: dict[str, dict[str, MessageState]] = {}
    for identity, target, state in session.rows(
        "SELECT m.incident_id, m.target, m.state FROM ops.incident_message AS m JOIN ops.incident AS i "
        "ON i.incident_id = m.incident_id WHERE i.closed_at IS NULL AND m.phase = 'opened'"
    ):
        told.setdefault(identity, {})[target] = state
    return told


def _row(incident: Incident) -> dict[str, Any]:
    values = {name: getattr(incident.sighting, name) for name in _SIGHTING}
    return values | {name: getattr(incident, name) for name in _COLUMNS if name not in _SIGHTING}


def _incident(row: Sequence[Any]) -> Incident:
    values = dict(zip(_COLUMNS, row, strict=True))
    sighting = Sighting(**{name: values.pop(name) for name in _SIGHTING})
    return Incident(sighting=sighting, **values)
