"""Checks all of include/sql without a database: declarations, portable SQL, and that both agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from sqlglot import exp

from caravan.core.errors import Fault, nearest
from caravan.warehouse.catalog import Model, tables_in
from caravan.warehouse.declared import DECLARATIONS, Declared, is_money, read_declarations
from caravan.warehouse.macros import expand
from caravan.warehouse.portable import is_double, line_of, outer_selects, parse_query, query_findings
from caravan.warehouse.raw_tables import SOURCES

_NOT_MODELS = "migrations"


def check_models(sql_dir: Path) -> list[Fault]:
    """Every fault of every model, sorted by file. Raises nothing for what a person wrote."""
    folders = sorted(path for path in sql_dir.iterdir() if path.is_dir() and path.name != _NOT_MODELS)
    faults: list[Fault] = []
    declared: dict[str, Declared] = {}
    for folder in folders:
        found, wrong = read_declarations(folder)
        faults += wrong
        for item in found:
            first = declared.setdefault(item.model.name, item)
            if first is not item:
                faults.append(item.fault(f"is declared already in {first.document.where}"))
        files = {item.model.path.name for item in found}
        for path in sorted(folder.glob("*.sql")):
            if path.name not in files and (files or not wrong):
                faults.append(Fault(f"{folder.name}/{path.name}:1", f"no model of {DECLARATIONS} has this file"))
    if not declared and not faults:
        faults.append(Fault(str(sql_dir), f"no {DECLARATIONS} found in any folder below"))
    models = {name: item.model for name, item in declared.items()}
    trees: dict[str, exp.Query] = {}
    for item in declared.values():
        tree, wrong = _check_file(item, models)
        faults += wrong
        if tree is not None:
            trees[item.model.name] = tree
    return sorted([*faults, *_circles(models, trees)])


def _check_file(item: Declared, models: Mapping[str, Model]) -> tuple[exp.Query | None, list[Fault]]:
    model = item.model
    try:
        sql = expand(model.path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None, [item.fault(f"there is no file {model.path.name} beside {DECLARATIONS}")]
    except (OSError, UnicodeDecodeError) as error:
        return None, [_at(model, 1, f"cannot be read: {error}")]
    tree, findings = parse_query(sql)
    if tree is None:
        return None, [_at(model, finding.line, finding.message) for finding in findings]
    keys = {name: table.key for name, table in SOURCES.items()} | {name: other.key for name, other in models.items()}
    faults = [_at(model, finding.line, finding.message) for finding in query_findings(sql, tree, keys)]
    reads = _tables(tree)
    faults += _references(model, reads, models)
    faults += _output(model, tree)
    faults += _slices(item, tree)
    faults += _by_key(item, reads, models)
    faults += _window(model, reads, models)
    return tree, faults


def _at(model: Model, line: int, message: str) -> Fault:
    return Fault(f"{model.function}/{model.path.name}:{line}", message)


Reads = Sequence[tuple[str, exp.Table]]
"""References to real tables, as schema.table, with their node."""


def _tables(tree: exp.Query) -> Reads:
    real = tables_in(tree)
    named = ((f"{table.db}.{table.name}", table) for table in tree.find_all(exp.Table))
    return [(name, table) for name, table in named if name in real and not isinstance(table.this, exp.Func)]


def _references(model: Model, reads: Reads, models: Mapping[str, Model]) -> Iterator[Fault]:
    for name, table in reads:
        if name not in models and name not in SOURCES:
            hint = nearest(name, [*models, *SOURCES])
            yield _at(model, line_of(table), f"reads '{name}', which no model makes{hint}")
    for name in sorted(model.look_back_days.keys() - {name for name, _ in reads}):
        yield _at(model, 1, f"look_back_days names {name}, which the SQL does not read")


def _output(model: Model, tree: exp.Query) -> Iterator[Fault]:
    """The SELECT's columns are the declared ones, in order; money is no float."""
    declared = list(model.column_names)
    for select in outer_selects(tree):
        given = list(select.named_selects)
        if "*" in given:
            continue  # a fault of its own
        for name in (name for name in given if name not in declared):
            hint = nearest(name, declared)
            yield _at(model, line_of(select), f"gives '{name}', which {DECLARATIONS} does not declare{hint}")
        for name in (name for name in declared if name not in given):
            yield _at(model, line_of(select), f"does not give '{name}', which {DECLARATIONS} declares")
        if sorted(given) == sorted(declared) and given != declared:
            place = next(i for i, pair in enumerate(zip(given, declared, strict=True)) if pair[0] != pair[1])
            wanted = f"{DECLARATIONS} declares '{declared[place]}' there"
            yield _at(model, line_of(select), f"column {place + 1} is '{given[place]}', and {wanted}: keep one order")
        for projection in select.expressions:
            if is_money(projection.alias_or_name) and is_double(projection):
                message = f"'{projection.alias_or_name}' is money and comes as a float: CAST it to DECIMAL(18,4)"
                yield _at(model, line_of(projection), message)


def _slices(item: Declared, tree: exp.Query) -> Iterator[Fault]:
    used = {str(parameter.name) for parameter in tree.find_all(exp.Placeholder)}
    for name in ("slice_start", "slice_end"):
        if item.model.slice_column is not None and name not in used:
            yield _at(item.model, 1, f"has slices and does not use ${name}: each slice would hold every row")
        if item.model.slice_column is None and name in used:
            yield _at(item.model, 1, f"uses ${name}, and {DECLARATIONS} gives the model no slice")


