"""Where a crawl finds sitemaps, what it takes from them, and what it keeps of those that are wrong."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from crawl_world import FAST, Reply, Site, ask, page, run, scope_of, sitemap, text, to

from caravan import PROJECT_ROOT
from caravan.clients.crawl.runs import Plan

Crawled = Callable[..., Callable[[str], list[tuple[object, ...]]]]
"""Files and settings of a plan to what answers SQL."""


class Served:
    """Files of a site; `{url}` in them is its address."""

    def __init__(self, files: dict[str, Reply]) -> None:
        self.site = Site(self.route)
        self.files = {"/": page("home", [])} | files

    def route(self, path: str) -> Reply | None:
        reply = self.files.get(path)
        if reply is None or reply.body.startswith(b"\x1f\x8b"):
            return reply
        headers = {name: value.replace("{url}", self.site.url) for name, value in reply.headers.items()}
        return replace(reply, body=reply.body.replace(b"{url}", self.site.url.encode()), headers=headers)


def index(*urls: str) -> Reply:
    rows = "".join(f"<sitemap><loc>{url}</loc></sitemap>" for url in urls)
    return text(f'<sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{rows}</sitemapindex>')


def robots(*names: str) -> Reply:
    return text("User-agent: *\nDisallow: /private\n" + "".join(f"Sitemap: {{url}}/{name}\n" for name in names))


@pytest.fixture
def crawled(tmp_path: Path) -> Iterator[Crawled]:
    """Crawls a site of these files, and answers SQL, addresses without the site's."""

    def crawl(files: dict[str, Reply], **plan: tuple[str, ...]) -> Callable[[str], list[tuple[object, ...]]]:
        served = Served(files)
        with served.site.serve() as site:
            given = {name: tuple(each.format(url=site.url) for each in value) for name, value in plan.items()}
            run(tmp_path / "a", Plan((site.url + "/",), scope_of(site), FAST, **given))
        sitemaps = [path for _, path, _, _ in site.log if "map" in path]
        assert len(sitemaps) == len(set(sitemaps)), "each is asked for once"

        def answer(sql: str) -> list[tuple[object, ...]]:
            rows = ask(tmp_path / "a", sql)
            return [tuple(v.replace(site.url, "") if isinstance(v, str) else v for v in row) for row in rows]

        return answer

    yield crawl


SITEMAPS = "SELECT url, parent_url, declared_in, kind, reason, status_code, url_count FROM sitemap ORDER BY url"


def test_those_that_robots_names(crawled: Crawled) -> None:
    answer = crawled(
        {
            "/robots.txt": robots("map1.xml", "map2.txt"),
            "/map1.xml": sitemap(["{url}/a", "{url}/private/b"]),
            "/map2.txt": text("{url}/c\n"),
            "/a": page("a", []),
            "/c": page("c", []),
        }
    )
    assert answer(SITEMAPS) == [
        ("/map1.xml", None, "robots", "urlset", None, 200, 2),
        ("/map2.txt", None, "robots", "text", None, 200, 1),
    ]
    assert answer("SELECT url, depth, outcome FROM page ORDER BY url") == [
        ("/", 0, "fetched"),
        ("/a", 0, "fetched"),
        ("/c", 0, "fetched"),
        ("/private/b", 0, "blocked"),
    ]
    assert answer("SELECT url, source FROM seed ORDER BY url") == [
        ("/", "start"),
        ("/a", "sitemap"),
        ("/c", "sitemap"),
        ("/private/b", "sitemap"),
    ]


def test_without_a_name_one_is_guessed(crawled: Crawled) -> None:
    answer = crawled({"/sitemap.xml": sitemap(["{url}/a"])})
    assert answer(SITEMAPS) == [("/sitemap.xml", None, "guess", "urlset", None, 200, 1)]


def test_a_guess_that_is_missing(crawled: Crawled) -> None:
    answer = crawled({})
    assert answer(SITEMAPS) == [("/sitemap.xml", None, "guess", None, None, 404, None)]


def test_those_of_the_configuration(crawled: Crawled) -> None:
    answer = crawled({"/mymap.xml": sitemap(["{url}/a"])}, sitemaps=("{url}/mymap.xml",))
    assert answer(SITEMAPS) == [("/mymap.xml", None, "config", "urlset", None, 200, 1)]


def test_indexes_redirects_and_loops(crawled: Crawled) -> None:
    answer = crawled(
        {
            "/robots.txt": robots("map.xml"),
            "/map.xml": index("{url}/map-a.xml", "{url}/map-b.xml", "{url}/map.xml"),
            "/map-a.xml": to("{url}/map-c.xml.gz"),
            "/map-c.xml.gz": Reply(gzip.compress(sitemap(["http://other.example/x"]).body)),
            "/map-b.xml": index("{url}/map-d.xml"),
            "/map-d.xml": index("{url}/map-e.xml"),
            "/map-e.xml": index("{url}/map-f.xml"),
        }
    )
    assert answer(SITEMAPS) == [
        ("/map-a.xml", "/map.xml", "index", None, None, 301, None),
        ("/map-b.xml", "/map.xml", "index", "index", None, 200, 1),
        ("/map-c.xml.gz", "/map-a.xml", "index", "urlset", None, 200, 1),
        ("/map-d.xml", "/map-b.xml", "index", "index", None, 200, 1),
        ("/map-e.xml", "/map-d.xml", "index", "index", None, 200, 1),
        ("/map-f.xml", "/map-e.xml", "index", None, "too_deep", None, None),
        ("/map.xml", None, "robots", "index", None, 200, 3),
        ("/map.xml", "/map.xml", "index", None, "loop", None, None),
    ]


