"""What every outlet for another's service has to keep to, over real HTTP with its stand-in.

A module that takes these tests over says with its own STANDS which outlets they are held against (tests/peers).
"""

from __future__ import annotations

import base64
import logging
import socket
import traceback
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from outlets import CONTENT, HASTY, LIMITS, NOW, STANDS, Stand, message

from caravan.clients.posts.call import AGAIN
from caravan.clients.posts.posting import Posting
from caravan.core.connections import Connection
from caravan.core.errors import Misconfigured
from caravan.core.outbox import Accepted, Refused, Unknown

Kind = type[Stand]


def only(fits: Callable[[Kind], bool]) -> Callable[[Any], Any]:
    """The test is for the outlets that it says."""

    def marked(test: Any) -> Any:
        test.fits = fits
        return test

    return marked


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    fits = getattr(metafunc.function, "fits", lambda kind: True)
    kinds = [kind for kind in metafunc.module.STANDS if fits(kind)]
    if "mutation" in metafunc.fixturenames:
        pairs = [(kind, name) for kind in kinds for name in kind().mutations]
        metafunc.parametrize(("kind", "mutation"), pairs, ids=[f"{kind.kind}: {name}" for kind, name in pairs])
    elif "kind" in metafunc.fixturenames:
        metafunc.parametrize("kind", kinds, ids=lambda kind: kind.kind)


@pytest.fixture(scope="module")
def served(request: pytest.FixtureRequest) -> Iterator[dict[Kind, tuple[Stand, Connection]]]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            patch.delenv(name, raising=False)
        stands: dict[Kind, tuple[Stand, Connection]] = {}
        contexts = []
        for kind in request.module.STANDS:
            stand = kind()
            context = stand.serve()
            stands[kind] = stand, context.__enter__()
            contexts.append(context)
        yield stands
        for context in contexts:
            context.__exit__(None, None, None)


@pytest.fixture
def stand(served, kind) -> Stand:
    found = served[kind][0]
    found.begin()
    return found


@pytest.fixture
def connection(served, kind) -> Connection:
    return served[kind][1]


@pytest.fixture
def outlet(stand, connection) -> Posting:
    return stand.outlet(connection)


def hand_over(outlet: Posting, sent: Any = None) -> Any:
    return outlet.hand_over(sent or message(), outlet.render(CONTENT))


def withdrawal(stand: Stand) -> Any:
    given = {"provider_id": stand.provider_id} if stand.provider_id else {}
    return message(revision=2, action="withdraw", **given)


# When all is well


def test_what_each_declares():
    declared = {kind.kind: (kind.is_repeatable, kind.has_evidence) for kind in STANDS}
    assert declared == {
        "wordpress": (True, True),
        "mastodon": (False, True),
        "bluesky": (True, True),
        "webhook": (True, False),
        "webhook without ids": (False, False),
        "websub": (True, False),
        "indexnow": (True, False),
    }


def test_it_is_accepted_once(stand, outlet):
    assert (outlet.is_repeatable, outlet.has_evidence) == (stand.is_repeatable, stand.has_evidence)
    assert outlet.check(outlet.render(CONTENT)) == []
    assert hand_over(outlet) == Accepted(stand.provider_id or None)
    assert stand.public() == 1


def test_what_was_accepted_is_found_if_it_can_be(stand, outlet):
    before = outlet.find(message(), outlet.render(CONTENT))
    assert not isinstance(before, Accepted)
    hand_over(outlet)
    found = outlet.find(message(), outlet.render(CONTENT))
    assert found == (Accepted(stand.provider_id or None) if stand.has_evidence else None)
    assert not isinstance(outlet.find(message(revision=3), outlet.render(CONTENT)), Accepted)


@only(lambda kind: kind.is_repeatable)
def test_handing_over_again_leaves_one_post(stand, connection):
    for _ in range(3):
        assert isinstance(hand_over(stand.outlet(connection)), Accepted)
    assert stand.public() == 1


