"""The command line's own work: options to scope, errors to exit codes, one report of faults."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from caravan import PROJECT_ROOT
from caravan.assembly import sales
from caravan.cli import main as cli
from caravan.cli import steps
from caravan.cli.check import template_faults
from caravan.cli.doctor import lock_faults, without_password
from caravan.core.errors import Fault, Misconfigured, Rejected, Retryable
from caravan.core.scope import RunScope
from caravan.core.window import Window

COMMANDS = (
    *("demo", "up", "down", "airflow", "check", "run", "query", "models", "migrate", "doctor", "calendar"),
    *("upkeep", "backup", "restore", "privacy", "alerts", "heartbeat", "connections", "world", "outbox", "release"),
    *("sales", "reporting", "markets"),
)
STEPS = {
    "sales": ("list-channels", "collect", "stage", "validate", "build", "verdict"),
    "reporting": ("drain", "publish", "upload", "report"),
    "world": ("serve", "truth", "fault"),
    "release": ("list", "lint", "preview", "calendar"),
    "outbox": ("list", "explain", "settle", "retry", "verify"),
}


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert [name for name in COMMANDS if name not in shown] == []


@pytest.mark.parametrize("function", STEPS)
def test_help_names_every_step(function: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([function, "--help"]) == 0
    shown = capsys.readouterr().out
    assert [name for name in STEPS[function] if name not in shown] == []


def test_start_imports_nothing_heavy() -> None:
    heavy = ("airflow", "duckdb", "pandas", "sqlglot", "great_expectations", "altair", "psutil", "yaml")
    code = f"import sys, caravan.cli.main; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(PROJECT_ROOT / "plugins")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (
            Rejected("GZIP_TRUNCATED", "orders.csv.gz breaks off"),
            1,
            "caravan: GZIP_TRUNCATED: orders.csv.gz breaks off\n",
        ),
        (Retryable("the lock is taken"), 1, "caravan: the lock is taken\n"),
        (Misconfigured([Fault("a.yml:3", "unknown key")]), 2, "caravan: 1 fault found:\n  - a.yml:3: unknown key\n"),
    ],
)
def test_errors_are_messages_with_exit_codes(
    error: Exception, code: int, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(scope: RunScope) -> None:
        raise error

    monkeypatch.setattr(sales, "stage", fail)
    assert cli.main(["sales", "stage"]) == code
    assert capsys.readouterr().err == message


def test_other_errors_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(scope: RunScope) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(sales, "stage", fail)
    with pytest.raises(ZeroDivisionError):
        cli.main(["sales", "stage"])


def test_channels_are_named_once_each() -> None:
    assert steps.scope(None, None, ["b", "a", "b"]).channels == ("b", "a")


@pytest.mark.parametrize(
    ("arguments", "window", "channels", "dry_run"),
    [
        (["--from", "2026-01-01", "--to", "2026-02-01"], (date(2026, 1, 1), date(2026, 2, 1)), (), False),
        ([], None, (), False),
    ],
)
def test_options_become_the_scope(
    arguments: list[str],
    window: tuple[date, date] | None,
    channels: tuple[str, ...],
    dry_run: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[RunScope] = []

    def build(scope: RunScope) -> dict[str, int]:
        seen.append(scope)
        return {}

    monkeypatch.setattr(sales, "build", build)
    assert cli.main(["sales", "build", *arguments, "--run-id", "r1"]) == 0
    today = datetime.now(UTC).date()
    first, end = window or (today - timedelta(days=1), today)
    assert seen == [RunScope("r1", "cli", Window.of_days(first, end), channels, dry_run)]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--from", "2026-01-01"], "--to: is missing"),
        (["--to", "2026-01-01"], "--from: is missing"),
        (["--from", "2026-01-02", "--to", "2026-01-02"], "the end is exclusive"),
        (["--from", "2026-13-01", "--to", "2026-01-02"], "--from"),
    ],
)
def test_windows_that_are_none(arguments: list[str], part: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["sales", "build", *arguments]) == 2
    assert part in capsys.readouterr().err


@pytest.mark.parametrize(("options", "reload"), [([], False), (["--reload"], True)])
def test_collect_goes_through_the_listed_channels(
    options: list[str], reload: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[tuple[str, bool]] = []

    def collect(scope: RunScope, code: str, reload: bool) -> dict[str, int]:
        seen.append((code, reload))
        return {"loaded": 1234}

    monkeypatch.setattr(sales, "list_channels", lambda scope: ["shop_de", "shop_fr"])
    monkeypatch.setattr(sales, "collect", collect)
    monkeypatch.setattr(steps, "close_run", lambda dag_id, run_id, message: None)
    assert cli.main(["sales", "collect", *options]) == 0
    assert seen == [("shop_de", reload), ("shop_fr", reload)]
    shown = capsys.readouterr().out
    assert shown.index("shop_de") < shown.index("shop_fr")
    assert "1,234" in shown


@pytest.mark.parametrize("conf", ["{", "[1]", "3"])
def test_conf_must_be_a_json_object(conf: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "sales_orders_daily", "--conf", conf]) == 2
    assert "--conf" in capsys.readouterr().err


@pytest.mark.parametrize("outcome", [True, False])
def test_run_fails_with_its_dag(outcome: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from caravan.cli import run

    seen: list[tuple[object, ...]] = []

    def run_dag(*arguments: object) -> bool:
        seen.append(arguments[:5])
        return outcome

    monkeypatch.setattr(run, "run_dag", run_dag)
    window = ["--from", "2026-01-01", "--to", "2026-01-03"]
    code = cli.main(["run", "x", *window, "--conf", '{"dry_run": true}', "--downstream"])
    assert code == (0 if outcome else 1)
    assert seen == [("x", date(2026, 1, 1), date(2026, 1, 3), {"dry_run": True}, True)]


def test_check_reports_every_kind_of_fault_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/project.yml").write_text("base_curency: EUR\n")
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/report.html.j2").write_text("fine\n{% if x %}\n")
    monkeypatch.setenv("CARAVAN_CONFIG", str(tmp_path / "config"))
    monkeypatch.setattr("caravan.TEMPLATES_DIR", tmp_path / "templates")
    assert cli.main(["check"]) == 2
    shown = capsys.readouterr().err
    assert "did you mean 'base_currency'" in shown
    assert "templates/report.html.j2:2" in shown


@pytest.mark.parametrize(
    ("text", "where", "part"),
    [
        ("{% for a in b %}", "templates/x.html.j2:1", "Unexpected end of template"),
        ("one\n{{ a b }}", "templates/x.html.j2:2", "expected token"),
        ("\n\n{% nonsense %}", "templates/x.html.j2:3", "unknown tag 'nonsense'"),
    ],
)
def test_template_faults(tmp_path: Path, text: str, where: str, part: str) -> None:
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "good.html.j2").write_text("{% if a %}{{ a }}{% endif %}")
    (folder / "x.html.j2").write_text(text)
    (fault,) = template_faults(folder)
    assert fault.where == where
    assert part in fault.message


@pytest.mark.parametrize(
    ("result", "lines"),
    [
        (None, []),
        ("report.html", ["report.html"]),
        (["a", "b"], ["a", "b"]),
    ],
)
def test_plain_results_are_lines(result: object, lines: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    steps.show(result)
    assert capsys.readouterr().out.splitlines() == lines


@pytest.mark.parametrize(
    ("lock", "faults"),
    [
        ("duckdb==1.5.5 \\\n    --hash=sha256:00\n    # via x\n", []),
        ("duckdb==1.5.4 \\\n", ["duckdb is 1.5.5, locked ==1.5.4"]),
        ("no-such-package==1.0\n", ["no-such-package is missing"]),
        ("no-such-package==1.0 ; python_version < '3'\n", []),
    ],
)
def test_doctor_compares_the_lock(tmp_path: Path, lock: str, faults: list[str]) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text(lock)
    assert lock_faults(file) == faults


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("lake:///srv/a@b/lake", "lake:///srv/a@b/lake"),
        ("postgresql://me:secret@db:5432/caravan", "postgresql://me@db:5432/caravan"),
        ("postgresql://me:sec@ret@db/caravan", "postgresql://me@db/caravan"),
        ("postgresql://db/caravan", "postgresql://db/caravan"),
    ],
)
def test_passwords_are_not_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_doctor_fails_on_a_fault_and_still_shows_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("CARAVAN_HOME", str(tmp_path / "home"))
    assert cli.main(["doctor"]) == 0, capsys.readouterr().out
    assert "not made yet" in capsys.readouterr().out
    monkeypatch.setenv("CARAVAN_CONFIG", str(tmp_path / "nowhere"))
    assert cli.main(["doctor"]) == 1
    shown = capsys.readouterr().out
    assert "nowhere" in shown
    assert "GB free" in shown
    assert not (tmp_path / "home").exists(), "doctor looks, it changes nothing"
