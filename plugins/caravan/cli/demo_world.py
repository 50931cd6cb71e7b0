"""The demo's world, from what the project's own files say of it: its configuration, its files, its servers."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from caravan import INCLUDE_DIR
from caravan.core.connections import Connection
from caravan.core.errors import CaravanError

if TYPE_CHECKING:
    from caravan.config.types import Configuration
    from caravan.demo.truth import Truth

CHANNELS = INCLUDE_DIR / "demo" / "channels"
"""Those that only the demo has: with accounts that nobody else could have."""

WORLD = "world.json"
"""In a home: whose files lie there."""
HISTORY_DAYS = 99
"""Before the 21 days on which something is planted: 120 on all."""


@dataclass(frozen=True)
class World:
    """One seed's world. `scale`: so many times the usual orders."""

    configuration: Configuration
    seed: int
    scale: float = 1

    @classmethod
    def of(cls, config_dir: Path, seed: int | None = None, scale: float = 1) -> World:
        """Of the demo's channels in this configuration. The same seed and scale make the same world."""
        from caravan.config.loader import load
        from caravan.demo.orders import SEED

        return cls(load(config_dir), SEED if seed is None else seed, scale)

    @classmethod
    def by_itself(cls, seed: int | None = None, scale: float = 1) -> World:
        """Of all the demo's channels, wherever Caravan's own state and configuration are."""
        with TemporaryDirectory(prefix="caravan-world-") as folder:
            return cls.of(write_config(INCLUDE_DIR / "config", Path(folder) / "config"), seed, scale)

    @classmethod
    def of_home(cls, home: Path, seed: int | None, scale: float | None) -> World:
        """That whose files are in `home`, where nothing else is asked for; else as `by_itself`."""
        there = json.loads((home / WORLD).read_text()) if (home / WORLD).exists() else {}
        return cls.by_itself(there.get("seed") if seed is None else seed, scale or there.get("scale", 1))

    def generate(self, home: Path | None = None) -> Truth:
        """What is so. Writes the files below `home`, if one is given. CaravanError where those of another world are."""
        from caravan.demo.orders import generate

        if home is not None:
            mine = {"seed": self.seed, "scale": self.scale}
            there = json.loads((home / WORLD).read_text()) if (home / WORLD).exists() else mine
            if there != mine:
                told = f"--seed {there['seed']} --scale {there['scale']:g}"
                raise CaravanError(f"{home} holds the files of another world ({told}): name another folder")
            home.mkdir(parents=True, exist_ok=True)
            (home / WORLD).write_text(json.dumps(mine))
        return generate(home, self.configuration, self.seed, history=HISTORY_DAYS, scale=self.scale)

    @contextmanager
    def serve(self, port: int = 0, *, troubled: bool) -> Iterator[list[Connection]]:
        """The services, for as long as this lasts. `port`: a free one unless given. `troubled`: see `serve_world`."""
        from caravan.config.services import ServiceChannel
        from caravan.demo.orders import ledgers
        from caravan.demo.servers.world import serve_world

        channels = {
            code: channel
            for code, channel in self.configuration.channels.items()
            if isinstance(channel, ServiceChannel)
        }
        known = ledgers(self.configuration, self.seed, history=HISTORY_DAYS, scale=self.scale)
        with serve_world(known, channels, port, troubled=troubled) as connections:
            yield list(connections.values())


def write_config(source: Path, target: Path) -> Path:
    """A copy of the configuration, with the demo's own channels. Replaces what was there, unless it is the source."""
    if source.absolute() != target.absolute():
        target.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as scratch:
            copy = Path(shutil.copytree(source, Path(scratch) / target.name))
            shutil.rmtree(target, ignore_errors=True)
            copy.replace(target)
    for file in sorted(CHANNELS.glob("*.yml")):
        shutil.copyfile(file, target / "channels" / file.name)
    return target


def variables(connections: Iterable[Connection]) -> dict[str, str]:
    """AIRFLOW_CONN_... of each; where there is a proxy, also what keeps it out of the way."""
    from urllib.request import getproxies_environment

    from caravan.assembly.connections import variable_of

    given = {variable_of(each.conn_id): _as_json(each) for each in connections}
    proxies = getproxies_environment()
    beside = proxies.pop("no", "")
    return given | ({"no_proxy": f"{beside},127.0.0.1".lstrip(",")} if proxies else {})


@contextmanager
def connected(connections: Iterable[Connection]) -> Iterator[None]:
    """Inside, they are in the environment, and nothing is between."""
    given = variables(connections)
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def unserved(config_dir: Path, environ: Mapping[str, str]) -> list[str]:
    """Channels that are asked, and whose connection is not in the environment."""
    from caravan.assembly.connections import variable_of
    from caravan.config.loader import load

    channels = load(config_dir).channels.values()
    asked = {each.code: each.connection for each in channels if each.is_asked and each.connection}
    return sorted(code for code, conn_id in asked.items() if variable_of(conn_id) not in environ)


def _as_json(connection: Connection) -> str:
    fields = {
        "conn_type": connection.kind,
        "host": connection.host,
        "port": connection.port,
        "login": connection.login,
        "password": connection.password,
        "extra": dict(connection.extra),
    }
    return json.dumps({name: value for name, value in fields.items() if value})