def test_withdrawn_it_is_gone_however_often_that_is_asked(stand, outlet):
    hand_over(outlet)
    assert isinstance(hand_over(outlet, withdrawal(stand)), Accepted)
    assert stand.withdrawn()
    if stand.is_repeatable or stand.has_evidence:
        assert isinstance(hand_over(outlet, withdrawal(stand)), Accepted)


@only(lambda kind: kind.has_evidence)
def test_a_withdrawal_without_an_answer_is_unknown_and_then_found(stand, outlet):
    hand_over(outlet)
    assert outlet.find(withdrawal(stand), outlet.render(CONTENT)) is None
    fresh = stand.outlet(outlet.connection)
    stand.fail("lost", withdrawal=True)
    assert isinstance(hand_over(fresh, withdrawal(stand)), Unknown)
    assert stand.withdrawn()
    assert fresh.find(withdrawal(stand), outlet.render(CONTENT)) == Accepted(stand.provider_id or None)


def test_an_action_that_nobody_knows_is_refused(stand, outlet):
    outcome = hand_over(outlet, message(action="unpublish"))
    assert outcome == Refused("the message asks for an action that is neither publish nor withdraw")
    assert stand.faults.requests == []


# The embargo


def test_nothing_leaves_before_the_embargo_ends(stand, outlet):
    ends = NOW + timedelta(seconds=1)
    assert hand_over(outlet, message(embargo=ends)) == Refused(
        "under embargo until 2026-11-20T10:00:01Z", timedelta(seconds=1)
    )
    assert stand.faults.requests == []
    stand.now = ends
    assert isinstance(hand_over(outlet, message(embargo=ends)), Accepted)


# When it fails


def test_a_lost_answer_is_unknown_and_then_found(stand, outlet):
    stand.fail("lost")
    outcome = hand_over(outlet)
    assert isinstance(outcome, Unknown) and "no answer (" in outcome.reason  # how it is noticed is the machine's affair
    assert stand.public() == 1
    found = outlet.find(message(), outlet.render(CONTENT))
    assert found == (Accepted(stand.provider_id or None) if stand.has_evidence else None)


@pytest.mark.parametrize(
    ("fault", "told", "is_done"),
    [
        ("down", "answered 500", False),
        ("broken", "answered 502", True),
        ("busy_until", "answered 503", False),
        ("elsewhere", "answered 302", False),
        ("html", "", True),
        ("cut", "", True),
        ("error_body", "internal_error", True),
        ("endless", "", True),
        ("dripping", "was still sending after 1 s", True),
    ],
)
def test_what_says_neither_yes_nor_no_is_unknown(stand, connection, fault, told, is_done):
    stand.fail(fault)
    outcome = hand_over(stand.outlet(connection, HASTY if fault == "dripping" else LIMITS))
    assert isinstance(outcome, Unknown), outcome
    assert told in outcome.reason
    assert stand.public() == int(is_done)


def test_too_many_requests_are_refused_for_so_long_as_it_says(stand, outlet):
    stand.faults.wait_seconds = 42
    stand.fail("busy")
    outcome = hand_over(outlet)
    assert isinstance(outcome, Refused) and outcome.after == timedelta(seconds=42)
    assert stand.public() == 0


@pytest.mark.parametrize(("fault", "told"), [("denied", "answered 401"), ("moved", "is redirected to 127.0.0.1")])
def test_an_account_that_is_not_let_in_is_misconfigured(stand, outlet, fault, told):
    stand.fail(fault)
    with pytest.raises(Misconfigured, match=told):
        hand_over(outlet)
    assert stand.public() == 0


def test_a_wrong_key_is_seen(stand, connection):
    if connection.password is None:
        assert stand.kind == "websub", "a hub knows no keys"
        return
    outlet = stand.outlet(replace(connection, password="wrong-0123456789"))
    if stand.wrong_key == "refused":
        outcome = hand_over(outlet)
        assert isinstance(outcome, Refused) and "does not find the key" in outcome.reason
    else:
        with pytest.raises(Misconfigured, match="its password or rights are not accepted"):
            hand_over(outlet)
    assert stand.public() == 0


