"""A marketplace of the shape of Amazon's Selling Partner API, asked for the orders that changed.

By reports, not order by order: `getOrderItems` gives one order every two seconds, a report all of a month.

The connection: host, the endpoint of the region (https://sellingpartnerapi-eu.amazon.com); login and password, the
client id and secret of the application; extra `refresh_token`, the seller's; extra `marketplace_ids`, a list; extra
`auth_url`, where tokens are given, https://api.amazon.com/auth/o2/token unless told.

A report covers at most 30 days (amzn/selling-partner-api-models issues 385 and 2591), so a longer time is several.

Not verified against the real service, for want of an account: all of it has been tried with the stand-in in
`demo/servers/marketplace.py` only. Above all: that the report's changes are by `last-updated-date` within
[dataStartTime, dataEndTime); that an undeclared encoding is UTF-8; how long reports take; see also `records.py`.
Refunds are not asked for yet: they are in the Finances API (`listFinancialEvents`), not in this report.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from caravan.clients.http.caller import Caller
from caravan.clients.http.limits import USUAL, Limits
from caravan.clients.http.source import HttpSource, Record
from caravan.clients.marketplace.records import COLUMNS, ORDER, SKU, row_records
from caravan.clients.marketplace.report import API, ORDERS, Patience, Report, fetch_report, read_rows
from caravan.clients.marketplace.report import USUAL as PATIENCE
from caravan.clients.marketplace.token import AccessToken, Nobody
from caravan.core.connections import Connection
from caravan.core.errors import Rejected
from caravan.core.pulls import OVERLAP

AUTH_URL = "https://api.amazon.com/auth/o2/token"
SPAN = timedelta(days=30)
_SHOWN = 80


def _utc_now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


@dataclass(frozen=True)
class Marketplace:
    """A `Kind`: order lines. `first_days`: how far back the first pull goes. `now`: UTC without zone; decides only
    into how many reports a time is cut."""

    marketplaces: tuple[str, ...]
    first_days: int = 30
    patience: Patience = PATIENCE
    now: Callable[[], datetime] = _utc_now

    @property
    def entities(self) -> tuple[str, ...]:
        return ("order_line",)

    def changes(self, caller: Caller, since: datetime | None, folder: Path) -> Iterator[Record]:
        now = self.now()
        start = since or now - timedelta(days=self.first_days)
        with closing(_Occurrences(folder / "occurrences.sqlite")) as occurrences:
            while start is not None:
                # The last one is open: a service whose clock is ahead has orders from after our now.
                end = start + SPAN if start + SPAN < now else None
                report = fetch_report(caller, self.marketplaces, start, end, folder, self.patience)
                if report:
                    yield from _records(report, start, occurrences)
                    report.path.unlink()
                if end is None:
                    return
                start = end

    def probe(self, caller: Caller) -> str:
        caller.get(f"{API}/reports", {"reportTypes": ORDERS, "pageSize": 1})
        return "gives a token and lets us see reports of orders"


def open_marketplace(
    connection: Connection,
    limits: Limits = USUAL,
    overlap: timedelta = OVERLAP,
    *,
    marketplaces: Sequence[str] = (),
    first_days: int = 30,
    patience: Patience = PATIENCE,
    now: Callable[[], datetime] = _utc_now,
    **caller: Callable[..., Any],
) -> HttpSource:
    """`marketplaces`: those of the connection unless given. `caller`: pause, random and clock of `Caller`.

    Raises Misconfigured.
    """
    wanted = list(marketplaces) or connection.extra.get("marketplace_ids")
    if not (connection.login and connection.password and connection.extra.get("refresh_token")):
        message = "needs the client id as login, the client secret as password and the extra refresh_token"
        raise connection.misconfigured(message)
    if not (isinstance(wanted, list) and wanted and all(isinstance(each, str) for each in wanted)):
        raise connection.misconfigured('needs the extra marketplace_ids, a list like ["A1PA6795UKMFR9"]')
    giver = replace(connection, host=connection.extra.get("auth_url", AUTH_URL), port=None)
    clock = caller.get("clock", time.monotonic)

    def open_caller() -> Caller:
        token = AccessToken(connection, lambda: Caller(giver, Nobody(), limits, **caller), clock)
        return Caller(connection, token, limits, **caller)

    return HttpSource(Marketplace(tuple(wanted), first_days, patience, now), open_caller, overlap)


class _Occurrences:
    """How often an order has had an sku: on disk, since its rows need not stand together."""

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._path = path
        self._connection = sqlite3.connect(path)
        self._connection.executescript("PRAGMA journal_mode = off; PRAGMA synchronous = off;")
        self._connection.execute("CREATE TABLE seen (start, number, sku, times, PRIMARY KEY (start, number, sku))")

    def count(self, *key: str) -> int:
        """This one included. `key`: start of the report, order and sku."""
        counted = self._connection.execute(
            "INSERT INTO seen VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET times = times + 1 RETURNING times", key
        )
        return int(counted.fetchone()[0])

    def close(self) -> None:
        self._connection.close()
        self._path.unlink(missing_ok=True)


def _records(report: Report, start: datetime, occurrences: _Occurrences) -> Iterator[Record]:
    rows = read_rows(report)
    columns = next(rows, [])
    lacking = [name for name in COLUMNS if name not in columns]
    if lacking:
        begins = ascii("\t".join(columns)[:_SHOWN])
        message = f"report {report.report_id} has no column {', '.join(lacking)}; it begins with {begins}"
        raise Rejected("REPORT_UNEXPECTED", message)
    order, sku = columns.index(ORDER), columns.index(SKU)
    for cells in rows:
        whole = len(cells) == len(columns)
        nth = occurrences.count(start.isoformat(), cells[order], cells[sku]) if whole else 0
        yield from row_records(columns, cells, nth)
