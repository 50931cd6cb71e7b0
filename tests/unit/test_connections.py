"""Connections of the environment: what is read, what is refused, what is never shown."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from caravan import PROJECT_ROOT
from caravan.assembly.connections import EnvironmentConnections, current, using
from caravan.core.connections import Connection
from caravan.core.errors import Misconfigured

SECRET = "s3cr3t/p@ss:w?rd"


def read(value: str, conn_id: str = "smtp_default") -> Connection:
    return EnvironmentConnections({f"AIRFLOW_CONN_{conn_id.upper()}": value}).get(conn_id)


def test_json_and_uri_say_the_same() -> None:
    fields = {"conn_type": "smtp", "host": "mail.example", "port": 587, "login": "me@shop", "password": SECRET}
    as_json = read(json.dumps({**fields, "extra": {"timeout": "9"}}))
    as_uri = read("smtp://me%40shop:s3cr3t%2Fp%40ss%3Aw%3Frd@mail.example:587/?timeout=9")
    assert as_json == as_uri
    assert as_json == Connection("smtp_default", "smtp", "mail.example", 587, "me@shop", SECRET, extra={"timeout": "9"})


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", "there is no connection 'smtp_default': set AIRFLOW_CONN_SMTP_DEFAULT, or add it in Airflow"),
        ("  ", "there is no connection"),
        (f'{{"password": "{SECRET}", }}', "is no JSON: line 1, column"),
        (f'{{"conn_type": "smtp", "pasword": "{SECRET}"}}', "unknown keys pasword; known are conn_type, description"),
        (f'{{"password": "{SECRET}"}}', "has no `conn_type`"),
        ('{"conn_type": "smtp", "password": 12345}', "`password` is no text; put it in quotes"),
        ('{"conn_type": "smtp", "port": "five"}', "`port` is no whole number"),
        (f'{{"conn_type": "smtp", "extra": "{SECRET}"}}', "`extra` is no JSON object"),
        ('{"conn_type": "smtp", "extra": ["a"]}', "`extra` is no JSON object"),
        (f"smtp://me:{SECRET}@mail.example", "is no URI like type://"),
        (f"a://b://c://{SECRET}", "is no URI like type://"),
        (f"http://me:{SECRET}://host", "is no URI like type://"),
        (f"{SECRET}", "is no URI like type://"),
        ("http://http://mail.example", "is no URI like type://"),
        ("mail.example", "is no URI like type://"),
    ],
)
def test_what_cannot_be_read_is_named_without_its_secrets(value: str, words: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        read(value)
    shown = str(caught.value)
    assert words in shown
    assert "SMTP_DEFAULT" in shown and ("docs/connections.md" in shown or "`" in shown or "known are" in shown)
    assert "s3cr3t" not in shown and "12345" not in shown
    assert caught.value.__cause__ is None, "the cause of it would be shown with the value"


@pytest.mark.parametrize(
    ("fields", "text", "shown"),
    [
        ({"password": "pass word"}, "to pass%20word or pass+word or pass word", "to *** or *** or ***"),
        ({"extra": {"aws_secret_access_key": "wJalr", "region_name": "eu"}}, "wJalr eu", "*** eu"),
        ({"extra": {"headers": {"X-Token": ["tick"]}}}, "sent tick", "sent ***"),
        ({"host": "https://hook.example/T1/abcdefghijklmnopqrst"}, "/T1/abcdefghijklmnopqrst", "/T1/***"),
        ({"host": "https://me:hush@hook.example"}, "https://me:hush@hook.example", "https://me:***@hook.example"),
        ({"host": "https://hook.example/in?token=abc123"}, "/in?token=abc123", "/in?token=***"),
        ({"host": "hook.example", "schema": "in?v=1&a%2Fbcd"}, "v=1 a%2Fbcd a/bcd", "v=1 *** ***"),
        ({"extra": {"credentials": "abcd", "X-Api-Key": "efgh"}}, "abcd efgh", "*** ***"),
        ({"extra": {"use_proxy": "1", "anonymous_credentials": "no"}}, "answered 401: no", "answered 401: no"),
        ({"extra": {"use_proxy": "True", "no_token": "false"}}, "True, not false", "True, not false"),
        ({"host": "https://bot:s3cr#tpass@hook.example"}, "s3cr#tpass at hook.example", "*** at hook.example"),
        ({"host": "bot:s3cr?tpass@hook.example"}, "bot:s3cr?tpass@hook.example", "bot:***@hook.example"),
        ({"extra": {"keyfile_dict": '{"private_key": "line\\nline"}'}}, "line\nline", "***"),
        ({"extra": {"pin_token": 4711, "use_token": True, "token_uses": 1}}, "4711 True 1", "*** True 1"),
        ({"host": "a-long-name-of-a-host.example"}, "a-long-name-of-a-host.example", "a-long-name-of-a-host.example"),
        ({}, "nothing", "nothing"),
    ],
)
def test_secrets_are_hidden(fields: dict[str, Any], text: str, shown: str) -> None:
    connection = Connection("a", "http", **fields)
    assert connection.hide(text) == shown
    assert not any(secret in repr(connection) for secret in connection.secrets)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("https://me:hush@hook.example/in?token=abc", "https://hook.example:80"),
        ("hook.example?token=abc", "hook.example:80"),
        ("https://bot:s3cr#tpass@hook.example/in", "https://hook.example:80"),
        ("bot:s3cr?tpass@hook.example", "hook.example:80"),
        ("hook.example?to=https://a@b.example", "hook.example:80"),
        ("hook.example#token", "hook.example:80"),
    ],
)
def test_an_address_holds_no_secret(host: str, address: str) -> None:
    assert Connection("a", "http", host, 80).address == address


def test_what_airflow_masks_is_masked() -> None:
    masker = pytest.importorskip("airflow.sdk._shared.secrets_masker")
    for name in masker.DEFAULT_SENSITIVE_FIELDS:
        assert Connection("a", "http", extra={name: "hush"}).secrets == {"hush"}, name


def test_the_examples_of_the_guide_can_be_read() -> None:
    page = (PROJECT_ROOT / "docs/connections.md").read_text(encoding="utf-8")
    examples = re.findall(r"^AIRFLOW_CONN_(\w+)='(.*)'$", page, re.MULTILINE)
    found = [read(value, name.lower()) for name, value in examples]
    assert {connection.kind for connection in found} == {"aws", "google_cloud_platform", "http", "smtp"}
    assert len(found) >= 7
    hooks = [connection for connection in found if connection.conn_id == "http_alerts"]
    assert {connection.host for connection in hooks} == {"https://hooks.example.com/services/T000/B000/secret"}


def test_ids_are_those_that_are_set() -> None:
    environ = {"AIRFLOW_CONN_B": "http://b", "AIRFLOW_CONN_A_1": "http://a", "AIRFLOW_CONN_C": " ", "AIRFLOW_HOME": "x"}
    assert EnvironmentConnections(environ).ids() == ["a_1", "b"]


def test_current_is_the_environment_unless_others_are_put_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", "http://here")
    others = EnvironmentConnections({"AIRFLOW_CONN_SHOP": "http://there"})
    with using(others):
        assert current().get("shop").host == "there"
        with pytest.raises(ZeroDivisionError), using(EnvironmentConnections({})):
            raise ZeroDivisionError
        assert current() is others
    assert current().get("shop").host == "here"
