"""One crawl from its beginning, or from where one that was killed left off, to its certificate: `<folder>/run.json`."""

from __future__ import annotations

import dataclasses
import gc
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

from caravan.clients.crawl.archive import Archive
from caravan.clients.crawl.contents import PREVIOUS, RECORD, STATE, remove_written, written
from caravan.clients.crawl.crawl import Crawl, Work
from caravan.clients.crawl.downloader import Downloader
from caravan.clients.crawl.frontier import Frontier
from caravan.clients.crawl.intake import Intake, Read
from caravan.clients.crawl.locks import hold_hosts
from caravan.clients.crawl.origins import NO_ANSWER, NO_ROBOTS, PAGES, SECONDS, TOLD_TO_WAIT, Origin
from caravan.clients.crawl.pace import Pace
from caravan.clients.crawl.parts import Parts, as_table
from caravan.clients.crawl.room import told_when_full
from caravan.clients.crawl.seeds import sow, sow_last_run
from caravan.core.crawl import Certificate, Counts, Fetcher, Kind, Limits, Scope
from caravan.core.errors import CaravanError, Fault, Misconfigured
from caravan.core.urls import origin_of

_NOT_OF_THE_RESULT = frozenset(
    ("connections", "requests_per_second", "attempts", "connect_seconds", "answer_seconds", "seconds_of_host")
)
"""Limits that say how fast, not what: a crawl may go on, and be compared, with others."""
_FAILURES = (NO_ROBOTS, NO_ANSWER, TOLD_TO_WAIT, "refused_address")
_COLLECTED_AFTER = (100_000, 20, 100)
"""For `gc.set_threshold`."""
STOPPED = "stopped before it was through"
NOTHING = "no page could be read"
LITTLE = "most pages did not answer, or not as pages: the server was busy, refused, failed, or broke off"
"""Of a site of which nothing was expected, too."""
AWAY = (
    "most pages that were there redirect for now (302, 303, 307), and many to one place, as under maintenance: "
    "what has moved for good answers 301"
)


@dataclass(frozen=True)
class Plan:
    """What is to be crawled. `start_urls`: at least one; all absolute, without fragments."""

    start_urls: tuple[str, ...]
    scope: Scope
    limits: Limits = field(default_factory=Limits)
    sitemaps: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    """Whose robots.txt and sitemaps are read at the start, besides those of the start addresses."""
    required_share: float = 0.95

    def configuration_hash(self, extractor_version: str) -> str:
        """The same for crawls whose tables can be compared, and whose facts can stand for one another."""
        limits = {
            name: value for name, value in dataclasses.asdict(self.limits).items() if name not in _NOT_OF_THE_RESULT
        }
        scope = {
            name: sorted(value) if isinstance(value, frozenset) else value
            for name, value in dataclasses.asdict(self.scope).items()
        }
        told = [sorted(self.start_urls), sorted(self.sitemaps), sorted(self.origins), scope, limits, extractor_version]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Means:
    """How it is crawled. `read` makes rows of answers and is of `extractor_version`. `locks`: the folder of the locks
    that keep two crawls from one host. `last`: the folder of the crawl before, which is used if it was complete and of
    the same configuration."""

    fetcher: Fetcher
    pace: Pace
    read: Read
    extractor_version: str
    agent: str
    locks: Path
    last: Path | None = None
    checkpoint: int = 512
    """Addresses after which what was read is committed; sooner where their pages are long, or the host slow."""
    stop: Event = field(default_factory=Event)
    progress: Callable[[Counts], None] = lambda counts: None
    certificates: Mapping[str, datetime] = field(default_factory=dict)
    now: Callable[[], datetime] = lambda: datetime.now(UTC).replace(tzinfo=None)
    """UTC without zone."""


