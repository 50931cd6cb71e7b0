"""What follows a crawl: a sitemap, and messages to search engines that leave once, over real HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from caravan import INCLUDE_DIR
from caravan.assembly import outbox, releases, sending, site_announcing
from caravan.clients.crawl.announcing import SITEMAP_PAGE, TOLD_CHANGE
from caravan.clients.crawl.runs import Record
from caravan.config.announcements import Announcement, SitemapFile
from caravan.config.settings import Settings
from caravan.core.crawl import Certificate
from caravan.core.errors import Misconfigured, Rejected
from caravan.core.outbox import Message
from caravan.demo.servers.hub import KEY, SITE, Hub, application
from caravan.demo.servers.serving import serve
from caravan.warehouse.outbox import StoredOutbox

NIGHT = datetime(2026, 3, 2, 2, 15)
OTHER = "https://shop.example.de"


class World:
    """An installation with an outlet, and crawls as an audit leaves them. `engine`: what is told."""

    def __init__(self, home: Path, engine: Hub, endpoint: str, patch: pytest.MonkeyPatch) -> None:
        self.home, self.config, self.engine, self.now = home, home / "config", engine, NIGHT + timedelta(minutes=5)
        (self.config / "outlets").mkdir(parents=True)
        (self.config / "channels").mkdir()
        for name in ("project.yml", "markets", "privacy", "parties.yml", "methods.yml"):
            (self.config / name).symlink_to(INCLUDE_DIR / "config" / name)
        self.outlet(f"kind: indexnow\nkey: {KEY}\nendpoint: {endpoint}/indexnow\n")
        engine.sites, engine.faults.clock = {SITE, OTHER}, lambda: self.now
        self.settings = Settings(home, self.config, f"lake://{home / 'lake'}")
        patch.setattr(Settings, "from_environment", lambda: self.settings)
        for module in (sending, releases, site_announcing):
            patch.setattr(module, "utc_now", lambda: self.now)
        patch.setattr(sending, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def outlet(self, text: str) -> None:
        (self.config / "outlets" / "search.yml").write_text(f"code: search\nname: Search\n{text}")

    def crawl(self, changed: list[str], pages: list[str] | None = None, after: timedelta = timedelta(0)) -> Path:
        """The folder of one that found so, `after` the night's first."""
        folder = self.home / f"{NIGHT + after:%Y%m%dT%H%M%SZ}"
        folder.mkdir()
        rows = [{"change": "changed", "url": url} for url in changed]
        pq.write_table(pa.Table.from_pylist(rows, schema=TOLD_CHANGE), folder / "told_change.parquet")
        listed = [{"url": url, "lastmod": NIGHT.date(), "alternates": []} for url in pages or ()]
        pq.write_table(pa.Table.from_pylist(listed, schema=SITEMAP_PAGE), folder / "sitemap_page.parquet")
        return folder

    def announce(self, folder: Path, **wanted: object) -> dict[str, int]:
        started_at = datetime.strptime(folder.name, "%Y%m%dT%H%M%SZ")
        ended_at = started_at + timedelta(minutes=1)
        record = Record("same", "1", (f"{SITE}/",), started_at, ended_at, {}, Certificate(0, 0, 1))
        asked = Announcement(**({"outlet": "search"} | wanted))  # type: ignore[arg-type]
        return site_announcing.announce("shop", asked, folder, record, self.settings, "test")

    def send(self) -> None:
        for outlet in sending.list_outlets():
            sending.send(outlet)

    def messages(self) -> list[Message]:
        with outbox.open_books(self.settings) as books:
            return books.outbox.find(function="site")

    def states(self) -> list[str]:
        return [message.state for message in self.messages()]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    hub = Hub()
    with serve(application(hub)) as endpoint:
        yield World(tmp_path / "home", hub, endpoint, monkeypatch)


PAGES = [f"{SITE}/b", f"{SITE}/a?x=1,2", f"{SITE}/%C3%BC"]
ONCE = {"messages": 1, "told": 3, "over_cap": 0}
NOTHING_NEW = ONCE | {"messages": 0}


