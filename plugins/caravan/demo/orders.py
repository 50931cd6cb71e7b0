"""Order files and the answers of services from a seed, and the truth about them.

The files lie where the channels' configuration looks for them, but are written by the shops' own dialects: a
configuration that describes a shop wrongly shows.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from caravan.config.services import ServiceChannel
from caravan.config.types import OTHER_MARKET, Channel, Configuration, FileChannel, Market
from caravan.core.errors import CaravanError
from caravan.core.pulls import asked_from, pull_name
from caravan.demo import rates as rate_files
from caravan.demo import tallies, trade
from caravan.demo.campaigns import running
from caravan.demo.catalogue import CATALOGUE, SERVICES, TRADE
from caravan.demo.deliveries import FEWEST_DAYS, File, Row, plan
from caravan.demo.latent import campaign_truths, customer_truths
from caravan.demo.services import Ledger, ledger
from caravan.demo.truth import (
    CampaignTruth,
    CustomerTruth,
    DeliveryTruth,
    OfferTruth,
    PaymentTruth,
    RefundTruth,
    SalesTruth,
    ShipmentTruth,
    Truth,
)
from caravan.demo.world import Order

SEED = 20261101
DEFAULT_END = date(2026, 10, 30)
"""The last day of the exchange rates that come with Caravan."""

_State = dict[object, Row]
"""What a channel's entity holds after some deliveries: newest row by key."""


def generate(
    home: Path | None,
    configuration: Configuration,
    seed: int = SEED,
    end: date = DEFAULT_END,
    days: int = 21,
    history: int = 0,
    scale: float = 1,
) -> Truth:
    """Write the files of all demo channels that are configured, and say what is in them and in services' answers.
    Without `home` nothing is written.

    The orders are of `days` local days, the last of them `end`, on which something is planted, and of `history` days
    before, which channels deliver at once; `scale`: so many times as many of them. Files that are there already are
    left as they are; raises CaravanError if one of them has another content, or if no demo channel is configured.
    """
    if days < FEWEST_DAYS:
        raise ValueError(f"the demo needs at least {FEWEST_DAYS} days for what is planted in it, not {days}")
    channels = [configuration.channels[code] for code in CATALOGUE if code in configuration.channels]
    if not channels:
        raise CaravanError(f"none of the demo's channels is configured; it needs one of {', '.join(CATALOGUE)}")
    past, calendar = _calendar(end, days, history)
    deliveries: list[DeliveryTruth] = []
    sales: list[SalesTruth] = []
    refunds: list[RefundTruth] = []
    payments: list[PaymentTruth] = []
    shipments: list[ShipmentTruth] = []
    offers: list[OfferTruth] = []
    customers: list[CustomerTruth] = []
    campaigns: list[CampaignTruth] = []
    for channel in channels:
        if isinstance(channel, ServiceChannel):
            files = ledger(channel.code, seed, calendar, past, scale).answers(question(channel))
        else:
            planned = trade.plan if channel.code in TRADE else plan
            files = planned(channel.code, seed, calendar, past, scale)
        if home and isinstance(channel, FileChannel):
            _deliver(home / channel.folder, files)
        zone_of = _zones(channel, configuration.markets)
        loaded, states = _loaded(channel, files, zone_of)
        lines, given_back = states["order_line"].values(), states.get("refund", {}).values()
        left = _left(lines)
        deliveries += loaded
        sales += _sales(channel, configuration.markets, lines, zone_of, _refunded(given_back, left))
        refunds += _refunds(channel.code, given_back, left, zone_of)
        payments += tallies.payments(channel.code, states.get("payment", {}).values(), left, zone_of)
        shipments += tallies.shipments(channel.code, states.get("shipment", {}).values(), left, zone_of)
        offers += tallies.offers(channel, states.get("offer", {}).values(), zone_of)
        orders = {row.order.order_id: row.order for row in lines}.values()
        bought = {row.order.order_id: row.order for row in lines if _is_sold(row)}.values()
        customers += customer_truths(channel.code, bought, zone_of, end)
        campaigns += campaign_truths(running(channel.code, (*past, *calendar), scale), orders, bought, left)
    needs_rates = any(CATALOGUE[each.code].currency == "AED" for each in channels)
    rates = [rate_files.RateFile([*past, *calendar])] if needs_rates else []
    if home:
        _deliver(home / rate_files.FOLDER, rates)
    return Truth(
        seed=seed,
        first=(*past, *calendar)[0],
        last=end,
        deliveries=tuple(deliveries),
        sales=tuple(sales),
        rates=tuple(each.truth() for each in rates),
        refunds=tuple(refunds),
        asked=tuple(channel.code for channel in channels if channel.is_asked),
        payments=tuple(payments),
        shipments=tuple(shipments),
        offers=tuple(offers),
        customers=tuple(customers),
        campaigns=tuple(campaigns),
    )


