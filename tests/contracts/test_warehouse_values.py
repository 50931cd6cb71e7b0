"""Values: what goes into the warehouse comes out of it, by every door and on both engines."""

from __future__ import annotations

import math
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from places import row_order, table_rows

from caravan.warehouse import lake as lake_module

COLUMNS = {
    "number": "INTEGER",
    "note": "VARCHAR",
    "id": "UUID",
    "amount": "DECIMAL(18,4)",
    "rate": "DECIMAL(18,6)",
    "moment": "TIMESTAMP",
    "day": "DATE",
    "big": "BIGINT",
    "ratio": "DOUBLE",
    "flag": "BOOLEAN",
}
NOTES = [
    None,
    "",
    " ",
    "plain",
    'it\'s "quoted", twice ""',
    "two\nlines",
    "carriage\r\nreturn",
    "lone\rreturn",
    "tab\tand, comma; semicolon",
    "back\\slash \\N \\. \\",
    "\\.",
    "NULL",
    "null",
    "100 % of %s %(x)s",
    "$name {braces}",
    "-- no comment; DROP TABLE x",
    "Zürich – 東京 – القاهرة – 😀",
    "e\u0301 is not \u00e9",
    "x" * 5000,
]
ROWS = [
    (
        number,
        note,
        None if number == 0 else UUID(int=(number * 0x1234567890ABCDEF1234567890ABCDEF) % (1 << 128)),
        None if number == 0 else Decimal("-99999999999999.9999") + number,
        None if number == 0 else Decimal("0.000001") * number,
        None if number == 0 else datetime(2011, 12, 31, 23, 59, 59, 999_999 - number),
        None if number == 0 else date(1, 1, 1) if number == 1 else date(2000 + number, 2, 28),
        None if number == 0 else (1 << 62) - number,
        None if number == 0 else math.pi / number,
        None if number == 0 else number % 2 == 0,
    )
    for number, note in enumerate(NOTES)
]
ROWS_IN_ORDER = sorted(ROWS, key=row_order)
EXPORTED = {
    "number": pa.int32(),
    "note": pa.string(),
    "id": pa.binary(16),
    "amount": pa.decimal128(18, 4),
    "rate": pa.decimal128(18, 6),
    "moment": pa.timestamp("us"),
    "day": pa.date32(),
    "big": pa.int64(),
    "ratio": pa.float64(),
    "flag": pa.bool_(),
}


def make_table(session, name="ops.thing", columns=COLUMNS):
    session.execute(f"CREATE TABLE {name} ({', '.join(f'{column} {kind}' for column, kind in columns.items())})")


def insert_rows(session, name="ops.thing", rows=ROWS):
    marks = ", ".join(f"${column}" for column in COLUMNS)
    for row in rows:
        session.execute(f"INSERT INTO {name} VALUES ({marks})", dict(zip(COLUMNS, row, strict=True)))


@pytest.fixture(scope="module")
def filled(standing_place):
    warehouse = standing_place.open()
    with warehouse.write() as session:
        make_table(session)
        insert_rows(session)
    return warehouse


def test_values_come_back_as_they_went_in(filled):
    with filled.read() as session:
        assert session.columns("ops.thing") == COLUMNS
        assert session.rows("SELECT * FROM ops.thing ORDER BY number") == ROWS
        assert session.names("SELECT number, note AS other FROM ops.thing") == ["number", "other"]


@pytest.mark.parametrize("column", [column for column in COLUMNS if column != "ratio"])
def test_a_value_finds_its_row_again(filled, column):
    at = list(COLUMNS).index(column)
    with filled.read() as session:
        for row in ROWS[1::3]:
            found = session.rows(f"SELECT number FROM ops.thing WHERE {column} = $value", {"value": row[at]})
            assert (row[0],) in found, row[at]


def test_staged_rows_are_those_of_the_query(filled):
    with filled.read() as session:
        relation = session.stage("SELECT * FROM ops.thing")
        assert session.rows(f"SELECT * FROM {relation} AS s ORDER BY s.number") == ROWS
    with filled.write() as session:
        session.execute(f"CREATE TABLE ops.copied AS SELECT * FROM {relation} AS s")
        assert session.columns("ops.copied") == COLUMNS
    assert table_rows(filled, "ops.copied") == table_rows(filled, "ops.thing")


