"""The model runner: computes slices outside the write lock and replaces them inside it.

For each model in the order of its references: find the slices to build (asked for, or marked stale),
compute and check them from one snapshot, then in one transaction compute again if a source changed
meanwhile, leave out what failed a check, replace the rest, and mark what stands on it as stale.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from caravan.core.errors import CaravanError
from caravan.core.window import DayRange, merge, slice_of
from caravan.warehouse import checks, evidence, slices
from caravan.warehouse.catalog import Catalog, Model
from caravan.warehouse.checks import Verdicts
from caravan.warehouse.port import Session, Warehouse

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Build:
    """What one model's build did. `ranges`: None for a model without slices."""

    model: str
    ranges: Sequence[DayRange] | None
    row_count: int
    verdicts: Verdicts = field(default_factory=Verdicts)
    recomputed: bool = False
    """A source changed between computing and writing."""

    @property
    def is_empty(self) -> bool:
        """No row, and none that was blocked."""
        return not (self.row_count or self.verdicts.failed or self.verdicts.failed_whole)


@dataclass(frozen=True)
class _Computed:
    versions: Mapping[str, int]
    relations: Sequence[str]
    verdicts: Verdicts


@dataclass(frozen=True)
class Runner:
    """`constants`: values of the models' `$name` parameters other than the slice's bounds."""

    warehouse: Warehouse
    catalog: Catalog
    constants: Mapping[str, str]
    dag_id: str
    run_id: str
    judged_later: frozenset[str] = frozenset()
    """Tables whose slices are held back from the models above them until `Store.validate` has judged them."""

    def build(self, models: Iterable[Model], days: DayRange | None = None) -> list[Build]:
        """Build the models over these local days and over whatever is marked stale.

        Models without slices are built when marked. A failed check blocks its slice and part and is
        reported in `Build.verdicts`; the rest is published.
        """
        chosen = list(models)
        self._prepare(chosen)
        builds = []
        for model in chosen:
            built = self._build(model, days)
            if built is not None:
                builds.append(built)
                if not built.is_empty:
                    log.info("%s: %s rows, %s", model.name, built.row_count, built.verdicts.summary())
            self.warehouse.forget_staged()
        if empty := [built.model for built in builds if built.is_empty]:
            log.info("no rows: %s", ", ".join(empty))
        return builds

    def pending(self, models: Iterable[Model], days: DayRange | None = None) -> dict[str, list[str]]:
        """What `build` would rebuild, as text, without doing it."""
        with self.warehouse.read() as session:
            return {
                model.name: ["all"] if model.slice_column is None else [str(r) for r in wanted or []]
                for model in models
                if (wanted := _wanted(model, slices.dirty(session, model), days)) is not None
            }

    def _prepare(self, models: Sequence[Model]) -> None:
        """Make the tables that are not there; a changed definition makes its model stale.

        Tables that are only read are made when they are not there yet. One whose definition changed stays as it is
        until its own DAG builds it: emptying it here would publish reports about nothing.
        """
        with self.warehouse.read() as session:
            known = _definitions(session)
        built = {model.name for model in models}
        read = {name for model in models for name in model.references} - built
        digests = {model.name: model.definition_hash(self.constants) for model in self.catalog.models}
        if new := [
            model
            for model in self.catalog.models
            if model.name in (built if model.name in known else built | read)
            and known.get(model.name) != digests[model.name]
        ]:
            with self.warehouse.write() as session:
                self._define(session, new, digests)

    def _define(self, session: Session, models: Sequence[Model], digests: Mapping[str, str]) -> None:
        # Asked again under the lock: another process may have been faster.
        known = _definitions(session)
        new = [model for model in models if known.get(model.name) != digests[model.name]]
        if not new:
            return
        for model in new:
            if not session.columns(model.name):
                _create(session, model, self.catalog)
        slices.mark_whole(session, self.catalog, new, "new definition", _now())
        names = ", ".join(f"'{model.name}'" for model in new)
        session.execute(f"DELETE FROM ops.model WHERE model_name IN ({names})")
        rows = [{"model_name": model.name, "definition_hash": digests[model.name]} for model in new]
        evidence.insert_many(session, "ops.model", rows)

    def _build(self, model: Model, days: DayRange | None) -> Build | None:
        with self.warehouse.read() as session:
            marked = slices.dirty(session, model)
            ranges = _wanted(model, marked, days)
            if ranges is None:
                return None
            if not marked and self._is_unused(session, model):
                return Build(model.name, ranges, 0)
            computed = self._compute(session, model, ranges)
        with self.warehouse.write() as session:
            # A table keeps its old shape until the rows of the new one are there: no reader finds it empty.
            if session.columns(model.name) != _declared(model):
                _reshape(session, model, self.catalog)
            recomputed = computed.versions != slices.versions(session, model.references)
            if recomputed:
                computed = self._compute(session, model, ranges)
            row_count, verdicts = self._replace(session, model, ranges, computed)
        return Build(model.name, ranges or None, row_count, verdicts, recomputed)

    def _is_unused(self, session: Session, model: Model) -> bool:
        """Whether a model without marks was empty when it was built last and nothing has come for it since: no channel
        delivers its entity. What comes marks a slice; a new definition takes the note of the last build away."""
        noted = session.rows(
            "SELECT 1 FROM ops.model WHERE model_name = $model AND row_count = 0 "
            "AND NOT EXISTS (SELECT 1 FROM ops.blocked_slice WHERE model_name = $model OR cause_model = $model)",
            {"model": model.name},
        )
        return bool(noted) and session.columns(model.name) == _declared(model)

    def _compute(self, session: Session, model: Model, ranges: Sequence[DayRange]) -> _Computed:
        versions = slices.versions(session, model.references)
        relations = [session.stage(sql) for sql in self.statements(model, ranges)]
        return _Computed(versions, relations, checks.judge(session, model, relations))

    def statements(self, model: Model, ranges: Sequence[DayRange]) -> list[str]:
        """The model's SQL with its parameters filled in: one statement for each range."""
        names = [f"q.{column.name}" for column in model.columns]
        body = f"SELECT {', '.join(names)} FROM ({model.sql.rstrip().rstrip(';')}\n) AS q"
        if model.slice_column is None:
            return [fill(body, self.constants)]
        return [
            fill(body, {**self.constants, "slice_start": wanted.first, "slice_end": wanted.end}) for wanted in ranges
        ]

    def _replace(
        self, session: Session, model: Model, ranges: Sequence[DayRange], computed: _Computed
    ) -> tuple[int, Verdicts]:
        now = _now()
        verdicts = computed.verdicts
        kept = {*verdicts.failed, *slices.blocked(session, model)}
        clashing: set[slices.Block] = set()
        # A slice that is kept because its key stands elsewhere may hold keys of others in turn.
        while stays := _staying(model, ranges, kept):
            found = checks.judge_key_across_slices(session, model, computed.relations, stays, _not_kept(model, kept))
            if not found.failed:
                break
            verdicts = verdicts.merged(found)
            kept |= found.failed.keys()
            clashing |= found.failed.keys()
        unsliced_failure = model.slice_column is None and bool(verdicts.failed_whole)
        row_count = 0
        if not unsliced_failure:
            row_count = self._swap(session, model, ranges, computed.relations, kept, now)
        judged = [day for wanted in ranges for day in wanted.days() if slice_of(day, model.slice_grain) == day]
        slices.set_blocks(session, self.catalog, model, judged, verdicts.failed, self.run_id, now)
        slices.clear(session, model, judged if model.slice_column else None)
        if model.name in self.judged_later:
            fresh = f"({_inside(model, ranges)}) AND {_not_kept(model, kept)}"
            slices.hold(session, self.catalog, model, judged, fresh, self.run_id, now)
        # The fault may lie in the rows that stay: these slices are tried again with every build.
        again = {model.name: sorted({day for day, _ in clashing})}
        slices.mark(session, again, "its key stands in a slice that stays", now)
        evidence.write_results(session, self.dag_id, self.run_id, verdicts.results, now)
        self._note(session, model, now)
        return row_count, verdicts

    def _swap(
        self,
        session: Session,
        model: Model,
        ranges: Sequence[DayRange],
        relations: Sequence[str],
        kept: set[slices.Block],
        now: datetime,
    ) -> int:
        """Replace the slices but for the parts to keep; returns the rows now in them that were computed."""
        inside, free = _inside(model, ranges), _not_kept(model, kept)
        column = model.slice_column
        touched: set[date] = set()
        before, after = _rows_before_and_after(model, inside, free, relations)
        by_key = slices.holding_changed_keys(session, self.catalog, model.name, before, after)
        changed: list[date] | None = None
        if column and model.passes_on == "changes":
            changed = slices.changed_days(session, column, before, after)
        if column:
            old = session.rows(f"SELECT DISTINCT {column} FROM {model.name} AS q WHERE ({inside}) AND {free}")
            touched = {row[0] for row in old}
        session.execute(f"DELETE FROM {model.name} AS q WHERE ({inside}) AND {free}")
        left = _count(session, model.name, inside) if kept else 0
        names = ", ".join(model.column_names)
        expected = 0
        for relation in relations:
            expected += _count(session, relation, "TRUE")
            if kept:
                expected -= _count(session, relation, _kept(model, kept))
            if column:
                new = session.rows(f"SELECT DISTINCT {column} FROM {relation} AS q WHERE {free}")
                touched |= {row[0] for row in new}
            if kept:
                session.execute(f"INSERT INTO {model.name} ({names}) SELECT {names} FROM {relation} AS q WHERE {free}")
            else:
                session.append_staged(model.name, model.column_names, relation)
        found = _count(session, model.name, inside) - left
        if found != expected:
            raise CaravanError(
                f"{model.name}: {found} rows stand in the replaced slices but {expected} were computed; nothing was "
                "changed. A row's slice is NULL or outside the range asked for: compare the SQL with $slice_start, "
                "$slice_end"
            )
        slices.bump_version(session, model.name)
        if column:
            stale = sorted(touched) if changed is None else changed
            slices.mark_consumers(session, self.catalog, model.name, stale, f"{model.name} rebuilt", now)
            for consumer, days in by_key:
                slices.mark_from(session, self.catalog, consumer, days, f"{model.name} changed", now)
        else:
            consumers = self.catalog.consumers(model.name)
            slices.mark_whole(session, self.catalog, consumers, f"{model.name} rebuilt", now)
        return expected

    def _note(self, session: Session, model: Model, now: datetime) -> None:
        column = model.slice_column
        bounds = f"MIN({column}), MAX({column})" if column else "CAST(NULL AS DATE), CAST(NULL AS DATE)"
        row_count, first, last = session.row(f"SELECT COUNT(*), {bounds} FROM {model.name}")
        session.execute("DELETE FROM ops.model WHERE model_name = $m", {"m": model.name})
        evidence.insert(
            session,
            "ops.model",
            {
                "model_name": model.name,
                "definition_hash": model.definition_hash(self.constants),
                "row_count": row_count,
                "first_slice": first,
                "last_slice": last,
                "built_at": now,
            },
        )


