"""`caravan run`: the DAG's own tasks, in this process, under a private Airflow."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from copy import copy
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from pluggy import HookimplMarker

from caravan.cli.dry_run import dry_run, has_lake
from caravan.cli.private_airflow import dags_folder, start_private_airflow
from caravan.cli.steps import close_run
from caravan.config.settings import BY_HAND, Settings
from caravan.core.errors import CaravanError, Retryable, nearest, stop_of

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.sdk import DAG

Say = Callable[[str], None]

LONGEST_RETRY_DELAY = timedelta(seconds=5)
"""A person is waiting. An error that names its own delay still gets it."""

_hook = HookimplMarker("airflow")


@dataclass(frozen=True)
class RunResult:
    """`state`: `success` or `failed`. `failures`: task to message, e.g. `collect [shop_fr]`; `not_run`: tasks that
    could not start because of them. True when all went well."""

    dag_id: str
    state: str
    failures: Mapping[str, str]
    not_run: tuple[str, ...] = ()
    downstream: tuple[RunResult, ...] = ()

    def __bool__(self) -> bool:
        return self.state == "success" and all(self.downstream)


def run_dag(
    dag_id: str,
    start: date | None = None,
    end: date | None = None,
    conf: Mapping[str, Any] | None = None,
    downstream: bool = False,
    settings: Settings | None = None,
    say: Say = partial(print, flush=True),
) -> RunResult:
    """Run every task of a DAG once; `[start, end)` in UTC days, or the DAG's last whole window.

    With `downstream`, DAGs scheduled on an asset that a task of this run updated follow, one after another.
    Raises CaravanError for an unknown DAG or parameter, before anything has run.
    """
    settings = settings or Settings.from_environment()
    start_private_airflow(settings)
    bag = load_dags()
    if dag_id not in bag.dags:
        broken = "".join(f"\n{file}:\n{error}" for file, error in sorted(bag.import_errors.items()))
        raise CaravanError(f"no DAG '{dag_id}' in {dags_folder()}{nearest(dag_id, bag.dags)}{broken}")
    checked = run_conf(bag.dags[dag_id], start, end, conf or {})
    with _termination_as_exit(), dry_run(settings, say) if checked.get("dry_run") else nullcontext():
        return execute(bag, dag_id, checked, downstream, say)


def load_dags() -> DagBag:
    """The DAGs of the DAG folder. Needs `start_private_airflow` first."""
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(dag_folder=str(dags_folder()))


def run_conf(dag: DAG, start: date | None, end: date | None, conf: Mapping[str, Any]) -> dict[str, Any]:
    """The run's parameters, checked against the DAG's form: Airflow itself accepts any unknown name in silence."""
    from airflow.sdk.exceptions import ParamValidationError

    if (start is None) != (end is None):
        raise CaravanError("give both --from and --to, or neither")
    asked = dict(conf)
    if start is not None and end is not None:
        twice = sorted({"window_start", "window_end"} & asked.keys())
        if twice:
            raise CaravanError(f"{twice[0]} is given twice: by --from and --to, and in --conf")
        if "window_start" not in dag.params:
            raise CaravanError(f"{dag.dag_id} takes no window: run it without --from and --to")
        if end <= start:
            raise CaravanError(f"--to {end} is not after --from {start}; the end is exclusive")
        asked.update(window_start=start.isoformat(), window_end=end.isoformat())
    for name in asked:
        if name not in dag.params:
            raise CaravanError(f"{dag.dag_id} has no parameter '{name}'{nearest(name, dag.params)}")
    for name, value in asked.items():
        try:
            copy(dag.params.get_param(name)).resolve(value)  # it keeps what it resolves
        except ParamValidationError as error:
            raise CaravanError(f"parameter '{name}' of {dag.dag_id}: {str(error).splitlines()[0]}") from error
    return asked


def consumers(bag: DagBag, assets: set[str]) -> list[str]:
    """DAGs scheduled on one of these assets (by name), in alphabetical order."""
    return [dag_id for dag_id, dag in sorted(bag.dags.items()) if assets & awaited_assets(dag)]


def awaited_assets(dag: DAG) -> set[str]:
    """Names of the assets that the DAG is scheduled on."""
    from airflow.serialization.encoders import coerce_to_core_timetable

    return {key.name for key, _ in coerce_to_core_timetable(dag.timetable).asset_condition.iter_assets()}


def execute(
    bag: DagBag, dag_id: str, conf: dict[str, Any], downstream: bool, say: Say, done: frozenset[str] = frozenset()
) -> RunResult:
    """Run a loaded DAG with checked parameters, then, if asked, the DAGs that its assets wake (each once)."""
    dag = bag.dags[dag_id]
    window = f", {conf['window_start']} to {conf['window_end']}" if conf.get("window_start") else ""
    say(f"{dag_id}{window}")
    result, updated = _execute(dag, conf, say)
    say(f"{dag_id}: {result.state}")
    if result.failures:
        say(f"  failed, for the reasons above: {', '.join(result.failures)}")
    if result.not_run:
        say(f"  not run, for a task before failed: {', '.join(result.not_run)}")
    if not downstream:
        return result
    followers: list[RunResult] = []
    for follower in consumers(bag, updated):
        if follower not in done | {dag_id}:
            done |= {dag_id, follower}
            followers.append(execute(bag, follower, {}, True, say, done))
    return replace(result, downstream=tuple(followers))


def _execute(dag: DAG, conf: dict[str, Any], say: Say) -> tuple[RunResult, set[str]]:
    """One run through `dag.test()`; with the names of the assets that its successful tasks updated."""
    from airflow.sdk.listener import get_listener_manager

    for task in dag.tasks:
        arguments = getattr(task, "partial_kwargs", vars(task))  # of a mapped task, those of its instances
        arguments["retry_delay"] = min(task.retry_delay, LONGEST_RETRY_DELAY)
    narrator = _Narrator(say)
    listeners = get_listener_manager()
    listeners.pm.register(narrator)
    os.environ[BY_HAND] = "1"
    try:
        # A run woken by an asset has no logical date and no interval; dag.test() would make one up.
        run = dag.test(run_conf=conf, logical_date=None) if awaited_assets(dag) else dag.test(run_conf=conf)
    except (KeyboardInterrupt, SystemExit):
        say(f"{dag.dag_id}: interrupted; run it again when you like: what was loaded is not loaded twice")
        if narrator.run_id:
            _note_interrupted(dag.dag_id, narrator.run_id)
        raise
    finally:
        del os.environ[BY_HAND]
        listeners.pm.unregister(narrator)

    failures: dict[str, str] = {}
    not_run: list[str] = []
    updated: set[str] = set()
    for instance in sorted(run.get_task_instances(), key=lambda ti: (ti.start_date is None, ti.start_date, ti.task_id)):
        if instance.state == "success":
            updated.update(asset.name for asset in dag.task_dict[instance.task_id].outlets)
        elif instance.state == "failed":
            label = _label(instance)
            failures[label] = narrator.messages.get(label, "failed without an error; see the lines above")
        elif instance.state == "upstream_failed":
            not_run.append(instance.task_id)
    return RunResult(dag.dag_id, str(run.state), failures, tuple(not_run)), updated


def _note_interrupted(dag_id: str, run_id: str) -> None:
    """In ops.run. Whoever stops a run may do so because the write lock is held: then it stays open until upkeep."""
    if has_lake(Settings.from_environment()) is not False:
        with suppress(Retryable):
            close_run(dag_id, run_id, "interrupted", lock_wait_seconds=2)


class _Narrator:
    """Tells what each task does, as Airflow's listeners hear it."""

    def __init__(self, say: Say) -> None:
        self.say = say
        self.messages: dict[str, str] = {}
        self.run_id: str | None = None
        self._started = 0.0

    @_hook
    def on_task_instance_running(self, task_instance: Any) -> None:
        _exit_on_termination()  # Airflow has just taken the signal, to do nothing on it
        self._started = time.monotonic()
        self.run_id = task_instance.run_id
        again = f", try {task_instance.try_number}" if task_instance.try_number > 1 else ""
        self.say(f"  {_label(task_instance)}{again}")

    @_hook
    def on_task_instance_success(self, task_instance: Any) -> None:
        self.say(f"    ok, {time.monotonic() - self._started:.1f} s")

    @_hook
    def on_task_instance_skipped(self, task_instance: Any) -> None:
        self.say("    skipped")

    @_hook
    def on_task_instance_failed(self, task_instance: Any, error: object) -> None:
        if (stop := stop_of(error)) is not None:
            raise stop  # Airflow would take it for the task's failure, and try again
        message = str(error) if isinstance(error, CaravanError) else f"{type(error).__name__}: {error}"
        self.messages[_label(task_instance)] = message
        self.say(f"    failed, {time.monotonic() - self._started:.1f} s: {message}")
        if isinstance(error, BaseException) and not isinstance(error, CaravanError):
            self.say(_traceback(error))


def _label(instance: Any) -> str:
    """`collect [shop_fr]` for one of a mapped task, else the task's id."""
    if instance.map_index is None or instance.map_index < 0:
        return str(instance.task_id)
    return f"{instance.task_id} [{instance.rendered_map_index or instance.map_index}]"


def _traceback(error: BaseException) -> str:
    """The traceback from the first frame outside Airflow on."""
    frames = error.__traceback__
    while frames is not None and "/airflow/" in frames.tb_frame.f_code.co_filename:
        frames = frames.tb_next
    return "".join(traceback.format_exception(error.with_traceback(frames or error.__traceback__))).rstrip()


@contextmanager
def _termination_as_exit() -> Iterator[None]:
    """SIGTERM unwinds like Ctrl-C, so that locks, transactions and scratch files are let go."""
    before = signal.getsignal(signal.SIGTERM)
    _exit_on_termination()
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _exit_on_termination() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
