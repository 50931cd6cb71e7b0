"""The ECB's file over HTTP. What was fetched last is kept, and asked for again only if it changed."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from caravan.clients.fx import ecb
from caravan.clients.fx.rows import RateRows, write_rows
from caravan.core.errors import Rejected, Retryable
from caravan.core.rates import Judged, RateSource, Reading

log = logging.getLogger(__name__)

FILE = "eurofxref-hist.zip"
_TIMEOUT_S = (10, 60)
_MOST_BYTES = 20_000_000
"""The file has 0.7 million."""
_AGAIN = (429, 500, 502, 503, 504)


@dataclass(frozen=True)
class FetchedDelivery:
    """`delivered_at`: when it was fetched, UTC without zone."""

    name: str
    content_hash: str
    delivered_at: datetime
    path: Path


@dataclass(frozen=True)
class FetchedRates:
    """`folder` keeps the file between runs, `scratch` rows of one run. Days before `since` are the bundle's."""

    url: str
    folder: Path
    scratch: Path
    since: date
    now: datetime
    backoff_s: float = 1.0
    source: RateSource = "fetched"
    restates: bool = False

    def deliveries(self) -> Sequence[FetchedDelivery]:
        """The newest file, fetched unless the server says that it is the one we have.

        Raises Retryable when the server does not answer, or not with success, after 4 attempts; Rejected when it
        answers with something else than rates. What was fetched before stays.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        kept = self._kept()
        asked = {"User-Agent": "caravan"}
        if kept.get("etag"):
            asked["If-None-Match"] = kept["etag"]
        elif kept.get("last_modified"):
            asked["If-Modified-Since"] = kept["last_modified"]
        try:
            with requests.Session() as session:
                adapter = HTTPAdapter(max_retries=Retry(3, status_forcelist=_AGAIN, backoff_factor=self.backoff_s))
                session.mount("http://", adapter)
                session.mount("https://", adapter)
                with session.get(self.url, headers=asked, timeout=_TIMEOUT_S, stream=True) as answer:
                    if answer.status_code == 304 and kept:
                        log.info("%s has not changed since %s", self.url, kept["fetched_at"])
                        return [self._delivery(kept)]
                    if answer.status_code != 200:
                        raise Rejected("FETCH_FAILED", f"{self.url} answers {answer.status_code} {answer.reason}")
                    content = answer.raw.read(_MOST_BYTES + 1, decode_content=True)
                    headers = answer.headers
        except (requests.RequestException, HTTPError) as error:
            raise Retryable(f"{self.url} cannot be fetched: {_reason(error)}") from error
        if len(content) > _MOST_BYTES:
            raise Rejected("RATES_UNREADABLE", f"{self.url}: more than {_MOST_BYTES} bytes: no history of rates")
        ecb.read_history(content, self.since, self.url)  # what cannot be read must not replace what can
        kept = {
            "sha256": hashlib.sha256(content).hexdigest(),
            "url": self.url,
            "etag": headers.get("ETag", ""),
            "last_modified": headers.get("Last-Modified", ""),
            "fetched_at": self.now.isoformat(),
        }
        _replace(self.folder / FILE, content)
        _replace(self._note, json.dumps(kept, indent=1).encode())
        return [self._delivery(kept)]

    def waiting(self) -> Mapping[str, str]:
        return {}

    def read(self, delivery: FetchedDelivery) -> Reading:
        return ecb.read_history(delivery.path.read_bytes(), self.since, delivery.name)

    def write(self, delivery: FetchedDelivery, judged: Judged) -> RateRows:
        return write_rows(self.source, judged, self.scratch / delivery.content_hash)

    def discard(self, delivery: FetchedDelivery) -> None:
        shutil.rmtree(self.scratch / delivery.content_hash, ignore_errors=True)

    @property
    def _note(self) -> Path:
        return (self.folder / FILE).with_suffix(".json")

    def _kept(self) -> dict[str, str]:
        """What the kept file is; empty when there is none, it came from elsewhere, or its note is not of it."""
        try:
            kept: dict[str, str] = json.loads(self._note.read_bytes())
            content = (self.folder / FILE).read_bytes()
        except (OSError, ValueError):
            return {}
        fits = kept.get("url") == self.url and kept.get("sha256") == hashlib.sha256(content).hexdigest()
        return kept if fits else {}

    def _delivery(self, kept: Mapping[str, str]) -> FetchedDelivery:
        fetched_at = datetime.fromisoformat(kept["fetched_at"])
        return FetchedDelivery(FILE, kept["sha256"], fetched_at, self.folder / FILE)


def _replace(path: Path, content: bytes) -> None:
    """All or nothing, whoever reads meanwhile."""
    part = path.with_suffix(f"{path.suffix}.{os.getpid()}.part")
    part.write_bytes(content)
    os.replace(part, path)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:300]
