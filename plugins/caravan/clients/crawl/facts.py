"""A crawl's Parquet tables in DuckDB, with the views of the check catalogue and what is known beyond the crawl."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from caravan.clients.crawl.tables import TABLES
from caravan.core.codes import country_codes, currency_codes, language_codes, script_codes
from caravan.core.crawl import UNREAD_STATUSES
from caravan.core.errors import CaravanError, Rejected, stop_of

_INT, _TEXT, _TEXTS, _AT = pa.int64(), pa.string(), pa.list_(pa.string()), pa.timestamp("us")
_MONEY = pa.decimal128(18, 4)

INPUT_TABLES: Mapping[str, Mapping[str, pa.Schema]] = {
    # input of `config.site_checks.INPUTS` -> its tables; each is there, empty, where the input is absent
    "market": {
        "market": pa.schema(
            {
                "market_code": _TEXT,
                "host": _TEXT,  # NULL: any host of the site
                "prefix": _TEXT,  # of paths, `/de/`; the longest that fits decides
                "locales": _TEXTS,  # BCP 47, the main one first: de-AT, de
                "currency_code": _TEXT,
                "home_url": _TEXT,
                "decimal_marks": _TEXTS,  # what may stand before the minor units of a price here: `,`, `.` or both
            }
        )
    },
    "price": {
        "price": pa.schema(
            {
                "market_code": _TEXT,
                "sku": _TEXT,
                "price": _MONEY,  # as shown to buyers of the market, in its currency
                "currency_code": _TEXT,
                "valid_from": _AT,
            }
        )
    },
    "stock": {
        "stock": pa.schema(
            {
                "market_code": _TEXT,
                "sku": _TEXT,
                "availability": _TEXT,  # in_stock, out_of_stock, preorder, backorder, discontinued
                "valid_from": _AT,
            }
        )
    },
    "previous_crawl": {f"previous_{name}": TABLES[name] for name in ("page", "sitemap_url", "robots", "host")},
    "redirect_history": {
        "redirect_history": pa.schema(
            {"page_key": _INT, "status_code": _INT, "location_key": _INT, "unchanged_days": _INT}
        )
    },
    "link_score": {
        "link_score": pa.schema({"page_key": _INT, "score": pa.float64(), "previous_score": pa.float64()})  # 0 to 100
    },
    "search_console": {
        "search_page": pa.schema(  # pages that had impressions in the last 90 days
            {"page_key": _INT, "url": _TEXT, "impression_count": _INT, "click_count": _INT}
        )
    },
    "logs": {"logged_page": pa.schema({"page_key": _INT, "url": _TEXT, "request_count": _INT})},
}

OF_WHOLE_CRAWLS = frozenset(("complete_crawl", "external_links", "resources"))
"""Of `config.site_checks.INPUTS`, those that a crawl has by its configuration and certificate."""

ISSUE = pa.schema(
    {
        "check_id": _TEXT,
        "check_version": _INT,
        "severity": _TEXT,
        "category": _TEXT,
        "market_code": _TEXT,
        "page_key": _INT,  # NULL: no page but a sitemap, a host, a market
        "url": _TEXT,
        "affected_count": _INT,
        "evidence": _TEXT,  # JSON: {"total": 31, "items": [at most 20]}
    }
)
"""One row per check and url."""

_ORDER = "ORDER BY check_id, url"
_UNREAD_SITEMAP = f"""
-- Without an answer, with one that says to come back, or half of one: nobody knows tonight what it lists.
CREATE TEMP VIEW unread_sitemap AS
SELECT * FROM sitemap
WHERE
    outcome = 'failed'
    OR status_code >= 500
    OR status_code IN ({", ".join(map(str, sorted(UNREAD_STATUSES)))})
    OR reason IN ('timeout', 'broken', 'encoding', 'empty', 'too_large', 'broken_gzip')
    OR STARTS_WITH(reason, 'not_well_formed')
    OR (outcome = 'skipped' AND reason <> 'loop')
