"""What reading a delivery gives: Parquet files of good rows and of quarantined ones, and counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path


@dataclass(frozen=True)
class Delivery:
    """One settled file of a channel. `content_hash`: SHA-256 of its bytes, hex."""

    channel_code: str
    entity: str
    path: Path
    content_hash: str
    size: int
    modified_ns: int

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def delivered_at(self) -> datetime:
        """When the file was last written: UTC without zone."""
        return datetime(1970, 1, 1) + timedelta(microseconds=self.modified_ns // 1000)


@dataclass(frozen=True)
class Parsed:
    """received = rows in `accepted` + duplicate + quarantined. Paths may be absent when empty."""

    accepted: tuple[Path, ...]
    quarantined: tuple[Path, ...]
    accepted_count: int
    received_count: int
    duplicate_count: int
    quarantined_count: int
    rule_counts: dict[str, int] = field(default_factory=dict)
    first_local_date: date | None = None
    last_local_date: date | None = None


@dataclass(frozen=True)
class Stamp:
    """The load that the rows of a delivery belong to, as a first version. `observed_at`: UTC without zone."""

    load_id: str
    observed_at: datetime

    def columns(self) -> str:
        """The select list of the columns version, change, load_id and observed_at."""
        load_id = self.load_id.replace("'", "''")
        return (
            "CAST(1 AS INTEGER) AS version, 'row' AS change, "
            f"'{load_id}' AS load_id, TIMESTAMP '{self.observed_at.isoformat(sep=' ')}' AS observed_at"
        )
