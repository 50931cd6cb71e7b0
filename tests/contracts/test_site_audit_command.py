"""`caravan site crawl` says what is wrong, and the next one of the same folder what became of it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from crawl_world import Reply, Site, page, text, to

from caravan.cli.main import main
from caravan.config import site_checks
from caravan.config.site_checks import load_site_checks

Command = Callable[..., tuple[int, str]]
CHECK = "title-empty"


class Web:
    """Pages by path, to be changed between crawls."""

    def __init__(self) -> None:
        self.pages: dict[str, Reply] = {
            "/": page("home", ["/a", "/b"]),
            "/a": page("", ["/"]),
            "/b": page("<b>B</b>", ["/"]),
        }
        self.robots = text("User-agent: *\nDisallow: /private\n")

    def __call__(self, path: str) -> Reply | None:
        return self.robots if path == "/robots.txt" else self.pages.get(path)


@pytest.fixture
def web() -> Web:
    return Web()


@pytest.fixture
def site(web: Web) -> Iterator[Site]:
    with Site(web).serve() as served:
        yield served


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, site: Site, out: Path, capsys: pytest.CaptureFixture[str]
) -> Command:
    monkeypatch.setenv("CARAVAN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str, folder: Path | None = out) -> tuple[int, str]:
        where = ["--out", str(folder)] if folder else []
        code = main(["site", "crawl", site.url, "--private", "--rate", "500", *where, *arguments])
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


@pytest.fixture
def few_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what becomes of issues, whichever checks found them: to ask all takes twice as long as all else."""
    every = load_site_checks()
    few = every.only([check.id for check in every.checks if check.category in ("metadata", "performance", "response")])
    monkeypatch.setattr(site_checks, "load_site_checks", lambda: few)


def ledger(folder: Path) -> dict[tuple[str, str], tuple[str, str | None]]:
    rows = pq.read_table(folder / "ledger.parquet").to_pylist()
    return {(row["check_id"], row["url"].split("/", 3)[3]): (row["state"], row["change"]) for row in rows}