"""


class CrawlFacts:
    """What `functions/site/audit.py` asks. `temp_dir` takes what does not fit into `memory_limit`.

    Raises CaravanError where the views themselves cannot be made.
    """

    def __init__(
        self,
        tables: Path | Mapping[str, pa.Table],
        views: Sequence[str],
        temp_dir: Path,
        inputs: Mapping[str, pa.Table | Path] | None = None,
        memory_limit: str = "1GB",
        threads: int | None = None,
        of_crawl: Collection[str] = OF_WHOLE_CRAWLS,
    ) -> None:
        """`tables`: the crawl's folder, or its tables in memory. `views`: statements of the catalogue. `inputs`: by the
        names of tables in `INPUT_TABLES`, in memory or a folder of parts. `of_crawl`: which of `OF_WHOLE_CRAWLS` are
        there."""
        given = dict(inputs or {})
        self._of_crawl = frozenset(of_crawl)
        self._counts: dict[str, int] = {}
        self._connection = _connect(temp_dir, memory_limit, threads)
        try:
            _make_tables(self._connection, tables, given)
            _make_codes(self._connection)
            _make_views(self._connection, [_UNREAD_SITEMAP, *views])
            self._connection.register("issue_schema", ISSUE.empty_table())
            self._connection.execute("CREATE TABLE issue AS SELECT * FROM issue_schema")
            self._connection.execute("CREATE TABLE unknown (check_id VARCHAR, page_key BIGINT, url VARCHAR)")
            self._given = set(given)
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> CrawlFacts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    @property
    def inputs(self) -> frozenset[str]:
        given = frozenset(name for name, needed in INPUT_TABLES.items() if set(needed) <= self._given)
        return given | self._of_crawl | ({"sitemaps"} if self._has_sitemaps else frozenset())

    def provide(self, name: str, table: pa.Table, *, is_whole: bool = True) -> None:
        """An input's table that could be made only of the crawl itself. `is_whole`: checks may ask it."""
        (schema,) = (tables[name] for tables in INPUT_TABLES.values() if name in tables)
        _copy(self._connection, name, table.cast(schema))
        if is_whole:
            self._given.add(name)

    @cached_property
    def _has_sitemaps(self) -> bool:
        """Not where tonight nobody knows what one lists."""
        ((unread,),) = self.rows("SELECT COUNT(*) FROM unread_sitemap")
        return not unread

    def rows(self, sql: str, parameters: Mapping[str, object] | None = None) -> list[tuple[Any, ...]]:
        return self._execute(sql, parameters).fetchall()

    def cursor(self, sql: str) -> duckdb.DuckDBPyConnection:
        """The rows of a query, to be fetched some at a time before anything else is asked."""
        return self._execute(sql)

    def count(self, rows: str) -> int:
        if rows not in self._counts:
            ((self._counts[rows],),) = self.rows(f"SELECT COUNT(*) FROM {rows}")
        return self._counts[rows]

    def columns(self, sql: str, parameters: Mapping[str, object]) -> Sequence[str]:
        described = self._execute(f"SELECT * FROM (\n{sql}\n) LIMIT 0", parameters).description
        return [column[0] for column in described or ()]

    def record(self, sql: str, parameters: Mapping[str, object]) -> tuple[int, int, int]:
        self._execute(f"CREATE OR REPLACE TEMP TABLE recorded AS {sql}", parameters)
        self._execute("INSERT INTO issue BY NAME SELECT * EXCLUDE (is_unknown) FROM recorded WHERE NOT is_unknown")
        ((count, affected, unknown),) = self.rows(
            "SELECT COUNT(*), COALESCE(SUM(affected_count), 0), COUNT(*) FILTER (WHERE is_unknown) FROM recorded"
        )
        if unknown:
            self._execute("INSERT INTO unknown SELECT check_id, page_key, url FROM recorded WHERE is_unknown")
        return count - unknown, int(affected), unknown

    def issues(self) -> pa.Table:
        """By check and url."""
        return self._execute(f"SELECT * FROM issue {_ORDER}").to_arrow_table().cast(ISSUE)

    def write_issues(self, path: Path) -> None:
        self.write(f"SELECT * FROM issue {_ORDER}", ISSUE, path)

    def register(self, name: str, table: pa.Table) -> None:
        """Another table to ask."""
        _copy(self._connection, name, table)

    def run_script(self, script: str) -> None:
        """Raises CaravanError where one of its statements fails."""
        _make_views(self._connection, [each.query for each in duckdb.extract_statements(script)])

    def write(self, sql: str, schema: pa.Schema, path: Path) -> None:
        """The rows of a query as Parquet, whatever their number. The file is there whole, or not at all."""
        reader = self._execute(sql).to_arrow_reader(50_000)
        scratch = path.with_suffix(".tmp")
        with pq.ParquetWriter(scratch, schema, compression="zstd") as writer:
            for batch in reader:
                writer.write_batch(batch.cast(schema))
        scratch.replace(path)

    def copy(self, sql: str, path: Path) -> None:
        """The rows of a query as Parquet, of the types that they have; whole, or not at all."""
        scratch = path.with_suffix(".tmp")
        target = str(scratch).replace("'", "''")
        self._execute(f"COPY ({sql}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)")
        scratch.replace(path)

    def _execute(self, sql: str, parameters: Mapping[str, object] | None = None) -> duckdb.DuckDBPyConnection:
        try:
            return self._connection.execute(sql, dict(parameters) if parameters else None)
        except duckdb.Error as error:
            stop = stop_of(error)
            if stop:
                raise stop from error
            raise Rejected("QUERY_FAILED", str(error)) from error