def ledgers(
    configuration: Configuration,
    seed: int = SEED,
    end: date = DEFAULT_END,
    days: int = 21,
    history: int = 0,
    scale: float = 1,
) -> dict[str, Ledger]:
    """What the configured services know, by channel: the same as `generate` takes to be so."""
    past, calendar = _calendar(end, days, history)
    asked = [code for code in SERVICES if isinstance(configuration.channels.get(code), ServiceChannel)]
    return {code: ledger(code, seed, calendar, past, scale) for code in asked}


def _calendar(end: date, days: int, history: int) -> tuple[list[date], list[date]]:
    """The days before, and those on which something is planted."""
    every = [end - timedelta(days=back) for back in reversed(range(history + days))]
    return every[:history], every[history:]


def question(channel: ServiceChannel) -> str:
    """The name of the first one that the channel's service is asked."""
    return pull_name(asked_from(channel.begin, timedelta(minutes=channel.overlap_minutes)))


def _deliver(folder: Path, files: Sequence[File | rate_files.RateFile]) -> None:
    for file in files:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / file.name, file)


def _write(path: Path, file: File | rate_files.RateFile) -> None:
    """Whole or not at all, with the time of its delivery: long settled, however young the copy is."""
    content = file.content()
    if path.exists():
        if path.read_bytes() != content:
            message = f"{path} is there with another content; move it away, or give the demo a home of its own"
            raise CaravanError(message)
        return
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_bytes(content)
    moment = file.delivered.timestamp()
    os.utime(partial, (moment, moment))
    partial.replace(path)


def _loaded(
    channel: Channel, files: Sequence[File], zone_of: Callable[[Order], ZoneInfo]
) -> tuple[list[DeliveryTruth], dict[str, _State]]:
    """What loading all of them has to do, and what the channel's entities hold then."""
    states: dict[str, _State] = {}
    # The one that came first is loaded first; of two that came together, by name.
    read = sorted((file for file in files if not file.is_copy), key=lambda each: (each.delivered, each.name))
    return [_account(file, channel, states.setdefault(file.entity, {}), zone_of) for file in read], states


def _account(file: File, channel: Channel, state: _State, zone_of: Callable[[Order], ZoneInfo]) -> DeliveryTruth:
    """What loading this file on top of `state` has to do, and does here."""
    if file.is_truncated:
        return DeliveryTruth(file.channel_code, file.entity, file.name, 0, 0, 0, 0, {}, 0, 0, "GZIP_TRUNCATED")
    source = channel.entities[file.entity]
    quarantined = Counter(row.reason for row in file.rows if row.reason)
    accepted: dict[object, Row] = {}
    occurrences: Counter[object] = Counter()
    duplicate = 0
    for row in file.rows:
        if row.reason:
            continue
        key: object = row.order.order_id if file.entity == "order" else row.key
        if source.key == "none":
            occurrences[row.order, row.line] += 1
            key = (row.order, row.line, occurrences[row.order, row.line])
            if source.duplicate_rows == "drop" and occurrences[row.order, row.line] > 1:
                duplicate += 1
                continue
        elif key in accepted:
            duplicate += 1
        accepted[key] = row
    fresh = {key: row for key, row in accepted.items() if state.get(key) != row}
    moved = sum(
        1 for key, row in fresh.items() if key in state and _day(state[key].order, zone_of) != _day(row.order, zone_of)
    )
    gone = [key for key in state if key not in accepted] if channel.delivery == "complete" else []
    for key in gone:
        del state[key]
    state.update(accepted)
    return DeliveryTruth(
        channel_code=file.channel_code,
        entity=file.entity,
        name=file.name,
        received=len(file.rows),
        loaded=len(fresh),
        unchanged=len(accepted) - len(fresh),
        duplicate=duplicate,
        quarantined={str(reason): count for reason, count in sorted(quarantined.items(), key=str)},
        deleted=len(gone),
        moved=moved,
    )


def _left(rows: Iterable[Row]) -> dict[str, Decimal]:
    """What of each order's goods was sold and neither cancelled nor taken back."""
    left: dict[str, Decimal] = {}
    for row in rows:
        kept = row.line.amount if row.order.kind(row.line) == "sale" else Decimal(0)
        taken_back = min(row.line.amount, Decimal(0)) if row.order.kind(row.line) == "cancellation" else Decimal(0)
        left[row.order.order_id] = left.get(row.order.order_id, Decimal(0)) + kept + taken_back
    return left


