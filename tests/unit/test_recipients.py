"""Lists and their people: nobody without provenance, no row lost, no bad one written to."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from caravan.assembly.outlets import normaliser
from caravan.config.lists import RecipientList, load_lists
from caravan.core.errors import Rejected
from caravan.functions.release.reading import Reading, Tally, has_fallen, reading_id, said
from caravan.functions.release.recipients import BadRecipient, Consent, Recipient, Unfit, read_recipients

NOW = datetime(2026, 11, 25, 9, 30)

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
    def normalise(address: str) -> str | Unfit:
        return address.lower() if "@" in address else Unfit("BAD_ADDRESS", "is no address")

    lines = text.splitlines(keepends=True)
    return list(read_recipients(lines, "list.csv", {"DE", "FR"}, variables, normalise, NOW))


def test_a_name_does_not_turn_what_comes_after_it():
    """U+202E writes all that follows from right to left; signs that only join letters stay."""
    (found,) = people("address,first_name\na@b.de,\u202eZo\u2066e\u2069 \u0646\u200c\u0627\n")
    assert found.variables == {"first_name": "Zoe \u0646\u200c\u0627"}


def test_a_row_with_everything():
    (found,) = people(
        "address,locale,market,zone,is_customer,consent_state,consent_at,consent_evidence,consent_text,first_name\n"
        'A@b.de,de-DE,DE,Europe/Berlin,Yes,given,2026-03-01T10:30:00+01:00,form 7,v2,"Zoë, <b>"\n',
        ("first_name",),
    )
    consent = Consent("given", datetime(2026, 3, 1, 9, 30), "form 7", "v2")
    assert found == Recipient("a@b.de", 2, "DE", "de-DE", "Europe/Berlin", True, consent, {"first_name": "Zoë, <b>"})
    assert "a@b.de" not in repr(found) and "Zoë" not in repr(found)


@pytest.mark.parametrize(
    ("written", "locale"),
    [("pt-BR", "pt-BR"), ("pt_br", "pt-BR"), ("EN", "en"), ("", None), ("english", None), ("en-@@@", None)],
)
def test_a_language_is_a_tag_or_none(written, locale):
    (found,) = people(f"address,locale\na@b.de,{written}\n")
    assert found.locale == locale


def test_an_address_alone_is_enough_and_an_unknown_zone_is_none():
    assert people("address,zone\na@b.de,Mars/Base\n") == [Recipient("a@b.de", 2, None, None, None, False, None)]


@pytest.mark.parametrize(
    ("header", "row", "field_name", "code"),
    [
        ("address", "nobody", "address", "BAD_ADDRESS"),
        ("address,market", "a@b.de,XX", "market", "UNKNOWN_MARKET"),
        ("address,is_customer", "a@b.de,maybe", "is_customer", "NOT_YES_OR_NO"),
        ("address,first_name", "a@b.de, ", "first_name", "VARIABLE_MISSING"),
        ("address,first_name", "a@b.de,A\0na", "first_name", "NOT_TEXT"),
        ("address,consent_at,consent_state", "a@b.de,yesterday,given", "consent_at", "NOT_A_TIME"),
        ("address,consent_at,consent_state", "a@b.de,9999-12-31T23:59:59-01:00,given", "consent_at", "NOT_A_TIME"),
        ("address,consent_at,consent_state", "a@b.de,0001-01-01T00:00:00+01:00,given", "consent_at", "NOT_A_TIME"),
        ("address,consent_at,consent_state", "a@b.de,2026-11-25T09:30:01Z,given", "consent_at", "NOT_YET_SAID"),
        ("address,consent_at,consent_state", "a@b.de,2026-11-26T10:00:00Z,withdrawn", "consent_at", "NOT_YET_SAID"),
        ("address,consent_at,consent_state", "a@b.de,2026-01-01,granted", "consent_state", "NOT_A_STATE"),
        ("address,consent_at,consent_state", "a@b.de,2026-01-01,", "consent_state", "NO_STATE"),
        ("address,market", "a@b.de", "", "WRONG_WIDTH"),
        ("address,market", "a@b.de,DE,more", "", "WRONG_WIDTH"),
    ],
)
def test_a_bad_row_is_named_and_the_next_one_read(header, row, field_name, code):
    variables = ("first_name",) if "first_name" in header else ()
    fit = {"market": "FR", "is_customer": "no", "consent_at": "2026-01-01", "consent_state": "given"}
    good = ",".join(fit.get(name, "c@d.de") for name in header.split(","))
    bad, fine = people(f"{header}\n{row}\n{good}\n", variables)
    assert isinstance(bad, BadRecipient) and isinstance(fine, Recipient)
    assert (bad.row, bad.field_name, bad.reason_code) == (2, field_name, code)
    assert "a@b.de" not in bad.message and fine.address == "c@d.de"


@pytest.mark.parametrize(
    "row", ["consent_at\na@b.de,2026-01-01", "consent_evidence\na@b.de,form 7", "consent_text\na@b.de,v1"]
)
def test_a_time_or_a_proof_without_what_was_said_is_no_yes(row):
    (bad,) = people(f"address,{row}\n")
    assert isinstance(bad, BadRecipient)
    assert (bad.field_name, bad.reason_code, bad.refusal) == ("consent_state", "NO_STATE", None)


def test_a_no_counts_and_can_be_stored_whatever_its_evidence_holds():
    (bad,) = people("address,consent_state,consent_at,consent_evidence\na@b.de,withdrawn,2026-01-01,fo\0rm\n")
    assert (bad.reason_code, bad.refusal) == ("NOT_TEXT", Consent("withdrawn", datetime(2026, 1, 1), "fo?rm", ""))


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("address\na\nb@b.de\nc\n", [2, 3, 4]),
        ('address,note\na,"x\ny"\nb@b.de,\n\nc,"x\r\ny\r\nz"\nd,\n', [2, 4, 6, 9]),
        ('"address\n",note\n\n\na,\n', [5]),
    ],
)
def test_a_row_has_the_number_of_the_line_at_which_it_begins(text, lines):
    assert [each.row for each in people(text)] == lines


def test_a_quote_that_nobody_ends_is_told_where_it_begins():
    with pytest.raises(Rejected, match=r"^LIST_BROKEN: list\.csv:3: the row that begins here: "):
        people('address,note\na@b.de,"x"\n"c@d.de,\ne@f.de,\n')


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


@pytest.mark.parametrize(
    ("said", "at"),
    [
        (",DE,withdrawn,2026-03-01,form,", datetime(2026, 3, 1)),  # a variable is missing
        ("A,XX,objected,2026-03-01,form,", datetime(2026, 3, 1)),
        ("A,DE,unsubscribed,2026-03-01,form,", datetime(2026, 3, 1)),
        ("A,DE,withdrawn,last week,form,", NOW),
        ("A,DE,withdrawn,2027-03-01,form,", NOW),
    ],
)
def test_a_no_counts_whatever_else_is_wrong_with_its_row(said, at):
    header = "address,first_name,market,consent_state,consent_at,consent_evidence,consent_text"
    (row,) = people(f"{header}\na@b.de,{said}\n", ("first_name",))
    assert isinstance(row, BadRecipient) and row.refusal is not None
    assert (row.address, row.refusal.at) == ("a@b.de", at)
    assert "a@b.de" not in repr(row)


def test_a_yes_in_a_bad_row_counts_for_nothing():
    (row,) = people("address,market,consent_state,consent_at\na@b.de,XX,given,2026-03-01\n")
    assert isinstance(row, BadRecipient) and row.refusal is None


def a_list(tmp_path: Path, **changes: str) -> RecipientList:
    (tmp_path / "lists").mkdir(exist_ok=True)
    text = "".join(f"{key}: {value}\n" for key, value in changes.items())
    kept = [line for line in LIST.splitlines(keepends=True) if line.partition(":")[0] not in changes]
    (tmp_path / "lists" / "newsletter_eu.yml").write_text("".join(kept) + text)
    found, faults = load_lists(tmp_path, {"marketing_email"}, {"DE", "FR"})
    assert faults == []
    return found["newsletter_eu"]


@pytest.mark.parametrize(
    ("audience", "address", "expected"),
    [
        ("customer", "Anna@Example.com", "Anna@example.com"),
        ("customer", "info@example.com", "ROLE_ADDRESS"),
        ("customer", "sales+de@example.com", "ROLE_ADDRESS"),
        ("partner", "sales@example.com", "sales@example.com"),
        ("press", "info@paper.example.com", "info@paper.example.com"),
        ("press", "info@", "BAD_ADDRESS"),
        ("customer", "a@b.de\r\nBcc: x@y.de", "BAD_ADDRESS"),
        ("customer", "anna@bücher.example.com", "anna@xn--bcher-kva.example.com"),
        ("customer", "zoë@example.com", "zoë@example.com"),
    ],
)
def test_which_addresses_are_written_to_says_the_audience(tmp_path, audience, address, expected):
    found = normaliser(a_list(tmp_path, audience=audience))(address)
    assert (found.reason_code if isinstance(found, Unfit) else found) == expected
    assert not isinstance(found, Unfit) or address not in found.message


def test_what_a_list_holds_is_counted_and_adds_up(tmp_path):
    of_list = a_list(tmp_path, variables="[]", market="DE")
    tally = Tally(of_list)
    given = "given,2026-03-01T00:00:00Z,form,v1"
    rows = people(
        "address,market,consent_state,consent_at,consent_evidence,consent_text\n"
        f"a@b.de,,pending,2026-02-01T00:00:00Z,form,v1\na@b.de,,{given}\nA@B.DE,DE,{given}\n"
        f"c@d.de,FR,,,,\nc@d.de,FR,,,,\nnobody,FR,,,,\n"
    )
    for row in rows:
        tally.take(row)
    assert tally.reading() == Reading(received=6, taken=3, duplicate=2, bad=1, people={"DE": 1, "FR": 1})
    assert Tally(of_list).reading() == Reading(0, 0, 0, 0, {})
    words = [said(row, of_list, "subject") for row in rows]
    assert [word and word.state for word in words] == ["pending", "given", "given", None, None, None]


def test_the_same_content_under_other_rules_is_another_reading(tmp_path):
    known, markets = a_list(tmp_path), ["DE", "FR"]
    readings = [
        (known, "hash", markets, "key"),
        (known, "other", markets, "key"),
        (known, "hash", ["DE"], "key"),
        (known, "hash", markets, "another key"),
        (a_list(tmp_path, audience="press"), "hash", markets, "key"),
        (a_list(tmp_path, market="DE"), "hash", markets, "key"),
        (a_list(tmp_path, variables="[]"), "hash", markets, "key"),
        (known.model_copy(update={"purpose": "survey"}), "hash", markets, "key"),
    ]
    assert len({reading_id(*each) for each in readings}) == len(readings)
    assert reading_id(known, "hash", ["FR", "DE"], "key") == reading_id(*readings[0])


@pytest.mark.parametrize(
    ("before", "now", "markets", "fallen"),
    [
        ({"DE": 100}, {"DE": 50}, ["DE"], None),
        ({"DE": 100}, {"DE": 49}, ["DE"], (100, 49)),
        ({"DE": 100, "FR": 900}, {"DE": 100, "FR": 1}, ["DE"], None),
        ({"DE": 100, "FR": 900}, {"DE": 100, "FR": 1}, ["DE", "FR"], (1000, 101)),
        ({"DE": 1}, {}, ["DE"], (1, 0)),
        ({}, {}, ["DE"], None),
        ({"FR": 5}, {"DE": 5}, ["DE"], None),
    ],
)
def test_more_than_half_gone(before, now, markets, fallen):
    assert has_fallen(before, now, markets) == fallen
