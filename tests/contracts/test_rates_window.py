"""Rates through the whole warehouse, on both engines: which one an order gets, and what a correction changes."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from engines import one_engine, slow_on_lake
from sales_world import MONDAY, World, line

from caravan.assembly import markets
from caravan.assembly.warehouse import open_store, utc_now
from caravan.clients.fx.rows import RateRows, write_rows
from caravan.clients.fx.user_files import UserRates
from caravan.config.loader import load
from caravan.config.settings import Settings
from caravan.config.types import Configuration
from caravan.core.errors import Rejected
from caravan.core.rates import Judged, Rate, RateSource, Reading
from caravan.functions.markets import rates
from caravan.warehouse.scratch import Scratch

HEADER = "date,currency,rate,source,base,confirmed\n"
DAG = "markets_rates_daily"
LOCAL = (
    "SELECT order_line_key, currency_code, amount, gross_amount, cancelled_amount, net_before_refunds_amount "
    "FROM mart.fct_order_line ORDER BY 1"
)


class Rates:
    """A person's rate files in the folder of a world, and runs that read them.

    One store serves all steps of a run: to open one for each, as tasks do, takes longer than the steps themselves.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.runs = self.files = 0

    def write(self, name: str, *rows: str) -> None:
        folder = self.world.home / markets.USER_FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(HEADER + "".join(f"{row}\n" for row in rows))
        self.settle(name)

    def settle(self, name: str) -> None:
        self.files += 1
        os.utime(self.world.home / markets.USER_FOLDER / name, (1_770_000_000 + self.files,) * 2)

    @cached_property
    def configuration(self) -> Configuration:
        return load(self.world.home / "config")

    def run(self) -> tuple[dict[str, int], list[str]]:
        """Counts of the person's files, and the run's warnings but for those of old age: the days are long past.
        What is stale of the sales tables is built too, as their next run would."""
        self.world.use()
        self.runs += 1
        run_id, settings = f"rates-{self.runs}", Settings.from_environment()
        limits = rates.limits(self.configuration)
        with open_store(settings, self.configuration, DAG) as store, Scratch(settings.staging_dir) as scratch:
            store.start_run(run_id, None, "")
            markets.load_bundle(run_id, settings, store)
            inbox = UserRates(settings.home / markets.USER_FOLDER, scratch)
            try:
                counts = rates.collect(run_id, inbox, store, limits, utc_now)
            finally:
                rates.build(run_id, store)
                warnings = rates.verdict(run_id, self.configuration, store, utc_now)
            if self.world.runs:
                store.build("sales", "sales", ("stg", "int", "fct"), None)
        return counts, [each for each in warnings if "too old to be carried" not in each]


@dataclass(frozen=True)
class _Fetched:
    """One fetched file: its rows, and the hash of its content. A delivery and the inbox it is in."""

    rows: Sequence[Rate]
    scratch: Path
    delivered_at: datetime
    content_hash: str
    name: str = "eurofxref-hist.zip"
    source: RateSource = "fetched"
    restates: bool = False

    def deliveries(self) -> Sequence[_Fetched]:
        return [self]

    def waiting(self) -> dict[str, str]:
        return {}

    def read(self, delivery: _Fetched) -> Reading:
        return Reading(self.rows)

    def write(self, delivery: _Fetched, judged: Judged) -> RateRows:
        return write_rows(self.source, judged, self.scratch / self.content_hash)

    def discard(self, delivery: _Fetched) -> None:
        pass


@pytest.fixture
def files(world: World) -> Rates:
    return Rates(world)


def on(day: int) -> str:
    return str(MONDAY + timedelta(days=day))


def orders(world: World) -> dict[str, Any]:
    rows = world.rows("SELECT order_id, fx_status, fx_source_code, fx_rate_date, net_amount_base FROM mart.fct_order")
    return {row[0]: tuple(row[1:]) for row in rows}


