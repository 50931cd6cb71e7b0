"""What a channel's file must make sense of, beyond keys and types.

Works on the document as written, not on the finished model: a wrong type in one place does not hide a
misspelt field in another.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import PurePosixPath
from typing import Any

from caravan.config.document import Document, Location
from caravan.config.patterns import duckdb_problem
from caravan.config.places import is_url, place_problem
from caravan.config.services import CHANNELS, CHARGES, SERVICES, ServiceChannel
from caravan.config.types import OTHER_MARKET, Channel
from caravan.config.validation import validate
from caravan.core.codes import country_codes, currency_codes
from caravan.core.entities import ENTITIES, RULE_KINDS, Entity, EntityField
from caravan.core.errors import Fault, nearest

_NUMBERS = ("money", "quantity")
_FILE_SETTINGS = frozenset(["folder", "format", "delivery", "settle_seconds", "max_deleted_share"])
_FILE_ENTITY_SETTINGS = frozenset(["files", "columns", "key", "duplicate_rows", "delivery"])


def read_channel(
    document: Document, stem: str, markets: Collection[str], parties: Collection[str]
) -> tuple[Channel | None, list[Fault]]:
    """The channel of a file named `stem`.yml, or None and every fault of its file. `markets`, `parties`: codes."""
    source = document.text("source") or "file_drop"
    faults = list(_own_faults(document, stem, markets))
    if source not in CHANNELS:
        # All else would follow from that: each source has settings of its own.
        faults.append(document.fault(("source",), f"'{source}' is no source{nearest(source, CHANNELS)}"))
        return None, faults
    model, data = CHANNELS[source], _with_numbers(document)
    if issubclass(model, ServiceChannel):
        faults += _service_faults(document, model, data)
        columns: dict[str, Any] = {name: dict.fromkeys(fields, "") for name, fields in model.gives.items()}
    else:
        faults += _folder_faults(document, stem)
        columns = {name: document.mapping("entities", name, "columns") for name in ENTITIES}
    for name in document.mapping("entities"):
        if name in columns:
            faults += _entity_faults(document, ENTITIES[name], columns[name], parties)
    channel, more = validate(document, model, data)
    faults = more + faults
    return (None if faults else channel), faults


def _own_faults(document: Document, stem: str, markets: Collection[str]) -> Iterator[Fault]:
    code = document.text("code")
    if code is not None and code != stem:
        yield document.fault(("code",), f"'{code}' differs from the file's name; rename the file to {code}.yml")
    market = document.text("market")
    if market is not None and market not in markets:
        yield document.fault(("market",), f"there is no market '{market}'" + nearest(market, markets))
    home = document.text("home_country")
    if home is not None and (problem := _value_problem(home, EntityField("home_country", "country"))):
        yield document.fault(("home_country",), problem)


def _folder_faults(document: Document, stem: str) -> Iterator[Fault]:
    folder = document.text("folder")
    if folder == "":
        yield document.fault(("folder",), "is empty; give a folder of its own, e.g. incoming/" + stem)
    elif folder is not None and folder.startswith("~"):
        yield document.fault(("folder",), f"'{folder}': write the home folder out; `~` is taken as it stands")
    elif folder is not None and is_url(folder) and (problem := place_problem(folder)):
        yield document.fault(("folder",), problem)
    if folder is not None and not is_url(folder) and document.text("connection") is not None:
        yield document.fault(("connection",), "is for a folder in a bucket (s3://bucket/prefix); remove the line")
    delimiter, quote = document.text("format", "delimiter"), document.text("format", "quote")
    if delimiter is not None and delimiter == (quote or '"'):
        yield document.fault(("format", "delimiter"), f"delimiter and quote are both '{delimiter}'")
    form = document.text("format", "datetime")
    if form is not None and form != "iso" and (problem := _datetime_problem(form)):
        yield document.fault(("format", "datetime"), problem)


def _service_faults(document: Document, model: type[ServiceChannel], data: dict[str, Any]) -> list[Fault]:
    """What is said of files, or of entities that the service does not have; it is taken out of `data`."""
    source, faults = document.text("source"), []
    for name in _FILE_SETTINGS & data.keys():
        message = f"is for channels that deliver files; of source {source} it is known: remove it"
        faults.append(document.fault((name,), message))
        del data[name]
    for entity, given in list(document.mapping("entities").items()):
        here: Location = ("entities", entity)
        if entity in ENTITIES and entity not in model.gives:
            message = f"source {source} has no entity '{entity}'{nearest(entity, model.gives)}"
            faults.append(document.fault(here, message))
            del data["entities"][entity]
        elif entity in model.gives and isinstance(given, dict):
            for name in _FILE_ENTITY_SETTINGS & given.keys():
                message = f"is for channels that deliver files; of source {source} it is known: remove it"
                faults.append(document.fault((*here, name), message))
            kept = data["entities"][entity].items()
            data["entities"][entity] = {name: value for name, value in kept if name not in _FILE_ENTITY_SETTINGS}
    return faults


def _entity_faults(
    document: Document, entity: Entity, columns: Mapping[str, Any], parties: Collection[str]
) -> Iterator[Fault]:
    """`columns`: by our field; of a service those that it always has."""
    here: Location = ("entities", entity.name)
    if not isinstance(document.value(*here), dict):
        return  # told by its type; all else would follow from that
    constants = document.mapping(*here, "constants")
    for section in ("columns", "constants", "values"):
        for name in document.mapping(*here, section):
            if name not in entity.field_names:
                yield document.fault((*here, section, name), _unknown_field(name, entity))
    yield from _file_faults(document, here)
    for field in entity.fields:
        if field.required and field.name not in columns and field.name not in constants:
            message = f"the required field '{field.name}' is neither in columns nor in constants"
            yield document.fault((*here, "columns"), message)
        constant = constants.get(field.name)
        if constant == "":
            yield document.fault((*here, "constants", field.name), "is empty; give a value, or remove the line")
        elif isinstance(constant, str) and (problem := _value_problem(constant, field)):
            yield document.fault((*here, "constants", field.name), problem)
        for delivered, ours in document.mapping(*here, "values", field.name).items():
            # Numbers and times are given as the channel writes them; '' stands for no value.
            checked = isinstance(ours, str) and ours and field.type not in (*_NUMBERS, "timestamp")
            if checked and (problem := _value_problem(ours, field)):
                yield document.fault((*here, "values", field.name, delivered), problem)
        if document.mapping(*here, "values", field.name) and field.name not in columns:
            yield document.fault((*here, "values", field.name), "has no column to apply to; map the field in columns")
    if document.text(*here, "key") in (None, "natural"):
        for name in entity.required_key:
            # All of a file may be for one country; nothing else of a key is the same in each row.
            if name not in columns and not (name in constants and entity.field(name).type == "country"):
                otherwise = "" if entity.needs_key else ", or set `key: none`"
                message = f"a natural key needs a column for '{name}'; map it{otherwise}"
                yield document.fault((*here, "key"), message)
    elif entity.needs_key:
        named = " and ".join(entity.required_key)
        message = f"each {entity.name} is named by its {named}; `key: none` is for lines and refunds"
        yield document.fault((*here, "key"), message)
    sign = document.text(*here, "sign")
    if sign is not None and not any(field.positive for field in entity.fields):
        message = f"is for amounts of refunds and payments; those of an {entity.name} may have either"
        yield document.fault((*here, "sign"), message)
    elif sign == "signed" and not entity.outgoing:
        message = f"'signed' is for payments; each {entity.name} goes one way, so give positive or negative"
        yield document.fault((*here, "sign"), message)
    yield from _party_faults(document, here, parties)
    yield from _rule_faults(document, here, entity, columns)


def _party_faults(document: Document, here: Location, parties: Collection[str]) -> Iterator[Fault]:
    """What is delivered may name a party that nobody has configured; what configuration says may not."""
    given: dict[Location, Any] = {("constants", "party"): document.text(*here, "constants", "party")}
    for delivered, ours in document.mapping(*here, "values", "party").items():
        given["values", "party", delivered] = ours
    for place, code in given.items():
        if isinstance(code, str) and code and code not in parties:
            yield document.fault((*here, *place), f"there is no party '{code}' in parties.yml{nearest(code, parties)}")


def _file_faults(document: Document, here: Location) -> Iterator[Fault]:
    files = document.text(*here, "files")
    if files is not None:
        pattern = PurePosixPath(files)
        if not pattern.parts or pattern.is_absolute() or ".." in pattern.parts or files.endswith("/") or "\\" in files:
            message = f"'{files}' is no pattern inside the channel's folder (like orders_*.csv or 2026/*.csv)"
            yield document.fault((*here, "files"), message)
        elif "**" in files:
            message = f"'{files}': `**` is not supported; name each level of folders (like */*.csv)"
            yield document.fault((*here, "files"), message)
    is_nested = document.text("format", "type") == "ndjson"
    for name, column in document.mapping(*here, "columns").items():
        if isinstance(column, str) and not all(column.split(".") if is_nested else [column]):
            yield document.fault((*here, "columns", name), f"'{column}' names no column")


def _rule_faults(document: Document, here: Location, entity: Entity, columns: Mapping[str, Any]) -> Iterator[Fault]:
    rules = document.value(*here, "rules")
    names = {CHARGES.name} if document.text("source") in SERVICES else set[str]()
    for index in range(len(rules) if isinstance(rules, list) else 0):
        rule: Location = (*here, "rules", index)
        name = document.text(*rule, "name")
        if name is not None and name in names:
            yield document.fault((*rule, "name"), f"another rule is called '{name}' already")
        names.add(name or "")
        kind = document.text(*rule, "kind")
        if kind in RULE_KINDS and kind not in entity.kinds:
            yield document.fault((*rule, "kind"), _kind_problem(entity))
        for field_name in document.mapping(*rule, "when"):
            test: Location = (*rule, "when", field_name)
            if field_name not in entity.field_names:
                yield document.fault(test, _unknown_field(field_name, entity))
                continue
            if field_name not in columns and not _is_set(document, here, field_name):
                yield document.fault(test, f"'{field_name}' is neither in columns nor in constants, so it is never set")
            yield from _condition_faults(document, test, entity.field(field_name))


def _is_set(document: Document, here: Location, field_name: str) -> bool:
    if field_name == "flow" and document.text("home_country") is not None:
        return True  # follows from the order's country
    return field_name in document.mapping(*here, "constants")


def _condition_faults(document: Document, test: Location, field: EntityField) -> Iterator[Fault]:
    fitting = {"missing"}
    if field.type in _NUMBERS:
        fitting |= {"equals", "one_of", "below", "above"}
    elif field.type != "timestamp":
        fitting |= {"equals", "one_of", "matches"}
    for name, value in document.mapping(*test).items():
        if value is None:
            yield document.fault((*test, name), "has no value")
        elif name in {"matches", "equals", "one_of", "below", "above"} - fitting:
            message = f"cannot test '{field.name}', a {field.type}; usable are {', '.join(sorted(fitting))}"
            yield document.fault((*test, name), message)
        elif name == "matches" and isinstance(value, str) and (problem := duckdb_problem("regexp_matches", value)):
            yield document.fault((*test, name), f"'{value}' is no RE2 regular expression: {problem}")
        elif name in ("equals", "one_of", "below", "above"):
            for text in value if isinstance(value, list) else [value]:
                if isinstance(text, str) and (problem := _value_problem(text, field)):
                    yield document.fault((*test, name), problem)


def _with_numbers(document: Document) -> dict[str, Any]:
    """The document's data with `equals` of number fields as Decimal: the model cannot know the field."""
    data = dict(document.data)
    if not document.mapping("entities"):
        return data
    data["entities"] = dict(document.mapping("entities"))
    for name in data["entities"]:
        rules = document.value("entities", name, "rules")
        if name not in ENTITIES or not isinstance(rules, list):
            continue
        numbers = {field.name for field in ENTITIES[name].fields if field.type in _NUMBERS}
        data["entities"][name] = document.mapping("entities", name) | {"rules": [_numeric(r, numbers) for r in rules]}
    return data


