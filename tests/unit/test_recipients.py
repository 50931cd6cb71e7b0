"""Lists and their people: nobody without provenance, no row lost, no bad one written to."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from caravan.config.lists import load_lists
from caravan.core.errors import Rejected
from caravan.functions.release.recipients import BadRecipient, Consent, Recipient, read_recipients

LIST = """\
code: newsletter_eu
name: Newsletter
audience: customer
purpose: marketing_email
legal_basis: consent
provenance: Sign-up form of the shops, confirmed by mail
collected_since: 2024-03-01
file: lists/newsletter_eu.csv
variables: [first_name]
"""


def faults_of(tmp_path: Path, text: str, name: str = "newsletter_eu.yml") -> list[str]:
    (tmp_path / "lists").mkdir(exist_ok=True)
    (tmp_path / "lists" / name).write_text(text)
    found, faults = load_lists(tmp_path, {"marketing_email"}, {"DE", "FR"})
    assert bool(found) is not bool(faults)
    return [str(fault) for fault in faults]


def test_a_good_list_is_read(tmp_path):
    assert faults_of(tmp_path, LIST) == []
    found, _ = load_lists(tmp_path, {"marketing_email"}, {"DE"})
    assert found["newsletter_eu"].variables == ("first_name",)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("provenance: Sign-up form of the shops, confirmed by mail\n", "", ":1 provenance: is required"),
        ("Sign-up form of the shops, confirmed by mail", "bought", ":6 provenance: 'bought' says too little"),
        ("legal_basis: consent", "legal_basis: none", ":5 legal_basis"),
        ("marketing_email", "marketing_mail", ":4 purpose: there is no purpose 'marketing_mail'"),
        ("lists/newsletter_eu.csv", "../people.csv", ":8 file: '../people.csv' is no CSV file below CARAVAN_HOME"),
        ("lists/newsletter_eu.csv", "/people.csv", ":8 file"),
        ("code: newsletter_eu", "code: other", ":1 code: 'other' differs from the file's name"),
        ("variables", "variable", "unknown key 'variable'; did you mean 'variables'?"),
        ("audience: customer", "audience: customer\nmarket: DD", ":4 market: there is no market 'DD'"),
        ("audience: customer", "audience: public", ":3 audience"),
    ],
)  # fmt: skip
def test_faults_of_a_list(tmp_path, old, new, fault):
    assert old in LIST
    assert any(fault in line for line in faults_of(tmp_path, LIST.replace(old, new))), faults_of(
        tmp_path, LIST.replace(old, new)
    )


def people(text: str, variables: tuple[str, ...] = ()) -> list[Recipient | BadRecipient]:
    def normalise(address: str) -> tuple[str, str | None]:
        return (address.lower(), None) if "@" in address else ("", "is no address")

    return list(read_recipients(text.splitlines(keepends=True), "list.csv", {"DE", "FR"}, variables, normalise))


def test_a_row_with_everything():
    (found,) = people(
        "address,locale,market,zone,is_customer,consent_state,consent_at,consent_evidence,consent_text,first_name\n"
        'A@b.de,de-DE,DE,Europe/Berlin,Yes,given,2026-03-01T10:30:00+01:00,form 7,v2,"Zoë, <b>"\n',
        ("first_name",),
    )
    consent = Consent("given", datetime(2026, 3, 1, 9, 30), "form 7", "v2")
    assert found == Recipient("a@b.de", 2, "DE", "de-DE", "Europe/Berlin", True, consent, {"first_name": "Zoë, <b>"})
    assert "a@b.de" not in repr(found) and "Zoë" not in repr(found)


def test_an_address_alone_is_enough_and_an_unknown_zone_is_none():
    assert people("address,zone\na@b.de,Mars/Base\n") == [Recipient("a@b.de", 2, None, None, None, False, None)]


@pytest.mark.parametrize(
    ("header", "row", "field_name", "code"),
    [
        ("address", "nobody", "address", "BAD_ADDRESS"),
        ("address,market", "a@b.de,XX", "market", "UNKNOWN_MARKET"),
        ("address,is_customer", "a@b.de,maybe", "is_customer", "NOT_YES_OR_NO"),
        ("address,first_name", "a@b.de, ", "first_name", "VARIABLE_MISSING"),
        ("address,consent_at", "a@b.de,yesterday", "consent_at", "NOT_A_TIME"),
        ("address,market", "a@b.de", "", "WRONG_WIDTH"),
        ("address,market", "a@b.de,DE,more", "", "WRONG_WIDTH"),
    ],
)
def test_a_bad_row_is_named_and_the_next_one_read(header, row, field_name, code):
    variables = ("first_name",) if "first_name" in header else ()
    good = "c@d.de" + ",x" * header.count(",")
    good = good.replace("x", {"market": "FR", "is_customer": "no", "consent_at": "2026-01-01"}.get(header[8:], "x"))
    bad, fine = people(f"{header}\n{row}\n{good}\n", variables)
    assert isinstance(bad, BadRecipient) and isinstance(fine, Recipient)
    assert (bad.row, bad.field_name, bad.reason_code) == (2, field_name, code)
    assert "a@b.de" not in bad.message and fine.address == "c@d.de"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "LIST_HEADER"),
        ("name\nx\n", "LIST_HEADER"),
        ("address,address\nx,y\n", "LIST_HEADER"),
        ('address\n"a@b.de\n', "LIST_BROKEN"),
    ],
)
def test_a_file_that_is_no_list_is_refused(text, code):
    with pytest.raises(Rejected, match=code):
        people(text)
