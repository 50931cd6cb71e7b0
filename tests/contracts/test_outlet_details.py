"""What single outlets do beside what all have to keep to, over real HTTP with their stand-ins."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response
from outlets import CONTENT, NOW, QUICK, BlueskyStand, EngineStand, HubStand, MastodonStand, WebhookStand, message
from outlets import WordPressStand as BlogStand

from caravan.clients.posts.call import AGAIN, Call
from caravan.clients.posts.wordpress import WordPress
from caravan.core.connections import Connection
from caravan.core.errors import Misconfigured
from caravan.core.outbox import Accepted, Refused, Unknown
from caravan.core.release import Image
from caravan.demo.servers.serving import serve

SLUG = "spring-sale-fr-fr"


@pytest.fixture
def pictured(tmp_path: Path) -> Any:
    """Content with two images."""
    images = []
    for name in ("a-1f.png", "b-2e.png"):
        data = b"\x89PNG" + name.encode()
        (tmp_path / name).write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        images.append(Image(f"{tmp_path}/{name}", name, "image/png", f"Image {name}", 1, 1, digest))
    return replace(CONTENT, html='<img src="img/a-1f.png" alt="A">', images=tuple(images))


def opened(stand: Any) -> Iterator[tuple[Any, Any]]:
    stand.begin()
    with stand.serve() as connection:
        yield stand, stand.outlet(connection)


@pytest.fixture
def blog() -> Iterator[tuple[Any, Any]]:
    yield from opened(BlogStand())


@pytest.fixture
def toots() -> Iterator[tuple[Any, Any]]:
    yield from opened(MastodonStand())


@pytest.fixture
def sky() -> Iterator[tuple[Any, Any]]:
    yield from opened(BlueskyStand())


def hand_over(outlet: Any, sent: Any = None, content: Any = CONTENT) -> Any:
    return outlet.hand_over(sent or message(), outlet.render(content))


# WordPress


def test_a_correction_is_written_to_the_same_post(blog):
    stand, outlet = blog
    assert hand_over(outlet) == Accepted("101")
    assert hand_over(outlet, message(revision=2), replace(CONTENT, title="Soldes d'été")) == Accepted("101")
    (post,) = stand.state.published
    assert (post["slug"], post["title"], post["excerpt"]) == (SLUG, "Soldes d'été", "Tout à moitié prix.")
    marks = f"<!-- caravan:{message(revision=2).message_id} --><!-- caravan-revision:2 -->"
    assert post["content"]["raw"] == f"<!-- wp:html -->\n{CONTENT.html}\n{marks}\n<!-- /wp:html -->"
    assert outlet.find(message(), outlet.render(CONTENT)) is None, "it holds another message's text now"


def test_an_older_revision_never_takes_a_newer_ones_place(blog):
    stand, outlet = blog
    outdated = Refused("connection wordpress_demo: post 101 is of revision 2")
    hand_over(outlet)
    hand_over(outlet, message(revision=2))
    assert hand_over(outlet) == outdated
    assert hand_over(outlet, message(1, action="withdraw")) == outdated
    assert len(stand.state.published) == 1


def test_what_was_withdrawn_comes_back_only_as_a_newer_revision(blog):
    stand, outlet = blog
    hand_over(outlet)
    hand_over(outlet, message(2, action="withdraw"))
    assert hand_over(outlet) == Refused("connection wordpress_demo: post 101 is of revision 2")
    assert stand.state.published == []
    assert hand_over(outlet, message(revision=3)) == Accepted("101")
    assert outlet.find(message(2, action="withdraw"), outlet.render(CONTENT)) is None
    (post,) = stand.state.published
    assert post["content"]["raw"].count("<!-- caravan-revision:") == 1
    assert "<!-- caravan-revision:3 -->" in post["content"]["raw"]


def test_two_workers_at_once_leave_one_post(blog):
    stand, outlet = blog
    other = {"slug": SLUG, "status": "publish", "title": "x", "content": f"<!-- caravan:{message().message_id} -->"}

    def be_second() -> None:
        stand.state.before_create = lambda: None
        stand.state.create(dict(other))

    stand.state.before_create = be_second
    assert hand_over(outlet) == Accepted("101"), "the older one, which the other worker made"
    assert [(post["id"], post["title"]) for post in stand.state.published] == [(101, "Soldes de printemps")]
    assert stand.state.posts[102]["status"] == "trash"


def test_the_younger_of_two_posts_is_moved_to_the_bin_by_whoever_looks_next(blog):
    stand, outlet = blog
    for _ in range(2):
        given = {"slug": SLUG, "status": "publish", "content": f"<!-- caravan:{message().message_id} -->"}
        stand.state.create(given)
    assert [post["slug"] for post in stand.state.published] == [SLUG, f"{SLUG}-2"]
    assert outlet.find(message(), outlet.render(CONTENT)) == Accepted("101")
    assert len(stand.state.published) == 2, "who looks for evidence changes nothing"
    assert hand_over(outlet) == Accepted("101")
    assert [post["slug"] for post in stand.state.published] == [SLUG]


def test_two_workers_who_both_tidy_up_do_not_mind_each_other(blog):
    stand, outlet = blog
    for _ in range(2):
        stand.state.create({"slug": SLUG, "status": "publish", "content": f"<!-- caravan:{'1' * 32} -->"})

    def be_first(content: Any) -> Any:
        if isinstance(content, list) and len(content) == 2:
            stand.state.update(102, {"status": "trash"})
        return content

    stand.state.change = be_first
    assert hand_over(outlet) == Accepted("101")


def test_a_page_of_somebody_else_is_left_alone(blog):
    stand, outlet = blog
    stand.state.create({"slug": SLUG, "status": "draft", "title": "Ours?", "content": "<p>theirs</p>"})
    outcome = hand_over(outlet)
    assert outcome == Refused(f"connection wordpress_demo: slug {SLUG} is taken by a post that is not ours")
    assert stand.state.posts[101]["content"]["raw"] == "<p>theirs</p>"


def test_who_may_not_publish_is_told_so(blog):
    stand, outlet = blog
    stand.state.may_publish = False
    with pytest.raises(Misconfigured, match=r"answered 403 \(rest_cannot_publish\)"):
        hand_over(outlet)
    assert stand.state.posts == {}


def test_a_plugin_that_keeps_posts_back_is_told_of(blog):
    stand, outlet = blog
    stand.state.moderates = True
    outcome = hand_over(outlet)
    assert isinstance(outcome, Refused) and "post 101 was kept as pending" in outcome.reason


def test_a_post_that_got_no_slug_is_not_left_behind(blog):
    """WordPress gives none to pending posts of who may not publish."""
    stand, outlet = blog
    stand.state.may_publish = False
    outlet.status = "pending"
    for _ in range(2):
        outcome = hand_over(outlet)
        assert isinstance(outcome, Refused) and "get no slug: set status: draft" in outcome.reason
    assert {post["status"] for post in stand.state.posts.values()} == {"trash"}
    outlet.status = "draft"
    assert isinstance(hand_over(outlet), Accepted)
    assert hand_over(outlet) == outlet.find(message(), outlet.render(CONTENT)), "and is found again"


def test_lines_end_where_they_were_to_end(blog):
    """In what is no block WordPress would put a `<br>` there."""
    stand, outlet = blog
    hand_over(outlet, content=replace(CONTENT, html="<p>Tout à\nmoitié prix.</p>"))
    assert "<br" not in stand.state.published[0]["content"]["rendered"]


def test_titles_are_text(blog):
    stand, outlet = blog
    hand_over(outlet, content=replace(CONTENT, title="<script>1</script> d'été", summary="a < b & c"))
    (post,) = stand.state.published
    assert (post["title"], post["excerpt"]) == ("&lt;script&gt;1&lt;/script&gt; d'été", "a &lt; b &amp; c")


def test_tags_are_made_once_whatever_their_case(blog):
    stand, outlet = blog
    hand_over(outlet)
    hand_over(outlet, message(revision=2), replace(CONTENT, tags=("Soldes", "nouveau")))
    assert stand.state.tags == {"soldes": 11, "prix bas": 12, "nouveau": 13}
    assert stand.state.published[0]["tags"] == [11, 13]


def test_an_image_that_the_site_does_not_take_is_refused_for_good(blog, pictured):
    stand, outlet = blog
    stand.state.most_bytes = 11
    outcome = hand_over(outlet, content=pictured)
    assert isinstance(outcome, Refused) and outcome.after is None
    assert "image a-1f.png is not taken (rest_upload_unknown_error)" in outcome.reason


def test_a_post_may_wait_for_an_editor(blog):
    stand, outlet = blog
    outlet.status = "pending"
    assert hand_over(outlet) == Accepted("101")
    assert [post["status"] for post in stand.state.posts.values()] == ["pending"]
    assert outlet.find(message(), outlet.render(CONTENT)) == Accepted("101")
    stand.state.update(101, {"status": "publish"})
    assert outlet.find(message(), outlet.render(CONTENT)) == Accepted("101"), "the editor let it out"
    assert hand_over(outlet) == Accepted("101")
    assert [post["status"] for post in stand.state.posts.values()] == ["publish"]


def test_images_are_put_once_and_linked(blog, pictured):
    stand, outlet = blog
    for revision in (1, 2):
        assert hand_over(outlet, message(revision), pictured) == Accepted("101")
    media = list(stand.state.media.values())
    assert [(item["slug"], item["alt_text"], item["size"]) for item in media] == [
        ("caravan-a-1f-png", "Image a-1f.png", 12),
        ("caravan-b-2e-png", "Image b-2e.png", 12),
    ]
    (post,) = stand.state.published
    assert post["featured_media"] == 501
    assert '<img src="https://site.example/wp-content/uploads/a-1f.png" alt="A">' in post["content"]["raw"]
    described = replace(pictured, images=(replace(pictured.images[0], alt="Better words"),))
    assert hand_over(outlet, message(3), described) == Accepted("101")
    assert [item["alt_text"] for item in stand.state.media.values()] == ["Better words", "Image b-2e.png"]


def test_a_category_is_named_by_its_slug(blog):
    stand, outlet = blog
    outlet.category = "news"
    hand_over(outlet)
    assert stand.state.published[0]["categories"] == [7]
    outlet.category = "nwes"
    with pytest.raises(Misconfigured, match="no category with the slug nwes"):
        hand_over(outlet, message(revision=2))


def test_a_post_is_withdrawn_to_where_it_was_said(blog):
    stand, outlet = blog
    hand_over(outlet)
    private = WordPress("blog", outlet.connection, outlet.clock, withdrawn_status="private")
    assert hand_over(private, message(2, action="withdraw")) == Accepted("101")
    assert stand.state.posts[101]["status"] == "private"
    assert private.find(message(2, action="withdraw"), private.render(CONTENT)) == Accepted("101")
    stand.state.posts.clear()
    assert hand_over(private, message(2, action="withdraw")) == Accepted(None), "nothing there to take back"


def test_a_list_that_shows_nothing_does_not_hide_a_post_that_is_to_go(blog):
    stand, outlet = blog
    hand_over(outlet)
    stand.state.change = lambda content: [] if isinstance(content, list) else content
    assert hand_over(outlet, message(2, action="withdraw", provider_id="101")) == Accepted("101")
    assert stand.state.published == []


# Mastodon


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


# Bluesky


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


# Webhook, hub and search engine


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


# One call


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
    for call in (Call(connection, {"Authorization": "Bearer a\nb"}, QUICK), Call(connection, {"X": "\u20ac"}, QUICK)):
        with pytest.raises(Misconfigured, match="cannot be sent") as failed:
            call.ask("POST", connection.url(), "its address")
        assert "a\nb" not in str(failed.value)
