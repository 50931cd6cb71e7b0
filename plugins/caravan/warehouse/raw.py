"""Append a delivery to a raw table: only what is new, in one transaction with its evidence.

What the delivery changes is computed from a snapshot outside the write lock, and again inside it
if another load of the same table came first.
"""

from __future__ import annotations

import math
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

from caravan.core.entities import RULE_REASON
from caravan.core.errors import Rejected
from caravan.warehouse import slices
from caravan.warehouse.catalog import Catalog
from caravan.warehouse.port import Session
from caravan.warehouse.raw_tables import STAMP, RawTable

ROWS_A_PASS = 4_000_000
"""Keys compared at once: keeps memory flat whatever the size of the delivery."""


@dataclass(frozen=True)
class Batch:
    """Rows to append: Parquet files with the table's columns, no row_key twice.

    `scope_value`: the channel the rows belong to. `complete`: the batch is all there is in its
    scope; refused when it would delete more than `max_deleted_share` of the rows it replaces.
    """

    table: RawTable
    paths: Sequence[Path]
    row_count: int
    load_id: str
    observed_at: datetime
    """When the rows were so: the time of the delivery. A row known from a later one stands above them."""
    scope_value: str | None = None
    complete: bool = False
    max_deleted_share: Decimal = Decimal(1)
    has_keys: bool = True
    """Whether a row keeps its key when its content changes; without, a new row may be an old one corrected."""
    quarantined: Sequence[Path] = ()
    """Parquet files of the delivery's rows that are not appended: row_key, NULL where it cannot be read, and
    reason_code. Of such a row the known version stays."""
    reload: bool = False
    """The delivery is read again because the configuration changed: what a rule sets aside now is out."""
    is_current: bool = False
    """The delivery says how its rows are now, whatever brought them before: with `reload`, what a rule sets aside is
    out, not only if the very same delivery brought it."""
    supersedes: Sequence[str] = ()
    """Loads that read the same delivery before: what they brought and this one does not is gone."""
    stamped: bool = False
    """Whether the files hold the columns of STAMP as well, as a first version of each row."""


@dataclass(frozen=True)
class Appended:
    """row_count = loaded + unchanged; `stale` are those unchanged because a newer version is known.
    `kept`: known rows that stay although the delivery holds no good version of them."""

    loaded: int
    unchanged: int
    stale: int
    deleted: int
    moved: int
    kept: int
    days: tuple[date, ...]
    """Business dates touched, old and new."""


@dataclass(frozen=True)
class _Pass:
    """The keys of one range: `known` are delivered keys the table has, `absent` known ones without a good row in
    the delivery, each with its verdict."""

    condition: str
    known: str
    absent: str | None

    @property
    def gone(self) -> str | None:
        return self.absent and f"(SELECT * FROM {self.absent} AS a WHERE a.verdict <> 'kept')"


@dataclass(frozen=True)
class _Comparison:
    source_version: int
    incoming: str
    passes: tuple[_Pass, ...]


def compare(session: Session, batch: Batch) -> _Comparison:
    """What the batch means for the table as this session sees it."""
    table = batch.table
    incoming = session.stage_parquet(batch.paths, {**table.columns, **(STAMP if batch.stamped else {})})
    delivered = _count(session, f"{incoming} AS i")
    if delivered != batch.row_count:
        # Left alone, the difference would be counted as rows that were known before.
        raise ValueError(f"load {batch.load_id}: {delivered} rows are there but {batch.row_count} were announced")
    quarantined = None
    if batch.quarantined:
        quarantined = session.stage_parquet(batch.quarantined, {"row_key": "UUID", "reason_code": "VARCHAR"})
    source_version = slices.version(session, table.name)
    present = int(session.row(f"SELECT COUNT(*) FROM {table.name} AS r WHERE {_in_scope(batch)}", _scope(batch))[0])
    if not present:
        return _Comparison(source_version, incoming, ())
    count = max(1, math.ceil(max(present, batch.row_count) / ROWS_A_PASS))
    return _Comparison(
        source_version,
        incoming,
        tuple(_compare_range(session, batch, incoming, quarantined, low, high) for low, high in key_ranges(count)),
    )


