"""Which slices of which models are stale: marks, blocks, and the versions of tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import cache, partial

from caravan.core.window import merge, slice_of
from caravan.warehouse import evidence
from caravan.warehouse.catalog import Catalog, Model
from caravan.warehouse.port import Session
from caravan.warehouse.quality import CheckKind
from caravan.warehouse.raw_tables import SOURCES

_NO_DAY = "CAST('0001-01-01' AS DATE)"
Slices = Sequence[date | None]
WHOLE: Slices = (None,)
"""A model without slices."""


def slice_column(catalog: Catalog, table: str) -> str | None:
    """The date column that slices a table; None when it has none."""
    model = catalog.by_name.get(table)
    return model.slice_column if model else SOURCES[table].date_column if table in SOURCES else None


def on_days(column: str, dates: Sequence[date]) -> str:
    """The condition that a column holds one of these days. Neighbours are a range: a list of ten thousand days, as of
    exchange rates, takes an engine seconds."""
    lone, parts = [], []
    for run in merge(dates, at_most=len(dates)):
        first, end = f"CAST('{run.first}' AS DATE)", f"CAST('{run.end}' AS DATE)"
        if (run.end - run.first).days == 1:
            lone.append(first)
        else:
            parts.append(f"({column} >= {first} AND {column} < {end})")
    if lone:
        parts.append(f"{column} IN ({', '.join(lone)})")
    return f"({' OR '.join(parts) or 'FALSE'})"


def version(session: Session, table: str) -> int:
    """How often the table has been written."""
    return versions(session, [table])[table]


def versions(session: Session, tables: Iterable[str]) -> dict[str, int]:
    wanted = sorted(tables)
    rows = session.rows("SELECT table_name, MAX(version) FROM ops.table_version GROUP BY table_name")
    found = {str(name): int(number) for name, number in rows}
    return {name: found.get(name, 0) for name in wanted}


def bump_version(session: Session, table: str) -> None:
    """Tell every reader that computed outside the lock that the table is another one now."""
    session.execute(
        "INSERT INTO ops.table_version SELECT $table, COALESCE(MAX(version), 0) + 1 FROM ops.table_version "
        "WHERE table_name = $table",
        {"table": table},
    )


def mark_consumers(
    session: Session, catalog: Catalog, table: str, days: Sequence[date], reason: str, now: datetime
) -> None:
    """A change of `table` on these days makes slices of its direct consumers stale.

    A slice that looks back reads the days before it too; a history model is stale from the first
    changed day on; a model without slices as a whole. For one that reads by key see `holding_changed_keys`.
    """
    if not days:
        return
    stale: dict[str, Slices] = {}
    for model in catalog.consumers(table):
        if table in model.by_key:
            continue
        if model.slice_column is None:
            stale[model.name] = WHOLE
            continue
        reach = range(model.look_back_days.get(table, 0) + 1)
        reached = {day + timedelta(days=offset) for day in days for offset in reach}
        stale[model.name] = _stale_from(session, catalog, model, reached)
    mark(session, stale, reason, now)


def mark_from(
    session: Session, catalog: Catalog, model: Model, days: Iterable[date], reason: str, now: datetime
) -> None:
    """Mark the slices of these days stale and, of a history model, all later ones."""
    mark(session, {model.name: _stale_from(session, catalog, model, days)}, reason, now)


def _stale_from(session: Session, catalog: Catalog, model: Model, days: Iterable[date]) -> list[date]:
    stale = {slice_of(day, model.slice_grain) for day in days}
    if stale and model.depends_on == "history":
        # Of the sources too: a change may give rows to a later slice that has none so far.
        stale |= {day for day in all_slices(session, catalog, model) if day > min(stale)}
    return sorted(stale)


def holding_changed_keys(
    session: Session, catalog: Catalog, table: str, before: str, after: str
) -> list[tuple[Model, list[date]]]:
    """The models that read `table` by key, with their slices that hold a key whose rows are to change.

    `before`, `after`: queries of the table's rows that go and that come. Rows that only come again change nothing: a
    replay of a day leaves older days alone. Keys that a model does not hold are read when their own rows come.
    """
    found = []
    for model in catalog.consumers(table):
        key = model.by_key.get(table)
        # A model that is not there yet, or has another shape still, is built whole.
        if key is None or key not in session.columns(model.name):
            continue
        old, new = (
            f"SELECT * FROM ({rows}) AS r WHERE r.{key} IN (SELECT h.{key} FROM {model.name} AS h)"
            for rows in (before, after)
        )
        changed = _changed(old, new)
        days = session.rows(
            f"SELECT DISTINCT c.{model.slice_column} FROM {model.name} AS c "
            f"WHERE c.{key} IN (SELECT d.{key} FROM ({changed}) AS d)"
        )
        found.append((model, [row[0] for row in days]))
    return found


def changed_days(session: Session, column: str, before: str, after: str) -> list[date]:
    """The days, by `column`, whose rows are to change; queries as for `holding_changed_keys`."""
    days = session.rows(f"SELECT DISTINCT c.{column} FROM ({_changed(before, f'SELECT * FROM ({after}) AS a')}) AS c")
    return sorted(row[0] for row in days)


def _changed(old: str, new: str) -> str:
    return f"({old} EXCEPT {new}) UNION ALL ({new} EXCEPT {old})"


def mark_whole(session: Session, catalog: Catalog, models: Iterable[Model], reason: str, now: datetime) -> None:
    """Mark all of these models stale."""
    days_in = cache(partial(_days_in, session, catalog))  # what several of them read is asked once
    stale = {model.name: _slices_with(model, days_in) if model.slice_column else WHOLE for model in models}
    mark(session, stale, reason, now)


def mark(session: Session, stale: Mapping[str, Slices], reason: str, now: datetime) -> None:
    """Mark slices of models stale, by the model's name. Models with the same slices, as most consumers of a table are,
    take one statement together."""
    alike: dict[Slices, list[str]] = {}
    for model, slices in stale.items():
        if slices:
            alike.setdefault(tuple(slices), []).append(model)
    for slices, models in alike.items():
        names = ", ".join(f"('{model}')" for model in models)
        dates = ", ".join("(CAST(NULL AS DATE))" if day is None else f"(CAST('{day}' AS DATE))" for day in slices)
        session.execute(
            "INSERT INTO ops.dirty_slice SELECT n.model_name, d.slice_date, $reason, $now "
            f"FROM (VALUES {names}) AS n (model_name) CROSS JOIN (VALUES {dates}) AS d (slice_date) "
            "WHERE NOT EXISTS (SELECT 1 FROM ops.dirty_slice AS m WHERE m.model_name = n.model_name "
            # Equality on a stand-in for NULL: a join both engines can hash.
            f"AND COALESCE(m.slice_date, {_NO_DAY}) = COALESCE(d.slice_date, {_NO_DAY}))",
            {"reason": reason, "now": now},
        )


def dirty(session: Session, model: Model) -> list[date | None]:
    found = session.rows(
        "SELECT DISTINCT slice_date FROM ops.dirty_slice WHERE model_name = $model ORDER BY 1", {"model": model.name}
    )
    return [row[0] for row in found]


def clear(session: Session, model: Model, slices: Sequence[date] | None) -> None:
    """The marks of the slices just built are settled; None: the whole model."""
    where = "" if slices is None else f" AND {on_days('slice_date', slices)}"
    session.execute(f"DELETE FROM ops.dirty_slice WHERE model_name = $model{where}", {"model": model.name})


def all_slices(session: Session, catalog: Catalog, model: Model) -> list[date]:
    """Every slice the model has or could have, from the days in its table and its sources."""
    return _slices_with(model, partial(_days_in, session, catalog))


def _slices_with(model: Model, days_in: Callable[[str], list[date]]) -> list[date]:
    by_day = model.references - model.by_key.keys() - model.look_back_days.keys()
    return sorted(
        {slice_of(day, model.slice_grain) for table in (model.name, *sorted(by_day)) for day in days_in(table)}
    )


def _days_in(session: Session, catalog: Catalog, table: str) -> list[date]:
    column = slice_column(catalog, table)
    if column not in session.columns(table):
        return []
    found = session.rows(f"SELECT DISTINCT {column} FROM {table} WHERE {column} IS NOT NULL")
    return [row[0] for row in found]


Block = tuple[date, str]
"""A slice and the value of its part column that keep their last good rows."""


def blocked(session: Session, model: Model) -> set[Block]:
    """Blocks laid on this model, but for those of its own last build: that is judged anew."""
    found = session.rows(
        "SELECT slice_date, part_value FROM ops.blocked_slice "
        "WHERE model_name = $model AND NOT (cause_model = $model AND cause_kind = 'structure')",
        {"model": model.name},
    )
    return {(row[0], row[1]) for row in found}


def dependents(catalog: Catalog, cause: Model) -> list[Model]:
    """int and fct models of the same slices and parts that stand on `cause`, directly or not.

    What is read by key is of other days: the source's own good rows stay, and are read. What is built in other
    parts is built all the same, and keeps nothing above it back.
    """
    reached = {cause.name}
    found = []
    for model in catalog.models:
        same = model.part == cause.part and model.slice_grain == cause.slice_grain
        if same and model.slice_column and (model.references - model.by_key.keys()) & reached:
            reached.add(model.name)
            if model.layer in ("int", "fct"):
                found.append(model)
    return found


UNVALIDATED = "unvalidated"
"""The kind of block that holds a staged slice back until its distribution checks have judged it."""


def hold(
    session: Session,
    catalog: Catalog,
    cause: Model,
    staged: Sequence[date],
    condition: str,
    run_id: str,
    now: datetime,
) -> None:
    """Keep the models above `cause` from the slices just staged until `set_blocks` frees them.

    `condition`: which rows `q` of the table are new. Without this another run could build from rows that nobody has
    judged yet.
    """
    models = dependents(catalog, cause)
    if not models:
        return
    held = f"cause_model = '{cause.name}' AND cause_kind = '{UNVALIDATED}' AND {on_days('slice_date', staged)}"
    session.execute(f"DELETE FROM ops.blocked_slice WHERE {held}")
    above = ", ".join(f"('{model.name}')" for model in models)
    part = f"COALESCE(q.{cause.part}, '')" if cause.part else "''"
    session.execute(
        f"INSERT INTO ops.blocked_slice SELECT m.model_name, p.slice_date, p.part_value, '{cause.name}', "
        f"'{UNVALIDATED}', 'staged, not validated yet', $run, $now FROM (SELECT DISTINCT q.{cause.slice_column} "
        f"AS slice_date, {part} AS part_value FROM {cause.name} AS q WHERE {condition}) AS p "
        f"CROSS JOIN (VALUES {above}) AS m (model_name)",
        {"run": run_id, "now": now},
    )


def set_blocks(
    session: Session,
    catalog: Catalog,
    cause: Model,
    judged: Sequence[date],
    failed: dict[Block, str],
    run_id: str,
    now: datetime,
    kind: CheckKind = "structure",
) -> None:
    """Replace the blocks that checks of `cause` lay on the models above it, for the slices judged.

    `failed`: what failed, with its reason. A structural check blocks `cause` itself as well: it runs
    before the rows are written, a distribution check after, and it ends what `hold` began. A block that stands
    keeps the time it was laid. Slices that are free again are marked stale: their models kept old rows so far.
    """
    if not judged:
        return
    kinds = "'structure'" if kind == "structure" else f"'distribution', '{UNVALIDATED}'"
    settled = f"cause_model = $cause AND cause_kind IN ({kinds}) AND {on_days('slice_date', judged)}"
    before = {
        (day, part): since
        for day, part, since in session.rows(
            f"SELECT slice_date, part_value, MIN(CASE WHEN cause_kind <> '{UNVALIDATED}' THEN blocked_at END) "
            f"FROM ops.blocked_slice WHERE {settled} GROUP BY slice_date, part_value",
            {"cause": cause.name},
        )
    }
    if not before and not failed:
        return
    session.execute(f"DELETE FROM ops.blocked_slice WHERE {settled}", {"cause": cause.name})
    above = dependents(catalog, cause)
    rows = [
        {
            "model_name": model.name,
            "slice_date": day,
            "part_value": part,
            "cause_model": cause.name,
            "cause_kind": kind,
            "reason": reason,
            "run_id": run_id,
            "blocked_at": before.get((day, part)) or now,
        }
        for (day, part), reason in sorted(failed.items())
        for model in ([cause, *above] if kind == "structure" else above)
    ]
    evidence.insert_many(session, "ops.blocked_slice", rows)
    freed = sorted({day for day, _ in before.keys() - failed.keys()})
    mark(session, {model.name: freed for model in above}, f"{cause.name} passes again", now)