def test_each_change_is_told_once_whatever_is_done_again(world):
    folder = world.crawl(PAGES)
    assert [world.announce(folder), world.announce(folder)] == [ONCE, NOTHING_NEW]
    world.send()
    assert world.announce(folder) == NOTHING_NEW
    world.send()
    assert (world.engine.told, world.states()) == (PAGES, ["accepted"])
    sending.verdict()
    (message,) = world.messages()
    assert (message.key.object_id, message.key.target) == ("shop 2026-03-02", f"{SITE} 20260302T021500Z 1")
    ended_at = NIGHT + timedelta(minutes=1)
    assert message.intention.planned_for == ended_at, "not when it was planned: that may be after a restore"
    assert message.intention.not_after == ended_at + timedelta(days=1)


def test_each_host_is_told_of_by_itself_and_ten_thousand_pages_at_once(world):
    urls = [f"{OTHER}/{number}" for number in range(10_001)]
    folder = world.crawl([*urls, *PAGES])
    assert world.announce(folder, most_per_day=20_000) == {"messages": 3, "told": 10_004, "over_cap": 0}
    assert sorted(each.intention.payload["count"] for each in world.messages()) == [1, 3, 10_000]
    world.send()
    assert sorted(world.engine.told) == sorted([*urls, *PAGES])


def test_what_is_over_the_days_cap_is_not_told(world):
    first = world.crawl(PAGES)
    capped = {"messages": 1, "told": 2, "over_cap": 1}
    assert world.announce(first, most_per_day=2) == capped
    second = world.crawl([f"{SITE}/c", f"{SITE}/d"], after=timedelta(hours=1))
    world.now += timedelta(hours=1)
    assert world.announce(second, most_per_day=2) == {"messages": 0, "told": 0, "over_cap": 2}
    assert world.announce(second, most_per_day=3) == {"messages": 1, "told": 1, "over_cap": 1}
    assert world.announce(first, most_per_day=2) == capped | {"messages": 0}, "the later one takes nothing from it"
    assert world.announce(first, most_per_day=1) == capped | {"messages": 0}, "what is planned stays so"
    world.send()
    world.now += timedelta(days=1)
    next_day = world.crawl(PAGES[:2], after=timedelta(days=1))
    assert world.announce(next_day, most_per_day=2)["messages"] == 1
    world.send()
    assert world.engine.told == [*PAGES[:2], f"{SITE}/c", *PAGES[:2]]


def test_a_higher_cap_adds_what_was_over_it(world):
    pages = [f"{OTHER}/a", *PAGES]
    folder = world.crawl(pages)
    assert world.announce(folder, most_per_day=2) == {"messages": 2, "told": 2, "over_cap": 2}
    assert world.announce(folder, most_per_day=3) == {"messages": 1, "told": 3, "over_cap": 1}
    world.send()
    assert world.announce(folder, most_per_day=9) == {"messages": 1, "told": 4, "over_cap": 0}
    world.send()
    assert world.announce(folder, most_per_day=9) == {"messages": 0, "told": 4, "over_cap": 0}
    assert sorted(world.engine.told) == sorted(pages)
    targets = sorted(each.key.target.replace(folder.name, "-") for each in world.messages())
    assert targets == [f"{OTHER} - 1", f"{SITE} - 1", f"{SITE} - 2", f"{SITE} - 3"]


@pytest.mark.parametrize(("phase", "new"), [("planned", 1), ("after planned", 0)])
def test_a_worker_that_dies_while_it_plans_leaves_all_or_nothing(world, monkeypatch, phase, new):
    def die(at: str) -> None:
        if at == phase:
            raise KeyboardInterrupt

    folder, made = world.crawl(PAGES), StoredOutbox.__init__
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(StoredOutbox, "__init__", lambda self, ledger: made(self, ledger, die))
        world.announce(folder)
    assert world.states() == ["planned"] * (1 - new)
    assert world.announce(folder) == ONCE | {"messages": new}
    world.send()
    assert world.engine.told == PAGES


