"""What every DAG owes its readers and its scheduler, and the orders that matter."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from airflow.sdk import CronTriggerTimetable, DeltaTriggerTimetable

ROOT = Path(__file__).resolve().parents[2]
ALONGSIDE = {"release_send_minutely": 2, "release_approve_manual": 50}
"""Runs at once of DAGs whose runs do not wait for one another: a long list, or an answer, holds up no other."""
DAG_FILES = sorted(path.stem for path in (ROOT / "dags").glob("*.py"))


def test_every_dag_file_loads_and_holds_the_dag_of_its_name(bag):
    assert DAG_FILES
    assert bag.import_errors == {}
    assert sorted(bag.dags) == DAG_FILES
    assert {dag_id: Path(dag.fileloc).stem for dag_id, dag in bag.dags.items()} == {name: name for name in DAG_FILES}


@pytest.mark.parametrize("dag_id", DAG_FILES)
def test_a_dag_says_what_it_is(bag, dag_id):
    dag = bag.dags[dag_id]
    function, *_, cadence = dag_id.split("_")
    kinds = [tag.partition(":")[0] for tag in dag.tags]
    assert sorted(kinds) == sorted({"rerun", "tier", "function"} | set(kinds)), "each kind of tag once, all three there"
    assert f"function:{function}" in dag.tags
    assert {tag for tag in dag.tags if tag.startswith("rerun:")} <= {"rerun:window", "rerun:now", "rerun:manual"}
    assert {tag for tag in dag.tags if tag.startswith("tier:")} <= {"tier:1", "tier:2", "tier:3"}
    assert cadence in ("minutely", "quarterhourly", "hourly", "daily", "nightly", "weekly", "monthly", "manual")
    for part in ("**Rerun class**", "**When**", "**Inputs**", "**When it fails**"):
        assert part in (dag.doc_md or "")


@pytest.mark.parametrize("dag_id", DAG_FILES)
def test_a_dag_runs_one_at_a_time_from_a_fixed_start_and_without_catchup(bag, dag_id):
    dag = bag.dags[dag_id]
    assert dag.start_date is not None
    assert dag.start_date.minute == dag.start_date.second == dag.start_date.microsecond == 0
    assert dag.catchup is False
    assert dag.max_active_runs == ALONGSIDE.get(dag_id, 1)


@pytest.mark.parametrize("dag_id", DAG_FILES)
def test_a_schedule_is_a_timetable_and_a_window_dag_has_windows(bag, dag_id):
    """A plain cron string or timedelta gives a window of zero length: it would load nothing and succeed."""
    dag = bag.dags[dag_id]
    assert not isinstance(dag.schedule, str | timedelta)
    if "window_start" in dag.params:
        assert not isinstance(dag.timetable, CronTriggerTimetable | DeltaTriggerTimetable)
        assert type(dag.timetable).__name__ == "WindowTimetable"


@pytest.mark.parametrize("dag_id", DAG_FILES)
def test_every_task_has_an_owner_retries_and_a_time_limit(bag, dag_id):
    tasks = bag.dags[dag_id].tasks
    assert tasks
    for task in tasks:
        assert task.owner == "caravan", task.task_id
        assert task.retries >= (dag_id != "release_send_minutely"), task.task_id  # a minute later it runs anyway
        assert task.retry_delay >= timedelta(minutes=1), task.task_id
        assert timedelta(0) < task.execution_timeout <= timedelta(hours=6), task.task_id
        policy = task.partial_kwargs["retry_policy"] if task.is_mapped else task.retry_policy
        assert type(policy).__name__ == "RetryByError", task.task_id


@pytest.mark.parametrize("dag_id", DAG_FILES)
def test_every_failure_and_every_end_of_a_run_is_told(bag, dag_id):
    for task in bag.dags[dag_id].tasks:
        arguments = task.partial_kwargs if task.is_mapped else vars(task)
        called = arguments["on_failure_callback"]
        names = [callback.__name__ for callback in (called if isinstance(called, list | tuple) else [called])]
        assert names == ["run_ended" if task.task_id == "verdict" else "task_failed"], task.task_id
    ends = bag.dags[dag_id].get_task("verdict").on_success_callback
    assert [callback.__name__ for callback in ends] == ["run_ended"]


def test_every_pool_that_a_task_names_is_made_at_set_up(bag):
    """A task in a pool that does not exist is never started, though `dag.test()` runs it."""
    from airflow.models.pool import Pool

    from caravan.orchestration.pools import create_pools

    named = {task.pool for dag in bag.dags.values() for task in dag.tasks}
    assert named == {"warehouse", "outbox", "sending", "crawling", "default_pool"}
    assert create_pools(ROOT / "include/config") == ["warehouse", "outbox", "sending", "crawling"]
    assert create_pools(ROOT / "include/config") == ["warehouse", "outbox", "sending", "crawling"], (
        "a second time changes nothing"
    )
    assert named <= {pool.pool for pool in Pool.get_pools()}
    assert [Pool.get_pool(name).slots for name in ("warehouse", "outbox", "sending", "crawling")] == [3, 3, 2, 2]
    sends = {task.pool for task in bag.dags["release_send_minutely"].tasks}
    others = {task.pool for dag in bag.dags.values() if dag.dag_id != "release_send_minutely" for task in dag.tasks}
    assert sends == {"sending"} and "sending" not in others, "nothing else keeps a message from its minute"


def test_an_approval_waits_for_no_long_list_and_for_no_queue(bag):
    """One place of the pool is left, whatever the two others are at."""
    from caravan.config.pools import load_pools

    (slots,) = (pool.slots for pool in load_pools(ROOT / "include/config") if pool.name == "outbox")
    plan, feedback = bag.dags["release_plan_hourly"], bag.dags["release_feedback_hourly"]
    assert (plan.max_active_runs, plan.max_active_tasks, feedback.max_active_runs) == (1, 1, 1)
    assert feedback.get_task("collect").partial_kwargs["max_active_tis_per_dagrun"] == 1
    assert plan.max_active_tasks + 1 < slots


def test_the_pools_leave_the_watch_a_place(tmp_path):
    from caravan.cli.server import environment
    from caravan.config.pools import load_pools
    from caravan.config.settings import Settings

    settings = Settings.from_environment({"CARAVAN_HOME": str(tmp_path)})
    keys = dict.fromkeys(("fernet_key", "api_secret", "jwt_secret"), "k")
    places = int(environment(settings, 9000, keys, paused=True)["AIRFLOW__CORE__PARALLELISM"])
    assert sum(pool.slots for pool in load_pools(ROOT / "include/config")) == places - 1


def test_a_component_that_starts_makes_the_pools_and_a_worker_does_not(bag, monkeypatch):
    from airflow import plugins_manager

    from caravan.orchestration import pools

    plugins_manager._get_plugins()
    made: list[object] = []
    monkeypatch.setattr(pools, "create_pools", made.append)

    class Job:
        pass

    class TaskRunnerMarker:
        pass

    pools.on_starting(Job())
    assert made == [ROOT / "include/config"]
    pools.on_starting(TaskRunnerMarker())
    assert len(made) == 1
    plugin = next(each for each in plugins_manager._get_plugins()[0] if each.name == "caravan")
    assert plugin.listeners == [pools]


def test_the_watch_refuses_backfills_and_leaves_the_writers_pool_alone(bag):
    watch = bag.dags["ops_watch_quarterhourly"]
    assert {str(getattr(kind, "value", kind)) for kind in watch.allowed_run_types} == {"scheduled", "manual"}
    assert {task.pool for task in watch.tasks} == {"default_pool"}
    others = {task.pool for dag in bag.dags.values() if dag is not watch for task in dag.tasks}
    assert "default_pool" not in others, "the place that the writers leave is the watch's"
    assert watch.get_task("send_messages").trigger_rule == "all_done"


@pytest.mark.parametrize("dag_id", DAG_FILES)
def test_the_verdict_is_the_one_last_task_and_runs_whatever_happened(bag, dag_id):
    dag = bag.dags[dag_id]
    assert [task.task_id for task in dag.leaves] == ["verdict"]
    assert dag.get_task("verdict").trigger_rule == "all_done"
    assert dag.get_task("verdict").get_flat_relative_ids(upstream=True) == set(dag.task_ids) - {"verdict"}


@pytest.mark.parametrize(
    ("dag_id", "first", "then"),
    [
        ("sales_orders_daily", "list_channels", "collect"),
        ("sales_orders_daily", "collect", "stage"),
        ("sales_orders_daily", "stage", "validate"),
        ("sales_orders_daily", "validate", "build"),
        ("site_search_daily", "list_sites", "collect"),
        ("site_search_daily", "collect", "build"),
        ("markets_rates_daily", "load_bundled", "collect_fetched"),
        ("markets_rates_daily", "collect_fetched", "collect_user"),
        ("markets_rates_daily", "collect_user", "build"),
        ("reporting_marts_hourly", "drain", "publish"),
        ("reporting_marts_hourly", "drain", "report"),
        ("release_plan_hourly", "list_releases", "plan"),
        ("release_plan_hourly", "plan", "mirror"),
        ("release_send_minutely", "list_outlets", "send"),
        ("release_approve_manual", "show_release", "ask_approver"),
        ("release_approve_manual", "ask_approver", "write_approval"),
    ],
)
def test_nothing_is_used_before_it_is_made_and_checked(bag, dag_id, first, then):
    assert first in bag.dags[dag_id].get_task(then).get_flat_relative_ids(upstream=True)


def test_rates_are_built_whatever_could_not_be_read_but_not_without_the_bundle(bag):
    dag = bag.dags["markets_rates_daily"]
    for name in ("collect_user", "build"):
        assert "load_bundled" in dag.get_task(name).upstream_task_ids
        assert dag.get_task(name).trigger_rule == "all_done_min_one_success"


def test_orders_are_collected_channel_by_channel(bag):
    dag = bag.dags["sales_orders_daily"]
    assert dag.get_task("collect").is_mapped
    assert not dag.get_task("stage").is_mapped
    assert set(dag.params) == {"window_start", "window_end", "channels", "dry_run"}
    titles = [dag.params.get_param(name).schema["title"] for name in dag.params]
    assert all(0 < len(title) <= 10 for title in titles), "a phone breaks longer ones"


def test_nothing_is_built_without_the_list_of_channels(bag):
    stage = bag.dags["sales_orders_daily"].get_task("stage")
    assert stage.upstream_task_ids == {"list_channels", "collect"}
    assert stage.trigger_rule == "all_done_min_one_success"


@pytest.mark.parametrize(
    ("dag_id", "task_id", "asset", "wakes"),
    [
        ("sales_orders_daily", "build", ("sales_orders", "caravan://sales/orders"), "reporting_marts_hourly"),
        ("site_crawl_nightly", "build", ("site_crawls", "caravan://site/crawls"), "reporting_marts_hourly"),
        ("release_approve_manual", "write_approval", ("release_approvals", "caravan://release/approvals"),
         "release_plan_hourly"),
    ],
)  # fmt: skip
def test_what_is_new_wakes_those_who_use_it(bag, dag_id, task_id, asset, wakes):
    outlets = {
        task.task_id: [(asset.name, asset.uri) for asset in task.outlets]
        for task in bag.dags[dag_id].tasks
        if task.outlets
    }
    assert outlets == {task_id: [asset]}
    condition = bag.dags[wakes].timetable.asset_condition
    names = [each.name for each in condition.objects]
    assert asset[0] in names
    assert len(names) == 1 or type(condition).__name__ == "AssetAny", "each of them wakes it by itself"


def test_what_is_rejected_is_not_approved_and_the_verdict_falls_all_the_same(bag):
    """Airflow skips what comes straight after the question."""
    asked = bag.dags["release_approve_manual"].get_task("ask_approver")
    assert asked.downstream_task_ids == {"write_approval"}
    assert asked.response_timeout == timedelta(days=3)
    assert asked.defaults is None, "without an answer nothing is chosen"
    assert (asked.ignore_downstream_trigger_rules, asked.fail_on_reject) == (False, False)


def test_only_what_sends_is_marked_as_outward(bag):
    outward = {dag_id for dag_id, dag in bag.dags.items() if "effect:outward" in dag.tags}
    assert outward == {"ops_watch_quarterhourly", "release_send_minutely"}


@pytest.mark.parametrize("dag_id", DAG_FILES)
def test_a_dag_reads_the_same_each_time(bag, dag_id):
    """A difference (an address, a clock, a random id) would make a new version of the DAG at every parse."""
    from airflow.dag_processing.dagbag import DagBag
    from airflow.serialization.serialized_objects import DagSerialization

    again = DagBag(dag_folder=str(ROOT / "dags")).dags[dag_id]
    assert again is not bag.dags[dag_id]
    first, second = (json.dumps(DagSerialization.to_dict(dag), sort_keys=True) for dag in (bag.dags[dag_id], again))
    assert first == second
    assert " object at 0x" not in first


def test_no_library_file_is_executed_as_a_plugin(bag):
    """Without the ignore line Airflow runs each file of the library under its bare name, and a json.py of ours
    would replace the standard library's."""
    from airflow import plugins_manager

    assert "caravan/" in (ROOT / "plugins" / ".airflowignore").read_text().splitlines()
    plugins, errors = plugins_manager._get_plugins()
    assert errors == {}
    assert "caravan" in [plugin.name for plugin in plugins]
    files = {name: str(getattr(module, "__file__", "")) for name, module in sys.modules.items()}
    ours = [name for name, file in files.items() if file.startswith(str(ROOT / "plugins"))]
    assert "caravan.orchestration.timetables" in ours
    assert [name for name in ours if name.partition(".")[0] not in ("caravan", "caravan_plugin")] == []
