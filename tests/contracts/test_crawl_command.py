"""`caravan site crawl`: any site, without configuration; it never ends well without having read anything."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from crawl_world import Reply, Site, ask, asked_for, page, text

from caravan import PROJECT_ROOT
from caravan.assembly import site as crawls
from caravan.assembly import site_audit
from caravan.cli.main import main
from caravan.config import site_checks
from caravan.config.settings import Settings

Command = Callable[..., tuple[int, str]]


def web(path: str) -> Reply | None:
    if path == "/robots.txt":
        return text("User-agent: *\nDisallow: /private\n")
    if path == "/":
        return page("home", [*(f"/p/{each}" for each in range(40)), "/private/", "/none"])
    return page(path, ["/"]) if path.startswith("/p/") else None


@pytest.fixture
def site() -> Iterator[Site]:
    with Site(web).serve() as served:
        yield served


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """With one check: what all of them find is asked in test_site_audit_command.py."""
    monkeypatch.setenv("CARAVAN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    one = site_checks.load_site_checks().only(["response-4xx"])
    monkeypatch.setattr(site_checks, "load_site_checks", lambda: one)

    def run(*arguments: str) -> tuple[int, str]:
        code = main(["site", "crawl", *arguments])
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


def folders(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "home/site/crawls").glob("*/*"))


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Of all files below it: when each was written, and what."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def beside(*arguments: str) -> subprocess.Popen[bytes]:
    """The command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "caravan", "site", "crawl", *arguments],
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT / "plugins")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def test_a_site_is_crawled(tmp_path: Path, site: Site, command: Command) -> None:
    code, said = command(site.url, "--private", "--rate", "500")
    assert code == 0, said
    [folder] = folders(tmp_path)
    assert asked_for(folder) == site.paths() and len(site.paths()) == 42
    assert f"SELECT * FROM '{folder}/page/*.parquet'" in said
    assert [line.split()[:4] for line in said.splitlines() if line.split()[:1] == ["page"]] == [
        ["page", "blocked", "robots", "1"],
        ["page", "fetched", "200", "41"],
        ["page", "fetched", "404", "1"],
    ]
    assert "not complete" not in said
    assert ask(folder, "SELECT count(*) FROM page WHERE is_html AND title IS NOT NULL") == [(41,)]


def test_the_next_crawl_asks_for_what_has_changed(tmp_path: Path, site: Site, command: Command) -> None:
    command(site.url, "--private", "--rate", "500")
    site.log.clear()
    code, said = command(site.url, "--private", "--rate", "500")
    assert code == 0, said
    assert [status for _, path, status, _ in site.log if path.startswith("/p/")] == [304] * 40
    assert len(folders(tmp_path)) == 2
    site.log.clear()
    command(site.url, "--private", "--rate", "500", "--fresh")
    assert [status for _, path, status, _ in site.log if path.startswith("/p/")] == [200] * 40


def test_private_addresses_need_a_word(site: Site, command: Command) -> None:
    code, said = command(site.url)
    assert code == 1 and "`--private` crawls it nevertheless" in said
    assert site.log == []


def test_what_read_nothing_is_in_nobodys_way(tmp_path: Path, site: Site, command: Command) -> None:
    options = (site.url, "--rate", "500", "--out", str(tmp_path / "out"))
    assert [command(*options)[0] for _ in range(2)] == [1, 1]
    code, said = command(*options, "--private")
    assert code == 0, said
    assert asked_for(tmp_path / "out") == site.paths() and len(site.paths()) == 42
    site.die()
    assert command(*options, "--private")[0] == 1
    code, said = command(*options, "--private", "--max-pages", "7")
    assert code == 2 and "another configuration" in said, "what is known of the first crawl is not this one's"


@pytest.mark.parametrize(
    ("out", "told"),
    [
        ("file", "file is no folder; name one, or one to be made"),
        ("file/below", "file/below cannot be made: Not a directory; name another folder"),
        ("/proc/nowhere", "/proc/nowhere cannot be made: No such file or directory; name another folder"),
        ("full", "full: is not empty, and holds no crawl; give another folder"),
    ],
)
def test_a_folder_that_cannot_be_used(tmp_path: Path, site: Site, command: Command, out: str, told: str) -> None:
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.txt").write_text("somebody's own")
    code, said = command(site.url, "--private", "--out", str(tmp_path / out))
    assert code == 2 and told in said and "CARAVAN_HOME" not in said
    assert site.log == [] and len(list(tmp_path.rglob("*.txt"))) == 1


def test_a_host_that_takes_no_connection(site: Site, command: Command) -> None:
    site.die()
    code, said = command(site.url, "--private", "--rate", "500")
    assert code == 1 and "could be read: it takes no connection there" in said


