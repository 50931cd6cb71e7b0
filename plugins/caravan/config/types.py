"""What include/config may say. Frozen; validated as a whole by `caravan.config.loader`."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from decimal import Decimal
from pathlib import PurePath
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from caravan.config.frozen import Frozen as _Frozen
from caravan.config.frozen import known_zone as _known_zone
from caravan.config.markets import Market
from caravan.config.places import CONN_ID, S3_DEFAULT
from caravan.config.rates import Fx
from caravan.config.registers import Method, Party
from caravan.core.entities import ENTITIES, FLOWS, EntityName, RuleKind
from caravan.core.errors import Fault
from caravan.core.privacy import Policies

OTHER_MARKET = "ZZ"
"""The market of a country that no market file names. Shown in every report, never dropped."""


class Condition(_Frozen):
    """A test of one canonical field; every key given must hold. Text compares exactly, by case."""

    matches: str | None = None
    """A regular expression (RE2) that finds a match anywhere in the text."""
    equals: str | Decimal | None = None
    one_of: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    below: Decimal | None = None
    above: Decimal | None = None
    missing: bool | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Condition:
        if not self.model_fields_set:
            raise ValueError("an empty condition; give one of matches, equals, one_of, below, above, missing")
        return self


class Rule(_Frozen):
    """The first rule whose `when` holds decides the row's kind, or sends the row to quarantine."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    when: Annotated[dict[str, Condition], Field(min_length=1)]
    """Canonical field name to condition; all must hold."""
    kind: RuleKind | None = None
    quarantine: str | None = None
    """The reason shown in quarantine."""

    @model_validator(mode="after")
    def _one_outcome(self) -> Rule:
        if (self.kind is None) == (self.quarantine is None):
            raise ValueError("a rule has either `kind` or `quarantine`")
        return self


_NOT_IN_FILES = frozenset(["idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined"])
"""Python's codecs for other things than the text of files."""


class FileFormat(_Frozen):
    """How the channel writes its files."""

    type: Literal["csv", "ndjson", "parquet"]
    """`.gz` is undone by the file's first bytes, whatever the type."""
    encoding: str = "utf-8"
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    quote: Annotated[str, Field(min_length=1, max_length=1)] = '"'
    decimal: Literal[".", ","] = "."
    thousands: Literal["", ".", ",", " ", "'"] = ""
    datetime: str = "iso"
    """`iso`, or a strptime format such as `%d.%m.%Y %H:%M`."""

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, name: str) -> str:
        try:
            known = codecs.lookup(name).name
            if known not in _NOT_IN_FILES:
                "".encode(name)  # refuses codecs that are not for text, such as base64
                return known
        except LookupError:
            pass
        raise ValueError(f"'{name}' is no known encoding (like utf-8, windows-1252, shift_jis)")

    @field_validator("delimiter", "quote")
    @classmethod
    def _one_byte(cls, mark: str) -> str:
        if not (mark.isascii() and (mark.isprintable() or mark == "\t")):
            raise ValueError(f"{mark!r} cannot part values; give one ASCII character that ends no line")
        return mark

    @model_validator(mode="after")
    def _marks_differ(self) -> FileFormat:
        if self.decimal == self.thousands:
            raise ValueError(f"decimal and thousands mark are both '{self.decimal}'")
        return self


class EntitySource(_Frozen):
    """How the columns of one entity are called in a channel's deliveries, and what their values mean."""

    columns: Annotated[dict[str, str], Field(min_length=1)]
    """Canonical field to column name (csv, parquet) or path such as `buyer.id` (ndjson)."""
    constants: dict[str, str] = {}
    """Canonical field to a fixed value, e.g. `currency: GBP`; beside a column, the value where it is empty."""
    values: dict[str, dict[str, str]] = {}
    """Canonical field to a map from the delivered value to ours, e.g. country: {EIRE: IE}; '' for no value."""
    key: Literal["natural", "none"] = "natural"
    """none: rows have no key of their own and are numbered by occurrence."""
    duplicate_rows: Literal["keep", "drop"] = "drop"
    """With `key: none`: whether an exact repetition within a file is another row, or a mistake."""
    sign: Literal["positive", "negative", "signed"] = "positive"
    """How the channel writes amounts that are above 0 here; one of another sign is quarantined. signed, of payments:
    what leaves us is below 0."""
    delivery: Literal["complete", "changes"] | None = None
    """Of this entity. When absent the channel's, and of offers always changes."""
    rules: tuple[Rule, ...] = ()


class FileEntity(EntitySource):
    files: str
    """Glob inside the channel's folder, e.g. `orders_*.csv.gz`."""


class Channel(_Frozen):
    """One file of include/config/channels: a sales channel, however it delivers. Ways of delivering are subclasses:
    `FileChannel` and those of `config.services`."""

    is_asked: ClassVar[bool] = False
    """Whether a delivery is the answer to a question, and so the present state of its rows: not one that waits."""

    code: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
    name: str
    kind: Literal["own", "marketplace", "partner"]
    source: str
    enabled: bool = True
    connection: Annotated[str, Field(pattern=CONN_ID)] | None
    delivery: Literal["complete", "changes"]
    """complete: each delivery is all there is, a row missing from it has been deleted."""
    max_deleted_share: Annotated[Decimal, Field(ge=0, le=1)] = Decimal("0.2")
    """A complete delivery that would delete a larger share of the rows is refused: it is cut off."""
    format: FileFormat
    zone: str
    """The zone of delivered times that name none."""
    business_zone: str | None = None
    """The zone that decides the local date of a row; its market's zone when absent."""
    market: str | None = None
    """The one market sold to; by the order's country when absent."""
    home_country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] | None = None
    """Where goods are sent from: an order to the same country is domestic, to another one export."""
    max_future_hours: Annotated[int, Field(ge=0, le=87_600)] = 24
    """A row dated further ahead of the clock is quarantined."""
    entities: Mapping[EntityName, EntitySource]

    @field_validator("zone", "business_zone")
    @classmethod
    def _zones(cls, name: str | None) -> str | None:
        return name if name is None else _known_zone(name)

    def is_complete(self, entity: EntityName) -> bool:
        """Whether a delivery of the entity holds all there is of it: a row that is missing has been deleted."""
        unless_told = "changes" if ENTITIES[entity].accumulates else self.delivery
        return (self.entities[entity].delivery or unless_told) == "complete"


