"""A crawl asks for every address once, in the order that makes it repeatable, and says what it did not ask for."""

from __future__ import annotations

import errno
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from crawl_world import FAST, Reply, Site, ask, asked_for, page, run, scope_of, sitemap, tables, text, to

from caravan.clients.crawl.crawl import Crawl
from caravan.clients.crawl.parts import Parts
from caravan.clients.crawl.runs import NOTHING, STOPPED, Plan, read_record
from caravan.core.crawl import Counts
from caravan.core.errors import CaravanError, Retryable

PAGES = 120


def tree(path: str) -> Reply | None:
    """`PAGES` pages, each with three more, some of what goes wrong, and an image."""
    fixed = {
        "/robots.txt": text("User-agent: *\nDisallow: /private\n"),
        "/r": to("/p/3"),
        "/r2": to("/r"),
        "/loop1": to("/loop2"),
        "/loop2": to("/loop1"),
        "/i.png": text(b"\x89PNG", kind="image/png"),
        "/broken": text("oh", 500),
    }
    if path in fixed:
        return fixed[path]
    if path == "/":
        return page(
            "home", ["/p/0", "/private/x", "/r2", "/loop1", "/nothing", "/p/0?utm_source=a", "/i.png", "mailto:a@b"]
        )
    if path.startswith("/p/"):
        number = int(path.removeprefix("/p/").partition("?")[0])
        below = [f"/p/{each}" for each in range(number * 3 + 1, number * 3 + 4) if each < PAGES]
        image = '<link rel="icon" href="data:,">'
        reply = page(f"page {number}", [*below, "/", "/nothing"], image)
        return replace(reply, body=reply.body.replace(b"</body>", b'<img src="/j.png"></body>'))
    return None


@pytest.fixture
def site() -> Iterator[Site]:
    with Site(tree).serve() as served:
        yield served


@pytest.fixture
def plan(site: Site) -> Plan:
    return Plan((site.url + "/",), scope_of(site, dropped_parameters=frozenset(["utm_source"])), FAST)


def test_the_page_table_equals_the_log(tmp_path: Path, site: Site, plan: Plan) -> None:
    record = run(tmp_path / "a", plan)
    assert asked_for(tmp_path / "a") == site.paths()
    assert len(site.paths()) > PAGES
    # HEAD first; a server that answers 404 to that is asked by GET.
    assert sorted(site.paths("HEAD")) == ["/j.png"]
    assert record.ended_at is not None and record.certificate.is_complete
    assert record.counts["blocked"] == 1
    counted = dict(ask(tmp_path / "a", "SELECT outcome, count(*) FROM page GROUP BY outcome"))
    assert dict(record.counts) == counted


def test_an_address_is_asked_for_once(tmp_path: Path, site: Site, plan: Plan) -> None:
    run(tmp_path / "a", plan)
    assert ask(tmp_path / "a", "SELECT count(*) - count(DISTINCT page_key) FROM page") == [(0,)]
    asked = Counter(path for path in site.paths("GET") if path != "/j.png")
    assert [path for path, count in asked.items() if count > 1] == []


@pytest.mark.parametrize("shown", ["<img src='/x'><a href='/x?utm_source=a'>x</a>", "<a href='/x'>x</a><img src='/x'>"])
def test_what_is_shown_and_linked_to_is_read(tmp_path: Path, shown: str) -> None:
    home = page("home", [])
    body = home.body.replace(b"</body>", shown.encode() + b"</body>")
    own = Site({"/": replace(home, body=body), "/x": page("x", ["/y"]), "/y": page("y", [])}.get)
    with own.serve() as site:
        run(tmp_path / "a", Plan((site.url + "/",), scope_of(site, dropped_parameters=frozenset(["utm_source"])), FAST))
    assert (site.paths("GET"), site.paths("HEAD")) == (["/", "/x", "/y"], [])