def test_the_status_of_every_order(world, files):
    """Monday, a weekend, three weeks after the last rate, a currency that nobody quotes, one that a person quotes."""
    days = {"exact": (0, "SEK"), "weekend": (5, "SEK"), "gap": (45, "SEK"), "same": (0, "EUR"), "unknown": (0, "TWD"),
            "person": (0, "AED"), "later": (7, "AED"), "too late": (8, "AED"), "before": (-1, "AED")}  # fmt: skip
    world.deliver("a.csv", [line(order, day, money=money) for order, (day, money) in days.items()])
    files.write("aed.csv", f"{on(0)},AED,4,bank,,")
    counts, warnings = files.run()
    assert (counts["received"], counts["loaded"], warnings) == (1, 1, [])
    world.run(-1, 46)
    found = orders(world)
    assert {order: status for order, (status, *_) in found.items()} == {
        "exact": "exact", "weekend": "carried", "gap": "missing", "same": "same", "unknown": "missing",
        "person": "user_supplied", "later": "carried", "too late": "missing", "before": "missing",
    }  # fmt: skip
    assert {order: source for order, (_, source, *_) in found.items() if source} == {
        "exact": "bundled", "weekend": "bundled", "person": "user", "later": "user",
    }  # fmt: skip
    assert found["weekend"][2] == MONDAY + timedelta(days=4)
    assert {order for order, (*_, base) in found.items() if base is None} == {"gap", "unknown", "too late", "before"}
    assert found["person"][3] == Decimal(5), "2 pieces of 10 dirhams, at 4 for a euro"
    missing = world.rows(
        "SELECT currency_code, SUM(fx_missing_order_count), SUM(fx_missing_net_amount) "
        "FROM mart.rpt_sales__market_month GROUP BY 1 HAVING SUM(fx_missing_order_count) > 0 ORDER BY 1"
    )
    assert missing == [("AED", 2, 40), ("SEK", 1, 20), ("TWD", 1, 20)]


@slow_on_lake
def test_a_corrected_rate_is_a_new_one_and_changes_the_days_it_reaches_alone(world, files):
    world.deliver("a.csv", [line(f"o{day}", day, money="AED") for day in range(10)])
    files.write("aed.csv", f"{on(0)},AED,4,bank,,", f"{on(3)},AED,5,bank,,yes")
    files.run()
    world.run(0, 10)
    first = orders(world)
    ids = dict(world.rows("SELECT order_id, fx_rate_id FROM mart.fct_order"))
    local = world.rows(LOCAL)
    assert ids["o2"].startswith(f"user:AED:{on(0)}:1:") and ids["o9"].startswith(f"user:AED:{on(3)}:1:")

    counts, _ = files.run()
    assert counts == dict.fromkeys(counts, 0), "a file is read once"
    files.write("aed.csv", f"{on(0)},AED,4.4,bank,,", f"{on(3)},AED,5,bank,,yes")
    counts, _ = files.run()
    assert (counts["received"], counts["loaded"], counts["unchanged"]) == (2, 1, 1)
    second = orders(world)
    assert {order for order in first if first[order] != second[order]} == {"o0", "o1", "o2"}
    assert second["o1"][3] == Decimal("4.5455")
    ids = dict(world.rows("SELECT order_id, fx_rate_id FROM mart.fct_order"))
    assert ids["o2"].startswith(f"user:AED:{on(0)}:2:") and ids["o9"].startswith(f"user:AED:{on(3)}:1:")

    files.write("aed.csv", f"{on(0)},AED,4,bank,,")  # the earlier rate again, and the other withdrawn
    files.run()
    third = orders(world)
    assert [third[f"o{day}"][0] for day in range(10)] == ["user_supplied"] + ["carried"] * 7 + ["missing"] * 2
    assert third["o5"][3] == Decimal(5)
    assert world.rows(LOCAL) == local


