"""Hosts that want to be asked more slowly, or later: waiting costs nothing, and what was not read is not seen."""

from __future__ import annotations

import gzip
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from crawl_world import FAST, Reply, Site, ask, asked_for, page, run, scope_of, sitemap, text

from caravan.clients.crawl.crawl import Crawl
from caravan.clients.crawl.runs import LITTLE, Plan
from caravan.core.crawl import Limits


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each turn of the loop."""
    taken: list[int] = []
    turn = Crawl._turn

    def counted(self: Crawl, depth: int) -> None:
        taken.append(depth)
        turn(self, depth)

    monkeypatch.setattr(Crawl, "_turn", counted)
    return taken


def test_a_turn_that_is_waited_for_costs_no_processor(tmp_path: Path, turns: list[int]) -> None:
    def route(path: str) -> Reply | None:
        return page(path, ["/a", "/b", "/c"]) if path in ("/", "/a", "/b", "/c") else None

    with Site(route).serve() as site:
        run(tmp_path / "a", Plan((site.url + "/",), scope_of(site), Limits(requests_per_second=4)))
        assert site.paths() == ["/", "/a", "/b", "/c"]
    assert len(turns) < 100


def test_what_a_host_was_too_busy_to_show_was_not_seen(tmp_path: Path) -> None:
    def route(path: str) -> Reply | None:
        if path == "/sitemap.xml":
            return sitemap([f"{site.url}/{each}" for each in "abcd"])
        if path == "/robots.txt":
            return None
        return page(path, []) if path in ("/", "/a") else text("slow down", 429)

    with Site(route).serve() as site:
        plan = Plan((site.url + "/",), scope_of(site), replace(FAST, attempts=2))
        record = run(tmp_path / "a", plan)
        assert asked_for(tmp_path / "a") == site.paths(), "it was asked for nevertheless"
    certificate = record.certificate
    assert (certificate.expected_count, certificate.seen_count, certificate.is_complete) == (4, 1, False)
    assert dict(certificate.skipped) == {"told_to_wait": 3}
    rows = ask(tmp_path / "a", "SELECT outcome, reason, status_code, count(*) FROM page GROUP BY ALL ORDER BY 1")
    assert rows == [("fetched", None, 200, 2), ("skipped", "told_to_wait", 429, 3)]


BUSY, FAILING = text("slow down", 429), text("oh", 500)
_PACKED = {"Content-Type": "text/html", "Content-Encoding": "gzip"}
CUT = Reply(gzip.compress(b"<title>whole</title>" * 99)[:-9], 200, _PACKED)


@pytest.mark.parametrize("answer", [BUSY, FAILING, CUT], ids=["busy", "failing", "cut"])
@pytest.mark.parametrize(("unseen", "stopped"), [("bcde", LITTLE), ("cde", None)])
def test_a_site_without_a_sitemap_of_which_most_was_not_to_be_seen(tmp_path, answer, unseen, stopped) -> None:
    def route(path: str) -> Reply | None:
        if path == "/":
            return page(path, [f"/{each}" for each in "abcde"])
        return answer if path[1:] in tuple(unseen) else page(path, [])

    with Site(route).serve() as site:
        certificate = run(
            tmp_path / "a", Plan((site.url + "/",), scope_of(site), replace(FAST, attempts=2))
        ).certificate
    assert (certificate.stopped, certificate.is_complete) == (stopped, stopped is None)


def test_a_sitemap_that_wants_to_be_asked_much_later_holds_no_crawl(tmp_path: Path) -> None:
    def route(path: str) -> Reply | None:
        if path == "/robots.txt":
            return text(f"Sitemap: {site.url}/1.xml\nSitemap: {site.url}/2.xml\n")
        if path == "/1.xml":
            return Reply(b"", 503, {"Retry-After": "999999"})
        return page(path, []) if path == "/" else sitemap([])

    stop = threading.Event()
    timer = threading.Timer(20, stop.set)
    with Site(route).serve() as site:
        timer.start()
        record = run(tmp_path / "a", Plan((site.url + "/",), scope_of(site), FAST), stop=stop)
        timer.cancel()
    assert record.ended_at is not None, "it waited until it was stopped"
    assert dict(record.certificate.failed_hosts) == {site.host: "told_to_wait"}
    rows = ask(tmp_path / "a", "SELECT outcome, reason, status_code FROM sitemap ORDER BY url")
    assert rows == [("fetched", None, 503), ("skipped", "told_to_wait", None)]