def test_exported_parquet_has_the_types_and_values_of_the_table(filled, tmp_path):
    target = tmp_path / "it's out.parquet"
    with filled.read() as session:
        session.export_parquet("SELECT * FROM ops.thing ORDER BY number", target)
    table = pq.read_table(target)
    assert {field.name: storage(field.type) for field in table.schema} == EXPORTED
    got = [tuple(row.values()) for row in table.to_pylist()]
    assert [tuple(UUID(bytes=v) if isinstance(v, bytes) else v for v in row) for row in got] == ROWS


def storage(kind):
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind


def test_parquet_round_trip_through_both_doors(filled, tmp_path):
    parts = [tmp_path / "a.parquet", tmp_path / "b's.parquet"]
    with filled.read() as session:
        session.export_parquet("SELECT * FROM ops.thing WHERE number < 7", parts[0])
        session.export_parquet("SELECT * FROM ops.thing WHERE number >= 7", parts[1])
    with filled.write() as session:
        relation = session.stage_parquet(parts, COLUMNS)
        session.execute(f"CREATE TABLE ops.loaded AS SELECT * FROM {relation} AS s")
        assert session.columns("ops.loaded") == COLUMNS
    assert table_rows(filled, "ops.loaded") == table_rows(filled, "ops.thing")


def test_parquet_of_other_writers_is_cast_to_the_declared_types(warehouse, tmp_path):
    """Text for a UUID, a narrower decimal, other column order: as our clients write it."""
    path = tmp_path / "rows.parquet"
    pq.write_table(
        pa.table(
            {
                "amount": pa.array([Decimal("1.50"), None], pa.decimal128(6, 2)),
                "note": pa.array(["", None]),
                "id": pa.array(["00000000-0000-0000-0000-00000000000f", None]),
            }
        ),
        path,
    )
    columns = {"id": "UUID", "note": "VARCHAR", "amount": "DECIMAL(18,4)"}
    with warehouse.read() as session:
        relation = session.stage_parquet([path], columns)
        assert session.rows(f"SELECT * FROM {relation} AS s ORDER BY s.id NULLS LAST") == [
            (UUID(int=15), "", Decimal("1.5000")),
            (None, None, None),
        ]


def test_no_parquet_is_a_relation_without_rows(warehouse):
    with warehouse.read() as session:
        relation = session.stage_parquet([], COLUMNS)
        assert session.rows(f"SELECT * FROM {relation} AS s") == []
        assert session.names(f"SELECT * FROM {relation} AS s") == list(COLUMNS)


def test_a_null_alone_in_its_row_survives_both_ways(warehouse, tmp_path):
    with warehouse.write() as session:
        make_table(session, "ops.single", {"note": "VARCHAR"})
        for note in (None, "", "x", None):
            session.execute("INSERT INTO ops.single VALUES ($note)", {"note": note})
    with warehouse.read() as session:
        session.export_parquet("SELECT note FROM ops.single", tmp_path / "single.parquet")
        assert sorted(map(str, pq.read_table(tmp_path / "single.parquet")["note"].to_pylist())) == [
            "",
            "None",
            "None",
            "x",
        ]
        relation = session.stage_parquet([tmp_path / "single.parquet"], {"note": "VARCHAR"})
        assert session.row(f"SELECT COUNT(*), COUNT(s.note) FROM {relation} AS s") == (4, 2)


def test_text_sorts_by_code_point(warehouse):
    with warehouse.write() as session:
        make_table(session, "ops.word", {"word": "VARCHAR"})
        for word in ("b", "a", "B", "é", "_", "Z", "ä", "", "😀", "東"):
            session.execute("INSERT INTO ops.word VALUES ($word)", {"word": word})
    with warehouse.read() as session:
        words = [row[0] for row in session.rows("SELECT word FROM ops.word ORDER BY word")]
        assert words == sorted(words)
        staged = session.stage("SELECT word || '/' AS word FROM ops.word")
        assert session.row(f"SELECT MIN(s.word), MAX(s.word) FROM {staged} AS s") == ("/", "😀/")


def test_columns_of_no_table(warehouse):
    with warehouse.read() as session:
        assert session.columns("ops.nothing") == {}
        assert session.columns("nowhere.nothing") == {}


def test_row_wants_exactly_one(filled):
    with filled.read() as session:
        for where in ("number < 0", "number < 2"):
            with pytest.raises(ValueError, match="expected one row"):
                session.row(f"SELECT number FROM ops.thing WHERE {where}")