@slow_on_lake
def test_each_file_states_rates_of_its_own(world, files):
    """Four currencies: a file renamed, two that state the same, a correction withdrawn, an old copy put back."""
    folder = world.home / markets.USER_FOLDER
    given = {name: f"{on(0)},{code},{rate},bank,," for name, code, rate in [
        ("a.csv", "AED", 4), ("c.csv", "SAR", 4), ("d.csv", "SAR", 4), ("e.csv", "KWD", "0.41"),
        ("g.csv", "VND", 28000),
    ]}  # fmt: skip
    for name, row in given.items():
        files.write(name, row)
    files.run()
    before = (folder / "g.csv").read_bytes(), (folder / "g.csv").stat().st_mtime
    (folder / "a.csv").rename(folder / "b.csv")
    files.write("f.csv", f"{on(0)},KWD,0.42,bank,,")
    files.write("g.csv", f"{on(0)},VND,28500,bank,,")
    files.run()
    stated = "SELECT currency_code, rate FROM stg.fx__rate WHERE source_code = 'user' ORDER BY 1"
    assert dict(world.rows(stated)) == {"AED": 4, "SAR": 4, "KWD": Decimal("0.42"), "VND": 28500}
    for name in ("b.csv", "c.csv", "f.csv"):
        files.write(name)
    (folder / "g.csv").write_bytes(before[0])
    os.utime(folder / "g.csv", (before[1],) * 2)
    files.run()
    assert dict(world.rows(stated)) == {"SAR": 4, "KWD": Decimal("0.41"), "VND": 28000}


STATED = "SELECT currency_code, rate_date, rate FROM stg.fx__rate WHERE source_code = 'user' ORDER BY 1, 2"


def held(world: World) -> list[tuple[str, int, Decimal]]:
    return [(currency, (day - MONDAY).days, rate) for currency, day, rate in world.rows(STATED)]


@one_engine
def test_a_rate_that_is_in_no_file_any_more_measures_nothing(world, files):
    """Withdrawn beside a right one, withdrawn though confirmed, moved to its right day, corrected in another file."""
    files.write("twd.csv", f"{on(1)},TWD,3.7,me,,", f"{on(2)},TWD,37.2,me,,")
    files.write("nok.csv", f"{on(5)},NOK,1150,me,,yes", f"{on(6)},NOK,11.6,me,,")
    files.write("vnd.csv", f"{on(0)},VND,340,me,,")
    files.write("a.csv", f"{on(1)},KZT,5.6,me,,")
    files.write("b.csv", f"{on(2)},KZT,561,me,,", f"{on(3)},KZT,0,me,,")
    counts, _ = files.run()
    assert (counts["quarantined"], held(world)) == (
        4,
        [("KZT", 1, Decimal("5.6")), ("NOK", 5, 1150), ("TWD", 1, Decimal("3.7")), ("VND", 0, 340)],
    )
    counts, warnings = files.run()
    assert (counts, warnings) == (dict.fromkeys(counts, 0), []), "what is judged as before is not told again"
    files.write("twd.csv", f"{on(2)},TWD,37.2,me,,")
    files.write("nok.csv", f"{on(6)},NOK,11.6,me,,")
    files.write("vnd.csv", f"{on(11)},VND,34,me,,")
    files.write("a.csv", f"{on(1)},KZT,560,me,,")
    counts, _ = files.run()
    assert (counts["deliveries"], counts["quarantined"], held(world)) == (
        5,
        1,
        [("KZT", 1, 560), ("KZT", 2, 561), ("NOK", 6, Decimal("11.6")), ("TWD", 2, Decimal("37.2")), ("VND", 11, 34)],
    )


