"""Search data of every site, day by day: the steps of site_search_daily as plain functions."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from caravan.config.search import SearchConsoleSource, SearchSites
from caravan.core.errors import CaravanError, Fault, Misconfigured, Rejected, nearest, run_incomplete, stop_of
from caravan.core.protocols import Layer, LoadCounts
from caravan.core.scope import RunScope
from caravan.core.search import (
    ENTITY,
    HISTORY,
    PACIFIC,
    DayTotal,
    SearchSource,
    SearchStore,
    channel_of,
    covered,
    ended_at,
    local_date,
)
from caravan.core.window import DayRange, merge

log = logging.getLogger(__name__)

FUNCTION = "site"
SEARCH_TYPE = "web"
_COUNTED = ("received", "loaded", "unchanged", "duplicate", "deleted")
_DAY = timedelta(days=1)
_NEVER = datetime(1, 1, 1)
Clock = Callable[[], datetime]
"""UTC now, without zone."""


def local_days(scope: RunScope) -> DayRange:
    """Every whole Pacific day that the window touches, and every UTC day."""
    return scope.window.local_days([ZoneInfo(PACIFIC)])


def choose_sites(scope: RunScope, sites: SearchSites) -> list[str]:
    """Codes of the sites asked for. Misconfigured names every unknown or disabled one."""
    disabled = {fault.channel for fault in sites.faults}
    faults = [
        Fault(
            f"channels: {code}",
            "is disabled by a fault in its file"
            if code in disabled
            else f"no site of this name has search data{nearest(code, sites.sources)}",
        )
        for code in scope.channels
        if code not in sites.sources
    ]
    if faults:
        raise Misconfigured(faults)
    return [code for code in sorted(sites.sources) if not scope.channels or code in scope.channels]


def list_sites(scope: RunScope, sites: SearchSites, config_hash: str, store: SearchStore) -> list[str]:
    """Open the run, and say which sites to collect."""
    chosen = choose_sites(scope, sites)
    for fault in sites.faults:
        log.error("site disabled: %s", fault)
    log.info("window %s, local days %s, sites %s", scope.window, local_days(scope), chosen)
    if not scope.dry_run:
        store.start_run(scope.run_id, scope.window, config_hash)
    return chosen


def days_to_ask(
    window: DayRange, source: SearchConsoleSource, last_read: Mapping[date, datetime], now: datetime
) -> list[date]:
    """The window's days, the newest ones, those read before their numbers had settled, and those that no run has asked
    for between the newest day read and the window. Read longest ago first: a run that a quota ends goes on from there
    when it is tried again. `now`: UTC without zone.

    No day that has not ended, and none that the source no longer keeps.
    """
    newest = local_date(now) - _DAY
    changes_for = timedelta(days=source.settle_days + source.restate_days)
    wanted = set(window.days())
    wanted |= {newest - number * _DAY for number in range(changes_for.days)}
    wanted |= {day for day, read_at in last_read.items() if read_at < ended_at(day) + changes_for}
    if last_read and (after := max(last_read) + _DAY) < window.first:
        wanted |= set(DayRange(after, window.first).days())
    return sorted(
        (day for day in wanted if newest - HISTORY <= day <= newest),
        key=lambda day: (last_read.get(day, _NEVER), day),
    )


def collect(
    scope: RunScope,
    site: str,
    source: SearchConsoleSource,
    search: SearchSource,
    store: SearchStore,
    clock: Clock,
) -> dict[str, int]:
    """Load every day that is due, each in one transaction: all of it, or nothing.

    One refused day does not keep the others back; Rejected names all refused ones at the end. What a quota leaves
    undone stays due. Of a day without data nothing is loaded and nothing is taken back: it may be late, and it may be
    that there was none.
    """
    channel = channel_of(site)
    totals = dict.fromkeys(("days", *_COUNTED, "without data", "refused"), 0)
    last_read = {date.fromisoformat(name): read_at for name, read_at in store.last_read(channel, ENTITY).items()}
    asked = days_to_ask(local_days(scope), source, last_read, clock())
    if scope.dry_run:
        log.info("%s: would ask for %s", channel, ", ".join(map(str, merge(asked))) or "no day")
        return totals
    store.retry(scope.run_id, channel)
    refused: list[Rejected] = []
    with _failure_noted(scope, channel, store, clock):
        there = _available(asked, search)
        for day in asked:
            if day not in there:
                continue
            try:
                counts = _read(scope, site, day, there[day], search, store, clock)
            except Rejected as error:
                log.error("%s %s refused: %s", channel, day, error)
                store.refuse(scope.run_id, channel, ENTITY, str(day), error, clock())
                refused.append(Rejected(error.code, f"{day}: {error.message}"))
                continue
            totals["days"] += 1
            for word in _COUNTED if counts else ():
                totals[word] += getattr(counts, f"{word}_count")
    store.note_read(scope.run_id, channel, ENTITY, clock())
    _tell_absent(channel, [day for day in asked if day not in there], last_read)
    totals["without data"], totals["refused"] = len(asked) - len(there), len(refused)
    log.info("%s: %s", channel, ", ".join(f"{count} {word}" for word, count in totals.items() if count))
    if refused:
        lines = "\n".join(f"  - {error}" for error in refused)
        raise Rejected("DAYS_REFUSED", f"{channel}: {len(refused)} refused\n{lines}")
    return totals


def _available(asked: Collection[date], search: SearchSource) -> dict[date, DayTotal]:
    """Of the days asked for, those that have data."""
    found: dict[date, DayTotal] = {}
    for span in merge(asked):
        found |= search.days(span)
    return {day: found[day] for day in asked if day in found}


def _read(
    scope: RunScope,
    site: str,
    day: date,
    total: DayTotal,
    search: SearchSource,
    store: SearchStore,
    clock: Clock,
) -> LoadCounts | None:
    asked_at = clock()
    with search.day(day, total, asked_at) as found:
        return store.load(
            scope.run_id,
            uuid.uuid4().hex,
            channel_of(site),
            ENTITY,
            found,
            found,
            complete=True,
            # Restated numbers take back as many rows as they like; the totals say whether anything is lost.
            max_deleted_share=Decimal(1),
            started_at=asked_at,
            covers=covered(site, SEARCH_TYPE, day),
        )


def _tell_absent(channel: str, absent: Sequence[date], last_read: Collection[date]) -> None:
    if absent:
        log.info("%s: no data yet, or none at all, of %s", channel, ", ".join(map(str, merge(absent))))
    if gone := [str(day) for day in absent if day in last_read]:
        log.warning("%s: the source has no data any more of %s: the rows stay", channel, ", ".join(gone))


@contextmanager
def _failure_noted(scope: RunScope, channel: str, store: SearchStore, clock: Clock) -> Iterator[None]:
    """Put on record that the source could not be read. Raises whatever ended the reading."""
    try:
        yield
    except BaseException as error:
        if stop_of(error) is not None:
            raise
        message = str(error) if isinstance(error, CaravanError) else type(error).__name__
        try:
            store.note_failed(scope.run_id, channel, ENTITY, clock(), message)
        except Exception as problem:  # what ended the reading is what has to be known
            log.warning("%s: its failure cannot be recorded: %s", channel, problem)
        raise


def build(scope: RunScope, store: SearchStore) -> dict[str, int]:
    """Staged rows and facts, for the window's local days and whatever was loaded or taken back."""
    layers: tuple[Layer, ...] = ("stg", "fct")
    if scope.dry_run:
        for model, ranges in store.pending(FUNCTION, layers, local_days(scope)).items():
            log.info("would build %s: %s", model, ", ".join(ranges))
        return {}
    return {built.model: built.row_count for built in store.build(scope.run_id, FUNCTION, layers, local_days(scope))}


def verdict(scope: RunScope, sites: SearchSites, store: SearchStore, failed_tasks: Sequence[str] = ()) -> None:
    """Close the run; Rejected names everything that failed. `failed_tasks`: steps that ended in an error."""
    if scope.dry_run:
        return
    failures = [f"task {name}: its log says why" for name in failed_tasks]
    failures += [f"site disabled: {fault}" for fault in sites.faults]
    failures += store.failures(scope.run_id)
    standing = [f"still blocked: {line}" for line in store.standing_blocks(scope.run_id, FUNCTION)]
    for line in standing:
        log.warning("%s", line)
    store.end_run(scope.run_id, "failed" if failures else "success", "\n".join([*failures, *standing]))
    if failures:
        raise run_incomplete(failures)
