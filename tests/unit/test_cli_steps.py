"""Single steps by hand over a real lake: a dry run leaves nothing behind, every run is closed, homes are checked."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from lake_template import migrated_lake

from caravan.assembly import calendar, markets, reporting, sales
from caravan.assembly.warehouse import open_warehouse
from caravan.cli import dry_run as dry_runs
from caravan.cli import main as cli
from caravan.cli.dry_run import dry_run
from caravan.config.settings import Settings
from caravan.warehouse import migrations
from caravan.warehouse.port import Row

HEADER = (
    "Bestellnummer;Position;Bestelldatum;Geändert am;Status;Lieferland;Währung;Kundennummer;Artikelnummer;"
    "Bezeichnung;Menge;Einzelpreis\n"
)
LINE = "1;1;01.11.2026 10:00:00;01.11.2026 10:00:00;bezahlt;Deutschland;EUR;7;MUG;Becher;2;9,50\n"
FILE = "bestellungen_2026-11-01.csv"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One file is delivered for shop_de; nothing else is there."""
    home = tmp_path / "home"
    folder = home / "incoming/shop_de"
    folder.mkdir(parents=True)
    (folder / FILE).write_text(HEADER + LINE, encoding="windows-1252")
    os.utime(folder / FILE, (1_793_000_000, 1_793_000_000))  # long settled
    monkeypatch.setenv("CARAVAN_HOME", str(home))
    monkeypatch.delenv("CARAVAN_WAREHOUSE", raising=False)
    # The exchange rates of 27 years and the days of as many take seconds and are not what is tested here.
    monkeypatch.setattr(markets, "load_bundle", lambda *_: False)
    monkeypatch.setattr(calendar, "FIRST_DAY", date(2026, 10, 1))
    monkeypatch.setattr(calendar.calendars, "horizon", lambda today: date(2027, 1, 1))
    return home


