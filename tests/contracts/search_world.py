"""Searches of a few days, what a Search Console would count of them, and a client of the stand-in."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from caravan.clients.http.limits import Limits
from caravan.clients.search.console import SearchConsole, open_search_console
from caravan.clients.search.rows import RowFile
from caravan.core.connections import Connection
from caravan.core.search import DayTotal, Measures, covered
from caravan.core.window import DayRange
from caravan.demo.servers.search_console import PROPERTY, Console, Search
from caravan.warehouse.raw import Batch
from caravan.warehouse.raw_tables import RAW

DAY = date(2026, 11, 10)
NOON = timedelta(hours=20)
"""After midnight UTC: noon in California, while the clocks there are on standard time."""
MARKETS = {"DE": "DE", "FR": "FR", "US": "US"}
COUNTRIES = {"deu": "DE", "fra": "FR", "usa": "US", "jpn": "JP", "zzz": "ZZ"}
PAGES = (
    "https://demo.example/",
    "https://demo.example/b,c?d=e",
    "https://demo.example/straße",
    "https://demo.example/e",
)
QUERIES = ("tea", "Grüße", "東京 お茶", "tea  two blanks", "(other)", "TEA", *(f"tea {number}" for number in range(40)))
LIMITS = Limits(attempts=4, page_bytes=4 << 20, page_seconds=20, silence_seconds=10, pull_seconds=60)

Key = tuple[str, ...]
Counted = dict[Key, tuple[int, int, int]]
"""Clicks, impressions and sum of positions, by market, country, device and page or query."""


def searches(seed: int = 1, count: int = 120) -> list[Search]:
    chance = random.Random(seed)
    return [
        Search(
            query=f"rare {number}" if number % 5 == 0 else chance.choice(QUERIES),
            country=chance.choice(list(COUNTRIES)),
            device=chance.choice(("MOBILE", "DESKTOP", "TABLET")),
            shown={page: chance.randint(1, 90) for page in chance.sample(PAGES, chance.randint(1, 3))},
            times=chance.randint(1, 30),
            clicked=chance.choice((0, 0, 0, 1)),
            is_rare=number % 5 == 0,
        )
        for number in range(count)
    ]


def truth(found: Iterable[Search], markets: Mapping[str, str] = MARKETS) -> dict[str, Counted]:
    """By breakdown, as the documentation words it."""
    sums: dict[str, dict[Key, Counter[str]]] = {}

    def add(breakdown: str, key: Key, clicks: int, times: int, position: int) -> None:
        counts = sums.setdefault(breakdown, {}).setdefault(key, Counter())
        counts.update(clicks=clicks, impressions=times, positions=position * times)

    for search in found:
        country = COUNTRIES[search.country]
        of = (markets.get(country, "ZZ"), country, search.device.lower())
        topmost, first = min(search.shown.values()), next(iter(search.shown))
        add("day", (), search.clicked, search.times, topmost)
        add("country_device", of, search.clicked, search.times, topmost)
        if not search.is_rare:
            add("query", (*of, search.query), search.clicked, search.times, topmost)
        for page, position in search.shown.items():
            clicks = search.clicked if page == first else 0
            add("page", (*of, page), clicks, search.times, position)
            add("country_device_by_page", of, clicks, search.times, position)
    return {
        name: {key: (each["clicks"], each["impressions"], each["positions"]) for key, each in counted.items()}
        for name, counted in sums.items()
    }


def rows(paths: Iterable[Path]) -> list[dict[str, Any]]:
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


def counted(found: Iterable[dict[str, Any]]) -> dict[str, Counted]:
    """What rows of raw.search_console__row say, in the words of `truth`."""
    by: dict[str, Counted] = {}
    for row in found:
        names = ("market_code", "country_code", "device", "page_url", "query_text")
        key = tuple(row[name] for name in names if row[name] is not None)
        assert key not in by.setdefault(row["breakdown"], {}), f"twice: {row['breakdown']} {key}"
        by[row["breakdown"]][key] = (row["click_count"], row["impression_count"], row["position_sum"])
    return by


def day_batch(folder: Path, day: date, found: Iterable[Search], load_id: str, observed_at: datetime) -> Batch:
    """A day's rows as a client writes them, to be appended."""
    by_code = {code: country for country, code in COUNTRIES.items()}
    file = RowFile(folder / f"{load_id}.parquet", "demo", PROPERTY, day, MARKETS)
    for breakdown, sums in truth(found).items():
        named = []
        for key, counts in sums.items():
            dimensions = dict(zip(("country", "device", breakdown), (by_code.get(c, c) for c in key[1:]), strict=False))
            named.append((dimensions, Measures(*counts)))
        file.write(breakdown, named, True if breakdown == "day" else None)
    file.finish()
    scope = covered("demo", "web", day)
    return Batch(
        RAW["raw.search_console__row"], [file.path], file.row_count, load_id, observed_at, scope, complete=True
    )


@dataclass
class Service:
    """A running stand-in and a client of it. `pauses`: what the client waited, in seconds."""

    console: Console
    connection: Connection
    folder: Path
    pauses: list[float] = field(default_factory=list)

    def open(self, connection: Connection | None = None, **settings: Any) -> AbstractContextManager[SearchConsole]:
        quick: dict[str, Callable[..., Any]] = {"pause": self.pauses.append, "random": lambda: 0.5}
        used = connection or self.connection
        return open_search_console(
            used, "demo", PROPERTY, MARKETS, self.folder, **{"limits": LIMITS, **quick, **settings}
        )

    def days(self, first: date = DAY, count: int = 1, **settings: Any) -> dict[date, DayTotal]:
        with self.open(**settings) as client:
            return dict(client.days(DayRange(first, first + timedelta(days=count))))

    def day(self, day: date = DAY, **settings: Any) -> tuple[list[dict[str, Any]], int]:
        """A day's rows, and how many came twice."""
        with self.open(**settings) as client:
            total = client.days(DayRange(day, day + timedelta(days=1)))[day]
            with client.day(day, total, datetime(2026, 11, 20)) as found:
                told = rows(found.accepted)
                assert found.received_count == len(told) + found.duplicate_count
                assert found.name == str(day)
            assert not list(self.folder.iterdir()), "its files are gone"
            return told, found.duplicate_count


def begun(console: Console, connection: Connection, folder: Path) -> Service:
    """As if the stand-in had just been opened, ten days after DAY."""
    tokens = console.tokens
    vars(console).update(vars(Console()))
    console.tokens = tokens
    at(console, DAY + timedelta(days=10))
    (folder / "pull").mkdir()
    return Service(console, connection, folder / "pull")


def at(console: Console, day: date) -> None:
    """Noon of a Pacific day, on the stand-in's clock."""
    console.faults.clock = lambda: datetime.combine(day, time()) + NOON
