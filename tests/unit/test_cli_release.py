"""`caravan release`: what is listed, told, shown and put into calendars."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import icalendar
import pytest
from config_case import edit
from release_case import known, release_of, revision_of, write_releases
from typer.testing import CliRunner

from caravan import INCLUDE_DIR
from caravan.assembly import releases
from caravan.assembly.drawing import draw
from caravan.assembly.outbox import is_made, open_ledger
from caravan.assembly.reach import out_of_reach
from caravan.assembly.shelf import read_shelf
from caravan.cli.main import main
from caravan.cli.release import app
from caravan.config.settings import Settings
from caravan.core.approval import Approval
from caravan.core.errors import Misconfigured
from caravan.functions.release.calendar import calendar_rows, editorial_calendar
from caravan.functions.release.lint import lint
from caravan.functions.release.planning import Standing
from caravan.functions.release.preview import preview
from caravan.functions.release.review import review
from caravan.warehouse.releases import StoredReleases

READERS = """\
code: readers
name: Readers
audience: customer
purpose: marketing_email
legal_basis: consent
provenance: sign-up form of the shop
collected_since: 2024-01-01
file: lists/readers.csv
market: DE
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The markets that Caravan comes with, and one release."""
    folder = tmp_path / "config"
    shutil.copytree(INCLUDE_DIR / "config", folder, ignore=shutil.ignore_patterns("releases*", "outlets"))
    write_releases(folder)
    (folder / "releases.yml").write_text("own_hosts: [example.com]\n")
    monkeypatch.setenv("CARAVAN_CONFIG", str(folder))
    monkeypatch.setenv("CARAVAN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(releases, "utc_now", lambda: datetime(2026, 11, 24))
    return folder


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    if isinstance(result.exception, Misconfigured):
        raise result.exception
    return result.exit_code, result.output


def test_the_releases_are_listed_with_the_first_instant(config: Path) -> None:
    code, output = run("list")
    assert code == 0
    row = next(line for line in output.splitlines() if "spring" in line)
    assert re.split(r"\s{2,}", row.strip()) == [*("spring", "in_review", "2026-11-25 05:30", "DE BR AE", "site toots")]
    assert output.splitlines()[-1] == "spring: approved by 0 of 1"
    assert not (config.parent / "home").exists(), "to look makes nothing"
    shutil.rmtree(config / "releases")
    assert run("list") == (0, "There is no release; add a folder to include/config/releases.\n")


@pytest.mark.parametrize(
    ("change", "now", "state"),
    [
        (None, "2026-11-24", "in_review: approved by 0 of 1"),
        ("omar", "2026-11-24", "planned"),
        ("Ida Example", "2026-11-24", "in_review: approved by its author alone: somebody else has to"),
        ("stored", "2026-11-24", "planned"),
        ("revoked", "2026-11-24", "in_review: its approval was revoked by Li: wrong price"),
        ("broken", "2026-11-24", "in_review: releases/spring/approvals.yml:1 approvals"),
        ("link", "2026-11-24", "draft: releases/spring/de.md:5: the link http://x.example is http only; use https or"),
        (None, "2026-11-27", "over"),
    ],
)
def test_the_state_of_a_release_is_listed_with_its_reason(
    config: Path, monkeypatch: pytest.MonkeyPatch, change: str | None, now: str, state: str
) -> None:
    folder, moment = config / "releases/spring", datetime.fromisoformat(now)
    monkeypatch.setattr(releases, "utc_now", lambda: moment)
    monkeypatch.setenv("COLUMNS", "300")
    settings = Settings.from_environment()
    (content,) = releases.hashes(read_shelf(config)).values()
    if change == "link":
        edit(folder / "de.md", "https://shop.example.com/de/taschen", "http://x.example")
    elif change == "broken":
        (folder / "approvals.yml").write_text("approvals: none\n")
    elif change == "revoked":
        (folder / "approvals.yml").write_text(
            f"approvals:\n  - {{by: Omar, at: '2026-11-23T12:00:00Z', hash: '{content}'}}\n"
        )
        assert run("revoke", "spring", "--by", "Li", "--why", "wrong price")[0] == 0
    elif change == "stored":
        with open_ledger(settings) as ledger:
            StoredReleases(ledger).approve([Approval("spring", content, "Li", datetime(2026, 11, 1), "airflow")])
    elif change:
        (folder / "approvals.yml").write_text(
            f"approvals:\n  - {{by: {change}, at: '2026-11-23T12:00:00Z', hash: '{content}'}}\n"
        )
    found = [line for line in run("list")[1].splitlines() if "spring" in line]
    word, _, why = state.partition(": ")
    assert re.split(r"\s{2,}", found[0].strip())[1] == word
    assert found[1].startswith(f"spring: {why}") if why else len(found) == 1
    assert is_made(settings) == (change in ("stored", "revoked"))


def test_lint_ends_with_what_it_found(config: Path) -> None:
    assert run("lint") == (0, "1 release read, nothing wrong\n")
    (content,) = releases.hashes(read_shelf(config)).values()
    assert run("lint", "spring") == (0, f"1 release read, nothing wrong\ncontent {content}\n")
    edit(config / "releases/spring/de.md", "https://shop.example.com/de/taschen", "http://shop.example.com/b")
    edit(config / "outlets/letters.yml", "sender", "sendr")
    code, output = run("lint")
    assert (code, output.splitlines()) == (
        1,
        [
            "outlets/letters.yml:1 sender: is required",
            "outlets/letters.yml:5 sendr: unknown key 'sendr'; did you mean 'sender'?",
            "releases/spring/de.md:5: the link http://shop.example.com/b is http only; use https or mailto or tel",
            "1 release read, 3 to be put right",
        ],
    )
    assert run("lint", "spring")[1].splitlines()[-1] == "1 release read, 1 to be put right"


@pytest.mark.parametrize(
    ("outlets", "when", "max_lateness", "noted"),
    [
        ("[site, letters]", "09:30", "4h", []),
        ("[site, letters]", "23:30", "4h", ["DE", "BR", "AE"]),
        ("[site, letters]", "23:30", "24h", []),
        ("[site, toots]", "23:30", "4h", []),
    ],
)
def test_lint_says_where_no_mail_may_leave_in_time(
    config: Path, outlets: str, when: str, max_lateness: str, noted: list[str]
) -> None:
    """No fault of its files: the page leaves all the same."""
    file = config / "releases/spring/release.yml"
    edit(file, "[site, toots]", outlets)
    edit(file, "09:30", when)
    edit(file, "audience: public", "audience: customer\npurpose: marketing_email\nlist: readers")
    file.write_text(f"{file.read_text()}max_lateness: {max_lateness}\n")
    (config / "lists").mkdir()
    (config / "lists/readers.yml").write_text(READERS)
    shelf = read_shelf(config)
    found = list(out_of_reach(shelf, shelf.release("spring")))
    assert [fault.message.partition(":")[0] for fault in found] == noted
    output = run("lint")[1]
    assert output.count("note: releases/spring/release.yml: ") == len(noted)
    if noted:
        assert "DE: mail may not leave there from 2026-11-25 22:30:00 to 2026-11-26 02:30:00 UTC" in output


def test_one_fault_of_an_outlet_or_a_list_makes_no_other(config: Path) -> None:
    file = config / "releases/spring/release.yml"
    edit(file, "[site, toots]", "[letters]")
    edit(file, "audience: public", "audience: customer\npurpose: marketing_email\nlist: readers")
    edit(config / "releases/spring/de.md", "title: ", "title: '{{ first_name }}' # ")
    edit(config / "releases/spring/en.md", "![Six bags in a row](bags.png)", "")
    (config / "lists").mkdir()
    (config / "lists/readers.yml").write_text(f"{READERS}variables: [first_name]\n")
    assert run("lint", "spring")[0] == 0
    edit(config / "outlets/letters.yml", "kind: smtp", "kind: smpt")
    assert run("lint", "spring")[1].splitlines()[1:] == ["1 release read, 1 to be put right"]
    edit(config / "outlets/letters.yml", "kind: smpt", "kind: smtp")
    edit(config / "lists/readers.yml", "provenance:", "provenence:")
    told = run("lint", "spring")[1]
    assert "first_name" not in told and "lists/readers.yml" in told


def test_check_tells_the_faults_of_outlets_lists_and_releases_too(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each of them leaves out itself alone, and is missing all the same."""
    assert main(["check"]) == 0
    assert "no faults in configuration, releases, models and templates" in capsys.readouterr().out
    edit(config / "releases/spring/de.md", "https://shop.example.com/de/taschen", "http://shop.example.com/b")
    edit(config / "outlets/letters.yml", "sender", "sendr")
    (config / "lists").mkdir()
    (config / "lists/bad.yml").write_text("code: bad\n")
    assert main(["check"]) == 2
    told = capsys.readouterr().err
    assert "releases/spring/de.md:5: the link" in told
    assert told.count("outlets/letters.yml:1 sender: is required") == 1
    assert "lists/bad.yml:1 name: is required" in told


