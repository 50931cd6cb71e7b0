"""Reads include/config/releases: one folder for each release, `release.yml`, a text for each language, images.

A fault leaves out its release alone.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from caravan.config.document import Document, Location, files_in, read
from caravan.config.frozen import Frozen
from caravan.config.images import MEDIA_TYPES, ImageFile, read_image
from caravan.config.outlets import FOLDER as OUTLETS
from caravan.config.outlets import Line, OutletAccount
from caravan.config.release_bodies import Body, Utm, locale_problem, read_body
from caravan.config.release_settings import ReleaseSettings
from caravan.config.types import Configuration
from caravan.config.validation import validate
from caravan.core.codes import currency_codes
from caravan.core.errors import Fault, in_order, nearest
from caravan.core.release import Action, Audience, Kind
from caravan.core.zones import to_utc

FOLDER, FILE = "releases", "release.yml"
Policy = Literal["require", "fallback", "skip"]
DEFAULT = "default"

_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}(:\d{2})?(Z?)")
_DURATION = re.compile(r"(\d{1,4})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def _moment(given: object, *, is_utc: bool) -> datetime:
    if isinstance(given, datetime):
        return given
    found = _MOMENT.fullmatch(given) if isinstance(given, str) else None
    if found is None or (found[2] and not is_utc):
        form = "2026-11-25 08:30 or 2026-11-25T08:30:00Z, in UTC" if is_utc else "2026-11-25 09:30, without zone"
        raise ValueError(f"'{given}' is no time (like {form})")
    try:
        moment = datetime.fromisoformat(found[0].removesuffix("Z"))
    except ValueError as error:
        raise ValueError(f"'{given}' is no time of the calendar: {error}") from error
    if not 2000 <= moment.year < 2100:
        raise ValueError(f"'{given}' is not of this century")
    return moment


def _duration(given: object) -> timedelta:
    if isinstance(given, timedelta):
        return given
    found = _DURATION.fullmatch(given) if isinstance(given, str) else None
    length = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else timedelta()
    if not timedelta() < length <= timedelta(days=14):
        raise ValueError(f"'{given}' is no length of time up to 14 days (like 90m, 4h, 2d)")
    return length


def _currency(given: str) -> str:
    if given not in currency_codes():
        raise ValueError(f"'{given}' is no ISO 4217 code (like EUR)")
    return given


_Utc = Annotated[datetime, BeforeValidator(lambda given: _moment(given, is_utc=True))]
_Wall = Annotated[datetime, BeforeValidator(lambda given: _moment(given, is_utc=False))]
_Listed = Annotated[tuple[str, ...], Field(min_length=1)]


class When(Frozen):
    """One of both. local: what the clock says where the recipient, or else the market, is."""

    local: _Wall | None = None
    utc: _Utc | None = None

    @model_validator(mode="after")
    def _one(self) -> When:
        if (self.local is None) == (self.utc is None):
            raise ValueError("give either `local` or `utc`")
        return self

    def instant(self, zone: str) -> datetime:
        """UTC without zone. A local time that its day does not have is the first minute after the gap."""
        if self.utc is not None:
            return self.utc
        assert self.local is not None  # one of both is
        return to_utc(self.local, zone)


class Cost(Frozen):
    amount: Annotated[Decimal, Field(ge=0)]
    currency: Annotated[str, AfterValidator(_currency)]


class ReleaseFile(Frozen):
    """What `release.yml` may say."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
    kind: Kind
    audience: Audience
    owner: Annotated[Line, Field(repr=False)]
    """Who wrote it, as they log in: whoever approves it is somebody else. Nobody else is told."""
    author: Line | None = None
    """Whom readers are told to have written it; the publisher where nobody is named."""
    markets: _Listed
    outlets: _Listed
    source_locale: str
    when: When
    method: str
    purpose: str | None = None
    """For which those who get it have agreed to be written to."""
    embargo_until: _Utc | None = None
    max_lateness: Annotated[timedelta, BeforeValidator(_duration)] = timedelta(hours=4)
    cost: Cost | None = None
    goal: Line | None = None
    utm: Utm = Utm()
    translations: Annotated[
        dict[str, Policy], BeforeValidator(lambda given: {DEFAULT: given} if isinstance(given, str) else given)
    ] = {}
    """What a market without a text in its language gets, by its code; require where nothing is said."""
    tags: tuple[Line, ...] = ()
    revision: Annotated[int, Field(ge=1)] = 1
    action: Action = "publish"
    list: Line | None = None
    """Of mail: the file of its recipients."""
    audience_may_fall: bool = False
    """Planned also where the list has lost more than half of its people since it was used last."""
    only_missed: bool = False
    """Mail leaves out whom an earlier revision has reached, or may have."""

    def policy(self, market: str) -> Policy:
        return self.translations.get(market, self.translations.get(DEFAULT, "require"))


