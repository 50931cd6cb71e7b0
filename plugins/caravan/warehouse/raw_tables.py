"""The tables that models read and no model makes, as the migrations make them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from caravan.core.entities import ENTITIES, parsed_columns
from caravan.core.rates import ENTITY as FX_RATE
from caravan.core.search import ENTITY as SEARCH_DAY


@dataclass(frozen=True)
class RawTable:
    """`columns`: what a delivery brings, DuckDB types. `date_column`: the local date that slices it. `scope`: the
    column whose value one delivery covers."""

    name: str
    columns: Mapping[str, str]
    date_column: str | None = None
    scope: str | None = None
    has_updated_at: bool = False
    provenance: tuple[str, ...] = ()
    """Columns that say where a row comes from and are no part of its content: alone they make no new version."""
    key: tuple[str, ...] = ("row_key", "version")


STAMP = {"version": "INTEGER", "change": "VARCHAR", "load_id": "VARCHAR", "observed_at": "TIMESTAMP"}
"""What a load adds to each row."""

_KEYS = {"row_key": "UUID", "payload_hash": "UUID"}
_TEXT, _MONEY = "VARCHAR", "DECIMAL(18,4)"

RAW: dict[str, RawTable] = {
    table.name: table
    for table in (
        *(
            RawTable(
                f"raw.file_drop__{name}",
                parsed_columns(entity),
                entity.local_date,
                "channel_code",
                has_updated_at=True,
            )
            for name, entity in ENTITIES.items()
        ),
        RawTable(
            "raw.fx__rate",
            {
                **_KEYS,
                "source_code": _TEXT,
                "rate_date": "DATE",
                **dict.fromkeys(("base_currency_code", "currency_code"), _TEXT),
                "rate": "DECIMAL(18,8)",
                "stated_source": _TEXT,
            },
            "rate_date",
        ),
        RawTable(
            "raw.search_console__row",
            {
                **_KEYS,
                **dict.fromkeys(("day_key", "site_code", "property_url"), _TEXT),
                "search_local_date": "DATE",
                **dict.fromkeys(("search_type", "breakdown", "market_code", "country_code", "country"), _TEXT),
                **dict.fromkeys(("device", "page_url", "query_text"), _TEXT),
                **dict.fromkeys(("click_count", "impression_count", "position_sum"), "BIGINT"),
                "is_final": "BOOLEAN",
            },
            "search_local_date",
            # One delivery is all of a day: what it lacks is gone. It also keeps a comparison to the day's rows.
            "day_key",
        ),
        RawTable(
            "raw.config__ended_currency",
            {**_KEYS, "currency_code": _TEXT, "ended_date": "DATE", "successor_code": _TEXT},
        ),
        RawTable(
            "raw.config__market",
            {
                **_KEYS,
                **dict.fromkeys(("market_code", "name", "country_code", "currency_code", "zone"), _TEXT),
                **dict.fromkeys(("further_zones", "locale", "locales", "text_direction", "rounding_mode"), _TEXT),
                "cash_rounding_amount": _MONEY,
                "tax_display": _TEXT,
                "vat_pct": _MONEY,
                **dict.fromkeys(("weekend_days", "week_start_day", "fiscal_year_start", "contact_channels"), _TEXT),
                **dict.fromkeys(("privacy_regime", "residency_code", "calendar_version"), _TEXT),
            },
        ),
        RawTable(
            "raw.config__market_date",
            {
                **_KEYS,
                "market_code": _TEXT,
                "local_date": "DATE",
                "utc_start_at": "TIMESTAMP",
                "utc_end_at": "TIMESTAMP",
                "day_length_min": "INTEGER",
                "is_dst_change": "BOOLEAN",
                "iso_weekday": "INTEGER",
                "is_weekend": "BOOLEAN",
                "is_holiday": "BOOLEAN",
                "holiday_name": _TEXT,
                "is_override": "BOOLEAN",
                "opening_hours": _TEXT,
                "open_seconds": "INTEGER",
                "week_start_date": "DATE",
                "iso_week": _TEXT,
                "fiscal_year": "INTEGER",
                "peak_event": _TEXT,
                "registry_version": _TEXT,
            },
            provenance=("registry_version",),
        ),
        RawTable(
            "raw.config__channel",
            {
                **_KEYS,
                **dict.fromkeys(
                    ("channel_code", "name", "kind", "source", "delivery", "market_code", "reporting_zone"), _TEXT
                ),
            },
        ),
        RawTable(
            "raw.config__release",
            {
                **_KEYS,
                "release_id": _TEXT,
                "revision": "INTEGER",
                **dict.fromkeys(("market_code", "title", "kind", "audience", "action", "owner", "standing"), _TEXT),
                "zone": _TEXT,
                **dict.fromkeys(("planned_at", "local_at"), "TIMESTAMP"),
                "outlets": _TEXT,
            },
        ),
        RawTable(
            "raw.release__link",
            {
                **_KEYS,
                "release_id": _TEXT,
                "revision": "INTEGER",
                **dict.fromkeys(("content_hash", "outlet", "locale", "link_id"), _TEXT),
                "place": "INTEGER",
                **dict.fromkeys(("url", "target_url"), _TEXT),
                "is_tagged": "BOOLEAN",
                **dict.fromkeys(("utm_source", "utm_medium", "utm_campaign", "utm_content"), _TEXT),
            },
        ),
        RawTable(
            "raw.config__party",
            {**_KEYS, **dict.fromkeys(("party_code", "name", "kind", "country_code", "registration_id"), _TEXT)},
        ),
        RawTable(
            "raw.config__method",
            {**_KEYS, **dict.fromkeys(("method_code", "name", "kind", "description"), _TEXT)},
        ),
    )
}


OUTBOX = RawTable(
    "ops.outbox",
    {
        **dict.fromkeys(("message_id", "function", "object_id"), _TEXT),
        "revision": "INTEGER",
        **dict.fromkeys(("outlet", "market_code", "locale", "purpose", "variant", "content_hash", "state"), _TEXT),
        "attempt": "INTEGER",
        **dict.fromkeys(("planned_for", "not_after", "embargo_until", "due_at", "handed_over_at"), "TIMESTAMP"),
        **dict.fromkeys(("settled_at", "changed_at", "planned_at"), "TIMESTAMP"),
        "reason": _TEXT,
        "changed_seq": "BIGINT",
        "planned_date": "DATE",
    },
    "planned_date",
    key=("message_id",),
)
"""What left, or is to: one row a message, as it stands. No address, nothing that was said."""

CHECKS = RawTable(
    "ops.release_check",
    {
        "check_date": "DATE",
        "checked_at": "TIMESTAMP",
        **dict.fromkeys(("message_id", "release_id"), _TEXT),
        "revision": "INTEGER",
        **dict.fromkeys(("outlet", "market_code", "locale", "aspect", "outcome", "detail"), _TEXT),
    },
    "check_date",
    key=("check_date", "message_id", "aspect"),
)
"""What outlets showed when they were read back: the last look of each UTC day."""

_CRAWL = {"site_code": _TEXT, "crawl_id": _TEXT, "crawl_date": "DATE"}


def _of_crawls(name: str, key: Sequence[str], columns: Mapping[str, str]) -> RawTable:
    return RawTable(
        f"raw.crawl__{name}",
        {**_CRAWL, **columns, "load_id": _TEXT},
        "crawl_date",
        "site_code",
        key=("site_code", "crawl_id", *key),
    )


CRAWLS: dict[str, RawTable] = {
    table.name: table
    for table in (
        _of_crawls(
            "crawl",
            (),
            {
                **dict.fromkeys(("started_at", "ended_at"), "TIMESTAMP"),
                **dict.fromkeys(("expected_count", "seen_count"), "BIGINT"),
                "is_complete": "BOOLEAN",
                "incomplete_reason": _TEXT,
                "is_comparable": "BOOLEAN",
                **dict.fromkeys(("not_comparable_reason", "config_hash"), _TEXT),
            },
        ),
        _of_crawls(
            "page",
            ("page_key",),
            {
                "page_key": "BIGINT",
                **dict.fromkeys(("url", "market_code"), _TEXT),
                "depth": "BIGINT",
                **dict.fromkeys(("outcome", "outcome_reason"), _TEXT),
                "requested_at": "TIMESTAMP",
                "http_status": "BIGINT",
                **dict.fromkeys(("location_url", "media_type"), _TEXT),
                **dict.fromkeys(("ttfb_ms", "body_bytes"), "BIGINT"),
                **dict.fromkeys(("is_html", "is_indexable", "is_in_sitemap"), "BOOLEAN"),
                "inlink_count": "BIGINT",
                **dict.fromkeys(("language_code", "detected_language", "title", "description", "h1"), _TEXT),
                "canonical_url": _TEXT,
                **dict.fromkeys(("word_count", "character_count", "text_hash"), "BIGINT"),
                "link_score": _MONEY,
            },
        ),
        _of_crawls(
            "issue",
            ("check_id", "url"),
            {
                "check_id": _TEXT,
                "check_version": "BIGINT",
                **dict.fromkeys(("severity", "category", "market_code"), _TEXT),
                "page_key": "BIGINT",
                **dict.fromkeys(("url", "state", "change"), _TEXT),
                **dict.fromkeys(("first_seen_at", "last_seen_at", "state_since"), "TIMESTAMP"),
                **dict.fromkeys(("regressed_count", "affected_count"), "BIGINT"),
                "evidence": _TEXT,
                "is_suppressed": "BOOLEAN",
                **dict.fromkeys(("suppressed_by", "suppressed_reason"), _TEXT),
                "revenue_amount": _MONEY,
                **dict.fromkeys(("currency_code", "revenue_reason"), _TEXT),
            },
        ),
        _of_crawls(
            "check",
            ("check_id",),
            {
                "check_id": _TEXT,
                "check_version": "BIGINT",
                **dict.fromkeys(("severity", "category", "outcome", "outcome_reason"), _TEXT),
                **dict.fromkeys(("judged_count", "issue_count", "affected_count"), "BIGINT"),
            },
        ),
        _of_crawls(
            "page_change",
            ("change", "url"),
            {
                "change": _TEXT,
                "page_key": "BIGINT",
                **dict.fromkeys(("url", "market_code"), _TEXT),
                "http_status": "BIGINT",
                "other_url": _TEXT,
            },
        ),
    )
}
"""What crawls found, one after another: a crawl is loaded whole, once, and never changed."""

SOURCES: dict[str, RawTable] = {**RAW, OUTBOX.name: OUTBOX, CHECKS.name: CHECKS, **CRAWLS}
"""All that models may read beside other models."""


_OTHERS = {FX_RATE: "raw.fx__rate", SEARCH_DAY: "raw.search_console__row"}


def table_of(entity: str) -> RawTable:
    """The table that deliveries of an entity fill."""
    return RAW[_OTHERS.get(entity) or f"raw.file_drop__{entity}"]
