"""What receivers, hubs and search engines are told, and what the status of one call means, over real HTTP."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from fastapi import FastAPI, Request, Response
from outlets import CONTENT, LIMITS, NOW, EngineStand, HubStand, WebhookStand, hand_over, message, opened

from caravan.clients.posts.call import AGAIN, Call
from caravan.core.connections import Connection
from caravan.core.errors import Misconfigured
from caravan.core.outbox import Accepted, Refused, Unknown
from caravan.demo.servers.serving import serve


def test_a_receiver_gets_what_it_can_verify():
    for stand, outlet in opened(WebhookStand()):
        assert hand_over(outlet) == Accepted("r1")
        assert hand_over(outlet) == Accepted(None), "409: there already"
        (taken,) = stand.state.taken
        assert taken == {
            "message_id": message().message_id,
            "action": "publish",
            "release": outlet.render(CONTENT),
        }
        assert (taken["release"]["published_at"], taken["release"]["locale"]) == ("2026-11-20T10:00:00Z", "fr-FR")
        stand.now = NOW - timedelta(minutes=6)
        later = stand.outlet(outlet.connection)
        later.clock = lambda: NOW
        with pytest.raises(Misconfigured):
            hand_over(later)
        unsigned = stand.outlet(replace(outlet.connection, password=None))
        with pytest.raises(Misconfigured, match="the key that messages are signed with"):
            hand_over(unsigned)


@pytest.mark.parametrize(("stand", "status"), [(HubStand(), 204), (HubStand(), 200), (EngineStand(), 200)])
def test_those_who_are_told_answer_in_several_ways(stand, status):
    for _, outlet in opened(stand):
        stand.state.status = status
        assert hand_over(outlet) == Accepted()
        assert stand.state.told == outlet.render(CONTENT)["urls"]


def test_only_pages_given_are_told_and_only_with_a_key():
    for stand, outlet in opened(EngineStand()):
        assert outlet.render(CONTENT) == {"urls": [CONTENT.url]}
        elsewhere = hand_over(outlet, content=replace(CONTENT, url="https://shop.example.com/x"))
        assert isinstance(elsewhere, Refused) and "is not on www.example.com" in elsewhere.reason
        assert isinstance(hand_over(outlet, content=replace(CONTENT, url=None)), Refused)
        for password in (None, "short", "with_underscore", "x" * 129):
            with pytest.raises(Misconfigured, match="its password is no key"):
                hand_over(stand.outlet(replace(outlet.connection, password=password)))
        assert stand.faults.requests == []
        stand.state.status = 204
        assert isinstance(hand_over(outlet), Unknown), "a yes that IndexNow does not know"


def answering(status: int, headers: dict[str, str] | None = None) -> FastAPI:
    app = FastAPI()

    @app.post("/")
    async def say(request: Request) -> Response:
        return Response(json.dumps({"code": "some_word"}), status, headers)

    return app


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (400, {}, Refused("connection one: POST its address answered 400 (some_word)")),
        (422, {}, Refused("connection one: POST its address answered 422 (some_word)")),
        (408, {}, Refused("connection one: POST its address answered 408 (some_word)", AGAIN)),
        (425, {}, Refused("connection one: POST its address answered 425 (some_word)", AGAIN)),
        (429, {}, Refused("connection one: POST its address answered 429 (some_word)", AGAIN)),
        (
            429,
            {"Retry-After": "Fri, 20 Nov 2026 10:01:00 GMT", "Date": "Fri, 20 Nov 2026 10:00:00 GMT"},
            Refused("connection one: POST its address answered 429 (some_word)", timedelta(minutes=1)),
        ),
        (303, {"Location": "/done"}, Unknown("connection one: POST its address answered 303 (some_word)")),
        (503, {"Retry-After": "5"}, Unknown("connection one: POST its address answered 503 (some_word)")),
        (504, {}, Unknown("connection one: POST its address answered 504 (some_word)")),
    ],
)
def test_what_a_status_means(status, headers, expected):
    stand = HubStand()
    with serve(answering(status, headers)) as url:
        outlet = stand.outlet(Connection("one", "http", host=url))
        assert outlet.hand_over(message(), outlet.render(CONTENT)) == expected


def test_a_key_that_is_repeated_as_an_error_is_hidden():
    app = FastAPI()

    @app.post("/")
    async def say(request: Request) -> Response:
        return Response(json.dumps({"error": "a-secret-key"}), 400)

    with serve(app) as url:
        outlet = HubStand().outlet(Connection("one", "http", host=url, password="a-secret-key"))
        outcome = outlet.hand_over(message(), outlet.render(CONTENT))
    assert outcome == Refused("connection one: POST its address answered 400 (***)")


def test_a_password_that_no_header_can_hold_is_misconfigured():
    connection = Connection("one", "http", host="http://127.0.0.1:1", password="a\nb")
    for call in (Call(connection, {"Authorization": "Bearer a\nb"}, LIMITS), Call(connection, {"X": "\u20ac"}, LIMITS)):
        with pytest.raises(Misconfigured, match="cannot be sent") as failed:
            call.ask("POST", connection.url(), "its address")
        assert "a\nb" not in str(failed.value)