@only(lambda kind: kind.before > 0)
@pytest.mark.parametrize("fault", ["lost", "down", "html", "cut", "endless", "error_body"])
def test_a_failure_before_anything_was_published_is_no_doubt(stand, outlet, fault):
    stand.faults.next(fault)
    outcome = hand_over(outlet)
    assert isinstance(outcome, Refused) and outcome.after == AGAIN
    assert stand.public() == 0


def test_nobody_at_the_address(stand, connection):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        host = f"http://127.0.0.1:{closed.getsockname()[1]}"
    outcome = hand_over(stand.outlet(replace(connection, host=host)))
    assert isinstance(outcome, Refused) and outcome.after == AGAIN
    assert "no connection (ConnectionError)" in outcome.reason


def test_no_such_host(stand, connection, monkeypatch):
    def unknown(*arguments: Any, **named: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    outcome = hand_over(stand.outlet(replace(connection, host="https://no-such.invalid/x")))
    assert isinstance(outcome, Refused) and outcome.after == AGAIN


def test_a_server_that_speaks_no_tls(stand, connection):
    host = (connection.host or "").replace("http://", "https://")
    outcome = hand_over(stand.outlet(replace(connection, host=host)))
    assert isinstance(outcome, Refused) and outcome.after == AGAIN
    assert "no connection (SSLError)" in outcome.reason
    assert stand.faults.requests == []


def test_no_secret_goes_in_the_clear(stand, connection):
    with pytest.raises(Misconfigured, match="in the clear"):
        hand_over(stand.outlet(replace(connection, host="http://service.example.com")))


def test_silence_is_unknown_where_it_may_have_been_published(stand, connection):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"http://127.0.0.1:{silent.getsockname()[1]}"
        outcome = hand_over(stand.outlet(replace(connection, host=host), HASTY))
    assert isinstance(outcome, Refused if stand.before else Unknown)
    assert "no answer (ReadTimeout)" in outcome.reason


# Answers that are not as documented


def test_an_answer_that_is_not_as_documented_is_never_accepted(stand, outlet, mutation):
    stand.state.change = stand.mutations[mutation]
    outcome = hand_over(outlet)
    assert isinstance(outcome, Unknown | Refused), outcome
    assert outcome.reason


def test_nor_is_it_evidence(stand, outlet, mutation):
    stand.state.change = stand.mutations[mutation]
    assert not isinstance(outlet.find(message(), outlet.render(CONTENT)), Accepted)


@only(lambda kind: kind.has_evidence)
def test_the_answer_to_another_message_is_not_accepted(stand, outlet):
    first: list[Any] = []

    def repeated(content: Any) -> Any:
        if stand.tells(content):
            first.append(deepcopy(content))
        return first[0] if stand.tells(content) else content

    stand.state.change = repeated
    assert isinstance(hand_over(outlet), Accepted)
    assert isinstance(hand_over(outlet, message(revision=2)), Unknown)


# Secrets


@pytest.mark.parametrize("fault", ["ok", "lost", "denied", "down", "busy", "html", "cut", "error_body", "moved"])
def test_no_secret_is_told(stand, outlet, connection, caplog, fault):
    stand.fail(fault)
    stand.faults.always = fault
    told = [repr(outlet)]
    with caplog.at_level(logging.DEBUG):
        for act in (hand_over, lambda outlet: outlet.find(message(), outlet.render(CONTENT))):
            try:
                told.append(repr(act(outlet)))
            except Misconfigured as error:
                told.append("".join(traceback.format_exception(error)))
    # urllib3 logs paths at DEBUG, as of every client.
    told += [record.getMessage() for record in caplog.records if "caravan" in record.name or record.levelno >= 20]
    basic = base64.b64encode(f"{connection.login}:{connection.password}".encode()).decode()
    assert not [secret for secret in {*stand.secrets(connection), basic} if secret in "".join(told)]
    assert str(outlet.render(CONTENT)).count(connection.password or "no password") == 0
