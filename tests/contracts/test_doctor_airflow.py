"""Doctor asks the running server by REST: what keeps tasks from running without an error is found and named."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from caravan.cli import doctor_airflow
from caravan.cli.doctor_airflow import Api, connection_ids, examine_airflow, log_in
from caravan.cli.doctor_connections import connections
from caravan.cli.server import Places, Server
from caravan.config.alerts import Alerts
from caravan.config.types import Configuration, Project
from caravan.core.errors import CaravanError


def answers() -> dict[str, Any]:
    """What Airflow 3.3 answers, as far as it is read. Lists are paged by the stand-in."""
    healthy = {"status": "healthy"}
    return {
        "monitor/health": {"metadatabase": healthy, "scheduler": healthy, "triggerer": healthy, "dag_processor": None},
        "importErrors": ("import_errors", []),
        "dags": (
            "dags",
            [
                {"dag_id": "sales_orders_daily", "is_paused": False},
                {"dag_id": "reporting_marts_hourly", "is_paused": False},
            ],
        ),
        "dags/sales_orders_daily/tasks": {"tasks": [{"task_id": "collect", "pool": "warehouse"}]},
        "dags/reporting_marts_hourly/tasks": {"tasks": [{"task_id": "drain", "pool": "default_pool"}]},
        "pools": ("pools", [{"name": "default_pool"}, {"name": "warehouse"}]),
        "assets": (
            "assets",
            [
                {
                    "name": "sales_orders",
                    "scheduled_dags": [{"dag_id": "reporting_marts_hourly"}],
                    "producing_tasks": [{"dag_id": "sales_orders_daily", "task_id": "build"}],
                }
            ],
        ),
        "backfills": ("backfills", []),
        "connections": ("connections", [{"connection_id": "http_alerts"}]),
    }


class StandIn:
    def __init__(self) -> None:
        self.answers = answers()
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                right = (self.path, given) == ("/auth/token", {"username": "admin", "password": "right"})
                self._send(201 if right else 401, {"access_token": "t0ken"} if right else {})

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                found = stand_in.answers.get(parts.path.removeprefix("/api/v2/"))
                if self.headers.get("Authorization") != "Bearer t0ken" or found is None:
                    self._send(404, {})
                    return
                if isinstance(found, tuple):
                    name, entries = found
                    query = {key: values[0] for key, values in parse_qs(parts.query).items()}
                    entries = [
                        each for each in entries if each.get("dag_id") == query.get("dag_id", each.get("dag_id"))
                    ]
                    first, count = int(query["offset"]), int(query["limit"])
                    found = {name: entries[first : first + count], "total_entries": len(entries)}
                self._send(200, found)

            def _send(self, status: int, content: Any) -> None:
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def airflow() -> Iterator[StandIn]:
    stand_in = StandIn()
    yield stand_in
    stand_in.close()


@pytest.fixture
def api(airflow: StandIn, tmp_path: Path) -> Api:
    (tmp_path / "passwords.json").write_text('{"admin": "right"}')
    return log_in(Server(1, airflow.port, 0), Places(tmp_path))


def states(api: Api) -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for finding in examine_airflow(api):
        found.setdefault(finding.subject, []).append((finding.state, finding.what))
    return found


def test_all_is_well(api: Api) -> None:
    found = states(api)
    assert set(found) == {"Airflow", "DAG files", "DAGs", "pools", "assets", "backfills"}
    assert {state for each in found.values() for state, _ in each} == {"ok"}
    assert found["pools"] == [("ok", "default_pool, warehouse: all that tasks name")]


def test_a_part_that_is_not_healthy(airflow: StandIn, api: Api) -> None:
    airflow.answers["monitor/health"]["scheduler"] = {"status": "unhealthy"}
    ((state, what),) = states(api)["Airflow"]
    assert state == "failed" and "scheduler not healthy" in what and "`./caravan down`" in what


def test_a_dag_file_that_cannot_be_loaded(airflow: StandIn, api: Api) -> None:
    error = {"filename": "sales_orders_daily.py", "stack_trace": "Traceback:\n  line\nImportError: no module x\n"}
    airflow.answers["importErrors"] = ("import_errors", [error])
    ((state, what),) = states(api)["DAG files"]
    assert state == "failed" and what.startswith("sales_orders_daily.py cannot be loaded: ImportError: no module x")


def test_a_pool_that_does_not_exist(airflow: StandIn, api: Api) -> None:
    airflow.answers["pools"] = ("pools", [{"name": "default_pool"}])
    ((state, what),) = states(api)["pools"]
    assert state == "failed"
    assert "'warehouse' does not exist, so sales_orders_daily.collect never start" in what
    assert "pools set warehouse" in what


@pytest.mark.parametrize(("producer_is_paused", "loses"), [(False, True), (True, False)])
def test_a_paused_consumer_loses_events(airflow: StandIn, api: Api, producer_is_paused: bool, loses: bool) -> None:
    sales, marts = airflow.answers["dags"][1]
    sales["is_paused"], marts["is_paused"] = producer_is_paused, True
    ((state, what),) = states(api)["assets"]
    assert state == ("failed" if loses else "ok")
    if loses:
        assert "reporting_marts_hourly is paused and loses the events of sales_orders" in what
        assert "dags unpause reporting_marts_hourly" in what


@pytest.mark.parametrize(
    ("is_paused", "completed_at", "is_stuck"),
    [(True, None, True), (False, None, False), (True, "2026-11-02T00:00:00Z", False)],
)
def test_a_backfill_of_a_paused_dag(
    airflow: StandIn, api: Api, is_paused: bool, completed_at: str | None, is_stuck: bool
) -> None:
    airflow.answers["dags"][1][0]["is_paused"] = is_paused
    backfill = {"id": 7, "dag_id": "sales_orders_daily", "from_date": "2026-10-01T00:00:00Z"}
    backfill |= {"to_date": "2026-11-01T00:00:00Z", "completed_at": completed_at}
    airflow.answers["backfills"] = ("backfills", [backfill])
    ((state, what),) = states(api)["backfills"]
    assert state == ("failed" if is_stuck else "ok")
    if is_stuck:
        assert "backfill 7 of sales_orders_daily (2026-10-01 to 2026-11-01) waits for ever" in what
        assert "dags unpause sales_orders_daily" in what


def test_every_page_is_read(airflow: StandIn, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_airflow, "PAGE", 2)
    airflow.answers["connections"] = ("connections", [{"connection_id": f"c{number}"} for number in range(5)])
    assert connection_ids(api) == {f"c{number}" for number in range(5)}


def test_one_question_without_an_answer_hides_no_other(airflow: StandIn, api: Api) -> None:
    del airflow.answers["pools"]
    found = states(api)
    ((state, what),) = found["pools"]
    assert state == "failed" and "does not tell pools: HTTPError" in what
    assert found["backfills"][0][0] == "ok"


def test_a_wrong_password_is_told_without_it(airflow: StandIn, tmp_path: Path) -> None:
    (tmp_path / "passwords.json").write_text('{"admin": "wr0ng"}')
    with pytest.raises(CaravanError, match="does not let us in") as caught:
        log_in(Server(1, airflow.port, 0), Places(tmp_path))
    assert "wr0ng" not in str(caught.value)


def test_connections_are_tried_where_they_can_be(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = Configuration(project=Project(), markets={}, channels={}, hash="")
    alerts = Alerts.model_validate(
        {
            "targets": [{"name": "chat", "kind": "webhook", "connection": "http_alerts"}],
            "heartbeat": {"connection": "http_beat"},
            "clock": {"connection": "http_clock"},
        }
    )
    monkeypatch.setenv("AIRFLOW_CONN_HTTP_CLOCK", json.dumps({"conn_type": "http", "host": api.url}))
    found = {each.subject: (each.state, each.what) for each in connections(configuration, alerts, api)}
    assert found["connection http_alerts"][0] == "note" and "kept in Airflow" in found["connection http_alerts"][1]
    state, what = found["connection http_beat"]
    assert state == "failed" and "set AIRFLOW_CONN_HTTP_BEAT" in what and "used by the heartbeat" in what
    assert found["connection http_clock"][0] == "ok"
    monkeypatch.setenv("AIRFLOW_CONN_HTTP_BEAT", json.dumps({"conn_type": "http", "host": "http://127.0.0.1:9"}))
    beat = {each.subject: (each.state, each.what) for each in connections(configuration, alerts, api)}
    assert beat["connection http_beat"][0] == "ok" and "would count as a beat" in beat["connection http_beat"][1]
    without = {each.subject: each.state for each in connections(configuration, alerts, None)}
    assert without["connection http_alerts"] == "failed"
