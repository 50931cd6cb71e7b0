"""Each kind of connection is tried against a real server on loopback; nothing is sent, no secret is shown."""

from __future__ import annotations

import json
import shutil
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from change_sources import STANDS
from object_store import ObjectStore

from caravan import INCLUDE_DIR
from caravan.assembly.trials import outcome, uses
from caravan.assembly.trials import tried as used
from caravan.cli import main as cli
from caravan.config.alerts import Alerts
from caravan.config.outlets import MastodonOutlet, SesOutlet
from caravan.config.services import CHANNELS, ServiceChannel
from caravan.config.types import Configuration, FileChannel, Project
from caravan.core.connections import Connection

PASSWORD = "o/p en+sesame"


class Mailbox:
    def __init__(self) -> None:
        self.mails: list[Any] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.mails.append(envelope)
        return "250 OK"


def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    right = isinstance(data, LoginPassword) and data.password == PASSWORD.encode()
    return AuthResult(success=right, handled=False)


@pytest.fixture
def mail() -> Iterator[tuple[Mailbox, Connection]]:
    box = Mailbox()
    with socket.socket() as probe:  # the controller takes no port 0
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(
        box, hostname="127.0.0.1", port=port, authenticator=authenticate, auth_require_tls=False, auth_required=False
    )
    controller.start()
    extra = {"disable_ssl": True, "disable_tls": True}
    yield box, Connection("smtp_alerts", "smtp", "127.0.0.1", port, "me", PASSWORD, extra=extra)
    controller.stop()


def but(connection: Connection, **changes: Any) -> Connection:
    return Connection(**{**vars(connection), **changes})


def test_a_mail_server_is_logged_in_to_and_gets_no_mail(mail: tuple[Mailbox, Connection]) -> None:
    box, connection = mail
    assert outcome(connection) == (True, "greets and lets us in; nothing was sent")
    assert outcome(but(connection, password="wrong/one")) == (False, "the server refused the login: 535")
    works, told = outcome(but(connection, extra={"disable_ssl": True}))
    assert (works, "STARTTLS" in told and "disable_tls" in told) == (False, True), told
    works, told = outcome(but(connection, host="mail..example.com"))
    assert not works and "UnicodeError" in told
    works, told = outcome(but(connection, extra={}))
    assert not works and "disable_ssl" in told, "no TLS is spoken there"
    works, told = outcome(but(connection, port=9))
    assert not works and "no mail server" in told
    assert box.mails == []


@pytest.fixture
def web() -> Iterator[dict[str, Any]]:
    """Answers with `status`; keeps what was asked."""
    seen: dict[str, Any] = {"status": {"HEAD": 200, "GET": 200}, "asked": []}

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            seen["asked"].append((self.command, self.path, self.headers.get("Authorization")))
            self.send_response(seen["status"][self.command])
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET = do_POST = _answer

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    seen["connection"] = Connection(
        "http_alerts", "http", "127.0.0.1", server.server_port, password=PASSWORD, schema="http",
        extra={"path": "/hooks/abcdefghijklmnopqrst"},
    )  # fmt: skip
    yield seen
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("head", "get", "works", "told"),
    [
        (200, 200, True, "answers 200"),
        (405, 200, True, "answers 200"),
        (501, 400, True, "answers 400 to a request that sends nothing; the address is reached"),
        (302, 200, True, "answers 302 to a request that sends nothing; the address is reached"),
        (401, 200, False, "answers 401: its password is wrong, or has no right to this"),
        (405, 403, False, "answers 403: its password is wrong, or has no right to this"),
        (503, 200, False, "connection http_alerts answers 503: try again later"),
    ],
)
def test_an_address_is_asked_and_told_nothing(web: dict[str, Any], head: int, get: int, works: bool, told: str) -> None:
    web["status"] = {"HEAD": head, "GET": get}
    assert outcome(web["connection"]) == (works, told)
    assert {method for method, _, _ in web["asked"]} <= {"HEAD", "GET"}
    assert web["asked"][0] == ("HEAD", "/hooks/abcdefghijklmnopqrst", f"Bearer {PASSWORD}")


