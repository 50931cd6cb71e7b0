"""releases/<id>/approvals.yml: who has signed which words off, or taken that back. The unattended way; the other is
Airflow's page."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from caravan.config.document import read
from caravan.config.frozen import Frozen
from caravan.config.outlets import Line
from caravan.config.validation import validate
from caravan.core.approval import Approval, Revocation
from caravan.core.errors import Fault

FILE = "approvals.yml"


def _moment(given: object) -> datetime:
    try:
        moment = datetime.fromisoformat(str(given))
        return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    except (ValueError, OverflowError):
        raise ValueError(f"'{given}' is no time (like 2026-11-24T15:00:00Z)") from None


class _Signature(Frozen):
    by: Line
    at: Annotated[datetime, BeforeValidator(_moment)]
    hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Revocation(_Signature):
    why: Line


class _Signatures(Frozen):
    approvals: tuple[_Signature, ...] = ()
    revoked: tuple[_Revocation, ...] = ()


def load_approvals(folder: Path, release_id: str) -> tuple[list[Approval], list[Revocation], list[Fault]]:
    """Of the release in `folder`. With a fault none of them counts: it may be what was to stop the release."""
    if not (folder / FILE).exists():
        return [], [], []
    document, faults = read(folder / FILE, f"releases/{release_id}/{FILE}")
    if document is None:
        return [], [], faults
    signed, more = validate(document, _Signatures)
    faults += more
    if signed is None or faults:
        return [], [], faults
    approvals = [Approval(release_id, each.hash, each.by, each.at, "file") for each in signed.approvals]
    revoked = [Revocation(release_id, each.hash, each.by, each.at, each.why, "file") for each in signed.revoked]
    return approvals, revoked, []