def asked(sql: str) -> list[Row]:
    with open_warehouse(Settings.from_environment(), read_only=True) as warehouse, warehouse.read() as session:
        return session.rows(sql)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["collect", "--channel", "shop_de"], f"shop_de order_line: would load {FILE}"),
        (["stage"], "would build stg.file_drop__order_line: "),
        (["validate"], "would judge what is staged of "),
        (["build"], "would build mart.fct_order_line: "),
    ],
)
def test_a_dry_run_says_what_would_be_done_and_makes_no_lake(
    arguments: list[str], told: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["sales", *arguments, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert told in shown
    assert ("there is no warehouse yet: everything would be loaded" in shown) is (arguments != ["validate"])
    assert not (home / "lake").exists()
    assert "CARAVAN_WAREHOUSE" not in os.environ


def test_a_dry_run_knows_what_is_loaded_and_changes_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    migrated_lake(home / "lake")
    assert cli.main(["sales", "collect", "--channel", "shop_de"]) == 0
    before = asked("SELECT MAX(snapshot_id) FROM ducklake_snapshots('wh')")
    capsys.readouterr()
    assert cli.main(["sales", "collect", "--channel", "shop_de", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "would load" not in shown and "no warehouse" not in shown
    assert asked("SELECT MAX(snapshot_id) FROM ducklake_snapshots('wh')") == before


def test_a_dry_run_does_not_migrate(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings.from_environment()
    with open_warehouse(settings) as warehouse:
        migrations.migrate(warehouse)
    newer = [*migrations.read_migrations(), replace(migrations.read_migrations()[-1], name="9999_next")]
    monkeypatch.setattr(migrations, "read_migrations", lambda: newer)
    assert cli.main(["sales", "stage", "--dry-run"]) == 1
    assert "9999_next is still to apply: run `./caravan migrate` first" in capsys.readouterr().err


def test_a_scratch_lake_stands_in_for_one_that_was_never_migrated(home: Path) -> None:
    settings = Settings.from_environment()
    open_warehouse(settings).close()
    assert dry_runs.has_lake(settings)
    with dry_run(settings, lambda message: None) as inside:
        assert inside.warehouse != settings.warehouse
        assert Settings.from_environment() == inside
    assert Settings.from_environment() == settings


@pytest.mark.parametrize(
    ("step", "replaced", "state", "message"),
    [
        (["sales", "collect", "--channel", "shop_de"], None, "success", ""),
        (["sales", "collect", "--channel", "shop_fr"], None, "failed", "FOLDER_MISSING"),
        (["sales", "collect", "--channel", "shop_de"], (sales, "collect"), "failed", "interrupted"),
        (["reporting", "drain"], None, "success", ""),
    ],
)
def test_a_step_by_hand_closes_its_run(
    step: list[str],
    replaced: tuple[object, str] | None,
    state: str,
    message: str,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    migrated_lake(home / "lake")
    if replaced:

        def interrupted(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(*replaced, interrupted)
    assert bool(cli.main(step)) is (state == "failed")
    ((found, said, is_closed),) = asked("SELECT state, message, ended_at IS NOT NULL FROM ops.run")
    assert (found, is_closed) == (state, True)
    assert message in said


def test_one_refused_channel_does_not_keep_the_others_back(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    migrated_lake(home / "lake")
    assert cli.main(["sales", "collect", "--channel", "partner_ae", "--channel", "shop_de"]) == 1
    assert asked("SELECT channel_code, state FROM ops.load WHERE entity = 'order_line' ORDER BY 1") == [
        ("partner_ae", "refused"),
        ("shop_de", "loaded"),
    ]
    shown = capsys.readouterr().err
    assert shown.count("FOLDER_MISSING") == 1, "told once"


@pytest.mark.parametrize("step", ["list-channels", "collect"])
def test_an_unknown_channel_is_told_once_and_makes_no_lake(
    step: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["sales", step, "--channel", "shop_dee"]) == 2
    assert capsys.readouterr().err.count("there is no such channel; did you mean 'shop_de'?") == 1
    assert not (home / "lake").exists()


@pytest.mark.parametrize("function", ["sales", "reporting"])
def test_a_verdict_is_of_a_run_that_was(function: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verdict = [function, "verdict", "--run-id"]
    assert cli.main([*verdict, "r1"]) == 1
    assert "there is no warehouse" in capsys.readouterr().err
    assert not (home / "lake").exists()
    migrated_lake(home / "lake")
    assert cli.main(["sales", "collect", "--channel", "shop_de", "--run-id", "r1"]) == 0
    assert cli.main([*verdict, "r2"]) == 1
    assert "there is no run 'r2'" in capsys.readouterr().err
    assert cli.main([*verdict, "r1"]) == 0
    assert "nothing failed" in capsys.readouterr().out


def _as_file(home: Path) -> Path:
    home.parent.mkdir(exist_ok=True)
    home.write_text("")
    return home


@pytest.mark.parametrize("below", [".", "deeper/still"])
@pytest.mark.parametrize("command", [["run", "sales_orders_daily"], ["up"], ["down"], ["models"], ["sales", "stage"]])
def test_a_home_that_is_a_file_is_named(
    command: list[str],
    below: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = _as_file(tmp_path / "file")
    monkeypatch.setenv("CARAVAN_HOME", str(file / below))
    assert cli.main(command) == 2
    assert capsys.readouterr().err == (
        f"caravan: 1 fault found:\n  - CARAVAN_HOME: {file} is no folder; name one, or one to be made\n"
    )


def test_doctor_tells_of_such_a_home_beside_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("CARAVAN_HOME", str(_as_file(tmp_path / "file")))
    assert cli.main(["doctor"]) == 1
    shown = capsys.readouterr().out
    assert "is no folder" in shown and "GB free" in shown


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(13, "Permission denied", "/home/x/report"), "caravan: /home/x/report: Permission denied"),
        (FileNotFoundError(2, "No such file or directory", "/proc/x"), "caravan: /proc/x: No such file or directory"),
    ],
)
def test_a_path_that_cannot_be_used_is_named(
    error: OSError, message: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> str:
        raise error

    monkeypatch.setattr(reporting, "report", fail)
    assert cli.main(["reporting", "report"]) == 1
    assert capsys.readouterr().err.startswith(message)


@pytest.mark.parametrize(
    ("sql", "code"), [("SELEC 1", "BAD_SQL"), ("DROP TABLE x", "NOT_A_QUERY"), ("FROM glob('*')", "NOT_IN_WAREHOUSE")]
)
def test_a_bad_query_is_told_without_a_warehouse(
    sql: str, code: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["query", sql]) == 1
    assert code in capsys.readouterr().err
