"""Reading the warehouse for a report: a table that is not built yet has no rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from caravan.warehouse.port import Row, Session


class Reader:
    """Queries that aggregate in the warehouse, over tables that may not be there yet."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: dict[str, bool] = {}

    def has(self, *tables: str) -> bool:
        for table in tables:
            if table not in self._known:
                self._known[table] = bool(self._session.columns(table))
        return all(self._known[table] for table in tables)

    def rows(self, needs: tuple[str, ...], sql: str, params: Mapping[str, Any] | None = None) -> list[Row]:
        """The query's rows; none while one of the tables it needs is missing."""
        return self._session.rows(sql, params) if self.has(*needs) else []

    def names(self, table: str, key: str) -> dict[str, str]:
        """Code to name of a dimension."""
        return {str(code): str(name or code) for code, name in self.rows((table,), f"SELECT {key}, name FROM {table}")}
