"""Orders of every channel into one model: the steps of sales_orders_daily as plain functions."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from zoneinfo import ZoneInfo

from caravan.config.types import Channel, Configuration
from caravan.core.entities import EntityName
from caravan.core.errors import CaravanError, Fault, Misconfigured, Rejected, nearest, run_incomplete, stop_of
from caravan.core.protocols import D, Inbox, Layer, LoadCounts, OrderStore
from caravan.core.scope import RunScope
from caravan.core.window import DayRange

log = logging.getLogger(__name__)

FUNCTION = "sales"
_COUNTED = ("received", "loaded", "unchanged", "duplicate", "quarantined", "deleted")
Clock = Callable[[], datetime]
"""UTC now, without zone."""


def local_days(scope: RunScope, configuration: Configuration) -> DayRange:
    """Every whole local day that the window touches on the clock of any market or channel."""
    names = {market.zone for market in configuration.markets.values()}
    names |= {channel.business_zone for channel in configuration.channels.values() if channel.business_zone}
    return scope.window.local_days(ZoneInfo(name) for name in sorted(names))


def choose_channels(scope: RunScope, configuration: Configuration) -> list[str]:
    """Codes of the enabled channels asked for. Misconfigured names every unknown or disabled one."""
    usable = [code for code, channel in sorted(configuration.channels.items()) if channel.enabled]
    if not scope.channels:
        return usable
    faults = []
    for code in scope.channels:
        if code in {fault.channel for fault in configuration.faults}:
            faults.append(Fault(f"channels: {code}", "is disabled by a fault in its file: see `./caravan check`", code))
        elif code in configuration.channels and code not in usable:
            faults.append(Fault(f"channels: {code}", "is switched off by `enabled: false`", code))
        elif code not in usable:
            faults.append(Fault(f"channels: {code}", f"there is no such channel{nearest(code, usable)}", code))
    if faults:
        raise Misconfigured(faults)
    return [code for code in usable if code in scope.channels]


def reference_rows(configuration: Configuration) -> dict[str, tuple[list[dict[str, object]], tuple[str, ...]]]:
    """Rows and key of the reference tables that come from configuration."""
    channels: list[dict[str, object]] = [
        {
            "channel_code": channel.code,
            "name": channel.name,
            "kind": channel.kind,
            "source": channel.source,
            "delivery": channel.delivery,
            "market_code": channel.market,
            "reporting_zone": channel.business_zone or channel.zone,
        }
        for channel in configuration.channels.values()
    ]
    parties: list[dict[str, object]] = [
        {
            "party_code": code,
            "name": party.name,
            "kind": party.kind,
            "country_code": party.country,
            "registration_id": party.registration,
        }
        for code, party in configuration.parties.items()
    ]
    methods: list[dict[str, object]] = [
        {"method_code": code, "name": method.name, "kind": method.kind, "description": method.description}
        for code, method in configuration.methods.items()
    ]
    tables = {
        "raw.config__channel": (channels, ("channel_code",)),
        "raw.config__party": (parties, ("party_code",)),
        "raw.config__method": (methods, ("method_code",)),
    }
    return {table: (rows, key) for table, (rows, key) in tables.items() if rows}


def list_channels(scope: RunScope, configuration: Configuration, store: OrderStore) -> list[str]:
    """Open the run, bring the reference tables up to date, and say which channels to collect."""
    chosen = choose_channels(scope, configuration)
    for fault in configuration.faults:
        log.error("channel disabled: %s", fault)
    log.info("window %s, local days %s, channels %s", scope.window, local_days(scope, configuration), chosen)
    if scope.dry_run:
        return chosen
    store.start_run(scope.run_id, scope.window, configuration.hash)
    for table, (rows, key) in reference_rows(configuration).items():
        store.put_reference(table, rows, key, scope.run_id)
    return chosen


def collect(
    scope: RunScope,
    channel: Channel,
    inboxes: Mapping[EntityName, Inbox[D]],
    store: OrderStore,
    clock: Clock,
    reload: bool = False,
) -> dict[str, int]:
    """Load every delivery of the channel that has not been read yet, oldest first.

    `reload`: read again what was read before, after the channel's configuration was corrected.
    One refused delivery does not keep the others back; Rejected names all refused ones at the end.
    """
    totals = dict.fromkeys(("deliveries", *_COUNTED, "refused"), 0)
    refused: list[Rejected] = []
    if not scope.dry_run:
        store.retry(scope.run_id, channel.code)
    for entity, inbox in inboxes.items():
        try:
            with failure_noted(scope, channel, entity, store, clock):
                deliveries = inbox.deliveries()
        except Rejected as error:
            refused.append(_refused(scope, channel, entity, None, error, store, clock))
            continue
        try:
            chosen = _chosen(channel, entity, deliveries, store, reload)
        except Rejected as error:  # of who asked for it, not of a delivery
            refused.append(error)
            continue
        waiting = [f"{name} is not read: {reason}" for name, reason in inbox.waiting().items()]
        for line in waiting:
            log.warning("%s %s: %s", channel.code, entity, line)
        if not deliveries:
            log.warning("%s %s: no delivery is there", channel.code, entity)
            if not scope.dry_run:
                store.note_missing(
                    scope.run_id, channel.code, entity, clock(), "; ".join(waiting) or "no file was there"
                )
        for delivery in chosen:
            try:
                counts = _read(scope, channel, entity, inbox, delivery, store, clock, reload)
            except Rejected as error:
                refused.append(_refused(scope, channel, entity, delivery.name, error, store, clock))
                continue
            if counts or scope.dry_run:
                totals["deliveries"] += 1
            for word in _COUNTED if counts else ():
                totals[word] += getattr(counts, f"{word}_count")
    if not scope.dry_run:
        store.note_read(scope.run_id, channel.code, next(iter(inboxes)), clock())
    totals["refused"] = len(refused)
    log.info(
        "%s: %s", channel.code, ", ".join(f"{count} {word}" for word, count in totals.items() if count) or "nothing new"
    )
    if refused:
        raise Rejected(
            "DELIVERIES_REFUSED", f"{channel.code}: {len(refused)} refused\n" + "\n".join(f"  - {e}" for e in refused)
        )
    return totals


@contextmanager
def failure_noted(
    scope: RunScope, channel: Channel, entity: EntityName, store: OrderStore, clock: Clock
) -> Iterator[None]:
    """Put on record that the channel could not be read: the report says so. Raises whatever ended the reading.

    A refusal is put on record with its delivery; whoever stops a run knows it. That a task's time is up is
    a BaseException.
    """
    try:
        yield
    except BaseException as error:
        if isinstance(error, Rejected) or stop_of(error) is not None:
            raise
        message = str(error) if isinstance(error, CaravanError) else type(error).__name__
        try:
            if not scope.dry_run:
                store.note_failed(scope.run_id, channel.code, entity, clock(), message)
        except Exception as problem:  # what ended the reading is what has to be known
            log.warning("%s %s: its failure cannot be recorded: %s", channel.code, entity, problem)
        raise


def _read(
    scope: RunScope,
    channel: Channel,
    entity: EntityName,
    inbox: Inbox[D],
    delivery: D,
    store: OrderStore,
    clock: Clock,
    reload: bool,
) -> LoadCounts | None:
    """Load one delivery; None when another run was faster, or in a dry run. Raises Rejected when it cannot be read."""
    if unfit := inbox.refused(delivery):
        raise unfit
    if scope.dry_run:
        log.info("%s %s: would load %s", channel.code, entity, delivery.name)
        return None
    started_at, load_id = clock(), uuid.uuid4().hex
    try:
        with failure_noted(scope, channel, entity, store, clock):
            parsed = inbox.parse(delivery, load_id, delivery.delivered_at)
        counts = store.load(
            scope.run_id,
            load_id,
            channel.code,
            entity,
            delivery,
            parsed,
            complete=channel.is_complete(entity),
            max_deleted_share=channel.max_deleted_share,
            started_at=started_at,
            has_keys=channel.entities[entity].key == "natural",
            reload=reload,
            is_current=channel.is_asked,
        )
    finally:
        inbox.discard(delivery)
    if counts is None:
        known = store.known_content(channel.code, entity).get(delivery.content_hash, set()) - {delivery.name}
        why = f"repeats {', '.join(sorted(known))} and" if known else "was loaded by another run meanwhile, and"
        log.info("%s %s: %s %s is not loaded", channel.code, entity, delivery.name, why)
        return None
    log.info(
        "%s %s: %s: received %s = loaded %s + unchanged %s + duplicate %s + quarantined %s; deleted %s",
        channel.code,
        entity,
        delivery.name,
        *(getattr(counts, f"{word}_count") for word in _COUNTED),
    )
    return counts


def _chosen(channel: Channel, entity: EntityName, deliveries: Sequence[D], store: OrderStore, reload: bool) -> list[D]:
    """The deliveries to read: what is new, or with `reload` also what was read before.

    Changes are read once each, by content. Of complete deliveries only the newest read counts and those newer than
    it: an older one says nothing any more, and one that returns to an earlier content does.
    Raises Rejected when reading again would leave rows without keys beside their replacements.
    """
    if channel.is_complete(entity):
        return _newest(deliveries, store.newest_delivery(channel.code, entity), reload)
    known = store.known_content(channel.code, entity)
    if not reload:
        for delivery in deliveries:
            if delivery.name not in known.get(delivery.content_hash, {delivery.name}):
                earlier = ", ".join(sorted(known[delivery.content_hash]))
                log.warning("%s %s: %s repeats %s and is not read", channel.code, entity, delivery.name, earlier)
        return [delivery for delivery in deliveries if delivery.content_hash not in known]
    gone = known.keys() - {delivery.content_hash for delivery in deliveries}
    if gone and channel.entities[entity].key == "none":
        names = ", ".join(sorted({name for content in gone for name in known[content]})[:5])
        raise Rejected(
            "RELOAD_INCOMPLETE",
            f"{len(gone)} deliveries that were read are no longer there ({names}): rows without a key would stand "
            "beside those that replace them. Put the files back, then reload",
        )
    return list(deliveries)


def _newest(deliveries: Sequence[D], read: tuple[datetime, str, str] | None, reload: bool) -> list[D]:
    """Complete deliveries that are newer than the one read last, without repetitions; with `reload` that one too."""
    moment, name, content_hash = read or (datetime(1, 1, 1), "", "")
    again = [delivery for delivery in deliveries if reload and delivery.content_hash == content_hash][-1:]
    if reload and read and not again:
        log.warning("%s, the newest delivery that was read, is no longer there to be read again", name)
    chosen = []
    for delivery in deliveries:
        is_newer = (delivery.delivered_at, delivery.name) > (moment, name)
        if delivery in again or (is_newer and delivery.content_hash != content_hash):
            chosen.append(delivery)
        if is_newer:
            moment, name, content_hash = delivery.delivered_at, delivery.name, delivery.content_hash
    return chosen


def _refused(
    scope: RunScope,
    channel: Channel,
    entity: str,
    name: str | None,
    error: Rejected,
    store: OrderStore,
    clock: Clock,
) -> Rejected:
    where = f"{channel.code} {entity}" + (f" {name}" if name else "")
    log.error("%s refused: %s", where, error)
    if not scope.dry_run:
        store.refuse(scope.run_id, channel.code, entity, name, error, clock())
    return Rejected(error.code, f"{where}: {error.message}")


def stage(scope: RunScope, configuration: Configuration, store: OrderStore) -> dict[str, int]:
    """Newest version of every row, for the window's local days and whatever deliveries touched."""
    return _build(scope, configuration, store, ("stg",))


