"""The client of the ECB's file against a server on loopback: asked only for what changed, fooled by nothing."""

from __future__ import annotations

import io
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from caravan.clients.fx.fetched import FILE, FetchedRates
from caravan.core.errors import Rejected, Retryable

NOON = datetime(2026, 3, 3, 12)


def history(usd: str = "1.08") -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        member = zipfile.ZipInfo("eurofxref-hist.csv")  # not the time of now: the same bytes each time
        archive.writestr(member, f"Date,USD,\n2026-03-02,{usd},\n2026-02-27,1.07,\n2025-12-31,1.01,\n")
    return target.getvalue()


@dataclass
class Bank:
    """What the server answers; `asked`: the headers of every request."""

    content: bytes = field(default_factory=history)
    etag: str = '"1"'
    last_modified: str = ""
    status: list[int] = field(default_factory=list)
    """Answers given before the good one."""
    announced: int | None = None
    asked: list[dict[str, str]] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def bank() -> Iterator[Bank]:
    state = Bank()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(dict(self.headers))
            status = state.status.pop(0) if state.status else 200
            known = self.headers.get("If-None-Match"), self.headers.get("If-Modified-Since")
            if status == 200 and known != (None, None) and known in ((state.etag, None), (None, state.last_modified)):
                status = 304
            self.send_response(status)
            for name, value in (("ETag", state.etag), ("Last-Modified", state.last_modified)):
                if value:
                    self.send_header(name, value)
            body = state.content if status == 200 else b"" if status == 304 else b"<html>no</html>"
            self.send_header("Content-Length", str(state.announced if status == 200 and state.announced else len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}/eurofxref-hist.zip"
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


def client(bank: Bank, folder: Path, now: datetime = NOON) -> FetchedRates:
    return FetchedRates(bank.url, folder / "rates", folder / "scratch", date(2026, 1, 1), now, backoff_s=0)


def test_rates_since_a_day_are_read(bank, tmp_path):
    rates = client(bank, tmp_path)
    (delivery,) = rates.deliveries()
    assert (delivery.name, delivery.delivered_at) == (FILE, NOON)
    assert [(each.rate_date, each.rate) for each in rates.read(delivery).rates] == [
        (date(2026, 3, 2), Decimal("1.08")),
        (date(2026, 2, 27), Decimal("1.07")),
    ]


@pytest.mark.parametrize(
    ("etag", "last_modified", "header"),
    [('"1"', "", "If-None-Match"), ("", "Mon, 02 Mar 2026 15:00:00 GMT", "If-Modified-Since"), ("", "", None)],
)
def test_what_has_not_changed_is_not_sent_again(bank, tmp_path, etag, last_modified, header):
    bank.etag, bank.last_modified = etag, last_modified
    (first,) = client(bank, tmp_path).deliveries()
    (second,) = client(bank, tmp_path, datetime(2026, 3, 4)).deliveries()
    assert second.content_hash == first.content_hash
    assert [name for name in ("If-None-Match", "If-Modified-Since") if name in bank.asked[0]] == []
    assert [name for name in ("If-None-Match", "If-Modified-Since") if name in bank.asked[1]] == [header] * bool(header)
    bank.content, bank.etag = history("1.09"), '"2"'
    bank.last_modified = last_modified and "Tue, 03 Mar 2026 15:00:00 GMT"
    (third,) = client(bank, tmp_path, datetime(2026, 3, 5)).deliveries()
    assert third.content_hash != first.content_hash


@pytest.mark.parametrize("harm", ["file", "note", "other address"])
def test_a_kept_file_that_is_not_what_was_fetched_is_fetched_anew(bank, tmp_path, harm):
    client(bank, tmp_path).deliveries()
    if harm == "file":
        (tmp_path / "rates" / FILE).write_bytes(b"cut")
    elif harm == "note":
        (tmp_path / "rates" / FILE).with_suffix(".json").write_text("{")
    else:
        bank.url += "?other"
    (delivery,) = client(bank, tmp_path).deliveries()
    assert "If-None-Match" not in bank.asked[-1]
    assert client(bank, tmp_path).read(delivery).rates


@pytest.mark.parametrize(
    ("content", "announced", "status", "error"),
    [
        (b"<html>Sorry</html>", None, [], Rejected),  # an error page under status 200
        (history()[:-40], None, [], Rejected),
        (history(), 10_000, [], Retryable),  # the connection ends before the file does
        (history(), None, [404], Rejected),
        (history(), None, [503] * 9, Retryable),
        (b"x" * 20_000_001, None, [], Rejected),
    ],
    ids=["error page", "half a zip", "cut off", "404", "503", "too long"],
)
def test_a_bad_answer_is_an_error_and_the_kept_file_stays(bank, tmp_path, content, announced, status, error):
    (kept,) = client(bank, tmp_path).deliveries()
    bank.content, bank.etag, bank.announced, bank.status = content, '"2"', announced, status
    with pytest.raises(error, match=r"127\.0\.0\.1"):
        client(bank, tmp_path).deliveries()
    assert (tmp_path / "rates" / FILE).read_bytes() == history()
    bank.content, bank.etag, bank.announced, bank.status = history(), '"1"', None, []
    assert client(bank, tmp_path).deliveries()[0].content_hash == kept.content_hash
    assert not list((tmp_path / "rates").glob("*.part"))


def test_a_server_that_recovers_is_asked_again(bank, tmp_path):
    bank.status = [503, 429, 500]
    assert client(bank, tmp_path).deliveries()
    assert len(bank.asked) == 4


def test_nobody_there_is_an_error_that_may_pass(bank, tmp_path):
    bank.url = "http://127.0.0.1:9/nothing.zip"
    with pytest.raises(Retryable, match="cannot be fetched"):
        client(bank, tmp_path).deliveries()
