"""What all configuration types share: no unknown keys, no changes, and plain ways to write days and zones."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict


class Frozen(BaseModel):
    # No stripping: YAML has done it, and what a person quotes is meant (a tab as delimiter, "EIRE ").
    model_config = ConfigDict(frozen=True, extra="forbid")


def known_zone(name: str) -> str:
    """The name of an IANA time zone; ValueError for anything else."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"'{name}' is no IANA time zone (like Europe/Berlin)") from error
    if name == "localtime" or name.startswith(("posix", "right/")):
        # Names of this machine's files: the databases do not know them.
        raise ValueError(f"'{name}' means nothing on another machine; give an IANA time zone (like Europe/Berlin)")
    return name


Zone = Annotated[str, AfterValidator(known_zone)]

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def read_day(given: object) -> date:
    """A day as configuration writes it. pydantic itself would take 20260101 for seconds since 1970."""
    if isinstance(given, date):
        return given
    try:
        if isinstance(given, str) and _DAY.fullmatch(given):
            return date.fromisoformat(given)
    except ValueError as error:
        raise ValueError(f"'{given}' is no day of the calendar: {error}") from error
    raise ValueError(f"'{given}' is no day (like 2026-10-30)")


Day = Annotated[date, BeforeValidator(read_day)]
