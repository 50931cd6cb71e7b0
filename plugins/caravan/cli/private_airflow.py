"""An Airflow of its own for one process, so that no live scheduler sees, or takes over, what runs in it."""

from __future__ import annotations

import atexit
import fcntl
import logging
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.metadata import version
from pathlib import Path

from caravan import PROJECT_ROOT
from caravan.config.settings import Settings
from caravan.core.errors import CaravanError

_KEPT = ("AIRFLOW_CONN_", "AIRFLOW_VAR_", "AIRFLOW__SECRETS__")
"""What the private Airflow takes from its surroundings, with the DAG folder: access, not places."""

_AIRFLOW_LEVELS = "airflow=WARNING py.warnings=ERROR task=CRITICAL"
"""What Airflow logs itself. Failures (`task`) are told by `caravan.cli.run`, in fewer lines."""

_LEVELS = {
    "": logging.WARNING,
    "caravan": logging.INFO,
    "airflow": logging.WARNING,
    "great_expectations": logging.WARNING,
    "airflow.sdk.definitions.dag": logging.ERROR,  # a line a second while a retry waits
}

_home: Path | None = None


def dags_folder() -> Path:
    """The DAG folder in use: AIRFLOW__CORE__DAGS_FOLDER, else the project's."""
    return Path(os.environ.get("AIRFLOW__CORE__DAGS_FOLDER") or PROJECT_ROOT / "dags").absolute()


def start_private_airflow(settings: Settings) -> Path:
    """Make Airflow importable in this process with a fresh metadata database; returns its AIRFLOW_HOME.

    The directory lives as long as the process. The first call of a process must come before any import of
    airflow, which reads its settings once; later calls are free. Changes os.environ for good.
    """
    global _home
    if _home is None:
        if "airflow" in sys.modules:
            raise CaravanError("Airflow is imported already, with its own settings; run this in another process")
        home = Path(tempfile.mkdtemp(prefix="caravan-airflow-"))
        atexit.register(shutil.rmtree, home, ignore_errors=True)
        environment = private_environment(home, dags_folder())
        for name in [name for name in os.environ if name.startswith("AIRFLOW") and not name.startswith(_KEPT)]:
            del os.environ[name]
        os.environ.update(environment)
        _quieten()
        _place_database(home / "airflow.db", settings.home / "airflow-template")
        _make_pools(settings)
        _home = home
    os.environ.update(
        CARAVAN_HOME=str(settings.home),
        CARAVAN_CONFIG=str(settings.config_dir),
        CARAVAN_WAREHOUSE=settings.warehouse,
    )
    return _home


def private_environment(home: Path, dags: Path) -> dict[str, str]:
    """Airflow's variables for an AIRFLOW_HOME of its own, with little logging and no traffic."""
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT_ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
        "AIRFLOW__LOGGING__NAMESPACE_LEVELS": _AIRFLOW_LEVELS,
        "AIRFLOW__LOGGING__LOG_FORMAT": "    %(message)s",
        "AIRFLOW__LOGGING__CALLSITE_PARAMETERS": "",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }


def _place_database(target: Path, templates: Path) -> None:
    """A migrated database at `target`: a copy of this Airflow version's template, which is made when missing."""
    template = templates / f"airflow-{version('apache-airflow-core')}.db"
    templates.mkdir(parents=True, exist_ok=True)
    with _locked(templates / "lock"):
        if template.exists():
            shutil.copyfile(template, target)
            return
        _migrate()
        unfinished = templates / f"{template.name}.{os.getpid()}"
        try:
            with closing(sqlite3.connect(target)) as source, closing(sqlite3.connect(unfinished)) as copy:
                source.backup(copy)
            unfinished.replace(template)
        finally:
            unfinished.unlink(missing_ok=True)


def _migrate() -> None:
    from airflow import settings as airflow_settings
    from airflow.utils.db import initdb

    initdb()
    if airflow_settings.engine is not None:
        airflow_settings.engine.dispose()


def _make_pools(settings: Settings) -> None:
    from caravan.orchestration.pools import create_pools

    create_pools(settings.config_dir)


def _quieten() -> None:
    """Of libraries, warnings; of Caravan, everything from INFO up."""
    import airflow.settings  # noqa: F401  configures logging when first imported

    for name, level in _LEVELS.items():
        logging.getLogger(name).setLevel(level)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