def _connect(temp_dir: Path, memory_limit: str, threads: int | None) -> duckdb.DuckDBPyConnection:
    temp_dir.mkdir(parents=True, exist_ok=True)
    config: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "temp_directory": str(temp_dir / "spill"),
        "memory_limit": memory_limit,
    }
    if threads:
        config["threads"] = threads
    connection = duckdb.connect(config=config)
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET preserve_insertion_order = false")
    return connection


def _make_tables(
    connection: duckdb.DuckDBPyConnection,
    tables: Path | Mapping[str, pa.Table],
    inputs: Mapping[str, pa.Table | Path],
) -> None:
    """Those of the crawl under their names, those of `inputs`; empty ones for whatever has no rows or is absent."""
    connection.execute(_empty_tables())
    for name, schema in TABLES.items():
        _make_table(connection, name, schema, tables / name if isinstance(tables, Path) else tables.get(name))
    known = {name: schema for needed in INPUT_TABLES.values() for name, schema in needed.items()}
    unknown = sorted(set(inputs) - set(known))
    if unknown:
        raise CaravanError(f"{unknown} are no inputs of the audit; known are {sorted(known)}")
    for name, schema in known.items():
        _make_table(connection, name, schema, inputs.get(name))


def _make_table(
    connection: duckdb.DuckDBPyConnection, name: str, schema: pa.Schema, source: pa.Table | Path | None
) -> None:
    """In place of the empty one. `source`: rows, or a folder of parts."""
    if isinstance(source, pa.Table):
        if source.num_rows:
            _copy(connection, name, source.cast(schema))
    elif source and (parts := sorted(str(path) for path in source.glob("part-*.parquet"))):
        # A list of files cannot be a parameter of a view.
        listed = ", ".join("'" + part.replace("'", "''") + "'" for part in parts)
        connection.execute(f"DROP TABLE {name}; CREATE VIEW {name} AS SELECT * FROM read_parquet([{listed}])")


@cache
def _empty_tables() -> str:
    """Statements that make each. Once per process: DuckDB takes longer to read a schema of Arrow than to make tables of
    SQL."""
    schemas = dict(TABLES) | {name: schema for needed in INPUT_TABLES.values() for name, schema in needed.items()}
    with duckdb.connect() as connection:
        for name, schema in schemas.items():
            _copy(connection, name, schema.empty_table())
        return "".join(sql for (sql,) in connection.execute("SELECT sql FROM duckdb_tables()").fetchall())


def _copy(connection: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
    """As a table of DuckDB's own: scans of Arrow refuse filters that joins push down (1.5.5, BLOOM_FILTER)."""
    connection.register("given", table)
    connection.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM given")
    connection.unregister("given")


def _make_codes(connection: duckdb.DuckDBPyConnection) -> None:
    for name, codes in _codes().items():
        _copy(connection, name, codes)


@cache
def _codes() -> Mapping[str, pa.Table]:
    """What languages, scripts and countries exist, lower case, and which currencies."""
    codes = {
        "language_code": {code.lower() for code in language_codes()},
        "script_code": {code.lower() for code in script_codes()},
        "country_code": {code.lower() for code in country_codes()},
        "currency_code": currency_codes(),
    }
    return {name: pa.table({"code": sorted(known)}) for name, known in codes.items()}


def _make_views(connection: duckdb.DuckDBPyConnection, statements: Sequence[str]) -> None:
    for statement in statements:
        try:
            connection.execute(statement)
        except duckdb.Error as error:
            stop = stop_of(error)
            if stop:
                raise stop from error
            made = next((line for line in statement.splitlines() if line.startswith("CREATE")), statement)
            raise CaravanError(f"include/checks/site, `{made}`: {error}") from error
