"""The store: every delivery leaves its evidence, once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest
from deliveries import LINES, OBSERVED, Bad, Line, day, write_parquet, write_quarantined
from places import table_rows
from small_models import FCT, STG, write_models

from caravan import INCLUDE_DIR
from caravan.assembly.warehouse import open_store
from caravan.config import loader
from caravan.config.settings import Settings
from caravan.core.errors import Rejected
from caravan.core.window import DayRange, Window
from caravan.warehouse.raw_tables import RAW
from caravan.warehouse.store import Store

START = datetime(2026, 3, 1, 6)
LINE_ENTITY = "order_line"
A, B, C = Line("a", 1, "10"), Line("b", 2, "11"), Line("c", 3, "12")


@dataclass(frozen=True)
class File:
    name: str
    content_hash: str
    delivered_at: datetime = OBSERVED


@dataclass(frozen=True)
class Rows:
    accepted: tuple[Path, ...] = ()
    quarantined: tuple[Path, ...] = ()
    accepted_count: int = 0
    received_count: int = 0
    duplicate_count: int = 0
    quarantined_count: int = 0
    rule_counts: dict[str, int] = field(default_factory=dict)
    first_local_date: object = None
    last_local_date: object = None


class Clock:
    def __init__(self):
        self.now = START

    def __call__(self):
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
def store(warehouse, tmp_path):
    return Store(warehouse, write_models(tmp_path / "sql"), "dag", {"base_currency": "EUR"}, "revision", Clock())


@pytest.fixture
def parsed(tmp_path):
    def parse(*lines: Line, bad: tuple[Bad, ...] = (), duplicates: int = 0, **changes) -> Rows:
        load_id = uuid4().hex
        accepted = [write_parquet(tmp_path / f"{load_id}.parquet", lines, load_id=load_id)] if lines else []
        quarantined = []
        if bad:
            quarantined = [write_quarantined(tmp_path / f"{load_id}-bad.parquet", bad)]
        days = sorted(line.values()["order_local_date"] for line in lines)
        rows = Rows(
            tuple(accepted),
            tuple(quarantined),
            accepted_count=len(lines),
            received_count=len(lines) + len(bad) + duplicates,
            duplicate_count=duplicates,
            quarantined_count=len(bad),
            first_local_date=days[0] if days else None,
            last_local_date=days[-1] if days else None,
        )
        return replace(rows, **changes)

    return parse


def load(store, parsed, content="hash1", run_id="run1", complete=False, share="1"):
    load_id = parsed.accepted[0].stem if parsed.accepted else uuid4().hex
    return store.load(
        run_id,
        load_id,
        "shop",
        LINE_ENTITY,
        File(f"{content}.csv", content),
        parsed,
        complete=complete,
        max_deleted_share=Decimal(share),
        started_at=START,
    )


COUNTS = ("received_count", "loaded_count", "unchanged_count", "duplicate_count", "quarantined_count")


def noted(store, *columns):
    return table_rows(store.warehouse, "ops.load", columns)


def test_a_delivery_is_loaded_once_and_reconciles(store, parsed):
    rows = parsed(
        A,
        B,
        bad=(Bad(raw='{"amount": "x"}'), Bad(raw='{"amount": "it\'s\\n"}')),
        duplicates=3,
        rule_counts={"postage": 2},
    )
    counts = load(store, rows)
    assert [getattr(counts, name) for name in COUNTS] == [7, 2, 0, 3, 2]
    assert noted(store, "run_id", "channel_code", "entity", "delivery_name", "state", *COUNTS) == [
        ("run1", "shop", LINE_ENTITY, "hash1.csv", "loaded", 7, 2, 0, 3, 2)
    ]
    assert noted(store, "first_local_date", "last_local_date", "started_at", "ended_at") == [
        (day(1), day(2), START, START + timedelta(seconds=1))
    ]
    assert table_rows(store.warehouse, "ops.load_rule", ["rule_name", "row_count"]) == [("postage", 2)]
    columns = ("channel_code", "entity", "file_name", "row_number", "reason_code", "message", "raw_row")
    assert table_rows(store.warehouse, "ops.quarantine", columns) == [
        ("shop", LINE_ENTITY, "hash1.csv", 1, "NOT_A_NUMBER", None, '{"amount": "x"}'),
        ("shop", LINE_ENTITY, "hash1.csv", 2, "NOT_A_NUMBER", None, '{"amount": "it\'s\\n"}'),
    ]
    assert store.known_content("shop", LINE_ENTITY) == {"hash1": {"hash1.csv"}}
    assert store.known_content("shop", "order") == store.known_content("other", LINE_ENTITY) == {}


def test_the_same_content_again_is_none_and_leaves_nothing(store, parsed):
    load(store, parsed(A, B))
    before = [table_rows(store.warehouse, name) for name in (LINES.name, "ops.load", "ops.dirty_slice")]
    assert load(store, parsed(A.but(amount="99"), C), run_id="run2") is None
    assert [table_rows(store.warehouse, name) for name in (LINES.name, "ops.load", "ops.dirty_slice")] == before


def test_other_content_with_known_rows_is_unchanged(store, parsed):
    load(store, parsed(A, B))
    counts = load(store, parsed(A, B.but(amount="15"), C), "hash2")
    assert [getattr(counts, name) for name in COUNTS] == [3, 2, 1, 0, 0]


@pytest.mark.parametrize(
    ("lines", "bad", "state"), [((), (), "empty"), ((), (Bad(),), "loaded"), ((A,), (), "loaded")], ids=str
)
def test_the_state_of_a_load(store, parsed, lines, bad, state):
    load(store, parsed(*lines, bad=bad))
    assert noted(store, "state", "received_count") == [(state, len(lines) + len(bad))]
    assert load(store, parsed(*lines, bad=bad)) is None


@pytest.mark.parametrize("change", [{"received_count": 4}, {"duplicate_count": 1}, {"quarantined_count": 2}], ids=str)
def test_counts_that_do_not_add_up_stop_the_load(store, parsed, change):
    with pytest.raises(ValueError, match="does not reconcile: received"):
        load(store, parsed(A, B, bad=(Bad(),), **change))
    assert noted(store, "state") == table_rows(store.warehouse, LINES.name) == []


def test_a_cut_off_delivery_leaves_nothing_and_may_come_again(store, parsed):
    load(store, parsed(A, B, C), complete=True)
    with pytest.raises(Rejected) as caught:
        load(store, parsed(A, bad=(Bad(),)), "hash2", complete=True, share="0.5")
    assert caught.value.code == "DELIVERY_CUT_OFF"
    assert noted(store, "content_hash") == [("hash1",)]
    assert table_rows(store.warehouse, "ops.quarantine") == []
    assert load(store, parsed(A, bad=(Bad(),)), "hash2", complete=True, share="0.7").deleted_count == 2


def test_refused_and_missing_deliveries_are_noted_and_may_come_again(store, parsed):
    store.start_run("run1", None, "config")
    store.refuse("run1", "shop", LINE_ENTITY, "bad.gz", Rejected("GZIP_TRUNCATED", "ends early"), store._clock())
    store.refuse("run1", "shop", "order", None, Rejected("NO_FOLDER", "is not there"), store._clock())
    store.note_missing("run1", "other", LINE_ENTITY, store._clock())
    assert noted(store, "channel_code", "entity", "delivery_name", "state", "reason_code", "message") == [
        ("other", LINE_ENTITY, None, "missing", None, "no file was there"),
        ("shop", "order", None, "refused", "NO_FOLDER", "is not there"),
        ("shop", LINE_ENTITY, "bad.gz", "refused", "GZIP_TRUNCATED", "ends early"),
    ]
    assert store.failures("run1") == [
        "shop order_line bad.gz: GZIP_TRUNCATED: ends early",
        "shop order: NO_FOLDER: is not there",
    ]
    assert store.failures("run2") == []
    assert store.known_content("shop", LINE_ENTITY) == {}
    assert load(store, parsed(A), "bad.gz") is not None


def test_failures_name_checks_too_and_a_cleared_run_starts_with_none(store, parsed):
    store._clock = lambda: datetime.now(UTC).replace(tzinfo=None)  # the runner's
    days = DayRange(day(1), day(4))
    store.start_run("run1", Window.of_days(day(1), day(4)), "config")
    load(store, parsed(A, B.but(amount="-1")))
    store.build("run1", "small", ("stg", "fct"), days)
    assert [line.split(" ")[0:2] for line in store.failures("run1")] == [[STG, "amount_not_negative"]]
    assert str(day(2)) in store.failures("run1")[0] and "shop" in store.failures("run1")[0]
    assert store.standing_blocks("run1", "small") == store.standing_blocks("run2", "other") == []
    (standing,) = store.standing_blocks("run2", "small")
    assert standing.startswith(f"{STG} {day(2)} shop, since ") and "amount_not_negative" in standing
    # Cleared and run again after the file was mended, under the same id.
    store.start_run("run1", Window.of_days(day(1), day(4)), "config")
    load(store, parsed(B), "hash2")
    store.build("run1", "small", ("stg", "fct"), days)
    assert store.failures("run1") == []


def test_a_run_is_opened_and_closed_and_a_cleared_one_replaces_itself(store):
    for _ in range(2):
        store.start_run("run1", Window.of_days(day(1), day(2)), "config")
    store.end_run("run1", "success", "all well")
    assert table_rows(store.warehouse, "ops.run") == [
        ("run1", "dag", datetime(2026, 2, 2), datetime(2026, 2, 3), "revision", "config",
         START + timedelta(seconds=2), START + timedelta(seconds=3), "success", "all well")
    ]  # fmt: skip


def test_reference_rows_are_kept_as_given(store):
    key = ("market_code",)

    def rows(*codes):
        nothing = dict.fromkeys(RAW["raw.config__market"].columns)
        return [nothing | {"market_code": code, "name": f"the {code}", "zone": "UTC"} for code in codes]

    def put(*codes, run_id):
        store.put_reference("raw.config__market", rows(*codes), key, run_id)
        return table_rows(store.warehouse, "raw.config__market", ["market_code", "version", "change"])

    assert put("DE", "FR", run_id="1") == [("DE", 1, "row"), ("FR", 1, "row")]
    assert put("FR", "DE", run_id="2") == [("DE", 1, "row"), ("FR", 1, "row")]
    assert put("DE", run_id="3") == [("DE", 1, "row"), ("FR", 1, "row")], "what facts may refer to stays"
    assert ("JP", 1, "row") in put("JP", run_id="4")


def test_shared_and_reporting_models_can_be_drained_before_anything_was_loaded(store, parsed):
    assert store.drain("run1") is not None
    load(store, parsed(A))
    store.build("run2", "small", ("stg", "int", "fct"), None)
    assert {build.model for build in store.drain("run3")} >= {"mart.rpt_small__week"}
    assert len(table_rows(store.warehouse, FCT)) == 1
    assert store.pending("small", ("stg", "fct"), None) == {}


def test_a_process_reads_the_models_once(new_place, tmp_path):
    settings = Settings(tmp_path / "home", INCLUDE_DIR / "config", f"lake://{new_place('lake').root}")
    configuration = loader.load(settings.config_dir)
    catalogs = []
    for _ in range(2):
        with open_store(settings, configuration, "dag", dry_run=True) as opened:
            catalogs.append(opened.catalog)
    assert catalogs[0] is catalogs[1]
