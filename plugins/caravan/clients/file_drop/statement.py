"""The SQL that turns a delivery into canonical rows, layer by layer.

Each layer is `SELECT *, more FROM (layer below)`, so that every expression stands once. Names: `r…` as the file
has it, `d_<field>` as delivered (text trimmed), `e_<field>` after the channel's value map, `<field>` typed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import duckdb

from caravan.clients.file_drop import conversion
from caravan.clients.file_drop.codes import country_names
from caravan.clients.file_drop.identity import payload_hash, row_key
from caravan.clients.file_drop.rules import rule_condition
from caravan.clients.file_drop.source import Source, literal
from caravan.config.types import OTHER_MARKET, Channel, Configuration
from caravan.core.codes import currency_codes
from caravan.core.entities import (
    QUARANTINE_COLUMNS,
    RULE_REASON,
    Entity,
    EntityField,
    judged_columns,
    parsed_columns,
)


@dataclass(frozen=True)
class Check:
    """A reason to quarantine. `condition`: SQL, never NULL. `reason`, `message`: SQL of what to say."""

    field: str
    condition: str
    reason: str
    message: str


@dataclass(frozen=True)
class Statement:
    """`good`: SELECT of accepted rows, columns as `parsed_columns`, repetitions included. `bad`: SELECT of
    quarantined ones, columns as QUARANTINE_COLUMNS. Together they are all rows of the source's relation."""

    good: str
    bad: str


