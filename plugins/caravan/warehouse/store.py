"""The warehouse as functions use it: the port with its catalog, and the evidence of every step."""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from caravan.core.entities import ENTITIES, QUARANTINE_COLUMNS
from caravan.core.errors import Rejected
from caravan.core.protocols import Delivery, Layer, Parsed
from caravan.core.rates import KnownRate
from caravan.core.window import DayRange, Window
from caravan.warehouse import evidence, expectations, rates, raw, slices
from caravan.warehouse.catalog import Catalog, Model
from caravan.warehouse.evidence import Load
from caravan.warehouse.measures import Suite
from caravan.warehouse.port import Session, Warehouse
from caravan.warehouse.raw_tables import RAW, RawTable, table_of
from caravan.warehouse.runner import Build, Runner

_THIS_RUN = "run_id = $run AND dag_id = $dag"


class Store:
    """The warehouse as one DAG works with it: `dag_id`, with a run's id, names the run in ops tables.

    `constants`: the models' parameters, e.g. base_currency. `clock`: UTC now, without zone.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        catalog: Catalog,
        dag_id: str,
        constants: Mapping[str, str],
        revision: str,
        clock: Callable[[], datetime],
        suites: Callable[[], Sequence[Suite]] = tuple,
    ) -> None:
        self.warehouse = warehouse
        self.catalog = catalog
        self._dag_id = dag_id
        self._constants = constants
        self._revision = revision
        self._clock = clock
        self._suites = suites

    def start_run(self, run_id: str, window: Window | None, config_hash: str) -> None:
        with self.warehouse.write() as session:
            evidence.start_run(session, run_id, self._dag_id, window, self._revision, config_hash, self._clock())

    def end_run(self, run_id: str, state: str, message: str) -> None:
        with self.warehouse.write() as session:
            evidence.end_run(session, run_id, self._dag_id, state, message, self._clock())

    def known_content(self, channel_code: str, entity: str) -> dict[str, set[str]]:
        with self.warehouse.read() as session:
            return evidence.known_content(session, channel_code, entity)

    def newest_delivery(self, channel_code: str, entity: str) -> tuple[datetime, str, str] | None:
        with self.warehouse.read() as session:
            return evidence.newest_delivery(session, channel_code, entity)

    def last_read(self, channel_code: str, entity: str) -> dict[str, datetime]:
        with self.warehouse.read() as session:
            return evidence.last_read(session, channel_code, entity)

    def load(
        self,
        run_id: str,
        load_id: str,
        channel_code: str,
        entity: str,
        delivery: Delivery,
        parsed: Parsed,
        *,
        complete: bool,
        max_deleted_share: Decimal,
        started_at: datetime,
        has_keys: bool = True,
        reload: bool = False,
        is_current: bool = False,
        restates: Sequence[str] = (),
        covers: str | None = None,
    ) -> Load | None:
        batch = raw.Batch(
            table=table_of(entity),
            paths=parsed.accepted,
            row_count=parsed.accepted_count,
            load_id=load_id,
            # A file that was put back from a copy has an old date, and is what holds all the same.
            observed_at=started_at if restates else delivery.delivered_at,
            scope_value=covers or channel_code,
            stamped=entity in ENTITIES,
            complete=complete,
            max_deleted_share=max_deleted_share,
            has_keys=has_keys,
            reload=reload,
            is_current=is_current,
            quarantined=parsed.quarantined,
        )
        noted = self._load(run_id, channel_code, entity, batch)
        noted = replace(
            noted,
            delivery_name=delivery.name,
            content_hash=delivery.content_hash,
            delivered_at=delivery.delivered_at,
            started_at=started_at,
            state="loaded" if parsed.received_count else "empty",
            received_count=parsed.received_count,
            duplicate_count=parsed.duplicate_count,
            quarantined_count=parsed.quarantined_count,
            # Until the rows are compared all of them count as unchanged: the sum must hold at any time.
            unchanged_count=parsed.accepted_count,
            first_local_date=parsed.first_local_date,
            last_local_date=parsed.last_local_date,
        )
        with self.warehouse.read() as session:
            if reload and not complete:
                before = evidence.loads_of(session, channel_code, entity, delivery.content_hash)
                batch = replace(batch, supersedes=before)
            if restates:
                batch = replace(batch, supersedes=rates.loads_named(session, channel_code, entity, restates))
            comparison = raw.compare(session, batch)
        with self.warehouse.write() as session:
            # A complete delivery, and a file that restates itself, may return to what an earlier one said.
            once = not (reload or complete or restates)
            if once and delivery.content_hash in evidence.known_content(session, channel_code, entity):
                return None
            appended = raw.append(session, self.catalog, batch, comparison)
            noted = replace(
                noted,
                loaded_count=appended.loaded,
                unchanged_count=appended.unchanged,
                stale_count=appended.stale,
                deleted_count=appended.deleted,
                moved_count=appended.moved,
                message=f"{appended.kept} known rows stay: their new versions are in quarantine"
                if appended.kept
                else None,
                ended_at=self._clock(),
            )
            if not once:
                evidence.forget_quarantine(session, channel_code, entity, delivery.content_hash)
            evidence.write_load(session, noted, parsed.rule_counts)
            evidence.write_quarantine(session, noted, parsed.quarantined, QUARANTINE_COLUMNS, self._clock())
        self.warehouse.forget_staged()
        return noted

    def _load(self, run_id: str, channel_code: str, entity: str, batch: raw.Batch) -> Load:
        return Load(
            load_id=batch.load_id,
            run_id=run_id,
            dag_id=self._dag_id,
            channel_code=channel_code,
            entity=entity,
            table_name=batch.table.name,
            delivery_name=None,
            content_hash=None,
            delivered_at=None,
            state="missing",
            started_at=batch.observed_at,
            ended_at=batch.observed_at,
        )

    def retry(self, run_id: str, channel_code: str) -> None:
        """The channel is collected again in the same run: what an earlier attempt refused counts no longer."""
        refused = f"{_THIS_RUN} AND channel_code = $channel AND state = 'refused'"
        values = {"run": run_id, "dag": self._dag_id, "channel": channel_code}
        with self.warehouse.read() as session:
            if not session.rows(f"SELECT 1 FROM ops.load WHERE {refused} LIMIT 1", values):
                return
        with self.warehouse.write() as session:
            session.execute(f"UPDATE ops.load SET state = 'retried' WHERE {refused}", values)

    def refuse(
        self, run_id: str, channel_code: str, entity: str, delivery_name: str | None, error: Rejected, at: datetime
    ) -> None:
        self._note(
            run_id,
            channel_code,
            entity,
            at,
            state="refused",
            delivery_name=delivery_name,
            reason_code=error.code,
            message=error.message,
        )

    def note_missing(
        self, run_id: str, channel_code: str, entity: str, at: datetime, message: str = "no file was there"
    ) -> None:
        self._note(run_id, channel_code, entity, at, state="missing", message=message)

    def note_failed(self, run_id: str, channel_code: str, entity: str, at: datetime, message: str) -> None:
        self._note(run_id, channel_code, entity, at, state="failed", message=message)

    def note_read(self, run_id: str, channel_code: str, entity: str, at: datetime) -> None:
        with self.warehouse.read() as session:
            if not evidence.is_failed(session, channel_code):
                return
        self._note(run_id, channel_code, entity, at, state="idle")

    def _note(self, run_id: str, channel_code: str, entity: str, at: datetime, **values: Any) -> None:
        batch = raw.Batch(table_of(entity), (), 0, uuid.uuid4().hex, at)
        with self.warehouse.write() as session:
            evidence.write_load(session, replace(self._load(run_id, channel_code, entity, batch), **values))

    def put_reference(
        self,
        table: str,
        rows: Sequence[Mapping[str, object]],
        key: Sequence[str],
        run_id: str,
        *,
        is_complete: bool = False,
    ) -> None:
        """`is_complete`: these are all that there are; a row that is not given is gone."""
        with _reference_file(RAW[table], rows, key) as path:
            load_id = f"{run_id}:{table}"
            batch = raw.Batch(RAW[table], [path], len(rows), load_id, self._clock(), complete=is_complete)
            self._append_if_changed(batch)

    def reference_values(self, table: str, key: str, value: str) -> dict[str, str | None]:
        with self.warehouse.read() as session:
            found = session.rows(
                f"SELECT {key}, {value} FROM {table} AS r WHERE change = 'row' AND version = "
                f"(SELECT MAX(n.version) FROM {table} AS n WHERE n.row_key = r.row_key)"
            )
        return {row[0]: row[1] for row in found}

    def newest_contents(self, channel_code: str, entity: str) -> dict[str, str]:
        with self.warehouse.read() as session:
            return rates.newest_contents(session, channel_code, entity)

    def healable(self, channel_code: str, entity: str) -> dict[str, set[int]]:
        with self.warehouse.read() as session:
            return rates.healable(session, channel_code, entity)

    def known_rates(self, currencies: Iterable[str], first: date, last: date) -> list[KnownRate]:
        with self.warehouse.read() as session:
            return rates.known_rates(session, currencies, first, last)

    def newest_rates(self) -> dict[str, tuple[date, str]]:
        with self.warehouse.read() as session:
            return rates.newest_rates(session)

    def warnings(self, run_id: str) -> list[str]:
        with self.warehouse.read() as session:
            return rates.warnings(session, run_id, self._dag_id)

    def _append_if_changed(self, batch: raw.Batch) -> None:
        """Reference data rarely changes: look before taking the lock."""
        with self.warehouse.read() as session:
            comparison = raw.compare(session, batch)
            is_known = bool(comparison.passes) or not batch.row_count
            if is_known and not raw.changes(session, batch, comparison):
                return
        with self.warehouse.write() as session:
            raw.append(session, self.catalog, batch, comparison)
        self.warehouse.forget_staged()

    def _runner(self, run_id: str) -> Runner:
        judged_later = frozenset(suite.table for suite in self._suites())
        return Runner(self.warehouse, self.catalog, self._constants, self._dag_id, run_id, judged_later)

    def build(self, run_id: str, function: str, layers: Sequence[Layer], days: DayRange | None) -> list[Build]:
        return self._runner(run_id).build(self.catalog.select(function, layers), days)

    def pending(self, function: str, layers: Sequence[Layer], days: DayRange | None) -> dict[str, list[str]]:
        return self._runner("").pending(self.catalog.select(function, layers), days)

    def drain(self, run_id: str) -> list[Build]:
        """Build the shared and reporting models wherever they are stale."""
        chosen = [model for model in self.catalog.models if model.function == "shared" or model.layer == "rpt"]
        return self._runner(run_id).build(chosen)

    def validate(self, run_id: str, function: str, days: DayRange) -> dict[str, int]:
        """Judge the staged slices: those of the window and those that wait to be built from.

        A failed check blocks its slice and part in every model that stands on the table; a slice
        that passes is freed and marked stale. Slices that another run blocked are judged too, to be freed; one
        that fails again stays as it is and is no failure of this run.
        """
        staged = [model for model in self.catalog.select(function, ("stg",)) if model.function == function]
        with self.warehouse.read() as session:
            waiting = {model.name: self._waiting(session, model, days) for model in staged}
            wanted = {name: sorted({*due, *idle}) for name, (due, idle) in waiting.items()}
            seen = self._held(session)
            results = expectations.validate(session, self._suites(), wanted)
        now = self._clock()
        with self.warehouse.write() as session:
            # Staged anew meanwhile: a slice must not pass for rows that are no longer in it.
            anew = {(table, day) for table, day, *_ in self._held(session) ^ seen if table in wanted}
            results = [r for r in results if (r.model_name, r.slice_date) not in anew]
            results += expectations.validate(session, self._suites(), _by_table(anew))
            failed = {(r.model_name, r.slice_date) for r in results if r.outcome in ("fail", "error")}
            idle = {(name, day) for name, (due, blocked) in waiting.items() for day in blocked - due}
            standing = (idle - anew) & failed
            results = [r for r in results if (r.model_name, r.slice_date) not in standing]
            evidence.write_results(session, self._dag_id, run_id, results, now)
            judged = {(name, day) for name, dates in wanted.items() for day in dates} | anew
            for table, dates in _by_table(judged - standing).items():
                blocks = {
                    (r.slice_date, r.part_value or ""): f"{r.check_name}: {r.message}"
                    for r in results
                    if r.model_name == table and r.outcome in ("fail", "error") and r.slice_date
                }
                slices.set_blocks(
                    session, self.catalog, self.catalog[table], dates, blocks, run_id, now, "distribution"
                )
        return dict(Counter(result.outcome for result in results))

    def _waiting(self, session: Session, model: Model, days: DayRange) -> tuple[set[date], set[date]]:
        """Slices to judge: those of the window or to be built from, and those an earlier run blocked.

        The latter are judged until they are free, also when their rows, or the suite, are gone.
        """
        stale = {day for above in self.catalog.consumers(model.name) for day in slices.dirty(session, above) if day}
        present = {row[0] for row in session.rows(f"SELECT DISTINCT {model.slice_column} FROM {model.name}")}
        blocked = session.rows(
            "SELECT DISTINCT slice_date, cause_kind FROM ops.blocked_slice WHERE cause_model = $table",
            {"table": model.name},
        )
        held = {day for day, kind in blocked if kind == slices.UNVALIDATED}
        return ((stale | set(days.days())) & present) | held, {day for day, kind in blocked if kind == "distribution"}

    def unvalidated(self, function: str) -> int:
        with self.warehouse.read() as session:
            tables = {model.name for model in self.catalog.select(function, ("stg",))}
            return len({(table, day) for table, day, *_ in self._held(session) if table in tables})

    def _held(self, session: Session) -> set[tuple[str, date, str, datetime]]:
        """Every slice that waits to be judged, and when it was staged."""
        found = session.rows(
            "SELECT DISTINCT cause_model, slice_date, run_id, blocked_at FROM ops.blocked_slice "
            "WHERE cause_kind = $kind",
            {"kind": slices.UNVALIDATED},
        )
        return {(row[0], row[1], row[2], row[3]) for row in found}

    def failures(self, run_id: str) -> list[str]:
        """What failed since the run was started, or cleared and started again."""
        with self.warehouse.read() as session:
            return evidence.failures(session, run_id, self._dag_id)

    def standing_blocks(self, run_id: str, function: str) -> list[str]:
        """Slices that keep old rows because of a check in another run, a line each."""
        with self.warehouse.read() as session:
            found = evidence.standing_blocks(session, run_id, slices.UNVALIDATED)
        return [
            f"{model} {day} {part}, since {since:%Y-%m-%d %H:%M} UTC: {reason}"
            for model, day, part, reason, since in found
            if model in self.catalog.by_name and self.catalog[model].function == function
        ]


def _by_table(slices_of: Iterable[tuple[str, date]]) -> dict[str, list[date]]:
    found: dict[str, list[date]] = {}
    for table, day in sorted(slices_of):
        found.setdefault(table, []).append(day)
    return found


@contextlib.contextmanager
def _reference_file(table: RawTable, rows: Sequence[Mapping[str, object]], key: Sequence[str]) -> Iterator[Path]:
    """Small rows as a Parquet file with the table's columns, keys and hashes included."""
    names = [name for name in table.columns if name not in ("row_key", "payload_hash")]
    content = [name for name in names if name not in table.provenance]
    # The warehouse makes of text what its columns want.
    rows = [{name: None if row[name] is None else str(row[name]) for name in names} for row in rows]

    def digest(values: Sequence[object]) -> str:
        return str(uuid.UUID(hashlib.md5(json.dumps(values).encode(), usedforsecurity=False).hexdigest()))

    columns: dict[str, list[object]] = {
        "row_key": [digest([row[name] for name in key]) for row in rows],
        "payload_hash": [digest([row[name] for name in content]) for row in rows],
        **{name: [row[name] for row in rows] for name in names},
    }
    with tempfile.TemporaryDirectory(prefix="caravan-reference-") as folder:
        path = Path(folder) / "rows.parquet"
        pq.write_table(pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()}), path)
        yield path
