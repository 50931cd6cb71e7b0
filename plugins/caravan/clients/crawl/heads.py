"""The lines before a body, read as browsers read them: http.client takes fewer liberties, and then the wrong way."""

from __future__ import annotations

import http
import http.client
import re
from typing import Any

_HEADER = re.compile(rb"[\x21-\x39\x3b-\x7e]+:|[ \t\r\n]")
_MOST_LEFT_OUT = 100
_LONGEST_LINE = 1 << 16


class _Head:
    """Leaves out lines that are no headers, as browsers do; http.client stops there, and does not know the length of
    what follows."""

    def __init__(self, lines: Any) -> None:
        self._lines = lines
        self._is_first = True
        self._left_out = 0

    def readline(self, limit: int) -> bytes:
        line: bytes = self._lines.readline(limit)
        if self._is_first:
            # The status: whatever it is, it has its own errors.
            self._is_first = False
            return line
        while line and not _HEADER.match(line):
            self._left_out += 1
            if self._left_out > _MOST_LEFT_OUT:
                raise http.client.HTTPException(f"more than {_MOST_LEFT_OUT} lines that are no headers")
            line = self._lines.readline(limit)
            while line[:1] in (b" ", b"\t"):
                line = self._lines.readline(limit)
        # After the blank line of an interim answer (100, 103) comes the next status.
        self._is_first = line in (b"\r\n", b"\n")
        return line

    def close(self) -> None:
        self._lines.close()


class PlainResponse(http.client.HTTPResponse):
    def begin(self) -> None:
        lines = self.fp
        self.fp = _Head(lines)  # type: ignore[assignment]
        try:
            super().begin()
        finally:
            # None where it was closed for having no status.
            self.fp = self.fp and lines

    def _read_status(self) -> tuple[str, int, str]:
        """http.client takes 103 (early hints) for the answer, and the answer for that to the next request."""
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 100 < status < 200 or status == http.HTTPStatus.SWITCHING_PROTOCOLS:
                return version, status, reason
            while self.fp.readline(_LONGEST_LINE) not in (b"\r\n", b"\n", b""):
                pass