@pytest.mark.parametrize(
    "fields",
    [
        {"host": "127.0.0.1", "port": 9, "schema": "http"},
        {"host": f"http://me:{PASSWORD.replace(' ', '')}@127.0.0.1:9/abcdefghijklmnopqrst"},
        {"host": "http://127.0.0.1:9/abcdefghijklmnopqrst"},
        {"host": "http://127.0.0.1:none/abcdefghijklmnopqrst"},
        {"host": "gopher://127.0.0.1/abcdefghijklmnopqrst"},
    ],
)
def test_an_address_with_a_secret_in_it_is_not_shown(fields: dict[str, Any]) -> None:
    works, told = outcome(Connection("hook", "http", password=PASSWORD, **fields))
    assert not works
    assert "sesame" not in told and "abcdefgh" not in told
    assert "hook" in told or "address" in told


def test_a_bucket_is_listed(object_store: ObjectStore, bucket: str) -> None:
    connection = object_store.connection()
    assert outcome(connection, [bucket]) == (True, f"{bucket} can be listed")
    works, told = outcome(connection)
    assert works and "buckets can be listed" in told
    works, told = outcome(connection, [bucket, "no-such-bucket"])
    assert not works and "NoSuchBucket" in told


def test_a_kind_that_is_not_used() -> None:
    kinds = "aws, google_cloud_platform, http, https, imap, smtp"
    assert outcome(Connection("x", "ftp")) == (False, f"is of the type 'ftp'; Caravan uses {kinds}")


def test_what_the_configuration_asks_for() -> None:
    def channel(code: str, folder: str, **more: Any) -> FileChannel:
        entities = {"order_line": {"files": "*", "columns": {"sku": "sku"}}}
        given = {"code": code, "name": code, "kind": "own", "folder": folder, "delivery": "changes", "zone": "UTC"}
        return FileChannel.model_validate({**given, "format": {"type": "csv"}, "entities": entities, **more})

    channels = [
        channel("a", "s3://one/in"),
        channel("b", "s3://two/in"),
        channel("c", "s3://one/x", connection="s3_partner"),
        channel("d", "incoming/d"),
        channel("e", "s3://off/in", enabled=False),
    ]
    configuration = Configuration(
        project=Project(published="s3://one/out"), markets={}, channels={each.code: each for each in channels}, hash=""
    )
    targets = [{"name": "chat", "kind": "webhook", "connection": "http_alerts"}]
    alerts = Alerts.model_validate({"targets": targets, "clock": {"connection": "http_alerts"}})
    assert {conn_id: (use.by, use.buckets) for conn_id, use in uses(configuration, alerts).items()} == {
        "http_alerts": (["alerts to chat", "the clock"], []),
        "s3_default": (["channel a", "channel b", "published files"], ["one", "two"]),
        "s3_partner": (["channel c"], ["one"]),
    }


def test_connections_of_outlets_are_in_use_too() -> None:
    letter = {"code": "letter", "name": "L", "connection": "aws_letter", "sender": "a@example.com",
              "postal_address": "X", "unsubscribe_url": "https://example.com/u"}  # fmt: skip
    events = {"connection": "aws_events", "url": "https://sqs.example.com/1"}
    bounces = {"events": events, "bounces": {"connection": "box"}}
    outlets = [
        SesOutlet.model_validate({**letter, **bounces, "kind": "ses"}),
        MastodonOutlet.model_validate({"code": "toots", "name": "T", "kind": "mastodon", "connection": "toots"}),
        MastodonOutlet.model_validate(
            {"code": "off", "name": "T", "kind": "mastodon", "connection": "off", "enabled": False}
        ),
    ]
    found = uses(Configuration(project=Project(), markets={}, channels={}, hash=""), Alerts(), outlets)
    assert {conn_id: use.by for conn_id, use in found.items()} == {
        "aws_events": ["events of outlet letter"],
        "aws_letter": ["outlet letter"],
        "box": ["bounces of outlet letter"],
        "toots": ["outlet toots"],
    }
    works, told = used(Connection("aws_letter", "aws"), found["aws_letter"])
    assert works and told == "can be read; not tried, since Amazon SES answers no question that every sender may ask"


