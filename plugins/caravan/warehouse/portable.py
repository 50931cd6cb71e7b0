"""The rules of portable SQL: what DuckDB takes and sqlglot translates, yet PostgreSQL rejects, reads
differently, or answers differently from one run to the next.

Each rule was met in practice: see docs/decisions/0003-portable-sql.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import sqlglot
from sqlglot import ErrorLevel, exp
from sqlglot.tokenizer_core import Token, TokenType

from caravan.core.errors import nearest

Keys = Mapping[str, Sequence[str]]
PARAMETERS = ("slice_start", "slice_end", "base_currency", "fx_max_carry_days", "fx_max_source_difference")
_CLEAN_SCALE = 8
"""Decimal places at which the last bits of a DOUBLE are rounded away, for money up to millions."""
_WHOLE = (exp.DType.INT128, exp.DType.BIGINT, exp.DType.INT)
_INTERVAL_UNITS = ("DAY", "HOUR", "MINUTE", "SECOND", "WEEK", "MONTH", "YEAR")


@dataclass(frozen=True, order=True)
class Finding:
    line: int
    message: str


def parse_query(sql: str) -> tuple[exp.Query | None, list[Finding]]:
    """The one SELECT of a file, or why it is none."""
    try:
        statements = [statement for statement in sqlglot.parse(sql, read="duckdb") if statement is not None]
    except sqlglot.errors.ParseError as error:
        at = error.errors[0]
        before = sql.find(f"{at['start_context']}{at['highlight']}") + len(at["start_context"] or "")
        return None, [Finding(_line_at(sql, before), f"does not parse: {at['description']}")]
    except sqlglot.errors.TokenError as error:
        return None, [Finding(1, f"does not parse: {error}")]
    for statement in statements:
        for node in statement.walk():
            if "start" in node.meta:  # sqlglot 30.30 counts some line ends twice; its offsets are right
                node.meta["line"] = _line_at(sql, node.meta["start"])
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        line = line_of(statements[1]) if len(statements) > 1 else 1
        kinds = ", ".join(statement.key.upper() for statement in statements) or "nothing"
        return None, [Finding(line, f"holds {kinds}: a model is exactly one SELECT")]
    return statements[0], []


def query_findings(sql: str, tree: exp.Query, keys: Keys | None = None) -> list[Finding]:
    """Everything in a parsed query that breaks a portable rule, by line.

    `keys`: the key of each table it reads (schema.table to columns); they have to decide ties in a ranking.
    """
    found = {*_token_findings(sql), *_tree_findings(tree), *_outermost(tree), *_rankings(tree, keys or {})}
    try:
        tree.sql("postgres", unsupported_level=ErrorLevel.RAISE)
    except sqlglot.errors.SqlglotError as error:
        found.add(Finding(1, f"does not translate to PostgreSQL: {error}"))
    return sorted(found)


def condition_faults(condition: str, columns: Iterable[str]) -> list[str]:
    """Faults of a condition on one row, such as a check's `holds` or a suite's `where`."""
    sql = f"SELECT 1 AS one FROM t WHERE ({condition})"
    tree, found = parse_query(sql)
    if tree is None:
        return [finding.message for finding in found]
    if tree.args["where"].find(exp.Query, exp.AggFunc, exp.Window):
        return ["must be a condition on one row: no query, aggregate or window"]
    messages = [finding.message for finding in query_findings(sql, tree)]
    known = set(columns)
    for column in tree.find_all(exp.Column):
        if column.name not in known:
            messages.append(f"unknown column '{column.name}'{nearest(column.name, known)}")
    messages += [f"takes no parameters, and has ${p.name}" for p in tree.find_all(exp.Placeholder)]
    return messages


def _line_at(sql: str, offset: int) -> int:
    return sql.count("\n", 0, max(offset, 0)) + 1


def line_of(node: exp.Expr) -> int:
    """The line where a node, or else its nearest relative with a known place, stands."""
    here: exp.Expr | None = node
    while here is not None:
        lines = [int(part.meta["line"]) for part in here.walk() if "line" in part.meta]
        if lines:
            return min(lines)
        here = here.parent
    return 1


def is_double(node: exp.Expr | None) -> bool:
    """Whether an expression is visibly a float: a cast to DOUBLE, or arithmetic with one."""
    if node is None:
        return False
    if isinstance(node, exp.Cast):
        return node.to.this in (exp.DType.DOUBLE, exp.DType.FLOAT)
    if isinstance(node, exp.Binary | exp.Coalesce | exp.Case | exp.If | exp.Paren | exp.Neg | exp.Abs | exp.Nullif):
        return any(is_double(part) for part in node.iter_expressions())
    return isinstance(node, exp.Alias) and is_double(node.this)


# --- rules on words: what the parser smooths over ---------------------------------------------------


def _token_findings(sql: str) -> Iterator[Finding]:
    tokens = sqlglot.tokenize(sql, read="duckdb")
    for token, after in zip(tokens, [*tokens[1:], None], strict=True):
        kind, follows = token.token_type, after.token_type if after else None
        line = _line_at(sql, token.start)
        if kind == TokenType.GROUP_BY and follows == TokenType.ALL:
            yield Finding(line, "GROUP BY ALL: PostgreSQL has none; name the columns")
        if kind == TokenType.ORDER_BY and follows == TokenType.ALL:
            yield Finding(line, "ORDER BY ALL: PostgreSQL has none; name the columns")
        if kind == TokenType.DISTINCT and follows == TokenType.ON:
            yield Finding(line, "DISTINCT ON: sqlglot moves it below QUALIFY; rank with ROW_NUMBER() instead")
        if kind == TokenType.DCOLON:
            yield Finding(line, "`::`: write CAST(x AS type)")
        if kind in (TokenType.DATE, TokenType.TIMESTAMP) and follows == TokenType.STRING:
            word = token.text.upper()
            yield Finding(line, f"{word} '...': write CAST('...' AS {word})")
        if kind == TokenType.STRING and "%" in token.text:
            instead = "for LIKE use starts_with or position, for ILIKE the same of LOWER"
            yield Finding(line, f"% inside a text: on its way to PostgreSQL it means a parameter; {instead}")
    yield from _intervals(sql, tokens)


def _intervals(sql: str, tokens: Sequence[Token]) -> Iterator[Finding]:
    for place, token in enumerate(tokens):
        if token.token_type == TokenType.INTERVAL:
            number, unit = [*tokens[place + 1 : place + 3], None, None][:2]
            good = number and number.token_type == TokenType.STRING and number.text.isdigit()
            if not good or unit is None or unit.text.upper() not in _INTERVAL_UNITS:
                line = _line_at(sql, token.start)
                yield Finding(line, "write an interval as INTERVAL '28' DAY: number in quotes, unit in singular")


# --- rules on the tree ------------------------------------------------------------------------------

_CLOCK = "differs from run to run: a model depends on its slice and its sources alone"
_ANY_ROW = "takes any row of the group: rank with ROW_NUMBER() or take MIN or MAX"
_FORBIDDEN: dict[type[exp.Expr], str] = {
    exp.TryCast: "TRY_CAST: becomes CAST in PostgreSQL and fails there; test the text first",
    exp.CurrentTimestamp: f"CURRENT_TIMESTAMP {_CLOCK}",
    exp.CurrentDate: f"CURRENT_DATE {_CLOCK}",
    exp.CurrentTime: f"CURRENT_TIME {_CLOCK}",
    exp.Localtimestamp: f"LOCALTIMESTAMP {_CLOCK}",
    exp.Localtime: f"LOCALTIME {_CLOCK}",
    exp.Rand: f"RANDOM() {_CLOCK}",
    exp.Uuid: f"UUID() {_CLOCK}",
    exp.TableSample: f"SAMPLE {_CLOCK}",
    exp.First: f"FIRST {_ANY_ROW}",
    exp.Last: f"LAST {_ANY_ROW}",
    exp.AnyValue: f"ANY_VALUE {_ANY_ROW}",
    exp.ArgMax: f"ARG_MAX {_ANY_ROW}",
    exp.ArgMin: f"ARG_MIN {_ANY_ROW}",
    exp.Mode: f"MODE {_ANY_ROW}",
    exp.Avg: "AVG: a float sum in DuckDB, a decimal in PostgreSQL; divide SUM by COUNT as DOUBLE",
    exp.Mod: "% or MOD: on its way to PostgreSQL it means a parameter; work with FLOOR of the quotient",
    exp.AtTimeZone: "AT TIME ZONE: times are UTC without zone in the warehouse; local dates come from parsing",
    exp.Columns: "COLUMNS(...): PostgreSQL has none; name the columns",
    exp.Pivot: "PIVOT: PostgreSQL has none; use CASE in aggregates",
    exp.Lambda: "a lambda: PostgreSQL has none",
}


def _tree_findings(tree: exp.Query) -> Iterator[Finding]:
    for node in tree.walk():
        for message in _about(node):
            yield Finding(line_of(node), message)


def _about(node: exp.Expr) -> Iterator[str]:
    if type(node) in _FORBIDDEN:
        yield _FORBIDDEN[type(node)]
    rule = _RULES.get(type(node))
    message = rule(node) if rule else None
    if message:
        yield message


def _round(node: exp.Expr) -> str | None:
    if node.args.get("decimals") is None:
        return None
    return "ROUND(x, n): PostgreSQL has none for DOUBLE; write CAST(x AS DECIMAL(p, n))"


def _division(node: exp.Expr) -> str | None:
    if is_double(node.left) or is_double(node.right):  # type: ignore[attr-defined]
        return None
    return "a division without DOUBLE is another one on each engine; write CAST(x AS DOUBLE) / y, then CAST to DECIMAL"


def _whole_division(node: exp.Expr) -> str | None:
    dividend = node.this
    if any(cast.to.this in _WHOLE for cast in dividend.find_all(exp.Cast)):
        return None
    return "// of decimals keeps a fraction in DuckDB (-7.0 // 2 is -3.5); CAST the dividend to HUGEINT"


def _cast(node: exp.Expr) -> str | None:
    """Measured: 250 of 20,000 averages of cents differed by 0.0001 between DuckDB and PostgreSQL, none this way."""
    kind = node.args["to"]
    digits = [int(part.name) for part in kind.expressions]
    if kind.this != exp.DType.DECIMAL or len(digits) != 2 or digits[1] >= _CLEAN_SCALE or not is_double(node.this):
        return None
    return (
        "a float CAST to DECIMAL rounds halves differently on each engine; divide money in whole numbers with //, "
        "CAST anything else to DECIMAL(28, 8) first"
    )


def _sum(node: exp.Expr) -> str | None:
    return "a sum of floats depends on the order of rows; CAST to DECIMAL before SUM" if is_double(node.this) else None


def _trunc(node: exp.Expr) -> str | None:
    of = node.this
    is_cast = isinstance(of, exp.Cast) and of.to.this == exp.DType.DATE
    is_named = isinstance(of, exp.Column) and (of.name == "date" or of.name.endswith("_date"))
    if not (is_cast or is_named):
        return None
    return "DATE_TRUNC of a DATE: PostgreSQL returns a time with zone; write DATE_TRUNC('...', CAST(x AS TIMESTAMP))"


def _star(node: exp.Expr) -> str | None:
    if any(node.args.get(word) for word in ("except_", "replace", "rename")):
        return "* EXCEPT, REPLACE or RENAME: PostgreSQL has none; name the columns"
    return None


def _like(node: exp.Expr) -> str | None:
    if isinstance(node.expression, exp.Literal):
        return None  # its % is found among the words
    return "LIKE with a computed pattern: use starts_with, or position() > 0"


def _limit(node: exp.Expr) -> str | None:
    if node.parent is not None and node.parent.args.get("order") is not None:
        return None
    return "LIMIT or OFFSET without ORDER BY: which rows come differs from run to run"


def _type(node: exp.Expr) -> str | None:
    if node.this in (exp.DType.TIMESTAMPTZ, exp.DType.TIMESTAMPLTZ, exp.DType.TIMETZ):
        return "a time with zone: the warehouse stores UTC TIMESTAMP without zone"
    return None


def _parameter(node: exp.Expr) -> str | None:
    if not node.this:
        return "a parameter without a name: write $slice_start"
    name = str(node.name)
    return None if name in PARAMETERS else f"unknown parameter ${name}{nearest(name, PARAMETERS)}"


def _anonymous(node: exp.Expr) -> str | None:
    name = str(node.name).upper()
    if name == "NOW":
        return f"NOW() {_CLOCK}"
    if name == "HASH":
        return "HASH(): another number on each engine; use MD5"
    return f"{name}(): sqlglot knows no such function, so PostgreSQL gets it as it stands"


def _join(node: exp.Expr) -> str | None:
    method = str(node.args.get("method") or "").upper()
    return f"{method} JOIN: PostgreSQL has none" if method in ("ASOF", "POSITIONAL") else None


def _collection(node: exp.Expr) -> str | None:
    if node.find(exp.Order):
        return None
    return "a list of a group without ORDER BY comes in any order"


_RULES: dict[type[exp.Expr], Callable[[exp.Expr], str | None]] = {
    exp.Round: _round,
    exp.Div: _division,
    exp.IntDiv: _whole_division,
    exp.Cast: _cast,
    exp.Sum: _sum,
    exp.TimestampTrunc: _trunc,
    exp.DateTrunc: _trunc,
    exp.Star: _star,
    exp.Like: _like,
    exp.ILike: _like,
    exp.Limit: _limit,
    exp.Offset: _limit,
    exp.Fetch: _limit,
    exp.DataType: _type,
    exp.Placeholder: _parameter,
    exp.Parameter: _parameter,
    exp.Anonymous: _anonymous,
    exp.AnonymousAggFunc: _anonymous,
    exp.Join: _join,
    exp.GroupConcat: _collection,
    exp.ArrayAgg: _collection,
}


def _outermost(tree: exp.Query) -> Iterator[Finding]:
    for select in outer_selects(tree):
        for projection in select.expressions:
            inner = projection.this if isinstance(projection, exp.Column) else projection
            if isinstance(inner, exp.Star):
                yield Finding(line_of(projection), "* in the outermost SELECT: name the columns")


def outer_selects(tree: exp.Expr) -> Iterator[exp.Select]:
    """The SELECTs whose rows the query returns: one, or each branch of a UNION."""
    if isinstance(tree, exp.SetOperation):
        yield from outer_selects(tree.left)
        yield from outer_selects(tree.right)
    elif isinstance(tree, exp.Subquery):
        yield from outer_selects(tree.this)
    elif isinstance(tree, exp.Select):
        yield tree


_RANKING: tuple[type[exp.Expr], ...] = (
    *(exp.RowNumber, exp.Rank, exp.DenseRank, exp.PercentRank, exp.CumeDist, exp.Ntile),
    *(exp.FirstValue, exp.LastValue, exp.NthValue, exp.Lag, exp.Lead),
)


def _rankings(tree: exp.Query, keys: Keys) -> Iterator[Finding]:
    ctes = {cte.alias: cte.this for cte in tree.find_all(exp.CTE)}
    for window in tree.find_all(exp.Window):
        if not window.find(*_RANKING):
            continue
        order, select = window.args.get("order"), window.find_ancestor(exp.Select)
        if order is None:
            yield Finding(line_of(window), "a ranking without ORDER BY numbers rows in any order")
            continue
        told = [*window.args.get("partition_by", ()), *(ordered.this for ordered in order.expressions)]
        columns = {column.name for column in told if isinstance(column, exp.Column)}
        for unique in _keys_of_rows(select, ctes, keys) if select else ():
            if not any(key <= columns for key in unique):
                wanted = " or ".join(", ".join(sorted(key - columns)) for key in unique)
                message = f"a ranking may have ties: add the rest of a key to its ORDER BY ({wanted})"
                yield Finding(line_of(window), message)


def _keys_of_rows(select: exp.Select, ctes: Mapping[str, exp.Expr], keys: Keys) -> Iterator[list[set[str]]]:
    """For each source of a SELECT the keys that tell its rows apart, by column name; unknown ones left out.

    A grouped SELECT has one key of its own. A table joined on its whole key adds no rows and is left out.
    """
    group = select.args.get("group")
    if group is not None:
        yield [{column.name for column in group.expressions}]
    elif select.args.get("distinct") is not None:
        yield [set(select.named_selects)]
    else:
        joins = select.args.get("joins") or ()
        sources = [(select.args["from_"].this, set[str]())] if select.args.get("from_") else []
        sources += [(join.this, _equated(join)) for join in joins]
        for source, equated in sources:
            unique = _keys_of_source(source, ctes, keys)
            if unique and not any(key <= equated for key in unique):
                yield unique


def _keys_of_source(source: exp.Expr, ctes: Mapping[str, exp.Expr], keys: Keys) -> list[set[str]]:
    if isinstance(source, exp.Table):
        if source.db:
            key = keys.get(f"{source.db}.{source.name}")
            return [set(key)] if key else []
        source = ctes.get(source.name, source)
    return [key for part in outer_selects(source) for unique in _keys_of_rows(part, ctes, keys) for key in unique]


def _equated(join: exp.Join) -> set[str]:
    """Columns of a joined table that its ON sets equal to something."""
    on = join.args.get("on")
    sides = [side for equal in on.find_all(exp.EQ) for side in (equal.left, equal.right)] if on else []
    return {side.name for side in sides if isinstance(side, exp.Column) and side.table == join.this.alias_or_name}