def validate(scope: RunScope, configuration: Configuration, store: OrderStore) -> dict[str, int]:
    """Distribution checks over the staged days. What fails is blocked: its last good rows stay."""
    if scope.dry_run:
        return {}
    return dict(store.validate(scope.run_id, FUNCTION, local_days(scope, configuration)))


def build(scope: RunScope, configuration: Configuration, store: OrderStore) -> dict[str, int]:
    """Intermediate and fact models for the same days, but for slices that have not been validated yet."""
    built = _build(scope, configuration, store, ("int", "fct"))
    if waiting := store.unvalidated(FUNCTION):
        log.warning("%s staged slices are not built from: they are not validated yet", waiting)
    return built


def _build(
    scope: RunScope, configuration: Configuration, store: OrderStore, layers: tuple[Layer, ...]
) -> dict[str, int]:
    days = local_days(scope, configuration)
    if scope.dry_run:
        for model, ranges in store.pending(FUNCTION, layers, days).items():
            log.info("would build %s: %s", model, ", ".join(ranges))
        return {}
    return {built.model: built.row_count for built in store.build(scope.run_id, FUNCTION, layers, days)}


def verdict(scope: RunScope, configuration: Configuration, store: OrderStore, failed_tasks: Sequence[str] = ()) -> None:
    """Close the run; Rejected names everything that failed, so that the run is red for a reason.

    What an earlier run blocked, and this one had no part in, is told but fails nothing.
    `failed_tasks`: steps that ended in an error, whether or not they could write it down.
    """
    if scope.dry_run:
        return
    failures = [f"task {name}: its log says why" for name in failed_tasks]
    failures += [f"channel disabled: {fault}" for fault in configuration.faults]
    failures += store.failures(scope.run_id)
    standing = [f"still blocked: {line}" for line in store.standing_blocks(scope.run_id, FUNCTION)]
    for line in standing:
        log.warning("%s", line)
    store.end_run(scope.run_id, "failed" if failures else "success", "\n".join([*failures, *standing]))
    if failures:
        raise run_incomplete(failures)
