"""Reads include/config as a whole: every fault at once, with file, line and field.

A fault in a channel's file disables that channel alone; any other fault stops everything, because no number
could be trusted.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TypeVar

from caravan.config.alerts import read_alerts
from caravan.config.channels import read_channel
from caravan.config.document import Document, read
from caravan.config.market_faults import read_market
from caravan.config.places import S3_DEFAULT, is_url, place_problem, s3_place
from caravan.config.pools import read_pools
from caravan.config.privacy import FOLDER as PRIVACY
from caravan.config.privacy import PURPOSES, TABLES, read_privacy
from caravan.config.registers import Method, Party, read_methods, read_parties
from caravan.config.services import ServiceChannel
from caravan.config.settings import home_dir
from caravan.config.site_checks import load_site_checks
from caravan.config.sites import idle_faults, load_sites
from caravan.config.types import OTHER_MARKET, Channel, Configuration, Market, Project
from caravan.config.validation import validate
from caravan.core.codes import currency_codes
from caravan.core.errors import Fault, Misconfigured, in_order
from caravan.core.privacy import Policies

_MART = re.compile(r"mart\.[a-z][a-z0-9_]*")


def load(config_dir: Path, home: Path | None = None) -> Configuration:
    """The configuration in `config_dir`, with the channels that are free of faults.

    `home`: what relative folders of channels lie in, that of the environment unless given.
    Raises Misconfigured with all faults, those of channels included, if one is not a channel's own.
    """
    reading = _read(config_dir, home)
    if reading.project is None or any(fault.channel is None for fault in reading.faults):
        raise Misconfigured(reading.faults)
    return Configuration(
        project=reading.project,
        markets=reading.markets,
        channels=reading.channels,
        parties=reading.parties,
        methods=reading.methods,
        privacy=reading.privacy,
        faults=tuple(in_order(reading.faults)),
        hash=reading.hash,
    )


def check(config_dir: Path, home: Path | None = None) -> list[Fault]:
    """Every fault of the configuration, sorted; empty when all is well. `home` as for `load`."""
    # Neither who is told nor how many tasks run at once is a reason to stop a night's run: `load` leaves them out. A
    # site with a fault is not crawled, and nothing else needs it; its search data are collected all the same.
    reading = _read(config_dir, home)
    aside = [*read_alerts(config_dir)[1], *read_pools(config_dir)[1]]
    try:
        checks = load_site_checks().checks
        aside += load_sites(config_dir, reading.market_codes, [check.id for check in checks], home)[1]
        aside += idle_faults(config_dir, {check.id for check in checks if not check.is_implemented})
    except Misconfigured as error:
        aside += error.faults
    return in_order([*reading.faults, *aside])


@dataclass
class _Reading:
    """What has been read so far. `faults` holds those of everything, `channels` only what is usable."""

    faults: list[Fault] = field(default_factory=list)
    project: Project | None = None
    markets: dict[str, Market] = field(default_factory=dict)
    market_codes: Collection[str] = ()
    """Of a file with a fault too: neither a channel nor a site that names one is at fault."""
    channels: dict[str, Channel] = field(default_factory=dict)
    parties: dict[str, Party] = field(default_factory=dict)
    party_codes: Collection[str] = ()
    """Of a file with a fault too: a channel that names one is not at fault."""
    methods: dict[str, Method] = field(default_factory=dict)
    privacy: Policies = field(default_factory=Policies)
    hash: str = ""


def _read(config_dir: Path, home: Path | None) -> _Reading:
    reading = _Reading()
    if not config_dir.is_dir():
        reading.faults.append(Fault(str(config_dir), "is no folder; set CARAVAN_CONFIG to the configuration's"))
        return reading
    _read_project(config_dir, reading)
    reading.privacy, faults = read_privacy(_files(config_dir, PRIVACY, reading.faults))
    reading.faults += faults
    reading.parties, reading.party_codes, faults = read_parties(config_dir)
    reading.faults += faults
    reading.methods, faults = read_methods(config_dir)
    reading.faults += faults
    reading.market_codes = _read_markets(config_dir, reading)
    _read_channels(config_dir, reading, reading.market_codes, home or home_dir(os.environ))
    reading.hash = _hash(config_dir)
    return reading


def _read_project(config_dir: Path, reading: _Reading) -> None:
    document, faults = read(config_dir / "project.yml", "project.yml")
    reading.faults += faults
    if document is None:
        return
    reading.project, faults = validate(document, Project)
    reading.faults += faults
    currency = document.text("base_currency")
    if currency is not None and currency not in currency_codes():
        reading.faults.append(document.fault(("base_currency",), f"'{currency}' is no ISO 4217 code (like EUR)"))
    published = document.text("published")
    if published is not None and (problem := place_problem(published)):
        reading.faults.append(document.fault(("published",), problem))
    marts = document.value("published_marts")
    for index, mart in enumerate(marts if isinstance(marts, list) else []):
        if isinstance(mart, str) and not _MART.fullmatch(mart):
            message = f"'{mart}' is no mart (like mart.rpt_sales__channel_day)"
            reading.faults.append(document.fault(("published_marts", index), message))


def _read_markets(config_dir: Path, reading: _Reading) -> set[str]:
    """Returns the codes of all market files, faulty ones too: a channel that names one is not at fault."""
    documents: list[Document] = []
    codes: set[str] = set()
    # By name: a regime whose own file has a fault is no fault of the market's.
    regimes = {path.stem.upper() for path, _ in _files(config_dir, PRIVACY, []) if path.name not in (PURPOSES, TABLES)}
    for path, where in _files(config_dir, "markets", reading.faults):
        document, faults = read(path, where)
        reading.faults += faults
        codes.add(path.stem.upper())
        if document is None:
            continue
        documents.append(document)
        market, faults = read_market(document, path.stem, regimes)
        reading.faults += faults
        codes.add(document.text("code") or "")
        if market is not None:
            reading.markets[market.code] = market
    if not codes:
        reading.faults.append(Fault("markets", "no market; add one file for each, e.g. markets/de.yml"))
    elif OTHER_MARKET not in codes:
        message = f"is missing; the market {OTHER_MARKET} takes the orders of every country without a market"
        reading.faults.append(Fault("markets/zz.yml", message))
    for name, message in (("code", "two markets with one code"), ("country", "a country has one market")):
        for value, sharing in _shared((each.text(name), each) for each in documents):
            for document in sharing:
                text = f"'{value}' is also the {name} of {_others(document, sharing)}; {message}"
                reading.faults.append(document.fault((name,), text))
    return codes - {""}


def _read_channels(config_dir: Path, reading: _Reading, market_codes: Collection[str], home: Path) -> None:
    documents: list[Document] = []
    channels: list[Channel] = []
    faults: list[Fault] = []
    for path, where in _files(config_dir, "channels", reading.faults):
        document, found = read(path, where)
        code = path.stem
        if document is not None:
            documents.append(document)
            code = _code(document)
            channel, more = read_channel(document, path.stem, market_codes, reading.party_codes)
            # What could not be read is no value of the wrong type as well.
            found = found + [fault for fault in more if fault.where not in {told.where for told in found}]
            channels += [channel] if channel else []
        faults += [replace(fault, channel=code) for fault in found]
    faults += _clashes(documents, home)
    faults += _shared_accounts(documents, channels)
    disabled = {fault.channel for fault in faults}
    reading.channels = {channel.code: channel for channel in channels if channel.code not in disabled}
    reading.faults += faults


def _clashes(documents: Sequence[Document], home: Path) -> Iterator[Fault]:
    """Faults of channels that cannot both be right: one code, or one set of files, in two of them."""
    for code, sharing in _shared((_code(each), each) for each in documents):
        for document in sharing:
            message = f"'{code}' is also the code of {_others(document, sharing)}; each channel has its own"
            yield replace(document.fault(("code",), message), channel=code)
    sources = [source for each in documents if not _is_off(each) for source in _sources(each, home)]
    for source in sources:
        rivals = [other for other in sources if other is not source and _overlap(source.pattern, other.pattern)]
        if rivals:
            names = ", ".join(sorted(other.seen_from(source.document) for other in rivals))
            message = f"{names} reads the same files; one order would count twice: give each its own folder or names"
            at = ("entities", source.entity, "files")
            yield replace(source.document.fault(at, message), channel=_code(source.document))


def _shared_accounts(documents: Sequence[Document], channels: Sequence[Channel]) -> Iterator[Fault]:
    """Channels that ask one account for the same orders."""
    asking = [each for each in channels if isinstance(each, ServiceChannel) and each.enabled]
    for channel in asking:
        rivals = [other.code for other in asking if other is not channel and channel.shares_orders(other)]
        if rivals:
            message = f"'{channel.connection}' is asked by {', '.join(rivals)} too; one order would count twice"
            document = next(each for each in documents if _code(each) == channel.code)
            yield replace(document.fault(("connection",), message), channel=channel.code)


@dataclass(frozen=True)
class _Source:
    """The files of one entity. `pattern`: one for each step of the way, from the root on."""

    document: Document
    entity: str
    pattern: tuple[str, ...]

    def seen_from(self, document: Document) -> str:
        return f"entities.{self.entity}" if self.document is document else self.document.where


def _sources(document: Document, home: Path) -> Iterator[_Source]:
    folder = document.text("folder")
    for entity in document.mapping("entities"):
        files = document.text("entities", entity, "files")
        if folder and files:
            way = _way(folder, document.text("connection") or S3_DEFAULT, home)
            yield _Source(document, entity, (*map(glob.escape, way), *PurePosixPath(files).parts))


def _way(folder: str, connection: str, home: Path) -> tuple[str, ...]:
    if is_url(folder):
        return (folder,) if place_problem(folder) else s3_place(folder).path(connection).parts
    return Path(os.path.realpath(home / folder)).parts


def _overlap(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether all that one pattern matches, the other matches too. Of patterns that may have a file in common but
    need not (`orders_*` and `*_de.csv`) the files decide: see `list_deliveries`."""
    return len(one) == len(other) and (all(map(_covers, one, other)) or all(map(_covers, other, one)))


