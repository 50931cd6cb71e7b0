"""include/config/parties.yml and methods.yml: who else has a part in a sale, and by which means buyers are reached.

Both become dimensions. A file that is not there holds nothing: what is delivered then has parties without a name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field

from caravan.config.document import Document, read
from caravan.config.frozen import Frozen
from caravan.config.validation import validate
from caravan.core.codes import country_codes
from caravan.core.errors import Fault

PARTIES, METHODS = "parties.yml", "methods.yml"
UNKNOWN = "unknown"
"""The code, in both dimensions, of what no entry stands for."""

_Code = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
_Text = Annotated[str, Field(min_length=1)]


class Party(Frozen):
    """A company that a payment or a shipment goes through, or that runs a platform."""

    name: _Text
    kind: Literal["platform", "payment", "carrier", "customs_broker", "warehouse", "other"]
    country: str | None = None
    """Where it is registered; ISO 3166-1."""
    registration: _Text | None = None
    """Its number in that country's register, such as customs have it."""


class Method(Frozen):
    """A marketing method: network (online) or traditional."""

    name: _Text
    kind: Literal["network", "traditional"]
    description: _Text


class _PartiesFile(Frozen):
    parties: dict[_Code, Party]


class _MethodsFile(Frozen):
    methods: dict[_Code, Method]


_File = TypeVar("_File", bound=Frozen)


def read_parties(config_dir: Path) -> tuple[dict[str, Party], Collection[str], list[Fault]]:
    """The parties by code, none if the file has a fault; the codes that it names all the same; and every fault."""
    document, file, faults = _read(config_dir, PARTIES, _PartiesFile)
    if document is None:
        return {}, (), faults
    faults += _reserved(document, "parties")
    faults += _party_faults(document)
    return ({} if file is None or faults else file.parties), document.mapping("parties").keys(), faults


def read_methods(config_dir: Path) -> tuple[dict[str, Method], list[Fault]]:
    """The methods by code, or none and every fault of the file."""
    document, file, faults = _read(config_dir, METHODS, _MethodsFile)
    if document is not None:
        faults += _reserved(document, "methods")
    return ({} if file is None or faults else file.methods), faults


def _read(config_dir: Path, name: str, model: type[_File]) -> tuple[Document | None, _File | None, list[Fault]]:
    if not (config_dir / name).exists():
        return None, None, []
    document, faults = read(config_dir / name, name)
    if document is None:
        return None, None, faults
    file, more = validate(document, model)
    return document, file, faults + more


def _reserved(document: Document, section: str) -> Iterator[Fault]:
    if UNKNOWN in document.mapping(section):
        yield document.fault((section, UNKNOWN), "stands for what no entry names; give another code")


def _party_faults(document: Document) -> Iterator[Fault]:
    registered: dict[tuple[str | None, str], str] = {}
    for code in document.mapping("parties"):
        at = ("parties", code)
        country, number = document.text(*at, "country"), document.text(*at, "registration")
        if country is not None and country not in country_codes():
            yield document.fault((*at, "country"), f"'{country}' is no ISO 3166-1 code (like DE)")
        if number and (first := registered.setdefault((country, number), code)) != code:
            yield document.fault((*at, "registration"), f"is also that of {first}; one company is one party")