def fill(sql: str, values: Mapping[str, Any]) -> str:
    """Put literals in the place of `$name`; dates as CAST('...' AS DATE)."""

    def literal(match: re.Match[str]) -> str:
        value = values[match.group(1)]
        if isinstance(value, date):
            return f"CAST('{value}' AS DATE)"
        return "'" + str(value).replace("'", "''") + "'"

    return re.sub(r"\$([a-z_]+)", literal, sql)


def _wanted(model: Model, marked: Sequence[date | None], days: DayRange | None) -> list[DayRange] | None:
    """Ranges of slices to build; an empty list for a whole model; None for nothing."""
    if model.slice_column is None:
        return [] if marked else None
    wanted = {day for day in marked if day is not None}
    if days is not None:
        wanted |= {slice_of(day, model.slice_grain) for day in days.days()}
    return list(merge(wanted, model.slice_grain)) or None


def _rows_before_and_after(model: Model, inside: str, free: str, relations: Sequence[str]) -> tuple[str, str]:
    """Queries of the rows that go and of those that come."""
    names = ", ".join(f"q.{name}" for name in model.column_names)
    typed = ", ".join(f"CAST(q.{name} AS {kind}) AS {name}" for name, kind in _declared(model).items())
    before = f"SELECT {names} FROM {model.name} AS q WHERE ({inside}) AND {free}"
    after = " UNION ALL ".join(f"SELECT {typed} FROM {relation} AS q WHERE {free}" for relation in relations)
    return before, after


