"""The steps of the nightly crawl with their clients and the warehouse put in."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from threading import Event, Timer
from typing import TYPE_CHECKING

import pyarrow as pa

from caravan.assembly import site as crawls
from caravan.assembly.clock import utc_now
from caravan.assembly.site_audit import Also, Before, audit_crawl, why_incomplete
from caravan.assembly.site_unread import told_of_site, why_unread
from caravan.assembly.warehouse import catalog, open_store, open_warehouse
from caravan.config.loader import load as load_configuration
from caravan.config.settings import Settings
from caravan.config.site_checks import FOLDER as CHECKS_FOLDER
from caravan.config.site_checks import Catalogue, adjusted, load_site_checks
from caravan.config.sites import Site, authorities_problem, load_sites
from caravan.config.types import OTHER_MARKET, Configuration
from caravan.core.errors import Fault, Misconfigured, Rejected, Retryable, nearest
from caravan.core.money import decimal_marks
from caravan.functions.site.audit import Verdict
from caravan.warehouse import site_inputs
from caravan.warehouse.crawls import PREFIX, Crawl, StoredCrawls
from caravan.warehouse.raw_tables import CRAWLS

if TYPE_CHECKING:
    from caravan.clients.crawl.delivery import Stamp
    from caravan.clients.crawl.facts import CrawlFacts
    from caravan.clients.crawl.runs import Record

log = logging.getLogger(__name__)

FUNCTION = "site"
CRAWL_SECONDS = 5.5 * 3600
"""Less than the task has: a crawl that is stopped in time keeps what it has read, and the next one goes on."""
DELIVERED = "delivered_{}.parquet"
_TOLD = 5


@dataclass(frozen=True)
class _Night:
    settings: Settings
    configuration: Configuration
    sites: Mapping[str, Site]
    faults: Sequence[Fault]
    checks: Catalogue

    @classmethod
    def open(cls) -> _Night:
        settings = Settings.from_environment()
        configuration = load_configuration(settings.config_dir)
        checks = load_site_checks()
        ids = [check.id for check in checks.checks]
        sites, faults = load_sites(settings.config_dir, configuration.markets, ids, settings.home)
        return cls(settings, configuration, sites, faults, checks)

    def site(self, code: str) -> Site:
        if code not in self.sites:
            message = f"there is no usable site of this name{nearest(code, self.sites)}"
            raise Misconfigured([Fault(f"site {code}", message, code)])
        return self.sites[code]

    def catalogue(self, site: Site) -> Catalogue:
        """The checks as the site wants them."""
        own = adjusted(self.checks, severities=site.checks.severity, where=f"sites/{site.code}.yml checks")
        return own.only([check.id for check in own.checks if check.id not in site.checks.off])

    def root(self, site: Site) -> Path:
        return crawls.crawls_root(self.settings, site.code)


def list_sites(run_id: str, dag_id: str, asked: Sequence[str] = ()) -> list[str]:
    """Codes of the sites to crawl; `asked`: of these alone. Misconfigured names what there is not."""
    night = _Night.open()
    for fault in night.faults:
        log.error("site disabled: %s", fault)
    usable = [code for code, site in sorted(night.sites.items()) if site.enabled]
    wrong = [
        Fault(f"sites: {code}", f"there is no usable site of this name{nearest(code, usable)}", code)
        for code in asked
        if code not in usable
    ]
    if wrong:
        raise Misconfigured(wrong)
    chosen = [code for code in usable if not asked or code in asked]
    log.info("sites: %s", ", ".join(chosen) or "none")
    with open_store(night.settings, night.configuration, dag_id) as store:
        store.start_run(run_id, None, night.configuration.hash)
    return chosen


def crawl(site_code: str) -> dict[str, int]:
    """Addresses by outcome. One that was cut off goes on where it was, in the next attempt or the next night."""
    from caravan.clients.crawl.runs import NOTHING

    night = _Night.open()
    site = night.site(site_code)
    stop = Event()
    timer = Timer(CRAWL_SECONDS, stop.set)
    timer.daemon = True
    timer.start()
    try:
        plan, root = crawls.plan_of(site), night.root(site)
        folder, record = crawls.crawl_in_turn(plan, root, night.settings, stop, _authorities(site))
    finally:
        timer.cancel()
    log.info("%s: %s", site_code, ", ".join(f"{count} {outcome}" for outcome, count in record.counts.items()))
    if record.ended_at is None:
        raise Retryable(f"{site_code} was not through after {CRAWL_SECONDS / 3600:g} hours; it goes on from there")
    if record.certificate.stopped == NOTHING:
        raise Rejected("NOTHING_READ", f"{site_code}: {NOTHING}: {told_of_site(why_unread(folder, record))}")
    if why := why_incomplete(record.certificate):
        log.warning("%s is incomplete: %s. No issue ends by it", site_code, why)
    return dict(record.counts)


def _authorities(site: Site) -> Path | None:
    if site.authorities is not None and (problem := authorities_problem(site.authorities)):
        raise Misconfigured([Fault(f"sites/{site.code}.yml authorities", problem)])
    return site.authorities


def audit(site_code: str, run_id: str) -> dict[str, int]:
    """Ask every check of the newest crawl; checks by outcome. Writes the report, and what `load` takes.

    Retryable while another run audits or loads a crawl of the site.
    """
    night = _Night.open()
    site = night.site(site_code)
    with crawls.hold(night.root(site), night.settings, f"audits {site_code}"):
        return _audit(night, site, run_id)


def _audit(night: _Night, site: Site, run_id: str) -> dict[str, int]:
    from caravan.clients.crawl import announcing, delivery

    folder, record, before = _newest(night, site)
    today = record.started_at.date()
    inputs, revenue = _inputs(night, site, record)
    script = (CHECKS_FOLDER / "after" / "delivery.sql").read_text(encoding="utf-8")
    telling = (CHECKS_FOLDER / "after" / "announcement.sql").read_text(encoding="utf-8") if site.announce else ""

    def deliver(facts: CrawlFacts, verdicts: Sequence[Verdict]) -> None:
        stamp = _stamp(night, site, folder, record, before, run_id, revenue.problem)
        columns = {name.removeprefix(PREFIX): table.columns for name, table in CRAWLS.items()}
        delivery.deliver(facts, script, stamp, map(_told, verdicts), _earned(revenue.amounts), columns, folder)
        if telling:
            announcing.write(facts, telling, before.crawl, folder)

    catalogue = night.catalogue(site)
    also = Also(script + telling, deliver)
    suppressions = _suppressions(site, today)
    audited = audit_crawl(
        site.name, folder, record, catalogue, night.settings, before, inputs, utc_now(), also, suppressions
    )
    broken = [each for each in audited.verdicts if each.is_broken]
    for each in broken:
        log.error("check %s is broken: %s", each.check.id, each.reason)
    log.info("%s: report in %s", site.code, audited.report)
    counts = dict.fromkeys(("fired", "passed", "not_evaluated"), 0)
    for each in audited.verdicts:
        counts[each.outcome] += 1
    return counts


def load(site_code: str, run_id: str, dag_id: str) -> dict[str, int]:
    """Rows by table. Then older crawls go. Retryable as `audit`."""
    night = _Night.open()
    site = night.site(site_code)
    with crawls.hold(night.root(site), night.settings, f"loads {site_code}"):
        return _load(night, site, run_id, dag_id)


def _load(night: _Night, site: Site, run_id: str, dag_id: str) -> dict[str, int]:
    from caravan.clients.crawl.folders import prune

    folder, record, _ = _newest(night, site)
    files = {name.removeprefix(PREFIX): folder / DELIVERED.format(name.removeprefix(PREFIX)) for name in CRAWLS}
    assert record.ended_at is not None
    found = Crawl(
        site.code, folder.name, record.started_at.date(), record.started_at, record.ended_at, record.configuration_hash
    )
    with open_warehouse(night.settings) as warehouse:
        counts = StoredCrawls(warehouse, catalog(), dag_id, run_id).put(found, files, utc_now())
    removed = prune(night.root(site), site.keep_crawls)
    log.info("%s: %s; %s older crawls removed", site.code, counts, len(removed))
    return counts


def announce(site_code: str, run_id: str) -> dict[str, int]:
    """The sitemaps of a site whose file asks for it, and what search engines are told: see `site_announcing.announce`.
    What a crawl that is not complete saw is told to nobody."""
    from caravan.assembly import site_announcing
    from caravan.clients.crawl import announcing

    night = _Night.open()
    site = night.site(site_code)
    if site.announce is None:
        return {}
    folder, record, _ = _newest(night, site)
    if why := why_incomplete(record.certificate):
        log.warning("%s is incomplete: %s. Nothing is announced", site_code, why)
        return {}
    if not announcing.is_written(folder):
        raise Rejected("NOT_AUDITED", f"{site_code}: its file had no `announce` when {folder.name} was audited")
    return site_announcing.announce(site.code, site.announce, folder, record, night.settings, run_id)


def build(run_id: str, dag_id: str) -> dict[str, int]:
    night = _Night.open()
    with open_store(night.settings, night.configuration, dag_id) as store:
        built = store.build(run_id, FUNCTION, ("int", "fct"), None)
    return {each.model: each.row_count for each in built}


def verdict(run_id: str, dag_id: str, failed_tasks: Sequence[str] = (), asked: Sequence[str] = ()) -> None:
    """Rejected when anything failed, a site's file has a fault, or a check of a site's gate fired in its newest crawl.

    `asked`: it is of these sites alone; what is wrong with others is for the next run of all.
    """
    night = _Night.open()
    sites = [site for code, site in sorted(night.sites.items()) if site.enabled and (not asked or code in asked)]
    fired = [line for site in sites for line in _gated(night, site)]
    failures = [f"task {name}: its log says why" for name in failed_tasks]
    failures += [] if asked else [f"site disabled: {fault}" for fault in night.faults]
    with open_store(night.settings, night.configuration, dag_id) as store:
        failures += store.failures(run_id)
        lines = [*failures, *fired]
        store.end_run(run_id, "failed" if lines else "success", "\n".join(lines))
    if lines:
        code = "RUN_INCOMPLETE" if failures else "GATE"
        raise Rejected(code, "this failed:\n" + "\n".join(f"  - {line}" for line in lines))


def _gated(night: _Night, site: Site) -> list[str]:
    import pyarrow.parquet as pq

    folder = next((folder for folder, _ in _ended(night, site)), None)
    if folder is None or not site.gate or not (folder / DELIVERED.format("issue")).exists():
        return []  # there is no gate, or it was not crawled or not audited: that task has said so
    of_gate = [("check_id", "in", list(site.gate))]
    rows = pq.read_table(folder / DELIVERED.format("issue"), filters=of_gate).to_pylist()
    asked = pq.read_table(folder / DELIVERED.format("check"), filters=of_gate).to_pylist()
    outcomes = {row["check_id"]: (row["outcome"], row["outcome_reason"]) for row in asked}
    lines = []
    for check_id in site.gate:
        outcome, reason = outcomes.get(check_id, ("not_evaluated", "It is switched off."))
        if outcome == "not_evaluated":
            log.warning("%s: check %s of the gate was not evaluated: %s", site.code, check_id, reason)
        found = [row for row in rows if row["check_id"] == check_id and row["state"] == "open"]
        open_ones = [row["url"] for row in found if not row["is_suppressed"]]
        if open_ones:
            more = f" and {len(open_ones) - _TOLD} more" if len(open_ones) > _TOLD else ""
            lines.append(f"{site.code}: {check_id} at {', '.join(open_ones[:_TOLD])}{more}")
    return lines


def _newest(night: _Night, site: Site) -> tuple[Path, Record, Before]:
    """The newest crawl that is through, and what it is held against."""
    from caravan.clients.crawl.contents import is_audited
    from caravan.clients.crawl.folders import comparable

    ended = _ended(night, site)
    if not ended:
        raise Rejected("NOT_CRAWLED", f"{site.code} has no crawl that is through; see the task `crawl`")
    (folder, record), *older = ended
    # What is known of issues goes on, however the site is crawled.
    known = next((path for path, _ in older if is_audited(path)), None)
    return folder, record, Before(comparable(older, record.configuration_hash), known)


def _ended(night: _Night, site: Site) -> list[tuple[Path, Record]]:
    """Crawls that are through and have read anything, the newest first."""
    from caravan.clients.crawl.folders import crawls as crawls_below
    from caravan.clients.crawl.runs import NOTHING

    found = crawls_below(night.root(site))
    return [each for each in found if each[1].ended_at is not None and each[1].certificate.stopped != NOTHING]


def _inputs(night: _Night, site: Site, record: Record) -> tuple[dict[str, pa.Table | Path], site_inputs.Revenue]:
    from caravan.clients.crawl.facts import INPUT_TABLES

    schemas = {name: schema for tables in INPUT_TABLES.values() for name, schema in tables.items()}
    found: dict[str, pa.Table | Path] = {}
    markets = _markets(night, site)
    if markets:
        found["market"] = pa.Table.from_pylist(markets, schema=schemas["market"])
    with open_warehouse(night.settings, read_only=True) as warehouse, warehouse.read() as session:
        channels = {each.market: each.channel for each in site.markets if each.channel}
        # Prices may change while a site is crawled: each page is held against those of its moment.
        moments = (record.started_at, record.ended_at)
        offers = dict.fromkeys(each for at in moments if at for each in site_inputs.offers(session, at, channels))
        revenue = site_inputs.revenue(session, record.started_at.date())
    prices = [asdict(each) for each in offers if each.price is not None]
    stock = [asdict(each) for each in offers if each.availability is not None]
    for name, rows in (("price", prices), ("stock", stock)):
        if rows:
            found[name] = pa.Table.from_pylist(rows, schema=schemas[name])
    return found, revenue


def _markets(night: _Night, site: Site) -> list[dict[str, object]]:
    """One row for each place of a market's pages, its main language first."""
    rows: list[dict[str, object]] = []
    for each in site.markets:
        market = night.configuration.markets[each.market]
        host = each.host or (next(iter(site.scope().hosts)) if len(site.scope().hosts) == 1 else None)
        scheme = site.start_urls[0].partition(":")[0]
        language = each.locale.split("-")[0]
        rows.append(
            {
                "market_code": each.market,
                "host": each.host,
                "prefix": each.prefix,
                "locales": [each.locale, language] if language != each.locale else [each.locale],
                "currency_code": market.currency,
                "home_url": f"{scheme}://{host}{each.prefix or '/'}" if host else None,
                "decimal_marks": sorted(decimal_marks(each.locale, market.country)),
            }
        )
    return rows


