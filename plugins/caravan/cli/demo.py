"""`caravan demo`: order files of 8 markets with planted defects, through the real DAGs, and judged at the end."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from caravan import PROJECT_ROOT
from caravan.cli.steps import say
from caravan.config.settings import Settings
from caravan.core.errors import CaravanError

if TYPE_CHECKING:
    from caravan.cli.run import RunResult
    from caravan.demo.truth import DeliveryTruth, Truth
    from caravan.warehouse.port import Session

DAG_ID = "sales_orders_daily"
RATES_DAG_ID = "markets_rates_daily"
COUNTS = ("received", "loaded", "unchanged", "duplicate", "quarantined", "refused")


@dataclass(frozen=True)
class Found:
    """What ops.load and ops.quarantine say about one delivery. `refused`: the reason, for the whole file."""

    channel_code: str
    entity: str
    name: str
    started_at: datetime
    """UTC, without zone."""
    refused: str | None
    reasons: tuple[tuple[str, int], ...]
    received: int
    loaded: int
    unchanged: int
    duplicate: int
    quarantined: int
    deleted: int
    moved: int


def demo_settings(home: Path | None = None) -> Settings:
    """State in `home`, CARAVAN_HOME or .caravan/demo, and a lake of its own there, whatever CARAVAN_WAREHOUSE says."""
    chosen = home or os.environ.get("CARAVAN_HOME") or PROJECT_ROOT / ".caravan" / "demo"
    environ = {name: value for name, value in os.environ.items() if name != "CARAVAN_WAREHOUSE"}
    return Settings.from_environment({**environ, "CARAVAN_HOME": str(chosen)})


def run_demo(home: Path | None = None) -> int:
    """Generate, run, show. Returns 0 if exactly what was planted was found, else 1."""
    from caravan.assembly.warehouse import open_warehouse, utc_now
    from caravan.cli.run import run_dag
    from caravan.config.loader import load
    from caravan.demo.orders import generate
    from caravan.demo.truth import write_truth

    settings = demo_settings(home)
    truth_file = settings.home / "truth.json"
    if (settings.home / "lake").exists() and not truth_file.exists():
        raise CaravanError(
            f"{settings.home} holds a warehouse that is not the demo's; name another folder: demo --home"
        )
    os.environ["CARAVAN_ALERTS"] = "off"  # what is planted here is nobody's incident
    truth = generate(settings.home, load(settings.config_dir))
    write_truth(truth, truth_file)
    say(
        f"{len(truth.deliveries)} files of {len({each.channel_code for each in truth.deliveries})} channels "
        f"in {settings.home}, orders of {truth.first} to {truth.last}"
    )
    began = utc_now()
    out = Console(file=sys.stdout, highlight=False)  # bound now: what tasks print goes elsewhere
    log = settings.home / "demo.log"
    with out.status(f"running {DAG_ID}") as status, log.open("w", encoding="utf-8") as book, captured(book):

        def tell(message: str) -> None:
            print(message, file=book, flush=True)
            line = Text(message.splitlines()[0], style="dim")
            status.update(line)
            out.print(line, overflow="ellipsis", no_wrap=True)

        rates = run_dag(RATES_DAG_ID, settings=settings, say=tell)
        window = truth.first, truth.last + timedelta(days=1)
        result = run_dag(DAG_ID, *window, downstream=True, settings=settings, say=tell)
    with open_warehouse(settings, read_only=True) as warehouse, warehouse.read() as session:
        found = read_found(session)
        checks = [*failed_checks(session, began), *unrated(session), *wrong_figures(truth, session)]
    out.print(loads_table(found))
    failed = [f"  {RATES_DAG_ID} {rates.state}: {dict(rates.failures)}"] * (not rates)
    faults = [*differences(truth, found), *failed, *unexpected_failures(truth, result), *checks]
    new = [each for each in found if each.started_at >= began and not each.refused]
    for line in summary(truth, len(new)) if not faults else ["This is not what was planted:", *faults]:
        say(line)
    say(f"Every word of the run: {log}")
    say(f'To ask more: CARAVAN_HOME={settings.home} ./caravan query "SHOW TABLES"')
    say(f"The report: {settings.report_dir / 'index.html'}")
    return 1 if faults else 0


@contextmanager
def captured(book: TextIO) -> Iterator[None]:
    """What tasks print and log goes into `book`; consoles made before keep the terminal."""
    with redirect_stdout(book), redirect_stderr(book):
        yield


def failed_checks(session: Session, since: datetime) -> list[str]:
    """Quality checks that failed since then: none is planted."""
    rows = session.rows(
        "SELECT model_name, check_name, part_value, COUNT(*), MIN(message) FROM ops.quality_result "
        "WHERE outcome IN ('fail', 'error') AND checked_at >= $since GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        {"since": since},
    )
    return [
        f"  {model} {part or ''}: check {name} failed {count} times: {text}" for model, name, part, count, text in rows
    ]


def unrated(session: Session) -> list[str]:
    """Orders without an exchange rate: there is one for each currency and day."""
    rows = session.rows(
        "SELECT currency_code, COUNT(*) FROM mart.fct_order WHERE fx_status = 'missing' GROUP BY 1 ORDER BY 1"
    )
    return [f"  {count} orders in {currency} have no exchange rate" for currency, count in rows]


def wrong_figures(truth: Truth, session: Session) -> list[str]:
    """Sales and refunds that are not, to the cent, what was really sold and given back."""
    sales = {
        (each.channel_code, each.order_local_date, each.market_code): (
            *(each.orders, each.units, each.gross, each.cancelled, each.refunded, each.net),
        )
        for each in truth.sales
    }
    refunds = {
        (each.channel_code, each.refund_local_date, each.net_status): (each.refunds, each.amount)
        for each in truth.refunds
    }
    found_sales = session.rows(
        "SELECT channel_code, order_local_date, market_code, SUM(order_count), SUM(unit_count), SUM(gross_amount), "
        "SUM(cancelled_amount), SUM(refunded_amount), SUM(net_amount) FROM mart.rpt_sales__channel_day GROUP BY 1, 2, 3"
    )
    found_refunds = session.rows(
        "SELECT channel_code, refund_local_date, net_status, COUNT(*), SUM(amount) FROM mart.fct_refund "
        "GROUP BY 1, 2, 3"
    )
    lines = []
    for what, ought, rows in (("sales", sales, found_sales), ("refunds", refunds, found_refunds)):
        is_ = {(row[0], row[1], row[2]): tuple(row[3:]) for row in rows}
        lines += [
            f"  {what} of {' '.join(map(str, key))}: {_told(is_.get(key))} instead of {_told(ought.get(key))}"
            for key in sorted(ought.keys() | is_.keys())
            if is_.get(key) != ought.get(key)
        ]
    return lines


def _told(figures: tuple[object, ...] | None) -> str:
    return "nothing" if figures is None else " ".join(map(str, figures))


def read_found(session: Session) -> list[Found]:
    """The last word of ops.load on every delivery, in the order of loading. A refused file is tried by every run."""
    reasons: dict[str, list[tuple[str, int]]] = {}
    for load_id, reason, count in session.rows(
        "SELECT load_id, reason_code, COUNT(*) FROM ops.quarantine GROUP BY load_id, reason_code ORDER BY 1, 2"
    ):
        reasons.setdefault(load_id, []).append((reason, count))
    found: dict[tuple[str, str, str], Found] = {}
    for load_id, started_at, channel, entity, name, refused, *counts in session.rows(
        "SELECT load_id, started_at, channel_code, entity, delivery_name, "
        "CASE WHEN state = 'refused' THEN reason_code END, received_count, loaded_count, unchanged_count, "
        "duplicate_count, quarantined_count, deleted_count, moved_count FROM ops.load "
        "WHERE (table_name LIKE 'raw.file_drop__%' OR channel_code = 'rates_user') AND delivery_name IS NOT NULL "
        "ORDER BY started_at, load_id"
    ):
        quarantined = tuple(reasons.get(load_id, ()))
        found[channel, entity, name] = Found(channel, entity, name, started_at, refused, quarantined, *counts)
    return list(found.values())


def loads_table(found: Sequence[Found]) -> Table:
    """Rows by channel; `refused` counts files."""
    totals: dict[str, Counter[str]] = {}
    for each in found:
        row = totals.setdefault(each.channel_code, Counter())
        row.update({name: getattr(each, name) for name in COUNTS[:-1]})
        row["refused"] += each.refused is not None
    table = Table(title="What was loaded: rows (refused: files)", title_justify="left", box=box.SIMPLE)
    table.show_footer, table.pad_edge, table.collapse_padding = True, False, True  # fits into 80 columns
    everything = sum(totals.values(), Counter[str]())
    table.add_column("channel", footer="all", no_wrap=True)
    for name in COUNTS:
        table.add_column(name, justify="right", no_wrap=True, footer=f"{everything[name]:,}")
    for channel, row in sorted(totals.items()):
        table.add_row(channel, *(f"{row[name]:,}" for name in COUNTS))
    return table


def differences(truth: Truth, found: Iterable[Found]) -> list[str]:
    """Where the warehouse does not hold exactly what was planted; empty when it does."""
    by_name = {(each.channel_code, each.entity, each.name): each for each in found}
    lines = []
    for planted in (*truth.deliveries, *truth.rates):
        where = f"{planted.channel_code} {planted.entity} {planted.name}"
        each = by_name.pop((planted.channel_code, planted.entity, planted.name), None)
        if each is None:
            lines.append(f"  {where}: was not collected")
            continue
        lines += [
            f"  {where}: {name} {is_} instead of {ought}"
            for name, is_, ought in _compared(planted, each)
            if is_ != ought
        ]
    lines += [f"  {' '.join(key)}: is no file of the demo" for key in by_name]
    return lines


def _compared(planted: DeliveryTruth, each: Found) -> list[tuple[str, object, object]]:
    counts = ("received", "loaded", "unchanged", "duplicate", "deleted", "moved", "refused")
    pairs: list[tuple[str, object, object]] = [(name, getattr(each, name), getattr(planted, name)) for name in counts]
    return [
        *pairs,
        ("quarantined", each.quarantined, sum(planted.quarantined.values())),
        ("reasons", dict(each.reasons), dict(planted.quarantined)),
    ]


def unexpected_failures(truth: Truth, result: RunResult) -> list[str]:
    """Tasks that failed though nothing planted is meant to make them fail."""
    refused = {f"collect [{each.channel_code}]" for each in truth.deliveries if each.refused}
    expected = refused | ({"verdict"} if refused else set())
    lines = [f"  {name} failed: {text}" for name, text in result.failures.items() if name not in expected]
    lines += [f"  {name} did not fail" for name in sorted(expected - result.failures.keys())]
    lines += [f"  {name} did not run" for name in result.not_run]
    lines += [f"  {each.dag_id} {each.state}: {dict(each.failures)}" for each in result.downstream if not each]
    return lines if result.downstream else [*lines, "  no DAG followed: the report is not up to date"]


def summary(truth: Truth, new_count: int) -> list[str]:
    """What was found, in words; `new_count`: deliveries that this run loaded."""
    quarantined = truth.quarantined()
    reasons = ", ".join(f"{reason} {count}" for reason, count in quarantined.items())
    lines = [] if new_count else ["Nothing new was loaded: every delivery is known by its content."]
    lines.append(f"Exactly the planted defects were found: {sum(quarantined.values())} rows in quarantine ({reasons}).")
    given_back = sum(each.amount for each in truth.refunds if each.net_status == "counted")
    lines.append(
        "Sales and refunds are right to the cent"
        f" on every day; {given_back:,} was taken off the days of refunded orders."
    )
    lines += [
        f"{DAG_ID} failed by design: {each.name} of {each.channel_code} was planted broken ({each.refused}), and the "
        "verdict names it; all other deliveries went through."
        for each in truth.deliveries
        if each.refused
    ]
    return lines
