"""What an answer of a service is worth: content, a failure that may pass, or a refusal."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn

import requests
import urllib3

from caravan.core.errors import Rejected

CHUNK_BYTES = 1 << 16
LONGEST_WAIT = 999_999_999.0
"""Seconds that a service may ask to wait: what is later than that no calendar may have."""
_SHOWN = 80
_PASSING = (408, 425, 429, 500, 502, 503, 504)


class Passing(Exception):
    """May be better next time. `after`: seconds the service asks to wait."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after


class Doubtful(Exception):
    """Most likely wrong for good, but worth one more try. `error`: what it is then."""

    def __init__(self, error: Rejected) -> None:
        super().__init__(str(error))
        self.error = error


class Denied(Exception):
    """The service does not accept our credentials, or no longer."""


def require_success(response: requests.Response, where: str) -> None:
    """Raises Passing, Denied or Rejected unless the status says that all is well."""
    status = response.status_code
    if status < 300:
        return
    if status in (401, 403):
        raise Denied(f"answered {status}{_error_code(response)}")
    if status in _PASSING:
        raise Passing(f"answered {status}", retry_after(response) if status in (429, 503) else None)
    code = "NOT_FOUND" if status in (404, 410) else "REQUEST_REFUSED"
    raise Rejected(code, f"{where} answered {status}{_error_code(response)}; is it the right address and version?")


def chunks(response: requests.Response, most_bytes: int, check_time: Callable[[], None], where: str) -> Iterator[bytes]:
    """The body as it arrives. `check_time` is called with every part and raises when it has taken too long.

    Raises Rejected ANSWER_TOO_LARGE.
    """
    size = 0
    # Not iter_content(): it waits for a whole chunk, however slowly the bytes drip.
    while chunk := response.raw.read1(CHUNK_BYTES, decode_content=True):
        size += len(chunk)
        if size > most_bytes:
            raise Rejected("ANSWER_TOO_LARGE", f"{where} sent more than {most_bytes} bytes and had not ended")
        check_time()
        yield chunk


def read_json(body: bytes, shape: type, where: str, needs: Sequence[str] = ()) -> Any:
    """The content, every number as the text it was sent as: a float would change amounts.

    `needs`: names of texts that an object must have. Raises Doubtful for what is no JSON or of another shape, Passing
    for JSON that is cut off.
    """
    try:
        text = body.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        text = body.decode("latin-1").strip()
        _refuse("NOT_JSON", f"{where} sent no UTF-8 text, which begins with {_shown(text)}")
    if not text:
        raise Passing("sent an empty answer")
    if text[0] not in "[{":
        _refuse("NOT_JSON", f"{where} sent no JSON; it begins with {_shown(text)}. A maintenance page or a plugin?")
    try:
        content = json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
    except RecursionError:
        _refuse("NOT_JSON", f"{where} sent JSON nested too deeply")
    except ValueError:
        raise Passing("sent JSON that is cut off or broken") from None
    if not isinstance(content, shape):
        wanted, got = ("list", "an object") if shape is list else ("object", "a list")
        said = error_word(content)
        _refuse("ANSWER_UNEXPECTED", f"{where} should send a JSON {wanted} and sent {got}{said}")
    texts = content if isinstance(content, dict) else {}
    lacking = [name for name in needs if not (isinstance(texts.get(name), str) and texts[name])]
    if lacking:
        said = error_word(content)
        _refuse("ANSWER_UNEXPECTED", f"{where} should send {', '.join(lacking)} and sent an object without{said}")
    return content


def retry_after(response: requests.Response) -> float | None:
    """Seconds to wait, given as such or as a date, which is compared with the service's own clock."""
    text = response.headers.get("Retry-After", "").strip()
    if re.fullmatch("[0-9]{1,9}", text):
        return float(text)
    until, now = http_date(text), http_date(response.headers.get("Date", ""))
    return min(max(0.0, (until - now).total_seconds()), LONGEST_WAIT) if until and now else None


def http_date(text: str) -> datetime | None:
    """UTC without zone; None when it cannot be read."""
    try:
        return parsedate_to_datetime(text).astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None


def _refuse(code: str, message: str) -> NoReturn:
    raise Doubtful(Rejected(code, message))


def _shown(text: str) -> str:
    return ascii(text[:_SHOWN])


def _error_code(response: requests.Response) -> str:
    """The service's own word for an error: from bodies that are small and JSON, nothing else of them."""
    try:
        body = response.raw.read1(CHUNK_BYTES, decode_content=True)
        return error_word(json.loads(body))
    except (ValueError, RecursionError, OSError, urllib3.exceptions.HTTPError):
        return ""


def error_word(content: object) -> str:
    """`code` or `error` as WordPress and OAuth write it, `errors[0].code` as marketplaces do."""
    if isinstance(content, dict):
        errors = content.get("errors")
        first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
        for word in (content.get("code"), content.get("error"), first.get("code")):
            if isinstance(word, str) and re.fullmatch(r"[A-Za-z0-9_.-]{1,60}", word):
                return f" ({word})"
    return ""
