"""One private environment for the whole suite, set before anything imports airflow.

Nothing here imports airflow: a pure test must not pay for it.
"""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag

ROOT = Path(__file__).resolve().parents[1]


def memory_folder() -> Path | None:
    """Where files are kept in memory, if that has the room and they may be executed there. To make a small file, and
    tests make many, takes a disk up to thirty times the CPU; that one survives a power cut no test can tell."""
    folder = Path("/dev/shm")
    try:
        system = os.statvfs(folder)
    except OSError:
        return None
    has_room = system.f_bavail * system.f_frsize >= 4 << 30
    return folder if has_room and not system.f_flag & os.ST_NOEXEC and os.access(folder, os.W_OK) else None


if "TMPDIR" not in os.environ and (folder := memory_folder()):
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)  # of the processes that tests start, too
HOME = Path(tempfile.mkdtemp(prefix="caravan-tests-"))

# Images of containers are made without compiled files, and ask it of all that runs in them: every process of the tests
# would compile Caravan anew, and every run all tests, whose asserts pytest rewrites.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # of the processes that tests start, too
# By default every 700 objects more set the search for cycles off: an eighth of all CPU, for worlds that grow and stay.
gc.set_threshold(10_000, 10, 10)

for name in [name for name in os.environ if name.startswith(("AIRFLOW", "CARAVAN_CONFIG", "CARAVAN_WAREHOUSE"))]:
    del os.environ[name]
os.environ.update(
    AIRFLOW_HOME=str(HOME / "airflow"),
    AIRFLOW__CORE__DAGS_FOLDER=str(ROOT / "dags"),
    AIRFLOW__CORE__PLUGINS_FOLDER=str(ROOT / "plugins"),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{HOME}/airflow.db",
    AIRFLOW__USAGE_DATA_COLLECTION__ENABLED="False",
    CARAVAN_HOME=str(HOME / "caravan"),
    GX_ANALYTICS_ENABLED="false",
)


def pytest_configure(config: pytest.Config) -> None:
    # Harmless: Airflow reads plugins/.airflowignore with a deprecated class of pathspec.
    config.addinivalue_line("filterwarnings", "ignore:.*GitWildMatchPattern.*:DeprecationWarning")


def pytest_unconfigure() -> None:
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def airflow_database() -> None:
    """A migrated metadata database for this process."""
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture(scope="session")
def bag(airflow_database: None) -> DagBag:
    """Every DAG of the project. Shared: a test must not change one."""
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(dag_folder=str(ROOT / "dags"))