def test_the_command_lists_and_tries(
    web: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert cli.main(["connections"]) == 0
    assert "docs/connections.md" in capsys.readouterr().out
    port = web["connection"].port
    secret = {"conn_type": "http", "host": f"http://u:sesame@127.0.0.1:{port}/abcdefghijklmnopqrst"}
    monkeypatch.setenv("AIRFLOW_CONN_HOOK", json.dumps(secret))
    monkeypatch.setenv("AIRFLOW_CONN_BROKEN", "{")
    assert cli.main(["connections"]) == 0
    shown = capsys.readouterr().out
    assert f"http://127.0.0.1:{port}" in shown and "is no JSON" in shown
    assert cli.main(["connections", "test", "hook"]) == 0
    assert "hook: ok: answers 200" in capsys.readouterr().out
    web["status"]["HEAD"] = 403
    assert cli.main(["connections", "test", "hook"]) == 1
    assert "hook: failed: answers 403" in (shown := shown + "".join(capsys.readouterr()))
    assert cli.main(["connections", "test", "not_there"]) == 1
    assert "set AIRFLOW_CONN_NOT_THERE" in (shown := shown + "".join(capsys.readouterr()))
    assert "sesame" not in shown and "abcdefgh" not in shown


# Shops and marketplaces


class Account(NamedTuple):
    stand: Any
    channel: ServiceChannel
    connection: Connection


@pytest.fixture(scope="module", params=STANDS, ids=lambda stand: stand.kind)
def served(request: pytest.FixtureRequest) -> Iterator[Account]:
    stand = request.param()
    given = {"code": "web", "name": "Web", "kind": "own", "source": stand.kind, "zone": "UTC"}
    with stand.serve() as connection:
        yield Account(stand, CHANNELS[stand.kind].model_validate({**given, "connection": "account"}), connection)


@pytest.fixture
def account(served: Account) -> Account:
    served.stand.begin()
    return served


def tried(account: Account, **changes: Any) -> tuple[bool, str]:
    return outcome(but(account.connection, **changes), (), [account.channel])


def test_an_account_is_asked_one_small_question(account: Account) -> None:
    works, told = tried(account)
    assert works and told.startswith(("lets us read orders", "gives a token and lets us see reports"))
    (asked,) = account.stand.faults.requests
    assert asked.startswith("GET ")


def test_what_is_wrong_with_an_account_is_named(account: Account) -> None:
    works, told = tried(account, password="wrong-secret-of-mine")
    assert not works and ("not accepted" in told or "client id, secret or refresh token are wrong" in told)
    assert "wrong-secret-of-mine" not in told
    assert tried(account, login=None)[1].startswith("needs the c")
    assert "give a host that begins with https://" in tried(account, host="http://shop.invalid")[1]
    assert "needs `http`" in tried(account, kind="smtp")[1]
    account.stand.faults.always = "html"
    works, told = tried(account)
    assert not works and "NOT_JSON" in told


def test_a_channel_asks_for_its_connection_to_be_tried(account: Account) -> None:
    channels = {"web": account.channel, "off": account.channel.model_copy(update={"code": "off", "enabled": False})}
    configuration = Configuration(project=Project(), markets={}, channels=channels, hash="")
    (use,) = [use for name, use in uses(configuration, Alerts()).items() if name == "account"]
    assert (use.by, use.channels, use.buckets) == (["channel web"], [account.channel], [])


def test_the_command_tries_the_account_of_a_channel(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config"
    shutil.copytree(INCLUDE_DIR / "config", config)
    text = f"code: web\nname: W\nkind: own\nsource: {account.stand.kind}\nconnection: account\nzone: UTC\n"
    (config / "channels" / "web.yml").write_text(text)
    given = {"conn_type": "http", **{name: getattr(account.connection, name) for name in ("host", "login", "password")}}
    monkeypatch.setenv("CARAVAN_CONFIG", str(config))
    monkeypatch.setenv("AIRFLOW_CONN_ACCOUNT", json.dumps({**given, "extra": dict(account.connection.extra)}))
    assert cli.main(["connections", "test"]) == 0
    assert "account: ok: " in capsys.readouterr().out
    monkeypatch.setenv("AIRFLOW_CONN_ACCOUNT", json.dumps({**given, "password": "nope", "extra": {}}))
    assert cli.main(["connections", "test"]) == 1
    assert "account: failed: " in capsys.readouterr().out
