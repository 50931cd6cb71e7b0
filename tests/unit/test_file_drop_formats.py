"""CSV in its dialects and encodings, NDJSON, Parquet: taken apart right, or refused with the place."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pyarrow as pa
import pytest
from file_drop_case import (
    LINE,
    LINE_FIELDS,
    Result,
    channel,
    csv_text,
    parquet_bytes,
    parse_bytes,
    parse_lines,
    parse_text,
)

from caravan.clients.file_drop.csv_source import QuoteWatch, RowNumbers
from caravan.clients.file_drop.decoding import Utf8Watch
from caravan.config.types import Channel
from caravan.core.errors import Rejected

NAMED = (*LINE_FIELDS, "product_name")


def rejected(data: bytes, of: Channel) -> Rejected:
    with pytest.raises(Rejected) as caught:
        parse_bytes(data, of)
    return caught.value


def named(*names: str) -> str:
    """A CSV with one good line for each product name."""
    return csv_text([NAMED, *((f"A{number}", *LINE[1:], name) for number, name in enumerate(names, start=1))])


# Encodings

ENCODED = [
    ("windows-1252", "Größe – 5 €"),
    ("shift_jis", "手編みの靴下"),
    ("gb18030", "丝绸围巾𠮷"),
    ("utf-16", "Größe 靴下"),
    ("utf-16-be", "Größe 靴下"),
    ("utf-8", "Größe 靴下 𠮷"),
]


@pytest.mark.parametrize(("encoding", "name"), ENCODED)
def test_declared_encodings_are_read_right(encoding: str, name: str) -> None:
    result = parse_bytes(named(name).encode(encoding), channel(NAMED, form={"encoding": encoding}))
    assert result.column("product_name") == [name]


@pytest.mark.parametrize(("encoding", "name"), [each for each in ENCODED if each[0] != "utf-8"])
def test_encodings_falsely_declared_as_utf8_are_refused(encoding: str, name: str) -> None:
    error = rejected(named("plain", name).encode(encoding), channel(NAMED))
    assert error.code == "ENCODING_WRONG"


@pytest.mark.parametrize(
    ("declared", "written", "title", "hint"),
    [
        ("windows-1252", "utf-8", "Größe", "; the header reads right as utf-8, not cp1252: check `encoding`"),
        ("iso-8859-1", "utf-8", "Größe", "; the header reads right as utf-8, not iso8859-1"),
        ("iso-8859-1", "shift_jis", "数量", "; the header reads right as shift_jis, not iso8859-1"),
        ("cp850", "windows-1252", "Größe", "; the header reads right as windows-1252, not cp850"),
        ("windows-1252", "windows-1252", "Grösse", ""),
        ("utf-8", "utf-8", "Grösse", ""),
    ],
)
def test_a_header_in_another_encoding_is_recognised(declared: str, written: str, title: str, hint: str) -> None:
    wanted = "Größe" if title == "Grösse" else title
    of = channel(columns={**{name: name for name in LINE_FIELDS}, "sku": wanted}, form={"encoding": declared})
    header = ",".join(LINE_FIELDS).replace("sku", title)
    error = rejected(f"{header}\n{','.join(LINE)}\n".encode(written), of)
    assert error.code == "COLUMN_MISSING"
    assert ("reads right" in error.message, hint in error.message) == (bool(hint), True)


@pytest.mark.parametrize("kind", ["csv", "ndjson"])
@pytest.mark.parametrize(
    ("declared", "data", "code"),
    [
        ("windows-1252", "Öl, größer".encode(), "ENCODING_SUSPECT"),
        ("iso-8859-15", "żółty".encode(), "ENCODING_SUSPECT"),
        ("windows-1251", "Игра".encode(), "ENCODING_WRONG"),  # 0x98 is no character there
        ("koi8-r", "Привет".encode(), "ENCODING_SUSPECT"),
        # Sound UTF-8, but too little of it to be sure.
        ("windows-1252", "Größe öß".encode(), None),
        ("windows-1252", "NESCAFÉ® CAFÉ™".encode("windows-1252"), None),
        # What these encodings really look like.
        ("windows-1252", "Öl, größer".encode("windows-1252"), None),
        ("windows-1252", "Öl äöü ÄÖÜ".encode() + "é".encode("windows-1252"), None),
        ("windows-1251", "Привет, мир".encode("windows-1251"), None),
    ],
)
def test_utf8_declared_as_a_one_byte_encoding_is_refused_when_it_is_certain(
    kind: str, declared: str, data: bytes, code: str | None
) -> None:
    of = channel(NAMED, form={"type": kind, "encoding": declared})
    line = dict(zip(NAMED, (*LINE, "@"), strict=True))
    text = named("@") if kind == "csv" else json.dumps(line)
    content = text.encode().replace(b"@", data.replace(b",", b" "))
    if code is None:
        assert parse_bytes(content, of).counts == (1, 1, 0, 0)
    else:
        assert rejected(content, of).code == code


def test_what_would_have_been_loaded_is_shown() -> None:
    error = rejected(named("Öl", "größer").encode(), channel(NAMED, form={"encoding": "windows-1252"}))
    assert "as cp1252 it would be loaded with 'Ã–ÃŸÃ¶' for 'Ößö'. Set `encoding: utf-8`" in error.message
    wrong = rejected(named("Ýes").encode(), channel(NAMED, form={"encoding": "windows-1252"}))
    assert wrong.code == "ENCODING_WRONG"
    assert "correct `encoding` in the channel's file (probably utf-8)" in wrong.message


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize(
    ("data", "found"),
    [
        ("aöbßcÖdö".encode(), "Ößö"),
        (b"plain", ""),
        ("ö".encode() + b"\xf6", ""),
        ("ö".encode()[:1], ""),
    ],
)
def test_the_watch_over_utf8_does_not_depend_on_the_pieces(data: bytes, found: str, size: int) -> None:
    watch = Utf8Watch()
    for start in range(0, len(data), size):
        watch.see(data[start : start + size], final=False)
    assert watch.see(b"", final=True).found == found


def test_utf16_without_a_mark_is_no_utf8_even_where_every_byte_is() -> None:
    for encoding in ("utf-16-le", "utf-16-be"):
        error = rejected(named("plain").encode(encoding), channel(NAMED))
        assert (error.code, "NUL character in line 1" in error.message) == ("ENCODING_WRONG", True)


def test_a_hole_in_a_file_refuses_it() -> None:
    assert rejected(named("plain").encode() + b"\0" * 100, channel(NAMED)).code == "FILE_DAMAGED"


@pytest.mark.parametrize("kind", ["csv", "ndjson", "parquet"])
@pytest.mark.parametrize("at", ["sku", "order_id", "ordered_at"])
def test_a_nul_character_costs_its_row(kind: str, at: str) -> None:
    good = dict(zip(LINE_FIELDS, LINE, strict=True))
    bad = good | {at: f"{good[at]}\0x"}
    data = {
        "csv": csv_text([LINE_FIELDS, tuple(good.values()), tuple(bad.values())]).encode(),
        "ndjson": "".join(json.dumps(row) + "\n" for row in (good, bad)).encode(),
        "parquet": parquet_bytes({name: pa.array([good[name], bad[name]]) for name in LINE_FIELDS}),
    }
    result = parse_bytes(data[kind], channel(form={"type": kind}))
    assert result.reasons == [(2, at, "TEXT_INVALID")]
    assert len(result.rows) == 1
    assert not any("\0" in str(value) for value in result.quarantined[0].values())
    assert (result.quarantined[0]["row_key"] is None) is (at == "order_id")


def test_the_place_of_the_wrong_byte_is_given() -> None:
    head = named(*["plain"] * 300_000).encode()  # the wrong byte is in the second megabyte
    error = rejected(head + b"A\xe9", channel(NAMED))
    assert error.code == "ENCODING_WRONG"
    assert f"byte {len(head) + 1} (line {300_000 + 2}) is 0xe9" in error.message


MARKS = [
    ("utf-8", b"\xef\xbb\xbf", "utf-8"),
    ("utf-8-sig", b"\xef\xbb\xbf", "utf-8"),
    ("utf-16", b"\xff\xfe", "utf-16-le"),
    ("utf-16", b"\xfe\xff", "utf-16-be"),
    ("utf-16-le", b"\xff\xfe", "utf-16-le"),
    ("gb18030", b"\x84\x31\x95\x33", "gb18030"),
]


@pytest.mark.parametrize(("declared", "mark", "written"), MARKS)
def test_byte_order_marks_are_no_text(declared: str, mark: bytes, written: str) -> None:
    result = parse_bytes(mark + named("Größe").encode(written), channel(NAMED, form={"encoding": declared}))
    assert result.column("product_name") == ["Größe"]


@pytest.mark.parametrize(
    ("declared", "mark", "written"),
    [
        ("windows-1252", b"\xef\xbb\xbf", "utf-8"),
        ("shift_jis", b"\xff\xfe", "utf-16-le"),
        ("utf-8", b"\xfe\xff", "utf-16-be"),
        ("utf-16-be", b"\xff\xfe", "utf-16-le"),
    ],
)
def test_a_byte_order_mark_of_another_encoding_is_refused(declared: str, mark: bytes, written: str) -> None:
    error = rejected(mark + named("plain").encode(written), channel(NAMED, form={"encoding": declared}))
    assert error.code == "ENCODING_WRONG"
    assert "byte order mark" in error.message


def test_bytes_left_over_at_the_end_are_refused() -> None:
    assert rejected(named("plain").encode("utf-16-le") + b"\x41", channel(form={"encoding": "utf-16"})).code == (
        "ENCODING_WRONG"
    )


# CSV

COMMA_HEADER = ",".join(LINE_FIELDS)
DIALECTS: list[tuple[dict[str, Any], str]] = [
    ({}, COMMA_HEADER + '\nA1,1,2024-05-01,DE,EUR,"x,""y""",1,2\n'),
    ({"delimiter": ";"}, ";".join(LINE_FIELDS) + '\r\nA1;1;2024-05-01;DE;EUR;"x,""y""";1;2\r\n'),
    ({"delimiter": "\t"}, "sep=\t\n" + "\t".join(LINE_FIELDS) + '\nA1\t1\t2024-05-01\tDE\tEUR\t"x,""y"""\t1\t2'),
    ({"delimiter": "|", "quote": "'"}, "|".join(LINE_FIELDS) + "\nA1|1|2024-05-01|DE|EUR|'x,\"y\"'|1|2\n"),
    ({}, '\n\n"' + COMMA_HEADER.replace(",", '", ', 1) + '\r"A1",1,2024-05-01,DE,EUR,"x,""y""",1,2\r'),
]


