"""Two requests that write, to a server that writes on its event loop too, as Airflow's audit log does."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from fastapi import Depends, FastAPI
from httpx import ASGITransport, AsyncClient, Response

from caravan.orchestration import one_writer

PATIENCE_S, WORK_S = 1.0, 0.1


@pytest.fixture
def server(tmp_path: Path) -> FastAPI:
    path = tmp_path / "metadata.db"
    with closing(sqlite3.connect(path)) as made:
        made.execute("PRAGMA journal_mode=WAL")
        made.execute("CREATE TABLE row (text)")

    def opened() -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(path, timeout=PATIENCE_S, check_same_thread=False)) as connection:
            yield connection
            connection.commit()

    connected = Depends(opened)

    async def audit(connection: sqlite3.Connection = connected) -> None:
        connection.execute("INSERT INTO row VALUES ('audit')")
        connection.commit()

    app = FastAPI()

    @app.post("/", dependencies=[Depends(audit)])
    def change(connection: sqlite3.Connection = connected) -> str:
        connection.execute("INSERT INTO row VALUES ('change')")
        time.sleep(WORK_S)
        return "done"

    @app.get("/")
    def look() -> str:
        return "seen"

    return app


def ask(server: FastAPI, *methods: str) -> list[str]:
    """Each comes while the one before is at work."""

    async def together() -> list[str]:
        async with AsyncClient(transport=ASGITransport(server), base_url="http://127.0.0.1") as client:

            async def one(number: int, method: str) -> Response:
                await asyncio.sleep(number * WORK_S / 2)
                return await client.request(method, "/")

            answers = await asyncio.gather(*map(one, range(9), methods), return_exceptions=True)
        return [str(each) if isinstance(each, BaseException) else each.json() for each in answers]

    return asyncio.run(together())


def test_without_turns_it_waits_for_itself(server: FastAPI) -> None:
    assert "database is locked" in ask(server, *["POST"] * 4)


def test_requests_that_write_take_turns(server: FastAPI) -> None:
    server.add_middleware(one_writer.OneWriter)
    assert ask(server, *["POST"] * 4, "GET") == ["done"] * 4 + ["seen"]


def test_an_answer_that_fails_gives_its_turn_back(server: FastAPI) -> None:
    @server.put("/")
    def fail() -> None:
        raise RuntimeError("no")

    server.add_middleware(one_writer.OneWriter)
    assert ask(server, "PUT", "POST") == ["no", "done"]


def test_reading_waits_for_nobody() -> None:
    seen: list[str] = []

    async def app(scope: dict[str, str], receive: object, send: object) -> None:
        await asyncio.sleep(0.05 if scope["method"] == "POST" else 0)
        seen.append(scope["method"])

    async def together() -> None:
        turns = one_writer.OneWriter(app)  # type: ignore[arg-type]
        await asyncio.gather(*(turns({"type": "http", "method": each}, None, None) for each in ("POST", "GET")))  # type: ignore[arg-type]

    asyncio.run(together())
    assert seen == ["GET", "POST"]


@pytest.mark.parametrize(
    ("database", "count"),
    [("sqlite:////srv/airflow.db?timeout=60", 1), ("postgresql+psycopg2://airflow@db/airflow", 0)],
)
def test_only_sqlite_needs_it(monkeypatch: pytest.MonkeyPatch, database: str, count: int) -> None:
    monkeypatch.setattr(one_writer.conf, "get", lambda section, key: database)
    assert len(one_writer.middlewares()) == count
