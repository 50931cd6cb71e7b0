"""Reads include/config/privacy: `purposes.yml`, `tables.yml`, and one file for each regime.

A regime's file has `terms` (what holds for every purpose: deadlines, countries) and `purposes`, both in dated versions;
a row of the policy (`caravan.core.privacy.PolicyRow`) is a version of a purpose on the days of one of the terms.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from caravan.config.document import Document, Location, read
from caravan.config.frozen import Day, Frozen
from caravan.config.validation import validate
from caravan.core.codes import country_codes
from caravan.core.errors import Fault, nearest
from caravan.core.privacy import ConsentType, LegalBasis, PersonalClass, Policies, PolicyRow, Purpose, Regime, Signal

FOLDER = "privacy"
PURPOSES, TABLES = "purposes.yml", "tables.yml"

_EEA = "AT BE BG HR CY CZ DK EE FI FR DE GR HU IE IS IT LV LI LT LU MT NL NO PL PT RO SK SI ES SE"
EEA = frozenset(_EEA.split())
"""The 27 members of the European Union, Iceland, Liechtenstein and Norway."""

_Code = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
_Days = Annotated[int, Field(gt=0, le=36_500)]
_CONSENT_TYPES_OF_CONSENT = ("opt_in", "double_opt_in", "separate")


class PurposeEntry(Frozen):
    description: Annotated[str, Field(min_length=1)]
    channels: tuple[_Code, ...] = ()
    """Those the purpose may use; any when none is named."""
    keeps: tuple[PersonalClass, ...] = ()
    """Personal-data classes it may hold; a purpose that keeps any needs retention_days in every regime."""


class PurposesFile(Frozen):
    purposes: Annotated[dict[_Code, PurposeEntry], Field(min_length=1)]


class TablesFile(Frozen):
    tables: dict[Annotated[str, Field(pattern=r"^[a-z]+\.[a-z0-9_]+$")], str]
    """Table with personal data to the purpose it is kept for."""


class Dated(Frozen):
    valid_from: Day
    valid_to: Day | None = None
    """Exclusive; absent: until further notice."""
    source: Annotated[str, Field(min_length=1)]


class Terms(Dated):
    request_sla_days: _Days
    erase_sla_days: _Days
    residency: Literal["anywhere"] | tuple[str, ...]
    """Countries that rows may leave their own for, `EEA` for all of those; `[]`: none."""


class Rule(Dated):
    legal_basis: LegalBasis
    consent_type: ConsentType
    soft_opt_in: bool = False
    retention_days: _Days | None = None
    optout_signals: tuple[Signal, ...] = ()


class RegimeFile(Frozen):
    code: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]
    name: Annotated[str, Field(min_length=1)]
    note: Annotated[str, Field(min_length=1)]
    terms: Annotated[tuple[Terms, ...], Field(min_length=1)]
    purposes: Annotated[dict[str, Annotated[tuple[Rule, ...], Field(min_length=1)]], Field(min_length=1)]


def read_privacy(files: Sequence[tuple[Path, str]]) -> tuple[Policies, list[Fault]]:
    """The policies and every fault. `files`: those of the folder, with their paths as faults show them.

    A file with a fault is left out: of a regime, all rows.
    """
    faults: list[Fault] = []
    documents: dict[str, Document] = {}
    for path, where in files:
        document, found = read(path, where)
        faults += found
        if document is not None:
            documents[path.name] = document
    faults += [
        Fault(f"{FOLDER}/{name}", f"is missing; it names the {what}")
        for name, what in ((PURPOSES, "purposes that data is used for"), (TABLES, "purpose each table is kept for"))
        if name not in {path.name for path, _ in files}
    ]
    purposes = _purposes(documents.pop(PURPOSES, None), faults)
    tables = documents.pop(TABLES, None)
    regimes: dict[str, Regime] = {}
    for name, document in documents.items():
        regime = _regime(document, Path(name).stem, purposes, faults)
        if regime is not None:
            regimes[regime.code] = regime
    return Policies(purposes, regimes, _tables(tables, purposes, regimes, faults)), faults


def _purposes(document: Document | None, faults: list[Fault]) -> dict[str, Purpose]:
    if document is None:
        return {}
    entries, found = validate(document, PurposesFile)
    faults += found
    if entries is None:
        # Known by name all the same: a regime that speaks of one is not at fault.
        return {code: Purpose(code) for code in document.mapping("purposes")}
    return {
        code: Purpose(code, frozenset(entry.channels), frozenset(entry.keeps), entry.description)
        for code, entry in entries.purposes.items()
    }


def _regime(document: Document, stem: str, purposes: Mapping[str, Purpose], faults: list[Fault]) -> Regime | None:
    file, found = validate(document, RegimeFile)
    code = document.text("code")
    if code is not None and stem != code.lower():
        found.append(
            document.fault(("code",), f"'{code}' differs from the file's name; rename the file to {code.lower()}.yml")
        )
    for name in document.mapping("purposes"):
        if purposes and name not in purposes:
            message = f"there is no purpose '{name}' in {PURPOSES}{nearest(name, purposes)}"
            found.append(document.fault(("purposes", name), message))
    if file is not None:
        found += [document.fault(at, message) for at, message in _file_faults(file, purposes)]
    faults += found
    if file is None or found:
        return None
    return Regime(file.code, file.name, tuple(_rows(file)), file.note)


def _file_faults(file: RegimeFile, purposes: Mapping[str, Purpose]) -> Iterator[tuple[Location, str]]:
    yield from _validity_faults(("terms",), file.terms)
    for index, terms in enumerate(file.terms):
        for place, country in enumerate(terms.residency if isinstance(terms.residency, tuple) else ()):
            if country not in country_codes() | {"EEA"}:
                yield (
                    ("terms", index, "residency", place),
                    f"'{country}' is neither EEA nor an ISO 3166-1 code (like DE)",
                )
    for name, rules in file.purposes.items():
        yield from _validity_faults(("purposes", name), rules)
        for index, rule in enumerate(rules):
            at = ("purposes", name, index)
            yield from ((at, message) for message in _rule_faults(rule, purposes.get(name)))
            if day := _day_without_terms(rule, file.terms):
                yield (*at, "valid_from"), f"no terms are valid on {day}; let them begin earlier or this version later"


def _rule_faults(rule: Rule, purpose: Purpose | None) -> Iterator[str]:
    needs_asking = rule.consent_type in _CONSENT_TYPES_OF_CONSENT
    if needs_asking != (rule.legal_basis == "consent"):
        yield (
            f"legal_basis '{rule.legal_basis}' and consent_type '{rule.consent_type}' contradict each other: "
            f"consent goes with {', '.join(_CONSENT_TYPES_OF_CONSENT)}, other grounds with none, opt_out"
        )
    if rule.soft_opt_in and rule.consent_type not in ("opt_in", "double_opt_in"):
        yield "soft_opt_in is an exception from opt_in or double_opt_in"
    if rule.optout_signals and rule.consent_type == "none":
        yield "optout_signals refuse something, and consent_type none asks nobody"
    if purpose is not None and purpose.keeps and rule.retention_days is None:
        yield f"retention_days is missing: {purpose.code} keeps personal data ({', '.join(sorted(purpose.keeps))})"


def _validity_faults(at: Location, versions: Sequence[Dated]) -> Iterator[tuple[Location, str]]:
    for index, version in enumerate(versions):
        if version.valid_to is not None and version.valid_to <= version.valid_from:
            yield (*at, index, "valid_to"), f"{version.valid_to} is not after valid_from {version.valid_from}"
        for other in versions[:index]:
            if _overlap(version, other):
                message = f"overlaps the version from {other.valid_from} on; end that one, or let this begin later"
                yield (*at, index, "valid_from"), message


def _overlap(one: Dated, other: Dated) -> bool:
    return (other.valid_to is None or one.valid_from < other.valid_to) and (
        one.valid_to is None or other.valid_from < one.valid_to
    )


def _day_without_terms(rule: Rule, terms: Sequence[Terms]) -> date | None:
    """The first of the rule's days on which no terms are valid."""
    day = rule.valid_from
    for each in sorted(terms, key=lambda each: each.valid_from):
        if each.valid_from <= day and (each.valid_to is None or day < each.valid_to):
            if each.valid_to is None or (rule.valid_to is not None and rule.valid_to <= each.valid_to):
                return None
            day = each.valid_to
    return day


