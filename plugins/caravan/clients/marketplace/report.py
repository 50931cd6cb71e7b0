"""A report of the marketplace: asked for, waited for, downloaded, unpacked, read row by row.

Sources: Reports API v2021-06-30 (createReport, getReport, getReportDocument) and its tutorials "Request a report",
"Verify that report processing is complete", "Retrieve a report".
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from caravan.clients.http.answers import CHUNK_BYTES
from caravan.clients.http.caller import Caller
from caravan.core.errors import Rejected, Retryable

API = "/reports/2021-06-30"
ORDERS = "GET_FLAT_FILE_ALL_ORDERS_DATA_BY_LAST_UPDATE_GENERAL"
_CELL_LIMIT = 1 << 20


@dataclass(frozen=True)
class Patience:
    """How long a report may take."""

    poll_seconds: float = 15
    report_seconds: float = 1800
    downloads: int = 3
    """Attempts at a file that arrives whole but cannot be unpacked."""


USUAL = Patience()


@dataclass(frozen=True)
class Report:
    """A finished report on disk, unpacked."""

    report_id: str
    path: Path
    charset: str


def fetch_report(
    caller: Caller,
    marketplaces: Sequence[str],
    start: datetime,
    end: datetime | None,
    folder: Path,
    patience: Patience,
) -> Report | None:
    """Orders changed in [start, end), UTC without zone; to now without `end`. None: there are none.

    Raises Retryable naming the report when it is not ready in time or fails.
    """
    # A report without data is cancelled. So is one that somebody cancels: only twice in a row is it believed.
    for _ in range(2):
        asked = {"reportType": ORDERS, "marketplaceIds": list(marketplaces), "dataStartTime": _iso(start)}
        if end is not None:
            asked["dataEndTime"] = _iso(end)
        report_id = str(caller.post(f"{API}/reports", asked, needs=("reportId",))["reportId"])
        document = _finished(caller, report_id, patience)
        if document:
            return _downloaded(caller, report_id, document, folder, patience)
    return None


def read_rows(report: Report) -> Iterator[list[str]]:
    """Tab separated, unquoted; the header first. Raises Rejected ENCODING_INVALID, REPORT_UNEXPECTED."""
    csv.field_size_limit(_CELL_LIMIT)
    try:
        with report.path.open(encoding=report.charset, newline="") as file:
            yield from (row for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if row)
    except (UnicodeDecodeError, LookupError):
        message = f"report {report.report_id} is not in the encoding it is declared in ({report.charset})"
        raise Rejected("ENCODING_INVALID", message) from None
    except csv.Error as error:
        raise Rejected("REPORT_UNEXPECTED", f"report {report.report_id} is no tab separated file: {error}") from None


def _finished(caller: Caller, report_id: str, patience: Patience) -> str | None:
    """The id of its document, or None when it was cancelled."""
    waited, status = 0.0, ""
    where = f"connection {caller.connection.conn_id}: report {report_id}"
    while waited <= patience.report_seconds:
        report = caller.get(f"{API}/reports/{quote(report_id, safe='')}", needs=("processingStatus",))
        status = report["processingStatus"]
        if status == "CANCELLED":
            return None
        if status == "FATAL":
            raise Retryable(f"{where} failed on the marketplace's side (FATAL); a new one is asked for next time")
        if status == "DONE":
            document = report.get("reportDocumentId")
            if not isinstance(document, str):
                raise Rejected("ANSWER_UNEXPECTED", f"{where} is done and names no document")
            return document
        caller.pause(patience.poll_seconds)
        waited += patience.poll_seconds
    # The service decides what its words are, so this one is quoted.
    raise Retryable(f"{where} is still {status[:40]!a} after {patience.report_seconds:g} s")


def _downloaded(caller: Caller, report_id: str, document: str, folder: Path, patience: Patience) -> Report:
    for _ in range(patience.downloads):
        # Asked for each time: the address is good for some minutes only.
        place = caller.get(f"{API}/documents/{quote(document, safe='')}", needs=("url",))
        packed = caller.download(place["url"], folder / "report.download")
        charset = packed.charset or "utf-8"
        if place.get("compressionAlgorithm") != "GZIP":
            return Report(report_id, packed.path, charset)
        unpacked = folder / "report.txt"
        if _unpack(packed.path, unpacked, caller.limits.file_bytes, report_id):
            packed.path.unlink()
            return Report(report_id, unpacked, charset)
    where = f"connection {caller.connection.conn_id}: report {report_id}"
    raise Retryable(f"{where} was downloaded {patience.downloads} times and is cut off or broken each time")


def _unpack(packed: Path, target: Path, most_bytes: int, report_id: str) -> bool:
    """Whole, before any of it is read: half a report must not be half loaded."""
    size = 0
    try:
        with gzip.open(packed) as source, target.open("wb") as file:
            while chunk := source.read(CHUNK_BYTES):
                size += len(chunk)
                if size > most_bytes:
                    raise Rejected("ANSWER_TOO_LARGE", f"report {report_id} unpacks to more than {most_bytes} bytes")
                file.write(chunk)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return False
    return True


def _iso(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
