"""include/config/sites: the web sites that are crawled and audited, one file each. No folder, no site."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Collection, Iterator, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from caravan.config.announcements import Announcement, outlet_faults, sharing
from caravan.config.document import Document, files_in, read
from caravan.config.frozen import Day, Frozen
from caravan.config.outlets import CODE, Line, language_tag
from caravan.config.patterns import duckdb_problem
from caravan.config.search import FOLDER, SearchConsoleSource
from caravan.config.settings import home_dir
from caravan.config.site_checks import LISTED_BY
from caravan.config.validation import validate
from caravan.core.crawl import Limits, Scope
from caravan.core.errors import Fault, in_order, nearest
from caravan.core.urls import BadUrl, host_of, resolve, split_fragment

DROPPED_PARAMETERS = frozenset(
    [
        *("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "utm_id", "utm_source_platform"),
        *("utm_creative_format", "utm_marketing_tactic", "gclid", "gbraid", "wbraid", "dclid", "gclsrc", "fbclid"),
        *("msclkid", "ttclid", "twclid", "yclid", "li_fat_id", "igshid", "mc_cid", "mc_eid", "mkt_tok"),
        *("_ga", "_gl", "_hsenc", "_hsmi"),
    ]
)
"""Parameters that advertising and mail put behind an address, for whoever counts visits."""


def page_address(text: str) -> str:
    """An absolute address as a crawl asks for it, without fragment; ValueError for anything else."""
    try:
        return split_fragment(resolve("", text))[0]
    except BadUrl as error:
        raise ValueError(f"'{text}' is no address that can be crawled (like https://www.example.com/)") from error


def _host(text: str) -> str:
    try:
        host = host_of(resolve("", f"https://{text}/"))
    except BadUrl:
        host = ""
    if not host or host != text:
        hint = f"; it is written {host}" if host and "/" not in text else " (like www.example.com, or localhost:8080)"
        raise ValueError(f"'{text}' is no host{hint}")
    return text


def _prefix(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError(f"'{text}' does not begin with a slash, as a path does")
    return text


def _expression(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"'{text}' is no regular expression: {error}") from error
    if not text:
        raise ValueError("is empty; it would match every address")
    return text


def _pattern(text: str) -> str:
    if problem := duckdb_problem("regexp_matches", text):
        raise ValueError(f"'{text}' is no RE2 regular expression: {problem}")
    if not text:
        raise ValueError("is empty; it would match every address")
    return text


def _listed_once(values: object) -> object:
    if isinstance(values, list) and len({str(each) for each in values}) < len(values):
        raise ValueError("has a value twice")
    return values


Address = Annotated[str, AfterValidator(page_address)]
Expression = Annotated[str, AfterValidator(_expression)]
_Host = Annotated[str, AfterValidator(_host)]
_Prefix = Annotated[str, AfterValidator(_prefix)]
_CheckId = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
_CheckIds = Annotated[tuple[_CheckId, ...], BeforeValidator(_listed_once)]
_Bytes = Annotated[int, Field(ge=1_024, le=1 << 30)]
_Seconds = Annotated[float, Field(gt=0, le=7 * 24 * 3600)]
_Count = Annotated[int, Field(ge=1, le=100_000_000)]


class SiteLimits(Frozen):
    """As `core.crawl.Limits`, which says what each is."""

    connections: Annotated[int, Field(ge=1, le=64)] = Limits.connections
    requests_per_second: Annotated[float, Field(gt=0, le=1_000)] = Limits.requests_per_second
    attempts: Annotated[int, Field(ge=1, le=10)] = Limits.attempts
    connect_seconds: Annotated[float, Field(gt=0, le=120)] = Limits.connect_seconds
    answer_seconds: Annotated[float, Field(gt=0, le=600)] = Limits.answer_seconds
    page_bytes: _Bytes = Limits.page_bytes
    sitemap_bytes: _Bytes = Limits.sitemap_bytes
    robots_bytes: Annotated[int, Field(ge=500 << 10, le=64 << 20)] = Limits.robots_bytes
    pages_of_host: _Count = Limits.pages_of_host
    seconds_of_host: _Seconds = Limits.seconds_of_host
    pages_of_pattern: _Count = Limits.pages_of_pattern
    links_of_page: Annotated[int, Field(ge=1, le=1_000_000)] = Limits.links_of_page
    url_characters: Annotated[int, Field(ge=256, le=65_536)] = Limits.url_characters
    depth: Annotated[int, Field(ge=0, le=10_000)] = Limits.depth


class MarketPages(Frozen):
    """Where a market's pages in one language are: on a host of its own, below a prefix, or both. Below `/de` are `/de`
    and `/de/pots`, and not `/design`."""

    market: str
    locale: Annotated[str, AfterValidator(language_tag)]
    prefix: _Prefix | None = None
    host: _Host | None = None
    channel: Annotated[str, Field(pattern=CODE)] | None = None
    """The channel whose prices and stock its pages show. Without one they show what all channels of the market say."""


class Suppression(Frozen):
    """Issues that are known and stay for now. It ends with the day `expires`: from the next on they are told again."""

    check: _CheckId
    urls: Annotated[str, AfterValidator(_pattern)] | None = None
    """Of which addresses, by a regular expression (RE2); of all when absent."""
    owner: Line
    reason: Line
    expires: Day


class SiteChecks(Frozen):
    """`severity`: other ones than the catalogue's. `off`: ids that are not evaluated."""

    severity: dict[_CheckId, Literal["error", "warning", "notice"]] = {}
    off: _CheckIds = ()


