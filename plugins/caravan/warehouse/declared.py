"""What _models.yml says, checked word by word: shape, names, types, personal-data classes.

`catalog.load_models` reads the same files to run them and stops where it cannot; here every fault is
found, with its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caravan.config.document import Document, Location, read
from caravan.core.errors import Fault, nearest
from caravan.warehouse.catalog import LAYERS, MODEL_KEYS, PERSONAL_CLASSES, Check, Column, Model, file_name
from caravan.warehouse.portable import condition_faults

DECLARATIONS = "_models.yml"
_TYPES = ("VARCHAR", "BIGINT", "INTEGER", "BOOLEAN", "DATE", "TIMESTAMP", "UUID", "DOUBLE")
_DECIMAL = re.compile(r"DECIMAL\(\d+,\d+\)")
_WORD = re.compile(r"[a-z][a-z0-9_]*")
_MONEY = re.compile(r"(^|_)(amount|price)(_base)?$")
MONEY_TYPE = "DECIMAL(18,4)"

_NAMES: dict[str, str] = {
    "stg": r"stg\.[a-z0-9_]+?__[a-z0-9_]+",
    "int": r"int\.{function}__[a-z0-9_]+",
    "dim": r"mart\.dim_[a-z0-9_]+",
    "fct": r"mart\.fct_[a-z0-9_]+",
    "rpt": r"mart\.rpt_{function}__[a-z0-9_]+",
}
_FORMS = (
    "stg.<source>__<entity>, int.{function}__<step>, mart.dim_<noun>, mart.fct_<noun> or mart.rpt_{function}__<topic>"
)

_TYPE_OF_NAME: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r".*_at", ("TIMESTAMP",)),
    (r"date|.*_date", ("DATE",)),
    (r"is_.*", ("BOOLEAN",)),
    (r".*_(id|code)", ("VARCHAR",)),
    (r".*_count", ("BIGINT", MONEY_TYPE)),
)
_NAME_OF_TYPE = {"TIMESTAMP": "*_at", "DATE": "date or *_date", "BOOLEAN": "is_*"}


@dataclass(frozen=True)
class Declared:
    """A model as declared, and where. A model with faults may lack parts that were wrong."""

    model: Model
    document: Document
    place: Location

    def fault(self, message: str, *field: str | int) -> Fault:
        return self.document.fault((*self.place, *field), message)


def is_money(column: str) -> bool:
    return _MONEY.search(column) is not None


def read_declarations(folder: Path) -> tuple[list[Declared], list[Fault]]:
    """The models of one function's folder and every fault of its _models.yml."""
    document, faults = read(folder / DECLARATIONS, f"{folder.name}/{DECLARATIONS}")
    if document is None:
        return [], faults
    faults += [
        document.fault((word,), f"unknown key{nearest(word, ['models'])}") for word in document.data if word != "models"
    ]
    if not document.mapping("models"):
        return [], [*faults, document.fault(("models",), "must be a mapping of model names and not empty")]
    found = []
    for name in document.mapping("models"):
        reader = _Reader(document, folder, name)
        model = reader.model()
        faults += reader.faults
        if model is not None:
            found.append(Declared(model, document, reader.place))
    return found, faults