@pytest.mark.parametrize(("form", "text"), DIALECTS)
def test_dialects(form: dict[str, Any], text: str) -> None:
    result = parse_text(text, channel(form=form))
    assert result.column("sku") == ['x,"y"']
    assert result.column("row_number") == [1]


def test_newlines_inside_quotes_belong_to_the_value() -> None:
    result = parse_text(named("two\nlines", "three\r\nshort\r\nlines", "plain"), channel(NAMED))
    assert result.column("product_name") == ["two\nlines", "three\r\nshort\r\nlines", "plain"]
    assert result.column("row_number") == [1, 2, 3]


def test_rows_with_too_few_or_too_many_fields_are_set_aside_and_numbered() -> None:
    good = [f"A{number}," + ",".join(LINE[1:]) for number in range(1, 7)]
    lines = [good[0], "A9,1", "", good[1], good[2], good[3] + ",more", "x" + good[4] + ",", good[5]]
    result = parse_text("\n".join([COMMA_HEADER, *lines]), channel())
    assert result.column("row_number") == [1, 3, 4, 7]
    assert result.column("order_id") == ["A1", "A2", "A3", "A6"]
    assert result.reasons == [(2, None, "FIELDS_TOO_FEW"), (5, None, "FIELDS_TOO_MANY"), (6, None, "FIELDS_TOO_MANY")]
    assert result.quarantined[0]["message"] == "2 fields where the header has 8"
    assert json.loads(result.quarantined[0]["raw_row"]) == {"line": "A9,1"}
    assert result.counts == (7, 4, 0, 3)