class Release(ReleaseFile):
    """A release as its folder has it. `written`: `release.yml` as it stands there. `images`: by the file's name."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    written: Mapping[str, Any]
    bodies: Mapping[str, Body]
    images: Mapping[str, ImageFile]

    @property
    def source(self) -> Body:
        return self.bodies[self.source_locale]


@dataclass(frozen=True)
class KnownMarket:
    """`chains`: for each of its languages, the most used first, the tags whose texts it takes, in order."""

    zone: str
    chains: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Known:
    """What a release may name. `outlet_codes`: of those with a fault too; a release that names one is not at fault."""

    markets: Mapping[str, KnownMarket]
    methods: Collection[str]
    purposes: Collection[str]
    outlets: Mapping[str, OutletAccount]
    outlet_codes: Collection[str] = ()

    @classmethod
    def of(cls, configuration: Configuration, outlets: Mapping[str, OutletAccount], config_dir: Path) -> Known:
        """With each market's newest languages."""
        markets = {}
        for code, market in configuration.markets.items():
            spoken = market.language.newest
            markets[code] = KnownMarket(market.zone, tuple(spoken.chain(tag) for tag in spoken.languages))
        codes = {path.stem for path in files_in(config_dir / OUTLETS)} | set(outlets)
        return cls(markets, set(configuration.methods), set(configuration.privacy.purposes), outlets, codes)

    @property
    def locales(self) -> set[str]:
        """Every tag that some market leads to."""
        return {tag for market in self.markets.values() for chain in market.chains for tag in chain}


def load_releases(
    config_dir: Path, known: Known, settings: ReleaseSettings | None = None
) -> tuple[dict[str, Release], list[Fault]]:
    """The releases that are free of faults, by id, and every fault of the others, in order. No folder: none."""
    limit = (settings or ReleaseSettings()).image_bytes
    folder = config_dir / FOLDER
    found: dict[str, Release] = {}
    faults: list[Fault] = []
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith(".")) if folder.exists() else []
    except OSError as error:
        return {}, [Fault(FOLDER, f"cannot be read: {error.strerror}")]
    documents: list[Document] = []
    for name in names:
        where = _shown(f"{FOLDER}/{name}")
        if not (folder / name).is_dir():
            faults.append(Fault(where, "is no folder; each release has one, with release.yml and its texts"))
            continue
        document, release, more = _read_folder(folder / name, where, known, limit)
        faults += more
        documents += [document] if document else []
        if release is not None:
            found[name] = release
    for name, document, message in _repeated(documents):
        faults.append(document.fault(("id",), message))
        found.pop(name, None)
    return found, in_order(faults)


def _repeated(documents: list[Document]) -> Iterator[tuple[str, Document, str]]:
    """Folder, file and message of each release that has another one's id. The folder that is called so is no copy."""
    sharing: defaultdict[str, list[Document]] = defaultdict(list)
    for document in documents:
        if (given := document.text("id")) is not None:
            sharing[given].append(document)
    for given, group in sharing.items():
        for document in group if len(group) > 1 else ():
            if Path(document.where).parent.name == given:
                continue
            others = ", ".join(other.where for other in group if other is not document)
            yield Path(document.where).parent.name, document, f"'{given}' is also the id of {others}"


