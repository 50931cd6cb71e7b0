"""What the warehouse knows about exchange rates as they came in, and what a run has to tell about them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from itertools import groupby

from caravan.core.rates import BY_OTHERS, KnownRate
from caravan.warehouse.port import Session

MESSAGES_SHOWN = 5
"""Of one delivery's quarantined rows."""
_READ = "state IN ('loaded', 'empty')"


def newest_contents(session: Session, channel_code: str, entity: str) -> dict[str, str]:
    """Name of each delivery read, to the hash of its newest content; the one read last at the end."""
    found = session.rows(
        f"SELECT delivery_name, content_hash FROM ops.load WHERE channel_code = $channel AND entity = $entity "
        f"AND {_READ} ORDER BY started_at, load_id",
        {"channel": channel_code, "entity": entity},
    )
    contents: dict[str, str] = {}
    for name, content in found:
        contents.pop(name, None)
        contents[name] = content
    return contents


def healable(session: Session, channel_code: str, entity: str) -> dict[str, set[int]]:
    """Name of each delivery with rows in quarantine that another may heal, to the numbers of all rows there."""
    found = session.rows(
        "SELECT n.delivery_name, q.row_number, q.reason_code FROM ops.quarantine AS q INNER JOIN ("
        "SELECT load_id, delivery_name, ROW_NUMBER() OVER (PARTITION BY delivery_name "
        "ORDER BY started_at DESC, load_id DESC) AS place FROM ops.load "
        f"WHERE channel_code = $channel AND entity = $entity AND {_READ}) AS n ON q.load_id = n.load_id "
        "WHERE n.place = 1",
        {"channel": channel_code, "entity": entity},
    )
    numbers: dict[str, set[int]] = {name: set() for name, _, reason in found if reason in BY_OTHERS}
    for name, number, _ in found:
        if name in numbers:
            numbers[name].add(number)
    return numbers


def loads_named(session: Session, channel_code: str, entity: str, names: Iterable[str]) -> list[str]:
    """The loads that read a delivery of one of these names before, whatever it held."""
    given = {f"name{number}": name for number, name in enumerate(names)}
    found = session.rows(
        "SELECT load_id FROM ops.load WHERE channel_code = $channel AND entity = $entity "
        f"AND delivery_name IN ({', '.join(f'${name}' for name in given)}) AND {_READ} ORDER BY load_id",
        {"channel": channel_code, "entity": entity, **given},
    )
    return [row[0] for row in found]


def known_rates(session: Session, currencies: Iterable[str], first: date, last: date) -> list[KnownRate]:
    """What every delivery says about these currencies and days; the one that stg.fx__rate takes at the end."""
    wanted = sorted(set(currencies))
    if not wanted:
        return []
    codes = {f"code{number}": code for number, code in enumerate(wanted)}
    found = session.rows(
        "SELECT q.source_code, q.rate_date, q.currency_code, q.base_currency_code, q.rate, q.stated_source, "
        "l.delivery_name FROM (SELECT r.*, MAX(version) OVER (PARTITION BY row_key) AS newest FROM raw.fx__rate AS r "
        "WHERE rate_date BETWEEN $first AND $last) AS q LEFT JOIN ops.load AS l ON q.load_id = l.load_id "
        "WHERE q.version = q.newest AND q.change = 'row' "
        f"AND q.currency_code IN ({', '.join(f'${name}' for name in codes)}) "
        "ORDER BY q.observed_at, q.row_key DESC, q.version DESC",
        {"first": first, "last": last, **codes},
    )
    return [KnownRate(*row) for row in found]


def newest_rates(session: Session) -> dict[str, tuple[date, str]]:
    """The newest day of each currency that the models have, and its source; without currencies that ended."""
    if not session.columns("stg.fx__rate") or not session.columns("stg.config__ended_currency"):
        return {}
    found = session.rows(
        "SELECT r.currency_code, r.rate_date, r.source_code FROM stg.fx__rate AS r INNER JOIN (SELECT currency_code, "
        "MAX(rate_date) AS rate_date FROM stg.fx__rate GROUP BY currency_code) AS n "
        "ON r.currency_code = n.currency_code AND r.rate_date = n.rate_date "
        "WHERE r.currency_code NOT IN (SELECT currency_code FROM stg.config__ended_currency)"
    )
    return {currency: (day, source) for currency, day, source in found}


def warnings(session: Session, run_id: str, dag_id: str) -> list[str]:
    """What the run set aside, could not fetch, or doubts, a line each."""
    values = {"run": run_id, "dag": dag_id}
    lines = [
        f"{channel}: {message}"
        for channel, message in session.rows(
            "SELECT channel_code, message FROM ops.load WHERE run_id = $run AND dag_id = $dag AND state = 'missing' "
            "ORDER BY started_at, load_id",
            values,
        )
    ]
    quarantined = session.rows(
        "SELECT q.channel_code, q.file_name, q.row_number, q.reason_code, q.message FROM ops.quarantine AS q "
        "INNER JOIN ops.load AS l ON q.load_id = l.load_id WHERE l.run_id = $run AND l.dag_id = $dag "
        # Each fetched file repeats the ones before: what was told of them is not told every night. A run that did
        # not end told nothing.
        "AND (q.channel_code <> 'rates_fetched' OR NOT EXISTS (SELECT 1 FROM ops.quarantine AS b "
        "INNER JOIN ops.load AS e ON b.load_id = e.load_id "
        "INNER JOIN ops.run AS t ON e.run_id = t.run_id AND e.dag_id = t.dag_id "
        "WHERE b.channel_code = q.channel_code AND t.ended_at IS NOT NULL "
        "AND b.raw_row = q.raw_row AND b.reason_code = q.reason_code AND e.run_id <> l.run_id "
        "AND e.started_at < l.started_at)) "
        "ORDER BY q.channel_code, q.file_name, q.row_number",
        values,
    )
    for (channel, name), group in groupby(quarantined, key=lambda row: (row[0], row[1])):
        rows = list(group)
        shown = [f"row {number}: {code}: {message}" for _, _, number, code, message in rows[:MESSAGES_SHOWN]]
        more = [f"and {len(rows) - MESSAGES_SHOWN} more"] * (len(rows) > MESSAGES_SHOWN)
        lines.append(f"{channel} {name}: {len(rows)} in quarantine: {'; '.join([*shown, *more])}")
    doubted = session.rows(
        "SELECT check_name, part_value, COUNT(*), MAX(slice_date) FROM ops.quality_result WHERE run_id = $run "
        "AND dag_id = $dag AND outcome = 'warn' GROUP BY check_name, part_value ORDER BY 1, 2",
        values,
    )
    lines += [f"{part}: {check} does not hold on {count} days, last {day}" for check, part, count, day in doubted]
    return lines
