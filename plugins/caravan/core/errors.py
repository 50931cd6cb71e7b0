"""The errors Caravan raises, and what each asks of whoever catches it.

Orchestration maps them: `Retryable` is tried again, `Rejected` stops one delivery, one slice or one
channel, `Misconfigured` stops until a person edits a file.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta


class CaravanError(Exception):
    """Something a person has to read: what happened, where, and what to do."""


class Retryable(CaravanError):
    """A failure that may pass by itself.

    `after` is how long to wait at least; None leaves it to the caller.
    """

    def __init__(self, message: str, after: timedelta | None = None) -> None:
        super().__init__(message)
        self.after = after


class Rejected(CaravanError):
    """Input that will stay wrong however often it is tried: a file, a row, a slice.

    `code` is an upper-case word for counting, e.g. `GZIP_TRUNCATED`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


@dataclass(frozen=True, order=True)
class Fault:
    """One fault of configuration, a model or a template: `where` is file, line and field."""

    where: str
    message: str
    channel: str | None = None
    """Set when the fault disables this channel alone; None when it stops everything."""

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


def in_order(faults: Iterable[Fault]) -> list[Fault]:
    """By file, line (as a number) and field."""

    def key(fault: Fault) -> tuple[list[str | int], str]:
        # Splitting by a group gives text and digits in turn, so like is compared with like.
        parts = re.split(r"(\d+)", fault.where)
        return [int(part) if index % 2 else part for index, part in enumerate(parts)], fault.message

    return sorted(faults, key=key)


class Misconfigured(CaravanError):
    """All faults found in one reading, in one message."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        if not faults:
            raise ValueError("Misconfigured needs at least one fault")
        self.faults = tuple(in_order(faults))
        count = len(self.faults)
        head = "1 fault" if count == 1 else f"{count} faults"
        super().__init__("\n".join([f"{head} found:", *(f"  - {fault}" for fault in self.faults)]))


def run_incomplete(failures: Iterable[str]) -> Rejected:
    """What a run's last task raises, so that the run is red for a reason. `failures`: a line each."""
    return Rejected("RUN_INCOMPLETE", "this failed:\n" + "\n".join(f"  - {line}" for line in failures))


def stop_of(error: object) -> BaseException | None:
    """Ctrl-C or a termination that the error is, or came of: a running query makes another error of it."""
    while isinstance(error, BaseException):
        if isinstance(error, KeyboardInterrupt | SystemExit):
            return error
        error = error.__cause__ or error.__context__
    return None


def nearest(word: str, known: Iterable[str], listed_by: str = "") -> str:
    """A hint for a misspelt word: `; did you mean 'x'?`, or the list when nothing is near. `listed_by`: the
    command that lists them, where they are too many for a message."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{close[0]}'?"
    if listed_by:
        return f"; `{listed_by}` lists them"
    return f"; known are {', '.join(names)}" if names else ""