def _declared(model: Model) -> dict[str, str]:
    return {column.name: column.type for column in model.columns}


def _create(session: Session, model: Model, catalog: Catalog) -> None:
    body = ", ".join(f"{name} {kind}" for name, kind in _declared(model).items())
    session.execute(f"CREATE TABLE {model.name} ({body})")
    looked_up = [model.slice_column] if model.slice_column else []
    looked_up += [column for column in catalog.keys_read(model.name) if column != model.key[0]]
    session.settle_table(model.name, [model.key, *((column,) for column in looked_up)])


def _reshape(session: Session, model: Model, catalog: Catalog) -> None:
    """Give the table the declared columns. Rows keep what both shapes have: those of blocked slices stay so."""
    before, after = session.columns(model.name), _declared(model)
    values = [name if before.get(name) == kind else f"CAST(NULL AS {kind})" for name, kind in after.items()]
    columns = ", ".join(f"{value} AS {name}" for value, name in zip(values, after, strict=True))
    rows = session.stage(f"SELECT {columns} FROM {model.name}")
    session.execute(f"DROP TABLE {model.name}")
    _create(session, model, catalog)
    session.append_staged(model.name, model.column_names, rows)


def _definitions(session: Session) -> dict[str, str]:
    """Model to the hash of the definition it was built by."""
    return dict(session.rows("SELECT model_name, definition_hash FROM ops.model"))


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def _count(session: Session, relation: str, where: str) -> int:
    return int(session.row(f"SELECT COUNT(*) FROM {relation} AS q WHERE {where}")[0])