def _net_status(row: Row, left: Mapping[str, Decimal]) -> str:
    if row.refund is not None and row.refund.is_charge:
        return "charge"
    if row.order.order_id not in left:
        return "order_unknown"
    return "counted" if left[row.order.order_id] > 0 else "nothing_left"


def _refunded(rows: Iterable[Row], left: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """What counts of each order's refunds."""
    totals: dict[str, Decimal] = {}
    for row in rows:
        if row.refund is not None and _net_status(row, left) == "counted":
            totals[row.order.order_id] = totals.get(row.order.order_id, Decimal(0)) + row.refund.amount
    return totals


def _refunds(
    code: str, rows: Iterable[Row], left: Mapping[str, Decimal], zone_of: Callable[[Order], ZoneInfo]
) -> list[RefundTruth]:
    groups: dict[tuple[date, str], list[Decimal]] = {}
    for row in rows:
        if row.refund is not None:
            day = row.refund.moment.astimezone(zone_of(row.order)).date()
            groups.setdefault((day, _net_status(row, left)), []).append(row.refund.amount)
    return [
        RefundTruth(code, day, status, len(groups[day, status]), sum(groups[day, status], Decimal(0)))
        for day, status in sorted(groups)
    ]


def _sales(
    channel: Channel,
    markets: Mapping[str, Market],
    rows: Iterable[Row],
    zone_of: Callable[[Order], ZoneInfo],
    refunded: Mapping[str, Decimal],
) -> list[SalesTruth]:
    groups: dict[tuple[date, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((_day(row.order, zone_of), _market(channel, markets, row.order)), []).append(row)
    first = _first_days(groups)
    return [
        _day_sales(channel.code, market, day, groups[day, market], refunded, first) for day, market in sorted(groups)
    ]


def _first_days(groups: Mapping[tuple[date, str], Sequence[Row]]) -> dict[str, date]:
    """The day of each customer's first order with goods sold, called off later or not."""
    found: dict[str, date] = {}
    for day, market in sorted(groups):
        for row in groups[day, market]:
            if row.order.customer_id and _is_sold(row):
                found.setdefault(row.order.customer_id, day)
    return found


def _is_sold(row: Row) -> bool:
    """Whether it makes its order one of goods sold: those that come back under a number of their own are none."""
    kind = row.order.kind(row.line)
    return kind == "sale" or (kind == "cancellation" and row.line.amount > 0)


def _day_sales(
    code: str,
    market: str,
    day: date,
    rows: Sequence[Row],
    refunded: Mapping[str, Decimal],
    first_days: Mapping[str, date],
) -> SalesTruth:
    zero = Decimal(0)
    totals: dict[str, Decimal] = {"sale": zero, "cancellation": zero, "charge": zero, "adjustment": zero}
    sold, cancelled, units = zero, zero, zero
    orders, buyers = set(), set()
    for row in rows:
        kind, amount = row.order.kind(row.line), row.line.amount
        totals[kind] += amount
        if _is_sold(row):
            sold += amount
            orders.add(row.order.order_id)
            buyers.add(row.order.customer_id)
        cancelled += abs(amount) if kind == "cancellation" else zero
        units += row.line.quantity if kind == "sale" else 0
    given_back = sum((refunded.get(order_id, zero) for order_id in orders), zero)
    return SalesTruth(
        channel_code=code,
        market_code=market,
        currency_code=CATALOGUE[code].currency,
        order_local_date=day,
        orders=len(orders),
        units=units,
        gross=sold,
        cancelled=cancelled,
        refunded=given_back,
        net=sold - cancelled - given_back,
        charge=totals["charge"],
        adjustment=totals["adjustment"],
        new_customers=sum(1 for each in buyers if each and first_days[each] == day),
    )


def _market(channel: Channel, markets: Mapping[str, Market], order: Order) -> str:
    by_country = {market.country: code for code, market in markets.items()}
    return channel.market or by_country.get(order.country, OTHER_MARKET)


def _zones(channel: Channel, markets: Mapping[str, Market]) -> Callable[[Order], ZoneInfo]:
    def zone_of(order: Order) -> ZoneInfo:
        return ZoneInfo(channel.business_zone or markets[_market(channel, markets, order)].zone)

    return zone_of


def _day(order: Order, zone_of: Callable[[Order], ZoneInfo]) -> date:
    return order.local_date(zone_of(order))
