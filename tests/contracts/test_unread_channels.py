"""A channel that cannot be read: on record until it can, whatever becomes of the run, on both engines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from deliveries import Line
from test_store import LINE_ENTITY, START, File, parsed, store  # noqa: F401

from caravan.core.errors import Fault, Misconfigured, Rejected, Retryable
from caravan.core.scope import RunScope
from caravan.core.window import Window
from caravan.functions.sales import orders
from caravan.reporting.operations import Expected, Operations, read_operations
from caravan.warehouse import watched
from caravan.warehouse.evidence import insert
from caravan.warehouse.store import Store

CHANNEL: Any = SimpleNamespace(
    code="shop",
    entities={LINE_ENTITY: SimpleNamespace(key="natural")},
    is_complete=lambda entity: False,
    max_deleted_share=Decimal(1),
    is_asked=False,
)
OUTAGE = Retryable("connection shop: answered 500")


class OutOfTime(BaseException):
    """As Airflow's own, when a task's time is up."""


@dataclass
class Folder:
    """An inbox with files, which may not be reached (`away`) or not be read (`broken`)."""

    files: dict[str, Any] = field(default_factory=dict)
    away: BaseException | None = None
    broken: BaseException | None = None

    def deliveries(self) -> list[File]:
        if self.away:
            raise self.away
        return [File(name, name) for name in self.files]

    def waiting(self) -> dict[str, str]:
        return {}

    def refused(self, delivery: File) -> None:
        return None

    def parse(self, delivery: File, load_id: str, observed_at: Any) -> Any:
        if self.broken:
            raise self.broken
        return self.files[delivery.name]

    def discard(self, delivery: File) -> None:
        pass


@pytest.fixture
def collect(store: Store) -> Callable[..., None]:  # noqa: F811
    def run(folder: Folder, run_id: str = "run1", *, dry_run: bool = False) -> None:
        scope = RunScope(run_id, "dag", Window(START, START.replace(day=2)), dry_run=dry_run)
        orders.collect(scope, CHANNEL, {LINE_ENTITY: folder}, store, store._clock)  # type: ignore[dict-item]

    return run


def report(store: Store) -> Operations:  # noqa: F811
    with store.warehouse.read() as session:
        return read_operations(session, START.replace(day=3), Expected({"shop": START.replace(day=5) - START}))


def states(store: Store) -> list[str]:  # noqa: F811
    with store.warehouse.read() as session:
        return [row[0] for row in session.rows("SELECT state FROM ops.load ORDER BY started_at")]


def is_unread(store: Store) -> bool:  # noqa: F811
    return bool(report(store).unread)


@pytest.mark.parametrize(
    "error", [OUTAGE, Misconfigured([Fault("shop", "no login")]), OSError("no route"), OutOfTime()]
)
@pytest.mark.parametrize("where", ["away", "broken"])
def test_whatever_keeps_a_channel_from_being_read_is_on_record(store, parsed, collect, error, where):  # noqa: F811
    collect(Folder({"a": parsed(Line("a", 1))}))
    assert not is_unread(store)
    with pytest.raises(type(error)):
        collect(Folder({"a": parsed(Line("a", 1)), "b": parsed(Line("b", 1))}, **{where: error}), "run2")
    assert states(store) == ["loaded", "failed"]
    assert is_unread(store)


def interrupted_query() -> RuntimeError:
    """As DuckDB says it, when Ctrl-C meets a running query."""
    error = RuntimeError("Query interrupted")
    error.__cause__ = KeyboardInterrupt()
    return error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(143), interrupted_query()])
def test_who_stops_a_run_knows_it(store, collect, error):  # noqa: F811
    with pytest.raises(type(error)):
        collect(Folder(away=error))
    assert states(store) == []


def test_a_dry_run_records_nothing(store, collect):  # noqa: F811
    with pytest.raises(Retryable):
        collect(Folder(away=OUTAGE), dry_run=True)
    assert states(store) == []


def test_it_is_over_when_the_channel_has_been_read_though_nothing_new_was_there(store, parsed, collect):  # noqa: F811
    folder = Folder({"a": parsed(Line("a", 1))})
    collect(folder)
    for run_id, away in (("run2", OUTAGE), ("run2", OUTAGE)):  # tried again in the same run
        folder.away = away
        with pytest.raises(Retryable):
            collect(folder, run_id)
        assert is_unread(store)
    folder.away = None
    collect(folder, "run3")
    assert states(store) == ["loaded", "failed", "failed", "idle"]
    assert not is_unread(store)
    collect(folder, "run4")
    assert states(store)[4:] == [], "said once"


def test_the_run_names_the_channel_until_a_try_has_read_it(store, parsed, collect):  # noqa: F811
    store.start_run("run1", None, "config")
    folder = Folder({"a": parsed(Line("a", 1))}, broken=OUTAGE)
    with pytest.raises(Retryable):
        collect(folder)
    assert store.failures("run1") == [f"shop {LINE_ENTITY}: not read: {OUTAGE}"]
    assert store.failures("run2") == []
    folder.broken = None
    collect(folder)
    assert store.failures("run1") == []


def test_the_next_try_of_the_run_that_is_killed_leaves_it_unread(store, collect):  # noqa: F811
    for error in (OUTAGE, SystemExit(143)):
        with pytest.raises(type(error)):
            collect(Folder(away=error))
    assert is_unread(store)


def test_a_refusal_beside_it_is_shown_too(store, parsed, collect):  # noqa: F811
    refusal = Rejected("DATE_MISSING", "no date")
    with pytest.raises(Rejected):
        collect(Folder(away=refusal))
    assert not is_unread(store)
    assert [row.reason_code for row in report(store).refused] == ["DATE_MISSING"]
    with pytest.raises(Retryable):
        collect(Folder(away=OUTAGE), "run2")
    assert is_unread(store)
    assert [row.reason_code for row in report(store).refused] == ["DATE_MISSING"]
    collect(Folder({"a": parsed(Line("a", 1))}), "run3")
    assert not is_unread(store)
    assert report(store).refused == (), "read since"


def test_what_cannot_be_recorded_hides_nothing(store, collect, monkeypatch):  # noqa: F811
    def fail(*given: Any) -> None:
        raise RuntimeError("no room")

    monkeypatch.setattr(Store, "note_failed", fail)
    with pytest.raises(Retryable, match="answered 500"):
        collect(Folder(away=OUTAGE))


def test_a_run_that_could_not_ask_has_asked_nobody(store, collect):  # noqa: F811
    run = {"run_id": "scheduled__1", "dag_id": "dag", "started_at": START, "ended_at": START, "state": "failed"}
    with store.warehouse.write() as session:
        insert(session, "ops.run", run | {"message": "task collect (1 of 1): its log says why"})
    with pytest.raises(Retryable):
        collect(Folder(away=OUTAGE), "scheduled__1")
    with store.warehouse.read() as session:
        assert watched.last_run_day(session, "dag", ["collect"]) is None
