"""The models of include/sql: what _models.yml declares, joined with what each SQL file reads."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, Literal

import sqlglot
import yaml
from sqlglot import exp

from caravan.config.document import QuickLoader
from caravan.core.errors import Fault, Misconfigured, nearest
from caravan.core.protocols import Layer
from caravan.core.window import Grain
from caravan.warehouse.macros import expand
from caravan.warehouse.raw_tables import SOURCES

LAYERS = ("stg", "int", "dim", "fct", "rpt")
MODEL_KEYS = frozenset(
    ("description", "grain", "key", "slice", "part", "depends_on", "look_back_days", "by_key", "passes_on", "columns")
) | {"checks"}
"""What _models.yml says of a model."""
PERSONAL_CLASSES = ("none", "pseudonym", "identifier", "contact", "free_text")


@dataclass(frozen=True)
class Column:
    name: str
    type: str
    personal: str
    """Personal-data class: erasure is generated from it."""


@dataclass(frozen=True)
class Check:
    """A condition every row must fulfil (NULL does not). fail: the slice's part is not replaced."""

    name: str
    holds: str
    severity: Literal["fail", "warn"]


@dataclass(frozen=True)
class Model:
    name: str
    path: Path
    function: str
    description: str
    grain: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    slice_column: str | None = None
    slice_grain: Grain = "day"
    part: str | None = None
    """The column whose values fail and are blocked separately: a channel, a market."""
    depends_on: Literal["window", "history"] = "window"
    """history: a change makes every later slice stale too."""
    look_back_days: Mapping[str, int] = field(default_factory=dict)
    """How many days before its slice the model reads of a source."""
    by_key: Mapping[str, str] = field(default_factory=dict)
    """Sources read by the values of a column that both have, whatever their day: a change of one makes those slices
    stale that hold its keys."""
    passes_on: Literal["slices", "changes"] = "slices"
    """changes: a rebuilt slice makes those above it stale only where its rows are others than before. For a small model
    that stands below large ones and is rebuilt far more often than it changes."""
    checks: tuple[Check, ...] = ()

    @property
    def layer(self) -> Layer:
        schema, table = self.name.split(".")
        return schema if schema in ("stg", "int") else table.split("_")[0]  # type: ignore[return-value]

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @cached_property
    def sql(self) -> str:
        """What the file says, written out."""
        return expand(self.path.read_text(encoding="utf-8"))

    @cached_property
    def references(self) -> frozenset[str]:
        """Tables the SQL reads, as schema.table."""
        return _references(self.sql)

    def definition_hash(self, params: Mapping[str, str]) -> str:
        """Changes with the SQL, the declaration and the constants: a changed model is built anew."""
        declared = repr((self.key, self.columns, self.slice_column, self.slice_grain, self.part, self.checks))
        parts = [self.sql, declared, repr(sorted(params.items())), repr(sorted(self.look_back_days.items()))]
        if self.by_key:
            parts.append(repr(sorted(self.by_key.items())))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@dataclass(frozen=True)
class Catalog:
    """All models in build order."""

    models: tuple[Model, ...]

    @cached_property
    def by_name(self) -> dict[str, Model]:
        return {model.name: model for model in self.models}

    def __getitem__(self, name: str) -> Model:
        if name not in self.by_name:
            raise KeyError(f"no model '{name}'{nearest(name, self.by_name)}")
        return self.by_name[name]

    def consumers(self, table: str) -> tuple[Model, ...]:
        """The models that read the table directly, in build order."""
        return tuple(model for model in self.models if table in model.references)

    def keys_read(self, table: str) -> tuple[str, ...]:
        """The columns that the table is looked up by where it is read by key, and where slices are found by key."""
        readers = {model.by_key[table] for model in self.models if table in model.by_key}
        return tuple(sorted(readers | set(self[table].by_key.values())))

    def select(self, function: str, layers: Iterable[Layer]) -> tuple[Model, ...]:
        """The function's models of these layers, and the shared stg and int models they stand on."""
        wanted = {m.name for m in self.models if m.function == function and m.layer in set(layers)}
        for model in reversed(self.models):
            if model.name in wanted:
                sources = (self.by_name.get(name) for name in model.references)
                wanted |= {s.name for s in sources if s and s.function == "shared" and s.layer in ("stg", "int")}
        return tuple(model for model in self.models if model.name in wanted)


