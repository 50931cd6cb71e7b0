"""Configuration: what is refused, how the fault reads, and what goes on working beside it."""

from __future__ import annotations

import os
import re
import shutil
from decimal import Decimal
from pathlib import Path
from textwrap import dedent

import pytest
from market_case import market_text

from caravan import INCLUDE_DIR, PROJECT_ROOT
from caravan.config.loader import check, load
from caravan.core.errors import Misconfigured

PROJECT = """\
base_currency: EUR
published_marts:
  - mart.rpt_sales__channel_day
"""

# Line numbers in the tests below count in this text.
CHANNEL = """\
code: shop_no
name: Butikk
kind: own
folder: incoming/shop_no
delivery: changes
zone: Europe/Oslo
market: NO
home_country: NO
format:
  type: csv
  delimiter: ";"
  datetime: "%d.%m.%Y %H:%M"
entities:
  order_line:
    files: orders_*.csv
    columns:
      order_id: Order
      line_id: Line
      ordered_at: Date
      country: Country
      status: State
      sku: Article
      quantity: Qty
      unit_price: Price
    constants:
      currency: NOK
    values:
      country: {Norge: NO, Sverige: SE}
      status: {Avbestilt: cancelled}
    rules:
      - name: cancelled
        when: {status: {equals: cancelled}}
        kind: cancellation
      - name: returned
        when: {quantity: {below: 0}}
        kind: cancellation
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A sound configuration: one market, ZZ, one channel."""
    folder = tmp_path / "config"
    (folder / "markets").mkdir(parents=True)
    (folder / "channels").mkdir()
    shutil.copytree(INCLUDE_DIR / "config" / "privacy", folder / "privacy")
    (folder / "project.yml").write_text(PROJECT)
    (folder / "markets" / "no.yml").write_text(market_text())
    (folder / "markets" / "zz.yml").write_text(market_text("ZZ", currency="EUR", zone="UTC"))
    (folder / "channels" / "shop_no.yml").write_text(CHANNEL)
    (folder / "channels" / "steady.yml").write_text(
        CHANNEL.replace("code: shop_no", "code: steady").replace("incoming/shop_no", "incoming/steady")
    )
    return folder


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text, f"the test replaces {old!r}, which is not in {path.name}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_sound_configuration(config: Path) -> None:
    loaded = load(config)
    assert check(config) == []
    assert loaded.faults == ()
    assert set(loaded.channels) == {"shop_no", "steady"}
    assert loaded.project.base_currency == "EUR"
    assert loaded.markets["NO"].country == "NO"
    source = loaded.channels["shop_no"].entities["order_line"]
    assert source.values["country"] == {"Norge": "NO", "Sverige": "SE"}
    assert source.rules[1].when["quantity"].below == Decimal(0)


def test_the_default_configuration_is_sound() -> None:
    loaded = load(INCLUDE_DIR / "config")
    assert [str(fault) for fault in check(INCLUDE_DIR / "config")] == []
    assert set(loaded.markets) == {"DE", "FR", "GB", "US", "JP", "CN", "BR", "AE", "SE", "AU", "ZZ"}
    assert len(loaded.channels) == 8
    assert {channel.delivery for channel in loaded.channels.values()} == {"complete", "changes"}
    assert {channel.kind for channel in loaded.channels.values()} == {"own", "marketplace", "partner"}
    dialects = {channel.format.model_dump_json() for channel in loaded.channels.values()}
    assert len(dialects) == 8


