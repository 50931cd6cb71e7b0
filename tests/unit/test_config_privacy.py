"""The privacy files: what is refused, how the fault reads, which rows come of them, and what stands in them now."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import date, datetime
from functools import cache
from pathlib import Path

import pytest

from caravan import INCLUDE_DIR, SQL_DIR
from caravan.cli import main as cli
from caravan.cli.check import personal_classes, personal_data_faults
from caravan.config.loader import load
from caravan.config.privacy import read_privacy, table_faults
from caravan.config.types import Configuration
from caravan.core.errors import Fault
from caravan.core.privacy import Policies, PolicyRow, allowed, exportable
from caravan.warehouse.catalog import load_models

TODAY = date(2026, 11, 22)
DEFAULT = INCLUDE_DIR / "config" / "privacy"

PURPOSES = """\
purposes:
  news: {description: Newsletters., channels: [email], keeps: [contact, pseudonym]}
  count: {description: Counting.}
"""
TABLES = """\
tables:
  mart.reader: news
"""
# Line numbers in the tests below count in this text.
LAW = """\
code: LAW
name: A law
note: to be confirmed
terms:
  - {valid_from: 2020-01-01, valid_to: 2024-01-01, request_sla_days: 30, erase_sla_days: 20, residency: [], source: t1}
  - {valid_from: 2024-01-01, request_sla_days: 15, erase_sla_days: 10, residency: [EEA, JP], source: t2}
purposes:
  news:
    - valid_from: 2021-01-01
      valid_to: 2025-01-01
      legal_basis: consent
      consent_type: opt_in
      soft_opt_in: true
      retention_days: 700
      source: s1
    - valid_from: 2025-01-01
      legal_basis: legitimate_interests
      consent_type: opt_out
      optout_signals: [gpc]
      retention_days: 300
      source: s2
  count:
    - {valid_from: 2020-01-01, legal_basis: notice, consent_type: opt_out, source: s3}
