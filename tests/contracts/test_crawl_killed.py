"""A crawl that is killed goes on, and in the end nobody can tell from its tables."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from crawl_world import FAST, IMPATIENT, Reply, Site, ask, asked_for, page, run, scope_of, sitemap, tables, text, to

from caravan import PROJECT_ROOT
from caravan.clients.crawl.runs import AWAY, LITTLE, Plan, read_record

PAGES = 240
WORKER = Path(__file__).parent / "crawl_worker.py"


def web(path: str) -> Reply | None:
    """Pages that lead to many others, each found in several spellings and from several generations."""
    if path == "/robots.txt":
        return text("User-agent: *\nDisallow: /private\n")
    if path == "/sitemap.xml":
        return sitemap([f"http://127.0.0.1:{{port}}/p/{each}" for each in range(0, PAGES, 30)])
    if path == "/":
        return page("home", ["/p/1", "/private/1"])
    if path.startswith("/p/") and (number := int(path.removeprefix("/p/").partition("?")[0])) < PAGES:
        near = [(number * 2 + each) % PAGES for each in range(4)]
        return page(
            f"page {number}", [f"/p/{each}?b={each % 3}&a=1" if each % 5 == 0 else f"/p/{each}" for each in near]
        )
    return None


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site(lambda path: web(path))
    site.route = lambda path: _with_port(web(path), site.port)
    with site.serve() as served:
        yield served


def _with_port(reply: Reply | None, port: int) -> Reply | None:
    if reply is None or b"{port}" not in reply.body:
        return reply
    return Reply(reply.body.replace(b"{port}", str(port).encode()), reply.status, reply.headers)


def start(folder: Path, site: Site, checkpoint: int, last: Path | None = None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", str(WORKER), str(folder), f"{site.url}/", str(checkpoint), "0.002"]
    command += [str(last)] if last else []
    environment = {**os.environ, "PYTHONPATH": f"{PROJECT_ROOT / 'plugins'}:{WORKER.parent}"}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)


def kill_at(process: subprocess.Popen[bytes], site: Site, asked: int) -> bool:
    """Whether it still ran when the site had been asked so often."""
    while process.poll() is None and len(site.log) < asked:
        time.sleep(0.001)
    was_running = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return was_running


def crawl_with_kills(folder: Path, site: Site, moments: list[int], checkpoint: int, last: Path | None = None) -> int:
    """How often it was killed; at the end it is through."""
    killed = 0
    for moment in moments:
        killed += kill_at(start(folder, site, checkpoint, last), site, len(site.log) + moment)
        if (record := read_record(folder)) is not None and record.ended_at is not None:
            return killed
    process = start(folder, site, checkpoint, last)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said.decode()
    return killed


@pytest.mark.parametrize(
    ("moments", "checkpoint"), [pytest.param([80], 20, marks=pytest.mark.slow), ([3], 20), ([80, 60, 40], 7)]
)
def test_killed_and_undisturbed_crawls_give_the_same_tables(
    tmp_path: Path, site: Site, moments: list[int], checkpoint: int
) -> None:
    plan = Plan((site.url + "/",), scope_of(site), FAST)
    run(tmp_path / "whole", plan)
    asked = site.paths()
    assert asked_for(tmp_path / "whole") == asked and len(asked) > PAGES
    site.log.clear()
    assert crawl_with_kills(tmp_path / "killed", site, moments, checkpoint) == len(moments)
    assert tables(tmp_path / "killed") == tables(tmp_path / "whole")
    # What was on its way when the crawl was killed is asked for once more, and nothing else.
    assert set(site.paths()) == set(asked)
    assert len(site.paths()) - len(asked) <= len(moments) * (FAST.connections + 8 + checkpoint)
    record = read_record(tmp_path / "killed")
    assert record is not None and record.ended_at is not None and record.certificate.is_complete


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(30))
def test_killed_at_any_moment(tmp_path: Path, site: Site, seed: int) -> None:
    chance = random.Random(seed)
    run(tmp_path / "whole", Plan((site.url + "/",), scope_of(site), FAST))
    moments = [chance.randrange(1, 150) for _ in range(chance.randrange(1, 5))]
    assert crawl_with_kills(tmp_path / "killed", site, moments, chance.choice([3, 20, 100])) > 0
    assert tables(tmp_path / "killed") == tables(tmp_path / "whole")


@pytest.mark.parametrize(
    ("failing", "status", "stopped"),
    [
        # Among the first that are asked for; not many: each halves the rate.
        ({1, 2, 30}, 503, None),
        ({number for number in range(PAGES) if number % 5}, 500, LITTLE),
    ],
    ids=["several", "most"],
)
def test_pages_that_fail_stand_as_they_were_last_read_whenever_it_is_killed(
    tmp_path: Path, site: Site, failing: set[int], status: int, stopped: str | None
) -> None:
    plan, last, killed = Plan((site.url + "/",), scope_of(site), IMPATIENT), tmp_path / "last", tmp_path / "killed"
    assert run(last, plan).certificate.is_complete
    well = site.route
    site.route = lambda path: text("oh", status) if _number(path) in failing else well(path)
    whole = run(tmp_path / "whole", plan, last=last)
    asked = set(site.paths())
    site.log.clear()
    kept = "SELECT count(*) FROM page WHERE kept_status_code = 200"
    assert kill_at(start(killed, site, 7, last), site, 80)
    [(before,)] = ask(killed, kept)
    assert crawl_with_kills(killed, site, [60, 40], 7, last) == 2
    assert set(site.paths()) == asked
    assert before > 0 and ask(killed, kept) == [(sum(_number(path) in failing for path in asked),)]
    assert tables(killed) == tables(tmp_path / "whole")
    record = read_record(killed)
    assert record is not None and record.ended_at is not None and record.certificate == whole.certificate
    assert (whole.certificate.stopped, whole.certificate.is_complete) == (stopped, stopped is None)


def test_a_site_that_is_elsewhere_is_so_after_a_kill(tmp_path: Path, site: Site) -> None:
    plan, last, killed = Plan((site.url + "/",), scope_of(site), IMPATIENT), tmp_path / "last", tmp_path / "killed"
    assert run(last, plan).certificate.is_complete
    well = site.route
    site.route = lambda path: page("away", []) if path == "/away" else to("/away", 302) if "/p/" in path else well(path)
    whole = run(tmp_path / "whole", plan, last=last)
    assert whole.certificate.stopped == AWAY
    assert crawl_with_kills(killed, site, [80, 60], 7, last) == 2
    record = read_record(killed)
    assert record is not None and record.certificate == whole.certificate
    assert tables(killed) == tables(tmp_path / "whole")


def _number(path: str) -> int:
    """-1 for what is no page with a number."""
    return int(path.removeprefix("/p/").partition("?")[0]) if path.startswith("/p/") else -1


def test_parts_that_nobody_committed_are_removed(tmp_path: Path, site: Site) -> None:
    plan = Plan((site.url + "/",), scope_of(site), FAST)
    kill_at(start(tmp_path / "a", site, 20), site, 100)
    rows = ask(tmp_path / "a", "SELECT count(*) FROM page")[0][0]
    left = tmp_path / "a" / "page" / "part-00900.parquet"
    left.write_bytes(sorted((tmp_path / "a" / "page").glob("part-*"))[-1].read_bytes())
    (tmp_path / "a" / "link" / "part-00901.tmp").write_bytes(b"half")
    run(tmp_path / "a", plan)
    assert not left.exists() and not list((tmp_path / "a").rglob("*.tmp"))
    assert ask(tmp_path / "a", "SELECT count(*) - count(DISTINCT page_key) FROM page") == [(0,)]
    assert ask(tmp_path / "a", "SELECT count(*) FROM page")[0][0] > rows
