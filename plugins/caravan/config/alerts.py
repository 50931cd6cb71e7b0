"""include/config/alerts.yml: who is told, and what counts as late, stale or full.

Read apart from everything else: a fault in some other file must not keep its alert from being sent.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from caravan.config.document import Document, read
from caravan.config.frozen import Frozen
from caravan.config.validation import validate
from caravan.core.errors import Fault, Misconfigured, in_order, nearest
from caravan.core.incidents import Severity, Sighting

FILE = "alerts.yml"
Tier = Literal["tier:1", "tier:2", "tier:3"]
Minutes = Annotated[int, Field(ge=1, le=43_200)]
Hours = Annotated[int, Field(ge=1, le=8_784)]


class Target(Frozen):
    """Somebody, or something, that is told. `connection`: where and with which password (docs/connections.md)."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
    kind: Literal["smtp", "webhook"]
    connection: Annotated[str, Field(min_length=1)]
    sender: Annotated[str | None, Field(pattern=r"^[^@\s]+@[^@\s]+$")] = None
    to: tuple[Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")], ...] = ()
    severities: Annotated[tuple[Severity, ...], Field(min_length=1)] = ("critical", "warning")

    def wants(self, sighting: Sighting) -> bool:
        """Of its severity, and not that this target itself is down."""
        return sighting.severity in self.severities and sighting.subject != target_subject(self.name)


def target_subject(name: str) -> str:
    return f"target {name}"


class Staleness(Frozen):
    """Hours without news after which a source, or one of its markets, is stale."""

    default: Hours = 48
    """Since the last delivery with rows of a channel that `channels` does not name."""
    channels: dict[str, Hours] = {}
    sources: dict[str, Hours] = {}
    """What is no channel, by its code in ops.load: exchange rates."""
    markets: dict[str, dict[str, Hours]] = {}
    """Channel to market to hours since the end of the newest business day with an order there."""

    def of(self, channel: str) -> timedelta:
        return timedelta(hours=self.channels.get(channel, self.default))


class Heartbeat(Frozen):
    """`connection`: a URL that is asked at each beat, for somebody outside to miss. The file is written always."""

    connection: str | None = None


class Disk(Frozen):
    used_pct: Annotated[int, Field(ge=1, le=100)] = 90


class Clock(Frozen):
    """`connection`: a URL whose `Date` header says what time it is outside."""

    connection: str | None = None
    limit_seconds: Annotated[int, Field(ge=5, le=86_400)] = 120


class Alerts(Frozen):
    targets: tuple[Target, ...] = ()
    deadline_minutes: dict[Tier, Minutes] = {}
    """Minutes after a run was due by which it must have ended."""
    stale_after_hours: Staleness = Staleness()
    heartbeat: Heartbeat = Heartbeat()
    disk: Disk = Disk()
    clock: Clock = Clock()

    def deadline(self, tier: int) -> timedelta:
        names: dict[int, Tier] = {1: "tier:1", 2: "tier:2", 3: "tier:3"}
        return timedelta(minutes=self.deadline_minutes.get(names[tier], _DEADLINES[tier]))


_DEADLINES = {1: 180, 2: 360, 3: 1440}


def load_alerts(config_dir: Path) -> Alerts:
    """Raises Misconfigured with every fault of the file. No file: nobody is told, the limits are the defaults."""
    alerts, faults = read_alerts(config_dir)
    if alerts is None or faults:
        raise Misconfigured(faults)
    return alerts


def read_alerts(config_dir: Path) -> tuple[Alerts | None, list[Fault]]:
    alerts, faults = usable_alerts(config_dir)
    return (None if faults else alerts), faults


def usable_alerts(config_dir: Path) -> tuple[Alerts, list[Fault]]:
    """What is sound, target by target and section by section, and every fault.

    A channel's file that is gone, or a wrong limit, must not keep people from being told.
    """
    path = config_dir / FILE
    if not path.exists():
        return Alerts(), []
    document, faults = read(path, FILE)
    if document is None:
        return Alerts(), faults
    _, more = validate(document, Alerts)
    wrong = _wrong_targets(document)
    faults = [*faults, *more, *(fault for _, fault in wrong)]
    faults += _unknown_names(document, _names(config_dir, "channels"), _names(config_dir, "markets"))
    data = {name: value for name, value in document.data.items() if _fits({name: value})}
    targets = document.value("targets")
    if isinstance(targets, list):
        left_out = {index for index, _ in wrong}
        data["targets"] = [
            target for index, target in enumerate(targets) if index not in left_out and _fits({"targets": [target]})
        ]
    return Alerts.model_validate(data), in_order(faults)


def _fits(data: dict[str, Any]) -> bool:
    try:
        Alerts.model_validate(data)
    except ValidationError:
        return False
    return True


def _names(config_dir: Path, folder: str) -> set[str]:
    """Codes by the names of their files: one with a fault inside is still a channel."""
    there = config_dir / folder
    return {Path(name).stem for name in os.listdir(there) if name.endswith(".yml")} if there.is_dir() else set()


def _wrong_targets(document: Document) -> list[tuple[int, Fault]]:
    """Targets, by their place in the list, that cannot be told as they are written."""
    faults: list[tuple[int, Fault]] = []
    targets = document.value("targets")
    names: set[str] = set()
    for index in range(len(targets) if isinstance(targets, list) else 0):
        name, kind = document.text("targets", index, "name"), document.text("targets", index, "kind")
        if name is not None and name in names:
            message = f"another target is called '{name}' already"
            faults.append((index, document.fault(("targets", index, "name"), message)))
        names.add(name or "")
        given = document.mapping("targets", index)
        for field in ("sender", "to"):
            if kind == "smtp" and not given.get(field):
                faults.append((index, document.fault(("targets", index), f"a target of kind smtp needs `{field}`")))
            if kind == "webhook" and field in given:
                message = "is for mail; a webhook's address is in its connection"
                faults.append((index, document.fault(("targets", index, field), message)))
    return faults


def _unknown_names(document: Document, channels: Collection[str], markets: Collection[str]) -> list[Fault]:
    """Limits for channels and markets that there are not."""
    faults: list[Fault] = []
    for section in ("channels", "markets"):
        for channel in document.mapping("stale_after_hours", section):
            if channel not in channels:
                message = f"there is no channel '{channel}'{nearest(channel, channels)}"
                faults.append(document.fault(("stale_after_hours", section, channel), message))
    for channel in document.mapping("stale_after_hours", "markets"):
        for market in document.mapping("stale_after_hours", "markets", channel):
            known = {name.upper() for name in markets}
            if market not in known:
                message = f"there is no market '{market}'{nearest(market, known)}"
                faults.append(document.fault(("stale_after_hours", "markets", channel, market), message))
    return faults