def test_nothing_but_ragged_rows() -> None:
    result = parse_text(COMMA_HEADER + "\n" + "A1\n" * 12_000, channel())
    assert result.counts == (12_000, 0, 0, 12_000)
    assert [row["row_number"] for row in result.quarantined] == list(range(1, 12_001))


def test_row_numbers_hold_across_blocks() -> None:
    rows = ["A1" if number % 1000 == 0 else f"A{number}," + ",".join(LINE[1:]) for number in range(1, 150_001)]
    result = parse_text("\n".join([COMMA_HEADER, *rows]), channel())
    assert result.counts == (150_000, 149_850, 0, 150)
    assert all(row["order_id"] == f"A{row['row_number']}" for row in result.rows)


@pytest.mark.parametrize(
    ("bad", "line"),
    [
        ('A2,1,2024-05-01,DE,EUR,"S,1,1', 3),  # never closed: would swallow the rest of the file
        ('A2,1,2024-05-01,DE,EUR,"S\nA3,1,2024-05-01,DE,EUR,"S",1,1', 3),  # swallows a row, then closes
        ('A2,1,2024-05-01,DE,EUR,"S"x,1,1', 3),
    ],
)
def test_quotes_that_do_not_pair_reject_the_file(bad: str, line: int) -> None:
    good = ",".join(LINE)
    error = rejected("\n".join([COMMA_HEADER, good, bad, good, good]).encode(), channel())
    assert error.code == "CSV_BROKEN"
    assert f"the row that begins in line {line} " in error.message


