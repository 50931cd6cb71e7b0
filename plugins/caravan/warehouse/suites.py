"""Suites of distribution checks as data: include/expectations/<function>.yml, read and checked whole.

A suite belongs to one table and looks at its slices apart, and in each at every part (a channel, a market).
What every single row must fulfil stands in _models.yml instead; a row-wise expectation therefore needs a
`mostly` under 1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from caravan.config.document import Document, Location, read
from caravan.core.errors import Fault, Misconfigured, nearest
from caravan.warehouse.catalog import Catalog, Model, load_models
from caravan.warehouse.measures import KINDS, MIN_ROWS, RANGE, Expectation, Kind, Suite, is_number_type
from caravan.warehouse.portable import condition_faults


def load_suites(directory: Path, models: Catalog) -> tuple[Suite, ...]:
    """All suites; Misconfigured lists every fault of every file. No directory means no suites."""
    suites, faults = _read(directory, models)
    if faults:
        raise Misconfigured(faults)
    return suites


def check_suites(directory: Path, sql_dir: Path) -> list[Fault]:
    """Every fault of include/expectations; nothing about the models, which `lint` checks."""
    try:
        return _read(directory, load_models(sql_dir))[1]
    except Misconfigured as error:
        return [Fault(directory.name, f"not checked, because models have faults ({error.faults[0]}): mend them first")]


def _read(directory: Path, catalog: Catalog) -> tuple[tuple[Suite, ...], list[Fault]]:
    suites: list[Suite] = []
    faults: list[Fault] = []
    names: dict[tuple[str, str], str] = {}
    for path in sorted(directory.glob("*.yml")):
        document, found = read(path, f"{directory.name}/{path.name}")
        faults.extend(found)
        if document is not None:
            reader = _Reader(document, catalog, names)
            suites.extend(reader.suites())
            faults.extend(reader.faults)
    return tuple(suites), faults


class _Reader:
    """Reads one file; collects faults instead of stopping at the first. Scalars come as text."""

    def __init__(self, document: Document, catalog: Catalog, names: dict[tuple[str, str], str]) -> None:
        self.document = document
        self.catalog = catalog
        self.names = names
        """(table, check name) to where it stands: results are told apart by them."""
        self.faults: list[Fault] = []

    def fault(self, place: Location, message: str) -> None:
        self.faults.append(self.document.fault(place, message))

    def suites(self) -> Iterator[Suite]:
        if not self._mapping((), self.document.data, {"suites"}, {"suites"}):
            return
        for place, spec in self._items(("suites",)):
            suite = self._suite(place, spec)
            if suite is not None:
                yield suite

    def _suite(self, place: Location, spec: Any) -> Suite | None:
        before = len(self.faults)
        if not self._mapping(place, spec, {"table", "part", "where", "expectations"}, {"table", "expectations"}):
            return None
        table = str(spec["table"])
        if table not in self.catalog.by_name:
            self.fault((*place, "table"), f"no model '{table}'{nearest(table, self.catalog.by_name)}")
            return None
        model = self.catalog[table]
        if model.layer != "stg":
            self.fault((*place, "table"), f"{table} is no stg table: suites judge what is staged")
            return None
        if model.slice_column is None:
            self.fault((*place, "table"), f"{table} has no slices, and suites judge slices")
            return None
        types = {column.name: column.type for column in model.columns}
        part, where = spec.get("part", model.part), spec.get("where")
        if part != model.part:
            self.fault((*place, "part"), f"{table} is judged as it is blocked: by {model.part or 'whole slices'}")
        if where is not None:
            for message in condition_faults(str(where), types):
                self.fault((*place, "where"), message)
        found = [self._expectation(at, item, model, types) for at, item in self._items((*place, "expectations"))]
        if len(self.faults) > before:
            return None
        checks = tuple(check for check in found if check is not None)
        return Suite(table, model.slice_column, part, where, checks)

    def _expectation(self, place: Location, spec: Any, model: Model, types: Mapping[str, str]) -> Expectation | None:
        before = len(self.faults)
        word = str(spec.get("expectation")) if isinstance(spec, dict) else ""
        kind = KINDS.get(word)
        if kind is None:
            self.fault((*place, "expectation"), f"no expectation '{word}' for suites; there are {', '.join(KINDS)}")
            return None
        own = set(kind.arguments)
        own |= {"column"} if kind.column_is != "none" else set()
        own |= {"mostly"} if kind.row_wise else set()
        required = {"name", *(own - RANGE - {"mostly"})}
        if not self._mapping(place, spec, {"name", "expectation", "severity", "min_rows", *own}, required):
            return None
        name = str(spec["name"])
        self._name((*place, "name"), name, model)
        severity = spec.get("severity", "fail")
        if severity not in ("fail", "warn"):
            self.fault((*place, "severity"), f"'{severity}' is neither fail nor warn")
        min_rows = self._number((*place, "min_rows"), spec.get("min_rows", MIN_ROWS))
        if min_rows is not None and (min_rows < 1 or min_rows % 1):
            self.fault((*place, "min_rows"), f"'{spec['min_rows']}' is no number of rows from 1")
        kwargs: dict[str, Any] = {}
        if "column" in own:
            kwargs["column"] = spec["column"]
            self._column((*place, "column"), spec["column"], kind, model, types)
        if own >= RANGE:
            kwargs |= self._range(place, spec)
        if "mostly" in own:
            kwargs["mostly"] = self._mostly((*place, "mostly"), spec.get("mostly"))
        if "value_set" in own:
            kwargs["value_set"] = self._texts((*place, "value_set"))
        if "quantile_ranges" in own:
            kwargs["quantile_ranges"] = self._quantiles((*place, "quantile_ranges"), spec["quantile_ranges"])
        if len(self.faults) > before:
            return None
        return Expectation(name, word, kwargs, severity, int(min_rows or MIN_ROWS))

    def _mapping(self, place: Location, spec: Any, known: set[str], required: set[str]) -> bool:
        if not isinstance(spec, dict):
            self.fault(place, f"must be a mapping with {', '.join(sorted(required))}")
            return False
        for word in spec:
            if word not in known:
                self.fault((*place, word), f"unknown key{nearest(word, known)}")
        missing = sorted(word for word in required if spec.get(word) is None)
        if missing:
            self.fault(place, f"needs {', '.join(missing)}")
        return not missing

    def _items(self, place: Location) -> list[tuple[Location, Any]]:
        """The list at a place; a fault and nothing where there is none."""
        found = self.document.value(*place)
        if not isinstance(found, list) or not found:
            self.fault(place, "must be a list and not empty")
            return []
        return [((*place, index), item) for index, item in enumerate(found)]

    def _name(self, place: Location, name: str, model: Model) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            self.fault(place, f"'{name}' must be lower case letters, digits and _")
        if name in {check.name for check in model.checks}:
            self.fault(place, f"'{name}' is already a check of {model.name} in _models.yml")
        here = self.document.fault(place, "").where
        taken = self.names.setdefault((model.name, name), here)
        if taken != here:
            self.fault(place, f"'{name}' stands already at {taken}; results could not be told apart")

    def _column(self, place: Location, column: str, kind: Kind, model: Model, types: Mapping[str, str]) -> None:
        if column not in types:
            self.fault(place, f"{model.name} has no column '{column}'{nearest(str(column), types)}")
        elif kind.column_is == "number" and not is_number_type(types[column]):
            self.fault(place, f"needs a number, and {column} is {types[column]}")
        elif kind.column_is == "text" and types[column] != "VARCHAR":
            self.fault(place, f"needs text, and {column} is {types[column]}")

    def _number(self, place: Location, text: Any) -> float | None:
        """A finite number; None where nothing is given, or what is given is none (then a fault)."""
        if text is None:
            return None
        try:
            number = float(text)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            self.fault(place, f"'{text}' is no number")
            return None
        return number

    def _range(self, place: Location, spec: Mapping[str, Any]) -> dict[str, float]:
        if spec.get("min_value") is None and spec.get("max_value") is None:
            self.fault(place, "needs min_value, max_value or both: without them it can never fail")
        limits = {word: self._number((*place, word), spec.get(word)) for word in sorted(RANGE)}
        given = {word: number for word, number in limits.items() if number is not None}
        if len(given) == 2 and given["min_value"] > given["max_value"]:
            self.fault(place, f"min_value {given['min_value']:g} is above max_value {given['max_value']:g}")
        return given

    def _mostly(self, place: Location, text: Any) -> float | None:
        share = self._number(place, text)
        if share is None or not 0 < share < 1:
            self.fault(
                place,
                "give the share of rows that must fulfil it, above 0 and under 1; "
                "what every row must fulfil is a check in _models.yml",
            )
        return share

    def _texts(self, place: Location) -> list[str]:
        found = self._items(place)
        for at, item in found:
            if not isinstance(item, str):
                self.fault(at, "must be text")
        return [item for _, item in found if isinstance(item, str)]

    def _quantiles(self, place: Location, spec: Any) -> dict[str, Any]:
        keys = {"quantiles", "value_ranges"}
        if not self._mapping(place, spec, keys, keys):
            return {}
        asked = self._items((*place, "quantiles"))
        quantiles = [self._number(at, "null" if text is None else text) for at, text in asked]
        ranges = self._items((*place, "value_ranges"))
        if len(quantiles) != len(ranges):
            self.fault(place, f"{len(quantiles)} quantiles and {len(ranges)} value_ranges: give one range for each")
        for quantile in quantiles:
            if quantile is not None and not 0 <= quantile <= 1:
                self.fault((*place, "quantiles"), f"{quantile:g} is no share from 0 to 1")
        limits = []
        for at, pair in ranges:
            if not isinstance(pair, list) or len(pair) != 2:
                self.fault(at, "must be [lowest, highest]; null where there is no limit")
                continue
            given = self._range(at, dict(zip(("min_value", "max_value"), pair, strict=True)))
            limits.append([given.get("min_value"), given.get("max_value")])
        return {"quantiles": quantiles, "value_ranges": limits}