@dataclass(frozen=True)
class Record:
    """Of one crawl, as `run.json` has it. `ended_at` is None while it is not through: it can go on."""

    configuration_hash: str
    extractor_version: str
    start_urls: tuple[str, ...]
    started_at: datetime
    ended_at: datetime | None
    counts: Mapping[str, int]
    certificate: Certificate
    kinds: tuple[Kind, ...] = ()
    """What it was told to ask for."""

    @property
    def inputs(self) -> frozenset[str]:
        """Of `config.site_checks.INPUTS`, those that it has for the audit."""
        has = {
            "complete_crawl": self.certificate.is_complete,
            "external_links": "external" in self.kinds,
            "resources": "resource" in self.kinds,
        }
        return frozenset(name for name, is_there in has.items() if is_there)

    def as_json(self) -> str:
        told = dataclasses.asdict(self)
        told["certificate"] |= {"share": self.certificate.share, "is_complete": self.certificate.is_complete}
        return json.dumps(told, indent=2, default=datetime.isoformat) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Record:
        told: dict[str, Any] = json.loads(text)
        certificate = told.pop("certificate")
        certificate = {name: value for name, value in certificate.items() if name not in ("share", "is_complete")}
        started_at, ended_at = told.pop("started_at"), told.pop("ended_at")
        return cls(
            **{**told, "start_urls": tuple(told["start_urls"]), "kinds": tuple(told.get("kinds", ()))},
            started_at=datetime.fromisoformat(started_at),
            ended_at=datetime.fromisoformat(ended_at) if ended_at else None,
            certificate=Certificate(**certificate),
        )


