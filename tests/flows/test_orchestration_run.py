"""The DAGs run through Airflow, over an assembly that only records what it is asked."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from stand_in_assembly import CHANNELS, StandIn

import caravan.assembly
from caravan.assembly.warehouse import open_warehouse
from caravan.cli import run as runner
from caravan.config.settings import BY_HAND, Settings
from caravan.core.errors import CaravanError, Fault, Misconfigured, Rejected, Retryable
from caravan.core.window import Window

ROOT = Path(__file__).resolve().parents[2]
YEAR = {"window_start": "2010-12-01", "window_end": "2011-12-10"}


@pytest.fixture
def assembly(monkeypatch) -> StandIn:
    stand_in = StandIn()
    for part, module in stand_in.modules().items():
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setattr(caravan.assembly, part, module, raising=False)
    return stand_in


@pytest.fixture
def run(airflow_database, assembly, monkeypatch):
    """Runs a DAG in this process, with DAGs of its own: a run shortens their retry delays."""
    monkeypatch.setattr(runner, "LONGEST_RETRY_DELAY", timedelta(0))

    def execute(dag_id: str = "sales_orders_daily", conf: dict | None = None, downstream: bool = False):
        said: list[str] = []
        result = runner.execute(runner.load_dags(), dag_id, YEAR if conf is None else conf, downstream, said.append)
        return result, "\n".join(said)

    return execute


def test_every_channel_is_collected_then_built_then_reported(run, assembly):
    result, said = run(conf={**YEAR, "channels": ["shop_de"]}, downstream=True)
    assert result, said
    names = assembly.names()
    assert sorted(names[-3:-1]) == ["reporting.report", "reporting.upload"], "neither waits for the other"
    assert names[:-3] + names[-1:] == [
        "sales.list_channels",
        *["sales.collect"] * 3,
        "sales.stage",
        "sales.validate",
        "sales.build",
        "sales.verdict",
        "reporting.drain",
        "reporting.publish",
        "reporting.verdict",
    ]
    assert sorted(channel for _, channel in assembly.arguments("sales.collect")) == CHANNELS
    scopes = {arguments[0] for name, arguments in assembly.calls if name.startswith("sales.")}
    assert len(scopes) == 1, "every task of a run has the same scope"
    scope = scopes.pop()
    assert scope.window == Window.of_days(date(2010, 12, 1), date(2011, 12, 10))
    assert (scope.dag_id, scope.channels, scope.dry_run) == ("sales_orders_daily", ("shop_de",), False)

    (drained,) = assembly.arguments("reporting.drain")
    assert drained[1] == "reporting_marts_hourly"
    assert drained[0].startswith("manual__") and drained[0] != scope.run_id
    assert assembly.arguments("reporting.verdict") == [(*drained, [])]
    assert [follower.dag_id for follower in result.downstream] == ["reporting_marts_hourly"]
    assert "  collect [shop_fr]\n    ok, " in said
    assert events_of("sales_orders") > 0


def events_of(asset: str) -> int:
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import func, select

    of_asset = select(func.count()).select_from(AssetEvent).join(AssetModel, AssetModel.id == AssetEvent.asset_id)
    with create_session() as session:
        return session.scalar(of_asset.where(AssetModel.name == asset))


def test_a_dry_run_goes_through_every_task_and_wakes_no_dag(run, assembly):
    before = events_of("sales_orders")
    result, said = run(conf={**YEAR, "dry_run": True}, downstream=True)
    assert result, said
    assert assembly.names()[-3:] == ["sales.validate", "sales.build", "sales.verdict"]
    assert {arguments[0].dry_run for _, arguments in assembly.calls} == {True}
    assert result.downstream == ()
    assert events_of("sales_orders") == before
    assert "  build\n" in said and "    skipped" in said


def test_a_refused_channel_stops_neither_the_others_nor_the_build_but_the_run_fails(run, assembly):
    assembly.fail("sales.collect", Rejected("GZIP_TRUNCATED", "orders.csv.gz ends early"), channel="shop_fr")
    result, said = run()
    assert not result
    assert result.state == "failed"
    assert result.failures == {
        "collect [shop_fr]": "GZIP_TRUNCATED: orders.csv.gz ends early",
        "verdict": "TASKS_FAILED: collect (1 of 3); their logs say why",
    }
    assert result.not_run == ()
    assert assembly.names().count("sales.collect") == 3, "a refused delivery is not tried again"
    assert assembly.names()[4:] == ["sales.stage", "sales.validate", "sales.build", "sales.verdict"]
    assert re.search(r"^    failed, [0-9.]+ s: GZIP_TRUNCATED: orders\.csv\.gz ends early$", said, re.MULTILINE)


def test_a_failure_and_the_end_of_the_run_are_told(run, assembly):
    error = Rejected("GZIP_TRUNCATED", "orders.csv.gz ends early")
    assembly.fail("sales.collect", error, channel="shop_fr")
    run(conf={**YEAR, "channels": ["shop_fr"]})
    (told, ended) = assembly.told
    name, (dag_id, task_id, label, run_id, tier, link, told_error) = told
    assert (name, dag_id, task_id, label, tier) == ("task_failed", "sales_orders_daily", "collect", "shop_fr", 1)
    assert told_error is error
    assert link.startswith("http") and "/tasks/collect/mapped/1" in link
    name, (end, last_error) = ended
    assert (name, end.dag_id, end.run_id, end.tier, end.last_task) == ("run_ended", dag_id, run_id, 1, "verdict")
    assert end.states["collect"] == ["success", "failed", "success"], "by map index"
    assert end.states["stage"] == ["success"]
    assert end.asked == ("shop_fr",)
    assert "collect (1 of 3)" in str(last_error)


def test_the_end_of_a_run_that_went_well_is_told_and_a_dry_run_tells_nothing(run, assembly):
    run()
    ((name, (end, error)),) = assembly.told
    assert (name, error, end.asked) == ("run_ended", None, ())
    assert set(end.states) == {"list_channels", "collect", "stage", "validate", "build", "verdict"}
    assembly.told.clear()
    assembly.fail("sales.stage", Rejected("X", "y"))
    run(conf={**YEAR, "dry_run": True})
    assert assembly.told == []


def test_a_task_that_is_stopped_for_its_time_says_so(run, assembly):
    from airflow.sdk.exceptions import AirflowTaskTimeout

    assembly.fail("sales.stage", AirflowTaskTimeout())
    run()
    assert assembly.names().count("sales.stage") == 3, "it is tried again"
    assert "longer than its execution_timeout of 1:00:00" in str(assembly.told[0][1][-1])


def test_without_channels_nothing_is_built_and_the_verdict_still_falls(run, assembly):
    assembly.fail("sales.list_channels", Misconfigured([Fault("shop.yml", "unknown key 'nme'")]))
    result, said = run(downstream=True)
    assert assembly.names() == ["sales.list_channels", "sales.verdict"], "one try, no build, no report"
    assert list(result.failures) == ["list_channels", "verdict"]
    assert result.failures["list_channels"].endswith("shop.yml: unknown key 'nme'")
    assert set(result.not_run) == {"collect", "stage", "validate", "build"}
    assert result.downstream == ()
    assert assembly.arguments("sales.verdict")[0][1] == ["list_channels"], "what could not start has not failed"
    assert said.count("unknown key 'nme'") == 1, "told once"


def test_what_may_pass_is_tried_again_and_a_defect_shows_its_line(run, assembly):
    assembly.fail("sales.stage", Retryable("the catalog is locked"), None)
    assembly.fail("sales.validate", ZeroDivisionError("by nothing"))
    result, said = run()
    names = assembly.names()
    assert (names.count("sales.stage"), names.count("sales.validate"), names.count("sales.build")) == (2, 3, 0)
    assert result.failures["validate"] == "ZeroDivisionError: by nothing"
    assert result.not_run == ("build",)
    assert 'sales_orders_daily.py", line' in said
    assert "/airflow/sdk/" not in said


def test_the_verdict_of_the_checks_fails_a_run_whose_tasks_all_went_well(run, assembly):
    assembly.fail("sales.verdict", Rejected("SLICES_BLOCKED", "mart.fct_order 2026-03-01 FR: key is not unique"))
    result, _ = run()
    assert result.failures == {"verdict": "SLICES_BLOCKED: mart.fct_order 2026-03-01 FR: key is not unique"}
    assert "sales.build" in assembly.names()


def test_without_a_window_the_last_whole_utc_day_is_run(run, assembly):
    before = datetime.now(UTC).date()
    result, said = run(conf={})
    assert result, said
    after = datetime.now(UTC).date()
    (scope,) = assembly.arguments("sales.build")[0]
    assert scope.window in [Window.of_days(day - timedelta(days=1), day) for day in (before, after)]


@pytest.mark.parametrize(
    ("dag_id", "start", "end", "conf", "message"),
    [
        ("sales_orders_daily", None, None, {"windw_start": "2026-03-01"}, "did you mean 'window_start'"),
        ("sales_orders_daily", None, None, {"window_start": "soon"}, "parameter 'window_start'"),
        ("sales_orders_daily", None, None, {"dry_run": "yes"}, "parameter 'dry_run'"),
        ("sales_orders_daily", date(2026, 3, 1), None, {}, "give both --from and --to"),
        ("sales_orders_daily", date(2026, 3, 1), date(2026, 3, 1), {}, "the end is exclusive"),
        ("sales_orders_daily", date(2026, 3, 1), date(2026, 3, 2), {"window_end": "2026-03-05"}, "given twice"),
        ("reporting_marts_hourly", date(2026, 3, 1), date(2026, 3, 2), {}, "takes no window"),
        ("reporting_marts_hourly", None, None, {"channels": []}, "has no parameter 'channels'"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(bag, dag_id, start, end, conf, message):
    with pytest.raises(CaravanError, match=message):
        runner.run_conf(bag.dags[dag_id], start, end, conf)


def test_dates_become_the_window_of_the_form(bag):
    conf = runner.run_conf(bag.dags["sales_orders_daily"], date(2010, 12, 1), date(2011, 12, 10), {"dry_run": True})
    assert conf == {**YEAR, "dry_run": True}
    assert bag.dags["sales_orders_daily"].params["window_start"] is None, "the DAG itself stays as it was"


def test_a_run_by_hand_is_known_as_one_while_it_lasts(run, assembly, monkeypatch):
    during: list[str | None] = []
    sales = sys.modules["caravan.assembly.sales"]
    monkeypatch.setattr(sales, "stage", lambda scope: during.append(os.environ.get(BY_HAND)))
    run()
    assert (during, BY_HAND in os.environ) == (["1"], False)


def test_an_airflow_of_someone_else_is_not_touched(airflow_database):
    with pytest.raises(CaravanError, match="imported already"):
        runner.run_dag("sales_orders_daily")


SCRIPT = """
import sys
sys.path.insert(0, {flows!r})
import stand_in_assembly
assembly = stand_in_assembly.install()
from datetime import date
from caravan.cli.run import run_dag
from caravan.core.errors import CaravanError
{body}
"""


ADDED_TASK = """
    @step()
    def count_parcels(scope: RunScope) -> int:
        print(f"41 parcels of {scope.window}")
        return 41

    count_parcels()
    channels = list_channels()