def test_addresses_that_are_none_are_kept_with_what_is_wrong(crawled: Crawled) -> None:
    urls = ["http://other.example/a", "/relative", "{url}/" + "x" * 3000, "javascript:1", "{url}/a b,c", "{url}/a#part"]
    answer = crawled({"/robots.txt": robots("map.xml"), "/map.xml": sitemap(urls)})
    rows = answer("SELECT position, url, problem, page_key IS NULL FROM sitemap_url ORDER BY position")
    assert rows == [
        (0, "http://other.example/a", "other_host", False),
        (1, "/relative", "not_absolute", True),
        (2, "/" + "x" * 3000, "too_long", True),
        (3, "javascript:1", "not_absolute", True),
        (4, "/a%20b,c", None, False),
        (5, "/a", None, False),
    ]
    assert {url for (url,) in answer("SELECT url FROM page")} == {"/", "/a", "/a%20b,c"}


def test_alternates_and_moments(crawled: Crawled) -> None:
    body = (
        '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:x="http://www.w3.org/1999/xhtml"'
        ' xmlns:n="http://www.google.com/schemas/sitemap-news/0.9"><url><loc>{url}/a</loc>'
        "<lastmod>2026-01-02T03:04:05+01:00</lastmod>"
        "<n:news><n:publication_date>2026-01-01</n:publication_date></n:news>"
        '<x:link rel="alternate" hreflang="de" href="{url}/de/a"/><x:link rel="alternate" hreflang="fr" href="fr"/>'
        "</url></urlset>"
    )
    answer = crawled({"/robots.txt": robots("map.xml"), "/map.xml": text(body), "/a": page("a", [])})
    assert answer("SELECT lastmod, lastmod_at::VARCHAR, news_published_at::VARCHAR FROM sitemap_url") == [
        ("2026-01-02T03:04:05+01:00", "2026-01-02 02:04:05", "2026-01-01 00:00:00")
    ]
    sql = (
        "SELECT page.url, source, code, href, target_url, sitemap_url FROM hreflang JOIN page USING (page_key)"
        " ORDER BY code"
    )
    assert answer(sql) == [
        ("/a", "sitemap", "de", "/de/a", "/de/a", "/map.xml"),
        ("/a", "sitemap", "fr", "fr", None, "/map.xml"),
    ]


@pytest.mark.parametrize(
    ("reply", "status", "kind", "reason"),
    [
        (text("no", 404), 404, None, None),
        (text("no", 501), 501, None, None),
        (page("not found", []), 200, None, "not_a_sitemap"),
        (text(b"<urlset"), 200, "urlset", "not_well_formed"),
    ],
)
def test_sitemaps_that_are_wrong(
    crawled: Crawled,
    reply: Reply,
    status: int,
    kind: str | None,
    reason: str | None,
) -> None:
    answer = crawled({"/robots.txt": robots("map.xml"), "/map.xml": reply})
    [row] = answer("SELECT status_code, kind, split_part(reason, ':', 1) FROM sitemap")
    assert row == (status, kind, reason)


LARGE = """
import sys
from pathlib import Path
from dataclasses import replace
from crawl_world import FAST, Plan, run
from caravan.core.crawl import Scope
from caravan.core.urls import host_of
folder, url = sys.argv[1:]
scope = Scope(frozenset([host_of(url)]), private_addresses=True)
record = run(Path(folder), Plan((url,), scope, replace(FAST, pages_of_host=10)))
# Not getrusage: its peak is the parent's, from before the program began.
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(sum(record.counts.values()), peak.split()[1])
"""


@pytest.mark.parametrize("count", [20_000, pytest.param(200_000, marks=pytest.mark.slow)])
def test_a_large_sitemap(tmp_path: Path, count: int) -> None:
    served = Served({"/robots.txt": robots("map.xml")})
    with served.site.serve() as site:
        body = sitemap([f"{site.url}/some/folder/page-{each}.html" for each in range(count)])
        served.files["/map.xml"] = Reply(gzip.compress(body.body, 1))
        told = subprocess.run(
            [sys.executable, "-P", "-c", LARGE, str(tmp_path / "a"), site.url + "/"],
            env={"PYTHONPATH": f"{PROJECT_ROOT / 'plugins'}:{Path(__file__).parent}"},
            capture_output=True,
            check=True,
        )
    addresses, kilobytes = map(int, told.stdout.split())
    assert addresses == count + 1
    assert ask(tmp_path / "a", "SELECT count(*), count(DISTINCT page_key) FROM sitemap_url") == [(count, count)]
    assert ask(tmp_path / "a", "SELECT count(*), count(DISTINCT page_key) FROM page") == [(count + 1, count + 1)]
    assert ask(tmp_path / "a", "SELECT url_count FROM sitemap") == [(count,)]
    assert kilobytes < 300 << 10