class _Reader:
    """Reads one model; collects faults."""

    def __init__(self, document: Document, folder: Path, name: str) -> None:
        self.document = document
        self.folder = folder
        self.name = name
        self.place: Location = ("models", name)
        self.faults: list[Fault] = []

    def fault(self, message: str, *field: str | int) -> None:
        self.faults.append(self.document.fault((*self.place, *field), message))

    def model(self) -> Model | None:
        spec = self.document.value(*self.place)
        function = self.folder.name
        if not any(re.fullmatch(_NAMES[layer].format(function=function), self.name) for layer in LAYERS):
            self.fault(f"a model of {function} is named {_FORMS.format(function=function)}")
            if self.name.count(".") != 1:
                return None
        if not isinstance(spec, dict):
            self.fault("must be a mapping with description, grain, key and columns")
            return None
        for word in spec:
            if word not in MODEL_KEYS:
                self.fault(f"unknown key{nearest(word, MODEL_KEYS)}", word)
        for word in ("description", "grain"):
            if not isinstance(spec.get(word), str):
                self.fault(f"needs {word}, as text")
        columns = tuple(self._columns(spec))
        types = {column.name: column.type for column in columns}
        slice_column, grain = self._slice(spec, types)
        depends_on = spec.get("depends_on", "window")
        if depends_on not in ("window", "history"):
            self.fault(f"'{depends_on}' is neither window nor history", "depends_on")
        if depends_on == "history" and slice_column is None:
            self.fault("a model without slices is built whole; history says which slices are stale", "depends_on")
        passes_on = spec.get("passes_on", "slices")
        if passes_on not in ("slices", "changes"):
            self.fault(f"'{passes_on}' is neither slices nor changes", "passes_on")
        if passes_on == "changes" and slice_column is None:
            self.fault("a model without slices is rebuilt when it changes", "passes_on")
        if spec.get("part") is not None:
            self._known(str(spec["part"]), types, "part")
        return Model(
            name=self.name,
            path=self.folder / file_name(self.name),
            function=function,
            description=str(spec.get("description")),
            grain=str(spec.get("grain")),
            key=self._key(spec, types),
            columns=columns,
            slice_column=slice_column,
            slice_grain=grain,
            part=spec.get("part"),
            depends_on="history" if depends_on == "history" else "window",
            look_back_days=self._look_back(spec),
            by_key=self._by_key(spec, types),
            passes_on="changes" if passes_on == "changes" else "slices",
            checks=tuple(self._checks(spec, types)),
        )

    def _known(self, column: str, types: Mapping[str, str], *field: str | int) -> None:
        if column not in types:
            self.fault(f"there is no column '{column}'{nearest(column, types)}", *field)

    def _columns(self, spec: Mapping[str, Any]) -> Iterator[Column]:
        declared = spec.get("columns")
        if not isinstance(declared, dict) or not declared:
            self.fault("needs columns: `name: [TYPE, personal-data class]`", "columns")
            return
        for name, value in declared.items():
            at = ("columns", name)
            if not _WORD.fullmatch(name):
                self.fault("a column's name is lower case letters, digits and _", *at)
            if not isinstance(value, list) or len(value) != 2:
                classes = ", ".join(PERSONAL_CLASSES)
                self.fault(f"must be [TYPE, personal-data class], the class one of {classes}", *at)
                continue
            kind, personal = str(value[0]), str(value[1])
            if personal not in PERSONAL_CLASSES:
                self.fault(f"'{personal}' is no personal-data class{nearest(personal, PERSONAL_CLASSES)}", *at)
            for message in _type_faults(name, kind):
                self.fault(message, *at)
            yield Column(name, kind, personal)
        money = [name for name in declared if is_money(name)]
        for wanted, reason in (
            ("currency_code", [name for name in money if not name.endswith("_base")]),
            ("base_currency_code", [name for name in money if name.endswith("_base")]),
        ):
            if reason and wanted not in declared:
                self.fault(f"money without its currency: {reason[0]} needs the column {wanted}", "columns")

    def _key(self, spec: Mapping[str, Any], types: Mapping[str, str]) -> tuple[str, ...]:
        key = spec.get("key")
        if not isinstance(key, list) or not key or not all(isinstance(column, str) for column in key):
            self.fault("needs key: a list of columns that tell the rows apart", "key")
            return ()
        for column in key:
            self._known(column, types, "key")
        return tuple(key)

    def _slice(self, spec: Mapping[str, Any], types: Mapping[str, str]) -> tuple[str | None, Any]:
        sliced = spec.get("slice")
        if sliced is None:
            return None, "day"
        if not isinstance(sliced, dict) or "column" not in sliced:
            self.fault("must look like {column: order_local_date, grain: day}", "slice")
            return None, "day"
        for word in sliced:
            if word not in ("column", "grain"):
                self.fault(f"unknown key{nearest(word, ('column', 'grain'))}", "slice", word)
        column, grain = str(sliced["column"]), sliced.get("grain", "day")
        self._known(column, types, "slice", "column")
        if types.get(column, "DATE") != "DATE":
            self.fault(
                f"slices are days, weeks or months of a DATE, and {column} is {types[column]}", "slice", "column"
            )
        if grain not in ("day", "week", "month"):
            self.fault(f"'{grain}' is none of day, week, month", "slice", "grain")
        return column, grain

    def _look_back(self, spec: Mapping[str, Any]) -> dict[str, int]:
        found = {}
        given = spec.get("look_back_days", {})
        if not isinstance(given, dict):
            self.fault("must look like {stg.fx__rate: 14}", "look_back_days")
            return {}
        for table, days in given.items():
            if not (isinstance(days, str) and days.isdigit() and int(days) > 0):
                self.fault(f"'{days}' is no number of days from 1", "look_back_days", table)
            else:
                found[table] = int(days)
        return found

    def _by_key(self, spec: Mapping[str, Any], types: Mapping[str, str]) -> dict[str, str]:
        given = spec.get("by_key", {})
        if not isinstance(given, dict) or not all(isinstance(column, str) for column in given.values()):
            self.fault("must look like {int.sales__refund: order_key}", "by_key")
            return {}
        if given and spec.get("slice") is None:
            self.fault("a model without slices is built whole; by_key says which slices are stale", "by_key")
        for table, column in given.items():
            self._known(column, types, "by_key", table)
            if isinstance(spec.get("look_back_days"), dict) and table in spec["look_back_days"]:
                self.fault("is in look_back_days too; a source is read by key or by day", "by_key", table)
        return dict(given)

    def _checks(self, spec: Mapping[str, Any], types: Mapping[str, str]) -> Iterator[Check]:
        given = spec.get("checks", [])
        if not isinstance(given, list):
            self.fault("must be a list of {name, holds, severity}", "checks")
            return
        names: set[str] = set()
        for index, check in enumerate(given):
            at = ("checks", index)
            if not isinstance(check, dict) or set(check) != {"name", "holds", "severity"}:
                self.fault("must have exactly name, holds and severity", *at)
                continue
            name, holds, severity = (str(check[word]) for word in ("name", "holds", "severity"))
            if not _WORD.fullmatch(name) or name in names:
                self.fault(f"'{name}' must be lower case with _ and stand once", *at, "name")
            names.add(name)
            if severity not in ("fail", "warn"):
                self.fault(f"'{severity}' is neither fail nor warn", *at, "severity")
            for message in condition_faults(holds, types):
                self.fault(message, *at, "holds")
            yield Check(name, holds, "warn" if severity == "warn" else "fail")


def _type_faults(name: str, kind: str) -> Iterator[str]:
    if kind not in _TYPES and not _DECIMAL.fullmatch(kind):
        yield f"'{kind}' is no type of the portable set{nearest(kind, (*_TYPES, MONEY_TYPE))}"
        return
    if is_money(name) and kind != MONEY_TYPE:
        yield f"money is {MONEY_TYPE}, and this is {kind}"
    for pattern, kinds in _TYPE_OF_NAME:
        if re.fullmatch(pattern, name) and kind not in kinds:
            yield f"a column of this name is {' or '.join(kinds)}, and this is {kind}"
    form = _NAME_OF_TYPE.get(kind)
    if form and not any(re.fullmatch(pattern, name) for pattern, kinds in _TYPE_OF_NAME if kind in kinds):
        yield f"a {kind} is named {form}"
