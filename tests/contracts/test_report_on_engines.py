"""The report reads the same from either engine; what is published is what the engine holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from places import Place
from unit import report_world as world
from unit import site_world

from caravan import INCLUDE_DIR, SQL_DIR
from caravan.config.loader import load
from caravan.reporting.publish import publish
from caravan.reporting.report import render
from caravan.warehouse.catalog import load_models
from caravan.warehouse.port import Row

ENGINES = ("lake", "postgresql")


def read_table(connection: duckdb.DuckDBPyConnection, table: str) -> tuple[list[tuple[str, str]], list[Row]]:
    """Columns with their types, and the rows in a total order."""
    columns = [(row[0], row[1]) for row in connection.execute(f"DESCRIBE {table}").fetchall()]
    return columns, connection.execute(f"SELECT * FROM {table} ORDER BY ALL").fetchall()


@pytest.mark.slow
def test_page_and_published_tables(new_place: Callable[..., Place], tmp_path: Path) -> None:
    marts = load(INCLUDE_DIR / "config").project.published_marts
    catalog = load_models(SQL_DIR)
    classes = {model.name: {c.name: c.personal for c in model.columns} for model in catalog.models}
    pages, shapes = {}, {}
    for engine in ENGINES:
        target = tmp_path / engine
        with new_place(engine).open() as warehouse:
            world.fill(warehouse, world.make_orders())
            site_world.fill(warehouse)
            with warehouse.read() as session:
                first = render(session, target / "report", world.NOW, expected=world.EXPECTED)
                pages[engine] = {
                    str(path.relative_to(first.resolve().parent)): path.read_text(encoding="utf-8")
                    for path in first.resolve().parent.rglob("*.*")
                }
                publish(session, marts, target, "v1", classes=classes, published_at=world.NOW, code_revision="x")
                held = {mart: session.rows(f"SELECT * FROM {mart}") for mart in marts}
        with duckdb.connect(str(target / "marts.duckdb"), read_only=True) as connection:
            for mart in marts:
                columns, rows = read_table(connection, mart.removeprefix("mart."))
                assert columns == [(column.name, column.type) for column in catalog[mart].columns]
                assert rows == sorted(held[mart], key=lambda row: [(value is None, value) for value in row])
                assert rows or mart in ("mart.dim_date", "mart.dim_market_date")  # the world fills no calendar
                shapes[engine, mart] = columns, len(rows)
    assert pages["postgresql"] == pages["lake"]
    assert "site_shop.csv" in pages["lake"]
    assert len(pages["lake"]) > 50 and "<svg" in pages["lake"]["index.html"]
    for mart in marts:
        assert shapes["postgresql", mart] == shapes["lake", mart]
