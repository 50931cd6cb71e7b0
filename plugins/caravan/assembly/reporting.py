"""The steps of reporting with the warehouse put in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from caravan.assembly.connections import current
from caravan.assembly.incidents import known_alerts
from caravan.assembly.outbox import is_made, open_books
from caravan.assembly.warehouse import catalog, code_revision, open_store, open_warehouse, utc_now
from caravan.config.loader import load
from caravan.config.places import s3_place
from caravan.config.settings import Settings
from caravan.core.errors import run_incomplete
from caravan.core.outbox import Traffic
from caravan.reporting import publish as publishing
from caravan.reporting import report as rendering
from caravan.reporting.operations import Expected
from caravan.reporting.outgoing import MISSED_FOR
from caravan.warehouse.locks import hold_lock
from caravan.warehouse.scratch import Scratch


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
    classes = {model.name: {column.name: column.personal for column in model.columns} for model in catalog().models}
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


def upload() -> str:
    """Put the published files where readers on other machines are; says where, and whether anything was new.

    Does nothing where project.yml has no `published`.
    """
    settings = Settings.from_environment()
    project = load(settings.config_dir).project
    if project.published is None:
        return "no other place is asked for (`published` in project.yml)"
    from caravan.clients.storage.publish import Bucket
    from caravan.clients.storage.s3 import open_client

    connection = current().get(project.published_connection)
    bucket = Bucket(open_client(connection), connection, s3_place(project.published))
    with (
        hold_lock(settings.published_dir / ".upload.lock", publishing.LOCK_WAIT_SECONDS, "has been uploading"),
        Scratch(settings.staging_dir) as folder,
    ):
        files = publishing.take(settings.published_dir, folder)
        # These two say when they were made: they differ every time.
        decisive = [name for name in files if name not in ("marts.duckdb", "published.parquet")]
        at = utc_now()
        is_new = bucket.put(files, decisive, at.strftime("%Y%m%dT%H%M%S%f"), at)
    return f"{project.published} {'has the new version' if is_new else 'is up to date'}"


def report() -> str:
    """Render the report; returns its path."""
    settings = Settings.from_environment()
    limits = known_alerts(settings).stale_after_hours
    configuration = load(settings.config_dir)
    faulty = {fault.channel for fault in configuration.faults if fault.channel}
    codes = {channel.code for channel in configuration.channels.values() if channel.enabled} | faulty
    expected = Expected({code: limits.of(code) for code in sorted(codes)}, frozenset(faulty))
    with open_warehouse(settings, read_only=True) as warehouse, warehouse.read() as session:
        now = utc_now()
        return str(
            rendering.render(session, settings.report_dir, now, expected=expected, outlets=traffic(settings, now))
        )


def traffic(settings: Settings, now: datetime) -> list[Traffic]:
    """From the outbox itself: its copy in the warehouse cannot tell what is due at this moment."""
    if not is_made(settings):
        return []
    with open_books(settings) as books:
        return books.outbox.traffic(now, now - MISSED_FOR)


def verdict(run_id: str, dag_id: str, failed_tasks: Sequence[str] = ()) -> None:
    """Close the run; Rejected names the tasks and checks that failed."""
    settings = Settings.from_environment()
    configuration = load(settings.config_dir)
    with open_store(settings, configuration, dag_id) as store:
        failures = [f"task {name}: its log says why" for name in failed_tasks] + store.failures(run_id)
        store.end_run(run_id, "failed" if failures else "success", "\n".join(failures))
    if failures:
        raise run_incomplete(failures)