def test_the_guides_examples_are_sound(config: Path) -> None:
    guide = (PROJECT_ROOT / "docs" / "add-a-channel.md").read_text(encoding="utf-8")
    examples = re.findall(r"^```yaml\n# include/config/channels/(\w+)\.yml\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    assert [name for name, _ in examples] == ["shop_se", "shop_web", "market_eu"]
    shutil.copy(INCLUDE_DIR / "config" / "parties.yml", config)
    for name, text in examples:
        (config / "channels" / f"{name}.yml").write_text(text, encoding="utf-8")
    assert [str(fault) for fault in check(config)] == []
    assert {"shop_se", "shop_web", "market_eu"} <= set(load(config).channels)


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
    ("  type: csv", "\ttype: csv", "10", "found character '\\t' that cannot start any token"),
    ("name: Butikk", 'name: "\\UFFFFFFFF"', "2", "\\UFFFFFFFF is no character"),
    ("code: shop_no", f"%YAML {'9' * 5000}.1\n---\ncode: shop_no", "", "is no valid YAML: Exceeds the limit"),
    ("name: Butikk", 'name: "Bu\\0tikk"', "2 name", "has the character U+0000, which cannot be stored"),
    ("folder: incoming", 'folder: "\\ud800"\nx: incoming', "4 folder", "has the character U+D800"),
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


PARTIES = """\
parties:
  dhl: {name: DHL, kind: carrier, country: DE, registration: HRB 6792}
  sf: {name: SF, kind: carrier}
"""
METHODS = """\
methods:
  fair: {name: Fairs, kind: traditional, description: Trade fairs}
"""


def test_faults_of_payments(config: Path) -> None:
    (config / "parties.yml").write_text(PARTIES)
    edit(
        config / "channels" / "shop_no.yml",
        "entities:\n",
        dedent("""\
        entities:
          payment:
            files: payments_*.csv
            key: none
            delivery: complet
            sign: signed
            columns: {paid_at: Date, amount: Sum, party: By}
            constants: {currency: NOK, party: dhll}
            values:
              party: {"SF Express": sf, "DHL Norge": dlh, "": ""}
            rules:
              - {name: gift, when: {party: {equals: whoever}}, kind: sale}
        """),
    )
    edit(config / "channels" / "steady.yml", "  order_line:\n", "  order_line:\n    delivery: complete\n")
    told = [str(fault).removeprefix("channels/shop_no.yml:") for fault in load(config).faults]
    assert told == [
        "16 entities.payment.key: each payment is named by its payment_id; `key: none` is for lines and refunds",
        "17 entities.payment.delivery: 'complet' is not known; did you mean 'complete'?",
        "19 entities.payment.columns: the required field 'payment_id' is neither in columns nor in constants",
        "20 entities.payment.constants.party: there is no party 'dhll' in parties.yml; did you mean 'dhl'?",
        "22 entities.payment.values.party.DHL Norge: there is no party 'dlh' in parties.yml; did you mean 'dhl'?",
        "24 entities.payment.rules[0].kind: "
        "a rule of payment makes of a row one of capture, authorization, chargeback, failed",
    ]
    edit(config / "parties.yml", "kind: carrier}", "kind: courier}")
    with pytest.raises(Misconfigured) as caught:
        load(config)
    assert not [fault for fault in caught.value.faults if "'sf'" in fault.message], "not the channel's fault"


def test_offers(config: Path) -> None:
    offer = dedent("""\
        entities:
          offer:
            files: stock_*.csv
            columns: {sku: Article, offered_at: At, price: Price, availability: State}
            constants: {currency: NOK, country: "NO"}
            values:
              availability: {Ja: in_stock, Nei: sold_out}
    """)
    edit(config / "channels" / "shop_no.yml", "delivery: changes", "delivery: complete")
    edit(config / "channels" / "shop_no.yml", "entities:\n", offer)
    (fault,) = load(config).faults
    assert str(fault) == (
        "channels/shop_no.yml:19 entities.offer.values.availability.Nei: 'sold_out' is no availability"
        "; known are backorder, discontinued, in_stock, out_of_stock, preorder"
    )
    edit(config / "channels" / "shop_no.yml", "sold_out", "out_of_stock")
    channel = load(config).channels["shop_no"]
    assert channel.is_complete("order_line")
    assert not channel.is_complete("offer"), "what was offered yesterday is not undone by today's file"
    edit(config / "channels" / "shop_no.yml", "    columns: {sku", "    delivery: complete\n    columns: {sku")
    assert load(config).channels["shop_no"].is_complete("offer")
    edit(config / "channels" / "shop_no.yml", "sku: Article, offered_at: At, ", "sku: Article, ")
    assert [fault.message for fault in load(config).faults] == [
        "a natural key needs a column for 'offered_at'; map it",
        "the required field 'offered_at' is neither in columns nor in constants",
    ]


def test_an_entity_may_be_delivered_in_another_way_than_the_others(config: Path) -> None:
    edit(config / "channels" / "shop_no.yml", "  order_line:\n", "  order_line:\n    delivery: complete\n")
    channels = load(config).channels
    assert (channels["shop_no"].is_complete("order_line"), channels["shop_no"].delivery) == (True, "changes")
    assert not channels["steady"].is_complete("order_line")


# (file, what is replaced, by what, where, a part of the message)
GLOBAL_FAULTS = [
    ("project.yml", "base_currency: EUR", "base_currency: EURO", "project.yml:1 base_currency", "'EURO'"),
    ("project.yml", "base_currency: EUR", "base_currency: EUX", "project.yml:1 base_currency", "no ISO 4217 code"),
    ("project.yml", "base_currency", "base_curency", "project.yml:1 base_curency", "did you mean 'base_currency'?"),
    ("project.yml", "mart.rpt", "stg.rpt", "project.yml:3 published_marts[0]", "is no mart"),
    ("project.yml", PROJECT, "- EUR\n", "project.yml:1", "is no mapping"),
    ("project.yml", PROJECT, "# nothing\n", "project.yml:1", "is empty"),
    ("project.yml", PROJECT, "a: 1\n---\nb: 2\n", "project.yml:2", "is no valid YAML"),
    ("markets/no.yml", "NOK", "NKR", "markets/no.yml:6 money[0].currency", "no ISO 4217 code"),
    ("markets/no.yml", "country: NO", "country: UK", "markets/no.yml:3 country", "no ISO 3166-1 code"),
    ("markets/no.yml", "country: NO", "country: ZZ", "markets/no.yml:3 country", "no ISO 3166-1 code"),
    ("markets/no.yml", "code: NO", "code: no", "markets/no.yml:1 code", "does not have the form"),
    ("markets/no.yml", "code: NO", "code: NX", "markets/no.yml:1 code", "rename the file to nx.yml"),
    ("markets/no.yml", "zone: Europe/Oslo", "zone: Oslo", "markets/no.yml:4 zone", "no IANA time zone"),
    ("markets/no.yml", "zone: Europe/Oslo", "zones: Oslo", "markets/no.yml:4 zones", "did you mean 'zone'?"),
    (
        "markets/zz.yml",
        "country: ZZ",
        "country: NO",
        "markets/no.yml:3 country",
        "of markets/zz.yml; a country has one",
    ),
    (
        "markets/zz.yml",
        "country: ZZ",
        "country: NO",
        "markets/zz.yml:3 country",
        "of markets/no.yml; a country has one",
    ),
]


def test_parties_and_methods(config: Path) -> None:
    assert (load(config).parties, load(config).methods) == ({}, {}), "the files may be missing"
    (config / "parties.yml").write_text(PARTIES)
    (config / "methods.yml").write_text(METHODS)
    loaded = load(config)
    assert (loaded.parties["dhl"].registration, loaded.parties["sf"].country) == ("HRB 6792", None)
    assert loaded.methods["fair"].kind == "traditional"


# (file, what is replaced, by what, where, a part of the message)
REGISTER_FAULTS = [
    ("parties.yml", "kind: carrier, c", "kind: carier, c", "parties.yml:2 parties.dhl.kind", "did you mean 'carrier'?"),
    ("parties.yml", "country: DE", "country: UK", "parties.yml:2 parties.dhl.country", "no ISO 3166-1 code"),
    ("parties.yml", "sf:", "SF:", "parties.yml:3 parties.SF", "does not have the form"),
    ("parties.yml", "sf:", "dhl:", "parties.yml:3 parties.dhl", "is given twice"),
    ("parties.yml", "sf:", "unknown:", "parties.yml:3 parties.unknown", "stands for what no entry names"),
    (
        "parties.yml",
        "kind: carrier}",
        "kind: other, country: DE, registration: HRB 6792}",
        "parties.yml:3 parties.sf.registration",
        "also that of dhl",
    ),
    ("parties.yml", "parties:", "partys:", "parties.yml:1 partys", "did you mean 'parties'?"),
    ("methods.yml", "kind: traditional, ", "", "methods.yml:2 methods.fair.kind", "is required"),
    ("methods.yml", "fair:", "unknown:", "methods.yml:2 methods.unknown", "stands for what no entry names"),
    ("methods.yml", METHODS, "fair\n", "methods.yml:1", "is no mapping"),
]


@pytest.mark.parametrize(("file", "old", "new", "where", "message"), REGISTER_FAULTS)
def test_a_fault_of_a_register_stands_in_the_one_report(
    config: Path, file: str, old: str, new: str, where: str, message: str
) -> None:
    (config / "parties.yml").write_text(PARTIES)
    (config / "methods.yml").write_text(METHODS)
    edit(config / file, old, new)
    edit(config / "project.yml", "base_currency: EUR", "base_currency: EURO")
    with pytest.raises(Misconfigured) as caught:
        load(config)
    found = {fault.where: fault.message for fault in caught.value.faults}
    assert message in found.get(where, ""), str(caught.value)
    assert "project.yml:1 base_currency" in found
    assert len(found) <= 3


@pytest.mark.parametrize(("file", "old", "new", "where", "message"), GLOBAL_FAULTS)
def test_a_fault_of_everything_stops_everything(
    config: Path, file: str, old: str, new: str, where: str, message: str
) -> None:
    edit(config / file, old, new)
    with pytest.raises(Misconfigured) as caught:
        load(config)
    found = [fault for fault in caught.value.faults if fault.where == where and message in fault.message]
    assert found, str(caught.value)
    assert found[0].channel is None


def test_all_faults_come_in_one_report(config: Path) -> None:
    edit(config / "project.yml", "EUR", "EUX")
    edit(config / "markets" / "no.yml", "NOK", "NKR")
    edit(config / "channels" / "shop_no.yml", "kind: own", "kindd: own")
    edit(config / "channels" / "shop_no.yml", "quantity: Qty", "qty: Qty")
    with pytest.raises(Misconfigured) as caught:
        load(config)
    assert [fault.where for fault in caught.value.faults] == [
        "channels/shop_no.yml:1 kind",
        "channels/shop_no.yml:3 kindd",
        "channels/shop_no.yml:16 entities.order_line.columns",
        "channels/shop_no.yml:23 entities.order_line.columns.qty",
        "channels/shop_no.yml:35 entities.order_line.rules[1].when.quantity",
        "markets/no.yml:6 money[0].currency",
        "project.yml:1 base_currency",
    ]
    assert str(caught.value).startswith("7 faults found:\n  - channels/shop_no.yml:1 kind: is required\n")


def test_a_market_that_is_broken_brings_its_channels_no_fault(config: Path) -> None:
    edit(config / "markets" / "no.yml", "code: NO", "code: [")
    with pytest.raises(Misconfigured) as caught:
        load(config)
    assert {fault.where.split(":")[0] for fault in caught.value.faults} == {"markets/no.yml"}


@pytest.mark.parametrize(
    ("remove", "where", "message"),
    [
        (".", "", "is no folder; set CARAVAN_CONFIG"),
        ("project.yml", "project.yml", "cannot be read: No such file"),
        ("markets", "markets", "cannot be read: No such file"),
        ("channels", "channels", "cannot be read: No such file"),
        ("privacy", "privacy", "cannot be read: No such file"),
        ("markets/zz.yml", "markets/zz.yml", "is missing"),
    ],
)
def test_missing_parts(config: Path, remove: str, where: str, message: str) -> None:
    path = config / remove
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    faults = [fault for fault in check(config) if fault.channel is None]
    assert [fault.where for fault in faults if message in fault.message] == [where or str(config)]
    with pytest.raises(Misconfigured):
        load(config)


def test_no_market(config: Path) -> None:
    for path in (config / "markets").iterdir():
        path.unlink()
    assert "markets: no market; add one file for each, e.g. markets/de.yml" in map(str, check(config))


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("bad.yml", b"name: \xff\n", "channels/bad.yml:1: byte 0xff is not UTF-8; save the file as UTF-8"),
        ("bad.yml", b"a: 1\nb: caf\xe9\n", "channels/bad.yml:2: byte 0xe9 is not UTF-8; save the file as UTF-8"),
        ("bad.yml", b"", "channels/bad.yml:1: is empty; expected `key: value` lines"),
        ("bad.yml", b"[" * 5000, "channels/bad.yml: is nested too deeply"),
        ("bad.yml", None, "channels/bad.yml: cannot be read: Is a directory"),
        ("bad.yaml", b"code: bad\n", "channels/bad.yaml: ends in .yaml, which is not read; rename it to bad.yml"),
    ],
)
def test_files_that_cannot_be_read(config: Path, name: str, content: bytes | None, fault: str) -> None:
    path = config / "channels" / name
    path.mkdir() if content is None else path.write_bytes(content)
    loaded = load(config)
    assert [str(each) for each in loaded.faults] == [fault]
    assert loaded.faults[0].channel == "bad"
    assert set(loaded.channels) == {"shop_no", "steady"}


