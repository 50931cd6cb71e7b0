"""What functions need from clients and the warehouse, and nothing else about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from caravan.core.errors import Rejected
from caravan.core.pulls import Pull
from caravan.core.window import DayRange, Window

Layer = Literal["stg", "int", "dim", "fct", "rpt"]
"""Of models, in the order in which they stand on each other."""


class Delivery(Protocol):
    """Something a channel handed over, known by its content."""

    @property
    def name(self) -> str: ...
    @property
    def content_hash(self) -> str: ...
    @property
    def delivered_at(self) -> datetime:
        """When the sender wrote it: UTC without zone. What orders deliveries."""
        ...


D = TypeVar("D", bound=Delivery)


class Parsed(Protocol):
    """A delivery as typed rows in Parquet files: received = accepted + duplicate + quarantined."""

    @property
    def accepted(self) -> Sequence[Path]: ...
    @property
    def quarantined(self) -> Sequence[Path]: ...
    @property
    def accepted_count(self) -> int: ...
    @property
    def received_count(self) -> int: ...
    @property
    def duplicate_count(self) -> int: ...
    @property
    def quarantined_count(self) -> int: ...
    @property
    def rule_counts(self) -> Mapping[str, int]: ...
    @property
    def first_local_date(self) -> date | None: ...
    @property
    def last_local_date(self) -> date | None: ...


class Inbox(Protocol[D]):
    """One entity's deliveries of one channel."""

    def deliveries(self) -> Sequence[D]:
        """What is there and complete, oldest first. Raises Rejected when the place itself is missing."""
        ...

    def waiting(self) -> Mapping[str, str]:
        """What is there but not read now: name to reason."""
        ...

    def refused(self, delivery: D) -> Rejected | None:
        """Why the delivery is not to be read, known without reading it."""
        ...

    def parse(self, delivery: D, load_id: str, observed_at: datetime) -> Parsed:
        """Its rows, stamped with the load. Raises Rejected when the delivery as a whole cannot be read."""
        ...

    def discard(self, delivery: D) -> None:
        """Delete what `parse` left in scratch space."""
        ...


class ChangeSource(Protocol):
    """A service that is asked what has changed."""

    def pull(self, since: datetime | None, folder: Path) -> Pull:
        """Everything changed since then, written below `folder`; what changed shortly before may come again.

        `since`: `delivered_at` of the newest pull loaded (UTC without zone); None for all there is. Nothing is kept
        between two pulls. Raises Retryable, Rejected, Misconfigured; what lies in `folder` then is not to be read.
        """
        ...


class LoadCounts(Protocol):
    """What became of a delivery's rows: received = loaded + unchanged + duplicate + quarantined."""

    @property
    def received_count(self) -> int: ...
    @property
    def loaded_count(self) -> int: ...
    @property
    def unchanged_count(self) -> int: ...
    @property
    def duplicate_count(self) -> int: ...
    @property
    def quarantined_count(self) -> int: ...
    @property
    def deleted_count(self) -> int: ...


class BuildCounts(Protocol):
    @property
    def model(self) -> str: ...
    @property
    def row_count(self) -> int: ...


class OrderStore(Protocol):
    """The warehouse as the sales function uses it."""

    def start_run(self, run_id: str, window: Window | None, config_hash: str) -> None: ...

    def end_run(self, run_id: str, state: str, message: str) -> None: ...

    def put_reference(self, table: str, rows: Sequence[Mapping[str, object]], key: Sequence[str], run_id: str) -> None:
        """Bring a small reference table up to date; what changed becomes new versions. A row that is no longer
        given stays: facts may refer to it."""
        ...

    def known_content(self, channel_code: str, entity: str) -> Mapping[str, set[str]]:
        """Hash of each delivery read, to the names under which it came."""
        ...

    def newest_delivery(self, channel_code: str, entity: str) -> tuple[datetime, str, str] | None:
        """Time, name and hash of the newest delivery read."""
        ...

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
    ) -> LoadCounts | None:
        """Append a delivery in one transaction; None when changes were loaded before, unless `reload`.

        `has_keys`: whether a row keeps its key when its content changes. `is_current`: it says how its rows are now,
        so that with `reload` what a rule sets aside is out, whatever brought it. `restates`: the names of deliveries
        whose truth it is now, its own among them; rows of theirs that it lacks are gone. `covers`: the part of the
        channel that the delivery is all of, as the table's scope column has it; the whole channel when absent.
        Raises Rejected when a complete delivery is cut off.
        """
        ...

    def retry(self, run_id: str, channel_code: str) -> None:
        """The channel is collected again in the same run: forget what an earlier attempt refused."""
        ...

    def refuse(
        self, run_id: str, channel_code: str, entity: str, delivery_name: str | None, error: Rejected, at: datetime
    ) -> None: ...

    def note_missing(
        self, run_id: str, channel_code: str, entity: str, at: datetime, message: str = "no file was there"
    ) -> None:
        """Nothing could be read, and that is no failure: it is told."""
        ...

    def note_failed(self, run_id: str, channel_code: str, entity: str, at: datetime, message: str) -> None:
        """The channel could not be read, for a reason that lies in no delivery."""
        ...

    def note_read(self, run_id: str, channel_code: str, entity: str, at: datetime) -> None:
        """The channel could be read. Noted if it could not be before, and nothing that came since says so."""
        ...

    def build(
        self, run_id: str, function: str, layers: Sequence[Layer], days: DayRange | None
    ) -> Sequence[BuildCounts]: ...

    def pending(self, function: str, layers: Sequence[Layer], days: DayRange | None) -> Mapping[str, Sequence[str]]: ...

    def validate(self, run_id: str, function: str, days: DayRange) -> Mapping[str, int]:
        """Distribution checks over the slices a run has staged; counts by outcome."""
        ...

    def unvalidated(self, function: str) -> int:
        """How many staged slices wait to be judged."""
        ...

    def failures(self, run_id: str) -> Sequence[str]:
        """What failed in this run, a line each."""
        ...

    def standing_blocks(self, run_id: str, function: str) -> Sequence[str]:
        """Slices that keep old rows because of a check in another run, a line each."""
        ...