def read_record(folder: Path) -> Record | None:
    """None where no crawl has got as far as having one. CaravanError for one that cannot be read."""
    try:
        return Record.from_json((folder / RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise CaravanError(f"{folder / RECORD}: is no record of a crawl ({error})") from error


def is_begun(folder: Path) -> bool:
    return (folder / STATE).exists()


def crawl(plan: Plan, folder: Path, means: Means, fresh: bool = False) -> Record:
    """Crawls into `folder`; goes on with what was begun there, unless `fresh`, which removes it.

    Returns when all is asked, or soon after `means.stop` is set. Raises InUse while another crawls one of the hosts,
    Retryable when the disk is full, Misconfigured for a folder with a crawl of another configuration or with one that
    is through; one that read nothing is replaced.
    """
    configuration_hash = plan.configuration_hash(means.extractor_version)
    with (
        hold_hosts(means.locks, plan.scope.hosts, f"crawls into {folder}"),
        told_when_full(folder),
        _rarely_collected(),
    ):
        _prepare(folder, fresh, configuration_hash)
        frontier = Frontier(folder / STATE, configuration_hash)
        try:
            parts = Parts(folder)
            parts.begin(frontier.part)
            record = _begin(plan, folder, means, configuration_hash)
            archive = _archive(means.last, configuration_hash)
            work = Work(
                scope=plan.scope,
                limits=plan.limits,
                frontier=frontier,
                parts=parts,
                downloader=Downloader(means.fetcher, means.pace, means.agent, plan.limits, means.stop),
                intake=Intake(means.read),
                pace=means.pace,
                archive=archive,
                stop=means.stop,
                progress=means.progress,
                certificates=means.certificates,
                checkpoint=means.checkpoint,
            )
            crawling = Crawl(work)
            try:
                is_through = _run(crawling, plan)
            finally:
                crawling.crew.end()
            parts.replace("host", as_table("host", crawling.host_rows()))
            record = dataclasses.replace(
                record,
                ended_at=means.now() if is_through else None,
                counts=frontier.counts(),
                certificate=_certificate(plan, crawling, is_through),
            )
        finally:
            frontier.close()
        _write(folder, record)
    return record


@contextmanager
def _rarely_collected() -> Iterator[None]:
    """Rows by the hundred thousand, and hardly a cycle among them: looking for some takes a fifth of a crawl's time."""
    usual = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*_COLLECTED_AFTER)
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()


def _prepare(folder: Path, fresh: bool, configuration_hash: str) -> None:
    was_begun = is_begun(folder)
    record = read_record(folder)
    # Beside one that is kept to compare with it stays: what is known there is of its configuration.
    is_vain = record is not None and record.certificate.stopped == NOTHING and not any(written(folder / PREVIOUS))
    if was_begun and (fresh or is_vain):
        remove_written(folder)
        record = None
    folder.mkdir(parents=True, exist_ok=True)
    # Beside a crawl that was set aside there may be files of its owner: not under the names that this one writes.
    if not was_begun and any(written(folder) if (folder / PREVIOUS).is_dir() else folder.iterdir()):
        raise Misconfigured([Fault(str(folder), "is not empty, and holds no crawl; give another folder")])
    if record is not None and record.ended_at is not None:
        other = ", and had another configuration (scope, limits or version of the extractor)"
        what = f"is through{other if record.configuration_hash != configuration_hash else ''}"
        message = f"the crawl there {what}; give another folder, or begin afresh (`--fresh`), which replaces it"
        raise Misconfigured([Fault(str(folder), message)])


def _begin(plan: Plan, folder: Path, means: Means, configuration_hash: str) -> Record:
    """That of the crawl that goes on, else a new one."""
    record = read_record(folder)
    if record is None:
        nothing = Certificate(0, 0, plan.required_share, stopped=STOPPED)
        record = Record(
            configuration_hash,
            means.extractor_version,
            plan.start_urls,
            means.now(),
            None,
            {},
            nothing,
            plan.scope.kinds,
        )
        _write(folder, record)
    return record


def _archive(last: Path | None, configuration_hash: str) -> Archive | None:
    record = read_record(last) if last is not None else None
    if last is None or record is None or record.ended_at is None:
        return None
    is_usable = record.certificate.is_complete and record.configuration_hash == configuration_hash
    return Archive(last) if is_usable else None


def _run(crawling: Crawl, plan: Plan) -> bool:
    """Whether it came to its end."""
    work = crawling.work
    if not sow(crawling, plan.start_urls, plan.sitemaps, plan.origins):
        return False
    crawling.flush(0)
    while not work.stop.is_set():
        depth = work.frontier.generation()
        if depth is not None:
            crawling.run_generation(depth)
        elif not sow_last_run(crawling):
            return True
    return False


def _certificate(plan: Plan, crawling: Crawl, is_through: bool) -> Certificate:
    frontier = crawling.work.frontier
    expected, seen = frontier.coverage()
    own = [each for each in crawling.origins.values() if each.is_own]
    # A link may write http for https, or www where there is none: what only such a link leads to is not to be expected,
    # or it would keep each crawl from being complete.
    wanted = {*map(origin_of, plan.start_urls), *plan.origins, *frontier.expected_origins()}
    failed = {each.host: _failure(each) for each in own if each.closed in _FAILURES and each.origin in wanted}
    spent = {reason: each.host for each in own for reason in (PAGES, SECONDS) if each.skipped[reason]}
    stopped = None
    if not is_through:
        stopped = STOPPED
    elif not int(frontier.meta("well_count") or 0):
        stopped = NOTHING
    elif 2 * sum(each.unseen_count for each in own) > sum(each.asked["page"] for each in own):
        stopped = LITTLE
    elif (archive := crawling.work.archive) is not None and archive.is_away(crawling.work.parts.folder):
        stopped = AWAY
    elif spent:
        stopped = "; ".join(f"{reason} of {host}" for reason, host in sorted(spent.items()))
    return Certificate(expected, seen, plan.required_share, failed, frontier.skipped(), stopped)


def _failure(origin: Origin) -> str:
    """As `core.crawl.in_words` takes it."""
    robots = origin.robots if origin.closed == NO_ROBOTS else None
    if robots is None or robots.reason is None:
        return str(origin.closed)
    detail = f": {robots.detail}" if robots.reason == "tls" and robots.detail else ""
    return f"{origin.closed}: {robots.reason}{detail}"


def _write(folder: Path, record: Record) -> None:
    scratch = folder / f"{RECORD}.tmp"
    with open(scratch, "w", encoding="utf-8") as file:
        file.write(record.as_json())
        file.flush()
        os.fsync(file.fileno())
    os.replace(scratch, folder / RECORD)