@one_engine
def test_a_file_that_is_renamed_changes_nothing_there_and_back(world, files):
    folder = world.home / markets.USER_FOLDER
    files.write("a.csv", f"{on(0)},AED,4,bank,,", f"{on(1)},AED,4.1,bank,,")
    files.write("k.csv", f"{on(0)},VND,30000,bank,,")
    files.run()
    files.write("k.csv", f"{on(0)},VND,zz,bank,,")
    (folder / "a.csv").rename(folder / "b.csv")
    files.run()
    (folder / "b.csv").rename(folder / "a.csv")
    (folder / "k.csv").rename(folder / "m.csv")
    files.run()
    all_of_them = [("AED", 0, 4), ("AED", 1, Decimal("4.1")), ("VND", 0, 30000)]
    assert held(world) == all_of_them
    counts, _ = files.run()
    assert (counts, held(world)) == (dict.fromkeys(counts, 0), all_of_them)
    files.write("a.csv", f"{on(0)},AED,4,bank,,")
    files.write("m.csv")
    files.run()
    assert held(world) == [("AED", 0, 4)]


@one_engine
def test_a_fetched_row_that_stays_bad_is_told_once_and_read_again_when_asked(world):
    world.use()
    configuration, settings = load(world.home / "config"), Settings.from_environment()
    rows = [
        Rate(1, MONDAY, "USD", Decimal("1.08")),
        Rate(2, MONDAY + timedelta(days=1), "USD", Decimal(108), raw_row="1"),
    ]
    told = []
    with open_store(settings, configuration, DAG) as store, Scratch(settings.staging_dir) as scratch:
        for night, reload in enumerate([False, False, False, True]):
            inbox = _Fetched(rows, scratch, utc_now(), str(min(night, 2)))
            store.start_run(f"n{night}", None, "")
            counts = rates.collect(f"n{night}", inbox, store, rates.limits(configuration), utc_now, reload=reload)
            told.append((counts["received"], len(store.warnings(f"n{night}"))))
            if night:  # the first is killed before it tells anybody
                store.end_run(f"n{night}", "success", "")
    assert told == [(2, 1), (2, 1), (2, 0), (2, 0)]


@one_engine
def test_what_cannot_be_right_is_set_aside_and_told_and_the_night_goes_on(world, files):
    given = [
        (0, "AED", "4"),
        (1, "AED", "400"),
        (2, "AED", "0"),
        (3, "AED", "-4"),
        (3, "XXQ", "4"),
        (30_000, "AED", "4"),
    ]
    files.write(
        "aed.csv", *(f"{on(day)},{code},{rate},bank,," for day, code, rate in [*given, *[(4, "AED", "4.1")] * 2])
    )
    files.write("sek.csv", f"{on(0)},SEK,10.9,bank,,")
    counts, warnings = files.run()
    assert (counts["received"], counts["loaded"], counts["duplicate"], counts["quarantined"]) == (9, 3, 1, 5)
    loads = world.rows(
        "SELECT received_count, loaded_count, unchanged_count, duplicate_count, quarantined_count FROM ops.load "
        "WHERE channel_code = 'rates_user' ORDER BY delivery_name"
    )
    assert loads == [(8, 2, 0, 1, 5), (1, 1, 0, 0, 0)]
    reasons = world.rows("SELECT row_number, reason_code FROM ops.quarantine WHERE file_name = 'aed.csv' ORDER BY 1")
    words = ["RATE_SPIKE", "RATE_NOT_POSITIVE", "RATE_NOT_POSITIVE", "CURRENCY_UNKNOWN", "RATE_IN_FUTURE"]
    assert reasons == list(enumerate(words, start=2))
    assert any("aed.csv: 5 in quarantine" in each and "RATE_SPIKE" in each for each in warnings)
    assert any("sources_agree" in each and "SEK" in each for each in warnings), "the ECB has another rate of the krona"
    assert world.rows("SELECT state FROM ops.run WHERE dag_id = 'markets_rates_daily'") == [("success",)]
    world.deliver("a.csv", [line("leap", 1, money="AED"), line("zero", 2, money="AED")])
    world.run(0, 5)
    assert {order: row[:1] + row[3:] for order, row in orders(world).items()} == dict.fromkeys(
        ("leap", "zero"), ("carried", Decimal(5))
    )

    files.write("aed.csv", f"{on(0)},AED,4,bank,,", f"{on(1)},AED,400,bank,,yes")
    assert files.run()[1] == []
    assert orders(world)["leap"][3] == Decimal("0.05"), "a person says that it moved"