def _inside(model: Model, ranges: Sequence[DayRange], alias: str = "q") -> str:
    """The condition for rows of these slices."""
    if model.slice_column is None:
        return "TRUE"
    day = f"{alias}.{model.slice_column}"
    return " OR ".join(f"({day} >= CAST('{r.first}' AS DATE) AND {day} < CAST('{r.end}' AS DATE))" for r in ranges)


def _staying(model: Model, ranges: Sequence[DayRange], kept: set[slices.Block]) -> str | None:
    """The condition for rows `t` that stay and may hold a computed key; None when none can."""
    if model.slice_column is None:
        return None
    stays = [] if model.slice_column in model.key else [f"NOT ({_inside(model, ranges, alias='t')})"]
    if kept and not {model.slice_column, model.part or model.slice_column} <= set(model.key):
        stays.append(_kept(model, kept, alias="t"))
    return " OR ".join(stays) or None


def _kept(model: Model, kept: set[slices.Block], alias: str = "q") -> str:
    """The condition for rows whose slice and part keep their last good rows: for each part a list of slices, since
    while another run has its slices held back there may be thousands."""
    days: dict[str, list[date]] = {}
    for day, part in sorted(kept):
        days.setdefault(part if model.part else "", []).append(day)
    conditions = []
    for part, wanted in days.items():
        condition = slices.on_days(f"{alias}.{model.slice_column}", wanted)
        if model.part:
            value = part.replace("'", "''")
            condition += f" AND COALESCE({alias}.{model.part}, '') = '{value}'"
        conditions.append(f"({condition})")
    return " OR ".join(conditions)


def _not_kept(model: Model, kept: set[slices.Block]) -> str:
    return f"NOT ({_kept(model, kept)})" if kept else "TRUE"