def _rows(file: RegimeFile) -> Iterator[PolicyRow]:
    for purpose, rules in file.purposes.items():
        for rule in rules:
            for terms in file.terms:
                if not _overlap(rule, terms):
                    continue
                ends = [day for day in (rule.valid_to, terms.valid_to) if day is not None]
                yield PolicyRow(
                    regime=file.code,
                    purpose=purpose,
                    legal_basis=rule.legal_basis,
                    consent_type=rule.consent_type,
                    retention_days=rule.retention_days,
                    request_sla_days=terms.request_sla_days,
                    erase_sla_days=terms.erase_sla_days,
                    residency=_countries(terms.residency),
                    valid_from=max(rule.valid_from, terms.valid_from),
                    valid_to=min(ends, default=None),
                    source=f"{rule.source}; terms: {terms.source}",
                    optout_signals=frozenset(rule.optout_signals),
                    has_soft_opt_in=rule.soft_opt_in,
                )


def _countries(residency: Literal["anywhere"] | tuple[str, ...]) -> frozenset[str] | None:
    if residency == "anywhere":
        return None
    named = frozenset(residency)
    return (named - {"EEA"}) | EEA if "EEA" in named else named


def _tables(
    document: Document | None, purposes: Mapping[str, Purpose], regimes: Mapping[str, Regime], faults: list[Fault]
) -> dict[str, str]:
    """Every table is kept for a purpose that keeps personal data, and every regime says for how long."""
    if document is None:
        return {}
    file, found = validate(document, TablesFile)
    for table, code in file.tables.items() if file else ():
        purpose = purposes.get(code)
        if purpose is None:
            found.append(document.fault(("tables", table), f"there is no purpose '{code}'{nearest(code, purposes)}"))
            continue
        silent = [
            regime.code
            for regime in regimes.values()
            if not any(row.purpose == code and row.valid_to is None and row.retention_days for row in regime.rows)
        ]
        if silent:
            message = f"kept for {code}, and {', '.join(silent)} has no retention_days for that until further notice"
            found.append(document.fault(("tables", table), message))
    faults += found
    return file.tables if file and not found else {}


