"""What Search Console answers: errors by Google's own reasons, and rows."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import requests

from caravan.clients.http import answers
from caravan.clients.http.answers import CHUNK_BYTES, Denied, Passing
from caravan.core.errors import Rejected
from caravan.core.search import Measures

LOAD_QUOTA = ("quotaExceeded", "dailyLimitExceeded")
LOAD_WAIT_SECONDS = 15 * 60.0
"""Google counts the load of queries in 10 minutes and says to wait for 15. One who is refused then has used up the
day's (developers.google.com/webmaster-tools/limits)."""
RATE_QUOTA = ("rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED")
"""Queries a minute: a pause is enough."""


def require_success(response: requests.Response, where: str) -> None:
    """Raises Passing, Denied or Rejected unless the status says that all is well. Google refuses for quotas with 403 as
    well as with 429, and tells them apart by reason."""
    if response.status_code < 400:
        return answers.require_success(response, where)
    reason = _reason(response)
    told = f"answered {response.status_code}" + (f" ({reason})" if reason else "")
    if reason in LOAD_QUOTA:
        raise Passing(told, LOAD_WAIT_SECONDS)
    if reason in RATE_QUOTA:
        raise Passing(told, answers.retry_after(response))
    if response.status_code in (401, 403):
        raise Denied(told)
    if response.status_code == 400:
        raise Rejected("REQUEST_REFUSED", f"{where} {told}; is the property written as Search Console writes it?")
    return answers.require_success(response, where)


def _reason(response: requests.Response) -> str:
    """Google's word for the error, from a body that is JSON: the first of `errors`, else `status`."""
    try:
        error = json.loads(response.raw.read(CHUNK_BYTES, decode_content=True))["error"]
        first = error["errors"][0]["reason"] if error.get("errors") else error.get("status")
    except (ValueError, RecursionError, KeyError, TypeError, IndexError, AttributeError):
        return ""
    return first if isinstance(first, str) and re.fullmatch(r"[A-Za-z_]{1,60}", first) else ""


@dataclass(frozen=True)
class Row:
    keys: tuple[str, ...]
    measures: Measures


def read_row(row: object, key_count: int, where: str) -> Row:
    """Numbers come as the text they were sent as. Raises Rejected ANSWER_UNEXPECTED for what is no such row."""
    given: Mapping[str, Any] = row if isinstance(row, Mapping) else {}
    keys = given.get("keys", [])
    if not isinstance(keys, list) or len(keys) != key_count or not all(isinstance(key, str) for key in keys):
        raise _unexpected(where, f"{key_count} keys")
    clicks, impressions = (_whole(given.get(name), name, where) for name in ("clicks", "impressions"))
    position = _number(given.get("position"), "position", where)
    # Each impression has a whole place, so their sum is whole; the average is a binary fraction of it.
    return Row(tuple(keys), Measures(clicks, impressions, round(position * impressions)))


def _whole(given: object, name: str, where: str) -> int:
    number = _number(given, name, where)
    if number != int(number):
        raise _unexpected(where, f"whole {name}")
    return int(number)


def _number(given: object, name: str, where: str) -> Decimal:
    try:
        number = Decimal(given) if isinstance(given, str) else None
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite() or number < 0:
        raise _unexpected(where, name)
    return number


def _unexpected(where: str, what: str) -> Rejected:
    return Rejected("ANSWER_UNEXPECTED", f"{where} sent a row without {what}; has the API changed?")
