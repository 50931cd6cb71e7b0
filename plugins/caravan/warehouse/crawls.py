"""raw.crawl__*: what a crawl found, brought into the warehouse whole, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import pyarrow.parquet as pq

from caravan.warehouse import evidence, slices
from caravan.warehouse.catalog import Catalog
from caravan.warehouse.evidence import Load
from caravan.warehouse.port import Warehouse
from caravan.warehouse.raw_tables import CRAWLS

PREFIX = "raw.crawl__"
ENTITIES = tuple(name.removeprefix(PREFIX) for name in CRAWLS)


@dataclass(frozen=True)
class Crawl:
    """`crawl_id` begins with the moment at which it began; `day`: the UTC day of that moment."""

    site_code: str
    crawl_id: str
    day: date
    started_at: datetime
    ended_at: datetime
    content_hash: str


@dataclass(frozen=True)
class StoredCrawls:
    """`catalog`: the models that stand on them. `dag_id`, `run_id`: who loads."""

    warehouse: Warehouse
    catalog: Catalog
    dag_id: str
    run_id: str

    def put(self, crawl: Crawl, files: Mapping[str, Path], now: datetime) -> dict[str, int]:
        """Each of ENTITIES from a Parquet file with its table's columns; rows by entity. A crawl that is there already
        is replaced by itself: whoever is killed in between loads it again."""
        missing = [name for name in ENTITIES if name not in files]
        if missing:
            raise ValueError(f"crawl {crawl.crawl_id} of {crawl.site_code} lacks {missing}")
        counts = {name: int(pq.read_metadata(files[name]).num_rows) for name in ENTITIES}
        which = {"site": crawl.site_code, "crawl": crawl.crawl_id}
        with self.warehouse.write() as session:
            for name in ENTITIES:
                table = CRAWLS[PREFIX + name]
                session.execute(f"DELETE FROM {table.name} WHERE site_code = $site AND crawl_id = $crawl", which)
                session.append_staged(
                    table.name, list(table.columns), session.stage_parquet([files[name]], table.columns)
                )
                load = self._load(crawl, name, counts[name], now)
                session.execute("DELETE FROM ops.load WHERE load_id = $load", {"load": load.load_id})
                evidence.write_load(session, load)
                slices.bump_version(session, table.name)
                reason = f"{crawl.site_code} was crawled"
                slices.mark_consumers(session, self.catalog, table.name, [crawl.day], reason, now)
        return counts

    def _load(self, crawl: Crawl, entity: str, count: int, now: datetime) -> Load:
        return Load(
            load_id=f"{self.run_id}/{crawl.site_code}/{crawl.crawl_id}/{entity}",
            dag_id=self.dag_id,
            run_id=self.run_id,
            channel_code=f"site_{crawl.site_code}",
            entity=f"crawl_{entity}",
            table_name=PREFIX + entity,
            delivery_name=crawl.crawl_id,
            content_hash=crawl.content_hash,
            delivered_at=crawl.ended_at,
            state="loaded" if count else "empty",
            started_at=now,
            ended_at=now,
            received_count=count,
            loaded_count=count,
            first_local_date=crawl.day,
            last_local_date=crawl.day,
        )
