"""Makes Airflow's own SQLite database bear several processes, for `caravan up`.

Airflow opens savepoints outside of a transaction. SQLite then reads first and asks for the write lock later, and
refuses at once, whatever the timeout, if another process has written in between: "database is locked", a backfill
undone half-way, and a scheduler that stops because a run it saw is gone. A savepoint inside a transaction that has
the write lock from its beginning waits instead. Airflow imports this through config/airflow_local_settings.py.
"""

from __future__ import annotations

from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine


@event.listens_for(Engine, "savepoint")
def _take_the_write_lock(connection: Connection, name: str | None) -> None:
    if connection.dialect.name != "sqlite":
        return
    if not getattr(connection.connection.dbapi_connection, "in_transaction", True):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
