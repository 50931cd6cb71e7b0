"""A crawl's folder audited, held against the crawl before and told in a report: for the command line and the DAG."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from caravan.assembly.clock import utc_now
from caravan.clients.crawl.contents import REPORT, is_audited
from caravan.config.settings import Settings
from caravan.config.site_checks import FOLDER, Catalogue
from caravan.core.crawl import IN_WORDS, Certificate, in_words
from caravan.core.site_audit import AuditedCrawl, CheckResult
from caravan.functions.site.audit import Verdict, audit
from caravan.reporting import issues_csv, site_issues
from caravan.warehouse.scratch import Scratch

if TYPE_CHECKING:
    from caravan.clients.crawl.facts import CrawlFacts
    from caravan.clients.crawl.runs import Plan, Record

ISSUES, CHECKS, CSV = "issue.parquet", "check.parquet", "issues.csv"
LINK_SCORES = "link_score.parquet"
CHECK = pa.schema(
    {
        "check_id": pa.string(),
        "check_version": pa.int64(),
        "severity": pa.string(),
        "category": pa.string(),
        "outcome": pa.string(),  # fired, passed, not_evaluated
        "reason": pa.string(),  # of what was not evaluated
        "judged_count": pa.int64(),  # NULL where it could not be asked
        "asked_version": pa.int64(),  # with which it was asked last, in this or an earlier comparable crawl
        "issue_count": pa.int64(),
        "affected_count": pa.int64(),
    }
)
FIRST_CRAWL = "there is no earlier complete crawl of the same configuration"


@dataclass(frozen=True)
class Before:
    """`crawl`: the folder of the last complete crawl of the same configuration, audited. `known`: the one with what is
    known of issues and pages, which a crawl that was not complete carries on too."""

    crawl: Path | None = None
    known: Path | None = None


@dataclass(frozen=True)
class Also:
    """More to do while the audited crawl is at hand. `asked`: SQL that names the views it needs."""

    asked: str
    do: Callable[[CrawlFacts, Sequence[Verdict]], None]


@dataclass(frozen=True)
class Prepared:
    """Where to crawl. `last`: the crawl whose pages need not be sent again. `record`: of the crawl there, where it is
    through and only waits for its audit."""

    folder: Path
    last: Path | None = None
    before: Before = Before()
    record: Record | None = None


@dataclass(frozen=True)
class Audited:
    """`verdicts`: of every check, in order of the catalogue. `crawl`: what the report tells."""

    folder: Path
    verdicts: list[Verdict] = field(repr=False)
    crawl: AuditedCrawl = field(repr=False)

    @property
    def report(self) -> Path:
        return self.folder / REPORT


def prepare(plan: Plan, folder: Path) -> Prepared:
    """A folder for the newest crawl, which keeps the one before: room is made where one of this plan is through."""
    from caravan.assembly.site import configuration_hash
    from caravan.clients.crawl.contents import LEDGER, PREVIOUS
    from caravan.clients.crawl.folders import set_aside
    from caravan.clients.crawl.runs import NOTHING, read_record

    same = configuration_hash(plan)
    record = read_record(folder)
    waits = (
        record is not None
        and record.ended_at is not None
        and record.configuration_hash == same
        and record.certificate.stopped != NOTHING
        and not is_audited(folder)
    )
    previous = set_aside(folder, same, keep=waits)
    kept = folder / PREVIOUS
    known = kept if (kept / LEDGER).exists() else None
    return Prepared(folder, previous, Before(previous, known), record if waits else None)


def prepare_below(plan: Plan, root: Path, fresh: bool) -> Prepared:
    """A folder of its own for each crawl; the newest, where it only waits for its audit. `fresh`: as if there had been
    none."""
    from caravan.assembly.site import choose_folders, configuration_hash
    from caravan.clients.crawl.folders import comparable, crawls, unaudited

    if fresh:
        return Prepared(choose_folders(plan, root, fresh)[0])
    same = configuration_hash(plan)
    waiting = unaudited(root, same, utc_now())
    folder, last = (waiting[0], None) if waiting else choose_folders(plan, root)
    older = [each for each in crawls(root) if each[0] != folder and each[1].configuration_hash == same]
    known = next((path for path, _ in older if is_audited(path)), None)
    return Prepared(folder, last, Before(comparable(older, same), known), waiting[1] if waiting else None)


def audit_crawl(
    name: str,
    folder: Path,
    record: Record,
    catalogue: Catalogue,
    settings: Settings,
    before: Before = Before(),
    inputs: Mapping[str, pa.Table | Path] | None = None,
    now: datetime | None = None,
    also: Also | None = None,
    suppressions: Iterable[Mapping[str, object]] = (),
) -> Audited:
    """Write issue, check, ledger and page_change as Parquet into `folder`, issues.csv and report.html.

    `name`: of the site, for its readers. `inputs`: by table name of `clients.crawl.facts.INPUT_TABLES`; those of the
    crawl before are added. `now`: when it is written, UTC; the end of the crawl when absent. `suppressions`: rows of
    `clients.crawl.findings.SUPPRESSION` that hold; their issues are told apart, and counted nowhere else.
    """
    from caravan.clients.crawl import comparing, delivery, findings
    from caravan.clients.crawl.facts import INPUT_TABLES, CrawlFacts

    script = (FOLDER / "after" / "comparison.sql").read_text(encoding="utf-8")
    asked = (script, findings.ASKED, delivery.ASKED, also.asked if also else "")
    given = dict(inputs or {})
    if before.crawl is not None:
        for table in INPUT_TABLES["previous_crawl"]:
            given.setdefault(table, before.crawl / table.removeprefix("previous_"))
    certificate = record.certificate
    with (
        Scratch(settings.staging_dir) as scratch,
        CrawlFacts(folder, catalogue.script(*asked), scratch, given, of_crawl=record.inputs) as facts,
    ):
        _score_links(facts, folder, before)
        verdicts = audit(facts, catalogue.checks)
        asked_of = [
            comparing.Asked(each.check.id, each.check.version, each.check.judges) for each in verdicts if each.was_asked
        ]
        standing = comparing.Standing(record.started_at, before.crawl is not None, certificate.is_complete)
        asked_before = _asked_before(before)
        # Of a check that is not asked any more nobody would ever say that an issue is over: it is known no more.
        known = comparing.read_known(before.known, [check.id for check in catalogue.checks])
        if before.known is not None and not _is_of(before.known, record.configuration_hash):
            known = replace(known, there=None)  # of another part of the site, perhaps
        comparing.compare(facts, script, asked_of, asked_before, known, standing)
        findings.suppress(facts, (FOLDER / "after" / "suppression.sql").read_text(encoding="utf-8"), suppressions)
        facts.write_issues(folder / ISSUES)
        with _whole(folder / CHECKS) as path:
            pq.write_table(_check_table(verdicts, asked_before), path, compression="zstd")
        comparing.write(facts, folder)
        titles = {check.id: check.title for check in catalogue.checks}
        with _whole(folder / CSV) as path, open(path, "w", encoding="utf-8", newline="") as file:
            issues_csv.write(file, itertools.starmap(issues_csv.CsvRow, findings.open_rows(facts)), titles)
        if also is not None:
            also.do(facts, verdicts)
        told = _told(name, facts, record, verdicts, None if before.crawl is not None else FIRST_CRAWL)
    text = site_issues.render(told, catalogue, now or record.ended_at or record.started_at, CSV)
    with _whole(folder / REPORT) as path:
        path.write_text(text, encoding="utf-8")
    return Audited(folder, verdicts, told)


def why_incomplete(certificate: Certificate) -> str | None:
    """In words; None for a complete crawl."""
    if certificate.is_complete:
        return None
    reasons = [_stopped(each) for each in certificate.stopped.split("; ")] if certificate.stopped else []
    reasons += [f"{host}: {in_words(reason)}" for host, reason in sorted(certificate.failed_hosts.items())]
    share = certificate.share
    if share is not None and share < certificate.required_share:
        # Rounded down: 94.96 % must not be told as the 95 % that were asked for.
        seen = int(share * 1000) / 10
        reasons.append(
            f"{seen} % of the expected addresses were seen, {certificate.required_share * 100:g} % are needed"
        )
    return "; ".join(reasons)


def _stopped(reason: str) -> str:
    """`budget_pages of shop.example`, or words."""
    name, _, host = reason.partition(" of ")
    return f"{host}: {IN_WORDS[name]}" if name in IN_WORDS else reason


def _told(
    name: str, facts: CrawlFacts, record: Record, verdicts: list[Verdict], not_comparable: str | None
) -> AuditedCrawl:
    from caravan.clients.crawl import findings

    counts = findings.open_counts(facts)
    checks = [
        CheckResult(
            each.check.id,
            each.check.severity,
            each.check.category,
            each.outcome,
            each.reason,
            each.judged_count or 0,
            counts.get(each.check.id, 0),
        )
        for each in verdicts
    ]
    return AuditedCrawl(
        name=name,
        started_at=record.started_at,
        pages=findings.pages(facts),
        expected_count=record.certificate.expected_count,
        seen_count=record.certificate.seen_count,
        incomplete_reason=why_incomplete(record.certificate),
        not_comparable_reason=not_comparable,
        checks=checks,
        issues=findings.issues(facts, site_issues.ISSUES_OF_CHECK),
        change_counts=findings.change_counts(facts),
        ended=findings.ended(facts, site_issues.ENDED_SHOWN),
        page_changes=findings.page_changes(facts, site_issues.PAGES_SHOWN),
        page_change_counts=findings.page_change_counts(facts),
        slowest=findings.slowest(facts, site_issues.SLOWEST_SHOWN),
        suppressed=findings.suppressed(facts),
    )


def _is_of(folder: Path, configuration_hash: str) -> bool:
    from caravan.clients.crawl.runs import read_record

    record = read_record(folder)
    return record is not None and record.configuration_hash == configuration_hash


def _score_links(facts: CrawlFacts, folder: Path, before: Before) -> None:
    """Every page's link score, beside that of the crawl before."""
    from caravan.clients.crawl import delivery
    from caravan.functions.site.link_score import scores

    keys, sources, targets = delivery.internal_links(facts)
    path = before.crawl / LINK_SCORES if before.crawl is not None else None
    known: dict[int, float] = {}
    if path is not None and path.exists():
        table = pq.read_table(path, columns=["page_key", "score"])
        known = dict(zip(table["page_key"].to_pylist(), table["score"].to_pylist(), strict=True))
    found = pa.table(
        {
            "page_key": pa.array(keys, pa.int64()),
            "score": pa.array(scores(len(keys), sources, targets), pa.float64()),
            "previous_score": pa.array([known.get(key) for key in keys], pa.float64()),
        }
    )
    with _whole(folder / LINK_SCORES) as whole:
        pq.write_table(found, whole, compression="zstd")
    facts.provide("link_score", found, is_whole=bool(known))


def _asked_before(before: Before) -> dict[str, int]:
    """Check to version with which it was asked last, up to the crawl before."""
    if before.crawl is None:
        return {}
    table = pq.read_table(before.crawl / CHECKS, columns=["check_id", "asked_version"])
    return {row["check_id"]: row["asked_version"] for row in table.to_pylist() if row["asked_version"] is not None}


def _check_table(verdicts: list[Verdict], asked_before: Mapping[str, int]) -> pa.Table:
    rows = [
        {
            "check_id": each.check.id,
            "check_version": each.check.version,
            "severity": each.check.severity,
            "category": each.check.category,
            "outcome": each.outcome,
            "reason": each.reason,
            "judged_count": each.judged_count,
            "asked_version": each.check.version if each.was_asked else asked_before.get(each.check.id),
            "issue_count": each.issue_count,
            "affected_count": each.affected_count,
        }
        for each in verdicts
    ]
    return pa.Table.from_pylist(rows, schema=CHECK)


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Where to write what becomes `path` in the end: a reader, or the next crawl, finds all of it or the one before."""
    scratch = path.with_suffix(".tmp")
    yield scratch
    scratch.replace(path)