def test_what_robots_keeps_from_us_is_told_and_not_asked_for(tmp_path: Path, site: Site, plan: Plan) -> None:
    run(tmp_path / "a", plan)
    blocked = ask(tmp_path / "a", "SELECT url, reason, attempt_count, depth FROM page WHERE outcome = 'blocked'")
    assert blocked == [(f"{site.url}/private/x", "robots", 0, 1)]
    assert ask(tmp_path / "a", "SELECT outcome, status_code FROM robots") == [("read", 200)]


def test_redirects_are_rows_of_their_own_and_loops_end(tmp_path: Path, site: Site, plan: Plan) -> None:
    run(tmp_path / "a", plan)
    sql = "SELECT url, location_url, depth FROM page WHERE status_code = 301 ORDER BY url"
    expected = [("/loop1", "/loop2", 1), ("/loop2", "/loop1", 2), ("/r", "/p/3", 2), ("/r2", "/r", 1)]
    assert ask(tmp_path / "a", sql) == [(site.url + url, site.url + to, depth) for url, to, depth in expected]


def test_a_page_that_cannot_exist_is_asked_for_once(tmp_path: Path, site: Site, plan: Plan) -> None:
    run(tmp_path / "a", plan)
    assert len([path for _, path, _, _ in site.log if path.startswith("/missing-")]) == 1
    assert ask(tmp_path / "a", "SELECT missing_page_status FROM host") == [(404,)]


def test_a_second_crawl_gives_the_same_tables(tmp_path: Path, site: Site, plan: Plan) -> None:
    run(tmp_path / "a", plan, checkpoint=7)
    run(tmp_path / "b", replace(plan, limits=replace(FAST, connections=1)))
    assert tables(tmp_path / "a") == tables(tmp_path / "b")


def test_most_pages(tmp_path: Path, site: Site, plan: Plan) -> None:
    plan = replace(plan, limits=replace(FAST, pages_of_host=20))
    record = run(tmp_path / "a", plan)
    assert asked_for(tmp_path / "a") == site.paths()
    assert len([path for path in site.paths() if path != "/j.png"]) == 20
    skipped = ask(tmp_path / "a", "SELECT reason, count(*) FROM page WHERE outcome = 'skipped' GROUP BY reason")
    assert skipped and skipped == list(record.certificate.skipped.items())
    assert record.certificate.stopped == f"budget_pages of {site.host}"
    assert not record.certificate.is_complete


def test_a_trap_is_left_after_its_budget(tmp_path: Path) -> None:
    def calendar(path: str) -> Reply | None:
        if path == "/":
            return page("home", ["/day?d=0", "/about"])
        if path.startswith("/day?d="):
            day = int(path.removeprefix("/day?d="))
            return page("a day", [f"/day?d={day + 1}", f"/day?d={day + 2}"])
        return page("about", []) if path == "/about" else None

    with Site(calendar).serve() as site:
        plan = Plan((site.url + "/",), scope_of(site), replace(FAST, pages_of_pattern=15))
        record = run(tmp_path / "a", plan)
    assert asked_for(tmp_path / "a") == site.paths()
    assert len([path for path in site.paths() if path.startswith("/day")]) == 15
    assert dict(record.certificate.skipped) == {"trap": 2} and record.certificate.is_complete
    assert "/about" in site.paths()


@pytest.mark.parametrize(("depth", "asked"), [(0, 1), (1, 2), (5, 6)])
def test_no_deeper_than_its_limit(tmp_path: Path, depth: int, asked: int) -> None:
    def chain(path: str) -> Reply:
        return page(path, [f"{path}x"])

    with Site(chain).serve() as site:
        record = run(tmp_path / "a", Plan((site.url + "/",), scope_of(site), replace(FAST, depth=depth)))
        assert len([path for path in site.paths() if set(path) <= set("/x")]) == asked
    assert dict(record.certificate.skipped) == {"too_deep": 1}


