"""Appending deliveries to raw: only what is new, never over what is newer, and every day it touches."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest
from deliveries import LINES, Bad, Line, batch_of, day, deliver
from engines import slow_on_standing_lake
from places import table_rows

from caravan import SQL_DIR
from caravan.core.errors import Rejected
from caravan.warehouse import lake, raw
from caravan.warehouse.catalog import load_models

A, B, C = (Line(name, number) for number, name in enumerate("ABC", start=1))
EARLY, LATE = datetime(2026, 2, 10, 8), datetime(2026, 2, 10, 9)
STG = "stg.file_drop__order_line"


@pytest.fixture(scope="module")
def catalog():
    return load_models(SQL_DIR)


@pytest.fixture(scope="module")
def connections(standing_place):
    return standing_place.open(), standing_place.open()


@pytest.fixture
def warehouse(connections):
    with connections[0].write() as session:
        for table in (LINES.name, "ops.dirty_slice", "ops.table_version"):
            session.execute(f"DELETE FROM {table}")
    return connections[0]


@pytest.fixture
def two_rows_a_pass(monkeypatch):
    monkeypatch.setattr(raw, "ROWS_A_PASS", 2)


def history(warehouse):
    """Every version: order, day, version, change, amount."""
    columns = ("order_id", "order_local_date", "version", "change", "amount")
    with warehouse.read() as session:
        keys = {line.key: line.order for line in (A, B, C)}
        found = session.rows(f"SELECT row_key, {', '.join(columns[1:])} FROM {LINES.name}")
    named = [(keys[str(key)], when.toordinal() - day(0).toordinal(), *rest) for key, when, *rest in found]
    return sorted((*row[:4], None if row[4] is None else int(row[4])) for row in named)


def standing(warehouse):
    """What the staging model makes of it: order, day, amount."""
    with warehouse.read() as session:
        sql = load_models(SQL_DIR)[STG].sql.replace("$slice_start", "CAST('2000-01-01' AS DATE)")
        sql = sql.replace("$slice_end", "CAST('2100-01-01' AS DATE)")
        found = session.rows(f"SELECT q.order_id, q.order_local_date, q.amount FROM ({sql}) AS q")
    return sorted((order, when.toordinal() - day(0).toordinal(), int(amount)) for order, when, amount in found)


def dirty_days(warehouse, model=STG):
    with warehouse.read() as session:
        rows = session.rows("SELECT slice_date FROM ops.dirty_slice WHERE model_name = $m", {"m": model})
    return sorted(row[0].toordinal() - day(0).toordinal() for row in rows)


# name: deliveries, every version, what stands, counts of the last delivery, days of the last delivery
CASES = {
    "new rows": (
        [([A, B], {})],
        [("A", 1, 1, "row", 10), ("B", 2, 1, "row", 10)],
        [("A", 1, 10), ("B", 2, 10)],
        {"loaded": 2},
        [1, 2],
    ),
    "the same rows again": (
        [([A, B], {}), ([B, A], {})],
        [("A", 1, 1, "row", 10), ("B", 2, 1, "row", 10)],
        [("A", 1, 10), ("B", 2, 10)],
        {"unchanged": 2},
        [],
    ),
    "one changed, one new": (
        [([A, B], {}), ([A.but(amount="12"), B, C], {})],
        [("A", 1, 1, "row", 10), ("A", 1, 2, "row", 12), ("B", 2, 1, "row", 10), ("C", 3, 1, "row", 10)],
        [("A", 1, 12), ("B", 2, 10), ("C", 3, 10)],
        {"loaded": 2, "unchanged": 1},
        [1, 3],
    ),
    "changed and back again": (
        [([A], {}), ([A.but(amount="12")], {}), ([A], {})],
        [("A", 1, 1, "row", 10), ("A", 1, 2, "row", 12), ("A", 1, 3, "row", 10)],
        [("A", 1, 10)],
        {"loaded": 1},
        [1],
    ),
    "moved to another day": (
        [([A, B], {}), ([A.but(day=5)], {})],
        [("A", 1, 1, "row", 10), ("A", 1, 2, "moved", None), ("A", 5, 2, "row", 10), ("B", 2, 1, "row", 10)],
        [("A", 5, 10), ("B", 2, 10)],
        {"loaded": 1, "moved": 1},
        [1, 5],
    ),
    "moved twice and home": (
        [([A], {}), ([A.but(day=5)], {}), ([A.but(day=7)], {}), ([A], {})],
        [
            ("A", 1, 1, "row", 10),
            ("A", 1, 2, "moved", None),
            ("A", 1, 4, "row", 10),
            ("A", 5, 2, "row", 10),
            ("A", 5, 3, "moved", None),
            ("A", 7, 3, "row", 10),
            ("A", 7, 4, "moved", None),
        ],
        [("A", 1, 10)],
        {"loaded": 1, "moved": 1},
        [1, 7],
    ),
    "gone from a complete delivery": (
        [([A, B, C], {"complete": True}), ([A, C], {"complete": True})],
        [("A", 1, 1, "row", 10), ("B", 2, 1, "row", 10), ("B", 2, 2, "deleted", None), ("C", 3, 1, "row", 10)],
        [("A", 1, 10), ("C", 3, 10)],
        {"unchanged": 2, "deleted": 1},
        [2],
    ),
    "not gone from a delivery of changes": (
        [([A, B], {}), ([A.but(amount="12")], {})],
        [("A", 1, 1, "row", 10), ("A", 1, 2, "row", 12), ("B", 2, 1, "row", 10)],
        [("A", 1, 12), ("B", 2, 10)],
        {"loaded": 1},
        [1],
    ),
    "gone, and gone again": (
        [([A, B], {"complete": True}), ([A], {"complete": True}), ([A], {"complete": True})],
        [("A", 1, 1, "row", 10), ("B", 2, 1, "row", 10), ("B", 2, 2, "deleted", None)],
        [("A", 1, 10)],
        {"unchanged": 1},
        [],
    ),
    "gone and back, the same": (
        [([A, B], {"complete": True}), ([A], {"complete": True}), ([A, B], {"complete": True})],
        [
            ("A", 1, 1, "row", 10),
            ("B", 2, 1, "row", 10),
            ("B", 2, 2, "deleted", None),
            ("B", 2, 3, "row", 10),
        ],
        [("A", 1, 10), ("B", 2, 10)],
        {"loaded": 1, "unchanged": 1},
        [2],
    ),
    "gone and back on another day": (
        [([A, B], {"complete": True}), ([A], {"complete": True}), ([A, B.but(day=6)], {"complete": True})],
        [
            ("A", 1, 1, "row", 10),
            ("B", 2, 1, "row", 10),
            ("B", 2, 2, "deleted", None),
            ("B", 2, 3, "moved", None),
            ("B", 6, 3, "row", 10),
        ],
        [("A", 1, 10), ("B", 6, 10)],
        {"loaded": 1, "unchanged": 1, "moved": 1},
        [2, 6],
    ),
    "all gone, when that is allowed": (
        [([A], {"complete": True}), ([], {"complete": True})],
        [("A", 1, 1, "row", 10), ("A", 1, 2, "deleted", None)],
        [],
        {"deleted": 1},
        [1],
    ),
    "a faulty row of a complete delivery keeps its known version": (
        [
            ([A, B, C], {"complete": True}),
            ([A], {"complete": True, "quarantined": [Bad(B.key), Bad()]}),
        ],
        [("A", 1, 1, "row", 10), ("B", 2, 1, "row", 10), ("C", 3, 1, "row", 10), ("C", 3, 2, "deleted", None)],
        [("A", 1, 10), ("B", 2, 10)],
        {"unchanged": 1, "deleted": 1, "kept": 1},
        [3],
    ),
    "a row that a rule sets aside keeps its known version too": (
        [([A, B], {"complete": True}), ([A], {"complete": True, "quarantined": [Bad(B.key, "RULE_TEST")]})],
        [("A", 1, 1, "row", 10), ("B", 2, 1, "row", 10)],
        [("A", 1, 10), ("B", 2, 10)],
        {"unchanged": 1, "kept": 1},
        [],
    ),
    "read again, what a new rule sets aside is out, and no sign of a cut-off file": (
        [
            ([A, B, C], {"complete": True}),
            (
                [A],
                {
                    "complete": True,
                    "reload": True,
                    "max_deleted_share": "0",
                    "quarantined": [Bad(B.key, "RULE_TEST"), Bad(C.key), Bad("0" * 32, "RULE_TEST")],
                },
            ),
        ],
        [("A", 1, 1, "row", 10), ("B", 2, 1, "row", 10), ("B", 2, 2, "deleted", None), ("C", 3, 1, "row", 10)],
        [("A", 1, 10), ("C", 3, 10)],
        {"unchanged": 1, "deleted": 1, "kept": 1},
        [2],
    ),
    "changes read again take out only what they brought": (
        [
            ([A, B], {"load_id": "l1"}),
            ([C], {}),
            (
                [A],
                {
                    "supersedes": ["l1"],
                    "reload": True,
                    "quarantined": [Bad(B.key, "RULE_TEST"), Bad(C.key, "RULE_TEST")],
                },
            ),
        ],
        [("A", 1, 1, "row", 10), ("B", 2, 1, "row", 10), ("B", 2, 2, "deleted", None), ("C", 3, 1, "row", 10)],
        [("A", 1, 10), ("C", 3, 10)],
        {"unchanged": 1, "deleted": 1, "kept": 1},
        [2],
    ),
    "a key with a good row, a faulty one and a ruled-out one is delivered": (
        [([A, B], {}), ([A], {"quarantined": [Bad(A.key, "RULE_TEST"), Bad(B.key, "RULE_TEST"), Bad(B.key)]})],
        [("A", 1, 1, "row", 10), ("B", 2, 1, "row", 10)],
        [("A", 1, 10), ("B", 2, 10)],
        {"unchanged": 1, "kept": 1},
        [],
    ),
    "read again, it replaces what it brought before and nothing else": (
        [([A, B], {"load_id": "l1"}), ([C], {}), ([A], {"supersedes": ["l1"]})],
        [("A", 1, 1, "row", 10), ("B", 2, 1, "row", 10), ("B", 2, 2, "deleted", None), ("C", 3, 1, "row", 10)],
        [("A", 1, 10), ("C", 3, 10)],
        {"unchanged": 1, "deleted": 1},
        [2],
    ),
    "read again, it leaves alone what a later delivery replaced": (
        [([A, B], {"load_id": "l1"}), ([B.but(amount="12")], {}), ([A], {"supersedes": ["l1"]})],
        [("A", 1, 1, "row", 10), ("B", 2, 1, "row", 10), ("B", 2, 2, "row", 12)],
        [("A", 1, 10), ("B", 2, 12)],
        {"unchanged": 1},
        [],
    ),
    "an older version arrives late": (
        [([A.but(updated=LATE, amount="12"), B], {}), ([A.but(updated=EARLY), B, C], {})],
        [("A", 1, 1, "row", 12), ("B", 2, 1, "row", 10), ("C", 3, 1, "row", 10)],
        [("A", 1, 12), ("B", 2, 10), ("C", 3, 10)],
        {"loaded": 1, "unchanged": 2, "stale": 1},
        [3],
    ),
    "an older version on another day arrives late": (
        [([A.but(updated=LATE)], {}), ([A.but(updated=EARLY, day=4)], {})],
        [("A", 1, 1, "row", 10)],
        [("A", 1, 10)],
        {"unchanged": 1, "stale": 1},
        [],
    ),
    "the same moment, seen later": (
        [([A.but(updated=EARLY)], {}), ([A.but(updated=EARLY, amount="12")], {})],
        [("A", 1, 1, "row", 10), ("A", 1, 2, "row", 12)],
        [("A", 1, 12)],
        {"loaded": 1},
        [1],
    ),
    "a late old version is no deletion": (
        [([A.but(updated=LATE), B], {"complete": True}), ([A.but(updated=EARLY), B], {"complete": True})],
        [("A", 1, 1, "row", 10), ("B", 2, 1, "row", 10)],
        [("A", 1, 10), ("B", 2, 10)],
        {"unchanged": 2, "stale": 1},
        [],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_a_delivery_leaves(warehouse, catalog, tmp_path, case):
    look_at(case, warehouse, catalog, tmp_path)


SEVERAL = ("one ", "gone", "moved", "again", "faulty")


@slow_on_standing_lake
@pytest.mark.parametrize("case", [name for name in CASES if any(word in name for word in SEVERAL)])
def test_it_leaves_the_same_when_keys_are_compared_in_several_passes(
    warehouse, catalog, tmp_path, two_rows_a_pass, case
):
    look_at(case, warehouse, catalog, tmp_path)


@pytest.mark.parametrize(
    "case", ["new rows", "one changed, one new", "moved to another day", "gone and back, the same"]
)
def test_it_leaves_the_same_when_files_come_stamped_and_are_taken_over(warehouse, catalog, tmp_path, monkeypatch, case):
    monkeypatch.setattr(lake, "ADOPTED_ROWS", 0)
    steps, *rest = CASES[case]
    monkeypatch.setitem(CASES, case, ([(rows, {**options, "stamped": True}) for rows, options in steps], *rest))
    look_at(case, warehouse, catalog, tmp_path)


def look_at(case, warehouse, catalog, tmp_path):
    steps, versions, stands, counts, days = CASES[case]
    for number, (rows, options) in enumerate(steps):
        if number:
            with warehouse.write() as session:
                session.execute("DELETE FROM ops.dirty_slice")
        appended = deliver(warehouse, catalog, tmp_path, rows, **options)
    assert history(warehouse) == versions
    assert standing(warehouse) == stands
    expected = {"loaded": 0, "unchanged": 0, "stale": 0, "deleted": 0, "moved": 0, **counts}
    assert {word: getattr(appended, word) for word in expected} == expected
    assert appended.loaded + appended.unchanged == len(steps[-1][0])
    assert dirty_days(warehouse) == days == [found.toordinal() - day(0).toordinal() for found in appended.days]


def test_a_delivery_replaces_rows_of_its_own_channel_only(warehouse, catalog, tmp_path):
    other = A.but(channel="it's other")
    deliver(warehouse, catalog, tmp_path, [A, B], complete=True)
    deliver(warehouse, catalog, tmp_path, [other, other.but(order="Z")], channel="it's other", complete=True)
    appended = deliver(warehouse, catalog, tmp_path, [other], channel="it's other", complete=True)
    assert (appended.deleted, appended.unchanged) == (1, 1)
    rows = table_rows(warehouse, LINES.name, ["channel_code", "change"])
    assert rows == [
        ("it's other", "deleted"),
        ("it's other", "row"),
        ("it's other", "row"),
        ("shop", "row"),
        ("shop", "row"),
    ]


@pytest.mark.parametrize(("share", "refused"), [("0.5", False), ("0.49", True), ("0", True)])
def test_a_complete_delivery_that_lacks_too_much_is_cut_off(
    warehouse, catalog, tmp_path, two_rows_a_pass, share, refused
):
    four = [Line(f"O{number}", number) for number in range(4)]
    deliver(warehouse, catalog, tmp_path, four, complete=True)
    before = table_rows(warehouse, LINES.name), table_rows(warehouse, "ops.dirty_slice")
    last = [four[0].but(amount="99"), four[1], Line("new", 9)]
    if not refused:
        assert deliver(warehouse, catalog, tmp_path, last, complete=True, max_deleted_share=share).deleted == 2
        return
    with pytest.raises(Rejected, match=r"lacks 2 of 4 known rows \(50%") as caught:
        deliver(warehouse, catalog, tmp_path, last, complete=True, max_deleted_share=share)
    assert caught.value.code == "DELIVERY_CUT_OFF"
    assert (table_rows(warehouse, LINES.name), table_rows(warehouse, "ops.dirty_slice")) == before


@slow_on_standing_lake
@pytest.mark.parametrize(("share", "refused"), [("0.25", False), ("0.24", True)])
def test_rows_deleted_before_are_no_part_of_what_may_be_cut_off(warehouse, catalog, tmp_path, share, refused):
    rows = [Line(f"O{number}", number) for number in range(5)]
    deliver(warehouse, catalog, tmp_path, rows, complete=True)
    deliver(warehouse, catalog, tmp_path, rows[1:], complete=True)
    options = {"complete": True, "max_deleted_share": share}
    if not refused:
        assert deliver(warehouse, catalog, tmp_path, rows[:4], **options).deleted == 1
        return
    with pytest.raises(Rejected, match=r"lacks 1 of 4 known rows \(25%"):
        deliver(warehouse, catalog, tmp_path, rows[:4], **options)


@slow_on_standing_lake
@pytest.mark.parametrize(("share", "refused"), [("0.25", False), ("0.24", True)])
def test_without_keys_only_the_number_of_rows_tells_a_cut_off_delivery(warehouse, catalog, tmp_path, share, refused):
    deliver(warehouse, catalog, tmp_path, [Line(f"O{number}", number) for number in range(4)], complete=True)
    corrected = [Line("O0", 0), Line("O1, corrected", 1), Line("O2, corrected", 2)]
    options = {"complete": True, "max_deleted_share": share, "has_keys": False}
    if not refused:
        assert deliver(warehouse, catalog, tmp_path, corrected, **options).deleted == 3
        return
    with pytest.raises(Rejected, match=r"lacks 1 of 4 known rows \(25%"):
        deliver(warehouse, catalog, tmp_path, corrected, **options)


@slow_on_standing_lake
def test_an_empty_complete_delivery_is_cut_off(warehouse, catalog, tmp_path):
    deliver(warehouse, catalog, tmp_path, [A], complete=True)
    with pytest.raises(Rejected, match="DELIVERY_CUT_OFF"):
        deliver(warehouse, catalog, tmp_path, [], complete=True, max_deleted_share="0.99")


RACES = {
    "both into an empty table": (
        [],
        [A, B],
        [B, C],
        [("A", 1, 1, "row", 10), ("B", 2, 1, "row", 10), ("C", 3, 1, "row", 10)],
    ),
    "both change one row": (
        [A],
        [A.but(amount="11")],
        [A.but(amount="12")],
        [("A", 1, 1, "row", 10), ("A", 1, 2, "row", 11), ("A", 1, 3, "row", 12)],
    ),
    "the first moves what the second moves on": (
        [A],
        [A.but(day=5)],
        [A.but(day=7)],
        [
            ("A", 1, 1, "row", 10),
            ("A", 1, 2, "moved", None),
            ("A", 5, 2, "row", 10),
            ("A", 5, 3, "moved", None),
            ("A", 7, 3, "row", 10),
        ],
    ),
    "the second is older than the first": (
        [A.but(updated=EARLY)],
        [A.but(updated=LATE, amount="12")],
        [A.but(updated=EARLY, amount="11")],
        [("A", 1, 1, "row", 10), ("A", 1, 2, "row", 12)],
    ),
}


@pytest.mark.parametrize("case", RACES)
def test_two_loads_at_once_do_not_write_a_version_twice(warehouse, connections, catalog, tmp_path, case):
    """The second compared before the first wrote: it has to compare again under the lock."""
    start, first, second, versions = RACES[case]
    quick, slow = connections
    if start:
        deliver(quick, catalog, tmp_path, start)
    batch = batch_of(tmp_path, second)
    with slow.read() as session:
        early = raw.compare(session, batch)
    deliver(quick, catalog, tmp_path, first)
    with slow.write() as session:
        raw.append(session, catalog, batch, early)
    assert history(quick) == versions


@slow_on_standing_lake
@pytest.mark.parametrize("announced", [1, 3])
def test_a_delivery_must_hold_the_rows_it_announces(warehouse, catalog, tmp_path, announced):
    """What is missing from the files would be counted as unchanged."""
    batch = replace(batch_of(tmp_path, [A, B]), row_count=announced)
    message = f"2 rows are there but {announced} were announced"
    with pytest.raises(ValueError, match=message), warehouse.read() as session:
        raw.compare(session, batch)
