"""The steps of reporting with the warehouse put in."""

from __future__ import annotations

from collections.abc import Sequence

from caravan import SQL_DIR
from caravan.assembly.warehouse import code_revision, open_store, open_warehouse, utc_now
from caravan.config.loader import load
from caravan.config.settings import Settings
from caravan.core.errors import Rejected
from caravan.reporting import publish as publishing
from caravan.reporting import report as rendering
from caravan.warehouse.catalog import load_models


def drain(run_id: str, dag_id: str) -> dict[str, int]:
    """Build shared and reporting models wherever they are stale; rows written by model."""
    settings = Settings.from_environment()
    configuration = load(settings.config_dir)
    with open_store(settings, configuration, dag_id) as store:
        store.start_run(run_id, None, configuration.hash)
        return {built.model: built.row_count for built in store.drain(run_id)}


def publish() -> str:
    """Swap in the published marts; returns where they are."""
    settings = Settings.from_environment()
    configuration = load(settings.config_dir)
    classes = {
        model.name: {column.name: column.personal for column in model.columns} for model in load_models(SQL_DIR).models
    }
    with open_warehouse(settings, read_only=True) as warehouse, warehouse.read() as session:
        target = publishing.publish(
            session,
            configuration.project.published_marts,
            settings.published_dir,
            version=utc_now().strftime("%Y%m%dT%H%M%S%f"),
            classes=classes,
            published_at=utc_now(),
            code_revision=code_revision(),
        )
    return str(target)


def report() -> str:
    """Render the report; returns its path."""
    settings = Settings.from_environment()
    with open_warehouse(settings, read_only=True) as warehouse, warehouse.read() as session:
        return str(rendering.render(session, settings.report_dir, utc_now()))


def verdict(run_id: str, dag_id: str, failed_tasks: Sequence[str] = ()) -> None:
    """Close the run; Rejected names the tasks and checks that failed."""
    settings = Settings.from_environment()
    configuration = load(settings.config_dir)
    with open_store(settings, configuration, dag_id) as store:
        failures = [f"task {name}: its log says why" for name in failed_tasks] + store.failures(run_id)
        store.end_run(run_id, "failed" if failures else "success", "\n".join(failures))
    if failures:
        raise Rejected("RUN_INCOMPLETE", f"{len(failures)} failed:\n" + "\n".join(f"  - {line}" for line in failures))
