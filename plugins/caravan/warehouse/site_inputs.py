"""What the warehouse knows that an audit holds against pages of the own site: prices, stock, what products earned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from caravan.warehouse.port import Session

OFFERS_FOR = timedelta(days=90)
"""An offer of which nothing was said for longer is not known any more."""
REVENUE_OF = timedelta(days=28)
ENOUGH_DAYS = 21
"""From the first sale to the last. What fewer days earned must not pass for what four weeks did."""


@dataclass(frozen=True)
class Offer:
    """The last word on a product in a market. `price`: in `currency_code`; None where channels differ, or none is
    known. `availability`: the same."""

    market_code: str
    sku: str
    price: Decimal | None
    currency_code: str | None
    availability: str | None
    valid_from: datetime


@dataclass(frozen=True)
class Revenue:
    """`amounts`: by market and number of the product. `problem`: why there are none."""

    amounts: Mapping[tuple[str, str], Decimal]
    problem: str | None = None


NO_SALES = Revenue({}, "no sales in the warehouse")


def is_there(session: Session, table: str) -> bool:
    """Whether a model has ever been built."""
    return bool(session.columns(table))


def offers(session: Session, at: datetime, channels: Mapping[str, str]) -> list[Offer]:
    """As they stood `at` a moment, UTC: a price list may be in force from tomorrow on only.

    `channels`: market to the channel whose offers its pages show. Of other markets what all channels agree on.
    """
    if not is_there(session, "mart.fct_offer_day"):
        return []
    rows = session.rows(
        "SELECT o.market_code, o.sku, o.channel_code, o.price, o.currency_code, o.availability, o.offered_at "
        "FROM mart.fct_offer_day AS o JOIN (SELECT market_code, country_code, sku, channel_code, "
        "MAX(offer_local_date) AS offer_local_date FROM mart.fct_offer_day "
        "WHERE offer_local_date >= CAST($since AS DATE) AND offered_at <= CAST($at AS TIMESTAMP) "
        "GROUP BY market_code, country_code, sku, channel_code) AS n "
        "ON n.market_code = o.market_code AND n.country_code = o.country_code AND n.sku = o.sku "
        "AND n.channel_code = o.channel_code AND n.offer_local_date = o.offer_local_date "
        "WHERE o.market_code <> 'ZZ' ORDER BY o.market_code, o.sku, o.channel_code",
        {"since": at.date() - OFFERS_FOR, "at": at},
    )
    by_product: dict[tuple[str, str], list[tuple[str, Decimal | None, str | None, str | None, datetime]]] = {}
    for market, sku, channel, *told in rows:
        if channels.get(market, channel) == channel:
            by_product.setdefault((market, sku), []).append((channel, *told))
    return [_agreed(market, sku, told) for (market, sku), told in by_product.items()]


def _agreed(market: str, sku: str, told: list[tuple[str, Decimal | None, str | None, str | None, datetime]]) -> Offer:
    prices = {(price, currency) for _, price, currency, _, _ in told}
    price, currency = next(iter(prices)) if len(prices) == 1 else (None, None)
    states = {availability for _, _, _, availability, _ in told}
    availability = next(iter(states)) if len(states) == 1 else None
    known = availability if availability != "unknown" else None
    return Offer(market, sku, price, currency, known, max(at for *_, at in told))


def revenue(session: Session, today: date) -> Revenue:
    """What each product earned in each market in the 28 days before today, net before refunds, in the base currency.

    0 for one that is offered and earned nothing. Lines without an exchange rate earn nothing here: a report of sales
    says how much that is.
    """
    since = today - REVENUE_OF
    if not is_there(session, "mart.fct_order_line"):
        return NO_SALES
    ((first, last),) = session.rows(
        "SELECT MIN(order_local_date), MAX(order_local_date) FROM mart.fct_order_line "
        "WHERE order_local_date < CAST($today AS DATE)",
        {"today": today},
    )
    if first is None:
        return NO_SALES
    covered = max((last - max(first, since)).days + 1, 0)
    if covered < ENOUGH_DAYS:
        return Revenue({}, f"the warehouse has sales of {covered} of the {REVENUE_OF.days} days before")
    rows = session.rows(
        "SELECT market_code, sku, SUM(net_before_refunds_amount_base) FROM mart.fct_order_line "
        "WHERE order_local_date >= CAST($since AS DATE) AND order_local_date < CAST($today AS DATE) "
        "AND sku IS NOT NULL GROUP BY market_code, sku",
        {"since": since, "today": today},
    )
    earned = {(market, sku): amount if amount is not None else Decimal(0) for market, sku, amount in rows}
    known = {(each.market_code, each.sku): Decimal(0) for each in offers(session, datetime.combine(today, time()), {})}
    return Revenue(known | earned)
