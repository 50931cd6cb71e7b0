"""`up` and `down` without Airflow: files, ports, environment, and processes that play the server."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from caravan.cli import server
from caravan.cli.server import Places, Server, check_ports, environment, find_running, prepare, stop
from caravan.config.settings import Settings
from caravan.core.errors import CaravanError, Rejected

KEYS = {"jwt_secret": "j", "api_secret": "a", "fernet_key": "f"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path / "home", tmp_path / "config", "lake:///srv/lake")


@pytest.fixture
def places(settings: Settings) -> Iterator[Places]:
    places = Places.of(settings)
    places.airflow_home.mkdir(parents=True)
    yield places
    stop(places, patience_s=0)


def play(places: Places, script: str) -> Server:
    """Start `script` as the server's first process and wait for its word that it is ready."""
    process = subprocess.Popen(["sh", "-c", script], start_new_session=True, stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == "ready\n"
    playing = Server(process.pid, 18080, psutil.Process(process.pid).create_time())
    server.write_private(places.pid_file, vars(playing))
    return playing


def test_secrets_are_private_random_and_kept(places: Places) -> None:
    keys, password = prepare(places)
    assert password is not None
    assert len(password) >= 20
    assert json.loads(places.passwords.read_text()) == {"admin": password}
    assert len(keys["jwt_secret"].encode()) >= 64
    assert {stat.S_IMODE(file.stat().st_mode) for file in (places.passwords, places.secrets)} == {0o600}
    assert prepare(places) == (keys, None), "the password is shown once, the secrets stay"


def test_two_servers_share_no_secret(tmp_path: Path) -> None:
    (one, first), (two, second) = prepare(Places(tmp_path / "a")), prepare(Places(tmp_path / "b"))
    assert first != second
    assert set(one.values()) & set(two.values()) == set()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AIRFLOW__API__HOST", "127.0.0.1"),
        ("AIRFLOW__API__PORT", "9000"),
        ("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", "http://127.0.0.1:9000/execution/"),
        ("AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT", "9001"),
        ("AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT", "9002"),
        ("AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION", "True"),
        ("AIRFLOW__CORE__LOAD_EXAMPLES", "False"),
        ("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "False"),
        ("AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME", "0.2"),
        ("AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL", "10"),
        ("AIRFLOW__API_AUTH__JWT_SECRET", "j"),
        ("CARAVAN_WAREHOUSE", "lake:///srv/lake"),
    ],
)
def test_environment(settings: Settings, name: str, value: str) -> None:
    assert environment(settings, 9000, KEYS, paused=True)[name] == value


def test_callers_variables_change_tuning_but_not_safety(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__PARALLELISM", "16")
    monkeypatch.setenv("AIRFLOW__API__HOST", "0.0.0.0")
    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "True")
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_X", "{}")
    found = environment(settings, 9000, KEYS, paused=False)
    assert found["AIRFLOW__CORE__PARALLELISM"] == "16"
    assert found["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert found["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS"] == "False"
    assert found["AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION"] == "False"
    assert found["AIRFLOW_CONN_SHOP_X"] == "{}"
    assert found["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)


@contextmanager
def taken_port(free_below: int) -> Iterator[int]:
    """A port that is listened on, above some that are not; other tests take ports too."""
    while True:
        with socket.socket() as taken, ExitStack() as below:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            try:
                for number in range(port - free_below, port):
                    below.enter_context(socket.socket()).bind(("127.0.0.1", number))
            except OSError:
                continue
            below.close()
            yield port
            return


@pytest.mark.parametrize("offset", [0, 1, 2])
def test_taken_port_is_refused_with_a_hint(offset: int) -> None:
    with taken_port(free_below=offset) as taken, pytest.raises(Rejected) as refused:
        check_ports(taken - offset)
    assert re.search(rf"uses port {taken}.*try `caravan up --port \d+`", str(refused.value))


def test_nothing_runs(places: Places) -> None:
    assert find_running(places) is None
    assert stop(places) is None


def test_stale_pid_file_is_removed(places: Places) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    server.write_private(places.pid_file, {"pid": gone.pid, "port": 1, "created": time.time()})
    assert find_running(places) is None
    assert not places.pid_file.exists()


def test_a_pid_given_to_another_process_is_not_the_server(places: Places) -> None:
    playing = play(places, "echo ready; sleep 60")
    server.write_private(places.pid_file, {**vars(playing), "created": playing.created - 3600})
    assert stop(places) is None
    assert psutil.pid_exists(playing.pid), "somebody else's process is left alone"
    server.write_private(places.pid_file, vars(playing))


def test_unreadable_pid_file_is_told(places: Places) -> None:
    places.pid_file.write_text("{")
    with pytest.raises(CaravanError, match=r"server\.json cannot be read"):
        find_running(places)
    places.pid_file.unlink()


def test_down_ends_the_whole_group(places: Places) -> None:
    playing = play(places, "sleep 60 & sleep 60 & echo ready; wait")
    members = server._members(playing)
    assert len(members) == 3
    assert stop(places) == (playing, 0)
    assert server._alive(members) == set()
    assert not places.pid_file.exists()


def test_down_ends_what_the_first_process_left_behind(places: Places) -> None:
    playing = play(places, "sleep 60 & echo ready; wait")
    members = server._members(playing)
    psutil.Process(playing.pid).kill()
    assert find_running(places) == playing
    assert stop(places) == (playing, 0)
    assert server._alive(members) == set()


def test_down_kills_what_does_not_listen(places: Places) -> None:
    playing = play(places, "trap '' TERM; echo ready; while :; do sleep 1; done")
    server_found, killed = stop(places, patience_s=0.5) or (None, 0)
    assert server_found == playing
    assert killed >= 1
    assert not server._members(playing)
