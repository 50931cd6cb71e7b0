"""Faults of a channel's file: each disables that channel alone."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from config_case import edit, write_config

from caravan.config.loader import check, load


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path)


# (what is replaced, by what, where the fault is, a part of its message)
CHANNEL_FAULTS = [
    # keys and types
    ("delivery: changes", "delivry: changes", "5 delivry", "unknown key 'delivry'; did you mean 'delivery'?"),
    ("delivery: changes\n", "", "1 delivery", "is required"),
    ("delivery: changes", "delivery: change", "5 delivery", "'change' is not known; did you mean 'changes'?"),
    ("kind: own", "kind: [own]", "3 kind", "a list is not known"),
    ("name: Butikk", "name: {no: Butikk}", "2 name", "expected text, found `key: value` lines"),
    ("name: Butikk", "name:", "2 name", "expected text, found nothing"),
    ("folder: incoming/shop_no", "settle_seconds: soon\nfolder: f", "4 settle_seconds", "'soon' is no whole number"),
    ("folder: incoming/shop_no", "enabled: perhaps\nfolder: f", "4 enabled", "'perhaps' is neither true nor false"),
    ("folder: incoming/shop_no", 'folder: ""', "4 folder", "is empty"),
    ("  type: csv", "  type: csv\n  delimeter: ','", "11 format.delimeter", "did you mean 'delimiter'?"),
    ('delimiter: ";"', 'delimiter: ";;"', "11 format.delimiter", "';;'"),
    ('delimiter: ";"', "delimiter: '\"'", "11 format.delimiter", "delimiter and quote are both"),
    ('delimiter: ";"', 'decimal: ","\n  thousands: ","', "9 format", "decimal and thousands mark are both ','"),
    ('delimiter: ";"', "encoding: windows-1225", "11 format.encoding", "is no known encoding"),
    ('delimiter: ";"', "encoding: base64", "11 format.encoding", "is no known encoding"),
    ("zone: Europe/Oslo", "zone: Europe/Olso", "6 zone", "'Europe/Olso' is no IANA time zone"),
    ("zone: Europe/Oslo", "zone: localtime", "6 zone", "'localtime' means nothing on another machine"),
    ("zone: Europe/Oslo", "zone: posix/Europe/Oslo", "6 zone", "means nothing on another machine"),
    ("zone: Europe/Oslo", "zone: +01:00", "6 zone", "'+01:00' is no IANA time zone"),
    ("folder: incoming/shop_no", "folder: ~/in", "4 folder", "write the home folder out"),
    ("folder: i", "settle_seconds: 99999999999999999999\nfolder: i", "4 settle_seconds", "less than or equal to 86400"),
    ("folder: i", "max_future_hours: 999999999\nfolder: i", "4 max_future_hours", "less than or equal to 87600"),
    ("folder: i", f"settle_seconds: {'9' * 5000}\nfolder: i", "4 settle_seconds", f"'{'9' * 100}...'"),
    ("folder: i", "max_deleted_share: 20%\nfolder: i", "4 max_deleted_share", "'20%' is no number"),
    ('delimiter: ";"', "delimiter: →", "11 format.delimiter", "'→' cannot part values; give one ASCII character"),
    ('delimiter: ";"', 'delimiter: "\\n"', "11 format.delimiter", "give one ASCII character that ends no line"),
    ('delimiter: ";"', "delimiter: \\t", "11 format.delimiter", 'longer than one character; a tab is "\\t"'),
    ('delimiter: ";"', 'quote: ""', "11 format.quote", "is empty"),
    ('delimiter: ";"', "encoding: unicode_escape", "11 format.encoding", "is no known encoding"),
    ('delimiter: ";"', "encoding: undefined", "11 format.encoding", "'undefined' is no known encoding"),
    ('delimiter: ";"\n  datetime: "%d.%m.%Y %H:%M"\n', "datetime: [iso]\n", "11 format.datetime", "found a list"),
    ("  order_line:", "  order_lines:", "14 entities.order_lines", "did you mean 'order_line'?"),
    # YAML itself
    ("kind: own", "kind: own\nkind: partner", "4 kind", "'kind' is given twice, first in line 3"),
    ("      sku: Article", "      sku: Article\n      sku: No", "23 entities.order_line.columns.sku", "given twice"),
    ("kind: own", "kind: [own", "4", "is no valid YAML"),
    ("name: Butikk", "name: !!python/name:os.system x", "2 name", "the tag"),
    ("name: Butikk", "? [a, b]\n: x\nname: Butikk", "2", "a key must be plain text"),
    ("name: Butikk", "name: Bu\0tikk", "2", "character U+0000 is not allowed"),
    ("  type: csv", "\ttype: csv", "10", "a tab; indent with blanks"),
    ("name: Butikk", 'name: "\\UFFFFFFFF"', "2", "found invalid Unicode character escape code"),
    ("code: shop_no", f"%YAML {'9' * 5000}.1\n---\ncode: shop_no", "1", "found extremely long version number"),
    ("name: Butikk", 'name: "Bu\\0tikk"', "2 name", "has the character U+0000, which cannot be stored"),
    ("folder: incoming", 'folder: "\\ud800"\nx: incoming', "4", "found invalid Unicode character escape code"),
    ("{Norge: NO", '{"N\\0": NO', "28 entities.order_line.values.country", "a key has the character U+0000"),
    (
        "columns:\n",
        "columns:\n      <<: {a: b}\n",
        "17 entities.order_line.columns",
        "merging with `<<` is not supported",
    ),
    ("market: NO", "market: &m\n  a: *m", "", "an alias inside its own anchor"),
    # names that have to exist
    ("market: NO", "market: NOR", "7 market", "there is no market 'NOR'; did you mean 'NO'?"),
    ("home_country: NO", "home_country: XX", "8 home_country", "'XX' is no ISO 3166-1 code"),
    ("code: shop_no", "code: shop_on", "1 code", "differs from the file's name; rename the file to shop_on.yml"),
    ("quantity: Qty", "qty: Qty", "23 entities.order_line.columns.qty", "is no field of order_line; known are"),
    ("quantity: Qty", "quantiy: Qty", "23 entities.order_line.columns.quantiy", "did you mean 'quantity'?"),
    (
        "quantity: Qty",
        "total_amount: Qty",
        "23 entities.order_line.columns.total_amount",
        "is a field of order, not of",
    ),
    ("currency: NOK", "curency: NOK", "26 entities.order_line.constants.curency", "did you mean 'currency'?"),
    ("status: {Av", "state: {Av", "29 entities.order_line.values.state", "is no field of order_line"),
    # what an entity needs
    ("      ordered_at: Date\n", "", "16 entities.order_line.columns", "the required field 'ordered_at' is neither in"),
    ("      sku: Article\n", "", "16 entities.order_line.columns", "the required field 'sku' is neither in"),
    ("      line_id: Line\n", "", "14 entities.order_line.key", "a natural key needs a column for 'line_id'"),
    ("      status: State\n", "", "28 entities.order_line.values.status", "has no column to apply to"),
    ("orders_*.csv", "/tmp/*.csv", "15 entities.order_line.files", "no pattern inside the channel's folder"),
    ("orders_*.csv", "../*.csv", "15 entities.order_line.files", "no pattern inside the channel's folder"),
    ("orders_*.csv", '"."', "15 entities.order_line.files", "no pattern inside the channel's folder"),
    ("orders_*.csv", "in/", "15 entities.order_line.files", "no pattern inside the channel's folder"),
    ("orders_*.csv", "in\\*.csv", "15 entities.order_line.files", "no pattern inside the channel's folder"),
    ("orders_*.csv", '"**/*.csv"', "15 entities.order_line.files", "`**` is not supported; name each level"),
    ("orders_*.csv", "in/**", "15 entities.order_line.files", "`**` is not supported; name each level"),
    ("orders_*.csv", "[a.csv, b.csv]", "15 entities.order_line.files", "expected text, found a list"),
    ("sku: Article", 'sku: ""', "22 entities.order_line.columns.sku", "'' names no column"),
    # values
    ("Sverige: SE", "Sverige: SW", "28 entities.order_line.values.country.Sverige", "'SW' is no ISO 3166-1 code"),
    ("currency: NOK", 'currency: NOK\n      sku: ""', "27 entities.order_line.constants.sku", "is empty; give a value"),
    ("country: {Norge: NO, Sverige: SE}", "country: [NO]", "28 entities.order_line.values.country", "found a list"),
    ("currency: NOK", "currency: NKR", "26 entities.order_line.constants.currency", "'NKR' is no ISO 4217 code"),
    ("Avbestilt: cancelled", "Avbestilt: Cancelled", "29 entities.order_line.values.status.Avbestilt", "lower case"),
    ("currency: NOK", "currency: NOK\n      flow: out", "27 entities.order_line.constants.flow", "'out' is no flow"),
    (
        "currency: NOK",
        "currency: NOK\n      tax_amount: 1.00001",
        "27 entities.order_line.constants.tax_amount",
        "no number",
    ),
    (
        "currency: NOK",
        "currency: NOK\n      tax_amount: NaN",
        "27 entities.order_line.constants.tax_amount",
        "no number",
    ),
    (
        "currency: NOK",
        "currency: NOK\n      updated_at: soon",
        "27 entities.order_line.constants.updated_at",
        "no time",
    ),
    ("currency: NOK", "currency: NOK\n      tax_amount: 1,0", "27 entities.order_line.constants.tax_amount", "number"),
    ("%d.%m.%Y %H:%M", "%d.%m. %H:%M", "12 format.datetime", "has no year; give `iso` or a format"),
    ("%d.%m.%Y %H:%M", "%Y", "12 format.datetime", "has no month, no day"),
    ("%d.%m.%Y %H:%M", "%d.%m.%Y %Q", "12 format.datetime", "is no strptime format"),
    # rules
    ("{status: {equals: cancelled}}", "{state: {equals: x}}", "32 entities.order_line.rules[0].when.state", "no field"),
    ("{equals: cancelled}", "{equals: Cancelled}", "32 entities.order_line.rules[0].when.status.equals", "lower case"),
    ("{equals: cancelled}", "{}", "32 entities.order_line.rules[0].when.status", "an empty condition"),
    ("{equals: cancelled}", "{equals: }", "32 entities.order_line.rules[0].when.status.equals", "has no value"),
    ("{equals: cancelled}", '{matches: "[a"}', "32 entities.order_line.rules[0].when.status.matches", "no RE2"),
    (
        "{equals: cancelled}",
        '{matches: "(?=x)"}',
        "32 entities.order_line.rules[0].when.status.matches",
        "no RE2 regular",
    ),
    ("{equals: cancelled}", "{below: 3}", "32 entities.order_line.rules[0].when.status.below", "cannot test 'status'"),
    ("{equals: cancelled}", "{one_of: []}", "32 entities.order_line.rules[0].when.status.one_of", "is empty"),
    ("{equals: cancelled}", "{one_of: x}", "32 entities.order_line.rules[0].when.status.one_of", "expected a list"),
    ("{status: {equals: cancelled}}", "[status]", "32 entities.order_line.rules[0].when", "found a list"),
    (
        "{below: 0}",
        "{below: 1e999999}",
        "35 entities.order_line.rules[1].when.quantity.below",
        "is no number of at most",
    ),
    ("{below: 0}", "{above: 0.00001}", "35 entities.order_line.rules[1].when.quantity.above", "at most 4 decimals"),
    ("{below: 0}", "{matches: x}", "35 entities.order_line.rules[1].when.quantity.matches", "cannot test 'quantity'"),
    ("{below: 0}", "{equals: none}", "35 entities.order_line.rules[1].when.quantity.equals", "'none' is no number"),
    (
        "{quantity: {",
        "{tax_amount: {",
        "35 entities.order_line.rules[1].when.tax_amount",
        "neither in columns nor in constants",
    ),
    ("{below: 0}", "{one_of: [-1, few]}", "35 entities.order_line.rules[1].when.quantity.one_of", "'few' is no number"),
    (
        "{quantity: {below: 0}}",
        "{country: {equals: Norge}}",
        "35 entities.order_line.rules[1].when.country.equals",
        "'Norge'",
    ),
    (
        "{quantity: {below: 0}}",
        "{ordered_at: {equals: x}}",
        "35 entities.order_line.rules[1].when.ordered_at.equals",
        "missing",
    ),
    ("- name: returned", "- name: cancelled", "34 entities.order_line.rules[1].name", "another rule is called"),
    ("        kind: cancellation\n", "", "31 entities.order_line.rules[0]", "either `kind` or `quarantine`"),
    ("kind: cancellation", "kind: xyz", "33 entities.order_line.rules[0].kind", "'xyz' is not known; known are"),
    ("kind: cancellation", "kind: return", "33 entities.order_line.rules[0].kind", "one of sale, cancellation, charge"),
]


@pytest.mark.parametrize(("old", "new", "field", "message"), CHANNEL_FAULTS)
def test_a_fault_in_a_channels_file_disables_that_channel_alone(
    config: Path, old: str, new: str, field: str, message: str
) -> None:
    edit(config / "channels" / "shop_no.yml", old, new)
    loaded = load(config)
    assert set(loaded.channels) == {"steady"}
    where = f"channels/shop_no.yml:{field}" if field else "channels/shop_no.yml"
    assert [(f.where, message in f.message) for f in loaded.faults if f.where == where and message in f.message], (
        f"{where}: ...{message}... is not among\n" + "\n".join(map(str, loaded.faults))
    )
    code = "shop_on" if new == "code: shop_on" else "shop_no"
    assert {fault.channel for fault in loaded.faults} == {code}
    assert check(config) == list(loaded.faults)


def test_line_only_fields_in_rules_of_orders(config: Path) -> None:
    edit(
        config / "channels" / "shop_no.yml",
        "entities:\n",
        dedent("""\
        entities:
          order:
            files: heads_*.csv
            columns: {order_id: Order, ordered_at: Date, country: Country}
            constants: {currency: NOK}
            rules:
              - {name: gift, when: {sku: {equals: GIFT}}, quarantine: no order}
              - {name: odd, when: {order_id: {missing: true}}, kind: charge}
        """),
    )
    assert [str(fault) for fault in load(config).faults] == [
        "channels/shop_no.yml:19 entities.order.rules[0].when.sku: 'sku' is a field of order_line, not of order",
        "channels/shop_no.yml:20 entities.order.rules[1].kind: "
        "a rule of order makes of a row one of sale, cancellation",
    ]


def test_faults_of_refunds(config: Path) -> None:
    edit(
        config / "channels" / "shop_no.yml",
        "entities:\n",
        dedent("""\
        entities:
          refund:
            files: refunds_*.csv
            sign: minus
            columns: {order_id: Order, refunded_at: Date, flow: Flow}
            constants: {currency: NOK}
            rules:
              - {name: gift, when: {sku: {equals: GIFT}}, kind: cancellation}
        """),
    )
    edit(config / "channels" / "shop_no.yml", "  order_line:\n", "  order_line:\n    sign: negative\n")
    told = [str(fault).removeprefix("channels/shop_no.yml:") for fault in load(config).faults]
    assert told == [
        "14 entities.refund.key: a natural key needs a column for 'refund_id'; map it, or set `key: none`",
        "16 entities.refund.sign: 'minus' is not known; known are negative, positive, signed",
        "17 entities.refund.columns: the required field 'amount' is neither in columns nor in constants",
        "17 entities.refund.columns.flow: 'flow' is a field of order, not of refund",
        "20 entities.refund.rules[0].kind: a rule of refund makes of a row one of sale, charge",
        "20 entities.refund.rules[0].when.sku: 'sku' is neither in columns nor in constants, so it is never set",
        "22 entities.order_line.sign: is for amounts of refunds and payments; those of an order_line may have either",
    ]
