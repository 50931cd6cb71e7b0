"""Crawls of web sites from their configuration, or from an address alone."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from caravan.assembly.clock import utc_now
from caravan.config.settings import Settings
from caravan.config.sites import DROPPED_PARAMETERS, Site
from caravan.core.crawl import Answer, Counts, Extracted, Limits, Scope
from caravan.core.urls import host_of

if TYPE_CHECKING:
    from caravan.clients.crawl.intake import Read
    from caravan.clients.crawl.runs import Plan, Record

log = logging.getLogger(__name__)

_LOOK_AGAIN_SECONDS = 30.0
"""After which a crawl that waits for its turn at a host asks whether the other one is through."""


def plan_of(site: Site) -> Plan:
    from caravan.clients.crawl.runs import Plan

    scope = site.scope()
    scheme = site.start_urls[0].partition(":")[0]
    started = set(map(host_of, site.start_urls))
    others = tuple(f"{scheme}://{host}" for host in sorted(scope.hosts - started))
    return Plan(site.start_urls, scope, site.crawl_limits(), site.sitemaps, others, float(site.required_share))


def plan_of_address(
    url: str, *, max_pages: int | None = None, rate: float | None = None, private: bool = False, external: bool = False
) -> Plan:
    """Of a site that no file describes. `url`: absolute, without fragment; its host with and without `www.` is the
    site's. `rate`: requests a second."""
    from caravan.clients.crawl.runs import Plan

    limits = Limits()
    if max_pages is not None:
        limits = replace(limits, pages_of_host=max_pages)
    if rate is not None:
        limits = replace(limits, requests_per_second=rate)
    hosts = frozenset(_twins(host_of(url)))
    scope = Scope(hosts, (), (), DROPPED_PARAMETERS, private_addresses=private, check_external=external)
    return Plan((url,), scope, limits)


def crawls_root(settings: Settings, name: str) -> Path:
    """Where the crawls of a site lie, by its code, or of what has only a host."""
    return settings.home / "site" / "crawls" / re.sub(r"[^a-z0-9._-]", "_", name.lower())


def crawls_root_of_host(settings: Settings, host: str) -> Path:
    """Never that of a site: a code has no dot. A crawl by hand of `http://wiki/` is no night of the site `wiki`."""
    return crawls_root(settings, host if "." in host else f"{host}.")


def hold(folder: Path, settings: Settings, work: str) -> AbstractContextManager[None]:
    """For the length of the `with` nobody else crawls into a folder, or moves or audits the crawls there. `work`: what
    is done meanwhile, as "crawls x". Raises Retryable, which names the holder."""
    from caravan.clients.crawl.locks import hold_folder

    return hold_folder(settings.home / "site" / "folders", folder, work)


def configuration_hash(plan: Plan) -> str:
    """The same for crawls that can be compared with those of this plan."""
    return plan.configuration_hash(_extractor_version())


def choose_folders(plan: Plan, root: Path, fresh: bool = False) -> tuple[Path, Path | None]:
    """Where a crawl goes on or begins, and the last complete one, whose pages need not be sent again. `fresh`: from the
    very beginning, as if there were none."""
    from caravan.clients.crawl.folders import newest_complete, next_folder, unfinished

    if fresh:
        return next_folder(root, utc_now()), None
    same = configuration_hash(plan)
    now = utc_now()
    folder = unfinished(root, same, now) or next_folder(root, now)
    return folder, newest_complete(root, same)


def crawl(
    plan: Plan,
    folder: Path,
    settings: Settings,
    *,
    last: Path | None = None,
    fresh: bool = False,
    stop: Event | None = None,
    progress: Callable[[Counts], None] = lambda counts: None,
    authorities: Path | None = None,
) -> Record:
    """Into `folder`, from where one that was stopped there has left off. Raises as `runs.crawl`.

    `authorities`: a file of certificates that sites are believed by, instead of the public ones.
    """
    from caravan.clients.crawl.addresses import Addresses
    from caravan.clients.crawl.fetching import AGENT, RequestsFetcher
    from caravan.clients.crawl.pace import Pace
    from caravan.clients.crawl.runs import Means
    from caravan.clients.crawl.runs import crawl as crawl_into

    stop = stop or Event()
    pace = Pace(plan.limits)
    fetcher = RequestsFetcher(
        plan.limits,
        Addresses(plan.scope.private_addresses),
        pace,
        authorities=str(authorities) if authorities else None,
        pause=stop.wait,
        now=utc_now,
    )
    means = Means(
        fetcher=fetcher,
        pace=pace,
        read=_reader(plan.scope, plan.limits),
        extractor_version=_extractor_version(),
        agent=AGENT,
        locks=settings.home / "site" / "hosts",
        last=last,
        stop=stop,
        progress=progress,
        certificates=fetcher.certificates,
        now=utc_now,
    )
    record = crawl_into(plan, folder, means, fresh)
    if record.ended_at is not None:
        fetcher.close()  # else a thread may still wait for an answer that nobody wants any more
    return record


def crawl_in_turn(
    plan: Plan, root: Path, settings: Settings, stop: Event, authorities: Path | None
) -> tuple[Path, Record]:
    """Into one of the folders below `root`, as `choose_folders` says; that folder, and the record.

    Waits while another crawl has one of the hosts: sites that share one begin at the same moment, and the attempts of a
    task would be over long before the first of them is through. Raises InUse once `stop` is set, else as `crawl`.
    """
    from caravan.clients.crawl.locks import InUse

    is_told = False
    while True:
        folder, last = choose_folders(plan, root)
        try:
            return folder, crawl(plan, folder, settings, last=last, stop=stop, authorities=authorities)
        except InUse as error:
            if not is_told:
                log.warning("waits for its turn: %s", error)
            is_told = True
            if stop.wait(_LOOK_AGAIN_SECONDS):
                raise


def _twins(host: str) -> list[str]:
    """The host, and the same with or without `www.`, to which most sites lead on."""
    name, colon, port = host.partition(":")
    if host.startswith("[") or "." not in name or _is_address(name):
        return [host]
    twin = name.removeprefix("www.") if name.startswith("www.") else f"www.{name}"
    return [host, f"{twin}{colon}{port}"]


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _extractor_version() -> str:
    from caravan.clients.crawl.extract import VERSION

    return str(VERSION)


def _reader(scope: Scope, limits: Limits) -> Read:
    from caravan.clients.crawl.extract import Extractor
    from caravan.clients.crawl.frontier import Address

    extractor = Extractor(scope, limits)

    def read(address: Address, answer: Answer) -> Extracted:
        return extractor.extract(answer, address.kind, address.depth)

    return read
