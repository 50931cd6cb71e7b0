"""One delivered file to Parquet of canonical rows, in flat memory whatever its size."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path

import duckdb

from caravan.clients.file_drop.conversion import clean_order_id
from caravan.clients.file_drop.csv_source import spool_csv
from caravan.clients.file_drop.decoding import read_bytes, read_text
from caravan.clients.file_drop.deliveries import require_unchanged
from caravan.clients.file_drop.ndjson_source import spool_ndjson
from caravan.clients.file_drop.parquet_source import open_parquet
from caravan.clients.file_drop.parsed import Delivery, Parsed, Stamp
from caravan.clients.file_drop.repetition import settle
from caravan.clients.file_drop.source import PARQUET, Source, literal, parquet_relation
from caravan.clients.file_drop.statement import StatementBuilder, rule_reason
from caravan.config.types import Channel, Configuration
from caravan.core.entities import ENTITIES, Entity, judged_columns
from caravan.core.errors import CaravanError, Rejected, Retryable


def parse(
    delivery: Delivery,
    channel: Channel,
    configuration: Configuration,
    workdir: Path,
    now: datetime,
    memory_limit: str = "1GB",
    stamp: Stamp | None = None,
) -> Parsed:
    """Good rows, quarantined rows and counts of one delivery. `now`: UTC without zone. Files go below `workdir`.

    `stamp`: columns that every good row gets as well, so that the file can become part of a table as it is.
    Rules are counted over good rows, repetitions included, and over quarantined ones.
    Raises Rejected when nothing of the file may be loaded; then nothing is left below `workdir`.
    """
    entity = ENTITIES[delivery.entity]
    place = workdir / f"{delivery.entity}-{delivery.content_hash[:16]}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    try:
        require_unchanged(delivery)
        try:
            with _room_on_disk(place), _connection(place, memory_limit) as connection:
                parsed = _parse(connection, delivery, channel, configuration, entity, place, now, stamp)
        except (CaravanError, duckdb.Error):
            require_unchanged(delivery)  # A file written while it was read explains any other error.
            raise
        require_unchanged(delivery)
        return parsed
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise


def _parse(
    connection: duckdb.DuckDBPyConnection,
    delivery: Delivery,
    channel: Channel,
    configuration: Configuration,
    entity: Entity,
    place: Path,
    now: datetime,
    stamp: Stamp | None,
) -> Parsed:
    config = channel.entities[entity.name]
    source = _open_source(connection, delivery, channel, entity, place)
    rule_counts = {rule.name: 0 for rule in config.rules}
    quarantined = [] if source is None or source.quarantine_path is None else [source.quarantine_path]
    if source is None or source.received == source.quarantined:
        received = source.received if source else 0
        return Parsed((), tuple(quarantined), 0, received, 0, received, rule_counts)

    statement = StatementBuilder(connection, channel, entity, configuration, source, now).build()
    rows, bad_rows = place / "rows.parquet", place / "quarantined.parquet"
    with _sound_file(delivery, channel):
        stamped = f"SELECT *, {stamp.columns()} FROM ({statement.good})" if stamp else statement.good
        good = _copy(connection, stamped, rows)
        bad = 0
        if good + source.quarantined < source.received:
            bad = _copy(connection, statement.bad, bad_rows)
            quarantined.append(bad_rows)
    accepted, duplicates = settle(connection, rows, good, channel, entity, place / "accepted.parquet")

    count, first, last = _one(
        connection, f"count(*), min({entity.local_date}), max({entity.local_date}) FROM {parquet_relation([accepted])}"
    )
    _, rule_column = judged_columns(entity)
    given = f"FROM {parquet_relation([rows])} WHERE {rule_column} IS NOT NULL GROUP BY ALL"
    rule_counts |= dict(connection.execute(f"SELECT {rule_column}, count(*) {given}").fetchall())
    if bad:
        reasons = f"SELECT reason_code, count(*) FROM {parquet_relation([bad_rows])} GROUP BY ALL"
        by_reason = dict(connection.execute(reasons).fetchall())
        for rule in config.rules:
            rule_counts[rule.name] += by_reason.get(rule_reason(rule.name), 0)
    parsed = Parsed(
        accepted=(accepted,) if count else (),
        quarantined=tuple(quarantined),
        accepted_count=count,
        received_count=source.received,
        duplicate_count=duplicates,
        quarantined_count=source.quarantined + bad,
        rule_counts=rule_counts,
        first_local_date=first,
        last_local_date=last,
    )
    _require_reconciled(parsed, delivery)
    for leftover in {rows, place / "delivered.parquet", place / "inflated.parquet"} - {accepted}:
        leftover.unlink(missing_ok=True)
    return parsed


def _open_source(
    connection: duckdb.DuckDBPyConnection, delivery: Delivery, channel: Channel, entity: Entity, place: Path
) -> Source | None:
    """None: the file holds nothing at all, which is a valid delivery of no rows."""
    path, name, form = delivery.path, delivery.name, channel.format
    wanted = list(channel.entities[entity.name].columns.values())
    if next(read_bytes(path), None) is None:
        return None
    if form.type == "parquet":
        with path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        if zipped:
            path = place / "inflated.parquet"
            with path.open("wb") as inflated:
                inflated.writelines(read_bytes(delivery.path))
        with _sound_file(delivery, channel):
            return open_parquet(connection, path, wanted, name)

    def text() -> Iterator[str]:
        return read_text(read_bytes(path), form.encoding, name)

    if form.type == "ndjson":
        return spool_ndjson(text(), wanted, name, place)
    return spool_csv(text, form, wanted, name, place)


@contextmanager
def _connection(place: Path, memory_limit: str) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(
        config={
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "threads": 2,
            "memory_limit": memory_limit,
            "temp_directory": str(place / "spill"),
        }
    ) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        # Order within the files means nothing; keeping it, and caching what is read once, would cost memory.
        connection.execute("SET preserve_insertion_order = false")
        connection.execute("SET enable_external_file_cache = false")
        # Pushing the filter of good rows below the layers would evaluate them all a second time.
        connection.execute("SET disabled_optimizers = 'filter_pushdown'")
        connection.create_function("clean_order_id", clean_order_id, ["VARCHAR"], "VARCHAR")
        yield connection


@contextmanager
def _room_on_disk(place: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, duckdb.Error) as error:
        if getattr(error, "errno", None) == errno.ENOSPC or "No space left on device" in str(error):
            raise Retryable(f"no room left below {place}: free some disk, then run again ({error})") from error
        raise


@contextmanager
def _sound_file(delivery: Delivery, channel: Channel) -> Iterator[None]:
    """Errors of reading Parquet are the file's: all other input was written here, by us."""
    try:
        yield
    except (duckdb.IOException, duckdb.InvalidInputException, duckdb.SerializationException) as error:
        if channel.format.type != "parquet" or "No space left on device" in str(error):
            raise
        raise Rejected(
            "PARQUET_BROKEN", f"{delivery.name} is no sound Parquet file; deliver it again ({error})"
        ) from error


def _copy(connection: duckdb.DuckDBPyConnection, query: str, target: Path) -> int:
    """Write a query's rows to Parquet; how many."""
    done = connection.execute(f"COPY ({query}) TO {literal(str(target))} ({PARQUET})").fetchone()
    return int(done[0]) if done else 0


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[int, date | None, date | None]:
    count, first, last = connection.execute(f"SELECT {query}").fetchall()[0]
    return int(count), first, last


def _require_reconciled(parsed: Parsed, delivery: Delivery) -> None:
    if parsed.received_count != parsed.accepted_count + parsed.duplicate_count + parsed.quarantined_count:
        raise RuntimeError(
            f"{delivery.name}: received {parsed.received_count} rows, but accepted {parsed.accepted_count} + duplicate "
            f"{parsed.duplicate_count} + quarantined {parsed.quarantined_count}; this is a fault of Caravan, report it"
        )