def _read_folder(
    folder: Path, where: str, known: Known, limit: int
) -> tuple[Document | None, Release | None, list[Fault]]:
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError as error:
        return None, None, [Fault(where, f"cannot be read: {error.strerror}")]
    if FILE in names:
        document, faults = read(folder / FILE, f"{where}/{FILE}")
    else:
        document, faults = None, [Fault(f"{where}/{FILE}", "is missing; it says what goes where, and when")]
    images, more = _read_images(folder, where, names, limit)
    faults += more
    source = document.text("source_locale") if document else None
    bodies, more = _read_bodies(folder, where, names, images, {*known.locales, source or ""})
    faults += more
    if document is None:
        return None, None, faults
    file, more = validate(document, ReleaseFile)
    faults += more
    faults += _own_faults(document, folder.name, {name.removesuffix(".md") for name in names if name.endswith(".md")})
    faults += _name_faults(document, known)
    if file is not None:
        faults += [*_plan_faults(document, file, known), *_twice_faults(document, file, known, bodies)]
    if file is None or faults:
        return document, None, faults
    used = {name for body in bodies.values() for name in body.alternatives}
    kept = {name: image for name, image in images.items() if image is not None and name in used}
    # Its parts are checked already.
    release = Release.model_construct(**dict(file), written=document.data, bodies=bodies, images=kept)
    return document, release, []


