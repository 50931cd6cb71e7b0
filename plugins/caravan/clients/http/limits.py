"""How long and how much one pull may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Sizes are of what is unpacked: a small answer can unpack to a large one."""

    attempts: int = 6
    """At one request, the first included."""
    connect_seconds: float = 10
    silence_seconds: float = 60
    """Between two parts of an answer."""
    page_seconds: float = 300
    page_bytes: int = 64 << 20
    file_seconds: float = 3600
    file_bytes: int = 8 << 30
    """Of a report that is downloaded to disk."""
    pull_seconds: float = 5 * 3600
    """Less than the task has that makes the pull: what stops it then says why."""
    wait_seconds: float = 300
    """The longest pause inside a pull. A service that asks for a longer one ends the pull, to be tried again then."""
    first_wait_seconds: float = 1
    """The pause doubles with each attempt; a random part of it is waited, so that clients do not come back as one."""


USUAL = Limits()