def test_a_release_with_faults_or_none_of_that_name_is_told_so(config: Path) -> None:
    with pytest.raises(Misconfigured, match="there is no release 'sprig'; did you mean 'spring'"):
        run("preview", "sprig")
    edit(config / "releases/spring/release.yml", "kind: news", "kind: mews")
    with pytest.raises(Misconfigured, match="'mews' is not known"):
        run("lint", "spring")
    code, output = run("list")
    assert code == 0
    assert "1 fault left something out; `caravan release lint` tells all" in output


def drawn(config: Path) -> tuple[dict[str, bytes], Any]:
    """What a preview needs beside the texts: the pictures, and what outlets make of it."""
    shelf = read_shelf(config)
    release = shelf.release("spring")
    show = draw(Settings.from_environment(), shelf, release).show
    return {release.images["bags.png"].published_name: b"x"}, show


class _Asked(HTMLParser):
    """What a browser would fetch by itself, and where links lead."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.opened: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        # JSON-LD is data, which nothing runs.
        self.opened += [] if values.get("type") == "application/ld+json" else [tag]
        self.links += [values["href"]] if tag == "a" and "href" in values else []
        self.fetched += [values[name] for name in ("src", "srcset", "data", "poster") if name in values]
        self.fetched += [values["href"]] if tag == "base" or (tag == "link" and values["rel"] == "stylesheet") else []
        if tag == "iframe":  # the page or mail itself; the preview's policy is its policy
            inside = _Asked()
            inside.feed(values["srcdoc"])
            assert "sandbox" in values and "script" not in inside.opened
            self.fetched += inside.fetched


def test_the_preview_asks_for_nothing_outside_its_files(config: Path, tmp_path: Path) -> None:
    code, output = run("preview", "spring", "--out", str(tmp_path / "out"))
    assert (code, output) == (0, f"7 files written; open {tmp_path / 'out' / 'index.html'}\n")
    files = {path.relative_to(tmp_path / "out").as_posix(): path for path in (tmp_path / "out").rglob("*.html")}
    pages = [f"{locale}/{outlet}.html" for locale in ("ar", "de", "en") for outlet in ("site", "toots")]
    assert sorted(files) == [*pages[:6], "index.html"]
    for path in files.values():
        text = path.read_text(encoding="utf-8")
        asked = _Asked()
        asked.feed(text)
        assert not [each for each in asked.fetched if not each.startswith("data:image/png;base64,")], path
        assert not {"script", "form", "link", "base"} & set(asked.opened)
        assert "url(" not in text and "@import" not in text
        assert "width=device-width" in text and "prefers-color-scheme: dark" in text
        assert "default-src 'none'" in text
    index = _Asked()
    index.feed(files["index.html"].read_text(encoding="utf-8"))
    assert index.links == pages
    assert len([each for each in files.values() if "data:image/png" in each.read_text()]) == 1, "the page in English"
    assert '<html lang="ar" dir="rtl">' in files["ar/site.html"].read_text(encoding="utf-8")


def test_the_preview_lies_in_the_home_folder_where_none_is_given(config: Path, tmp_path: Path) -> None:
    assert run("preview", "spring")[0] == 0
    assert (tmp_path / "home/previews/spring/index.html").is_file()
    (tmp_path / "home/previews/spring/site-fr.html").write_text("a language that is gone")
    run("preview", "spring")
    assert not (tmp_path / "home/previews/spring/site-fr.html").exists()
    assert (tmp_path / "home/previews/spring/index.html").is_file()


def test_the_index_says_who_reads_what_and_what_is_wrong(config: Path) -> None:
    edit(config / "releases/spring/de.md", "Alle", "<b>Alle</b>")
    revision = revision_of(config)
    files = preview(revision, lint(revision), *drawn(config))
    assert sorted(files) == ["ar/site.html", "ar/toots.html", "en/site.html", "en/toots.html", "index.html"]
    index = files["index.html"]
    assert "releases/spring/de.md:5: HTML, &lt;b&gt;, is refused" in index
    assert (
        '<td>BR</td><td>pt-BR</td>\n<td><span class="warn">en stands in</span></td>\n<td>2026-11-25 12:30</td>' in index
    )
    assert "25 % of the languages of these markets have no text of their own." in index


@pytest.mark.parametrize(("policy", "instead"), [("fallback", "en"), ("skip", "none"), ("require", None)])
def test_a_stale_translation_is_told_wherever_a_release_is_looked_at(config: Path, policy: str, instead: str) -> None:
    edit(config / "releases/spring/release.yml", "BR: fallback", f"BR: fallback, DE: {policy}")
    edit(config / "releases/spring/de.md", "summary", f"translation_of: {'0' * 64}\nsummary")
    revision = revision_of(config)
    told = f"stale: de translates an older source, and is not used (DE gets {instead}); translate it again and write "
    shown = (run("lint")[1], preview(revision, [], *drawn(config))["index.html"], review(revision).replace("\\", ""))
    assert [told in each for each in shown] == [instead is not None] * 3, "what is a fault is told as that, once"
    assert run("lint")[0] == (instead is None)


def test_a_mail_shows_its_sender_and_its_plain_text(config: Path) -> None:
    edit(config / "releases/spring/release.yml", "[site, toots]", "[letters, site]")
    edit(config / "releases/spring/release.yml", "method: content", "method: email\nlist: readers.csv")
    files = preview(revision_of(config), [], *drawn(config))
    mail = files["en/letters.html"]
    assert '<dd dir="ltr">News &lt;news@example.com&gt;</dd>' in mail
    plain = mail.partition("<pre>")[2]
    assert "All bags come in six colours (https://shop.example.com/bags?size=m&amp;utm_source=letters" in plain
    assert "Unsubscribe: {{ unsubscribe_url }}" in plain
    assert "src=&#34;data:image/png;base64,eA==&#34;" in mail.partition("<pre>")[0]


def test_the_calendar_has_an_event_for_each_market_at_its_instant(config: Path) -> None:
    now = datetime(2026, 11, 1, 12)
    content = editorial_calendar([release_of(config)], known(config), now)
    assert content == editorial_calendar([release_of(config)], known(config), now)
    events = list(icalendar.Calendar.from_ical(content).walk("VEVENT"))
    assert [(str(each["uid"]), str(each["summary"]), each.decoded("dtstart")) for each in events] == [
        ("spring-de@caravan", "DE: Spring is here", datetime(2026, 11, 25, 8, 30, tzinfo=UTC)),
        ("spring-br@caravan", "BR: Spring is here", datetime(2026, 11, 25, 12, 30, tzinfo=UTC)),
        ("spring-ae@caravan", "AE: Spring is here", datetime(2026, 11, 25, 5, 30, tzinfo=UTC)),
    ]
    assert b"DTSTART:20261125T083000Z\r\n" in content


def test_the_calendar_of_the_warehouse_has_the_markets_own_clocks(config: Path) -> None:
    edit(config / "outlets/toots.yml", "code: toots", "code: toots\nmarkets: [DE]")

    def rows() -> list[tuple[object, ...]]:
        found = calendar_rows([release_of(config)], known(config), {"spring": Standing("spring", "in_review")})
        return [tuple(row[name] for name in ("market_code", "planned_at", "local_at", "outlets")) for row in found]

    wall = datetime(2026, 11, 25, 9, 30)
    assert rows() == [
        ("DE", datetime(2026, 11, 25, 8, 30), wall, "site toots"),
        ("BR", datetime(2026, 11, 25, 12, 30), wall, "site"),
        ("AE", datetime(2026, 11, 25, 5, 30), wall, "site"),
    ]
    edit(config / "releases/spring/release.yml", 'local: "2026-11-25 09:30"', "utc: 2026-11-25T23:30:00Z")
    assert [row[2] for row in rows()] == [
        datetime(2026, 11, 26, 0, 30),
        datetime(2026, 11, 25, 20, 30),
        datetime(2026, 11, 26, 3, 30),
    ]


def test_the_warehouse_gets_no_address_of_an_owner(config: Path) -> None:
    def owners() -> set[object]:
        found = calendar_rows([release_of(config)], known(config), {"spring": Standing("spring", "draft")})
        return {row["owner"] for row in found}

    assert owners() == {"Ida Example"}
    edit(config / "releases/spring/release.yml", "Ida Example", "ida@example.com")
    assert owners() == {None}


def test_the_calendar_is_written_or_printed(config: Path, tmp_path: Path) -> None:
    assert run("calendar", "--out", str(tmp_path / "new/releases.ics"))[0] == 0
    assert (tmp_path / "new/releases.ics").read_bytes().count(b"BEGIN:VEVENT") == 3
    assert run("calendar")[1].count("BEGIN:VEVENT") == 3


def test_a_release_knows_the_markets_newest_languages(config: Path) -> None:
    shelf = read_shelf(config)
    assert shelf.faults == []
    assert shelf.known.markets["AE"].chains == (("ar-AE", "ar", "en"), ("en-AE", "en"))
    assert shelf.known.markets["BR"].zone == "America/Sao_Paulo"
    assert {"content", "email"} <= set(shelf.known.methods) and "marketing_email" in shelf.known.purposes


def test_what_an_outlet_would_refuse_is_told_before_anybody_approves(config: Path) -> None:
    edit(config / "releases/spring/en.md", "New colours for all bags.", "New colours. " * 60)
    (config / "releases.yml").write_text("own_hosts: [example.com]\nsummary_characters: 5000\n")
    code, output = run("lint", "spring")
    assert code == 1
    assert re.search(r"releases/spring/en.md: toots: has \d+ characters, and at most 500 are taken", output)


def test_lint_of_one_release_tells_of_its_outlets_and_its_approvals_too(config: Path) -> None:
    (config / "releases/spring/approvals.yml").write_text("approvals:\n  - {by: Omar, note: x}\n")
    edit(config / "outlets/toots.yml", "kind: mastodon", "kind: mastodont")
    code, output = run("lint", "spring")
    assert code == 1
    assert "outlets/toots.yml:3 kind: 'mastodont' is no kind of outlet" in output
    assert "releases/spring/approvals.yml:" in output and "content " not in output


def test_a_mail_may_link_to_an_address_of_mail(config: Path) -> None:
    edit(config / "releases/spring/release.yml", "[site, toots]", "[site, letters]")
    edit(config / "releases/spring/release.yml", "method: content", "method: email\nlist: readers")
    edit(config / "releases/spring/de.md", "Alle Taschen", "[Schreiben](mailto:pots@example.com). Alle Taschen")
    assert "mailto" not in run("lint", "spring")[1]
