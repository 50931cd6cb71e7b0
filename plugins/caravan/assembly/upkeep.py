"""The steps of ops_warehouse_daily with warehouse, folders and Airflow's metadata put in.

Each does its chores whatever became of the others, notes them in ops.upkeep and returns a line for each.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from caravan import PROJECT_ROOT
from caravan.assembly.backup import make_backup
from caravan.assembly.warehouse import open_store, utc_now
from caravan.config.loader import load
from caravan.config.settings import Settings
from caravan.config.types import Configuration
from caravan.core.errors import CaravanError, Retryable, run_incomplete
from caravan.warehouse import archive, maintenance
from caravan.warehouse.disk import entries, measure
from caravan.warehouse.maintenance import Done
from caravan.warehouse.port import LOCK_WAIT_SECONDS, Chore, Extent
from caravan.warehouse.scratch import PREFIX, Scratch

DAGS_DIR = PROJECT_ROOT / "dags"
SERVER_LOG_BYTES = 50 << 20
"""From here on the server's own log begins anew; what it held is kept once, as server.log.1."""
ABANDONED = timedelta(days=2)
"""No process of ours works for longer: a temporary folder this old has lost its owner."""
_TEMPORARY = ("caravan-airflow-*", "caravan-dry-run-*", "caravan-reference-*")
_GROWING = ("dag_run", "job", "log", "task_instance", "task_instance_history", "xcom")
"""Tables of Airflow's metadata whose rows are counted for ops.upkeep; `airflow db clean` knows a dozen more."""
NOTE_WAIT_SECONDS = 60.0
"""For the write lock, after a failure: that has to be told within the task's time."""
_OF_RUNS = ("dag_run", "log", "task_instance", "task_instance_history", "xcom")
"""What else there is of a run goes with its row."""
_NOT_BY_DAG = "did not clean them: ['deadline']"
"""Airflow 3.3.2 asks deadlines for their DAG, which they do not name. None of ours has one."""
_SLACK = timedelta(hours=1)
"""A daily run begins some minutes earlier or later than the one before."""


def trim_evidence(run_id: str, dag_id: str) -> list[str]:
    """Forget old evidence; begins the run's row in ops.run."""
    settings, configuration = _open()
    with _noted(settings, configuration, run_id, dag_id) as done, open_store(settings, configuration, dag_id) as store:
        store.start_run(run_id, None, configuration.hash)
        chores = maintenance.evidence_chores(store.warehouse, configuration.project.upkeep, utc_now())
        maintenance.do(chores, utc_now, done)
    return _told(done)


def tidy_warehouse(run_id: str, dag_id: str) -> list[str]:
    """What the engine needs to stay small and quick."""
    settings, configuration = _open()
    with _noted(settings, configuration, run_id, dag_id) as done, open_store(settings, configuration, dag_id) as store:
        chores = maintenance.engine_chores(store.warehouse, configuration.project.upkeep, utc_now())
        maintenance.do(chores, utc_now, done)
    return _told(done)


def sweep_scratch(run_id: str, dag_id: str) -> list[str]:
    """Remove what killed processes left in scratch folders."""
    settings, configuration = _open()
    folders = [settings.staging_dir]
    if lake := settings.lake_root:
        folders.append(lake / "staging")

    def sweep() -> None:
        for folder in folders:
            Scratch(folder).close()
        for path in _abandoned():
            shutil.rmtree(path, ignore_errors=True)

    def extent() -> Extent:
        return _size([path for folder in folders for path in folder.glob(f"{PREFIX}*/")] + _abandoned())

    with _noted(settings, configuration, run_id, dag_id) as done:
        maintenance.do([Chore("sweep_scratch", extent, sweep)], utc_now, done)
    return _told(done)


def trim_airflow(run_id: str, dag_id: str) -> list[str]:
    """Old runs of Airflow's metadata, when that is the server's own file, and old task logs."""
    settings, configuration = _open()
    home, upkeep = settings.home / "airflow", configuration.project.upkeep
    minutely = sorted(path.stem for path in DAGS_DIR.glob("*_minutely.py"))
    logs = Path(os.environ.get("AIRFLOW__LOGGING__BASE_LOG_FOLDER") or home / "logs")

    def clean() -> None:
        now = utc_now()
        clean_metadata(home, now - timedelta(days=upkeep.metadata_days))
        clean_metadata(home, now - timedelta(days=upkeep.minutely_days), minutely)

    def trim() -> None:
        now = time.time()
        trim_logs(logs, now - timedelta(days=upkeep.log_days).total_seconds())
        for dag_id in minutely:
            trim_logs(logs / f"dag_id={dag_id}", now - timedelta(days=upkeep.minutely_days).total_seconds())

    chores = []
    if (home / "airflow.db").exists():
        chores.append(Chore("clean_metadata", lambda: _metadata_extent(home / "airflow.db"), clean))
    if home.exists():
        chores.append(Chore("trim_logs", lambda: _size([logs]), trim))
        chores.append(
            Chore("turn_server_log", lambda: _size([home / "server.log"]), lambda: turn_log(home / "server.log"))
        )
    with _noted(settings, configuration, run_id, dag_id) as done:
        maintenance.do(chores, utc_now, done)
    return _told(done) or ["no server has been started in this home"]


