"""What only the demo's truth knows, against the orders: how customers are, what campaigns brought."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from itertools import pairwise
from random import Random

import pytest
from typer.testing import CliRunner

from caravan.cli.demo_world import HISTORY_DAYS, World
from caravan.cli.world import app
from caravan.config.types import Configuration
from caravan.demo.answers import woocommerce_order
from caravan.demo.buyers import LIFE, RATE, WEEKEND, Buyer
from caravan.demo.campaigns import CAMPAIGNS, Campaign, running
from caravan.demo.catalogue import CATALOGUE, SHOPS
from caravan.demo.deliveries import scaled
from caravan.demo.orders import DEFAULT_END, generate, ledgers
from caravan.demo.truth import Truth
from caravan.demo.world import Crowd, Order

SEED = 7
DAYS = [DEFAULT_END - timedelta(days=back) for back in reversed(range(120))]
SCALE = 6


@cache
def orders_of(code: str, scale: float) -> dict[date, list[Order]]:
    """Without what comes back."""
    crowd = Crowd(scaled(CATALOGUE[code], scale), Random(f"{SEED}/{code}"), running(code, DAYS, scale))
    return {day: [order for order in found if order.order_id[0] != "R"] for day, found in crowd.orders(DAYS).items()}


@pytest.fixture(scope="module")
def british() -> dict[date, list[Order]]:
    return orders_of("shop_gb", SCALE)


@pytest.fixture(scope="module")
def bought(british: dict[date, list[Order]]) -> dict[Buyer, list[date]]:
    """The days of the orders of each customer, in their order."""
    found: defaultdict[Buyer, list[date]] = defaultdict(list)
    for day, orders in british.items():
        for order in orders:
            if order.buyer:
                found[order.buyer].append(day)
    return found


@pytest.fixture(scope="module")
def configuration() -> Configuration:
    return World.by_itself().configuration


@pytest.fixture(scope="module")
def truth(configuration: Configuration) -> Truth:
    return generate(None, configuration, SEED, history=HISTORY_DAYS)


def weeks_at_risk(buyer: Buyer) -> float:
    return (min(buyer.last, DAYS[-1]) - buyer.first).days / 7


def test_customers_order_as_often_as_their_rates_say(bought: Mapping[Buyer, list[date]]) -> None:
    """In five groups of rising rates: orders after the first, by week of life."""
    customers = sorted((each for each in bought if weeks_at_risk(each)), key=lambda each: each.rate)
    size = len(customers) // 5
    assert size > 1000
    groups = [customers[start : start + size] for start in range(0, 5 * size, size)]
    paces, rates = [], []
    for group in groups:
        weeks = sum(map(weeks_at_risk, group))
        paces.append(sum(len(bought[each]) - 1 for each in group) / weeks)
        rates.append(sum(each.rate * weeks_at_risk(each) for each in group) / weeks)
    assert all(before < after for before, after in pairwise(paces))
    assert paces == pytest.approx(rates, rel=0.1, abs=0.01)


@pytest.mark.parametrize(("begin", "end"), [(0, 30), (30, 60), (60, 120)])
def test_rates_are_true_at_any_time(bought: Mapping[Buyer, list[date]], begin: int, end: int) -> None:
    """Orders after the first, of all customers: while a shop is new as well."""
    first, last = DAYS[begin], DAYS[end - 1]
    expected = orders = 0.0
    for buyer, days in bought.items():
        alive = (min(buyer.last, last) - max(buyer.first, first - timedelta(days=1))).days
        expected += buyer.rate * max(alive, 0) / 7
        orders += sum(first <= day <= last for day in days[1:])
    assert orders == pytest.approx(expected, rel=0.1)


def test_a_higher_rate_goes_with_more_orders(bought: Mapping[Buyer, list[date]]) -> None:
    """The rank correlation of Spearman, over customers of at least a month."""
    old = [each for each in bought if weeks_at_risk(each) >= 4]
    rates, orders = ranks([each.rate for each in old]), ranks([len(bought[each]) for each in old])
    middle = (len(old) - 1) / 2
    both = sum((one - middle) * (other - middle) for one, other in zip(rates, orders, strict=True))
    spread = [sum((rank - middle) ** 2 for rank in each) for each in (rates, orders)]
    assert both / (spread[0] * spread[1]) ** 0.5 > 0.5


def ranks(values: list[float]) -> list[float]:
    """From 0 on; equals share the mean of theirs."""
    counts, before, rank_of = Counter(values), 0, dict[float, float]()
    for value in sorted(counts):
        rank_of[value] = before + (counts[value] - 1) / 2
        before += counts[value]
    return [rank_of[value] for value in values]


def test_rates_and_lives_are_those_of_the_model(bought: Mapping[Buyer, list[date]]) -> None:
    assert sum(each.rate for each in bought) / len(bought) == pytest.approx(RATE, rel=0.05)
    days = [(each.last - each.first).days + 0.5 for each in bought]
    assert sum(days) / len(days) == pytest.approx(LIFE, rel=0.1)
    assert len({each.customer_id for each in bought}) == len(bought)


def test_nobody_buys_before_their_first_day_or_after_their_last(bought: Mapping[Buyer, list[date]]) -> None:
    for buyer, days in bought.items():
        assert (buyer.first, days[0]) == (days[0], min(days))
        assert days[-1] <= buyer.last
    assert sum(each.last < DAYS[-1] for each in bought) > len(bought) / 2


@pytest.mark.parametrize(
    ("code", "scale"), [("shop_gb", SCALE), ("shop_us", SCALE), ("partner_ae", 1), ("import_cn", 3)]
)
def test_about_as_many_return_as_ever_and_few_are_guests(code: str, scale: float) -> None:
    orders = [order for found in orders_of(code, scale).values() for order in found if not order.is_incremental]
    seen: set[str | None] = {None}
    returning = guests = 0
    for order in orders:
        returning += order.customer_id in seen - {None}
        guests += order.customer_id is None
        seen.add(order.customer_id)
    assert 0.35 < returning / len(orders) < 0.45
    assert 0.015 < guests / len(orders) < 0.035


def test_orders_a_day_are_the_usual_ones_but_for_those_of_campaigns() -> None:
    for code, shop in SHOPS.items():
        for day, orders in orders_of(code, 1).items():
            usual = sum(not order.is_incremental for order in orders)
            assert abs(usual - shop.orders_a_day - (WEEKEND if day.weekday() >= 5 else 0)) <= 5, (code, day)
            if not any(each.is_on(day) for each in running(code, DAYS)):
                assert usual == len(orders)


def test_campaigns_are_as_different_as_they_have_to_be(configuration: Configuration) -> None:
    assert len(CAMPAIGNS) >= 5
    assert len({each.channel_code for each in CAMPAIGNS}) >= 4
    assert {each.method for each in CAMPAIGNS} <= set(configuration.methods)
    assert len({(each.channel_code, each.origin) for each in CAMPAIGNS}) == len(CAMPAIGNS)
    assert [each.code for each in CAMPAIGNS if not each.lift] == ["us_search_brand"]
    assert [each.method for each in CAMPAIGNS if not each.spend] == ["email"]
    one, other = running("shop_gb", DAYS)
    assert one.first < other.first < other.last < one.last
    assert all(each.campaign.claim > 0 and each.first <= each.last for each in (one, other))


@pytest.mark.parametrize("campaign", CAMPAIGNS, ids=lambda each: each.code)
def test_extra_orders_come_on_the_campaigns_days_and_on_no_other(campaign: Campaign) -> None:
    (mine,) = (each for each in running(campaign.channel_code, DAYS) if each.campaign == campaign)
    extra: Counter[date] = Counter()
    for day, orders in orders_of(campaign.channel_code, SCALE).items():
        extra[day] += sum(order.is_incremental and order.origin == campaign.origin for order in orders)
    on = [day for day in DAYS if mine.is_on(day)]
    assert set(+extra) == (set(on) if campaign.lift else set())
    mean = campaign.lift * SCALE
    assert extra.total() / len(on) == pytest.approx(mean, abs=4 * (mean / len(on)) ** 0.5)


def test_of_mail_those_order_who_are_known_of_advertising_newcomers() -> None:
    for code in ("webshop_se", "shop_fr"):
        known: set[str | None] = set()
        for orders in orders_of(code, SCALE).values():
            extra = {order.customer_id for order in orders if order.is_incremental} - {None}
            assert extra <= known if code == "webshop_se" else not extra & known
            known |= {order.customer_id for order in orders}


def test_a_campaign_claims_orders_that_would_have_come_anyway(truth: Truth) -> None:
    assert [each.code for each in truth.campaigns] == [
        *("de_comparison_kitchen", "fr_social_salon", "gb_search_autumn", "gb_social_makers"),
        *("us_search_brand", "us_affiliate_trails", "se_email_october"),
    ]
    for each in truth.campaigns:
        assert each.attributed_orders > each.incremental_orders == len(set(each.incremental_order_ids))
        assert each.attributed_amount > each.incremental_amount
        assert (each.incremental_orders > 0) == (each.incremental_amount > 0) == (each.code != "us_search_brand")
        days = [each.first + timedelta(days=number) for number in range((each.last - each.first).days + 1)]
        assert list(each.spend) == [day.isoformat() for day in days]
        assert (sum(each.spend.values()) == 0) == (each.method == "email")
        assert each.currency_code == CATALOGUE[each.channel_code].currency
    spend = next(each.spend for each in truth.campaigns if each.code == "gb_search_autumn")
    assert spend["2026-08-31"] > spend["2026-08-30"] > 0, "a Monday and a Sunday"


def test_a_campaign_read_by_hand(truth: Truth, configuration: Configuration) -> None:
    """From what the shop answers: the origin, and goods that were not called off."""
    (campaign,) = (each for each in truth.campaigns if each.channel_code == "webshop_se")
    known = ledgers(configuration, SEED, history=HISTORY_DAYS)["webshop_se"]
    by_order = {each.order.order_id: each for each in (*known.entries, known.correction)}
    count, amount = 0, Decimal(0)
    for entry in by_order.values():
        order = woocommerce_order(entry)
        told = {each["key"].removeprefix("_wc_order_attribution_"): each["value"] for each in order["meta_data"]}
        if told.get("utm_campaign") != "october" or entry.flaw:
            continue
        assert campaign.first.isoformat() <= order["date_created"][:10] <= campaign.last.isoformat()
        count += 1
        if order["status"] != "cancelled":
            amount += sum(Decimal(item["total"]) for item in order["line_items"])
    assert (campaign.attributed_orders, campaign.attributed_amount) == (count, amount)
    assert set(campaign.incremental_order_ids) < by_order.keys()


def test_customers_read_by_hand(truth: Truth, configuration: Configuration) -> None:
    known = ledgers(configuration, SEED, history=HISTORY_DAYS)["webshop_se"]
    days: defaultdict[str, list[str]] = defaultdict(list)
    for entry in known.entries:
        order = woocommerce_order(entry)
        if order["customer_id"] and not entry.flaw:
            days[str(order["customer_id"])].append(order["date_created"][:10])
    found = {each.customer_id: each for each in truth.customers if each.channel_code == "webshop_se"}
    assert {name: (each.first_order_date.isoformat(), each.orders) for name, each in found.items()} == {
        name: (min(each), len(each)) for name, each in days.items()
    }


def test_customers_of_the_truth_are_those_whom_its_sales_count(truth: Truth) -> None:
    new: Counter[tuple[str, date]] = Counter()
    for each in truth.customers:
        new[each.channel_code, each.first_order_date] += 1
        assert each.last_alive_date is None or each.last_alive_date <= truth.last
    counted: Counter[tuple[str, date]] = Counter()
    for sale in truth.sales:
        counted[sale.channel_code, sale.order_local_date] += sale.new_customers
    assert new == +counted
    assert "marketplace_au" not in {each.channel_code for each in truth.customers}, "it names nobody"


def test_nobody_is_dated_after_their_end_but_what_was_moved(truth: Truth) -> None:
    late = Counter(
        each.channel_code
        for each in truth.customers
        if each.last_alive_date and each.first_order_date > each.last_alive_date
    )
    quotes = late.pop("wholesale_gb")
    assert 0 < quotes < 0.15 * sum(each.channel_code == "wholesale_gb" for each in truth.customers)
    assert late.keys() <= {"shop_de", "shop_us"}
    assert late.total() <= 2


@pytest.mark.parametrize(
    ("days", "history", "codes"),
    [
        (14, 0, {"se_email_october"}),
        (21, 0, {"se_email_october", "fr_social_salon"}),
        (21, 40, {each.code for each in CAMPAIGNS} - {"gb_search_autumn", "us_search_brand"}),
    ],
)
def test_a_short_history_has_fewer_campaigns(
    configuration: Configuration, days: int, history: int, codes: set[str]
) -> None:
    codes_of = {each.channel_code for each in CAMPAIGNS}
    few = configuration.model_copy(update={"channels": {each: configuration.channels[each] for each in codes_of}})
    end = date(2026, 6, 30)
    found = generate(None, few, SEED, end=end, days=days, history=history).campaigns
    assert {each.code for each in found} == codes
    assert all(end - timedelta(days=days + history) < each.first <= each.last <= end for each in found)


def test_scale_multiplies_lift_and_spend(configuration: Configuration) -> None:
    few = configuration.model_copy(update={"channels": {"shop_fr": configuration.channels["shop_fr"]}})
    (one,), (ten,) = (generate(None, few, SEED, scale=scale).campaigns for scale in (1, 10))
    assert ten.spend == {day: 10 * amount for day, amount in one.spend.items()}
    assert 7 < ten.incremental_orders / one.incremental_orders < 14


def test_world_truth_shows_campaigns_and_tells_all_as_json() -> None:
    shown = CliRunner().invoke(app, ["truth", "--seed", "7", "--scale", "0.5"])
    assert shown.exit_code == 0
    rows = [line.split() for line in shown.stdout.splitlines()]
    (mail,) = (row for row in rows if row[:1] == ["se_email_october"])
    assert mail[1:4] == ["webshop_se", "0.00", "SEK"]
    told = json.loads(CliRunner().invoke(app, ["truth", "--seed", "7", "--scale", "0.5", "--json"]).stdout)
    by_code = {each["code"]: each for each in told["campaigns"]}
    campaign = by_code["se_email_october"]
    assert [campaign["attributed_orders"], campaign["incremental_orders"]] == [int(text) for text in mail[4:]]
    assert by_code["fr_social_salon"]["spend"]["2026-10-12"] == "55.00"
    assert {"channel_code", "customer_id", "first_order_date", "rate", "last_alive_date", "orders"} == set(
        told["customers"][0]
    )