def rows_of(folder: Path) -> list[dict[str, Any]]:
    with open(folder / "issues.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_first_crawl_finds_what_is_wrong_and_says_where_the_report_is(command: Command, out: Path) -> None:
    code, said = command()
    assert code == 0, said
    assert "The crawl is complete" in said and str(out / "report.html") in said
    assert "Not evaluated: " in said and "Since the last" not in said
    assert " checks: There was nothing to judge: the crawl found no page whose canonical is another address.\n" in said
    assert ledger(out)[CHECK, "a"] == ("open", None)
    assert {path.name for path in out.iterdir() if path.is_file()} >= {
        "issue.parquet", "check.parquet", "ledger.parquet", "page_change.parquet", "issues.csv", "report.html",
    }  # fmt: skip
    issues = pq.read_table(out / "issue.parquet").num_rows
    assert issues == len(rows_of(out)) == len(ledger(out)) > 5
    report = (out / "report.html").read_text(encoding="utf-8")
    assert "there is no earlier complete crawl" in report
    # The one was asked for, and the site names none; for the other nobody has asked.
    checks = {
        row["check_id"]: (row["judged_count"], row["reason"])
        for row in pq.read_table(out / "check.parquet").to_pylist()
    }
    assert checks["robots-blocks-assets"] == (
        0,
        "There was nothing to judge: the crawl found no style, script or image of the site.",
    )
    assert checks["link-external-redirect"] == (
        None,
        "Without the answers of other sites (asked for with `--external` or `check_external: true`) this cannot be "
        "judged.",
    )
    assert report.count("data-issue ") == issues


@pytest.mark.usefixtures("few_checks")
@pytest.mark.parametrize("has_folder", [True, False], ids=["in one folder", "in folders of their own"])
def test_the_second_crawl_says_what_was_fixed_and_what_is_new(
    command: Command, tmp_path: Path, out: Path, web: Web, has_folder: bool
) -> None:
    where = {"folder": out if has_folder else None}
    command(**where)
    web.pages |= {"/a": page("All about A", ["/"]), "/b": page("", ["/"]), "/c": page("C", ["/"])}
    web.pages["/"] = page("home", ["/a", "/b", "/c"])
    code, said = command(**where)
    assert code == 0, said
    folder = out if has_folder else max((tmp_path / "home/site/crawls").glob("*/*"))
    found = ledger(folder)
    assert found[CHECK, "a"] == ("fixed", "fixed") and found[CHECK, "b"] == ("open", "new")
    counts = {change: sum(row[1] == change for row in found.values()) for change in ("new", "fixed", "gone")}
    assert f"Since the last complete crawl: {counts['new']} new, 0 back, {counts['fixed']} fixed" in said
    assert counts["fixed"] >= 1 and counts["new"] >= 1
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert ">fixed<" in report and "1 added, 3 changed" in report
    changes = {
        row["url"].split("/", 3)[3]: row["change"] for row in pq.read_table(folder / "page_change.parquet").to_pylist()
    }
    assert changes == {"": "changed", "a": "changed", "b": "changed", "c": "added"}
    assert {row["change"] for row in rows_of(folder)} <= {"new", "still"}


def test_other_options_have_a_history_of_their_own(command: Command, tmp_path: Path) -> None:
    def crawled(*options: str) -> tuple[str, dict[tuple[str, str], tuple[str, str | None]], set[datetime]]:
        said = command(*options, folder=None)[1]
        newest = max((tmp_path / "home/site/crawls").glob("*/*"))
        return said, ledger(newest), set(pq.read_table(newest / "ledger.parquet")["first_seen_at"].to_pylist())

    _, first, [first_seen] = crawled()
    said, other, [other_seen] = crawled("--max-pages", "50")
    assert "Since the last" not in said and first_seen < other_seen
    assert other == first and other[CHECK, "a"] == ("open", None), "nothing is told as new"
    said, again, seen = crawled()
    assert "Since the last complete crawl: 0 new, 0 back" in said
    assert again == dict.fromkeys(first, ("open", "still")) and seen == {first_seen}


@pytest.mark.usefixtures("few_checks")
def test_what_was_fixed_and_is_there_again_is_back(command: Command, out: Path, web: Web) -> None:
    bad, good = web.pages["/a"], page("All about A", ["/"])
    for each in (bad, good, bad):
        web.pages["/a"] = each
        said = command()[1]
    assert ledger(out)[CHECK, "a"] == ("open", "regressed")
    assert " back," in said and " 0 back," not in said


@pytest.mark.usefixtures("few_checks")
def test_half_a_crawl_closes_nothing_and_does_not_say_that_there_is_nothing(
    command: Command, out: Path, web: Web
) -> None:
    web.pages |= {"/": page("home", ["/a", "/b", *(f"/p/{number}" for number in range(20))])}
    web.pages |= {f"/p/{number}": page(f"P {number}", ["/"]) for number in range(20)}
    command()
    web.pages = {"/": page("home", ["/a"]), "/a": page("All about A", ["/"])}
    web.robots = text("User-agent: *\nDisallow: /p\nDisallow: /b\n")
    said = command()[1]
    assert "The crawl is not complete" in said and "No issues" not in said, said
    assert "what is fixed is not known" in said
    assert not {change for _, change in ledger(out).values()} & {"fixed", "gone"}
    assert "The crawl is not complete." in (out / "report.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("few_checks")
def test_a_crawl_that_is_through_only_waits_for_its_audit(command: Command, site: Site, out: Path) -> None:
    first = command()[1]
    (out / "report.html").unlink()
    site.log.clear()
    code, said = command()
    assert code == 0 and site.log == [], "nothing is asked again"
    assert said.split("Open issues")[1] == first.split("Open issues")[1]


@pytest.mark.usefixtures("few_checks")
def test_an_audit_that_died_is_done_before_anything_is_crawled_again(
    command: Command, tmp_path: Path, site: Site, web: Web
) -> None:
    command(folder=None)
    web.pages |= {"/": page("home", ["/a", "/b", "/new"]), "/new": page("", ["/"])}
    command(folder=None)
    newest = max((tmp_path / "home/site/crawls").glob("*/*"))
    told = ledger(newest)
    for name in ("report.html", "issues.csv", "ledger.parquet", "check.parquet", "page_there.parquet"):
        (newest / name).unlink()
    site.log.clear()
    code, _ = command(folder=None)
    assert code == 0 and site.log == [], "nothing is asked again"
    assert ledger(newest) == told and told[CHECK, "new"] == ("open", "new")
    assert pq.read_table(newest / "page_change.parquet")["change"].to_pylist() == ["added", "changed"]


@pytest.mark.usefixtures("few_checks")
@pytest.mark.parametrize(
    ("gate", "code", "told"),
    [
        (CHECK, 3, f"The gate is shut: {CHECK} fired."),
        (f"response-5xx,{CHECK}", 3, f"The gate is shut: {CHECK} fired."),
        ("error", 3, "The gate is shut: "),
        ("response-5xx", 0, ""),
        ("perf-lcp", 0, "Of the gate these were not evaluated: perf-lcp."),
    ],
)
def test_the_gate(command: Command, gate: str, code: int, told: str) -> None:
    found, said = command("--gate", gate)
    assert found == code and told in said, said


def test_no_name_of_a_folder_is_not_the_one_that_somebody_is_in(command: Command) -> None:
    code, said = command("--out", "", folder=None)
    assert code == 2 and "is empty; give a folder" in said


def test_a_gate_of_all_errors_counts_what_was_not_evaluated(command: Command) -> None:
    code, said = command("--gate", "error")
    assert code == 3 and " checks were not evaluated; the report says which, and why." in said, said


@pytest.mark.parametrize("gate", ["", " , "])
def test_a_gate_of_nothing(command: Command, site: Site, gate: str) -> None:
    """As of a variable that is not set."""
    code, said = command("--gate", gate)
    assert code == 2 and "--gate: names no check; give `error` or ids (./caravan site checks), or leave it out" in said
    assert site.log == []


@pytest.mark.usefixtures("few_checks")
def test_a_gate_that_there_is_not(command: Command, site: Site) -> None:
    code, said = command("--gate", f"{CHECK},title-emty,zzz")
    assert code == 2 and "there is no check 'title-emty'; did you mean 'title-empty'?" in said
    assert "there is no check 'zzz'; `./caravan site checks` lists them" in said and len(said) < 300
    assert site.log == [], "it is said before anybody is asked"


def test_what_pages_write_stays_text(command: Command, out: Path, web: Web) -> None:
    hostile = "</title><script>alert(1)</script>"
    web.pages["/a"] = page(hostile, ["/", "/=1+1"], '<meta name="description" content="=cmd|x">')
    assert command()[0] == 0
    report = (out / "report.html").read_text(encoding="utf-8")
    assert report.count("<script") == 1 and "alert(1)</script>" not in report
    assert not [cell for row in rows_of(out) for cell in row.values() if cell.startswith(("=", "+", "-", "@"))]


@pytest.mark.usefixtures("few_checks")
def test_what_a_crawl_that_died_half_moved_is_moved_on(command: Command, out: Path) -> None:
    command()
    aside = out / ".aside"
    aside.mkdir()
    (out / "frontier.sqlite").rename(aside / "frontier.sqlite")
    code, said = command()
    assert code == 0, said
    assert "Since the last complete crawl" in said
    assert json.loads((out / "previous/run.json").read_text())["ended_at"] and not aside.exists()


@pytest.mark.usefixtures("few_checks")
def test_what_no_crawl_wrote_is_left_alone(command: Command, out: Path) -> None:
    command()
    first = {path.name for path in out.iterdir()}
    (out / "todo.txt").write_text("call the agency", encoding="utf-8")
    for said in (command()[1], command()[1]):
        assert "Since the last complete crawl" in said
        assert {path.name for path in out.iterdir()} == {*first, "todo.txt", "previous"}
        assert {path.name for path in (out / "previous").iterdir()} == first, "all that it writes is known"


@pytest.mark.usefixtures("few_checks")
def test_dead_pages_are_told_each_night(command: Command, out: Path, web: Web) -> None:
    packed = {"Content-Type": "text/html", "Content-Encoding": "gzip"}
    alive = [f"/p{number}" for number in range(5)]
    web.pages |= {path: page(f"Page {path}", ["/"]) for path in alive}
    web.pages |= {
        "/": page("home", ["/empty", "/packed", "/moved", "/script", *alive]),
        "/empty": Reply(b"", headers={"Content-Type": "text/html", "ETag": '"1"'}),
        "/packed": Reply(b"<html>", headers=packed),
        "/moved": Reply(b"", 301),
        "/script": to("javascript:void(0)"),
    }
    dead = {("response-timeout", path) for path in ("empty", "packed", "moved", "script")}
    for _ in range(2):
        assert "With an error: " in command()[1]
        assert {each for each, (state, _) in ledger(out).items() if state == "open"} >= dead


def test_redirects_are_no_reason_to_praise_what_is_left(command: Command, out: Path, web: Web) -> None:
    web.pages = {"/": page("home", ["/a", "/b", "/c"]), **{path: to(f"{path}x") for path in ("/a", "/b", "/c")}}
    web.pages |= {"/ax": to("/a"), "/bx": to("/b"), "/cx": to("/c")}
    said = command()[1]
    judged = [line for line in said.splitlines() if "The crawl is complete" in line]
    assert judged[0].endswith(" of 1 judged address; 6 more redirect, or were not asked for.") and "%" not in judged[0]
    assert " have an error; 6 more redirect, or were not asked for<" in (out / "report.html").read_text("utf-8")


def test_the_catalogue_is_listed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["site", "checks", "--format", "json"]) == 0
    listed = {each["id"]: each for each in json.loads(capsys.readouterr().out)}
    assert len(listed) >= 172 and listed[CHECK]["is_implemented"] and listed[CHECK]["fix"]
    assert {each["waits_for"] is None for each in listed.values() if each["is_implemented"]} == {True}
    assert main(["site", "checks"]) == 0
    table = capsys.readouterr().out
    assert f"{len(listed)} checks (" in table and CHECK in table
    assert main(["site", "checks", "--format", "xml"]) == 2


def test_a_page_that_fails_for_a_night_ends_nothing_and_brings_nothing_back(
    command: Command, out: Path, web: Web
) -> None:
    others = [f"/p{number}" for number in range(40)]
    hub = page("hub", ["/r", "/m", "/only-b"])
    web.pages |= {"/": page("home", ["/a", "/b", *others]), "/b": hub, "/r": to("/a"), "/only-b": page("only", [])}
    web.pages |= {path: page(f"Page {path}", ["/"]) for path in others}
    found = {("response-internal-redirect", "r"), ("response-4xx", "m"), ("link-broken-internal", "m")}
    command()
    assert found <= set(ledger(out))
    web.pages["/b"] = text("broken", 503)
    command()
    assert {which: ledger(out)[which] for which in found} == dict.fromkeys(found, ("open", "still"))
    web.pages["/b"] = hub
    command()
    assert {which: ledger(out)[which] for which in found} == dict.fromkeys(found, ("open", "still"))
    assert pq.read_table(out / "page_change.parquet").num_rows == 0