def test_a_quote_inside_an_unquoted_value_is_a_character() -> None:
    lines = ['A1,1,2024-05-01,DE,EUR,5" pipe,1,1', 'A2,1,2024-05-01,DE,EUR,"5"" pipe",1,1']
    assert parse_text("\n".join([COMMA_HEADER, *lines]), channel()).column("sku") == ['5" pipe', '5" pipe']


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize(
    ("text", "doubtful"),
    [
        ('a,"b",c\n"d ""e""",f\n"",""\n', False),
        ('"a\n,b"\n', False),
        ("a,b\n", False),
        ('a,5" pipe\n', True),
        ('a,"b"c\n', True),
        ('a, "b"\n', True),
    ],
)
def test_the_watch_over_quotes_does_not_depend_on_the_pieces(text: str, doubtful: bool, size: int) -> None:
    watch = QuoteWatch(",", '"')
    for start in range(0, len(text), size):
        watch.see(text[start : start + size].encode())
    watch.see(b"\n")
    assert watch.doubtful is doubtful


def test_row_numbers_have_gaps_where_rows_were_set_aside() -> None:
    numbers = RowNumbers()
    assert numbers.take(2).tolist() == [1, 2]
    for number in (3, 4, 7):
        numbers.skip(number)
    assert numbers.take(3).tolist() == [5, 6, 8]
    assert numbers.take(0).tolist() == []
    numbers.skip(10)
    assert numbers.take(2).tolist() == [9, 11]


HEADERS = [
    ("order_id;line_id;ordered_at;country;currency;sku;quantity;unit_price", ["the delimiter is probably ';'"]),
    ("order_id,line_id,ordered_at,country,currency,sku,qantity,unit_price", ["lacks quantity", "there is 'qantity'"]),
    ("order_id,line_id,ordered_at,country,currency,sku,quantity", ["lacks unit_price", "Found: order_id, line_id"]),
]


