"""The night after: pages that have not changed cost no body, and the tables are as if they had been read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from crawl_world import FAST, Reply, Site, ask, asked_for, page, run, scope_of, sitemap, tables, text

from caravan.clients.crawl.runs import Plan
from caravan.clients.crawl.sitemaps import NAMESPACE

PAGES = 80


class Changing:
    """A site of `PAGES` pages whose texts and links can be changed between two crawls."""

    def __init__(self) -> None:
        self.texts: dict[int, str] = {}
        self.links: dict[int, list[int]] = {each: [each * 3 + 1, each * 3 + 2, each * 3 + 3] for each in range(PAGES)}
        self.gone: set[int] = set()
        self.site = Site(self.route)

    def route(self, path: str) -> Reply | None:
        if path == "/robots.txt":
            return text("User-agent: *\nDisallow: /private\n")
        if path == "/sitemap.xml":
            return sitemap([f"{self.site.url}/p/7", f"{self.site.url}/p/9"])
        number = 0 if path == "/" else int(path.removeprefix("/p/")) if path.startswith("/p/") else -1
        if number not in self.links or number in self.gone:
            return None
        below = [f"/p/{each}" for each in self.links[number] if each < PAGES]
        title = self.texts.get(number, f"page {number}")
        return page(title, [*below, "/none", "/private/1"], '<meta name="a" content="b">')


@pytest.fixture
def world() -> Iterator[Changing]:
    world = Changing()
    with world.site.serve():
        yield world


@pytest.fixture
def plan(world: Changing) -> Plan:
    return Plan((world.site.url + "/",), scope_of(world.site), FAST)


def test_nothing_changed(tmp_path: Path, world: Changing, plan: Plan) -> None:
    run(tmp_path / "a", plan, checkpoint=16)
    world.site.log.clear()
    record = run(tmp_path / "b", plan, last=tmp_path / "a", checkpoint=25)
    pages = [entry for entry in world.site.log if entry[1] == "/" or entry[1].startswith("/p/")]
    assert len(pages) == PAGES and all(status == 304 and size == 0 for _, _, status, size in pages)
    assert record.counts["not_modified"] == PAGES
    known = ("outcome", "wire_bytes", "expected")
    first, second = tables(tmp_path / "a", *known), tables(tmp_path / "b", *known)
    # The second knows of the first, and says so.
    last_run = [row for row in second["seed"] if "'last_run'" in row]
    assert len(last_run) == PAGES
    second["seed"] = [row for row in second["seed"] if row not in last_run]
    assert second == first
    assert sum(map(len, first.values())) > 5 * PAGES
    assert record.certificate.is_complete and record.certificate.expected_count == PAGES
    assert ask(tmp_path / "b", "SELECT sum(wire_bytes) FROM page WHERE outcome = 'not_modified'") == [(0,)]


def test_a_third_night_is_as_good(tmp_path: Path, world: Changing, plan: Plan) -> None:
    run(tmp_path / "a", plan)
    run(tmp_path / "b", plan, last=tmp_path / "a")
    world.site.log.clear()
    record = run(tmp_path / "c", plan, last=tmp_path / "b")
    assert record.counts["not_modified"] == PAGES
    assert tables(tmp_path / "c") == tables(tmp_path / "b")


def test_what_changed_is_read_and_what_did_not_is_carried_forward(tmp_path: Path, world: Changing, plan: Plan) -> None:
    run(tmp_path / "a", plan)
    world.texts[5] = "another title"
    world.links[6] = [70, 71]  # 70 and 71 are nearer now, 19, 20 and 21 have no link any more
    world.gone = {12}
    run(tmp_path / "b", plan, last=tmp_path / "a")
    run(tmp_path / "afresh", plan)
    differs = ("outcome", "wire_bytes")
    carried, read = tables(tmp_path / "b", *differs), tables(tmp_path / "afresh", *differs)
    assert set(read["page"]) <= set(carried["page"])
    # Those without a link were asked for last, because the night before had seen them: a crawl afresh knows none.
    [(depth,)] = ask(tmp_path / "afresh", "SELECT max(depth) FROM page")
    orphans = ask(tmp_path / "b", f"SELECT url FROM page WHERE depth > {depth}")
    paths = {url.removeprefix(world.site.url) for (url,) in orphans}
    assert {"/p/19", "/p/20", "/p/21", "/p/37", "/p/38", "/p/39"} <= paths
    assert len(carried["page"]) == len(read["page"]) + len(paths)
    assert set(read["link"]) <= set(carried["link"]) and set(read["header"]) <= set(carried["header"])
    sql = "SELECT outcome, title FROM page WHERE url LIKE '%/p/5'"
    assert ask(tmp_path / "b", sql) == [("fetched", "another title")]
    assert ask(tmp_path / "b", "SELECT status_code FROM page WHERE url LIKE '%/p/12'") == [(404,)]


def test_a_page_that_nothing_leads_to_any_more_is_asked_for_last(tmp_path: Path, world: Changing, plan: Plan) -> None:
    run(tmp_path / "a", plan)
    world.links[13] = []  # which led to 40, 41 and 42
    record = run(tmp_path / "b", plan, last=tmp_path / "a")
    assert {"/p/40", "/p/41", "/p/42"} <= set(world.site.paths())
    late = ask(tmp_path / "b", "SELECT url FROM page WHERE depth = (SELECT max(depth) FROM page) ORDER BY url")
    assert [url.removeprefix(world.site.url) for (url,) in late] == ["/p/40", "/p/41", "/p/42"]
    assert record.certificate.expected_count == record.certificate.seen_count == PAGES


@pytest.mark.parametrize(
    "other",
    [
        {"extractor_version": "2"},
        {"plan": {"limits": replace(FAST, links_of_page=9)}},
        {"plan": {"limits": replace(FAST, depth=49)}},
    ],
    ids=["extractor", "links", "depth"],
)
def test_nothing_is_carried_forward_from_another_configuration(
    tmp_path: Path, world: Changing, plan: Plan, other: dict[str, object]
) -> None:
    run(tmp_path / "a", plan)
    changed = replace(plan, **other.pop("plan", {}))  # type: ignore[arg-type]
    record = run(tmp_path / "b", changed, last=tmp_path / "a", **other)
    assert "not_modified" not in record.counts


def test_nothing_is_carried_forward_from_a_crawl_that_is_not_complete(
    tmp_path: Path, world: Changing, plan: Plan
) -> None:
    few = replace(plan, limits=replace(FAST, pages_of_host=9))
    assert not run(tmp_path / "a", few).certificate.is_complete
    assert "not_modified" not in run(tmp_path / "b", few, last=tmp_path / "a").counts


def test_a_crawl_with_an_archive_that_was_stopped_goes_on(tmp_path: Path, world: Changing, plan: Plan) -> None:
    from threading import Event

    run(tmp_path / "a", plan)
    stop = Event()
    world.site.delay = 0.005
    run(
        tmp_path / "b",
        plan,
        last=tmp_path / "a",
        stop=stop,
        checkpoint=5,
        progress=lambda counts: stop.set() if counts.by_outcome.get("not_modified", 0) > 20 else None,
    )
    assert 20 < ask(tmp_path / "b", "SELECT count(*) FROM page")[0][0] < PAGES
    world.site.log.clear()
    run(tmp_path / "b", plan, last=tmp_path / "a")
    run(tmp_path / "c", plan, last=tmp_path / "a")
    assert tables(tmp_path / "b") == tables(tmp_path / "c")


def test_the_log_of_a_night_without_changes(tmp_path: Path, world: Changing, plan: Plan) -> None:
    run(tmp_path / "a", plan)
    world.site.log.clear()
    run(tmp_path / "b", plan, last=tmp_path / "a")
    assert asked_for(tmp_path / "b") == world.site.paths()


class Mapped:
    """A site of sitemaps: an index, one of pages with all that a sitemap can say, one of text, and one with a fault."""

    def __init__(self) -> None:
        self.listed = [f"/p/{each}" for each in range(30)]
        self.site = Site(self.route)

    def route(self, path: str) -> Reply | None:
        url = self.site.url
        if path == "/robots.txt":
            return text(f"User-agent: *\nDisallow: /private\nSitemap: {url}/index.xml\n")
        if path == "/index.xml":
            names = "".join(f"<sitemap><loc>{url}/{each}</loc></sitemap>" for each in ("a.xml", "b.txt", "c.xml"))
            return self._tagged(f'<sitemapindex xmlns="{NAMESPACE}">{names}</sitemapindex>')
        if path == "/a.xml":
            rows = "".join(
                f"<url><loc>{url}{each}?utm=1</loc><lastmod>2026-03-01</lastmod>"
                f'<xhtml:link rel="alternate" hreflang="de" href="{url}/de{each}"/>'
                f'<xhtml:link rel="alternate" hreflang="en" href="{each}"/></url>'
                for each in self.listed
            )
            namespaces = f'xmlns="{NAMESPACE}" xmlns:xhtml="http://www.w3.org/1999/xhtml"'
            other = "<url><loc>https://other.test/</loc></url><url><loc>/relative</loc></url>"
            return self._tagged(f"<urlset {namespaces}>{rows}{rows[: rows.index('<url>', 1)]}{other}</urlset>")
        if path == "/b.txt":
            return self._tagged(f"{url}/private/1\n{url}/p/100\n")
        if path == "/c.xml":
            return self._tagged(f'<urlset xmlns="{NAMESPACE}"><url><loc>{url}/p/101</loc></url>')
        return page(path, [])

    def _tagged(self, body: str) -> Reply:
        return Reply(body.encode(), headers={"Content-Type": "text/plain", "ETag": f'"{hash(body)}"'})


@pytest.fixture
def mapped() -> Iterator[Mapped]:
    mapped = Mapped()
    with mapped.site.serve():
        yield mapped


def answers(mapped: Mapped) -> dict[str, int]:
    """Of sitemaps, since the last time."""
    found = {path: status for _, path, status, _ in mapped.site.log if path.endswith((".xml", ".txt"))}
    mapped.site.log.clear()
    return {path: status for path, status in found.items() if path != "/robots.txt"}


def test_sitemaps_that_have_not_changed_are_not_sent_again(tmp_path: Path, mapped: Mapped) -> None:
    plan = Plan((mapped.site.url + "/",), scope_of(mapped.site), FAST)
    run(tmp_path / "a", plan)
    assert answers(mapped) == {"/index.xml": 200, "/a.xml": 200, "/b.txt": 200, "/c.xml": 200}
    known = ("outcome", "wire_bytes", "expected")
    first = tables(tmp_path / "a", *known)
    assert (len(first["hreflang"]), len(first["sitemap_url"])) == (62, 36)
    for last, folder in (("a", "b"), ("b", "c")):
        run(tmp_path / folder, plan, last=tmp_path / last)
        # What an index names is in no table of its own, and of a broken one nobody knows what it may say.
        assert answers(mapped) == {"/index.xml": 200, "/a.xml": 304, "/b.txt": 304, "/c.xml": 200}
        again = tables(tmp_path / folder, *known)
        again["seed"] = [row for row in again["seed"] if "'last_run'" not in row]
        assert again == first
        said = ask(tmp_path / folder, "SELECT url, outcome, url_count FROM sitemap ORDER BY url")
        assert [(url.removeprefix(mapped.site.url), *rest) for url, *rest in said] == [
            ("/a.xml", "not_modified", 33),
            ("/b.txt", "not_modified", 2),
            ("/c.xml", "fetched", 1),
            ("/index.xml", "fetched", 3),
        ]
    mapped.listed.append("/p/30")
    run(tmp_path / "d", plan, last=tmp_path / "c")
    assert answers(mapped) == {"/index.xml": 200, "/a.xml": 200, "/b.txt": 304, "/c.xml": 200}
    assert ask(tmp_path / "d", "SELECT count(*) FROM sitemap_url WHERE url LIKE '%/p/30?utm=1'") == [(1,)]
    record = run(tmp_path / "e", plan, last=tmp_path / "d")
    assert record.certificate.is_complete
    assert tables(tmp_path / "e", *known)["sitemap_url"] == tables(tmp_path / "d", *known)["sitemap_url"]


@pytest.mark.parametrize("is_repeated", [True, False], ids=["in the 304 as well", "never in a 304"])
def test_a_header_for_robots_counts_though_the_page_has_not_changed(tmp_path: Path, is_repeated: bool) -> None:
    tag = {"X-Robots-Tag": "noindex"}
    whole = page("Home", ["/a"])
    pages = {"/": whole, "/a": replace(page("A", ["/"]), headers={**page("A", ["/"]).headers, **tag})}
    with Site(pages.get).serve() as site:
        site.headers_of_unchanged = is_repeated
        plan = Plan((site.url + "/",), scope_of(site), FAST)
        run(tmp_path / "a", plan)
        # The tag moves from one page to the other; neither has another ETag.
        pages["/"], pages["/a"] = replace(whole, headers={**whole.headers, **tag}), page("A", ["/"])
        run(tmp_path / "b", plan, last=tmp_path / "a")
        told = dict(ask(tmp_path / "b", "SELECT url, robots_http FROM page"))
        assert told[f"{site.url}/a"] == []
        assert told[f"{site.url}/"] == (["noindex"] if is_repeated else [])
        assert asked_for(tmp_path / "b") == (["/", "/", "/a"] if is_repeated else ["/", "/a"])