@pytest.mark.parametrize("status", [500, 503, 429])
def test_without_robots_nothing_is_asked_for(tmp_path: Path, status: int) -> None:
    def route(path: str) -> Reply | None:
        return text("busy", status) if path == "/robots.txt" else page("home", ["/a"])

    with Site(route).serve() as site:
        record = run(tmp_path / "a", Plan((site.url + "/",), scope_of(site), replace(FAST, attempts=1)))
        assert {path for _, path, _, _ in site.log} == {"/robots.txt"}
    rows = ask(tmp_path / "a", "SELECT outcome, reason FROM page")
    assert rows == [("skipped", "robots_unavailable")]
    assert ask(tmp_path / "a", "SELECT outcome, status_code FROM robots") == [("unavailable", status)]
    assert dict(record.certificate.failed_hosts) == {site.host: f"robots_unavailable: status_{status}"}
    assert record.certificate.stopped == NOTHING


def test_a_host_that_dies_in_the_middle_does_not_end_the_crawl(tmp_path: Path) -> None:
    other = Site(lambda path: page("other", [f"/{each}" for each in range(30)]) if path == "/" else page(path, []))

    def route(path: str) -> Reply | None:
        if path == "/":
            return page("home", [f"/a/{each}" for each in range(40)] + [f"{other.url}/"])
        if path.startswith("/a/") and len(site.paths()) == 10:
            threading.Thread(target=site.die).start()
        return page(path, [f"{path}/{each}" for each in range(3)]) if path.count("/") < 3 else page(path, [])

    limits = replace(FAST, attempts=1, connections=2, requests_per_second=50, connect_seconds=1)
    with other.serve(), Site(route).serve() as site:
        record = run(tmp_path / "a", Plan((site.url + "/",), scope_of(site, other), limits))
        assert len(other.paths()) == 31
    outcomes = dict(ask(tmp_path / "a", f"SELECT outcome, count(*) FROM page WHERE host = '{site.host}' GROUP BY ALL"))
    assert outcomes["skipped"] and outcomes["failed"] >= 10
    assert ask(tmp_path / "a", "SELECT DISTINCT reason FROM page WHERE outcome = 'skipped'") == [("host_unavailable",)]
    assert dict(record.certificate.failed_hosts) == {site.host: "host_unavailable"}
    assert record.ended_at is not None and not record.certificate.is_complete


def test_a_busy_host_is_asked_again(tmp_path: Path) -> None:
    refusals = iter([429, 429])

    def route(path: str) -> Reply | None:
        if path == "/busy" and (status := next(refusals, 0)):
            return Reply(b"", status, {"Retry-After": "0"})
        return page(path, ["/busy"]) if path in ("/", "/busy") else None

    with Site(route).serve() as site:
        run(tmp_path / "a", Plan((site.url + "/",), scope_of(site), FAST))
        assert asked_for(tmp_path / "a") == site.paths()
    sql = "SELECT status_code, attempt_count FROM page WHERE url LIKE '%/busy'"
    assert ask(tmp_path / "a", sql) == [(200, 3)]


def test_to_wait_for_a_turn_takes_no_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = 0
    turn = Crawl._turn

    def counted(crawl: Crawl, depth: int) -> None:
        nonlocal turns
        turns += 1
        turn(crawl, depth)

    monkeypatch.setattr(Crawl, "_turn", counted)
    with Site(lambda path: page(path, [f"/{number}" for number in range(6)])).serve() as site:
        run(tmp_path / "a", Plan((site.url + "/",), scope_of(site), replace(FAST, requests_per_second=4)))
    assert turns < 20 * len(site.log)


def test_private_addresses_are_refused(tmp_path: Path, site: Site, plan: Plan) -> None:
    record = run(tmp_path / "a", replace(plan, scope=replace(plan.scope, private_addresses=False)))
    assert site.log == []
    assert ask(tmp_path / "a", "SELECT outcome, reason FROM page") == [("refused", "refused_address")]
    assert dict(record.certificate.failed_hosts) == {site.host: "refused_address"}