def table_faults(
    config_dir: Path, policies: Policies, classes: Mapping[str, Mapping[str, str]], known_tables: Collection[str]
) -> list[Fault]:
    """Tables with personal data that have no retention, and entries of `tables.yml` that fit no table.

    `classes`: table to column to personal-data class, `none` included. `known_tables`: all there are; of those not in
    `classes` only the name is known.
    """
    document, faults = read(config_dir / FOLDER / TABLES, f"{FOLDER}/{TABLES}")
    if document is None:
        return faults
    found = []
    for table, columns in sorted(classes.items()):
        personal = {name: kind for name, kind in columns.items() if kind != "none"}
        purpose = policies.purposes.get(policies.tables.get(table, ""))
        if personal and purpose is None:
            message = f"{table} holds personal data ({', '.join(personal)}) and has no line: say what it is kept for"
            found.append(document.fault(("tables",), message))
        for name, kind in personal.items():
            if purpose is not None and kind not in purpose.keeps:
                message = f"its column {name} is {kind}, which {purpose.code} does not keep ({PURPOSES})"
                found.append(document.fault(("tables", table), message))
        if not personal and table in policies.tables:
            found.append(document.fault(("tables", table), "holds no personal data; remove the line"))
    for table in policies.tables:
        if table not in known_tables:
            message = f"there is no table '{table}'{nearest(table, known_tables)}"
            found.append(document.fault(("tables", table), message))
    return found
