"""What a WordPress site does beside what all outlets have to keep to, over real HTTP with its stand-in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from outlets import CONTENT, hand_over, message, opened, with_images
from outlets import WordPressStand as BlogStand

from caravan.clients.posts.wordpress import WordPress
from caravan.core.errors import Misconfigured
from caravan.core.outbox import Accepted, Message, Refused
from caravan.core.release import Content

SLUG = "spring-sale-fr-fr"


@pytest.fixture
def pictured(tmp_path: Path) -> Content:
    return with_images(tmp_path)


@pytest.fixture
def blog() -> Iterator[tuple[Any, Any]]:
    yield from opened(BlogStand())


def test_a_correction_is_written_to_the_same_post(blog):
    stand, outlet = blog
    assert hand_over(outlet) == Accepted("101")
    assert hand_over(outlet, message(revision=2), replace(CONTENT, title="Soldes d'été")) == Accepted("101")
    (post,) = stand.state.published
    assert (post["slug"], post["title"], post["excerpt"]) == (SLUG, "Soldes d'été", "Tout à moitié prix.")
    marks = f"<!-- caravan:{message(revision=2).message_id} --><!-- caravan-revision:2 -->"
    marks += f"<!-- caravan-release:{message().key.object_id} -->"
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


def test_another_release_that_comes_to_the_same_slug_is_refused_and_changes_nothing(blog):
    stand, outlet = blog

    def of_another(revision: int = 1, action: str = "publish") -> Message:
        intention = message(revision, action=action).intention
        key = replace(intention.key, object_id=f"{intention.key.object_id}_")
        return Message(replace(intention, key=key), "handed_over", 1, intention.planned_for)

    hand_over(outlet)
    before = stand.state.posts[101]["content"]["raw"]
    taken = Refused(f"connection wordpress_demo: slug {SLUG} is taken by a post that is of another release")
    assert hand_over(outlet, of_another(revision=2)) == taken
    assert hand_over(outlet, of_another(3, action="withdraw")) == Accepted(None)
    assert outlet.find(of_another(), outlet.render(CONTENT)) is None
    (post,) = stand.state.published
    assert post["content"]["raw"] == before


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