"""
FILES = {"purposes.yml": PURPOSES, "tables.yml": TABLES, "law.yml": LAW}


@cache
def delivered() -> Configuration:
    return load(INCLUDE_DIR / "config")


def read_files(folder: Path, files: Mapping[str, str]) -> tuple[Policies, list[Fault]]:
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return read_privacy([(folder / name, f"privacy/{name}") for name in sorted(files)])


def test_a_row_is_a_version_of_a_purpose_on_the_days_of_its_terms(tmp_path: Path) -> None:
    policies, faults = read_files(tmp_path, FILES)
    assert faults == []
    rows = policies.regimes["LAW"].rows
    assert [
        (row.purpose, str(row.valid_from), str(row.valid_to), row.consent_type, row.request_sla_days, row.source)
        for row in rows
    ] == [
        ("news", "2021-01-01", "2024-01-01", "opt_in", 30, "s1; terms: t1"),
        ("news", "2024-01-01", "2025-01-01", "opt_in", 15, "s1; terms: t2"),
        ("news", "2025-01-01", "None", "opt_out", 15, "s2; terms: t2"),
        ("count", "2020-01-01", "2024-01-01", "opt_out", 30, "s3; terms: t1"),
        ("count", "2024-01-01", "None", "opt_out", 15, "s3; terms: t2"),
    ]
    first, last = rows[0], rows[2]
    assert (first.residency, first.has_soft_opt_in, first.optout_signals) == (frozenset(), True, frozenset())
    assert last.residency is not None
    assert {"DE", "NO", "JP"} < last.residency
    assert not {"EEA", "GB"} & last.residency
    assert (last.has_soft_opt_in, last.optout_signals, last.retention_days) == (False, frozenset(["gpc"]), 300)
    assert policies.tables == {"mart.reader": "news"}
    assert policies.purposes["news"].keeps == {"contact", "pseudonym"}


# (file, what is replaced, by what, where the fault is, a part of its message)
FAULTS = [
    ("purposes.yml", "contact", "contacts", "2 purposes.news.keeps[0]", "did you mean 'contact'?"),
    ("purposes.yml", "channels", "chanels", "2 purposes.news.chanels", "did you mean 'channels'?"),
    ("purposes.yml", "description: Counting.", "", "3 purposes.count.description", "is required"),
    ("law.yml", "code: LAW", "code: LOI", "1 code", "rename the file to loi.yml"),
    ("law.yml", "  news:", "  nwes:", "8 purposes.nwes", "no purpose 'nwes' in purposes.yml; did you mean 'news'?"),
    ("law.yml", "consent_type: opt_in", "consent_type: optin", "12 purposes.news[0].consent_type", "'opt_in'?"),
    ("law.yml", "basis: consent", "basis: consnt", "11 purposes.news[0].legal_basis", "did you mean 'consent'?"),
    ("law.yml", "[gpc]", "[gcp]", "19 purposes.news[1].optout_signals[0]", "did you mean 'gpc'?"),
    (
        "law.yml",
        "valid_to: 2025-01-01",
        "valid_to: 2025-01-02",
        "16 purposes.news[1].valid_from",
        "overlaps the version",
    ),
    ("law.yml", "      valid_to: 2025-01-01\n", "", "15 purposes.news[1].valid_from", "from 2021-01-01 on"),
    (
        "law.yml",
        "valid_to: 2025-01-01",
        "valid_to: 2021-01-01",
        "10 purposes.news[0].valid_to",
        "is not after valid_from",
    ),
    ("law.yml", "valid_to: 2024-01-01, ", "", "6 terms[1].valid_from", "overlaps the version from 2020-01-01"),
    (
        "law.yml",
        "valid_from: 2021-01-01",
        "valid_from: 2019-01-01",
        "9 purposes.news[0].valid_from",
        "valid on 2019-01-01",
    ),
    ("law.yml", "valid_to: 2024-01-01", "valid_to: 2023-01-01", "9 purposes.news[0].valid_from", "valid on 2023-01-01"),
    ("law.yml", "valid_from: 2021-01-01", "valid_from: 2021-02-30", "9 purposes.news[0].valid_from", "no day of the"),
    ("law.yml", "valid_from: 2021-01-01", "valid_from: 20210101", "9 purposes.news[0].valid_from", "is no day (like"),
    (
        "law.yml",
        "      retention_days: 700\n",
        "",
        "9 purposes.news[0]",
        "retention_days is missing: news keeps personal",
    ),
    ("law.yml", "retention_days: 700", "retention_days: 0", "14 purposes.news[0].retention_days", "greater than 0"),
    ("law.yml", "retention_days: 700", "retention_days: ever", "14 purposes.news[0].retention_days", "no whole number"),
    ("law.yml", "basis: consent", "basis: contract", "9 purposes.news[0]", "contradict each other"),
    ("law.yml", "basis: legitimate_interests", "basis: consent", "16 purposes.news[1]", "contradict each other"),
    ("law.yml", "gpc]", "gpc]\n      soft_opt_in: true", "16 purposes.news[1]", "an exception from opt_in"),
    (
        "law.yml",
        "consent_type: opt_out\n",
        "consent_type: none\n",
        "16 purposes.news[1]",
        "consent_type none asks nobody",
    ),
    ("law.yml", "[EEA, JP]", "[EU, JP]", "6 terms[1].residency[0]", "'EU' is neither EEA nor an ISO 3166-1 code"),
    ("law.yml", "[EEA, JP]", "anywher", "6 terms[1].residency", "did you mean 'anywhere'?"),
    ("law.yml", ", source: t2", "", "6 terms[1].source", "is required"),
    ("law.yml", "source: s1", "sorce: s1", "15 purposes.news[0].sorce", "did you mean 'source'?"),
    ("law.yml", "note: to be confirmed\n", "", "1 note", "is required"),
    ("law.yml", LAW, "- LAW", "1", "is no mapping"),
    ("tables.yml", ": news", ": nesw", "2 tables.mart.reader", "there is no purpose 'nesw'; did you mean 'news'?"),
    ("tables.yml", ": news", ": count", "2 tables.mart.reader", "LAW has no retention_days for that"),
    ("tables.yml", "mart.reader", "reader", "2 tables.reader", "does not have the form"),
]


@pytest.mark.parametrize(("file", "old", "new", "where", "message"), FAULTS)
def test_a_fault_is_told_with_its_place(
    tmp_path: Path, file: str, old: str, new: str, where: str, message: str
) -> None:
    assert old in FILES[file]
    policies, faults = read_files(tmp_path, {**FILES, file: FILES[file].replace(old, new, 1)})
    assert [fault for fault in faults if fault.where == f"privacy/{file}:{where}" and message in fault.message], (
        f"{file}:{where} ...{message}... is not among\n" + "\n".join(map(str, faults))
    )
    assert {fault.where.partition(":")[0] for fault in faults} == {f"privacy/{file}"}, "one fault, one file told"
    if file == "law.yml":
        assert policies.regimes == {}, "a regime with a fault allows nothing"


def test_the_table_of_a_purpose_that_ends_has_no_retention_any_more(tmp_path: Path) -> None:
    ended = LAW.replace("      optout_signals", "      valid_to: 2026-01-01\n      optout_signals")
    _, faults = read_files(tmp_path, {**FILES, "law.yml": ended})
    assert [fault.where for fault in faults] == ["privacy/tables.yml:2 tables.mart.reader"]
    assert faults[0].message == "kept for news, and LAW has no retention_days for that until further notice"


def test_missing_files_are_told(tmp_path: Path) -> None:
    policies, faults = read_files(tmp_path, {"law.yml": LAW})
    assert [fault.where for fault in faults] == ["privacy/purposes.yml", "privacy/tables.yml"]
    assert policies.purposes == {}
    assert not allowed(
        "a", "news", "email", datetime(2022, 1, 1), regime="LAW", policies=policies, events=[]
    ).is_allowed


# (column classes of the warehouse's tables, the one fault)
SOUND = {"mart.reader": {"reader_key": "pseudonym", "email": "contact", "city": "none"}, "mart.day": {"day": "none"}}
TABLE_FAULTS: list[tuple[dict[str, dict[str, str]], str]] = [
    (SOUND, ""),
    (
        {**SOUND, "mart.ticket": {"ticket_id": "none", "body": "free_text", "sender": "contact"}},
        "privacy/tables.yml:1 tables: mart.ticket holds personal data (body, sender) and has no line",
    ),
    (
        {**SOUND, "mart.reader": {"email": "contact", "note": "free_text"}},
        "privacy/tables.yml:2 tables.mart.reader: its column note is free_text, which news does not keep",
    ),
    (
        {**SOUND, "mart.reader": {"city": "none"}},
        "privacy/tables.yml:2 tables.mart.reader: holds no personal data; remove the line",
    ),
    (
        {"mart.day": {"day": "none"}, "mart.readers": {"city": "none"}},
        "privacy/tables.yml:2 tables.mart.reader: there is no table 'mart.reader'; did you mean 'mart.readers'?",
    ),
]


@pytest.mark.parametrize(("classes", "expected"), TABLE_FAULTS)
def test_every_table_with_personal_data_has_a_retention(
    tmp_path: Path, classes: dict[str, dict[str, str]], expected: str
) -> None:
    (tmp_path / "privacy").mkdir()
    policies, faults = read_files(tmp_path / "privacy", FILES)
    assert faults == []
    found = [str(fault) for fault in table_faults(tmp_path, policies, classes, classes.keys())]
    assert (found == []) if not expected else (len(found) == 1 and found[0].startswith(expected)), found


def test_every_table_of_this_warehouse_has_a_retention_in_every_regime() -> None:
    configuration = delivered()
    classes = personal_classes(load_models(SQL_DIR).models)
    personal = [table for table, columns in classes.items() if set(columns.values()) != {"none"}]
    assert {"raw.file_drop__order", "stg.file_drop__order", "mart.dim_customer", "ops.quarantine"} <= set(personal)
    assert classes["ops.outbox"]["message_id"] == classes["mart.fct_delivery"]["message_id"] == "pseudonym"
    assert {"ops.outbox", "mart.fct_delivery"} <= set(personal)
    for table in personal:
        for regime in configuration.privacy.regimes:
            assert configuration.privacy.retention_days(table, regime, TODAY), f"{table} under {regime}"


def test_check_finds_a_table_that_lost_its_retention(tmp_path: Path) -> None:
    config = tmp_path / "config"
    shutil.copytree(INCLUDE_DIR / "config", config)
    assert personal_data_faults(config, SQL_DIR) == []
    path = config / "privacy" / "tables.yml"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(line for line in lines if "mart.fct_order:" not in line), encoding="utf-8")
    faults = personal_data_faults(config, SQL_DIR)
    assert [fault.message.partition(" (")[0] for fault in faults] == ["mart.fct_order holds personal data"]


def rows_of(regime: str, day: date = TODAY) -> dict[str, PolicyRow]:
    policies = delivered().privacy
    return {code: row for code in policies.purposes if (row := policies.regimes[regime].row(code, day))}


def test_the_regimes_that_are_delivered() -> None:
    configuration = delivered()
    policies = configuration.privacy
    assert set(policies.regimes) == {path.stem.upper() for path in DEFAULT.glob("*.yml")} - {"PURPOSES", "TABLES"}
    assert len(policies.regimes) == 9
    for regime in policies.regimes.values():
        assert "lawyer to confirm" in regime.note
        expected = {"transactional"} if regime.code == "NONE" else set(policies.purposes)
        assert set(rows_of(regime.code)) == expected, regime.code
    for market in configuration.markets.values():
        assert {version.regime for version in market.privacy.versions()} <= set(policies.regimes), market.code


# (regime, purpose, day, consent type, soft opt-in, signals)
LAWS = [
    ("GDPR", "marketing_email", TODAY, "double_opt_in", True, set()),
    ("GDPR", "profiling", TODAY, "opt_out", False, set()),
    ("UK_GDPR", "analytics", date(2026, 2, 4), "opt_in", False, set()),
    ("UK_GDPR", "analytics", date(2026, 2, 5), "opt_out", False, set()),
    ("CCPA", "marketing_email", TODAY, "opt_out", False, set()),
    ("CCPA", "marketing_sms", TODAY, "opt_in", False, {"do_not_call"}),
    ("CCPA", "audience_upload", TODAY, "opt_out", False, {"gpc"}),
    ("PIPL", "audience_upload", TODAY, "separate", False, set()),
    ("APPI", "marketing_email", TODAY, "opt_in", True, set()),
    ("NONE", "transactional", TODAY, "none", False, set()),
]


@pytest.mark.parametrize(("regime", "purpose", "day", "consent_type", "is_soft", "signals"), LAWS)
def test_laws_differ(regime: str, purpose: str, day: date, consent_type: str, is_soft: bool, signals: set[str]) -> None:
    row = rows_of(regime, day)[purpose]
    assert (row.consent_type, row.has_soft_opt_in, row.optout_signals) == (consent_type, is_soft, signals)


# (regime, from, to, when, may rows go)
ROUTES = [
    ("PIPL", "CN", "DE", TODAY, False),
    ("PIPL", "CN", "CN", TODAY, True),
    ("GDPR", "DE", "BR", date(2026, 1, 26), False),
    ("GDPR", "DE", "BR", date(2026, 1, 27), True),
    ("GDPR", "DE", "US", TODAY, False),
    ("GDPR", "DE", "SE", TODAY, True),
    ("CCPA", "US", "DE", TODAY, True),
    ("APPI", "JP", "GB", TODAY, True),
    ("NONE", "VN", "DE", TODAY, False),
]


@pytest.mark.parametrize(("regime", "home", "target", "day", "expected"), ROUTES)
def test_where_rows_may_go(regime: str, home: str, target: str, day: date, expected: bool) -> None:
    moment = datetime.combine(day, datetime.min.time())
    policies = delivered().privacy
    assert exportable(home, target, "transactional", moment, regime=regime, policies=policies).is_allowed == expected


def test_the_policy_of_a_market_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["privacy", "gb", "--purpose", "analytics", "--on", "2025-06-01"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert shown.startswith("GB on 2025-06-01: UK_GDPR (UK General Data Protection Regulation")
    assert "rows may leave for EEA, AD," in shown
    assert "analytics consent 395 2021-01-01 2026-02-05 opt_in" in shown
    assert "Source: PECR reg. 6;" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["XX"], "market XX: there is no such market; known are AE, AU"),
        (["DE", "--purpose", "analytic"], "--purpose: there is no purpose 'analytic'; did you mean 'analytics'?"),
    ],
)
def test_what_there_is_not_is_told(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["privacy", *arguments]) == 2
    assert message in capsys.readouterr().err