class FileChannel(Channel):
    """Files arrive in a folder."""

    source: Literal["file_drop"] = "file_drop"
    folder: str
    """Absolute, or relative to CARAVAN_HOME; or `s3://bucket/prefix`."""
    connection: Annotated[str, Field(pattern=CONN_ID)] | None = None
    """Of a folder in a bucket; `s3_default` when absent."""
    settle_seconds: Annotated[int, Field(ge=0, le=86_400)] = 60
    """A file is read once it has not changed for this long: nobody is still writing it."""
    entities: Annotated[dict[EntityName, FileEntity], Field(min_length=1)]


_Days = Annotated[int, Field(ge=1, le=36_500)]


class Upkeep(_Frozen):
    """How long `ops_warehouse_daily` leaves what piles up."""

    snapshot_days: Annotated[int, Field(ge=0, le=36_500)] = 7
    """A lake can be read as it was on any of these days."""
    reader_hours: Annotated[int, Field(ge=0, le=8_760)] = 24
    """A file that was replaced stays for as long: a query may still be reading it."""
    evidence_days: _Days = 400
    """Runs, refused and missing deliveries, quality results, incidents. What was loaded is remembered for good."""
    quarantine_days: _Days = 90
    """The text of quarantined rows and what quotes it: it may hold personal data. File, row, field and reason stay."""
    metadata_days: _Days = 90
    """Airflow's runs and task states."""
    log_days: _Days = 30
    """Airflow's task logs."""
    minutely_days: _Days = 7
    """Both, of DAGs that run each minute."""


class Backups(_Frozen):
    """The backups that `ops_warehouse_daily` makes; none without a target."""

    target: str | None = None
    """A folder, absolute or relative to CARAVAN_HOME; best on another disk, and then made there by hand once."""
    every_days: _Days = 1
    keep: Annotated[int, Field(ge=1, le=1_000)] = 7
    """How many backups stay; older ones are removed after a new one is whole."""
    secrets: bool = False
    """Keys and passwords of the server too, readable by the owner alone."""

    @field_validator("target")
    @classmethod
    def _target(cls, folder: str | None) -> str | None:
        if folder is not None and PurePath(local_folder(folder)) == PurePath():
            raise ValueError(f"'{folder}' is CARAVAN_HOME itself: name a folder in it or elsewhere, e.g. backups")
        return folder


def local_folder(text: str) -> str:
    """ValueError for what names no folder, or would become one of an odd name."""
    if not text.strip():
        raise ValueError("names no folder: write one, e.g. /mnt/disk/backups")
    if "://" in text:
        raise ValueError(f"'{text}' is a URL, and a backup goes into a folder: mount the store, or copy it from there")
    if text.startswith("~"):
        raise ValueError(f"'{text}': ~ is not understood here, write the folder in full")
    return text


class ContactCap(_Frozen):
    """At most so many messages to one person in so many days, of all functions together."""

    count: Annotated[int, Field(ge=1)]
    days: Annotated[int, Field(ge=1, le=366)]


class Project(_Frozen):
    """include/config/project.yml: what holds for the whole installation."""

    base_currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "EUR"
    published_marts: tuple[str, ...] = ()
    """Marts that readers outside may see, e.g. mart.rpt_sales__channel_day."""
    published: str | None = None
    """Where the published files go as well, beside the local folder: `s3://bucket/prefix`."""
    published_connection: Annotated[str, Field(pattern=CONN_ID)] = S3_DEFAULT
    fx: Fx = Fx()
    upkeep: Upkeep = Upkeep()
    backup: Backups = Backups()
    contact_caps: tuple[ContactCap, ...] = (ContactCap(count=2, days=1), ContactCap(count=4, days=7))
    """What a contract or the law asks to be told is not counted."""


class Configuration(_Frozen):
    """All of include/config, read at once."""

    project: Project
    markets: dict[str, Market]
    channels: dict[str, Channel]
    """The usable channels by code; a channel with a fault is not here."""
    parties: dict[str, Party] = {}
    methods: dict[str, Method] = {}
    """Marketing methods."""
    privacy: Policies = Policies()
    """What the law allows; none of it, unless include/config/privacy says so."""
    faults: tuple[Fault, ...] = ()
    """Faults of channels that are disabled by their own file."""
    hash: str
    """SHA-256 over all configuration files, for `ops.run`."""


__all__ = [
    "ENTITIES",
    "FLOWS",
    "OTHER_MARKET",
    "Backups",
    "Channel",
    "Condition",
    "Configuration",
    "EntitySource",
    "FileChannel",
    "FileEntity",
    "FileFormat",
    "Market",
    "Project",
    "Rule",
    "Upkeep",
]
