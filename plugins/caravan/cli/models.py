"""`caravan models`: what is built, in which order, and how fresh it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich import box
from rich.console import JustifyMethod
from rich.table import Table

from caravan import SQL_DIR
from caravan.cli.steps import console, say
from caravan.config.settings import Settings
from caravan.core.errors import CaravanError

if TYPE_CHECKING:
    from caravan.warehouse.catalog import Catalog
    from caravan.warehouse.port import Row, Warehouse


def show_models(settings: Settings) -> None:
    """Print the table; rows and freshness stay empty, with the reason, while there is no warehouse."""
    from caravan.assembly.warehouse import open_warehouse
    from caravan.warehouse.catalog import load_models

    catalog = load_models(SQL_DIR)
    built: Mapping[str, Row] = {}
    missing = None
    try:
        with open_warehouse(settings, read_only=True) as warehouse:
            built = built_models(warehouse)
    except CaravanError as error:
        missing = str(error)
    console().print(models_table(catalog, built))
    if missing:
        say(f"rows and freshness unknown: {missing}")


def built_models(warehouse: Warehouse) -> dict[str, Row]:
    """Model name to (row_count, first_slice, last_slice, built_at) as of its last build."""
    with warehouse.read() as session:
        if not session.columns("ops.model"):
            return {}
        rows = session.rows("SELECT model_name, row_count, first_slice, last_slice, built_at FROM ops.model")
    return {name: tuple(rest) for name, *rest in rows}


def models_table(catalog: Catalog, built: Mapping[str, Row]) -> Table:
    """One row per model in build order. Times are UTC."""
    table = Table(box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    for title in ("", "model", "slice", "columns", "rows", "from", "to", "built (UTC)"):
        justify: JustifyMethod = "right" if title in ("", "columns", "rows") else "left"
        table.add_column(title, justify=justify, no_wrap=title == "model", overflow="fold")
    for number, model in enumerate(catalog.models, start=1):
        row_count, first, last, built_at = built.get(model.name, (None, None, None, None))
        cut = model.slice_grain if model.slice_column else "whole"
        table.add_row(
            str(number),
            model.name,
            cut + (", history" if model.depends_on == "history" else ""),
            str(len(model.columns)),
            "" if row_count is None else f"{row_count:,}",
            str(first or ""),
            str(last or ""),
            f"{built_at:%Y-%m-%d %H:%M}" if built_at else "never",
        )
    return table