@pytest.mark.parametrize(("header", "words"), HEADERS)
@pytest.mark.parametrize("body", ["", "1\n"])
def test_a_missing_column_rejects_the_file(header: str, words: list[str], body: str) -> None:
    error = rejected(f"{header}\n{body}".encode(), channel())
    assert error.code == "COLUMN_MISSING"
    assert "Expected: country, currency, line_id" in error.message
    assert [word for word in words if word not in error.message] == []


def test_a_mapped_column_that_stands_twice_is_refused_an_unmapped_one_is_not() -> None:
    row = ",".join(LINE)
    assert rejected(f"{COMMA_HEADER},sku\n{row},S2\n".encode(), channel()).code == "COLUMN_REPEATED"
    bad = f"A2{row[2:].replace('DE', 'XX')}"
    result = parse_text(f"{COMMA_HEADER},note,note\n{row},a,b\n{bad},c,d\n", channel())
    assert result.column("order_id") == ["A1"]
    raw = json.loads(result.quarantined[0]["raw_row"])
    assert (raw["note"], raw["note_2"]) == ("c", "d")


# Empty files

EMPTY = [
    ("csv", b""),
    ("csv", COMMA_HEADER.encode()),
    ("csv", COMMA_HEADER.encode() + b"\r\n\r\n"),
    ("csv", gzip.compress(b"", mtime=0)),
    ("ndjson", b""),
    ("ndjson", b"\n\n"),
    ("parquet", b""),
    ("parquet", parquet_bytes({name: pa.array([], pa.string()) for name in LINE_FIELDS})),
]


@pytest.mark.parametrize(("kind", "data"), EMPTY)
def test_a_file_without_rows_is_a_delivery_of_none(kind: str, data: bytes) -> None:
    result = parse_bytes(data, channel(form={"type": kind}))
    assert result.counts == (0, 0, 0, 0)
    assert (result.parsed.accepted, result.parsed.quarantined) == ((), ())
    assert result.parsed.first_local_date is None


# gzip


@pytest.mark.parametrize("name", ["orders.csv", "orders.csv.gz", "orders.txt"])
def test_gzip_is_told_by_its_bytes(name: str) -> None:
    text = csv_text([LINE_FIELDS, LINE]).encode()
    assert parse_bytes(gzip.compress(text), channel(), name).counts == (1, 1, 0, 0)
    assert parse_bytes(text, channel(), name).counts == (1, 1, 0, 0)


def test_gzip_of_several_members_is_read_to_its_end() -> None:
    parts = [csv_text([LINE_FIELDS, LINE]), csv_text([("A2", *LINE[1:])])]
    assert parse_bytes(b"".join(gzip.compress(part.encode()) for part in parts), channel()).counts == (2, 2, 0, 0)


# NDJSON

JSON_CHANNEL = channel(
    form={"type": "ndjson"},
    columns={
        "order_id": "id",
        "line_id": "line.number",
        "ordered_at": "at",
        "country": "buyer.address.country",
        "currency": "cur",
        "sku": "sku",
        "quantity": "line.quantity",
        "unit_price": "line.price",
        "customer_id": "buyer.id",
    },
)


def json_line(**changes: object) -> str:
    row: dict[str, object] = {
        "id": "A1", "at": "2024-05-01T10:00:00Z", "cur": "EUR", "sku": "S1",
        "buyer": {"id": 17850, "address": {"country": "DE"}}, "line": {"number": 1, "quantity": 2, "price": 19.90},
    }  # fmt: skip
    return json.dumps(row | changes, ensure_ascii=False)


def test_ndjson_paths_and_numbers() -> None:
    lines = [json_line(), "", json_line(id="00012345678901234567890", buyer={"address": {"country": "JP"}})]
    result = parse_text("\r\n".join(lines), JSON_CHANNEL)
    assert result.column("order_id") == ["A1", "00012345678901234567890"]
    assert result.column("customer_id") == ["17850", None]
    assert [str(amount) for amount in result.column("amount")] == ["39.8000", "39.8000"]
    assert result.column("row_number") == [1, 2]