def _numeric(rule: Any, numbers: Collection[str]) -> Any:
    if not isinstance(rule, dict) or not isinstance(rule.get("when"), dict):
        return rule
    when = dict(rule["when"])
    for name in numbers & when.keys():
        given = when[name].get("equals") if isinstance(when[name], dict) else None
        if isinstance(given, str) and (number := _number(given)) is not None:
            when[name] = when[name] | {"equals": number}
    return rule | {"when": when}


def _kind_problem(entity: Entity) -> str:
    return f"a rule of {entity.name} makes of a row one of {', '.join(entity.kinds)}"


def _unknown_field(name: str, entity: Entity) -> str:
    for other in ENTITIES.values():
        if other is not entity and name in other.field_names:
            return f"'{name}' is a field of {other.name}, not of {entity.name}"
    return f"'{name}' is no field of {entity.name}" + nearest(name, entity.field_names)


def _value_problem(value: str, field: EntityField) -> str | None:
    """Why a value given by configuration cannot stand in this field; None if it can."""
    if field.type == "country" and value not in country_codes() | {OTHER_MARKET}:
        return f"'{value}' is no ISO 3166-1 code (like DE), nor ZZ for none"
    if field.type == "currency" and value not in currency_codes():
        return f"'{value}' is no ISO 4217 code (like EUR)"
    if field.type == "choice" and value not in field.choices:
        return f"'{value}' is no {field.name}" + nearest(value, field.choices)
    if field.type in _NUMBERS and _number(value) is None:
        return f"'{value}' is no number of at most 4 decimals (like 1249.50)"
    if field.type == "timestamp" and not _is_timestamp(value):
        return f"'{value}' is no time (like 2026-10-30T14:05:00Z)"
    if field.name == "status" and value != value.lower():
        return f"status is compared in lower case; write '{value.lower()}'"
    return None


def _number(text: str) -> Decimal | None:
    """A number that DECIMAL(18,4) holds exactly."""
    try:
        number = Decimal(text)
        return number if number == number.quantize(Decimal("0.0001")) and abs(number) < 10**14 else None
    except InvalidOperation:
        return None


def _is_timestamp(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


_DATE_PARTS = (("year", {"Y", "y"}), ("month", {"m", "b", "B", "j"}), ("day", {"d", "j"}))


def _datetime_problem(form: str) -> str | None:
    directives = set(re.findall(r"%-?([A-Za-z])", form.replace("%%", "")))
    lacking = [part for part, letters in _DATE_PARTS if not directives & letters]
    if lacking:
        return f"'{form}' has no {', no '.join(lacking)}; give `iso` or a format like %d.%m.%Y %H:%M"
    problem = duckdb_problem("try_strptime", form)
    return f"'{form}' is no strptime format: {problem}" if problem else None