def test_a_name_that_does_not_resolve(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    code, said = command("http://shop.invalid/", "--rate", "500")
    assert code == 1 and "No page of shop.invalid could be read: its name does not resolve" in said


@pytest.mark.parametrize(
    ("route", "told"),
    [
        (lambda path: text("no", 404), "the table above says what it answered"),
        (lambda path: text("no", 503), "its robots.txt answered 503"),
        (lambda path: text("no", 429), "its robots.txt answered 429"),
        (
            lambda path: Reply(b"", 302, {"Location": "https://example.com/"}) if path == "/" else None,
            "it redirects to another host. Crawl https://example.com/ instead.",
        ),
    ],
)
def test_nothing_read_is_a_failure(
    tmp_path: Path, command: Command, route: Callable[[str], Reply | None], told: str
) -> None:
    with Site(route).serve() as site:
        code, said = command(site.url, "--private", "--rate", "500", "--out", str(tmp_path / "out"))
    assert code == 1 and told in said and f"No page of {site.host} could be read" in said
    assert json.loads((tmp_path / "out/run.json").read_text())["certificate"]["is_complete"] is False


def test_nobody_there(command: Command) -> None:
    with Site(web).serve() as site:
        url = site.url
    code, said = command(url, "--private", "--rate", "500")
    assert code == 1 and said.count("it takes no connection there") == 2, "in the summary and in the end"


def test_no_more_pages_than_wanted(tmp_path: Path, site: Site, command: Command) -> None:
    out = tmp_path / "out"
    code, said = command(site.url, "--private", "--rate", "500", "--max-pages", "5", "--out", str(out))
    assert code == 0, said
    assert len(site.paths()) == 5 and asked_for(out) == site.paths()
    assert "37 addresses were left out: so many pages were not wanted" in said
    assert "The crawl is not complete" in said


def test_a_folder_is_of_one_crawl_and_of_its_like(tmp_path: Path, site: Site, command: Command) -> None:
    options = (site.url, "--private", "--rate", "500", "--out", str(tmp_path / "out"))
    assert command(*options)[0] == 0
    code, said = command(*options, "--max-pages", "7")
    assert code == 2 and "the crawl there is through, and had another configuration" in said and "`--fresh`" in said
    assert command(*options)[0] == 0
    assert (tmp_path / "out/previous/run.json").exists()
    assert command(*options, "--fresh")[0] == 0
    assert folders(tmp_path) == []


@pytest.mark.parametrize("more", [(), ("--fresh",), ("--max-pages", "7")], ids=["same", "fresh", "others"])
def test_a_folder_in_use_is_left_alone(tmp_path: Path, site: Site, command: Command, more: tuple[str, ...]) -> None:
    out, link = tmp_path / "out", tmp_path / "link"
    link.symlink_to(out)
    options = (site.url, "--private", "--rate", "500", "--out")
    assert command(*options, str(out))[0] == 0
    before = contents(out)
    assert before
    site.log.clear()
    with crawls.hold(out, Settings.from_environment(), "crawls the shop"):
        code, said = command(*options, str(link), *more)
    told = f"{link} is in use: process {os.getpid()} crawls the shop since"
    assert code == 1 and told in said.replace("\n", " ") and "let it finish or stop it, then run again" in said
    assert contents(out) == before and site.log == []


def test_a_folder_in_use_from_another_home_is_left_alone(
    tmp_path: Path, site: Site, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    options = (site.url, "--private", "--rate", "500", "--out", str(out))
    assert command(*options)[0] == 0
    before = contents(out)
    with crawls.hold(out, Settings.from_environment(), "crawls the shop"):
        monkeypatch.setenv("CARAVAN_HOME", str(tmp_path / "other"))
        code, said = command(*options, "--fresh")
    assert code == 1 and f"{out} is in use: a process with another CARAVAN_HOME" in said.replace("\n", " ")
    assert contents(out) == before


@pytest.mark.parametrize("has_folder", [True, False], ids=["in one folder", "in folders of their own"])
def test_what_is_being_audited_is_left_alone(
    tmp_path: Path, site: Site, command: Command, monkeypatch: pytest.MonkeyPatch, has_folder: bool
) -> None:
    """The crawl is through and its host free; another process comes before its audit is."""
    where = ("--out", str(tmp_path / "out")) if has_folder else ()
    root = tmp_path / ("out" if has_folder else "home/site/crawls")
    options = (site.url, "--private", "--rate", "500", *where)
    audit, refused = site_audit.audit_crawl, []

    def meanwhile(*given: object, **more: object) -> object:
        before, asked = contents(root), len(site.log)
        other = beside(*options, "--fresh")
        said = other.communicate(timeout=60)[0].decode()
        assert contents(root) == before and before and len(site.log) == asked
        refused.append((other.returncode, said.replace("\n", " ")))
        return audit(*given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(site_audit, "audit_crawl", meanwhile)
    code, said = command(*options)
    assert code == 0, said
    assert [code for code, _ in refused] == [1]
    assert f" is in use: process {os.getpid()} crawls and audits {site.url}/ since " in refused[0][1]
    assert len(list(root.rglob("report.html"))) == 1


@pytest.mark.parametrize("url", ["ftp://example.com/", "https://", "http://a:b@example.com/"])
def test_what_is_no_address(command: Command, url: str) -> None:
    code, said = command(url)
    assert code == 2 and "is no address that can be crawled" in said


def test_links_to_other_sites(tmp_path: Path, command: Command) -> None:
    other = Site(lambda path: text("here") if path == "/there" else None)
    with (
        other.serve(),
        Site(lambda path: page("home", [f"{other.url}/there"]) if path == "/" else None).serve() as site,
    ):
        out = tmp_path / "out"
        assert command(site.url, "--private", "--external", "--rate", "500", "--out", str(out))[0] == 0
    assert ask(out, "SELECT url, status_code FROM page WHERE kind = 'external'") == [(f"{other.url}/there", 200)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_and_the_same_command_goes_on(
    tmp_path: Path, site: Site, command: Command, number: signal.Signals
) -> None:
    site.delay = 0.02
    out = tmp_path / "out"
    options = [site.url, "--private", "--rate", "50", "--out", str(out)]
    process = beside(*options)
    while len(site.log) < 12 and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(number)
    said = process.communicate(timeout=30)[0].decode()
    assert process.returncode == 1 and "Stopped; the same command goes on" in said.replace("\n", " "), said
    assert asked_for(out) == site.paths() and len(site.paths()) < 42
    assert command(*options)[0] == 0
    assert asked_for(out) == site.paths() and len(site.paths()) == 42