class StatementBuilder:
    """Builds the Statement of one delivery; makes its lookup tables in `connection`.

    Relies on a validated channel: `caravan.config.loader` has tried its patterns, formats and constants.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        channel: Channel,
        entity: Entity,
        configuration: Configuration,
        source: Source,
        now: datetime,
    ) -> None:
        self._connection = connection
        self._channel = channel
        self._entity = entity
        self._config = channel.entities[entity.name]
        self._markets = configuration.markets
        self._source = source
        self._now = now
        self._kinds: dict[str, str] = {}
        """Mapped field to the DuckDB type in which its value reaches typing."""

    def build(self) -> Statement:
        self._make_lookups()
        rows = f"(SELECT * FROM {self._source.relation})"
        for layer in (self._delivered, self._mapped, self._typed, self._placed, self._dated, self._judged):
            rows = f"({layer(rows)})"
        checks = self._checks()
        faulty = "(" + " OR ".join(f"({check.condition})" for check in checks) + ")"
        columns = parsed_columns(self._entity)
        good = f"(SELECT * FROM {rows} WHERE NOT {faulty})"
        absent = self._never_given()
        key = row_key(self._channel.code, self._entity, self._config.key, columns, absent)
        good = f"(SELECT *, {payload_hash(columns, absent)} AS payload_hash, {key} AS row_key FROM {good})"

        def first(part: str) -> str:
            cases = " ".join(f"WHEN {check.condition} THEN {getattr(check, part)}" for check in checks)
            return f"CASE {cases} END"

        fields = " ".join(f"WHEN {check.condition} THEN {literal(check.field)}" for check in checks)
        parsed = ", ".join(f"CAST({name} AS {kind}) AS {name}" for name, kind in columns.items())
        bad = {
            "row_number": "row_number",
            "row_key": self._key_if_readable(),
            "field_name": f"nullif(CASE {fields} END, '')",
            "reason_code": first("reason"),
            "message": first("message"),
            "raw_row": self._source.raw_row,
        }
        told = ", ".join(f"{bad[name]} AS {name}" for name in QUARANTINE_COLUMNS)
        return Statement(
            good=f"SELECT {parsed} FROM {good}",
            bad=f"SELECT {told} FROM {rows} WHERE {faulty}",
        )

    # Layers

    def _delivered(self, rows: str) -> str:
        parts = []
        for field in self._mapped_fields():
            column = self._config.columns[field.name]
            reference, kind = self._source.references[column], self._source.types[column]
            keeps_type = field.name not in self._config.values and (
                (field.type in ("money", "quantity") and conversion.is_number(kind))
                or (field.type == "timestamp" and conversion.is_time(kind))
            )
            self._kinds[field.name] = kind if keeps_type else "VARCHAR"
            value = conversion.as_delivered(reference, kind) if keeps_type else conversion.as_text(reference, kind)
            parts.append(f"{value} AS d_{field.name}")
        return f"SELECT {', '.join(['*', *parts])} FROM {rows}"

    def _mapped(self, rows: str) -> str:
        parts, joins = ["l.*"], []
        for field in self._mapped_fields():
            name = field.name
            if name in self._config.values:
                joins.append(f"LEFT JOIN values_{name} ON values_{name}.delivered = l.d_{name}")
                value = f"CASE WHEN values_{name}.delivered IS NULL THEN l.d_{name} ELSE values_{name}.ours END"
                parts.append(f"{value} AS e_{name}")
            else:
                parts.append(f"l.d_{name} AS e_{name}")
        return f"SELECT {', '.join(parts)} FROM {rows} AS l {' '.join(joins)}"

    def _typed(self, rows: str) -> str:
        parts, joins = ["l.*"], []
        for field in self._entity.fields:
            constant, value = self._constant(field), None
            if field.name in self._kinds:
                value, join = self._value(field)
                joins += join
            if value is None:
                value = constant
            elif constant is not None:
                value = f"CASE WHEN e_{field.name} IS NULL THEN {constant} ELSE {value} END"
            value = "NULL" if value is None else value
            parts.append(f"CAST({value} AS {field.sql_type}) AS {field.column}")
        parts.append(("d_country" if "country" in self._kinds else "CAST(NULL AS VARCHAR)") + " AS country_name")
        return f"SELECT {', '.join(parts)} FROM {rows} AS l {' '.join(joins)}"

    def _value(self, field: EntityField) -> tuple[str, list[str]]:
        """The typed value of a mapped field, and the joins it needs."""
        reference = f"e_{field.name}"
        if field.type in ("money", "quantity", "timestamp"):
            value = self._conversion(field).value
            return (f"-({value})" if field.positive and self._config.sign == "negative" else value), []
        if field.type == "country":
            return "country_names.code", [f"LEFT JOIN country_names ON country_names.name = lower({reference})"]
        if field.type == "currency":
            return "currencies.code", [f"LEFT JOIN currencies ON currencies.code = upper({reference})"]
        if field.type == "choice":
            return f"CASE WHEN lower({reference}) IN ({_list(field.choices)}) THEN lower({reference}) END", []
        if field.name == "order_id":
            return conversion.order_id(reference), []
        return (f"lower({reference})" if field.name == "status" else reference), []

    def _placed(self, rows: str) -> str:
        """Market and flow."""
        channel = self._channel
        flow = ""
        if channel.home_country is not None and "flow" in self._entity.field_names:
            flow = (
                f" REPLACE (CASE WHEN {self._given('flow')} THEN flow WHEN country_code = '{OTHER_MARKET}' THEN NULL "
                f"WHEN country_code = {literal(channel.home_country)} THEN 'domestic' ELSE 'export' END AS flow)"
            )
        if channel.market is not None:
            return f"SELECT *{flow}, {literal(channel.market)} AS market_code FROM {rows}"
        # A row that names no country has no market of its own.
        market = f"CASE WHEN l.country_code IS NOT NULL THEN coalesce(markets.code, '{OTHER_MARKET}') END"
        return (
            f"SELECT l.*{flow}, {market} AS market_code "
            f"FROM {rows} AS l LEFT JOIN markets ON markets.country = l.country_code"
        )

    def _dated(self, rows: str) -> str:
        """Channel, local date and, for lines, the amount."""
        parts = [
            "*",
            f"{literal(self._channel.code)} AS channel_code",
            f"{self._local_date()} AS {self._entity.local_date}",
        ]
        if self._entity.computes_amount:
            amount, inexact = conversion.amount("quantity", "unit_price", "coalesce(discount_amount, 0)")
            parts += [f"{amount} AS amount", f"{inexact} AS amount_is_inexact"]
        return f"SELECT {', '.join(parts)} FROM {rows}"

    def _judged(self, rows: str) -> str:
        """What the rules say, of amounts as they were delivered; signed ones stand above 0 from here on."""
        rules = self._config.rules
        ruled = f"SELECT *, {self._first_rule()} AS rule_at FROM {rows}"
        kind_column, rule_column = judged_columns(self._entity)
        unruled = literal(self._entity.kinds[0])
        kinds = " ".join(f"WHEN {i} THEN {literal(rule.kind)}" for i, rule in enumerate(rules) if rule.kind)
        names = " ".join(f"WHEN {i} THEN {literal(rule.name)}" for i, rule in enumerate(rules))
        kind = f"CASE rule_at {kinds} ELSE {unruled} END" if kinds else unruled
        name = f"CASE rule_at {names} END" if names else "CAST(NULL AS VARCHAR)"
        judged = f"SELECT *, {kind} AS {kind_column}, {name} AS {rule_column} FROM ({ruled})"
        if self._config.sign != "signed":
            return judged
        leaves = f"{kind_column} IN ({_list(self._entity.outgoing)})"
        amounts = [field.name for field in self._entity.fields if field.positive]
        turned = ", ".join(f"CASE WHEN {leaves} THEN -{each} ELSE {each} END AS {each}" for each in amounts)
        return f"SELECT * REPLACE ({turned}) FROM ({judged})"

    # Parts

    def _mapped_fields(self) -> list[EntityField]:
        return [field for field in self._entity.fields if field.name in self._config.columns]

    def _key_if_readable(self) -> str:
        """The key of a row that may be faulty elsewhere; NULL when there is none to read."""
        if self._config.key == "none":
            return "CAST(NULL AS UUID)"
        columns = (self._entity.field(name).column for name in self._entity.required_key)
        given = " AND ".join(f"{column} IS NOT NULL" for column in columns)
        texts = [name for name in self._entity.key if self._entity.field(name).type == "text"]
        sound = " AND ".join(f"NOT coalesce(contains({name}, chr(0)), false)" for name in texts)
        readable = f"{given} AND {sound}"
        return f"CASE WHEN {readable} THEN {row_key(self._channel.code, self._entity, 'natural', {})} END"

    def _never_given(self) -> set[str]:
        """Columns that are NULL in every row."""
        absent = {field.name for field in self._entity.fields if self._given(field.name) == "false"}
        if self._channel.home_country is not None:
            absent -= {"flow"}
        return absent | ({"country_name"} if "country" not in self._kinds else set())

    def _given(self, name: str) -> str:
        """SQL: whether the field has a value, valid or not."""
        if name in self._config.constants:
            return "true"
        return f"e_{name} IS NOT NULL" if name in self._kinds else "false"

    def _conversion(self, field: EntityField) -> conversion.Conversion:
        reference, kind, form = f"e_{field.name}", self._kinds[field.name], self._channel.format
        if field.type == "timestamp":
            return conversion.timestamp(reference, kind, form, self._channel.zone)
        return conversion.number(reference, kind, form)

    def _local_date(self) -> str:
        channel, moment = self._channel, self._entity.moment
        if channel.business_zone is not None:
            return conversion.local_date(moment, channel.business_zone)
        if channel.market is not None:
            return conversion.local_date(moment, self._markets[channel.market].zone)
        by_zone: dict[str, list[str]] = {}
        for code, market in sorted(self._markets.items()):
            by_zone.setdefault(market.zone, []).append(code)
        cases = "".join(
            f"WHEN market_code IN ({_list(codes)}) THEN {conversion.local_date(moment, zone)} "
            for zone, codes in by_zone.items()
        )
        otherwise = conversion.local_date(moment, channel.zone)
        return f"CASE {cases}ELSE {otherwise} END" if cases else otherwise

    def _first_rule(self) -> str:
        columns = {field.name: field.column for field in self._entity.fields}
        cases = [
            f"WHEN {rule_condition(rule, self._entity, columns)} THEN {i}" for i, rule in enumerate(self._config.rules)
        ]
        return f"CASE {' '.join(cases)} END" if cases else "CAST(NULL AS INTEGER)"

    def _checks(self) -> list[Check]:
        checks: list[Check] = []
        if self._source.broken is not None:
            checks.append(Check("", self._source.broken, "'JSON_INVALID'", "'the line is no JSON object'"))
        for field in self._mapped_fields():
            if self._source.types[self._config.columns[field.name]] == "VARCHAR":
                # PostgreSQL cannot hold it. Judged first: the messages of other checks repeat the value.
                nul = f"coalesce(contains(d_{field.name}, chr(0)), false)"
                checks.append(Check(field.name, nul, "'TEXT_INVALID'", "'has a NUL character (U+0000)'"))
        key = self._entity.required_key if self._config.key == "natural" else ()
        for field in self._entity.fields:
            if field.required or field.name in key:
                reason = "'KEY_EMPTY'" if field.name in key else "'FIELD_MISSING'"
                # Cleaning may leave nothing of an order id, so texts are judged by what is left.
                missing = f"{field.name} IS NULL" if field.type == "text" else f"NOT ({self._given(field.name)})"
                checks.append(Check(field.name, missing, reason, "'no value'"))
            if field.name in self._kinds and field.type != "text":
                checks.append(self._validity(field))
            if field.positive:
                checks.append(self._sign(field))
        latest = self._now + timedelta(hours=self._channel.max_future_hours)
        moment = self._entity.moment
        checks.append(
            Check(
                moment,
                f"coalesce({moment} > TIMESTAMP '{latest}', false)",
                literal(self._entity.future_reason),
                f"concat({moment}, ' UTC is more than {self._channel.max_future_hours} hours ahead of the clock')",
            )
        )
        if self._entity.computes_amount:
            checks.append(
                Check(
                    "amount",
                    "quantity IS NOT NULL AND unit_price IS NOT NULL AND (amount IS NULL OR amount_is_inexact)",
                    "CASE WHEN amount IS NULL THEN 'NUMBER_INVALID' ELSE 'TOO_MANY_DECIMALS' END",
                    "concat(quantity, ' * ', unit_price, ' has more than 14 digits or 4 decimals')",
                )
            )
        for i, rule in enumerate(self._config.rules):
            if rule.quarantine is not None:
                condition = f"coalesce(rule_at = {i}, false)"
                reason, message = literal(rule_reason(rule.name)), literal(rule.quarantine)
                checks.append(Check(next(iter(rule.when)), condition, reason, message))
        return checks

    def _validity(self, field: EntityField) -> Check:
        given, typed = f"e_{field.name}", field.column
        invalid = f"{typed} IS NULL"
        if field.type == "timestamp":
            invalid = f"({invalid} OR NOT ({conversion.plausible(typed)}))"
        if field.type in ("money", "quantity", "timestamp"):
            converted = self._conversion(field)
            reason, expected = converted.reason, converted.expected
        else:
            reason, expected = {
                "country": ("'COUNTRY_UNKNOWN'", "an ISO country code or English country name; map it in `values`"),
                "currency": ("'CURRENCY_UNKNOWN'", "an ISO 4217 currency code; map it in `values`"),
                "choice": (
                    literal(f"{field.name.upper()}_UNKNOWN"),
                    f"one of {', '.join(field.choices)}; map it in `values`",
                ),
            }[field.type]
        message = f"concat('''', left(CAST({given} AS VARCHAR), 100), ''' is not ', {literal(expected)})"
        # AND and OR with NULL are NULL only where `given` is known to be NULL or the rest is: both excluded here.
        return Check(field.name, f"{given} IS NOT NULL AND {invalid}", reason, message)

    def _sign(self, field: EntityField) -> Check:
        side = {"positive": "above 0", "negative": "below 0"}
        wanted = side.get(self._config.sign, f"above 0, or below it for a {' or '.join(self._entity.outgoing)}")
        given = f"e_{field.name}" if field.name in self._kinds else field.name
        message = f"concat('''', left(CAST({given} AS VARCHAR), 100), ''' is not {wanted}; `sign` says which it is')"
        return Check(field.name, f"coalesce({field.name} <= 0, false)", "'SIGN_UNEXPECTED'", message)

    def _constant(self, field: EntityField) -> str | None:
        """A constant as a typed SQL literal. Numbers are written with a point, times in ISO form."""
        text = self._config.constants.get(field.name)
        if text is None:
            return None
        if field.type in ("money", "quantity"):
            return f"{Decimal(text):f}"
        if field.type == "timestamp":
            moment = datetime.fromisoformat(text)
            kind = "TIMESTAMP" if moment.tzinfo is None else "TIMESTAMP WITH TIME ZONE"
            given = f"CAST({literal(str(moment))} AS {kind})"
            return conversion.timestamp(given, kind, self._channel.format, self._channel.zone).value
        return literal(text)

    def _make_lookups(self) -> None:
        create = self._connection.execute
        names = list(country_names().items())
        create(
            f"CREATE TEMP TABLE country_names AS SELECT DISTINCT lower(name) AS name, code FROM {_rows(names)} "
            "AS t(name, code)"
        )
        create(
            f"CREATE TEMP TABLE currencies AS SELECT * FROM {_rows([(c,) for c in sorted(currency_codes())])} "
            "AS t(code)"
        )
        by_country = {m.country: m.code for m in sorted(self._markets.values(), key=lambda m: m.code, reverse=True)}
        markets = _rows(list(by_country.items()) or [(OTHER_MARKET, OTHER_MARKET)])
        create(f"CREATE TEMP TABLE markets AS SELECT * FROM {markets} AS t(country, code)")
        for name, values in self._config.values.items():
            rows = _rows(list(values.items()) or [("", "")])
            create(
                f"CREATE TEMP TABLE values_{name} AS SELECT delivered, nullif(ours, '') AS ours FROM {rows} "
                "AS t(delivered, ours)"
            )


def rule_reason(rule_name: str) -> str:
    """The reason code under which a rule quarantines."""
    return f"{RULE_REASON}{rule_name.upper()}"


def _list(words: Sequence[str]) -> str:
    return ", ".join(literal(word) for word in words)


def _rows(rows: Sequence[tuple[str, ...]]) -> str:
    return "(VALUES " + ", ".join(f"({_list(row)})" for row in rows) + ")"
