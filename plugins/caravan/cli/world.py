"""The demo's world: its configuration, its files, its servers."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from caravan import INCLUDE_DIR
from caravan.core.connections import Connection

if TYPE_CHECKING:
    from caravan.config.types import Configuration
    from caravan.demo.truth import Truth

CHANNELS = INCLUDE_DIR / "demo" / "channels"
"""Those that only the demo has: with accounts that nobody else could have."""

HISTORY_DAYS = 99
"""Before the 21 days on which something is planted: 120 on all."""


@dataclass(frozen=True)
class World:
    """One seed's world, whose files lie below `home`."""

    home: Path
    config_dir: Path
    configuration: Configuration
    seed: int
    scale: float

    @classmethod
    def prepare(cls, home: Path, config_dir: Path, seed: int | None = None, scale: float = 1) -> World:
        """With the configuration in `config_dir` and the demo's own channels, as <home>/config."""
        from caravan.config.loader import load
        from caravan.demo.orders import SEED

        merged = write_config(config_dir, home / "config")
        return cls(home, merged, load(merged, home), SEED if seed is None else seed, scale)

    def generate(self) -> Truth:
        """Write the files, and say what is so in them and in the services."""
        from caravan.demo.orders import generate

        return generate(self.home, self.configuration, self.seed, history=HISTORY_DAYS, scale=self.scale)

    @contextmanager
    def serve(self, port: int = 0) -> Iterator[list[Connection]]:
        """The services, for as long as this lasts."""
        from caravan.config.services import ServiceChannel
        from caravan.demo.orders import ledgers
        from caravan.demo.servers.world import serve_world

        channels = {
            code: channel
            for code, channel in self.configuration.channels.items()
            if isinstance(channel, ServiceChannel)
        }
        known = ledgers(self.configuration, self.seed, history=HISTORY_DAYS, scale=self.scale)
        with serve_world(known, channels, port) as connections:
            yield list(connections.values())


def write_config(source: Path, target: Path) -> Path:
    """A copy of the configuration, with the demo's own channels. Replaces what was there, unless it is the source."""
    if source.absolute() != target.absolute():
        partial = target.with_name(f".{target.name}.{os.getpid()}")
        shutil.copytree(source, partial)
        shutil.rmtree(target, ignore_errors=True)
        partial.replace(target)
    for file in sorted(CHANNELS.glob("*.yml")):
        shutil.copyfile(file, target / "channels" / file.name)
    return target


def variables(connections: Iterable[Connection]) -> dict[str, str]:
    """AIRFLOW_CONN_... of each."""
    from caravan.assembly.connections import variable_of

    return {variable_of(each.conn_id): _as_json(each) for each in connections}


@contextmanager
def connected(connections: Iterable[Connection]) -> Iterator[None]:
    """Inside, they are in the environment."""
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


def _as_json(connection: Connection) -> str:
    fields = {
        "conn_type": connection.kind,
        "host": connection.host,
        "login": connection.login,
        "password": connection.password,
        "extra": dict(connection.extra),
    }
    return json.dumps({name: value for name, value in fields.items() if value})
