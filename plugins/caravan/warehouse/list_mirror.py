"""Lists that were read, as loads and quarantine of the warehouse show all that comes in. No address gets there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from caravan.core.entities import QUARANTINE_COLUMNS
from caravan.warehouse import evidence
from caravan.warehouse.evidence import Load
from caravan.warehouse.lists import StoredLists, StoredReading
from caravan.warehouse.port import Session, Warehouse

ENTITY = "recipient"
"""What ops.load calls a delivery of people."""
_SCHEMA = pa.schema(
    [(name, pa.int64() if kind == "BIGINT" else pa.string()) for name, kind in QUARANTINE_COLUMNS.items()]
)


def channel_of(list_code: str) -> str:
    """What stands for the channel in ops.load and ops.quarantine."""
    return f"list_{list_code}"


@dataclass(frozen=True)
class ListMirror:
    """`folder`: of the caller's own, for files on their way. `clock`: UTC now, without zone."""

    warehouse: Warehouse
    lists: StoredLists
    folder: Path
    clock: Callable[[], datetime]
    run_id: str
    dag_id: str

    def bring_up(self) -> int:
        """Each reading once, under its own id; how many were new."""
        with self.warehouse.read() as session:
            known = _known(session)
        return sum(self._put(each) for each in self.lists.readings() if each.reading_id not in known)

    def _put(self, reading: StoredReading) -> bool:
        paths = [self._written(reading)] if reading.bad else []
        load = self._load(reading)
        with self.warehouse.write() as session:
            is_new = reading.reading_id not in _known(session)
            if is_new:  # else another process was faster
                # The same file under other rules is judged again.
                evidence.forget_quarantine(session, load.channel_code, ENTITY, reading.content_hash)
                evidence.write_load(session, load)
                evidence.write_quarantine(session, load, paths, QUARANTINE_COLUMNS, reading.read_at)
        self.warehouse.forget_staged()
        for path in paths:
            path.unlink()
        return is_new

    def _written(self, reading: StoredReading) -> Path:
        path = self.folder / f"{reading.reading_id}.parquet"
        with pq.ParquetWriter(path, _SCHEMA) as writer:
            for faults in self.lists.faults(reading.reading_id):
                # Neither the row nor a key made of it: it holds an address.
                rows = [{**vars(each), "row_key": None, "raw_row": None} for each in faults]
                writer.write_table(pa.Table.from_pylist(rows, _SCHEMA))
        return path

    def _load(self, reading: StoredReading) -> Load:
        return Load(
            load_id=reading.reading_id,
            run_id=self.run_id,
            dag_id=self.dag_id,
            channel_code=channel_of(reading.list_code),
            entity=ENTITY,
            table_name="ops.outbox",
            delivery_name=reading.file,
            content_hash=reading.content_hash,
            delivered_at=reading.written_at,
            state="loaded" if reading.received else "empty",
            started_at=reading.read_at,
            ended_at=self.clock(),
            received_count=reading.received,
            loaded_count=reading.taken,
            duplicate_count=reading.duplicate,
            quarantined_count=reading.bad,
        )


def _known(session: Session) -> set[str]:
    return {row[0] for row in session.rows("SELECT load_id FROM ops.load WHERE entity = $entity", {"entity": ENTITY})}
