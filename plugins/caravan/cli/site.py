"""`caravan site ...`: crawls of web sites, without a scheduler and without a warehouse."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from caravan.cli.steps import console, say
from caravan.config.settings import Settings
from caravan.core.crawl import in_words
from caravan.core.errors import Fault, Misconfigured

if TYPE_CHECKING:
    import duckdb

    from caravan.clients.crawl.runs import Record
    from caravan.core.crawl import Counts

app = typer.Typer(help="Web sites: what they answer, what is wrong with them.", no_args_is_help=True)

_MOST_HOSTS = 10


@app.command()
def checks(form: Annotated[str, typer.Option("--format", help="table or json.")] = "table") -> None:
    """List every check of the site audit: its severity, and whether it is evaluated or what it waits for."""
    from caravan.cli.site_checks import list_checks

    if form not in ("table", "json"):
        raise typer.BadParameter(f"'{form}' is none of table, json", param_hint="--format")
    list_checks(as_json=form == "json")


@app.command()
def crawl(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where to begin; its host is the site.")],
    max_pages: Annotated[int | None, typer.Option(min=1, help="Ask for so many pages at most.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            parser=_folder,
            help="Write there; the next crawl there is compared with it. A folder of its own unless given.",
        ),
    ] = None,
    rate: Annotated[float | None, typer.Option(min=0.01, max=1000, help="Requests a second; 5 unless given.")] = None,
    private: Annotated[bool, typer.Option("--private", help="Also on this machine and in private networks.")] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Ask for everything anew; with --out, remove the crawl that is there.")
    ] = False,
    external: Annotated[bool, typer.Option("--external", help="Also see whether links to other sites work.")] = False,
    gate: Annotated[
        str | None,
        typer.Option(metavar="ID[,ID]", help="Exit with 3 where one of these checks fired; `error`: any of that kind."),
    ] = None,
) -> None:
    """Crawl any site and say what is wrong with it: no configuration. Ctrl-C stops it, the same command goes on."""
    from caravan.assembly import site as crawls
    from caravan.assembly import site_audit
    from caravan.cli.site_summary import gated, show_audit
    from caravan.clients.crawl.frames import leave_out_pandas
    from caravan.config.site_checks import load_site_checks
    from caravan.core.urls import host_of

    settings = Settings.from_environment()
    plan = crawls.plan_of_address(_address(url), max_pages=max_pages, rate=rate, private=private, external=external)
    host = host_of(plan.start_urls[0])
    catalogue = load_site_checks()
    gates = gated(gate, catalogue)
    leave_out_pandas()
    folder = crawls.crawls_root_of_host(settings, host) if out is None else _made(out.absolute())
    with crawls.hold(folder, settings, f"crawls and audits {plan.start_urls[0]}"):
        if out is None:
            ready = site_audit.prepare_below(plan, folder, fresh)
        else:
            ready = site_audit.Prepared(folder) if fresh else site_audit.prepare(plan, folder)
        record = ready.record
        if record is None:
            with _stopped_by_signals() as stop, _shown() as show:
                record = crawls.crawl(
                    plan, ready.folder, settings, last=ready.last, fresh=fresh, stop=stop, progress=show
                )
        _summarise(ready.folder, record)
        if record.ended_at is None:
            say("Stopped; the same command goes on from there.")
            raise typer.Exit(1)
        if not _pages_read(record):
            say(_why_nothing(host, ready.folder, record))
            raise typer.Exit(1)
        with console().status("asking the checks"):
            audited = site_audit.audit_crawl(host, ready.folder, record, catalogue, settings, ready.before)
    raise typer.Exit(show_audit(audited, gates))


def _folder(text: str) -> Path:
    """An empty name would be the folder that one is in."""
    if not text:
        raise typer.BadParameter("is empty; give a folder")
    return Path(text)


def _address(text: str) -> str:
    """Absolute, https where no scheme is given; Misconfigured for what is no address."""
    from caravan.config.sites import page_address

    try:
        return page_address(text if "://" in text else f"https://{text}")
    except ValueError as error:
        raise Misconfigured([Fault("URL", str(error))]) from error


def _made(out: Path) -> Path:
    """A folder that can be written to; Misconfigured where it cannot be one."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise Misconfigured([Fault("--out", f"{out} is no folder; name one, or one to be made")]) from None
    except OSError as error:
        message = f"{out} cannot be made: {error.strerror}; name another folder"
        raise Misconfigured([Fault("--out", message)]) from error
    if not os.access(out, os.W_OK | os.X_OK):
        raise Misconfigured([Fault("--out", f"{out} may not be written to; name another folder")])
    return out


