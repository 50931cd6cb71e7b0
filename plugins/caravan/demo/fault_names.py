"""What a stand-in can be told to do wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

FaultName = Literal[
    "ok",
    "html",
    "denied",
    "busy",
    "busy_until",
    "down",
    "broken",
    "cut",
    "endless",
    "dripping",
    "elsewhere",
    "moved",
    "undated",
    "error_body",
    "lost",
]

FAULTS: Mapping[FaultName, str] = {
    "ok": "no fault, from now on",
    "html": "200 with a page about maintenance",
    "denied": "401: the key is refused",
    "busy": "429 with seconds to wait",
    "busy_until": "503 with a date to wait for",
    "down": "500",
    "broken": "502",
    "cut": "200 with JSON that ends in the middle",
    "endless": "a body that grows without end",
    "dripping": "a body that grows by a blank at a time",
    "elsewhere": "a redirect to another host",
    "moved": "a redirect to the same address",
    "undated": "all well, but for the Date",
    "error_body": "200 with an object that says that something failed",
    "lost": "the work is done, then the connection is closed without an answer",
}

MOST_FAULTS = 10_000
"""So many requests can be told to fail at once."""
