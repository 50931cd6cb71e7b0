"""What `caravan doctor` found, and how one failing check does not keep the others from running."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from caravan.core.errors import CaravanError

State = Literal["ok", "note", "failed"]


@dataclass(frozen=True)
class Finding:
    """`what`: what was found; of a note or a failure also what to do."""

    subject: str
    state: State
    what: str


def guarded(subject: str, check: Callable[[], Iterable[Finding]]) -> list[Finding]:
    try:
        return list(check())
    except Exception as error:
        # Whatever it is, a person has asked what is wrong: this is it.
        kind = "" if isinstance(error, CaravanError) else f"{type(error).__name__}: "
        return [Finding(subject, "failed", f"{kind}{error}")]