@contextmanager
def _stopped_by_signals() -> Iterator[Event]:
    """Set by the first Ctrl-C or termination; a second one ends at once."""
    stop = Event()
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}

    def tell(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)] or signal.SIG_DFL)

    for each in before:
        signal.signal(each, tell)
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def _shown() -> Iterator[_Shown]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.completed:,} asked"),
        BarColumn(bar_width=30),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console(), transient=True) as progress:
        yield _Shown(progress, progress.add_task("reading robots.txt and sitemaps", total=None))


class _Shown:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def __call__(self, counts: Counts) -> None:
        done = sum(counts.by_outcome.values())
        said = f"{counts.waiting:,} known and waiting, {_size(counts.wire_bytes)}"
        self._progress.update(self._task, completed=done, total=done + counts.waiting, description=said)


def _summarise(folder: Path, record: Record) -> None:
    import duckdb

    from caravan.clients.crawl.parts import open_views

    with duckdb.connect() as tables:
        open_views(tables, folder)
        console().print(_outcomes(tables))
        hosts = _hosts(tables)
        if hosts.row_count > 1:
            console().print(hosts)
        wire_bytes, first, last = tables.execute(
            "SELECT coalesce(sum(wire_bytes), 0), min(requested_at), max(requested_at) FROM page"
        ).fetchall()[0]
    seconds = (last - first).total_seconds() if first is not None else 0.0
    say(f"{_size(int(wire_bytes))} in {seconds:,.0f} s")
    certificate = record.certificate
    for host, reason in sorted(certificate.failed_hosts.items()):
        say(f"{host} was not crawled, or not to its end: {in_words(reason)}")
    for reason, count in sorted(certificate.skipped.items()):
        say(f"{count:,} {'address was' if count == 1 else 'addresses were'} left out: {in_words(reason)}")
    say(f"The tables are in {folder}: SELECT * FROM '{folder}/page/*.parquet'")


def _outcomes(tables: duckdb.DuckDBPyConnection) -> Table:
    rows = tables.execute(
        "SELECT kind, outcome, coalesce(status_code::VARCHAR, reason, ''), count(*), sum(wire_bytes)::BIGINT,"
        " median(ttfb_ms) FROM page GROUP BY ALL ORDER BY kind, outcome, 3"
    ).fetchall()
    table = _table("kind", "outcome", "status or reason", numbers=("addresses", "bytes", "median ms to first byte"))
    for kind, outcome, status, count, size, milliseconds in rows:
        latency = "" if milliseconds is None else f"{milliseconds:,.0f}"
        table.add_row(kind, outcome, Text(status), f"{count:,}", _size(size or 0), latency)
    return table


def _hosts(tables: duckdb.DuckDBPyConnection) -> Table:
    rows = tables.execute(
        "SELECT host, request_count, failed_count, skipped_count, final_rate FROM host"
        " ORDER BY request_count DESC, host LIMIT ?",
        [_MOST_HOSTS],
    ).fetchall()
    table = _table("host", numbers=("asked", "failed", "skipped", "requests a second"))
    for host, asked, failed, skipped, rate in rows:
        table.add_row(Text(host), f"{asked:,}", f"{failed:,}", f"{skipped:,}", f"{rate or 0:,.1f}")
    return table


def _table(*names: str, numbers: tuple[str, ...]) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    for name in names:
        table.add_column(name)
    for name in numbers:
        table.add_column(name, justify="right")
    return table


def _pages_read(record: Record) -> bool:
    from caravan.clients.crawl.runs import NOTHING

    return record.certificate.stopped != NOTHING and bool(record.counts)


def _why_nothing(host: str, folder: Path, record: Record) -> str:
    from caravan.assembly.site_unread import why_unread

    unread = why_unread(folder, record)
    if unread.is_refused:
        return f"{host} leads to this machine or into a private network; `--private` crawls it nevertheless."
    if unread.hosts:
        return f"No page of {host} could be read: {', '.join(sorted(set(unread.hosts.values())))}."
    if unread.elsewhere is not None:
        return f"No page of {host} could be read: it redirects to another host. Crawl {unread.elsewhere} instead."
    return f"No page of {host} could be read; the table above says what it answered."


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "KB", "MB"):
        if size < 1000:
            return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} GB"