def test_two_at_once_plan_it_once(world):
    folder, begin, new = world.crawl(PAGES), threading.Barrier(4), list[int]()

    def announce() -> None:
        begin.wait()
        new.append(world.announce(folder)["messages"])

    threads = [threading.Thread(target=announce) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(new) == [0, 0, 0, 1]
    world.send()
    assert world.engine.told == PAGES


def test_a_crawl_of_long_ago_is_told_to_nobody(world):
    folder = world.crawl(PAGES)
    world.now = NIGHT + timedelta(days=1, minutes=1, seconds=1)
    assert world.announce(folder) == {}
    world.now -= timedelta(seconds=1)
    assert world.announce(folder) == ONCE


@pytest.mark.parametrize(
    ("fault", "status", "first", "then", "told"),
    [
        ("busy", 202, "rejected", "accepted", PAGES),  # 429: it was not taken, and is tried again
        ("lost", 202, "unknown", "accepted", PAGES * 2),  # nobody knows: to tell it again changes nothing
        ("down", 202, "unknown", "accepted", PAGES),
        ("ok", 422, "rejected", "rejected", PAGES),
        ("ok", 403, "rejected", "rejected", PAGES),
    ],
)
def test_what_the_engine_answers(world, fault, status, first, then, told):
    world.announce(world.crawl(PAGES))
    world.engine.status = status
    world.engine.faults.next(fault)
    world.send()
    (message,) = world.messages()
    with outbox.open_books(world.settings) as books:
        assert first in {each.to_state for each in books.outbox.events(message.message_id)}
    for _ in range(2):
        world.now += timedelta(minutes=2)
        world.send()
    assert (world.states(), world.engine.told) == ([then], told)
    if then == "rejected":
        with pytest.raises(Rejected, match=r"refused for good \(search: 1\)"):
            sending.verdict()


def test_an_engine_that_does_not_find_the_key_is_told_nothing(world):
    world.engine.sites = {OTHER}
    world.announce(world.crawl(PAGES))
    world.send()
    (message,) = world.messages()
    assert (message.state, world.engine.told) == ("rejected", [])
    assert "does not find the key" in str(message.reason)


def test_an_outlet_that_is_off_or_is_not_there(world):
    folder, path = world.crawl(PAGES), world.config / "outlets" / "search.yml"
    path.write_text(path.read_text() + "enabled: false\n")
    assert (world.announce(folder), world.states()) == ({}, [])
    world.outlet("kind: websub\nhub: https://hub.example.com/\n")
    with pytest.raises(Misconfigured, match="outlet search: is not there, or of another kind than indexnow"):
        world.announce(folder)
    world.outlet("kind: indexnow\n")
    with pytest.raises(Misconfigured, match=r"outlets/search.yml.* key: is required"):
        world.announce(folder)


def test_a_sitemap_lists_what_lies_below_it_and_one_without_pages_stops_nothing_else(world):
    folder = world.crawl([], [f"{OTHER}/a", f"{SITE}/", f"{SITE}/shop/a", f"{SITE}/shop/b"])
    sitemaps = (
        SitemapFile(url="https://empty.example/sitemap.xml", folder="empty"),
        SitemapFile(url=f"{SITE}/shop/pages.xml", folder="web/shop"),
        SitemapFile(url=f"{OTHER}/sitemap.xml", folder=str(world.home / "de")),
    )
    with pytest.raises(Rejected, match=r"NOTHING_TO_LIST: no page .* https://empty.example/sitemap.xml: what is there"):
        world.announce(folder, sitemaps=sitemaps)
    assert not (world.home / "empty").exists()
    xml = (world.home / "web" / "shop" / "pages.xml").read_text()
    assert xml.count("<url>") == 2 and f"<loc>{SITE}/shop/a</loc><lastmod>2026-03-02</lastmod>" in xml
    assert (world.home / "de" / "sitemap.xml").read_text().count("<url>") == 1
    assert world.announce(folder, outlet=None, sitemaps=sitemaps[1:]) == {"listed": 3}
