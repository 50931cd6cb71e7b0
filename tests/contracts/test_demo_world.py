"""The demo's world over real HTTP: what its services answer is what its truth says, and two of them do not collide."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import get_args
from urllib.parse import urlsplit

import duckdb
import pytest
import requests

from caravan import INCLUDE_DIR, PROJECT_ROOT
from caravan.assembly.services import open_source
from caravan.cli import world as cli
from caravan.cli.demo_world import World, connected, unserved, variables, write_config
from caravan.clients.file_drop.parse import parse
from caravan.clients.file_drop.parsed import Delivery
from caravan.clients.http.limits import Limits
from caravan.config.services import ServiceChannel
from caravan.config.types import Configuration
from caravan.core.connections import Connection
from caravan.core.errors import CaravanError, Retryable
from caravan.core.pulls import Pull
from caravan.demo.fault_names import FAULTS, FaultName
from caravan.demo.orders import generate, ledgers
from caravan.demo.servers.world import serve_world
from caravan.demo.truth import Truth

CODES = ("webshop_se", "marketplace_au")
QUICK = Limits(attempts=3, first_wait_seconds=0, pull_seconds=60)


@pytest.fixture(scope="module")
def configuration() -> Configuration:
    return World.by_itself().configuration


def services(configuration: Configuration) -> dict[str, ServiceChannel]:
    found = {code: each for code, each in configuration.channels.items() if isinstance(each, ServiceChannel)}
    assert set(found) == set(CODES)
    return found


@pytest.fixture
def two(configuration: Configuration) -> Iterator[list[tuple[Truth, dict[str, Connection]]]]:
    """Worlds of two seeds at the same time."""
    with ExitStack() as stack:
        yield [
            (
                generate(None, configuration, seed),
                stack.enter_context(serve_world(ledgers(configuration, seed), services(configuration))),
            )
            for seed in (1, 2)
        ]


def pull(channel: ServiceChannel, connection: Connection, folder: Path, limits: Limits = QUICK) -> Pull:
    folder.mkdir(parents=True)
    return open_source(channel, connection, limits).pull(channel.begin, folder)


Counts = dict[str, tuple[int, int, int, dict[str, int]]]
"""Received, accepted, duplicate, reasons by entity."""


def read(code: str, found: Pull, configuration: Configuration, folder: Path) -> Counts:
    """Through the same code as in a run."""
    counts: Counts = {}
    for entity, file in found.files.items():
        status = file.path.stat()
        delivery = Delivery(code, entity, file.path, file.content_hash, status.st_size, status.st_mtime_ns)
        parsed = parse(delivery, configuration.channels[code], configuration, folder, datetime(2026, 12, 31))
        reasons: Counter[str] = Counter()
        for path in parsed.quarantined:
            with duckdb.connect() as connection:
                asked = "SELECT reason_code FROM read_parquet($path)"
                reasons.update(row[0] for row in connection.execute(asked, {"path": str(path)}).fetchall())
        counts[entity] = (parsed.received_count, parsed.accepted_count, parsed.duplicate_count, dict(reasons))
    return counts


def planted(truth: Truth, code: str) -> Counts:
    return {
        each.entity: (each.received, each.loaded, each.duplicate, dict(each.quarantined))
        for each in truth.of_channel(code)
    }


def test_two_worlds_at_once_answer_what_each_ones_truth_says(
    two: list[tuple[Truth, dict[str, Connection]]], configuration: Configuration, tmp_path: Path
) -> None:
    (one, first), (other, second) = two
    assert len({urlsplit(str(each.host)).port for each in (*first.values(), *second.values())}) == 2
    for code, channel in services(configuration).items():
        assert planted(one, code) != planted(other, code)
        for name, truth, connections in (("one", one, first), ("other", other, second)):
            assert open_source(channel, connections[code], QUICK).probe(), "a trial before changes nothing"
            folder = tmp_path / name / code
            found = pull(channel, connections[code], folder)
            assert {each.name for each in truth.of_channel(code)} == {found.name}
            assert read(code, found, configuration, folder / "parsed") == planted(truth, code)


def test_asked_again_there_is_nothing_new(
    two: list[tuple[Truth, dict[str, Connection]]], configuration: Configuration, tmp_path: Path
) -> None:
    _, connections = two[0]
    for code, channel in services(configuration).items():
        found = pull(channel, connections[code], tmp_path / code)
        again = tmp_path / f"{code}-again"
        again.mkdir()
        empty = open_source(channel, connections[code], QUICK).pull(found.delivered_at, again)
        assert {each.record_count for each in empty.files.values()} == {0}


def test_faults_on_demand_for_whom_has_the_key(
    two: list[tuple[Truth, dict[str, Connection]]], configuration: Configuration, tmp_path: Path
) -> None:
    (_, first), (_, second) = two
    shop = services(configuration)["webshop_se"]
    url = f"{first['webshop_se'].host}/world/faults"
    assert requests.post(url, json={"fault": "down"}, auth=("ck_wrong", "cs_wrong"), timeout=5).status_code == 401
    account = first["webshop_se"]

    def post(asked: dict[str, object]) -> str:
        return str(requests.post(url, json=asked, auth=(account.login, account.password), timeout=5).json()["message"])

    with connected(first.values()):
        cli.fault("webshop_se", "down", 3)
        with pytest.raises(Retryable, match="answered 500; tried 3 times"):
            pull(shop, first["webshop_se"], tmp_path / "down")
        cli.fault("webshop_se", "cut", 50)
        cli.fault("webshop_se", "ok", 1)
        assert pull(shop, first["webshop_se"], tmp_path / "ok")
        assert post({"fault": "dwon"}) == "no fault 'dwon'; there are " + ", ".join(FAULTS)
        assert post({"fault": "down", "count": 0}) == "count 0 is not 1 to 10000"
        assert post({"fault": "down", "count": True}) == "count True is not 1 to 10000"
        with pytest.raises(CaravanError, match="no fault 'dwon'; did you mean 'down'"):
            cli.fault("webshop_se", "dwon", 1)
        with pytest.raises(CaravanError, match=r"'shop_de' comes as files, and is not served; .*webshop_se.* are"):
            cli.fault("shop_de", "down", 1)
        with pytest.raises(CaravanError, match=r"no channel 'webshop'.*did you mean 'webshop_se'"):
            cli.fault("webshop", "down", 1)
    assert pull(shop, second["webshop_se"], tmp_path / "other"), "the other world is well"


def test_each_fault_has_a_name_and_words() -> None:
    assert set(FAULTS) == set(get_args(FaultName))


def test_served_by_itself_it_fails_when_told_to_and_not_before(configuration: Configuration, tmp_path: Path) -> None:
    with serve_world(ledgers(configuration, 1), services(configuration), troubled=False) as connections:
        for code, channel in services(configuration).items():
            once = Limits(attempts=1, first_wait_seconds=0, pull_seconds=60)
            assert pull(channel, connections[code], tmp_path / code, once).files


def test_a_world_elsewhere_is_left_alone() -> None:
    real = Connection("shop_demo_se", "http", host="https://shop.example.com", login="ck_1", password="cs_1")
    with connected([real]), pytest.raises(CaravanError, match=r"https://shop\.example\.com is no world"):
        cli.fault("webshop_se", "down", 1)


def serve(*arguments: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "CARAVAN"))}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "caravan", "world", "serve", "--scale", "0.5", *arguments],
        env={**kept, "PYTHONPATH": str(PROJECT_ROOT / "plugins")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_served_until_told_to_end(end: signal.Signals, tmp_path: Path) -> None:
    home = tmp_path / "world"
    process = serve("--home", str(home))
    assert process.stdout
    try:
        told = []
        for line in process.stdout:
            told.append(line)
            if line.startswith("# ready"):
                break
        names = [line.removeprefix("export ").partition("=")[0] for line in told[:-1]]
        assert names == [
            *("CARAVAN_HOME", "CARAVAN_CONFIG", "AIRFLOW_CONN_SHOP_DEMO_SE", "AIRFLOW_CONN_MARKETPLACE_DEMO_AU"),
        ]
        assert (home / "config" / "channels" / "webshop_se.yml").exists()
        assert len(list((home / "incoming").iterdir())) > 5
        process.send_signal(end)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_a_port_that_is_taken() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        process = serve("--port", str(other.getsockname()[1]))
        _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "cannot listen on port" in error


@pytest.mark.parametrize(
    ("proxies", "expected"),
    [
        ({}, None),
        ({"no_proxy": "intranet"}, None),
        ({"HTTP_PROXY": "http://proxy.invalid:3128"}, "127.0.0.1"),
        ({"all_proxy": "http://proxy.invalid:3128", "NO_PROXY": "intranet"}, "intranet,127.0.0.1"),
    ],
)
def test_a_proxy_is_not_asked(proxies: dict[str, str], expected: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    for name, value in proxies.items():
        monkeypatch.setenv(name, value)
    assert variables([]) == ({"no_proxy": expected} if expected else {})


def test_who_is_not_served_is_named(tmp_path: Path) -> None:
    config_dir = write_config(INCLUDE_DIR / "config", tmp_path / "config")
    assert unserved(config_dir, {}) == ["marketplace_au", "webshop_se"]
    assert unserved(config_dir, {"AIRFLOW_CONN_SHOP_DEMO_SE": "{}"}) == ["marketplace_au"]
    assert unserved(INCLUDE_DIR / "config", {}) == []


def test_connections_are_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = Connection("shop_demo_se", "http", host="http://127.0.0.1:1/shop", login="ck", password="cs")
    name = next(iter(variables([mine])))
    assert name == "AIRFLOW_CONN_SHOP_DEMO_SE"
    monkeypatch.setenv(name, "before")
    with connected([mine]):
        assert os.environ[name].startswith('{"conn_type": "http"')
    assert os.environ[name] == "before"
    monkeypatch.delenv(name)
    with connected([mine]):
        pass
    assert name not in os.environ
