"""What Mastodon and Bluesky do beside what all outlets have to keep to, over real HTTP with their stand-ins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from outlets import CONTENT, NOW, BlueskyStand, MastodonStand, hand_over, message, opened, with_images

from caravan.clients.posts.call import AGAIN
from caravan.core.outbox import Accepted, Refused
from caravan.core.release import Content


@pytest.fixture
def pictured(tmp_path: Path) -> Content:
    return with_images(tmp_path)


@pytest.fixture
def toots() -> Iterator[tuple[Any, Any]]:
    yield from opened(MastodonStand())


@pytest.fixture
def sky() -> Iterator[tuple[Any, Any]]:
    yield from opened(BlueskyStand())


def test_a_status_is_as_it_was_meant(toots, pictured):
    stand, outlet = toots
    stand.state.polls = 3
    outlet.visibility = "unlisted"
    assert hand_over(outlet, content=pictured) == Accepted("116001")
    (status,) = stand.state.statuses
    link = f"https://www.example.com/fr/soldes?utm_source=x&amp;c={message().message_id[:10]}"
    assert f'<a href="{link}">' in status["content"] and "#soldes #prixbas" in status["content"]
    assert (status["language"], status["visibility"]) == ("fr", "unlisted")
    assert [item["description"] for item in status["media_attachments"]] == ["Image a-1f.png", "Image b-2e.png"]
    assert list(stand.state.keys) == [message().message_id]


def test_an_image_that_is_never_ready_is_for_later(toots, pictured):
    stand, outlet = toots
    stand.state.polls = 1000
    outcome = hand_over(outlet, content=pictured)
    assert isinstance(outcome, Refused) and outcome.after == AGAIN
    assert stand.public() == 0


def test_a_status_is_found_behind_many_others(toots):
    stand, outlet = toots
    hand_over(outlet)
    for _ in range(90):
        stand.state.post({"status": "another one"}, None)
    stand.faults.requests.clear()
    assert outlet.find(message(), outlet.render(CONTENT)) == Accepted("116001")
    assert len(stand.faults.requests) == 1 + 3
    stand.now = NOW + timedelta(hours=2)
    assert isinstance(outlet.find(message(revision=2), outlet.render(CONTENT)), Refused)


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [
        (4, None),
        (6, Refused("is not among the account's own statuses", timedelta(0))),
        (40, Refused("is not among the account's own statuses")),
    ],
)
def test_absence_is_evidence_after_a_while(toots, minutes, expected):
    stand, outlet = toots
    stand.now = NOW + timedelta(minutes=minutes - 1)
    assert outlet.find(message(), outlet.render(CONTENT)) == expected


def test_a_list_that_goes_in_circles_is_no_evidence(toots):
    stand, outlet = toots
    stand.state.post({"status": "another one"}, None)
    stand.state.change = lambda content: [{**stand.state.statuses[0]}] if isinstance(content, list) else content
    stand.now = NOW + timedelta(hours=2)
    stand.state.post({"status": "later"}, None)
    assert outlet.find(message(), outlet.render(CONTENT)) is None


def test_a_withdrawal_needs_the_id_of_what_was_posted(toots, sky):
    for _, outlet in (toots, sky):
        outcome = hand_over(outlet, message(2, action="withdraw"))
        assert outcome == Refused("the message does not say under which id the post was accepted")
        assert isinstance(hand_over(outlet, message(2, action="withdraw", provider_id="../x/y")), Refused)


def test_it_logs_in_once_an_hour(sky):
    stand, outlet = sky
    for minute, logins in ((0, 1), (59, 1), (61, 2)):
        stand.now = NOW + timedelta(minutes=minute)
        hand_over(outlet)
        assert stand.faults.requests.count("POST /xrpc/com.atproto.server.createSession") == logins
    assert (stand.state.writes, len(stand.state.records)) == (3, 1)


def test_a_card_has_the_first_image(sky, pictured):
    stand, outlet = sky
    assert isinstance(hand_over(outlet, content=pictured), Accepted)
    (record,) = stand.state.records.values()
    thumb = record["embed"]["external"]["thumb"]
    assert (thumb["mimeType"], thumb["size"], thumb["ref"]["$link"] in stand.state.blobs) == ("image/png", 12, True)
    assert isinstance(hand_over(outlet, message(2), replace(pictured, url=None)), Accepted)
    embed = stand.state.records.popitem()[1]["embed"]
    assert [image["alt"] for image in embed["images"]] == ["Image a-1f.png", "Image b-2e.png"]


def test_a_blob_of_another_size_is_not_used(sky, pictured):
    stand, outlet = sky
    stand.state.change = lambda content: {"blob": {**content["blob"], "size": 1}} if "blob" in content else content
    outcome = hand_over(outlet, content=pictured)
    assert isinstance(outcome, Refused) and "no blob of the size that was sent" in outcome.reason
    assert stand.public() == 0
