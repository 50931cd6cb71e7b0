"""Imports point one way.

dags -> orchestration -> assembly -> functions, clients, warehouse, reporting -> config -> core
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "plugins"

MAY_IMPORT: dict[str, set[str]] = {
    "core": set(),
    "config": {"core"},
    "functions": {"core", "config"},
    "clients": {"core", "config"},
    "warehouse": {"core", "config"},
    # The port to read through; the way of opening DuckDB (offline, in UTC) and the lock, to publish a file.
    "reporting": {"core", "config", "warehouse.port", "warehouse.duck", "warehouse.locks"},
    "assembly": {"core", "config", "functions", "clients", "warehouse", "reporting"},
    "orchestration": {"core", "config", "assembly"},
    "demo": {"core", "config"},
    "cli": {"core", "config", "functions", "clients", "warehouse", "reporting", "assembly", "orchestration", "demo"},
    "dags": {"core", "orchestration", "assembly"},
    "plugin": {"orchestration"},
}
MAY_IMPORT_AIRFLOW = {"orchestration", "dags", "plugin"}


def layer_of(path: Path) -> str:
    if path.parent == ROOT / "dags":
        return "dags"
    if path.parent == PLUGINS:
        return "plugin"
    part = path.relative_to(PLUGINS / "caravan").parts[0]
    # The package itself holds paths only, and `python -m caravan` is the command line.
    return {"__init__.py": "core", "__main__.py": "cli"}.get(part, part)


def source_files() -> list[Path]:
    return sorted([*(ROOT / "dags").glob("*.py"), *PLUGINS.glob("*.py"), *(PLUGINS / "caravan").rglob("*.py")])


def imports(tree: ast.AST, lazy: bool = False) -> Iterator[tuple[str, bool]]:
    """Modules imported, and whether only inside a function or for type checking."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((name.name, lazy) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "import by the full name: Airflow may load a file under another one"
            # `from caravan.warehouse import port` imports a module as well.
            yield from ((f"{node.module}.{name.name}", lazy) for name in node.names)
        else:
            inside = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            for_types = isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
            yield from imports(node, inside or for_types)


def faults(layer: str, source: str, function: str = "") -> list[str]:
    """What in this source points the wrong way."""
    found = []
    for module, lazy in imports(ast.parse(source)):
        package, *rest = module.split(".")
        if package == "airflow" and layer not in MAY_IMPORT_AIRFLOW and not (layer == "cli" and lazy):
            found.append(f"{module}: only orchestration, DAG files and, lazily, cli import airflow")
        if package != "caravan" or not rest:
            continue
        target, allowed = rest[0], MAY_IMPORT[layer]
        if target in MAY_IMPORT and target != layer and not {target, ".".join(rest[:2])} & allowed:
            found.append(f"{module}: {layer} does not import {target}")
        if target == layer == "functions" and len(rest) > 1 and rest[1] != function:
            found.append(f"{module}: functions meet in the warehouse, not in Python")
    return found


def function_of(path: Path) -> str:
    """`sales` for plugins/caravan/functions/sales/...; empty elsewhere."""
    parts = path.relative_to(ROOT).parts
    return parts[3] if parts[:3] == ("plugins", "caravan", "functions") and len(parts) > 4 else ""


def test_there_are_files_in_every_layer_that_is_checked():
    assert {layer_of(path) for path in source_files()} == set(MAY_IMPORT)


def test_imports_point_down_the_layers():
    found = {
        str(path.relative_to(ROOT)): wrong
        for path in source_files()
        if (wrong := faults(layer_of(path), path.read_text(encoding="utf-8"), function_of(path)))
    }
    assert found == {}


@pytest.mark.parametrize(
    ("layer", "source", "message"),
    [
        ("core", "from caravan.config import types", "core does not import config"),
        ("config", "import caravan.warehouse.lake", "config does not import warehouse"),
        ("clients", "from caravan.warehouse.lake import Lake", "clients does not import warehouse"),
        ("warehouse", "def f():\n    from caravan.clients import file_drop", "warehouse does not import clients"),
        ("functions", "from caravan.warehouse.port import Warehouse", "functions does not import warehouse"),
        ("reporting", "from caravan.warehouse.runner import build", "reporting does not import warehouse"),
        ("functions", "from caravan.functions.loyalty import tiers", "meet in the warehouse"),
        ("orchestration", "from caravan.functions.sales import stage", "orchestration does not import functions"),
        ("dags", "from caravan.functions.sales import stage", "dags does not import functions"),
        ("assembly", "from caravan import orchestration", "assembly does not import orchestration"),
        ("reporting", "if TYPE_CHECKING:\n    from caravan.demo import world", "reporting does not import demo"),
        ("warehouse", "def f():\n    import airflow.models", "only orchestration"),
        ("cli", "from airflow.sdk import dag", "only orchestration"),
    ],
)
def test_an_arrow_that_runs_the_wrong_way_is_found(layer, source, message):
    assert [message in fault for fault in faults(layer, source, "sales")] == [True]


@pytest.mark.parametrize(
    ("layer", "source"),
    [
        ("reporting", "from caravan.warehouse.port import Warehouse"),
        ("functions", "from caravan.functions.sales.matching import pairs"),
        ("functions", "from caravan import SQL_DIR"),
        ("cli", "def f():\n    from airflow.sdk import dag"),
        ("cli", "if TYPE_CHECKING:\n    from airflow.sdk import DAG"),
        ("orchestration", "import airflow.sdk"),
    ],
)
def test_an_arrow_that_runs_the_right_way_is_not(layer, source):
    assert faults(layer, source, "sales") == []
