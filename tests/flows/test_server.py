"""`caravan up` and `down` for real: Airflow answers, lets the admin in, and leaves no process behind."""

from __future__ import annotations

import json
import os
import re
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from live_airflow import caravan, free_port

pytestmark = pytest.mark.slow

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(url: str, token: str | None = None, body: dict[str, Any] | None = None) -> Any:
    request = urllib.request.Request(url, headers={"Content-Type": "application/json"})
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with OPENER.open(request, data=json.dumps(body).encode() if body else None, timeout=30) as response:
        return json.load(response)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    caravan(tmp_path / "home", "down")


def group_of(home: Path) -> set[int]:
    pid = json.loads((home / "airflow/server.json").read_text())["pid"]
    return {each.pid for each in psutil.process_iter() if os.getpgid(each.pid) == pid}


def trigger_at_once(url: str, token: str) -> None:
    """Nobody waits for a minute: see caravan.orchestration.one_writer."""
    numbers = range(9)

    def trigger(number: int) -> str:
        body = {"logical_date": None, "dag_run_id": f"at_once_{number}"}
        return str(ask(f"{url}/api/v2/dags/sales_orders_daily/dagRuns", token, body)["dag_run_id"])

    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(trigger, numbers)) == [f"at_once_{number}" for number in numbers]


def test_up_login_and_down(home: Path) -> None:
    port = free_port()
    began = caravan(home, "up", "--port", str(port))
    assert began.returncode == 0, began.stdout + began.stderr
    url = f"http://127.0.0.1:{port}"
    assert url in began.stdout
    shown = re.search(r"user admin, password (\S+) \(shown once\)", began.stdout)
    assert shown
    passwords = home / "airflow/passwords.json"
    assert json.loads(passwords.read_text()) == {"admin": shown[1]}
    assert stat.S_IMODE(passwords.stat().st_mode) == 0o600

    assert "version" in ask(f"{url}/api/v2/version")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        ask(f"{url}/api/v2/dags")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        ask(f"{url}/auth/token", body={"username": "admin", "password": "admin"})
    token = ask(f"{url}/auth/token", body={"username": "admin", "password": shown[1]})["access_token"]
    assert "dags" in ask(f"{url}/api/v2/dags", token)

    told = {each["subject"]: each for each in json.loads(caravan(home, "doctor", "--json").stdout)["findings"]}
    for subject in ("DAG files", "DAGs", "pools", "assets", "backfills"):
        assert told[subject]["state"] == "ok", told[subject]

    trigger_at_once(url, token)

    again = caravan(home, "up", "--port", str(port))
    assert again.returncode == 0
    assert "already running" in again.stdout
    assert shown[1] not in again.stdout

    other = caravan(home.with_name("other"), "up", "--port", str(port))
    assert other.returncode == 1
    assert re.search(r"try `caravan up --port \d+`", other.stderr)

    members = group_of(home)
    assert len(members) > 4, "scheduler, DAG processor, API server and triggerer at least"
    ended = caravan(home, "down")
    assert ended.returncode == 0
    assert "is stopped" in ended.stdout
    assert [pid for pid in members if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"] == []
    assert "no server runs" in caravan(home, "down").stdout


def test_a_server_that_ends_early_is_told_with_its_log(home: Path) -> None:
    failed = caravan(home, "up", "--port", str(free_port()), AIRFLOW__CORE__EXECUTOR="NoSuchExecutor")
    assert failed.returncode == 1
    assert "Airflow ended with code" in failed.stderr
    assert "NoSuchExecutor" in failed.stderr
    assert not (home / "airflow/server.json").exists()
