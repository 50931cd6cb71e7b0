"""What makes a row the same row, and what makes it the same version of it.

Both are MD5 as UUID over fields joined by chr(31), where a NULL is chr(30), and chr(30), chr(31) inside a text
are chr(30)||'0', chr(30)||'1'. So NULL differs from empty and no two rows of values give one text. Times count as
microseconds since 1970 UTC, decimals with 4 places, dates in ISO form: the hash depends on no engine's setting.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import groupby
from typing import Literal

from caravan.core.entities import Entity, derived_columns

_KEYS = ("row_number", "row_key", "payload_hash")


def payload_hash(columns: Mapping[str, str], absent: Collection[str] = ()) -> str:
    """SQL of the hash over all content. `columns`: names and types of a parsed row. `absent`: those known to be
    NULL in every row; naming them changes the cost, not the hash."""
    content = [(name, kind) for name, kind in columns.items() if name not in _KEYS]
    parts: list[str] = []
    for known, fields in groupby(content, key=lambda field: field[0] in absent):
        if known:
            parts.append(" || chr(31) || ".join("chr(30)" for _ in fields))
        else:
            parts += [_encoded(name, kind) for name, kind in fields]
    return _md5(parts)


def row_key(
    channel_code: str,
    entity: Entity,
    key: Literal["natural", "none"],
    columns: Mapping[str, str],
    absent: Collection[str] = (),
) -> str:
    """SQL of the row's key: from its natural key, or else from what was delivered, as the first of its kind."""
    if key == "none":
        return occurrence_key(entity, columns, "1", absent)
    fields = (entity.field(name) for name in entity.key)
    return _md5([f"'{channel_code}'", f"'{entity.name}'", *(_encoded(each.column, each.sql_type) for each in fields)])


def occurrence_key(entity: Entity, columns: Mapping[str, str], occurrence: str, absent: Collection[str] = ()) -> str:
    """SQL of the key of the n-th row in which the same was delivered."""
    derived = derived_columns(entity)
    delivered = payload_hash({name: kind for name, kind in columns.items() if name not in derived}, absent)
    return _md5([f"CAST({delivered} AS VARCHAR)", f"CAST({occurrence} AS VARCHAR)"])


def _md5(parts: list[str]) -> str:
    return f"CAST(md5(concat_ws(chr(31), {', '.join(parts)})) AS UUID)"


def _encoded(name: str, kind: str) -> str:
    text = f"CAST({name} AS VARCHAR)"
    if kind == "TIMESTAMP":
        text = f"CAST(epoch_us({name}) AS VARCHAR)"
    if kind == "VARCHAR":
        escaped = f"replace(replace({name}, chr(30), chr(30) || '0'), chr(31), chr(30) || '1')"
        text = f"CASE WHEN contains({name}, chr(30)) OR contains({name}, chr(31)) THEN {escaped} ELSE {name} END"
    return f"coalesce({text}, chr(30))"