@pytest.fixture(params=[0, 1_000_000], ids=["large file", "small file"])
def appended(place, request, monkeypatch):
    """A table and a relation to append to it; a lake takes over the files of a large one."""
    monkeypatch.setattr(lake_module, "ADOPTED_ROWS", request.param)
    warehouse = place.open()
    with warehouse.write() as session:
        make_table(session)
        insert_rows(session, rows=ROWS[:2])
    with warehouse.read() as session:
        values = ", ".join(f"CAST({column} AS {kind}) AS {column}" for column, kind in COLUMNS.items())
        relation = session.stage(f"SELECT {values} FROM ops.thing")
    return warehouse, relation


def test_a_staged_relation_is_appended_whole(appended):
    warehouse, relation = appended
    with warehouse.write() as session:
        session.append_staged("ops.thing", list(COLUMNS), relation)
        assert session.row("SELECT COUNT(*) FROM ops.thing") == (4,)
    warehouse.forget_staged()
    assert table_rows(warehouse, "ops.thing") == sorted(ROWS[:2] * 2, key=row_order)
    with warehouse.write() as session:
        session.execute("DELETE FROM ops.thing WHERE number = 1")
    assert table_rows(warehouse, "ops.thing") == [ROWS[0]] * 2
    with warehouse.read() as session:
        assert session.columns("ops.thing") == COLUMNS


def test_an_append_that_is_rolled_back_leaves_the_table_as_it_was(appended):
    warehouse, relation = appended
    with pytest.raises(ValueError, match="no"), warehouse.write() as session:
        session.execute("DELETE FROM ops.thing WHERE number = 1")
        session.append_staged("ops.thing", list(COLUMNS), relation)
        raise ValueError("no")
    assert table_rows(warehouse, "ops.thing") == sorted(ROWS[:2], key=row_order)


def test_a_relation_of_some_columns_or_other_types_is_converted(appended):
    warehouse, _ = appended
    with warehouse.read() as session:
        some = session.stage("SELECT CAST(7 AS BIGINT) AS number, 'seven' AS note")
    with warehouse.write() as session:
        session.append_staged("ops.thing", ["number", "note"], some)
    assert table_rows(warehouse, "ops.thing", ["number", "note"]) == [(0, None), (1, ""), (7, "seven")]


def test_settling_a_table_changes_no_rows(warehouse):
    with warehouse.write() as session:
        make_table(session)
        session.settle_table("ops.thing", [("id",), ("day", "number")])
        insert_rows(session)
    assert table_rows(warehouse, "ops.thing") == ROWS_IN_ORDER


# Money is divided in whole numbers, half away from zero: the formula of docs/decisions/0003-portable-sql.md.
DIVIDED = (
    ("2318.7400", "3.2", "724.6063"),
    ("40760.8742", "0.8", "50951.0928"),
    ("-8734.3800", "0.64", "-13647.4688"),
    ("12.3400", "0.64", "19.2813"),
    ("0.5000", "10000", "0.0001"),
    ("-0.5000", "10000", "-0.0001"),
    ("0.4999", "10000", "0.0000"),
    ("0.0000", "3", "0.0000"),
    (None, "3", None),
    ("547177406632.8572", "8", "68397175829.1072"),
    ("99999999999999.9999", "1", "99999999999999.9999"),
)


@pytest.mark.parametrize(("amount", "rate", "expected"), DIVIDED)
def test_money_is_divided_alike_to_the_last_digit(filled, amount, rate, expected):
    sql = """
        SELECT CAST(
            SIGN(v.amount) * (
                (2 * CAST(CAST(ABS(v.amount) AS DECIMAL(38, 4)) * 10000 AS HUGEINT) * 1000000 + v.rate_micros)
                // (2 * v.rate_micros)
            ) AS DECIMAL(18, 0)
        ) * CAST('0.0001' AS DECIMAL(5, 4))
        FROM (
            SELECT CAST($amount AS DECIMAL(18, 4)) AS amount,
                CAST(CAST($rate AS DECIMAL(18, 6)) * 1000000 AS HUGEINT) AS rate_micros
        ) AS v"""
    with filled.read() as session:
        found = session.row(sql, {"amount": amount, "rate": rate})[0]
    assert found == (None if expected is None else Decimal(expected))