def key_ranges(count: int) -> list[tuple[str, str | None]]:
    """The space of row keys in `count` even parts; keys are MD5, so the parts are even too."""
    bounds = [str(uuid.UUID(int=(i << 128) // count)) for i in range(count)]
    return list(zip(bounds, [*bounds[1:], None], strict=True))


def _in_scope(batch: Batch) -> str:
    return f"r.{batch.table.scope} = $scope" if batch.table.scope else "TRUE"


def _scope(batch: Batch) -> dict[str, str | None]:
    return {"scope": batch.scope_value} if batch.table.scope else {}


def _compare_range(
    session: Session, batch: Batch, incoming: str, quarantined: str | None, low: str, high: str | None
) -> _Pass:
    table, day = batch.table, batch.table.date_column
    condition = f"{{row}}.row_key >= CAST('{low}' AS UUID)"
    if high:
        condition += f" AND {{row}}.row_key < CAST('{high}' AS UUID)"
    scope = f"r.{table.scope} = '{_quoted(batch.scope_value)}'" if table.scope else "TRUE"
    in_range = condition.format(row="r")
    observed = f"CAST('{batch.observed_at.isoformat(sep=' ')}' AS TIMESTAMP)"
    # A marker of a move carries the same version as the row it announces: it is not a state of its own.
    newest = f"""
        newest AS (
            SELECT r.row_key, MAX(r.version) AS version FROM {table.name} AS r
            WHERE {scope} AND {in_range} AND r.version > 1 GROUP BY r.row_key
        ),
        state AS (
            SELECT r.row_key, r.version, r.payload_hash, r.change, r.load_id,
                   {f"r.{day}" if day else "CAST(NULL AS DATE)"} AS old_date,
                   {"r.updated_at" if table.has_updated_at else "CAST(NULL AS TIMESTAMP)"} AS updated_at, r.observed_at
            FROM {table.name} AS r LEFT JOIN newest AS n ON r.row_key = n.row_key
            WHERE {scope} AND {in_range} AND r.change <> 'moved' AND (n.version IS NULL OR r.version = n.version)
        )"""
    known = session.stage(f"""
        WITH {newest}
        SELECT i.row_key, s.version, s.change AS was, s.old_date,
               {f"i.{day}" if day else "CAST(NULL AS DATE)"} AS new_date,
               CASE
                   WHEN s.change = 'row' AND s.payload_hash = i.payload_hash THEN 'unchanged'
                   WHEN {"i.updated_at < s.updated_at" if table.has_updated_at else "FALSE"} THEN 'stale'
                   WHEN {"i.updated_at > s.updated_at" if table.has_updated_at else "FALSE"} THEN 'changed'
                   WHEN {observed} < s.observed_at THEN 'stale'
                   ELSE 'changed'
               END AS verdict
        FROM {incoming} AS i INNER JOIN state AS s ON i.row_key = s.row_key
        WHERE {condition.format(row="i")}""")
    absent = None
    if batch.complete or batch.supersedes or quarantined:
        covered = "TRUE" if batch.complete else f"s.load_id IN ({_texts(batch.supersedes)})"
        # Gone is what the delivery stands for and lacks; an answer stands for what it names, and for no more.
        judged = "TRUE" if batch.is_current else covered
        aside = "SELECT CAST(NULL AS UUID) AS row_key, TRUE AS ruled_out WHERE FALSE"
        if quarantined:
            aside = f"""
                SELECT q.row_key, BOOL_AND(q.reason_code LIKE '{RULE_REASON}%') AS ruled_out FROM {quarantined} AS q
                WHERE q.row_key IS NOT NULL AND {condition.format(row="q")} GROUP BY q.row_key"""
        absent = session.stage(f"""
            WITH {newest}, aside AS ({aside})
            SELECT s.row_key, s.version, s.old_date,
                   CASE
                       WHEN a.row_key IS NULL THEN 'gone'
                       WHEN a.ruled_out AND {judged} AND {"TRUE" if batch.reload else "FALSE"} THEN 'ruled out'
                       ELSE 'kept'
                   END AS verdict
            FROM state AS s
            LEFT JOIN {incoming} AS i ON s.row_key = i.row_key
            LEFT JOIN aside AS a ON s.row_key = a.row_key
            WHERE s.change = 'row' AND i.row_key IS NULL AND s.observed_at <= {observed}
                  AND ({covered} OR a.row_key IS NOT NULL)""")
    return _Pass(condition, known, absent)


def _texts(values: Sequence[str]) -> str:
    return ", ".join(f"'{_quoted(value)}'" for value in values) or "NULL"


def _quoted(value: str | None) -> str:
    return str(value).replace("'", "''")


def append(session: Session, catalog: Catalog, batch: Batch, comparison: _Comparison) -> Appended:
    """Write the rows that are new and mark what they make stale. Inside `Warehouse.write`."""
    now = datetime.now(UTC).replace(tzinfo=None)
    if comparison.source_version != slices.version(session, batch.table.name):
        comparison = compare(session, batch)
    _refuse_cut_off(session, batch, comparison)
    _insert_rows(session, batch, comparison)
    _insert_markers(session, batch, comparison)
    counts, days = _written(session, batch)
    stale = sum(_count(session, f"{part.known} AS k WHERE k.verdict = 'stale'") for part in comparison.passes)
    loaded = counts["row"]
    changed = Appended(
        loaded=loaded,
        unchanged=batch.row_count - loaded,
        stale=stale,
        deleted=counts["deleted"],
        moved=counts["moved"],
        kept=sum(
            _count(session, f"{part.absent} AS k WHERE k.verdict = 'kept'") for part in comparison.passes if part.absent
        ),
        days=days,
    )
    if loaded or changed.deleted:
        slices.bump_version(session, batch.table.name)
        slices.mark_consumers(session, catalog, batch.table.name, changed.days, f"load {batch.load_id}", now)
        if batch.table.date_column is None:
            slices.mark_whole(session, catalog, catalog.consumers(batch.table.name), f"load {batch.load_id}", now)
    return changed


def changes(session: Session, batch: Batch, comparison: _Comparison) -> bool:
    """Whether appending would write anything."""
    gone = sum(_count(session, f"{part.gone} AS k") for part in comparison.passes if part.gone)
    changed = sum(_count(session, f"{part.known} AS k WHERE k.verdict = 'changed'") for part in comparison.passes)
    known = sum(_count(session, part.known) for part in comparison.passes)
    return bool(gone or changed or known < batch.row_count)


def _count(session: Session, source: str) -> int:
    return int(session.row(f"SELECT COUNT(*) FROM {source}")[0])


def _refuse_cut_off(session: Session, batch: Batch, comparison: _Comparison) -> None:
    if not batch.complete:
        return
    absent = [part.absent for part in comparison.passes if part.absent]
    gone = sum(_count(session, f"{relation} AS k WHERE k.verdict = 'gone'") for relation in absent)
    if not gone:
        return
    known = sum(_count(session, f"{part.known} AS k WHERE k.was = 'row'") for part in comparison.passes)
    present = known + sum(_count(session, relation) for relation in absent)
    lacking = gone if batch.has_keys else max(0, gone - (batch.row_count - known))
    share = Decimal(lacking) / Decimal(present)
    if share > batch.max_deleted_share:
        raise Rejected(
            "DELIVERY_CUT_OFF",
            f"the delivery is declared complete but lacks {lacking} of {present} known rows ({share:.0%}; allowed "
            f"{batch.max_deleted_share:.0%}): it is cut off, or `max_deleted_share` is too low",
        )


def _insert_rows(session: Session, batch: Batch, comparison: _Comparison) -> None:
    names = ", ".join(batch.table.columns)
    delivered = ", ".join(f"i.{name}" for name in batch.table.columns)
    values = {"load": batch.load_id, "observed": batch.observed_at}
    if not comparison.passes:
        if batch.stamped:
            session.append_staged(batch.table.name, [*batch.table.columns, *STAMP], comparison.incoming)
            return
        session.execute(
            f"INSERT INTO {batch.table.name} ({names}, version, change, load_id, observed_at) "
            f"SELECT {delivered}, 1, 'row', $load, $observed FROM {comparison.incoming} AS i",
            values,
        )
        return
    for part in comparison.passes:
        session.execute(
            f"INSERT INTO {batch.table.name} ({names}, version, change, load_id, observed_at) "
            f"SELECT {delivered}, COALESCE(k.version, 0) + 1, 'row', $load, $observed "
            f"FROM {comparison.incoming} AS i LEFT JOIN {part.known} AS k ON i.row_key = k.row_key "
            f"WHERE {part.condition.format(row='i')} AND (k.verdict IS NULL OR k.verdict = 'changed')",
            values,
        )


def _insert_markers(session: Session, batch: Batch, comparison: _Comparison) -> None:
    """A deleted version for a key that is gone; a moved one on the day that a row has left."""
    table, day = batch.table, batch.table.date_column
    columns = ["row_key", "version", "change", "load_id", "observed_at"]
    columns += [day] if day else []
    columns += [table.scope] if table.scope else []
    values = {"load": batch.load_id, "observed": batch.observed_at, **_scope(batch)}

    def insert(change: str, source: str) -> None:
        selected = f"k.row_key, k.version + 1, '{change}', $load, $observed"
        selected += ", k.old_date" if day else ""
        selected += ", $scope" if table.scope else ""
        session.execute(f"INSERT INTO {table.name} ({', '.join(columns)}) SELECT {selected} FROM {source}", values)

    for part in comparison.passes:
        if day:
            insert("moved", f"{part.known} AS k WHERE k.verdict = 'changed' AND k.old_date <> k.new_date")
        if part.gone:
            insert("deleted", f"{part.gone} AS k")


def _written(session: Session, batch: Batch) -> tuple[Counter[str], tuple[date, ...]]:
    """Rows by change, and their days."""
    day = batch.table.date_column
    found = session.rows(
        f"SELECT {day or 'NULL'} AS day, change, COUNT(*) FROM {batch.table.name} WHERE load_id = $load "
        "GROUP BY 1, 2 ORDER BY 1, 2",
        {"load": batch.load_id},
    )
    counts: Counter[str] = Counter()
    for _, change, count in found:
        counts[change] += int(count)
    return counts, tuple(dict.fromkeys(row[0] for row in found)) if day else ()