@pytest.mark.parametrize("value", ["", " [a]", " nothing"])
def test_an_entity_of_the_wrong_type_is_one_fault(config: Path, value: str) -> None:
    path = config / "channels" / "shop_no.yml"
    path.write_text(CHANNEL[: CHANNEL.index("  order_line:")] + f"  order_line:{value}\n")
    assert [fault.where for fault in load(config).faults] == ["channels/shop_no.yml:14 entities.order_line"]


def test_a_value_that_cannot_be_stored_is_one_fault(config: Path) -> None:
    edit(config / "channels" / "shop_no.yml", "name: Butikk", 'name: "\\0"')
    assert [fault.where for fault in load(config).faults] == ["channels/shop_no.yml:2 name"]


def test_a_file_name_that_is_no_utf8_is_shown_and_hashed(config: Path) -> None:
    with open(os.fsencode(config) + b"/channels/caf\xe9.yml", "w") as file:
        file.write(CHANNEL.replace("incoming/shop_no", "incoming/cafe"))
    loaded = load(config)
    assert "channels/caf\\xe9.yml:1 code" in {fault.where for fault in loaded.faults}
    assert len(loaded.hash) == 64


def test_aliases_that_blow_up_are_refused(config: Path) -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)
    )
    (config / "channels" / "bomb.yml").write_text(bomb)
    assert "has more than 100,000 values" in load(config).faults[0].message