def back_up(run_id: str, dag_id: str) -> list[str]:
    """Make a backup when one is due, and remove the oldest beyond those to keep."""
    settings, configuration = _open()
    wanted = configuration.project.backup
    if wanted.target is None:
        return ["no backup: `backup.target` in project.yml names no folder"]
    target, now = (settings.home / wanted.target).resolve(), utc_now()
    if not target.is_relative_to(settings.home.resolve()) and not target.is_dir():
        # Made here, it would be on the disk below the mount point, and nobody would notice.
        raise Retryable(f"{target} is missing: mount its disk; if it is new, make the folder (mkdir -p {target})")
    every = timedelta(days=wanted.every_days) - _SLACK
    # A clock that was wrong once may have dated one ahead: that one does not put the next off.
    if young := [path for path in archive.scheduled(target) if timedelta(0) <= now - archive.made_at(path) < every]:
        return [f"no backup is due: {young[-1].name} is younger than {wanted.every_days} days"]

    def backup() -> None:
        made = make_backup(settings, target, now, secrets=wanted.secrets, made_by=archive.BY_SCHEDULE)
        archive.drop_old(target, wanted.keep, made.folder)

    with _noted(settings, configuration, run_id, dag_id) as done:
        maintenance.do([Chore("back_up", lambda: _size([target]), backup)], utc_now, done)
    return _told(done)


def verdict(run_id: str, dag_id: str, failed_tasks: Sequence[str] = ()) -> None:
    """Close the run; Rejected names the tasks that failed."""
    settings, configuration = _open()
    failures = [f"task {name}: its log says why" for name in failed_tasks]
    with open_store(settings, configuration, dag_id) as store:
        store.end_run(run_id, "failed" if failures else "success", "\n".join(failures))
    if failures:
        raise run_incomplete(failures)


STEPS: Mapping[str, Callable[[str, str], list[str]]] = {
    step.__name__: step for step in (trim_evidence, tidy_warehouse, sweep_scratch, trim_airflow, back_up)
}
"""In the order of the DAG."""


def clean_metadata(home: Path, before: datetime, dag_ids: Sequence[str] = ()) -> None:
    """Airflow's own cleaning, in a process of its own: a task may not open the metadata. `before`: UTC. `dag_ids`: of
    these alone; of all when there are none."""
    database = f"sqlite:///{home / 'airflow.db'}?timeout=60"
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
        "AIRFLOW__CORE__SQL_ALCHEMY_CONN": database,  # a task's environment names one that is none here
    }
    moment = before.replace(tzinfo=UTC).isoformat(sep=" ")
    options = ["--clean-before-timestamp", moment, "--skip-archive", "--yes", "--error-on-cleanup-failure"]
    if dag_ids:
        # Tables that know no DAG would be cleaned whole.
        options += ["--dag-ids", ",".join(dag_ids), "--tables", ",".join(_OF_RUNS)]
    command = [sys.executable, "-P", "-m", "airflow", "db", "clean", *options]
    ended = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    said = ended.stdout + ended.stderr
    if ended.returncode and not (dag_ids and _NOT_BY_DAG in said):
        told = "\n".join(said.splitlines()[-15:])
        raise CaravanError(f"`airflow db clean` on {home} ended with code {ended.returncode}:\n{told}")


def trim_logs(folder: Path, oldest: float) -> None:
    """Remove files last written before `oldest` (seconds since 1970), and folders as old that are empty then."""
    # All are looked at before the first goes: that changes the time of its folder.
    old = [(path, stat.S_ISDIR(state.st_mode)) for path, state in entries(folder) if state.st_mtime < oldest]
    for path, is_folder in old:
        # Airflow writes beside us: what has gone, or is used again, meanwhile is none of ours.
        with suppress(OSError if is_folder else FileNotFoundError):
            path.rmdir() if is_folder else path.unlink()


def turn_log(log: Path, limit: int = SERVER_LOG_BYTES) -> None:
    """Begin the log anew when it is large. The server appends to the open file, so that is emptied, not renamed."""
    if log.exists() and log.stat().st_size > limit:
        shutil.copyfile(log, log.with_name(f"{log.name}.1"))
        os.truncate(log, 0)


def _open() -> tuple[Settings, Configuration]:
    settings = Settings.from_environment()
    return settings, load(settings.config_dir)


@contextmanager
def _noted(settings: Settings, configuration: Configuration, run_id: str, dag_id: str) -> Iterator[list[Done]]:
    """What is put into the list goes into ops.upkeep, also when a later chore fails."""
    done: list[Done] = []

    def note(lock_wait_seconds: float) -> None:
        if done:
            opened = open_store(settings, configuration, dag_id, lock_wait_seconds=lock_wait_seconds)
            with opened as store, store.warehouse.write() as session:
                maintenance.record(session, run_id, dag_id, done)

    try:
        yield done
    except BaseException as error:
        try:
            note(NOTE_WAIT_SECONDS)
        except Exception as another:
            error.add_note(f"what was done is not in ops.upkeep: {another}")
        raise
    note(LOCK_WAIT_SECONDS)


def _told(done: Sequence[Done]) -> list[str]:
    return [str(each) for each in done]


def _abandoned() -> list[Path]:
    """Old temporary folders of this user."""
    oldest = time.time() - ABANDONED.total_seconds()
    found = []
    for pattern in _TEMPORARY:
        for path in Path(tempfile.gettempdir()).glob(pattern):
            with suppress(FileNotFoundError):
                state = path.lstat()
                if state.st_uid == os.getuid() and state.st_mtime < oldest and not path.is_symlink():
                    found.append(path)
    return found


def _size(paths: Iterable[Path]) -> Extent:
    """Files and bytes at or below these paths; what goes away meanwhile counts as gone."""
    return Extent(*measure(*paths), 0)


def _metadata_extent(database: Path) -> Extent:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=60)) as connection:
        rows = sum(int(connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]) for table in _GROWING)
    return Extent(1, database.stat().st_size, rows)
