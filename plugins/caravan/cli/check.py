"""`caravan check`: every fault of configuration, releases, models and templates in one reading."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from caravan import EXPECTATIONS_DIR
from caravan.core.errors import Fault, Misconfigured, in_order

if TYPE_CHECKING:
    from caravan.config.settings import Settings
    from caravan.config.types import Configuration
    from caravan.warehouse.catalog import Model


def find_faults(config_dir: Path, sql_dir: Path, templates_dir: Path) -> list[Fault]:
    """All faults, in the order configuration, models, expectations, templates."""
    from caravan.config import loader
    from caravan.warehouse import lint, suites

    return [
        *loader.check(config_dir),
        *lint.check_models(sql_dir),
        *suites.check_suites(EXPECTATIONS_DIR, sql_dir),
        *mart_faults(config_dir, sql_dir),
        *personal_data_faults(config_dir, sql_dir),
        *template_faults(templates_dir),
        *kpi_faults(),
    ]


def release_faults(settings: Settings) -> list[Fault]:
    """Of outlets, lists and releases, as `release lint` tells them; nothing while what they build on is broken."""
    from caravan.assembly.drawing import faults_of
    from caravan.assembly.shelf import read_shelf

    try:
        shelf = read_shelf(settings.config_dir)
    except Misconfigured:
        return []
    each = (fault for release in shelf.releases.values() for fault in faults_of(settings, shelf, release))
    return in_order(dict.fromkeys([*shelf.faults, *each]))


def find_notices(config_dir: Path, today: date) -> list[Fault]:
    """What is no fault and has to be renewed: market files that know nothing of the days to come, suppressions of sites
    whose days are over."""
    from caravan.config import calendars, loader
    from caravan.config.sites import ended_suppressions, load_sites

    markets = loader.load(config_dir).markets
    notices = [notice for _, market in sorted(markets.items()) for notice in calendars.outdated(market, today)]
    return [*notices, *ended_suppressions(load_sites(config_dir)[0], today)]


def kpi_faults() -> list[Fault]:
    """Of the report's definitions, which come with the code."""
    from caravan.config.kpis import load_kpis

    try:
        load_kpis()
    except Misconfigured as error:
        return list(error.faults)
    return []


def mart_faults(config_dir: Path, sql_dir: Path) -> list[Fault]:
    """Published marts that do not exist or hold personal data; nothing while configuration or models are broken."""
    from caravan.reporting.publish import check_marts

    sound = _sound(config_dir, sql_dir)
    if sound is None:
        return []
    configuration, models = sound
    classes = {model.name: {c.name: c.personal for c in model.columns} for model in models}
    try:
        check_marts(configuration.project.published_marts, classes)
    except Misconfigured as error:
        return list(error.faults)
    return []


def _sound(config_dir: Path, sql_dir: Path) -> tuple[Configuration, tuple[Model, ...]] | None:
    """Configuration and models; None while either is broken, which their own checks tell."""
    from caravan.config import loader
    from caravan.warehouse.catalog import load_models

    try:
        return loader.load(config_dir), tuple(load_models(sql_dir).models)
    except Misconfigured:
        return None


def personal_data_faults(config_dir: Path, sql_dir: Path) -> list[Fault]:
    """Tables with personal data and no retention; nothing while configuration or models are broken."""
    from caravan.config.privacy import table_faults
    from caravan.warehouse.migrations import read_migrations

    sound = _sound(config_dir, sql_dir)
    if sound is None:
        return []
    configuration, models = sound
    made = {table for migration in read_migrations(sql_dir / "migrations") for table in migration.tables}
    classes = personal_classes(models)
    return table_faults(config_dir, configuration.privacy, classes, made | classes.keys())


def personal_classes(models: Iterable[Model]) -> dict[str, dict[str, str]]:
    """Table to column to personal-data class, for models, what they read, and rows that were set aside.

    What they read declares no classes: a column has the class that any model gives to one of its name.
    """
    from caravan.warehouse.raw_tables import SOURCES

    classes = {model.name: {column.name: column.personal for column in model.columns} for model in models}
    by_name = {name: kind for columns in classes.values() for name, kind in columns.items() if kind != "none"}
    raw = {name: {column: by_name.get(column, "none") for column in table.columns} for name, table in SOURCES.items()}
    return {**classes, **raw, "ops.quarantine": {"raw_row": "free_text"}}


def template_faults(templates_dir: Path) -> list[Fault]:
    """Syntax errors of the Jinja templates in the folder, with their lines."""
    from jinja2 import Environment, TemplateSyntaxError

    environment = Environment(autoescape=True)
    faults = []
    for path in sorted(templates_dir.rglob("*.j2")):
        where = path.relative_to(templates_dir.parent)
        try:
            environment.parse(path.read_text(encoding="utf-8"))
        except TemplateSyntaxError as error:
            faults.append(Fault(f"{where}:{error.lineno}", str(error.message)))
        except UnicodeDecodeError as error:
            faults.append(Fault(str(where), f"is no UTF-8 text: {error.reason} at byte {error.start}"))
    return faults
