"""What opens Search Console to a client: keys, and what connections of sites are tried for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from search_world import DAY, Service, begun, counted, searches, truth

from caravan.assembly.trials import Use, uses
from caravan.assembly.trials import tried as used
from caravan.clients.http.limits import Limits
from caravan.config.alerts import Alerts
from caravan.config.search import SearchConsoleSource
from caravan.config.types import Configuration, Project
from caravan.core.connections import Connection
from caravan.core.errors import Misconfigured, Retryable
from caravan.demo.servers.search_console import PROPERTY, Console, serve_console

SEARCHES = searches()


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Console, Connection]]:
    console = Console()
    with serve_console(console) as connection:
        yield console, connection


@pytest.fixture
def service(served: tuple[Console, Connection], tmp_path: Path) -> Service:
    return begun(*served, tmp_path)


def test_the_key_of_a_user_opens_it_too(service, tmp_path):
    console = Console(faults=service.console.faults)
    console.put(DAY, *SEARCHES)
    with serve_console(console, as_user=True) as connection:
        found, _ = replace(service, console=console, connection=connection).day()
    assert counted(found) == truth(SEARCHES)


def test_a_key_as_text_is_read_as_well(service):
    service.console.put(DAY, SEARCHES[0])
    text = json.dumps(service.connection.extra["keyfile_dict"])
    assert service.days(connection=replace(service.connection, extra={"keyfile_dict": text}))


def test_what_a_small_question_shows(service):
    with service.open() as client:
        assert client.probe() == f"lets us read {PROPERTY} (SITE_RESTRICTED_USER)"
    tried = Use(by=["search data of demo"], properties=[PROPERTY, PROPERTY])
    seen = f"lets us read {PROPERTY} (SITE_RESTRICTED_USER)"
    assert used(service.connection, tried) == (True, f"{seen}; {seen}")
    assert used(service.connection, Use()) == (True, "is let in, to 1 properties")
    works, told = used(service.connection, Use(properties=["sc-domain:other.example"]))
    assert not works and "answered 403 (forbidden): its key, secret or rights are not accepted" in told


def test_which_connections_sites_ask_for():
    source = SearchConsoleSource(property_url=PROPERTY, connection="search_console_demo")
    configuration = Configuration(project=Project(), markets={}, channels={}, hash="")
    found = uses(configuration, Alerts(), (), {"demo": source, "shop": source})
    assert found["search_console_demo"].by == ["search data of demo", "search data of shop"]
    assert found["search_console_demo"].properties == [PROPERTY, PROPERTY]


def key(connection: Connection, **changes: Any) -> Connection:
    return replace(connection, extra={"keyfile_dict": {**connection.extra["keyfile_dict"], **changes}})


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda given: replace(given, extra={}), "needs the extra keyfile_dict"),
        (lambda given: replace(given, extra={"keyfile_dict": "no json"}), "needs the extra keyfile_dict"),
        (
            lambda given: replace(given, kind="aws"),
            "is of the type 'aws'; Search Console needs `google_cloud_platform`",
        ),
        (lambda given: replace(given, host="http://search.example"), "sends its secrets in the clear"),
        (lambda given: key(given, token_uri="http://token.example/"), "would send its key in the clear"),
        (lambda given: key(given, type="external_account"), "neither service_account nor authorized_user"),
        (lambda given: key(given, private_key="-----BEGIN NONSENSE-----"), "has no key of a service account"),
        (lambda given: key(given, type="authorized_user"), "lacks client_id, client_secret, refresh_token"),
        (lambda given: key(given, client_email="other@demo.example"), r"is given no access token \(invalid_grant\)"),
    ],
)
def test_keys_that_open_nothing(service, change, word):
    with pytest.raises(Misconfigured, match=word) as failed:
        service.days(connection=change(service.connection))
    secret = service.connection.extra["keyfile_dict"]["private_key"]
    assert secret[40:80] not in str(failed.value)
    assert secret[40:80] not in repr(service.connection)


def test_a_place_for_tokens_that_does_not_answer(service):
    with pytest.raises(Retryable, match="is given no access token: the place that gives them does not answer"):
        service.days(
            connection=key(service.connection, token_uri="http://127.0.0.1:1/token"), limits=Limits(attempts=1)
        )


def test_the_address_is_googles_unless_the_connection_says_otherwise(service):
    with service.open(replace(service.connection, host=None)) as client:
        assert client.caller.connection.url() == "https://searchconsole.googleapis.com"
