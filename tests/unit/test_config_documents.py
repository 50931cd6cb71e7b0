"""Payments, shipments and offers of a channel, and the registers of parties and methods."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from config_case import edit, write_config

from caravan.config.loader import load
from caravan.core.errors import Misconfigured


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path)


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