class Site(Frozen):
    code: Annotated[str, Field(pattern=CODE)]
    name: Line
    enabled: bool = True
    start_urls: Annotated[tuple[Address, ...], Field(min_length=1)]
    hosts: tuple[_Host, ...] = ()
    """Those of the start addresses when absent."""
    prefixes: tuple[_Prefix, ...] = ()
    excluded: tuple[Expression, ...] = ()
    dropped_parameters: tuple[Line, ...] = ()
    """Besides DROPPED_PARAMETERS."""
    sitemaps: tuple[Address, ...] = ()
    """Besides those that robots.txt names."""
    limits: SiteLimits = SiteLimits()
    private_addresses: bool = False
    authorities: Path | None = None
    """A file of certificates (PEM): who signs for the site's hosts, where that is nobody whom all browsers know."""
    check_external: bool = False
    check_resources: bool = True
    required_share: Annotated[Decimal, Field(gt=0, le=1)] = Decimal("0.95")
    """Of the addresses that a crawl expected, how many it must have seen to count as complete."""
    markets: tuple[MarketPages, ...] = ()
    checks: SiteChecks = SiteChecks()
    suppressions: tuple[Suppression, ...] = ()
    search_console: SearchConsoleSource | None = None
    announce: Announcement | None = None
    keep_crawls: Annotated[int, Field(ge=2, le=1_000)] = 14
    """How many crawls' folders are kept; what they found stays in the warehouse."""
    gate: _CheckIds = ()
    """Ids of checks: where one of these fires, the task `verdict` fails."""

    def scope(self) -> Scope:
        return Scope(
            hosts=frozenset(self.hosts or map(host_of, self.start_urls)),
            prefixes=self.prefixes,
            excluded=self.excluded,
            dropped_parameters=DROPPED_PARAMETERS | set(self.dropped_parameters),
            private_addresses=self.private_addresses,
            check_external=self.check_external,
            check_resources=self.check_resources,
        )

    def crawl_limits(self) -> Limits:
        return Limits(**self.limits.model_dump())


def load_sites(
    config_dir: Path,
    markets: Collection[str] | None = None,
    checks: Collection[str] | None = None,
    home: Path | None = None,
) -> tuple[dict[str, Site], list[Fault]]:
    """The sites that are free of faults, by code, and every fault of the others: a faulty file disables its site alone.

    `markets`, `checks`: codes and ids, to find those that there are not. `home`: what relative folders lie in, that of
    the environment unless given. Misconfigured when a folder cannot be read.
    """
    home = home or home_dir(os.environ)
    found: dict[str, Site] = {}
    faults: list[Fault] = []
    # By name: a channel whose own file has a fault is no fault of the site's.
    channels = {path.stem for path in files_in(config_dir / "channels")}
    for path in files_in(config_dir / FOLDER):
        document, more = read(path, f"{FOLDER}/{path.name}")
        faults += more
        if document is None:
            continue
        wrong = [*_own_faults(document, path.stem, markets, checks), *_market_faults(document, channels)]
        wrong += [*_strangers(document), *outlet_faults(document, config_dir, home)]
        site, more_wrong = validate(document, Site)
        wrong += more_wrong
        faults += wrong
        if site is not None and not wrong and not more:
            found[site.code] = site
    # One that is switched off writes nothing: it may be the forerunner of another.
    announced = {code: each.announce for code, each in found.items() if each.announce and each.enabled}
    for code, other in sharing(announced, home):
        faults.append(Fault(f"{FOLDER}/{code}.yml announce.sitemaps", f"the site {other} writes one of them"))
        del found[code]
    return found, in_order(faults)


def idle_faults(config_dir: Path, unbuilt: Collection[str]) -> Iterator[Fault]:
    """What sites' files ask for and cannot have, though the sites are crawled. `unbuilt`: ids of checks that are never
    evaluated yet."""
    for path in files_in(config_dir / FOLDER):
        document, _ = read(path, f"{FOLDER}/{path.name}")
        if document is None:
            continue
        file = document.text("authorities")
        if file and (problem := authorities_problem(Path(file))):
            yield document.fault(("authorities",), problem)
        off = {check for _, check in _texts(document, "checks", "off")}
        for index, check in _texts(document, "gate"):
            if check in off:
                yield document.fault(
                    ("gate", index), f"'{check}' is `off` above, so it never fires; remove one of both"
                )
            elif check in unbuilt:
                message = f"'{check}' is not evaluated yet, so it never fires; `{LISTED_BY}` says what it waits for"
                yield document.fault(("gate", index), message)


