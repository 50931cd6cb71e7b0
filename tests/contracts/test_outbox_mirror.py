"""ops.outbox has what the outbox has, each message once, whatever was cut off; and the models follow it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from places import LakePlace, Place, table_rows

from caravan import SQL_DIR
from caravan.core.outbox import Accepted, Intention, Key, Refused, Unknown
from caravan.warehouse.catalog import Catalog, load_models
from caravan.warehouse.ledger import FILE, Ledger, PostgresLedger, SqliteLedger
from caravan.warehouse.outbox import StoredOutbox
from caravan.warehouse.outbox_mirror import OutboxMirror
from caravan.warehouse.port import Warehouse
from caravan.warehouse.raw_tables import OUTBOX
from caravan.warehouse.store import Store

NOW = datetime(2026, 11, 25, 8, 30)
DAY = date(2026, 11, 25)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
CONSTANTS = {"base_currency": "EUR", "fx_max_carry_days": "7", "fx_max_source_difference": "0.01"}


class Killed(BaseException):
    pass


def intention(name: str, planned_for: datetime = NOW) -> Intention:
    return Intention(
        Key("release", "autumn", 1, "letter", f"{name}@example.com"),
        planned_for,
        planned_for + HOUR,
        "c0ffee",
        market_code="DE",
        locale="de-DE",
        purpose="marketing_email",
        subject=f"k1.subject-of-{name}",
        payload={"first_name": f"Frau {name}"},
    )


class Case:
    """An outbox beside a warehouse, as one installation has them."""

    def __init__(self, place: Place, folder: Path, catalog: Catalog) -> None:
        self.place, self.folder, self.catalog = place, folder, catalog
        self.ledgers: list[Ledger] = []
        self.outbox = self.open_outbox(FILE)
        self.warehouse = place.open()
        self.mirror_count = 0

    def open_outbox(self, name: str) -> StoredOutbox:
        """Of another name where the place is a lake: as if it came from somewhere else."""
        is_lake = isinstance(self.place, LakePlace)
        self.ledgers.append(SqliteLedger(self.folder / name) if is_lake else PostgresLedger(self.place.dsn))
        return StoredOutbox(self.ledgers[-1])

    def mirror(self, warehouse: Warehouse | None = None, batch: int = 3) -> OutboxMirror:
        """As another process has it: with a folder of its own."""
        self.mirror_count += 1
        (folder := self.folder / f"mirror{self.mirror_count}").mkdir()
        return OutboxMirror(warehouse or self.warehouse, self.catalog, self.outbox, folder, lambda: NOW + HOUR, batch)

    def copied(self, *columns: str) -> list:
        return table_rows(self.warehouse, "ops.outbox", columns or ("message_id", "state", "changed_seq"))

    def expected(self) -> list:
        rows = self.outbox.changes((0, ""), 1000)
        return sorted((row["message_id"], row["state"], row["changed_seq"]) for row in rows)

    def stale(self) -> list:
        return table_rows(self.warehouse, "ops.dirty_slice", ["model_name", "slice_date"])

    def build(self) -> dict[str, int]:
        store = Store(self.warehouse, self.catalog, "dag", CONSTANTS, "revision", lambda: NOW + HOUR)
        built = store.build("run", "release", ("stg", "dim", "fct", "rpt"), None)
        return {each.model: each.row_count for each in built}

    def send(self, *outcomes: object, now: datetime = NOW) -> None:
        found = self.outbox.claim("release", "letter", "worker", now, now + MINUTE, HOUR, len(outcomes))
        assert len(found) == len(outcomes)
        for message, outcome in zip(found, outcomes, strict=True):
            begun = self.outbox.begin(message, now)
            assert begun is not None
            assert self.outbox.record(begun, outcome, now + SECOND)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_models(SQL_DIR)


@pytest.fixture
def case(place: Place, tmp_path: Path, catalog: Catalog) -> Iterator[Case]:
    case = Case(place, tmp_path, catalog)
    yield case
    for ledger in case.ledgers:
        ledger.close()


def refusing(case: Case) -> Warehouse:
    return case.place.open(observer=lambda phase: pytest.fail(f"a write: {phase}"))


def test_an_empty_outbox_writes_nothing(case):
    assert case.mirror(refusing(case)).bring_up() == 0


def test_a_batch_that_ends_inside_a_plan_loses_none(case):
    assert case.outbox.plan([intention(f"n{number}") for number in range(8)], NOW, "me") == 8
    assert {row["changed_seq"] for row in case.outbox.changes((0, ""), 100)} == {1}, "one plan, one number"
    assert case.mirror(batch=3).bring_up() == 8
    assert case.copied() == case.expected()
    assert list(case.folder.glob("mirror*/*")) == []


def test_a_second_time_copies_nothing_and_writes_nothing(case):
    case.outbox.plan([intention("a"), intention("b")], NOW, "me")
    assert case.mirror().bring_up() == 2
    assert case.mirror(refusing(case)).bring_up() == 0


def test_what_changed_is_copied_over_what_was(case):
    case.outbox.plan([intention(name) for name in "abcd"], NOW, "me")
    case.mirror().bring_up()
    case.send(Accepted("4711"), Unknown("no answer"))
    assert case.mirror().bring_up() == 2
    assert case.copied() == case.expected()
    assert sorted(state for _, state, _ in case.copied()) == ["accepted", "planned", "planned", "unknown"]


@pytest.mark.parametrize("phase", ["in_transaction", "after_commit"])
@pytest.mark.parametrize("batch_number", [1, 2])
def test_killed_anywhere_the_next_one_goes_on(case, phase, batch_number):
    case.outbox.plan([intention(f"n{number}") for number in range(8)], NOW, "me")
    seen = []

    def die(now: str) -> None:
        seen.append(now)
        if now == phase and seen.count(phase) == batch_number:
            raise Killed

    dying = case.place.open(observer=die)
    with pytest.raises(Killed):
        case.mirror(dying).bring_up()
    dying.close()
    done = 3 * (batch_number if phase == "after_commit" else batch_number - 1)
    assert len(case.copied()) == done
    assert case.mirror().bring_up() == 8 - done
    assert case.copied() == case.expected()
    assert case.stale() == [("mart.fct_delivery", DAY)]


def test_of_two_at_once_one_copies_a_row(case):
    case.outbox.plan([intention(f"n{number}") for number in range(5)], NOW, "me")
    ahead = []

    def overtake(phase: str) -> None:
        if phase == "before_lock" and not ahead:
            ahead.append(0)
            ahead[0] = case.mirror().bring_up()

    assert case.mirror(case.place.open(observer=overtake)).bring_up() == 0
    assert ahead == [5]
    assert case.copied() == case.expected()


def test_nobody_s_address_name_or_pseudonym_comes_along(case):
    assert not {"target", "subject", "payload", "provider_id", "worker"} & set(OUTBOX.columns)
    case.outbox.plan([intention("anna"), intention("ben")], NOW, "me")
    said = "550 5.1.1 <Anna@Example.com> unknown, ask postmaster@mail.example.net about k1.subject-of-anna"
    (anna, ben) = sorted(case.outbox.find(), key=lambda each: each.key.target)
    case.outbox.claim("release", "letter", "worker", NOW, NOW + MINUTE, HOUR, 2)
    for message, reason in ((anna, said), (ben, "Ben@EXAMPLE.com, as he told bob@example.org")):
        mine = case.outbox.get(message.message_id)
        case.outbox.skip(mine, reason, NOW)
    case.mirror().bring_up()
    reasons = sorted(row[0] for row in case.copied("reason"))
    assert reasons == [
        "(address), as he told (address)",
        "550 5.1.1 <(address)> unknown, ask (address) about (address)",
    ]
    everything = str(case.copied("*")).lower()
    assert not [word for word in ("@", "anna", "ben", "subject", "frau", "4711") if word in everything]


def test_a_page_s_locale_stays_in_a_reason(case):
    page = Intention(Key("release", "autumn", 1, "site", "de-DE"), NOW, NOW + HOUR, "c0ffee")
    case.outbox.plan([page], NOW, "me")
    case.outbox.cancel("release", "autumn", 1, "de-DE is to be translated anew", NOW, "Maria")
    case.mirror().bring_up()
    assert case.copied("reason", "locale") == [("de-DE is to be translated anew", None)]


def test_the_facts_follow_and_only_the_days_that_changed(case):
    case.outbox.plan([intention("a"), intention("b"), intention("c", NOW + 48 * HOUR)], NOW, "me")
    case.mirror().bring_up()
    assert case.stale() == [("mart.fct_delivery", DAY), ("mart.fct_delivery", DAY + timedelta(days=2))]
    others = {"stg.config__release": 0, "stg.release__link": 0, "mart.dim_release": 0, "mart.dim_release_link": 0}
    assert case.build() == others | {"mart.fct_delivery": 3, "mart.fct_release": 1, "mart.rpt_release__on_time": 2}
    case.send(Accepted(), Refused("no such user"), now=NOW + 30 * SECOND)
    case.mirror().bring_up()
    assert case.stale() == [("mart.fct_delivery", DAY)]
    assert case.build() == {"mart.fct_delivery": 2, "mart.fct_release": 1, "mart.rpt_release__on_time": 1}
    columns = [
        "release_id",
        "message_count",
        "planned_count",
        "accepted_count",
        "rejected_count",
        "first_handed_over_at",
    ]
    assert table_rows(case.warehouse, "mart.fct_release", columns) == [("autumn", 3, 1, 1, 1, NOW + 30 * SECOND)]
    columns = ["planned_date", "due_count", "on_time_count", "on_time_share", "max_lateness_seconds"]
    on_time = table_rows(case.warehouse, "mart.rpt_release__on_time", columns)
    assert on_time == [(DAY, 1, 1, 1, 30), (DAY + timedelta(days=2), 0, 0, None, None)]
    assert case.build() == {}, "nothing changed"
    assert case.stale() == []


def test_an_outbox_from_an_older_backup_is_copied_anew(case):
    """Its log gives the same numbers to other changes; what it does not know of is gone."""
    case.outbox.plan([intention("a"), intention("b", NOW + 24 * HOUR)], NOW, "me")
    case.send(Accepted())
    case.mirror().bring_up()
    case.build()
    if isinstance(case.place, LakePlace):
        case.outbox = case.open_outbox("restored.sqlite")
    else:
        with case.ledgers[0].write() as transaction:
            transaction.rows("DELETE FROM outbox_message")
            transaction.rows("DELETE FROM outbox_event")
    restored_at = NOW + 2 * HOUR
    case.outbox.plan([intention("a")], restored_at, "me")
    for step in range(4):
        case.outbox.plan([intention(f"new{step}")], restored_at, "me")
    assert case.mirror().bring_up() == 5
    assert case.copied() == case.expected()
    assert case.stale() == [("mart.fct_delivery", DAY), ("mart.fct_delivery", DAY + timedelta(days=1))]
    assert case.build() == {"mart.fct_delivery": 5, "mart.fct_release": 1, "mart.rpt_release__on_time": 1}
    assert table_rows(case.warehouse, "mart.fct_release", ["message_count", "accepted_count"]) == [(5, 0)]