def _by_key(item: Declared, reads: Reads, models: Mapping[str, Model]) -> Iterator[Fault]:
    """What is read by key has slices and the key's column, and each SELECT that reads it names its keys."""
    model = item.model
    for name, key in model.by_key.items():
        source = models.get(name)
        own = {column.name: column.type for column in model.columns}
        if name not in {read for read, _ in reads}:
            yield item.fault("the SQL does not read it", "by_key", name)
        elif source is None:
            yield item.fault("is no model: raw tables are read by day, in stg", "by_key", name)
        elif source.slice_column is None:
            yield item.fault("has no slices: a change of it makes every slice stale as it is", "by_key", name)
        elif key not in source.column_names:
            yield item.fault(f"has no column '{key}'{nearest(key, source.column_names)}", "by_key", name)
        elif (kind := {column.name: column.type for column in source.columns}[key]) != own.get(key, kind):
            yield item.fault(f"its {key} is {kind}, and here it is {own[key]}", "by_key", name)
    for name, table in reads:
        select = table.find_ancestor(exp.Select)
        if name not in model.by_key or select is None:
            continue
        key = model.by_key[name]
        if not any(_names_keys(node, key, table) for node in _conditions(select)):
            message = f"reads {name} by {key} and leaves open which: add {key} IN (SELECT ...) or {key} = ..."
            yield _at(model, line_of(table), message)


def _names_keys(node: exp.Expr, key: str, table: exp.Table) -> bool:
    sides = [node.this] if isinstance(node, exp.In) else [node.left, node.right] if isinstance(node, exp.EQ) else []
    return any(
        isinstance(side, exp.Column) and side.name == key and side.table in ("", table.alias_or_name) for side in sides
    )


def _window(model: Model, reads: Reads, models: Mapping[str, Model]) -> Iterator[Fault]:
    """A model reads only the window it is built for (a history model: nothing after it).

    Otherwise its rows would depend on which slices happen to be built together.
    """
    if model.slice_column is None:
        return
    for name, table in reads:
        if name in model.by_key:
            continue
        source = models.get(name)
        column = source.slice_column if source else (SOURCES[name].date_column if name in SOURCES else None)
        select = table.find_ancestor(exp.Select)
        if column is None or select is None:
            continue
        bounds = [node for node in _conditions(select) if _compares(node, column, table)]
        upper = any(isinstance(node, exp.LT) and _parameter(node.expression) == "slice_end" for node in bounds)
        lower = [node.expression for node in bounds if isinstance(node, exp.GTE)]
        reach = [days for days in map(_days_before_start, lower) if days is not None]
        wanted = model.look_back_days.get(name, 0)
        lines = line_of(table)
        if not upper:
            yield _at(model, lines, f"reads {name} beyond its slices: add {column} < $slice_end")
        if model.depends_on == "history":
            continue
        if not reach:
            hint = f" - INTERVAL '{wanted}' DAY" if wanted else ""
            yield _at(model, lines, f"reads {name} before its slices: add {column} >= $slice_start{hint}")
        elif max(reach) != wanted:
            told = f"{DECLARATIONS} says look_back_days {wanted}"
            yield _at(model, lines, f"reads {max(reach)} days of {name} before its slices, and {told}")


def _conditions(select: exp.Select) -> Iterator[exp.Expr]:
    """What must hold in WHERE and ON: the parts joined by AND."""
    where = select.args.get("where")
    todo = [where.this] if where else []
    todo += [join.args["on"] for join in select.args.get("joins") or () if join.args.get("on")]
    while todo:
        node = todo.pop()
        if isinstance(node, exp.And):
            todo += [node.left, node.right]
        elif isinstance(node, exp.Paren):
            todo.append(node.this)
        else:
            yield node


def _compares(node: exp.Expr, column: str, table: exp.Table) -> bool:
    left = node.this
    return (
        isinstance(node, exp.GTE | exp.LT)
        and isinstance(left, exp.Column)
        and left.name == column
        and left.table in ("", table.alias_or_name)
    )


def _parameter(node: exp.Expr) -> str | None:
    return str(node.name) if isinstance(node, exp.Placeholder) else None


def _days_before_start(node: exp.Expr) -> int | None:
    """0 for $slice_start, n for $slice_start - INTERVAL 'n' DAY, None for anything else."""
    if _parameter(node) == "slice_start":
        return 0
    if isinstance(node, exp.Sub) and _parameter(node.left) == "slice_start" and isinstance(node.right, exp.Interval):
        number, unit = node.right.this, node.right.args.get("unit")
        if unit is not None and unit.name.upper() == "DAY" and number.name.isdigit():
            return int(number.name)
    return None


def _circles(models: Mapping[str, Model], trees: Mapping[str, exp.Query]) -> Iterator[Fault]:
    graph = {name: sorted(tables_in(tree) & models.keys()) for name, tree in trees.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle: Sequence[str] = error.args[1]
        yield _at(models[circle[0]], 1, f"models read each other in a circle: {' -> '.join(circle)}")
