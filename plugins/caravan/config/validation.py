"""A document against a model: every disagreement as a fault in plain words, with the nearest known name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, RootModel, ValidationError

from caravan.config.document import Document, Location
from caravan.core.errors import Fault, nearest

Model = TypeVar("Model", bound=BaseModel)

_SHOWN = 100
"""Characters of a value that a fault repeats."""

_PLAIN_WORDS = {
    "missing": "is required",
    "too_short": "is empty",
    "string_too_short": "is empty",
    "string_too_long": '{value} is longer than one character; a tab is "\\t", in double quotes',
    "int_parsing": "{value} is no whole number",
    "int_from_float": "{value} is no whole number",
    "decimal_parsing": "{value} is no number",
    "bool_parsing": "{value} is neither true nor false",
    "string_type": "expected text, found {value}",
    "decimal_type": "expected a number, found {value}",
    "int_type": "expected a whole number, found {value}",
    "bool_type": "expected true or false, found {value}",
    "tuple_type": "expected a list, found {value}",
    "dict_type": "expected `key: value` lines, found {value}",
    "model_type": "expected `key: value` lines, found {value}",
}


def validate(
    document: Document, model: type[Model], data: dict[str, Any] | None = None
) -> tuple[Model | None, list[Fault]]:
    """The document as `model`, or None and every fault. `data` stands in for the document's own."""
    try:
        return model.model_validate(document.data if data is None else data), []
    except ValidationError as error:
        faults: dict[Location, Fault] = {}
        details = error.errors(include_url=False)
        for detail in details:
            if detail["type"] == "too_short" and any(_is_within(other["loc"], detail["loc"]) for other in details):
                continue  # it counts what is left without the items that are at fault
            # pydantic adds steps of its own ('[key]', the branch of a union) behind the field.
            field = document.known(detail["loc"])
            if detail["type"] == "missing":
                field = detail["loc"]
            faults.setdefault(field, document.fault(field, _message(detail, model)))
        return None, list(faults.values())


def _is_within(location: Location, outer: Location) -> bool:
    return len(location) > len(outer) and location[: len(outer)] == outer


def _message(detail: Any, model: type[BaseModel]) -> str:
    kind, value, location = detail["type"], detail["input"], detail["loc"]
    if kind == "extra_forbidden":
        return f"unknown key '{location[-1]}'" + nearest(str(location[-1]), _keys_at(model, location[:-1]))
    if kind == "literal_error":
        known = re.findall(r"'([^']+)'", detail["ctx"]["expected"])
        return f"{_show(value)} is not known" + nearest(str(value), known)
    if kind == "value_error":
        return str(detail["ctx"]["error"])
    if kind == "string_pattern_mismatch":
        return f"{_show(value)} does not have the form {detail['ctx']['pattern']}"
    if kind in _PLAIN_WORDS:
        return _PLAIN_WORDS[kind].format(value=_show(value))
    message = detail["msg"]
    return f"{_show(value)}: {message[:1].lower()}{message[1:]}"


def _show(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "`key: value` lines"
    text = str(value)
    return f"'{text}'" if len(text) <= _SHOWN else f"'{text[:_SHOWN]}...'"


def _keys_at(model: type[BaseModel], location: Location) -> list[str]:
    """The keys that the model knows at a location."""
    annotation: Any = model
    for step in location:
        annotation = next(_inside(annotation, step), None)
    models = [kind for kind in _alternatives(annotation) if isinstance(kind, type) and issubclass(kind, BaseModel)]
    return [name for kind in models for name in kind.model_fields]


def _inside(annotation: Any, step: str | int) -> Iterator[Any]:
    for kind in _alternatives(annotation):
        if get_origin(kind) is dict:
            yield get_args(kind)[1]
        elif get_origin(kind) is tuple:
            yield get_args(kind)[0]
        elif isinstance(kind, type) and issubclass(kind, BaseModel) and step in kind.model_fields:
            yield kind.model_fields[str(step)].annotation


def _alternatives(annotation: Any) -> Iterator[Any]:
    """The types of a union, with `Annotated` taken off; of a model that is a list, the list."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif origin is Union or type(annotation).__name__ == "UnionType":
        for kind in get_args(annotation):
            yield from _alternatives(kind)
    elif isinstance(annotation, type) and issubclass(annotation, RootModel):
        yield from _alternatives(annotation.model_fields["root"].annotation)
    elif origin is not Literal:
        yield annotation
