"""include/config/lists: who may be written to, one file for each list. Nobody without provenance.

The file says where its people come from and on which ground they are written to; the people themselves are in a file
of CARAVAN_HOME, since configuration holds no personal data.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from caravan.config.document import Document, read
from caravan.config.frozen import Day, Frozen
from caravan.config.validation import validate
from caravan.core.errors import Fault, in_order, nearest
from caravan.core.privacy import LegalBasis

FOLDER = "lists"


def _stated(text: str) -> str:
    if len(text.split()) < 3:
        raise ValueError(f"'{text}' says too little: where do these people come from, how did they agree, since when?")
    return text


def _inside(text: str) -> str:
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or path.suffix != ".csv":
        raise ValueError(f"'{text}' is no CSV file below CARAVAN_HOME (like lists/newsletter_eu.csv)")
    return text


PeopleFile = Annotated[str, AfterValidator(_inside)]
"""Below CARAVAN_HOME: configuration holds no personal data."""


class RecipientList(Frozen):
    """`provenance`: where its people come from. `file`: below CARAVAN_HOME, columns as in
    `functions/release/recipients.py`. `variables`: columns that every recipient has, which a text may name."""

    code: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
    name: str
    audience: Literal["customer", "partner", "press"]
    purpose: str
    legal_basis: LegalBasis
    provenance: Annotated[str, AfterValidator(_stated)]
    collected_since: Day
    file: PeopleFile
    market: str | None = None
    """Of those whose row names none."""
    variables: tuple[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")], ...] = ()
    confirm: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")] | None = None
    """The outlet for mail that asks whoever signed up (consent_state pending) to confirm that it was they."""
    confirm_days: Annotated[int, Field(ge=1, le=60)] = 7
    """How long the link in that mail holds."""
    enabled: bool = True


def load_lists(
    config_dir: Path, purposes: Collection[str], markets: Collection[str]
) -> tuple[dict[str, RecipientList], list[Fault]]:
    """The lists that are free of faults, by code, and every fault of the others."""
    found: dict[str, RecipientList] = {}
    faults: list[Fault] = []
    for path in sorted((config_dir / FOLDER).glob("*.yml")):
        document, more = read(path, f"{FOLDER}/{path.name}")
        if document is None:
            faults += more
            continue
        each, wrong = validate(document, RecipientList)
        more += [*wrong, *_name_faults(document, path.stem, purposes, markets)]
        faults += more
        if each is not None and not more:
            found[each.code] = each
    return found, in_order(faults)


def _name_faults(document: Document, stem: str, purposes: Collection[str], markets: Collection[str]) -> Iterator[Fault]:
    code = document.text("code")
    if code is not None and code != stem:
        yield document.fault(("code",), f"'{code}' differs from the file's name; rename the file to {code}.yml")
    for key, known in (("purpose", purposes), ("market", markets)):
        given = document.text(key)
        if given is not None and given not in known:
            yield document.fault((key,), f"there is no {key} '{given}'{nearest(given, known)}")
