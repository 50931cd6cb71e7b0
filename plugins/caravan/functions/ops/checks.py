"""What the watch finds wrong, from what it is shown. Pure; times are UTC without zone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from caravan.config.alerts import Alerts, Staleness
from caravan.core.errors import Fault
from caravan.core.incidents import Due, Incident, Sighting
from caravan.functions.ops.incidents import severity_of
from caravan.functions.ops.messages import tidy

WEEKS = 4
"""A source is expected on a weekday on which it delivered in each of so many weeks."""
HISTORY = timedelta(days=7 * WEEKS + 7)


def stale_sources(
    last_loads: Mapping[str, datetime],
    newest_days: Mapping[tuple[str, str], date],
    channels: Iterable[str],
    limits: Staleness,
    now: datetime,
) -> list[Sighting]:
    """Channels whose last delivery with rows, and markets whose newest business day with an order, is too old.

    `last_loads`: by channel. `newest_days`: by channel and market. What never delivered is not expected to.
    """
    found = []
    for source, hours in sorted(limits.sources.items()):
        if source in last_loads and now - last_loads[source] > timedelta(hours=hours):
            found.append(Sighting("stale", "warning", f"source {source}", _no_news(last_loads[source], hours)))
    for channel in sorted(channels):
        limit = limits.of(channel)
        last = last_loads.get(channel)
        if last is not None and now - last > limit:
            what = _no_news(last, limit // timedelta(hours=1))
            found.append(Sighting("stale", "warning", f"channel {channel}", what, channel_code=channel))
        for market, market_hours in sorted(limits.markets.get(channel, {}).items()):
            day = newest_days.get((channel, market))
            if day is not None and now - _end_of(day) > timedelta(hours=market_hours):
                what = f"The newest order is of {day}; one is expected every {market_hours} hours."
                subject = f"channel {channel}, market {market}"
                found.append(Sighting("stale", "warning", subject, what, channel_code=channel, market_code=market))
    return found


def is_expected(rows: Mapping[date, int], day: date) -> bool:
    """Whether rows are normal on that weekday: there were some on it in each of the last weeks."""
    return all(rows.get(day - timedelta(weeks=week), 0) > 0 for week in range(1, WEEKS + 1))


def silent_sources(
    loaded: Mapping[str, Mapping[date, int]], channels: Iterable[str], day: date | None
) -> list[Sighting]:
    """Channels that delivered nothing on `day`, the day of the last run, though they normally do.

    `loaded`: rows received, by channel and UTC day of loading. `day` is None while nothing has run.
    """
    if day is None:
        return []
    return [
        Sighting(
            "zero_rows",
            "warning",
            f"channel {channel}",
            f"Nothing came on {day:%A} {day}; on each of the last {WEEKS} {day:%A}s something did.",
            channel_code=channel,
        )
        for channel in sorted(channels)
        if is_expected(loaded.get(channel, {}), day) and not loaded[channel].get(day)
    ]


def silent_markets(
    orders: Mapping[tuple[str, str], Mapping[date, int]],
    delivered: Mapping[str, datetime],
    channels: Iterable[str],
) -> list[Sighting]:
    """Markets without one order on the last day that their channel has delivered whole, though they normally have some.

    `orders`: by channel, market and business day. `delivered`: when each channel's newest delivery was written. That
    day's business may end up to a day later than UTC's, so the day before it is judged.
    """
    wanted = set(channels)
    found = []
    for (channel, market), days in sorted(orders.items()):
        if channel not in wanted or channel not in delivered:
            continue
        day = delivered[channel].date() - timedelta(days=2)
        if is_expected(days, day) and not days.get(day):
            what = f"No order of {day:%A} {day}; on each of the last {WEEKS} {day:%A}s there were some."
            subject = f"channel {channel}, market {market}"
            found.append(Sighting("zero_rows", "warning", subject, what, channel_code=channel, market_code=market))
    return found


def has_delivered_again(
    incident: Incident,
    last_loads: Mapping[str, datetime],
    orders: Mapping[tuple[str, str], Mapping[date, int]],
    channels: Collection[str],
) -> bool:
    """Whether a `zero_rows` is over: rows have come since it opened, or the channel is switched off.

    That nothing is expected on another weekday, or after weeks of silence, does not mean that something has come.
    """
    channel, market = incident.sighting.channel_code or "", incident.sighting.market_code
    if channel not in channels:
        return True
    if market is None:
        return channel in last_loads and last_loads[channel] > incident.opened_at
    silent = incident.opened_at.date() - timedelta(days=2)  # as in `silent_markets`
    return any(count > 0 and day >= silent for day, count in orders.get((channel, market), {}).items())


@dataclass(frozen=True)
class Run:
    """A row of ops.run."""

    dag_id: str
    run_id: str
    start: datetime | None
    end: datetime | None
    started_at: datetime
    ended_at: datetime | None
    state: str | None = None

    def serves(self, due: Due) -> bool:
        """Whether this run does what was due, or more."""
        if due.start is None or due.end is None:
            return self.started_at >= due.due_at
        if self.start is None or self.end is None:
            return False
        return self.start <= due.start and self.end >= due.end


def late_runs(dues: Iterable[Due], runs: Sequence[Run], alerts: Alerts) -> list[Sighting]:
    """Runs that should be over and are not. A DAG that the scheduler has not run before is not expected to."""
    found = []
    for due in dues:
        own = [run for run in runs if run.dag_id == due.dag_id]
        by_schedule = [run for run in own if run.run_id.startswith(("scheduled__", "asset_triggered__"))]
        if not any(run.started_at < due.due_at for run in by_schedule):
            continue
        serving = [run for run in own if run.serves(due)]
        if any(run.ended_at for run in serving):
            continue
        minutes = alerts.deadline(due.tier) // timedelta(minutes=1)
        what = f"The run that was due at {_shown(due.due_at)} was to be over {minutes} minutes later."
        running = [run for run in serving or own if run.ended_at is None]
        if running:
            newest = max(running, key=lambda run: run.started_at)
            what += f" {newest.run_id} has been running since {_shown(newest.started_at)}, or was killed."
        else:
            what += " It has not begun: is the DAG paused, or gone?"
        found.append(Sighting("run_late", severity_of(due.tier), "run", what, dag_id=due.dag_id))
    return found


def given_up(due: Due, runs: Iterable[Run]) -> str | None:
    """What to say of a missed window that no run will do by itself, once a later one has succeeded; else None."""
    if due.catchup or due.start is None or due.end is None:
        return None
    for run in runs:
        if run.dag_id == due.dag_id and run.state == "success" and run.start is not None and run.start >= due.end:
            days = f"--from {due.start:%Y-%m-%d} --to {due.end:%Y-%m-%d}"
            return (
                f"A later run has succeeded ({run.run_id}). Nothing makes up for the missed one by itself: "
                f"`./caravan run {due.dag_id} {days}` does."
            )
    return None


def broken_dags(errors: Mapping[str, str]) -> list[Sighting]:
    """`errors`: a DAG's file to what was raised when it was read."""
    return [
        Sighting("dag_broken", "critical", f"file {name}", f"The file cannot be read: {tidy(_last_line(error))}")
        for name, error in sorted(errors.items())
    ]


