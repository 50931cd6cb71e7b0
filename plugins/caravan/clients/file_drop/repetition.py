"""Rows that repeat within a delivery, and orders whose lines fall on two local days.

Both are rare, and a delivery may hold more rows than memory. So keys are looked at in passes over ranges of
about two million rows, which keep only what was seen twice; the rows are written again only if any was.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import duckdb

from caravan.clients.file_drop.identity import occurrence_key, payload_hash
from caravan.clients.file_drop.source import PARQUET, literal, parquet_relation
from caravan.config.types import Channel
from caravan.core.entities import ORDER_LINE, Entity, parsed_columns

ROWS_PER_PASS = 2_000_000

Policy = Literal["newest", "first", "number"]
"""Of rows with one key: keep the newest (by updated_at, then the last in the file), keep the first, or keep all
and number them."""


def policy_of(channel: Channel, entity: Entity) -> Policy:
    config = channel.entities[entity.name]
    if config.key == "natural":
        return "newest"
    return "number" if config.duplicate_rows == "keep" else "first"


def settle(
    connection: duckdb.DuckDBPyConnection, rows: Path, count: int, channel: Channel, entity: Entity, target: Path
) -> tuple[Path, int]:
    """Apply the channel's policy to `count` parsed rows in the file `rows`.

    Returns the file to use (`rows` itself when nothing repeats, else `target`) and how many duplicates were left out.
    """
    relation = parquet_relation([rows])
    policy = policy_of(channel, entity)
    repeated, dropped = _find_repeated(connection, relation, count, policy)
    kept = (
        f"(SELECT a.* FROM {relation} AS a LEFT JOIN repeated AS r ON r.row_key = a.row_key "
        "WHERE r.row_key IS NULL OR r.kept_row = a.row_number)"
        if dropped
        else relation
    )
    day = entity.local_date
    moved = _find_split_orders(connection, kept, count if entity is ORDER_LINE else 0)
    if not repeated and not moved:
        return rows, 0
    columns = parsed_columns(entity)
    delivered = [name for name, *_ in connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()]
    key = "row_key" if policy == "newest" else occurrence_key(entity, columns, "occurrence")
    if moved:
        kept = (
            f"(SELECT k.* REPLACE (coalesce(s.order_local_date, k.{day}) AS {day}) FROM {kept} AS k "
            "LEFT JOIN split_orders AS s ON s.order_id = k.order_id)"
        )
    kept = (
        f"(SELECT k.*, coalesce(o.occurrence, 1) AS occurrence FROM {kept} AS k "
        "LEFT JOIN occurrences AS o ON o.row_number = k.row_number)"
    )
    kept = f"(SELECT * REPLACE ({payload_hash(columns)} AS payload_hash) FROM {kept})"
    kept = f"(SELECT * REPLACE ({key} AS row_key) FROM {kept})"
    connection.execute(f"COPY (SELECT {', '.join(delivered)} FROM {kept}) TO {literal(str(target))} ({PARQUET})")
    return target, dropped


def _find_repeated(
    connection: duckdb.DuckDBPyConnection, relation: str, count: int, policy: Policy
) -> tuple[bool, int]:
    """Fill `repeated` (row_key, kept_row) or `occurrences` (row_number, occurrence). Returns whether any key
    repeats and how many rows the policy leaves out."""
    connection.execute("CREATE OR REPLACE TEMP TABLE repeated (row_key UUID, kept_row BIGINT)")
    connection.execute("CREATE OR REPLACE TEMP TABLE occurrences (row_number BIGINT, occurrence BIGINT)")
    found, dropped = False, 0
    for within in _key_ranges(count):
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE seen AS SELECT row_key, count(*) AS times FROM {relation} "
            f"WHERE {within} GROUP BY row_key HAVING count(*) > 1"
        )
        keys, rows = connection.execute("SELECT count(*), coalesce(sum(times), 0) FROM seen").fetchall()[0]
        if not keys:
            continue
        found = True
        again = f"FROM {relation} AS a JOIN seen ON seen.row_key = a.row_key"
        if policy == "number":
            connection.execute(
                "INSERT INTO occurrences SELECT * FROM (SELECT row_number, "
                f"row_number() OVER (PARTITION BY a.row_key ORDER BY row_number) AS occurrence {again}) "
                "WHERE occurrence > 1"
            )
            continue
        dropped += int(rows) - int(keys)
        chosen = "min(row_number)"
        if policy == "newest":
            chosen = "max({'at': coalesce(updated_at, TIMESTAMP '-infinity'), 'row': row_number}).row"
        connection.execute(f"INSERT INTO repeated SELECT a.row_key, {chosen} {again} GROUP BY a.row_key")
    return found, dropped


def _find_split_orders(connection: duckdb.DuckDBPyConnection, kept: str, count: int) -> bool:
    """Fill `split_orders`: for orders with lines on several local dates, the date of the earliest line."""
    connection.execute("CREATE OR REPLACE TEMP TABLE suspects (order_hash UBIGINT)")
    connection.execute("CREATE OR REPLACE TEMP TABLE split_orders (order_id VARCHAR, order_local_date DATE)")
    passes = _passes(count) if count else 0
    for number in range(passes):
        connection.execute(
            "INSERT INTO suspects SELECT order_hash "
            f"FROM (SELECT hash(order_id) AS order_hash, order_local_date FROM {kept}) "
            f"WHERE order_hash % {passes} = {number} "
            "GROUP BY order_hash HAVING min(order_local_date) <> max(order_local_date)"
        )
    if connection.execute("SELECT count(*) FROM suspects").fetchall()[0][0]:
        # Two orders may share a hash; the order ids decide.
        connection.execute(
            "INSERT INTO split_orders SELECT order_id, min({'at': ordered_at, 'day': order_local_date}).day "
            f"FROM {kept} WHERE hash(order_id) IN (SELECT order_hash FROM suspects) "
            "GROUP BY order_id HAVING min(order_local_date) <> max(order_local_date)"
        )
    return bool(connection.execute("SELECT count(*) FROM split_orders").fetchall()[0][0])


def _passes(count: int) -> int:
    return max(1, -(-count // ROWS_PER_PASS))


def _key_ranges(count: int) -> Iterator[str]:
    """SQL conditions that cut the space of keys into equal parts. Keys are MD5, so rows spread evenly."""
    passes = _passes(count)
    bounds = [(1 << 128) * i // passes for i in range(passes)]
    for i, low in enumerate(bounds):
        upper = f" AND row_key < '{_uuid(bounds[i + 1])}'" if i + 1 < passes else ""
        yield f"row_key >= '{_uuid(low)}'{upper}"


def _uuid(number: int) -> str:
    digits = f"{number:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