def test_two_channels_with_one_code_are_both_disabled(config: Path) -> None:
    edit(config / "channels" / "steady.yml", "code: steady", "code: shop_no")
    loaded = load(config)
    assert loaded.channels == {}
    messages = {str(fault) for fault in loaded.faults}
    assert (
        "channels/shop_no.yml:1 code: 'shop_no' is also the code of channels/steady.yml; each channel has its own"
        in messages
    )
    assert (
        "channels/steady.yml:1 code: 'shop_no' is also the code of channels/shop_no.yml; each channel has its own"
        in messages
    )


BOTH = {"shop_no", "steady"}


@pytest.mark.parametrize(
    ("folder", "files", "enabled", "usable"),
    [
        ("incoming/shop_no", "orders_*.csv", "yes", set()),
        ("./incoming//shop_no/", "./orders_*.csv", "yes", set()),
        ("incoming/x/../shop_no", "orders_*.csv", "yes", set()),
        ("{home}/incoming/shop_no", "orders_*.csv", "yes", set()),
        ("linked", "orders_*.csv", "yes", set()),
        ("incoming", "shop_no/orders_*.csv", "yes", set()),
        ("incoming", "*/orders_*.csv", "yes", set()),
        ("incoming/shop_no", "*.csv", "yes", set()),
        ("incoming/shop_no", "orders_se_*.csv", "yes", set()),
        ("incoming/shop_no", "orders_2026.csv", "yes", set()),
        ("incoming/shop_no", "orders_*.csv", "no", BOTH),
        ("incoming/another", "orders_*.csv", "yes", BOTH),
        ("incoming/shop_no", "lines_*.csv", "yes", BOTH),
        ("incoming/shop_no", "*/orders_*.csv", "yes", BOTH),
        # They may have a file in common and need not: the files decide.
        ("incoming/shop_no", "*_lines.csv", "yes", BOTH),
        ("incoming/shop_no", "orders_[0-9].csv", "yes", BOTH),
    ],
)
def test_two_channels_that_read_the_same_files(
    config: Path, tmp_path: Path, folder: str, files: str, enabled: str, usable: set[str]
) -> None:
    (tmp_path / "incoming" / "shop_no").mkdir(parents=True)
    (tmp_path / "linked").symlink_to("incoming/shop_no")
    path = config / "channels" / "steady.yml"
    edit(path, "folder: incoming/steady", f"folder: {folder.format(home=tmp_path)}\nenabled: {enabled}")
    edit(path, "orders_*.csv", f'"{files}"')
    loaded = load(config, tmp_path)
    assert set(loaded.channels) == usable
    assert {fault.channel for fault in loaded.faults} == BOTH - usable
    assert all("reads the same files; one order would count twice" in fault.message for fault in loaded.faults)
    assert check(config, tmp_path) == list(loaded.faults)