def faulty_configuration(faults: Sequence[Fault]) -> list[Sighting]:
    """One incident for each channel with faults, one for everything else."""
    groups: dict[str | None, list[Fault]] = {}
    for fault in faults:
        groups.setdefault(fault.channel, []).append(fault)
    return [
        Sighting(
            "config_fault",
            "warning" if channel else "critical",
            f"channel {channel}" if channel else "configuration",
            ("This channel is left out: " if channel else "It has to be mended: ") + "; ".join(map(str, group)),
            channel_code=channel,
        )
        for channel, group in groups.items()
    ]


@dataclass(frozen=True)
class Blocked:
    """A part (a channel or a market) of which slices keep their last good rows, because a check failed."""

    part: str
    models: tuple[str, ...]
    first: date | None
    last: date | None
    reason: str


def failed_checks(blocked: Iterable[Blocked]) -> list[Sighting]:
    return [
        Sighting(
            "check_failed",
            "warning",
            each.part or "all parts",
            f"{', '.join(each.models)} keep the last good rows of {each.first} to {each.last}: {each.reason}",
        )
        for each in blocked
    ]


def low_disks(disks: Mapping[str, tuple[int, int]], limit_pct: int) -> list[Sighting]:
    """`disks`: a folder to the used and all usable bytes of its disk."""
    found = []
    for folder, (used, total) in sorted(disks.items()):
        if total and used * 100 >= limit_pct * total:
            free_gb = (total - used) / 1e9
            what = f"{100 * used / total:.1f} % are used, {free_gb:.1f} GB are free; the limit is {limit_pct} %."
            found.append(Sighting("disk_low", "critical", f"disk of {folder}", what))
    return found


@dataclass(frozen=True)
class Reading:
    """What another clock said, between two looks at ours."""

    name: str
    theirs: datetime
    before: datetime
    after: datetime

    @property
    def ahead(self) -> timedelta:
        """How far our clock is ahead of it; 0 while the two looks do not tell."""
        if self.theirs < self.before:
            return self.before - self.theirs
        return min(timedelta(0), self.after - self.theirs)


def wrong_clock(
    readings: Iterable[Reading], newest_record: datetime | None, now: datetime, limit_seconds: int
) -> list[Sighting]:
    """Our clock against others (a `Date` header has whole seconds), and against what we wrote down before."""
    limit = timedelta(seconds=limit_seconds)
    told = [
        f"it is {_span(abs(reading.ahead))} {'ahead of' if reading.ahead > timedelta(0) else 'behind'} {reading.name}"
        for reading in readings
        if abs(reading.ahead) > limit
    ]
    if newest_record is not None and newest_record - now > limit:
        ahead = _span(newest_record - now)
        told.append(f"the warehouse's newest record is {ahead} in the future: it was set back, or ran ahead")
    if not told:
        return []
    return [Sighting("clock_off", "critical", "clock", f"This machine's clock is wrong: {'; '.join(told)}.")]


def _end_of(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time.min)


def _no_news(last: datetime, hours: int) -> str:
    return f"Nothing with rows has come since {_shown(last)}; something is expected every {hours} hours."


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _span(length: timedelta) -> str:
    seconds = int(length.total_seconds())
    return f"{seconds // 60} min {seconds % 60} s"


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1]
