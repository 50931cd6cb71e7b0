"""Exchange rates of every source into one table: the steps of markets_rates_daily as plain functions."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from caravan.config.types import Configuration
from caravan.core.errors import Rejected, Retryable, run_incomplete
from caravan.core.money import ended_currencies
from caravan.core.protocols import D, Delivery, LoadCounts, Parsed
from caravan.core.rates import (
    ENTITY,
    EURO,
    MEASURE_DAYS,
    BadRate,
    Bundle,
    Judged,
    KnownRate,
    Limits,
    Rate,
    RateInbox,
    RateStore,
    Reading,
    channel_of,
    judge,
)

log = logging.getLogger(__name__)

_COUNTED = ("received", "loaded", "unchanged", "duplicate", "quarantined")
Clock = Callable[[], datetime]
"""UTC now, without zone."""
FORGOTTEN_AFTER = timedelta(days=60)
"""A currency without a rate for so long is one that nobody keeps up any more: no warning each night."""


def limits(configuration: Configuration) -> Limits:
    fx = configuration.project.fx
    return Limits(fx.max_carry_days, fx.max_daily_change)


def load_bundle(run_id: str, bundle: Bundle, store: RateStore, clock: Clock) -> bool:
    """The bundled rates, once for each release, and the currencies that ended. False if the rates are known.

    Bundled rates are pinned by the lock and are not judged: real leaps, like the rouble's of 2014, are in them.
    """
    ended = [
        {"currency_code": each.code, "ended_date": str(each.ended_on), "successor_code": each.successor}
        for each in ended_currencies().values()
    ]
    store.put_reference("raw.config__ended_currency", ended, ("currency_code",), run_id)
    channel = channel_of("bundled")
    if bundle.content_hash in store.known_content(channel, ENTITY):
        return False
    now = clock()
    delivery = _Bundled(bundle.name, bundle.content_hash, now)
    return _load(run_id, channel, delivery, bundle.parse(), store, now, restates=()) is not None


def collect(
    run_id: str,
    inbox: RateInbox[D],
    store: RateStore,
    limits: Limits,
    clock: Clock,
    *,
    reload: bool = False,
) -> dict[str, int]:
    """Load every delivery that is new or was changed, oldest first. `reload`: also those read before.

    One refused file does not keep the others back; Rejected names all refused ones at the end. A fetch that fails is
    told, and is no failure: the rates we have are carried until the next one.
    """
    channel = channel_of(inbox.source)
    totals = dict.fromkeys(("deliveries", *_COUNTED, "refused"), 0)
    store.retry(run_id, channel)
    try:
        deliveries = inbox.deliveries()
    except (Retryable, Rejected) as error:
        log.warning("%s: %s", channel, error)
        store.note_missing(run_id, channel, ENTITY, clock(), str(error))
        return totals
    waiting = inbox.waiting()
    for name, reason in waiting.items():
        log.warning("%s: %s is left for later: %s", channel, name, reason)
        store.note_missing(run_id, channel, ENTITY, clock(), f"{name} is left for later: {reason}")
    present = {*waiting, *(delivery.name for delivery in deliveries)}
    known = store.newest_contents(channel, ENTITY)
    refused: list[str] = []
    for delivery in deliveries:
        # A file that was renamed stands for what it was read as before, and renamed back it stands for that again.
        others = present - {delivery.name}
        names = [name for name, content in known.items() if content == delivery.content_hash and name not in others]
        if names[-1:] == [delivery.name] and not reload:
            continue
        restates = [delivery.name, *(name for name in names if name != delivery.name)] if inbox.restates else []
        try:
            counts = _read(run_id, channel, inbox, delivery, store, limits, clock, restates, reload=reload)
        except Rejected as error:
            log.error("%s: %s", channel, error)
            store.refuse(run_id, channel, ENTITY, delivery.name, error, clock())
            refused.append(str(error))
            continue
        _add(totals, counts)
    if inbox.restates:
        for counts in _heal(run_id, channel, inbox, deliveries, store, limits, clock):
            _add(totals, counts)
    totals["refused"] = len(refused)
    log.info(
        "%s: %s", channel, ", ".join(f"{count} {word}" for word, count in totals.items() if count) or "nothing new"
    )
    if refused:
        lines = "\n".join(f"  - {each}" for each in refused)
        raise Rejected("DELIVERIES_REFUSED", f"{channel}: {len(refused)} refused\n{lines}")
    return totals


def _add(totals: dict[str, int], counts: LoadCounts | None) -> None:
    totals["deliveries"] += 1
    for word in _COUNTED if counts else ():
        totals[word] += getattr(counts, f"{word}_count")


def _heal(
    run_id: str,
    channel: str,
    inbox: RateInbox[D],
    deliveries: Sequence[D],
    store: RateStore,
    limits: Limits,
    clock: Clock,
) -> Iterator[LoadCounts]:
    """Judge again what another file may have healed since, and load it where the judgement is another."""
    known, healable = store.newest_contents(channel, ENTITY), store.healable(channel, ENTITY)
    for delivery in deliveries:
        if delivery.name in healable and known.get(delivery.name) == delivery.content_hash:
            bad = healable[delivery.name]
            if counts := _read(run_id, channel, inbox, delivery, store, limits, clock, [delivery.name], unless_bad=bad):
                yield counts


def _read(
    run_id: str,
    channel: str,
    inbox: RateInbox[D],
    delivery: D,
    store: RateStore,
    limits: Limits,
    clock: Clock,
    restates: Sequence[str],
    *,
    reload: bool = False,
    unless_bad: Set[int] | None = None,
) -> LoadCounts | None:
    """`unless_bad`: numbers of rows; nothing is loaded when it is they that are bad."""
    now = clock()
    reading = inbox.read(delivery)
    known = _known(reading, store, limits, restates)
    judged = judge(reading, inbox.source, known, limits, now.date())
    if unless_bad == {bad.row_number for bad in judged.bad}:
        return None
    judged = replace(judged, accepted=(*judged.accepted, *_carried(judged, known, restates)))
    for bad in judged.bad:
        log.warning("%s %s, row %s: %s: %s", channel, delivery.name, bad.row_number, bad.reason_code, bad.message)
    try:
        return _load(run_id, channel, delivery, inbox.write(delivery, judged), store, now, restates, reload)
    finally:
        inbox.discard(delivery)


def _known(reading: Reading, store: RateStore, limits: Limits, restates: Sequence[str]) -> Sequence[KnownRate]:
    """What the reading is measured against, without what it withdraws: rows that its file held and holds no longer."""
    rows: list[Rate | BadRate] = [*reading.rates, *reading.bad]
    held = {(row.rate_date, row.currency) for row in rows if row.rate_date and row.currency}
    if not held:
        return []
    days = [day for day, _ in held]
    currencies = {currency for _, currency in held} | {rate.base for rate in reading.rates} - {EURO}
    # A rate against a base is measured in euro, by the base's rate of its own day, which may be carried as well.
    reach = timedelta(days=MEASURE_DAYS + limits.max_carry_days)
    known = store.known_rates(currencies, min(days) - reach, max(days))
    return [each for each in known if each.delivery not in restates or (each.rate_date, each.currency) in held]


def _carried(judged: Judged, known: Sequence[KnownRate], restates: Sequence[str]) -> list[Rate]:
    """Of a bad row the rate known before stays. One known by the old name of a renamed file goes with that name, so
    the new name states it."""
    own, old = restates[:1], restates[1:]
    bad = {(row.rate_date, row.currency): row.row_number for row in judged.bad}
    good = {(rate.rate_date, rate.currency) for rate in judged.accepted}
    good |= {(each.rate_date, each.currency) for each in known if each.delivery in own}
    kept = {(each.rate_date, each.currency): each for each in known if each.delivery in old}
    return [
        Rate(bad[key], each.rate_date, each.currency, each.rate, each.base, each.stated_source)
        for key, each in kept.items()
        if key in bad and key not in good
    ]


def _load(
    run_id: str,
    channel: str,
    delivery: Delivery,
    parsed: Parsed,
    store: RateStore,
    started_at: datetime,
    restates: Sequence[str],
    reload: bool = False,
) -> LoadCounts | None:
    return store.load(
        run_id,
        uuid.uuid4().hex,
        channel,
        ENTITY,
        delivery,
        parsed,
        complete=False,
        max_deleted_share=Decimal(1),
        started_at=started_at,
        reload=reload,
        restates=restates,
    )


def build(run_id: str, store: RateStore) -> dict[str, int]:
    """The table that conversions read, wherever rates changed. The facts that stand on it are marked stale."""
    return {built.model: built.row_count for built in store.build(run_id, "shared", ("stg",), None)}


def verdict(
    run_id: str, configuration: Configuration, store: RateStore, clock: Clock, failed_tasks: Sequence[str] = ()
) -> list[str]:
    """Close the run and return its warnings; Rejected names what failed: an unreadable file, a task, a check."""
    failures = [f"task {name}: its log says why" for name in failed_tasks] + list(store.failures(run_id))
    warnings = [*store.warnings(run_id), *_outdated(configuration, store, clock)]
    for line in warnings:
        log.warning("%s", line)
    lines = [*failures, *(f"warning: {line}" for line in warnings)]
    store.end_run(run_id, "failed" if failures else "success", "\n".join(lines))
    if failures:
        raise run_incomplete(failures)
    return warnings


def _outdated(configuration: Configuration, store: RateStore, clock: Clock) -> list[str]:
    """Rates too old to be carried to today, a line for all that the ECB quotes and one for each other currency."""
    fx, today = configuration.project.fx, clock().date()
    lines = []
    newest = store.newest_rates()
    published = [day for day, source in newest.values() if source != "user"]
    if published and today - max(published) > timedelta(days=fx.max_carry_days):
        way_out = f"{fx.fetch_url} brings no newer ones" if fx.fetch_url else "set fx.fetch_url in project.yml"
        lines.append(f"the ECB's rates end on {max(published)}, too old to be carried to {today}: {way_out}")
    for currency, (day, source) in sorted(newest.items()):
        if source == "user" and timedelta(days=fx.max_carry_days) < today - day <= FORGOTTEN_AFTER:
            lines.append(f"{currency}: the newest rate is of {day}, too old to be carried to {today}: add newer ones")
    return lines


@dataclass(frozen=True)
class _Bundled:
    """The bundle has no time of its own: it is known since it was installed and first loaded."""

    name: str
    content_hash: str
    delivered_at: datetime