"""


def start(tmp_path: Path, body: str, **variables: str) -> subprocess.Popen[str]:
    """`run_dag` in a process of its own, as the command line does, over a copy of the DAG folder."""
    shutil.copytree(ROOT / "dags", tmp_path / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    dag_file = tmp_path / "dags" / "sales_orders_daily.py"
    source = dag_file.read_text()
    changed = source.replace("    channels = list_channels()\n", ADDED_TASK)
    assert changed != source
    dag_file.write_text(changed)
    (tmp_path / "tmp").mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "CARAVAN"))}
    environment.update(
        CARAVAN_HOME=str(tmp_path / "home"),
        TMPDIR=str(tmp_path / "tmp"),
        PYTHONPATH=str(ROOT / "plugins"),
        AIRFLOW__CORE__DAGS_FOLDER=str(tmp_path / "dags"),
        # A live installation's settings, which a private run must not use.
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN="postgresql://nobody@127.0.0.1:9/live",
        **variables,
    )
    script = SCRIPT.format(flows=str(ROOT / "tests" / "flows"), body=textwrap.dedent(body))
    return subprocess.Popen(
        [sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_a_task_added_to_a_dag_file_runs_in_a_private_airflow_that_leaves_nothing(tmp_path):
    body = """
        for dag_id, conf in (("sales_orders_dayly", {}), ("sales_orders_daily", {"windw_start": "2026-03-01"})):
            try:
                run_dag(dag_id, conf=conf)
            except CaravanError as error:
                print("refused:", error)
        assert assembly.calls == []
        result = run_dag("sales_orders_daily", date(2026, 3, 1), date(2026, 3, 2))
        again = run_dag("reporting_marts_hourly")
        print("results:", bool(result), bool(again), assembly.names().count("sales.build"))
    """
    process = start(tmp_path, body)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert "refused: no DAG 'sales_orders_dayly'" in said and "did you mean 'sales_orders_daily'?" in said
    assert "refused: sales_orders_daily has no parameter 'windw_start'; did you mean 'window_start'?" in said
    assert "  count_parcels\n" in said
    assert "41 parcels of 2026-03-01T00:00 to 2026-03-02T00:00 UTC" in said
    assert "    sales.build was called\n" in said, "our log lines are shown"
    assert "[DAG TEST]" not in said and "SQLite" not in said and "Warning" not in said
    assert "Returned value" not in said
    assert "results: True True 1" in said
    assert list((tmp_path / "tmp").iterdir()) == []
    template, lock = sorted((tmp_path / "home" / "airflow-template").iterdir())
    assert (template.suffix, lock.name) == (".db", "lock")


def test_a_dry_run_by_command_makes_no_lake(tmp_path):
    folder = tmp_path / "home/incoming/shop_de"
    folder.mkdir(parents=True)
    (folder / "bestellungen_1.csv").write_text("Bestellnummer;Position\n")
    os.utime(folder / "bestellungen_1.csv", (1_793_000_000, 1_793_000_000))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "CARAVAN"))}
    conf = '{"dry_run": true, "channels": ["shop_de"]}'
    done = subprocess.run(
        [sys.executable, "-P", "-m", "caravan", "run", "sales_orders_daily", "--conf", conf, "--downstream"],
        env={**kept, "PYTHONPATH": str(ROOT / "plugins"), "CARAVAN_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "there is no warehouse yet: everything would be loaded\n" in done.stdout
    assert "shop_de order_line: would load bestellungen_1.csv\n" in done.stdout
    assert "would build mart.fct_order_line: " in done.stdout
    assert "reporting_marts_hourly" not in done.stdout
    assert not (tmp_path / "home/lake").exists()


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 128 + signal.SIGTERM)])
@pytest.mark.slow
def test_an_interrupted_run_stops_at_once_and_leaves_its_end_on_record(tmp_path, sent, code):
    body = """
        import time
        assembly.fail("sales.build", None)
        built = sys.modules["caravan.assembly.sales"]
        from caravan.assembly.warehouse import open_store
        from caravan.config.loader import load
        from caravan.config.settings import Settings
        settings = Settings.from_environment()
        configuration = load(settings.config_dir)
        def build(scope):
            with open_store(settings, configuration, scope.dag_id) as store:
                store.start_run(scope.run_id, scope.window, configuration.hash)
            print("building", flush=True)
            time.sleep(60)
        built.build = build
        run_dag("sales_orders_daily", date(2026, 3, 1), date(2026, 3, 2))
    """
    process = start(tmp_path, body, PYTHONUNBUFFERED="1")
    assert process.stdout is not None
    for line in process.stdout:
        if line == "building\n":
            break
    process.send_signal(sent)
    said, _ = process.communicate(timeout=20)
    assert process.returncode == code
    assert "verdict" not in said
    assert list((tmp_path / "tmp").iterdir()) == []
    settings = Settings.from_environment({"CARAVAN_HOME": str(tmp_path / "home")})
    with open_warehouse(settings, read_only=True) as warehouse, warehouse.read() as session:
        found = session.rows("SELECT dag_id, state, message, ended_at > started_at FROM ops.run")
    assert found == [("sales_orders_daily", "failed", "interrupted", True)]