def _covers(wide: str, narrow: str) -> bool:
    # With `*` as the only wildcard, a star of `narrow` can be matched by nothing but a star of `wide`.
    return wide == narrow or (not set("?[") & set(wide + narrow) and fnmatchcase(narrow, wide))


def _is_off(document: Document) -> bool:
    return (document.text("enabled") or "").lower() in {"false", "no", "off", "0", "n", "f"}


def _code(document: Document) -> str:
    return document.text("code") or PurePosixPath(document.where).stem


Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


def _shared(pairs: Iterable[tuple[Key | None, Value]]) -> Iterator[tuple[Key, list[Value]]]:
    """Keys that several values have, with these values."""
    groups: defaultdict[Key, list[Value]] = defaultdict(list)
    for key, value in pairs:
        if key is not None:
            groups[key].append(value)
    return ((key, values) for key, values in groups.items() if len(values) > 1)


def _others(document: Document, documents: Iterable[Document]) -> str:
    return ", ".join(sorted({each.where for each in documents if each is not document}))


def _files(config_dir: Path, folder: str, faults: list[Fault]) -> list[tuple[Path, str]]:
    """The YAML files of a folder, sorted, with their paths as faults show them."""
    try:
        names = sorted(entry.name for entry in os.scandir(config_dir / folder))
    except OSError as error:
        faults.append(Fault(folder, f"cannot be read: {error.strerror}"))
        return []
    return [
        (config_dir / folder / name, os.fsencode(f"{folder}/{name}").decode("utf-8", "backslashreplace"))
        for name in names
        if name.endswith((".yml", ".yaml")) and not name.startswith(".")
    ]


def _hash(config_dir: Path) -> str:
    """SHA-256 over path and content of every file but hidden ones, in the order of their paths."""
    paths = []
    for folder, folders, names in os.walk(config_dir):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths += [Path(folder, name) for name in names if not name.startswith(".")]
    digest = hashlib.sha256()
    for relative, path in sorted((path.relative_to(config_dir).as_posix(), path) for path in paths):
        try:
            content = path.read_bytes()
        except OSError:
            content = b"unreadable"  # whoever needs the file reports it
        digest.update(os.fsencode(f"{relative}\0{len(content)}\0") + content)
    return digest.hexdigest()