@one_engine
def test_a_file_that_cannot_be_read_fails_the_run_and_keeps_nothing_back(world, files):
    files.write("aed.csv", f"{on(0)},AED,4,bank,,")
    (world.home / markets.USER_FOLDER / "bad.csv").write_bytes(b"\xff\xfe\x00")
    files.settle("bad.csv")
    with pytest.raises(Rejected, match=r"RUN_INCOMPLETE.*\n.*bad\.csv.*UTF-8"):
        files.run()
    assert world.rows("SELECT rate FROM stg.fx__rate WHERE currency_code = 'AED'") == [(Decimal(4),)]
    assert world.rows("SELECT state FROM ops.run WHERE run_id = 'rates-1'") == [("failed",)]


@one_engine
def test_a_fetch_that_fails_is_told_and_fails_nothing(world):
    """Step by step, as the tasks of the DAG do it."""
    settings = world.home / "config" / "project.yml"
    settings.write_text(settings.read_text().replace("fx:\n", "fx:\n  fetch_url: http://127.0.0.1:9/none.zip\n"))
    world.use()
    assert markets.load_bundled("run", DAG)
    assert not markets.load_bundled("run", DAG), "a bundle is loaded once"
    assert markets.collect_fetched("run", DAG)["deliveries"] == 0
    assert markets.collect_user("run", DAG)["deliveries"] == 0
    assert markets.build("run", DAG)["stg.fx__rate"] > 500
    told = "rates_fetched: http://127.0.0.1:9/none.zip cannot be fetched"
    assert [each for each in markets.verdict("run", DAG) if each.startswith(told)]
    assert world.rows("SELECT state FROM ops.run WHERE dag_id = 'markets_rates_daily'") == [("success",)]


def any_rate(chance: random.Random, currency: str) -> str:
    rate, confirmed = chance.choice(["4", "4.4", "40", "0", "-1"]), chance.choice(["", "yes"])
    return f"{on(chance.randrange(-3, 5))},{currency},{rate},bank,,{confirmed}"


@pytest.mark.slow
@one_engine
def test_amounts_in_the_orders_own_currency_never_move_with_the_rates(world, files):
    """Whatever is stated, corrected and withdrawn: they stay, and base amounts follow from the rate named."""
    chance = random.Random(5)
    moneys = ("AED", "TWD", "SEK", "EUR")
    world.deliver("a.csv", [line(f"o{n}", n % 5, f"{n + 1}.37", money=moneys[n % 4]) for n in range(40)])
    world.run(0, 5)
    local = world.rows(LOCAL)
    assert len(local) == 40
    for _ in range(3):
        files.write("some.csv", *(any_rate(chance, currency) for currency in moneys[:3] for _ in range(3)))
        files.run()
        assert world.rows(LOCAL) == local
        converted = world.rows(
            "SELECT l.amount, l.amount_base, r.rate, l.fx_status, l.fx_rate_id, r.rate_id "
            "FROM mart.fct_order_line AS l "
            "LEFT JOIN stg.fx__rate AS r ON l.currency_code = r.currency_code AND l.fx_rate_date = r.rate_date "
            "WHERE l.currency_code <> 'EUR'"
        )
        assert len(converted) == 30 and any(base for _, base, *_ in converted)
        for amount, base, rate, status, used, named in converted:
            assert (base is None) == (status == "missing") == (used is None)
            if base is not None:
                assert used == named
                assert abs(base - amount / rate) <= Decimal("0.00005")