def authorities_problem(file: Path) -> str | None:
    """Why nobody can be believed by what is said to be in `file`."""
    if not file.is_file():
        return f"there is no file {file}; it is to hold the certificates of who signs for the hosts"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except OSError as error:  # of ssl, too
        reason = error.strerror or str(error)
        return f"{file} cannot be read as certificates (PEM): {reason}"
    return None


def ended_suppressions(sites: Mapping[str, Site], today: date) -> Iterator[Fault]:
    """To be told, and no fault: time alone must not stop what ran yesterday."""
    for code, site in sorted(sites.items()):
        for index, each in enumerate(site.suppressions):
            if each.expires < today:
                message = f"ended on {each.expires}: what it kept quiet is told again; give another day, or remove it"
                yield Fault(f"{FOLDER}/{code}.yml suppressions[{index}]", message)


def _own_faults(
    document: Document, stem: str, markets: Collection[str] | None, checks: Collection[str] | None
) -> Iterator[Fault]:
    code = document.text("code")
    if code is not None and code != stem:
        yield document.fault(("code",), f"'{code}' differs from the file's name; rename the file to {code}.yml")
    for index, _ in enumerate(_items(document, "markets") if markets is not None else ()):
        market = document.text("markets", index, "market")
        if market is not None and market not in (markets or ()):
            message = f"there is no market '{market}'{nearest(market, markets or ())}"
            yield document.fault(("markets", index, "market"), message)
    yield from _shared_places(document)
    for location, check in _named_checks(document) if checks is not None else ():
        if check not in (checks or ()):
            yield document.fault(location, f"there is no check '{check}'{nearest(check, checks or (), LISTED_BY)}")


def _market_faults(document: Document, channels: Collection[str]) -> Iterator[Fault]:
    for index, given in enumerate(_items(document, "markets")):
        here = ("markets", index)
        if isinstance(given, dict) and given.get("prefix") is None and given.get("host") is None:
            yield document.fault(here, "give `prefix`, `host` or both: where its pages are")
        channel = document.text(*here, "channel")
        if channel is not None and channel not in channels:
            yield document.fault((*here, "channel"), f"there is no channel '{channel}'{nearest(channel, channels)}")


def _strangers(document: Document) -> Iterator[Fault]:
    """What is said to be the site's and is on another host."""
    hosts = _hosts(document)
    if not hosts:
        return
    for index, url in _texts(document, "start_urls"):
        if _host_at(url) not in (*hosts, None):
            yield document.fault(("start_urls", index), f"{url} is on none of the `hosts`")
    for index, _ in enumerate(_items(document, "markets")):
        host = document.text("markets", index, "host")
        if host is not None and host not in hosts:
            message = f"'{host}' is no host of the site{nearest(host, hosts)}"
            yield document.fault(("markets", index, "host"), message)
    for index, _ in enumerate(_items(document, "announce", "sitemaps")):
        url = document.text("announce", "sitemaps", index, "url") or ""
        if _host_at(url) not in (*hosts, None):
            yield document.fault(("announce", "sitemaps", index, "url"), f"{url} is on no host of the site")


def _hosts(document: Document) -> set[str]:
    """Those of the site; none while one of them is not known, which is told as such."""
    named = [text for _, text in _texts(document, "hosts")]
    found = {_host_at(f"https://{host}/") for host in named}
    if not named:
        found = {_host_at(url) for _, url in _texts(document, "start_urls")}
    known = {host for host in found if host is not None}
    return known if known == (set(named) or found) else set()


def _host_at(url: str) -> str | None:
    """None for what is no address."""
    try:
        return host_of(page_address(url))
    except ValueError:
        return None


def _shared_places(document: Document) -> Iterator[Fault]:
    """A page has one market; a market may well have several locales in one place."""
    markets_at: dict[tuple[str | None, str | None], str | None] = {}
    for index, _ in enumerate(_items(document, "markets")):
        host, prefix, market = (document.text("markets", index, name) for name in ("host", "prefix", "market"))
        other = markets_at.setdefault((host, prefix), market)
        if other != market and (host or prefix):
            place = " and ".join(f"{name} {value}" for name, value in (("host", host), ("prefix", prefix)) if value)
            yield document.fault(("markets", index), f"{place}: the market '{other}' has its pages there, too")


def _named_checks(document: Document) -> Iterator[tuple[tuple[str | int, ...], str]]:
    for check in document.mapping("checks", "severity"):
        yield ("checks", "severity", check), check
    for place in (("checks", "off"), ("gate",)):
        for index, listed in _texts(document, *place):
            yield (*place, index), listed
    for index, _ in enumerate(_items(document, "suppressions")):
        named = document.text("suppressions", index, "check")
        if named is not None:
            yield ("suppressions", index, "check"), named


def _texts(document: Document, *location: str) -> list[tuple[int, str]]:
    """Of a list, each with its index."""
    return [(index, each) for index, each in enumerate(_items(document, *location)) if isinstance(each, str)]


def _items(document: Document, *location: str) -> list[object]:
    found = document.value(*location)
    return list(found) if isinstance(found, list) else []
