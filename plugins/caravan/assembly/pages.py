"""What the pages in Airflow's UI show, read from the warehouse that the settings name at that moment."""

from __future__ import annotations

import logging
from pathlib import Path

from caravan.assembly.warehouse import open_warehouse
from caravan.config.settings import Settings
from caravan.reporting import pages
from caravan.reporting.pages import Page, no_page, no_report
from caravan.reporting.runs import read_run
from caravan.reporting.templates import filter_source

__all__ = ["Page", "filter_source", "no_page", "no_report", "report_dir", "run_page"]

log = logging.getLogger(__name__)


def report_dir() -> Path:
    """Where the report is, or will be once its DAG has run."""
    return Settings.from_environment().report_dir


def run_page(dag_id: str, run_id: str) -> Page:
    """One run's evidence, or why there is none to show."""
    if not (dag_id.isprintable() and run_id.isprintable()):
        return pages.no_run(dag_id, run_id)  # no engine need be asked about control characters
    try:
        with open_warehouse(Settings.from_environment(), read_only=True) as warehouse, warehouse.read() as session:
            run = read_run(session, dag_id, run_id)
    except Exception:
        # Whatever keeps the warehouse from answering belongs into the server's log: it may name hosts and accounts.
        log.exception("the page of run %r of %r: the warehouse cannot be read", run_id, dag_id)
        return pages.no_warehouse()
    return pages.run_page(run) if run else pages.no_run(dag_id, run_id)