def _stamp(
    night: _Night, site: Site, folder: Path, record: Record, before: Before, run_id: str, sales_problem: str | None
) -> Stamp:
    from caravan.assembly.site_audit import FIRST_CRAWL
    from caravan.clients.crawl.delivery import Stamp as Stamped

    certificate = record.certificate
    assert record.ended_at is not None
    return Stamped(
        site_code=site.code,
        crawl_id=folder.name,
        crawl_date=record.started_at.date(),
        load_id=f"{run_id}/{site.code}/{folder.name}",
        started_at=record.started_at,
        ended_at=record.ended_at,
        expected_count=certificate.expected_count,
        seen_count=certificate.seen_count,
        is_complete=certificate.is_complete,
        incomplete_reason=why_incomplete(certificate),
        is_comparable=before.crawl is not None,
        not_comparable_reason=None if before.crawl is not None else FIRST_CRAWL,
        config_hash=record.configuration_hash,
        currency_code=night.configuration.project.base_currency,
        sales_problem=sales_problem,
        market_default=OTHER_MARKET,
    )


def _told(verdict: Verdict) -> dict[str, object]:
    check = verdict.check
    return {
        "check_id": check.id,
        "check_version": check.version,
        "severity": check.severity,
        "category": check.category,
        "outcome": verdict.outcome,
        "reason": verdict.reason,
        "judged_count": verdict.judged_count,
        "issue_count": verdict.issue_count,
        "affected_count": verdict.affected_count,
    }


def _suppressions(site: Site, today: date) -> list[dict[str, object]]:
    """Those that hold; their last day is one of them."""
    return [
        {"check_id": each.check, "urls": each.urls, "owner": each.owner, "reason": each.reason}
        for each in site.suppressions
        if each.expires >= today
    ]


def _earned(revenue: Mapping[tuple[str, str], object]) -> pa.Table:
    from caravan.clients.crawl.delivery import REVENUE

    rows = [{"market_code": market, "sku": sku, "amount": amount} for (market, sku), amount in revenue.items()]
    return pa.Table.from_pylist(rows, schema=REVENUE)