def test_two_entities_that_read_the_same_files(config: Path) -> None:
    head = "columns: {order_id: O, ordered_at: D, country: C, currency: V}"
    edit(config / "channels" / "shop_no.yml", "entities:\n", f'entities:\n  order: {{files: "*.csv", {head}}}\n')
    message = "reads the same files; one order would count twice: give each its own folder or names"
    assert [str(fault) for fault in load(config).faults] == [
        f"channels/shop_no.yml:14 entities.order.files: entities.order_line {message}",
        f"channels/shop_no.yml:16 entities.order_line.files: entities.order {message}",
    ]


def test_relative_folders_lie_in_the_home_of_the_environment(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(config / "channels" / "steady.yml", "incoming/steady", f"{tmp_path}/incoming/shop_no")
    assert check(config, tmp_path / "elsewhere") == []
    monkeypatch.setenv("CARAVAN_HOME", str(tmp_path))
    assert len(check(config)) == 2


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("NO", "NO"),
        ("no", "no"),
        ("on", "on"),
        ("010", "010"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("2026-10-30", "2026-10-30"),
        ("1e3", "1e3"),
        ('"null"', "null"),
        ("'EIRE '", "EIRE "),
        ("=", "="),
        ("<<", "<<"),
    ],
)
def test_text_stays_as_typed(config: Path, typed: str, read: str) -> None:
    edit(config / "channels" / "shop_no.yml", "sku: Article", f"sku: {typed}")
    edit(config / "channels" / "shop_no.yml", "Sverige: SE", f"{typed}: SE")
    source = load(config).channels["shop_no"].entities["order_line"]
    assert source.columns["sku"] == read
    assert source.values["country"] == {"Norge": "NO", read: "SE"}