def test_links_to_other_sites_are_asked_for_only_when_wanted(tmp_path: Path) -> None:
    other = Site(lambda path: page("other", ["/more"]) if path == "/there" else None)
    with other.serve(), Site(lambda path: page("home", [f"{other.url}/there", f"{other.url}/gone"])).serve() as site:
        plan = Plan((site.url + "/",), scope_of(site), FAST)
        run(tmp_path / "a", plan)
        assert other.log == []
        run(tmp_path / "b", replace(plan, scope=scope_of(site, check_external=True)))
        assert sorted(other.paths()) == ["/gone", "/gone", "/there"]
    sql = "SELECT url, status_code FROM page WHERE kind = 'external' ORDER BY url"
    assert ask(tmp_path / "b", sql) == [(f"{other.url}/gone", 404), (f"{other.url}/there", 200)]


def test_a_reader_that_trips_over_the_answer_to_an_address_that_cannot_exist(tmp_path: Path) -> None:
    from crawl_world import reader

    with Site(lambda path: None if path == "/robots.txt" else page(path, ["/a"])).serve() as site:
        plan = Plan((site.url + "/",), scope_of(site), FAST)
        read = reader(plan.scope, plan.limits)

        def tripping(address: Any, answer: Any) -> Any:
            if "/missing-" in address.url:
                raise RecursionError("too deep")
            return read(address, answer)

        record = run(tmp_path / "a", plan, read=tripping)
    assert record.certificate.is_complete and record.counts["fetched"] == 2
    assert ask(tmp_path / "a", "SELECT missing_page_status, missing_page_hash FROM host") == [(200, None)]


def test_a_reader_that_trips_over_a_page_costs_that_page_alone(tmp_path: Path, site: Site, plan: Plan) -> None:
    from crawl_world import reader

    read = reader(plan.scope, plan.limits)

    def tripping(address: object, answer: object) -> object:
        if address.url.endswith("/p/2"):  # type: ignore[attr-defined]
            raise RecursionError("too deep")
        return read(address, answer)  # type: ignore[arg-type]

    run(tmp_path / "a", plan, read=tripping)
    rows = ask(tmp_path / "a", "SELECT url, reason FROM page WHERE outcome = 'failed'")
    assert rows == [(f"{site.url}/p/2", "unreadable: RecursionError: too deep")]


def test_two_crawls_of_one_host(tmp_path: Path, site: Site, plan: Plan) -> None:
    site.delay = 0.02
    began = threading.Event()
    first = threading.Thread(target=run, args=(tmp_path / "a", plan), kwargs={"progress": lambda counts: began.set()})
    first.start()
    try:
        assert began.wait(10)
        with pytest.raises(Retryable, match=f"{site.host} is being crawled: process [0-9]+ crawls into .*/a since"):
            run(tmp_path / "b", plan)
        assert not (tmp_path / "b").exists()
    finally:
        first.join()
    assert asked_for(tmp_path / "a") == site.paths()


def test_a_stopped_crawl_goes_on(tmp_path: Path, site: Site, plan: Plan) -> None:
    site.delay = 0.005
    stop = threading.Event()
    told: list[Counts] = []

    def progress(counts: Counts) -> None:
        told.append(counts)
        if counts.by_outcome.get("fetched", 0) > 30:
            stop.set()

    record = run(tmp_path / "a", plan, stop=stop, progress=progress, checkpoint=10)
    assert told and record.ended_at is None and record.certificate.stopped == STOPPED
    assert asked_for(tmp_path / "a") == site.paths() and len(site.paths()) < PAGES
    record = run(tmp_path / "a", plan)
    assert record.ended_at is not None and read_record(tmp_path / "a") == record
    assert asked_for(tmp_path / "a") == site.paths()
    run(tmp_path / "b", plan)
    assert tables(tmp_path / "a") == tables(tmp_path / "b")