def test_only_the_malformed_ndjson_line_is_quarantined() -> None:
    bad = ['{"id": "A2", ', "[1, 2]", "nonsense", '"{"', json_line(id="A3\u2028x")[:-1]]
    lines = [json_line(), *bad, json_line(id="B\u2028x")]
    result = parse_text("\n".join(lines), JSON_CHANNEL)
    assert result.column("row_number") == [1, 7]
    assert result.column("order_id") == ["A1", "B\u2028x"]
    assert result.reasons == [(number, None, "JSON_INVALID") for number in range(2, 7)]
    assert [json.loads(row["raw_row"])["line"] for row in result.quarantined] == bad


def test_a_quarantined_ndjson_row_is_kept_as_it_came() -> None:
    line = json_line(cur="EURO", extra={"kept": True})
    result = parse_text(line, JSON_CHANNEL)
    assert result.reasons == [(1, "currency", "CURRENCY_UNKNOWN")]
    assert result.quarantined[0]["raw_row"] == line


def test_ndjson_in_another_encoding() -> None:
    of = JSON_CHANNEL.model_copy(update={"format": JSON_CHANNEL.format.model_copy(update={"encoding": "shift_jis"})})
    assert parse_bytes(json_line(sku="靴下").encode("shift_jis"), of).column("sku") == ["靴下"]


# Parquet

PARQUET = channel(form={"type": "parquet"})


def parquet(**columns: pa.Array) -> Result:
    length = len(next(iter(columns.values())))
    base = {name: pa.array([value] * length) for name, value in zip(LINE_FIELDS, LINE, strict=True)}
    base["line_id"] = pa.array(range(length))
    return parse_bytes(parquet_bytes(base | columns), PARQUET)


def test_parquet_rows_are_numbered_and_shown_in_quarantine_under_their_own_names() -> None:
    result = parquet(quantity=pa.array([1.0, float("inf"), 3.0]), note=pa.array([None, float("nan"), 1.5]))
    assert result.column("row_number") == [1, 3]
    assert result.reasons == [(2, "quantity", "NUMBER_INVALID")]
    raw = json.loads(result.quarantined[0]["raw_row"])
    assert (raw["sku"], raw["quantity"], raw["note"]) == ("S1", "inf", "nan")


def test_text_that_an_old_writer_left_unmarked() -> None:
    assert parquet(sku=pa.array([b"S7"], pa.binary())).column("sku") == ["S7"]


def test_gzipped_parquet() -> None:
    data = parquet_bytes({name: pa.array([value]) for name, value in zip(LINE_FIELDS, LINE, strict=True)})
    assert parse_bytes(gzip.compress(data), PARQUET, "orders [1].parquet.gz").counts == (1, 1, 0, 0)
    assert parse_bytes(data, PARQUET, "orders [1]*?.parquet").counts == (1, 1, 0, 0)


def test_broken_parquet_and_missing_columns_are_refused() -> None:
    data = parquet_bytes({name: pa.array([value] * 1000) for name, value in zip(LINE_FIELDS, LINE, strict=True)})
    for broken in (data[: len(data) // 2], b"PAR1" + bytes(500) + data[-200:], csv_text([LINE_FIELDS, LINE]).encode()):
        assert rejected(broken, PARQUET).code == "PARQUET_BROKEN"
    short = parquet_bytes({name: pa.array(["1"]) for name in LINE_FIELDS[:-1]})
    assert rejected(short, PARQUET).code == "COLUMN_MISSING"


def test_a_csv_of_quarantined_rows_shows_every_column() -> None:
    fields, bad = (*LINE_FIELDS, "note"), ("", *LINE[1:], "")
    result = parse_lines([(*LINE, "left at the door"), bad], channel(), fields)
    assert json.loads(result.quarantined[0]["raw_row"]) == dict(zip(fields, bad, strict=True))