@cache
def _references(sql: str) -> frozenset[str]:
    """Parsing is most of reading the models; who reads them again, mostly meets the same texts."""
    return tables_in(sqlglot.parse_one(sql, read="duckdb"))


def tables_in(tree: exp.Expr) -> frozenset[str]:
    """schema.table of every table reference that is no common table expression."""
    ctes = {cte.alias for cte in tree.find_all(exp.CTE)}
    return frozenset(
        f"{table.db}.{table.name}"
        for table in tree.find_all(exp.Table)
        if table.name and (table.db or table.name not in ctes) and not isinstance(table.this, exp.Func)
    )


def file_name(model_name: str) -> str:
    """stg.x -> stg_x.sql, int.x -> int_x.sql, mart.fct_x -> fct_x.sql."""
    schema, table = model_name.split(".")
    return f"{table}.sql" if schema == "mart" else f"{schema}_{table}.sql"


def load_models(sql_dir: Path) -> Catalog:
    """Read every `<function>/_models.yml` and its SQL files; Misconfigured lists what cannot be read."""
    faults: list[Fault] = []
    models: list[Model] = []
    files = sorted(sql_dir.glob("*/_models.yml"))
    if not files:
        raise Misconfigured([Fault(str(sql_dir), "no _models.yml found in any folder below")])
    for path in files:
        where = f"{path.parent.name}/{path.name}"
        try:
            document = yaml.load(path.read_text(encoding="utf-8"), Loader=QuickLoader)
            declared = document["models"]
        except (yaml.YAMLError, TypeError, KeyError) as error:
            faults.append(Fault(where, f"is no mapping with the key `models`: {error}"))
            continue
        for name, spec in declared.items():
            try:
                models.append(_model(name, spec, path))
            except (KeyError, TypeError, ValueError, AttributeError, OSError, sqlglot.errors.SqlglotError) as error:
                faults.append(Fault(f"{where} {name}", f"{type(error).__name__}: {error}"))
    if faults:
        raise Misconfigured(faults)
    return Catalog(_ordered(models))


def _model(name: str, spec: Mapping[str, Any], declared_in: Path) -> Model:
    for word in spec:
        if word not in MODEL_KEYS:
            raise ValueError(f"unknown key '{word}'{nearest(word, MODEL_KEYS)}")
    sliced = spec.get("slice", {})
    model = Model(
        name=name,
        path=declared_in.parent / file_name(name),
        function=declared_in.parent.name,
        description=spec["description"],
        grain=spec["grain"],
        key=tuple(spec["key"]),
        columns=tuple(Column(column, str(kind), str(personal)) for column, (kind, personal) in spec["columns"].items()),
        slice_column=sliced.get("column"),
        slice_grain=sliced.get("grain", "day"),
        part=spec.get("part"),
        depends_on=spec.get("depends_on", "window"),
        look_back_days=spec.get("look_back_days", {}),
        by_key=spec.get("by_key", {}),
        passes_on=spec.get("passes_on", "slices"),
        checks=tuple(Check(**check) for check in spec.get("checks", [])),
    )
    _ = model.references  # a file that is missing or does not parse is a fault now, not in the night
    return model


def _ordered(models: list[Model]) -> tuple[Model, ...]:
    by_name = {model.name: model for model in models}
    faults = [
        Fault(model.path.name, f"reads '{name}', which no model makes{nearest(name, [*by_name, *SOURCES])}")
        for model in models
        for name in sorted(model.references)
        if name not in by_name and name not in SOURCES
    ]
    if faults:
        raise Misconfigured(faults)
    graph = {model.name: sorted(model.references & by_name.keys()) for model in models}
    try:
        order = TopologicalSorter(graph).static_order()
        return tuple(by_name[name] for name in order)
    except CycleError as error:
        raise Misconfigured([Fault("models", f"read each other in a circle: {' -> '.join(error.args[1])}")]) from error
