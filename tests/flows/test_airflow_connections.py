"""The environment's connections are those that a task of Airflow finds, and its logs do not show them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from caravan.assembly.connections import EnvironmentConnections, current
from caravan.core.connections import Connection
from caravan.core.errors import Misconfigured

VALUES = [
    "http://host",
    "http://host:8080",
    "HTTP://Host.Example/Path",
    "smtp://me%40shop:p%40ss%2Fw%3Ard@mail.example:587/schema%2Fx?a=1&b=",
    "aws://AKIA:sec%2Fret@/?region_name=eu-central-1&endpoint_url=http%3A%2F%2Flocalhost%3A9000",
    "http://https://host:443/path",
    "my-conn-type://host",
    "postgresql://me@%2FVar%2Frun:5432/db",
    "http://host/?__extra__=%7B%22a%22%3A+%7B%22b%22%3A+1%7D%7D",
    "http://:pass@host",
    "http://me:@host",
    "http://@:80",
    "http://host?x=1&x=2",
    "  http://host  ",
    json.dumps({"conn_type": "http", "host": "h", "port": "80", "extra": '{"a": 1}'}),
    json.dumps({"conn_type": "my-type", "login": "", "extra": {"a": {"b": [1, None]}}, "description": "d"}),
    json.dumps({"conn_type": "postgresql", "port": 0, "extra": ""}),
]


def plain(found: Any, conn_id: str) -> Connection:
    texts = {name: getattr(found, name) or None for name in ("host", "login", "password", "schema")}
    return Connection(conn_id, found.conn_type, port=found.port, extra=found.extra_dejson, **texts)


@pytest.mark.parametrize("value", VALUES)
def test_the_environment_is_read_as_airflow_reads_it(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.definitions.connection import Connection as Defined
    from airflow.secrets.environment_variables import EnvironmentVariablesBackend

    monkeypatch.setenv("AIRFLOW_CONN_SHOP_DE", value)
    backend = EnvironmentVariablesBackend()
    backend._set_connection_class(Defined)
    assert EnvironmentConnections().get("shop_de") == plain(backend.get_connection("shop_de"), "shop_de")


def test_a_task_gets_them_from_airflow_and_its_secrets_are_masked(
    airflow_database: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.sdk.log import redact

    from caravan.orchestration.connections import AirflowConnections

    secret = "un common/pass"
    given = {"conn_type": "http", "host": "h", "password": secret, "extra": {"token": "tick-et-7"}}
    monkeypatch.setenv("AIRFLOW_CONN_MASKED_ONE", json.dumps(given))
    found = AirflowConnections().get("masked_one")
    assert found == EnvironmentConnections().get("masked_one")
    assert redact(f"to http://x:un%20common%2Fpass@h with {secret}, tick-et-7") == "to http://x:***@h with ***, ***"
    with pytest.raises(Misconfigured, match="set AIRFLOW_CONN_NOT_THERE"):
        AirflowConnections().get("not_there")
    monkeypatch.setenv("AIRFLOW_CONN_BROKEN_ONE", json.dumps(given | {"extra": "{no json"}))
    with pytest.raises(Misconfigured, match="`extra` is no JSON object"):
        AirflowConnections().get("broken_one")


def test_inside_a_step_and_only_there_connections_are_airflows(monkeypatch: pytest.MonkeyPatch) -> None:
    from caravan.orchestration import steps

    monkeypatch.setattr(steps, "get_current_context", dict)

    def look() -> str:
        return type(current()).__name__

    def fail() -> None:
        raise ZeroDivisionError

    assert steps.step()(look).function() == "AirflowConnections"
    with pytest.raises(ZeroDivisionError):
        steps.step()(fail).function()
    assert look() == "EnvironmentConnections"