def test_on_a_full_disk_it_stops_and_goes_on_from_there(
    tmp_path: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = Parts._put

    def full(parts: Parts, name: str, number: int, table: pa.Table) -> None:
        if number == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        put(parts, name, number, table)

    with monkeypatch.context() as patched:
        patched.setattr(Parts, "_put", full)
        with pytest.raises(Retryable, match=r"no room left for .*/a: free some disk, then run again"):
            run(tmp_path / "a", plan, checkpoint=10)
    run(tmp_path / "a", plan)
    run(tmp_path / "b", plan)
    assert tables(tmp_path / "a") == tables(tmp_path / "b")


def test_another_configuration_is_refused_unless_afresh(tmp_path: Path, site: Site, plan: Plan) -> None:
    stop = threading.Event()
    stop.set()
    run(tmp_path / "a", plan, stop=stop)
    other = replace(plan, limits=replace(FAST, depth=7))
    with pytest.raises(CaravanError, match="begun there with another configuration"):
        run(tmp_path / "a", other)
    with pytest.raises(CaravanError, match="begun there with another configuration"):
        run(tmp_path / "a", plan, extractor_version="2")
    assert run(tmp_path / "a", other, fresh=True).ended_at is not None
    with pytest.raises(CaravanError, match="the crawl there is through"):
        run(tmp_path / "a", other)
    # How fast it goes is no other configuration.
    faster = replace(plan, limits=replace(FAST, requests_per_second=7, connections=2, attempts=9))
    assert plan.configuration_hash("1") == faster.configuration_hash("1") != other.configuration_hash("1")


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path, site: Site, plan: Plan) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "letter.txt").write_text("dear")
    for fresh in (False, True):
        with pytest.raises(CaravanError, match="is not empty, and holds no crawl"):
            run(tmp_path / "a", plan, fresh=fresh)
    assert (tmp_path / "a" / "letter.txt").read_text() == "dear"


def test_to_begin_afresh_removes_the_crawl_alone(tmp_path: Path, site: Site, plan: Plan) -> None:
    run(tmp_path / "a", replace(plan, limits=replace(FAST, pages_of_host=5)))
    (tmp_path / "a" / "notes.txt").write_text("mine")
    run(tmp_path / "a", plan, fresh=True)
    run(tmp_path / "b", plan)
    assert (tmp_path / "a" / "notes.txt").read_text() == "mine"
    assert tables(tmp_path / "a") == tables(tmp_path / "b")


@pytest.mark.parametrize("is_listed", [False, True])
def test_a_scheme_that_only_a_link_has_does_not_make_a_crawl_incomplete(tmp_path: Path, is_listed: bool) -> None:
    def route(path: str) -> Reply | None:
        if path == "/sitemap.xml" and is_listed:
            return sitemap([site.url.replace("http:", "https:") + "/secure"])
        return page(path, [site.url.replace("http:", "https:") + "/secure"]) if path == "/" else None

    with Site(route).serve() as site:
        certificate = run(tmp_path / "a", Plan((site.url + "/",), scope_of(site), FAST)).certificate
    told = "robots_unavailable: tls: wrong version number"
    assert dict(certificate.failed_hosts) == ({site.host: told} if is_listed else {})
    assert certificate.is_complete is not is_listed


def test_expected_pages_that_do_not_answer_make_a_crawl_incomplete(tmp_path: Path) -> None:
    def route(path: str) -> Reply | None:
        if path == "/sitemap.xml":
            return sitemap([f"{site.url}/{each}" for each in "abcd"])
        return page(path, []) if path in ("/", "/a", "/b", "/c", "/d") else None

    with Site(route).serve() as site:
        plan = Plan((site.url + "/",), scope_of(site, excluded=("/never",)), replace(FAST, pages_of_host=3))
        certificate = run(tmp_path / "a", plan).certificate
    assert (certificate.expected_count, certificate.is_complete) == (4, False)
    assert certificate.share is not None and certificate.share < 0.95