def test_types_come_from_the_model(config: Path) -> None:
    path = config / "channels" / "shop_no.yml"
    edit(path, 'delimiter: ";"', 'delimiter: "\\t"')
    edit(path, "folder:", "settle_seconds: 0\nenabled: false\nmax_deleted_share: 0.05\nbusiness_zone: ~\nfolder:")
    edit(path, "{below: 0}", "{equals: 0}")
    edit(path, "{equals: cancelled}", "{one_of: [cancelled, refunded]}")
    channel = load(config).channels["shop_no"]
    assert channel.format.delimiter == "\t"
    assert (channel.settle_seconds, channel.enabled, channel.business_zone) == (0, False, None)
    assert channel.max_deleted_share == Decimal("0.05")
    rules = channel.entities["order_line"].rules
    assert rules[0].when["status"].one_of == ("cancelled", "refunded")
    assert rules[1].when["quantity"].equals == Decimal(0)
    assert isinstance(rules[1].when["quantity"].equals, Decimal)


def test_what_may_look_odd_but_is_meant(config: Path) -> None:
    path = config / "channels" / "shop_no.yml"
    edit(path, "currency: NOK", "currency: NOK\n      country: ZZ")  # where the column is empty
    edit(path, "country: {Norge", 'quantity: {en halv: "0,5"}\n      country: {"?": "", Norge')
    edit(path, "{quantity: {below: 0}}", "{flow: {equals: export}, quantity: {one_of: [-1, -2.5]}}")
    source = load(config).channels["shop_no"].entities["order_line"]
    assert source.constants["country"] == "ZZ"
    assert source.values["quantity"] == {"en halv": "0,5"}
    assert source.values["country"]["?"] == ""
    assert source.rules[1].when["quantity"].one_of == ("-1", "-2.5")


def test_anchors_serve_for_values_used_twice(config: Path) -> None:
    path = config / "channels" / "shop_no.yml"
    head = "files: heads_*.csv, columns: {order_id: O, ordered_at: D, country: C, currency: V, status: S}"
    values = "{country: {Norge: NO}, status: {Avbestilt: cancelled}}"
    edit(path, "entities:\n", f"entities:\n  order: {{{head}, values: &values {values}}}\n")
    edit(
        path,
        "values:\n      country: {Norge: NO, Sverige: SE}\n      status: {Avbestilt: cancelled}",
        "values: *values",
    )
    entities = load(config).channels["shop_no"].entities
    assert entities["order"].values == entities["order_line"].values
    assert entities["order_line"].values["country"] == {"Norge": "NO"}


def test_the_hash_says_whether_anything_changed(config: Path) -> None:
    before = load(config).hash
    assert len(before) == 64
    assert load(config).hash == before
    (config / ".hidden").write_text("an editor's file")
    assert load(config).hash == before
    edit(config / "channels" / "steady.yml", "name: Butikk", "name: Butikken")
    changed = load(config).hash
    assert changed != before
    (config / "channels" / "steady.yml").rename(config / "channels" / "steady.off")
    renamed = load(config).hash
    assert renamed not in (before, changed)


def test_the_hash_does_not_depend_on_where_the_configuration_lies(config: Path, tmp_path: Path) -> None:
    shutil.copytree(config, tmp_path / "elsewhere")
    assert load(tmp_path / "elsewhere").hash == load(config).hash