def _shown(path: str) -> str:
    """As faults show it, also where a name is no UTF-8."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _read_bodies(
    folder: Path, where: str, names: Collection[str], images: Mapping[str, ImageFile | None], locales: Collection[str]
) -> tuple[dict[str, Body], list[Fault]]:
    bodies: dict[str, Body] = {}
    faults: list[Fault] = []
    for name in names:
        if name.endswith((".markdown", ".yaml")):
            right = ".md" if name.endswith(".markdown") else ".yml"
            faults.append(Fault(_shown(f"{where}/{name}"), f"is not read; rename it to {Path(name).stem}{right}"))
        if not name.endswith(".md"):
            continue
        if problem := locale_problem(name.removesuffix(".md"), locales):
            faults.append(Fault(_shown(f"{where}/{name}:1"), _shown(problem)))
        body, more = read_body(folder / name, _shown(f"{where}/{name}"), images)
        faults += more
        if body is not None:
            bodies[body.locale] = body
    return bodies, faults


def _read_images(
    folder: Path, where: str, names: Collection[str], limit: int
) -> tuple[dict[str, ImageFile | None], list[Fault]]:
    images: dict[str, ImageFile | None] = {}
    faults: list[Fault] = []
    for name in names:
        if Path(name).suffix.lower() not in MEDIA_TYPES:
            continue
        images[name] = None
        try:
            size = (folder / name).stat().st_size
            if size > limit:
                message = f"has {size:,} bytes; an image may have {limit:,} (image_bytes in releases.yml)"
                faults.append(Fault(_shown(f"{where}/{name}"), message))
            else:
                images[name] = read_image(folder / name)
        except ValueError as error:
            faults.append(Fault(_shown(f"{where}/{name}"), str(error)))
        except OSError as error:
            faults.append(Fault(_shown(f"{where}/{name}"), f"cannot be read: {error.strerror}"))
    return images, faults


def _own_faults(document: Document, name: str, texts: Collection[str]) -> Iterator[Fault]:
    """`texts`: tags of the files beside it, those with a fault too."""
    given = document.text("id")
    if given is not None and given != name:
        yield document.fault(("id",), f"'{given}' differs from the folder's name; rename the folder to {given}")
    source = document.text("source_locale")
    if source is not None and source not in texts:
        yield document.fault(("source_locale",), f"there is no {source}.md beside it{nearest(source, texts)}")
    audience = document.text("audience")
    if audience not in (None, "public") and document.text("purpose") is None:
        message = f"is required: a release for {audience} goes to people, who agree to purposes"
        yield document.fault(("purpose",), message)


def _name_faults(document: Document, known: Known) -> Iterator[Fault]:
    yield from _unknown(document, ("method",), "method", known.methods)
    yield from _unknown(document, ("purpose",), "purpose", known.purposes)
    markets = _texts(document, "markets")
    for key, what, names in (
        ("markets", "market", set(known.markets)),
        ("outlets", "outlet", {*known.outlets, *known.outlet_codes}),
    ):
        given = _texts(document, key)
        for index, code in enumerate(given):
            yield from _unknown(document, (key, index), what, names)
            if code is not None and code in given[:index]:
                yield document.fault((key, index), f"'{code}' is named twice")
    for code in document.mapping("translations"):
        if code != DEFAULT and code not in markets:
            near = nearest(code, [DEFAULT, *(each for each in markets if each)])
            yield document.fault(("translations", code), f"'{code}' is no market of this release{near}")


def _twice_faults(document: Document, file: ReleaseFile, known: Known, texts: Collection[str]) -> Iterator[Fault]:
    """Each mail outlet that has any text for a market writes to everybody there."""
    first: dict[str, str] = {}
    for index, code in enumerate(file.outlets):
        outlet = known.outlets.get(code)
        for market in file.markets if outlet and outlet.is_mail else ():
            chains = known.markets[market].chains if market in known.markets else ()
            read = [next((tag for tag in chain if tag in texts), None) for chain in chains]
            has_text = outlet is not None and any(tag and outlet.serves(market, tag) for tag in read)
            if has_text and (other := first.setdefault(market, code)) != code:
                message = f"'{other}' and '{code}' would both mail everybody in {market}: leave one out"
                yield document.fault(("outlets", index), f"{message}, or name `markets` in their files")


def _unknown(document: Document, at: Location, what: str, names: Collection[str]) -> Iterator[Fault]:
    code = document.text(*at)
    if code is not None and code not in names:
        yield document.fault(at, f"there is no {what} '{code}'{nearest(code, names)}")


def _texts(document: Document, key: str) -> list[str | None]:
    """The items of a list; None for one that is no text, as for all of what is no list."""
    given = document.value(key)
    return [document.text(key, index) for index in range(len(given) if isinstance(given, list) else 0)]


def _plan_faults(document: Document, file: ReleaseFile, known: Known) -> Iterator[Fault]:
    """What cannot be meant, though each word is right."""
    outlets = {code: known.outlets[code] for code in file.outlets if code in known.outlets}
    complete = len(outlets) == len(file.outlets)  # nobody knows what an outlet with a fault would serve
    for index, market in enumerate(file.markets):
        if complete and not any(outlet.serves_market(market) for outlet in outlets.values()):
            yield document.fault(("markets", index), f"no outlet of this release serves {market}")
    for index, code in enumerate(file.outlets):
        outlet = outlets.get(code)
        if outlet is not None and not any(outlet.serves_market(market) for market in file.markets):
            yield document.fault(("outlets", index), f"'{code}' serves none of the markets")
        if outlet is not None and outlet.is_mail and file.action == "withdraw":
            yield document.fault(("outlets", index), f"'{code}' is mail, which cannot be taken back: leave it out")
    if any(outlet.is_mail for outlet in outlets.values()) and file.list is None:
        yield document.fault(("list",), "is required: mail needs the file of its recipients")
    zones = {known.markets[market].zone for market in file.markets if market in known.markets}
    if file.embargo_until is not None and zones:
        first = min(file.when.instant(zone) for zone in zones) + file.max_lateness
        if file.embargo_until > first:
            message = f"is after {first:%Y-%m-%d %H:%M} UTC, when the first market counts as missed"
            yield document.fault(("embargo_until",), message)
    if file.kind == "notice":
        for code, policy in file.translations.items():
            if policy == "fallback":
                at = ("translations", code) if document.mapping("translations") else ("translations",)
                yield document.fault(at, "a notice is told in the reader's language: require, or skip")
