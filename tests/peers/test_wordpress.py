"""Releases on a real WordPress: what its visitors see, and what its rights, filters and addresses make of them."""

from __future__ import annotations

import hashlib
import json
import re
import struct
import threading
import urllib.error
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from blog import Blog
from outlets import CONTENT, NOW, message
from release_world import ReleaseWorld
from wordpress_stand import Traffic, between

from caravan.clients.posts.call import AGAIN
from caravan.clients.posts.wordpress import WordPress
from caravan.core.connections import Connection
from caravan.core.errors import Misconfigured
from caravan.core.outbox import Accepted, Refused, Unknown
from caravan.core.release import Content, Image
from caravan.demo.servers.serving import serve

SLUG = "spring-sale-fr-fr"


def png(side: int = 2) -> bytes:
    """A red square."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\xff\0\0" * side) * side)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.fixture(autouse=True)
def site(blog: Blog) -> Iterator[Blog]:
    blog.empty()
    yield blog
    blog.remove_plugins()
    blog.permalinks()


@pytest.fixture
def pictured(tmp_path: Path) -> Content:
    path = tmp_path / "pot-1f.png"
    path.write_bytes(png())
    digest = hashlib.sha256(png()).hexdigest()
    image = Image(str(path), path.name, "image/png", "Un pot & sa tasse", 2, 2, digest)
    html = '<p>Tout à\nmoitié prix.</p>\n<p><img src="img/pot-1f.png" alt="Un pot"></p>'
    return replace(CONTENT, html=html, images=(image,))


def outlet(blog: Blog, user: str = "editor", password: str | None = None, url: str = "", **given: Any) -> WordPress:
    secret = password or blog.passwords.get(user)
    return WordPress(
        "blog",
        Connection("wordpress_peer", "http", host=url or blog.url, login=user, password=secret),
        lambda: NOW,
        **given,
    )


def hand_over(to: WordPress, sent: Any = None, content: Content = CONTENT) -> Any:
    return to.hand_over(sent or message(), to.render(content))


def kept(blog: Blog, kind: str = "post") -> list[list[str]]:
    return blog.sql(f"SELECT ID, post_name, post_status FROM wp_posts WHERE post_type = '{kind}' ORDER BY ID")


# What visitors see


def test_published_twice_it_is_one_post_with_one_image(site, pictured):
    blog = outlet(site, category="news")
    first = hand_over(blog, content=pictured)
    assert isinstance(first, Accepted)
    assert hand_over(blog, content=pictured) == first == blog.find(message(), blog.render(pictured))
    (post,) = site.public()
    (media,) = kept(site, "attachment")
    assert (str(post["id"]), post["slug"], post["featured_media"]) == (first.provider_id, SLUG, int(media[0]))
    page = site.page(f"/{SLUG}/")
    for shown in ("<title>Soldes de printemps", "Tout à\nmoitié prix.", ">News</a>", ">prix bas</a>", ">soldes</a>"):
        assert shown in page
    address = post["content"]["rendered"].partition('src="')[2].partition('"')[0]
    assert address.startswith(f"{site.url}/wp-content/uploads/") and site.read(address) == png()
    assert site.sql("SELECT meta_value FROM wp_postmeta WHERE meta_key = '_wp_attachment_image_alt'") == [
        ["Un pot & sa tasse"]
    ]


def test_a_release_from_its_files(site, tmp_path: Path, monkeypatch):
    """Planned, approved and sent as its steps do it, again and again; corrected; taken back."""
    world = ReleaseWorld(tmp_path, monkeypatch)
    world.controller.stop()
    editor = {"conn_type": "http", "host": site.url, "login": "editor", "password": site.passwords["editor"]}
    monkeypatch.setenv("AIRFLOW_CONN_BLOG", json.dumps(editor))
    account = "code: blog\nname: Blog\nkind: wordpress\nconnection: blog\ncategory: news\n"
    (world.config / "outlets" / "blog.yml").write_text(account)
    (world.folder / "pot.png").write_bytes(png())
    english = world.folder / "en-GB.md"
    english.write_text(english.read_text() + "\n![A pot](pot.png)\n")
    release = world.folder / "release.yml"
    written = re.sub(r"(?m)^(list|purpose):.*\n", "", release.read_text())
    written = written.replace("[site, letter]", "[blog]").replace("audience: customer", "audience: public")

    def go(more: str = "") -> list[str]:
        release.write_text(written + more)
        world.approve()
        for _ in range(2):
            world.plan()
            world.send()
        return sorted(post["slug"] for post in site.public())

    assert go() == ["autumn-de-de", "autumn-en-gb"]
    first = kept(site), kept(site, "attachment")
    assert len(first[1]) == 1 and 'alt="A pot"' in site.page("/autumn-en-gb/")
    english.write_text(english.read_text().replace("Autumn teapots", "Teapots"))
    assert go("revision: 2\n") == ["autumn-de-de", "autumn-en-gb"]
    assert (kept(site), kept(site, "attachment")) == first
    assert "<title>Teapots" in site.page("/autumn-en-gb/")
    assert go("revision: 3\naction: withdraw\n") == []
    assert set(world.states().values()) == {"accepted"}


def test_whose_answer_was_lost_is_found_and_stays_one(site):
    traffic = Traffic()
    with serve(between(traffic, site.url)) as url:
        blog = outlet(site, url=url)
        traffic.faults.next("ok", "ok", "ok", "lost")  # a look, two tags, the post
        assert isinstance(hand_over(blog), Unknown)
        assert blog.find(message(), blog.render(CONTENT)) == Accepted("101")
        assert hand_over(blog) == Accepted("101")
    assert kept(site) == [["101", SLUG, "publish"]]


def test_it_is_corrected_and_taken_back(site):
    blog = outlet(site)
    hand_over(blog)
    assert hand_over(blog, message(2), replace(CONTENT, title="Soldes d'été")) == Accepted("101")
    assert "<title>Soldes d&#8217;été" in site.page(f"/{SLUG}/")
    assert hand_over(blog, message(3, action="withdraw")) == Accepted("101")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        site.page(f"/{SLUG}/")
    assert hand_over(blog, message(4)) == Accepted("101")
    assert kept(site) == [["101", SLUG, "publish"]]


def test_it_shows_what_was_approved(site):
    """No line ends but where one was to end, and a title is text."""
    written = '<p>a\nb</p><pre><code>if (a &lt; b) { x = "\\n"; }</code></pre><ul>\n<li>1</li>\n</ul>'
    hand_over(outlet(site), content=replace(CONTENT, html=written, title="<b>5</b> < 6 & so", summary="<i>x</i>"))
    (post,) = site.public()
    assert post["content"]["rendered"].strip().startswith(written)
    assert post["title"]["rendered"] == "&lt;b&gt;5&lt;/b&gt; &lt; 6 &amp; so"
    assert post["excerpt"]["rendered"] == "<p>&lt;i&gt;x&lt;/i&gt;</p>\n"


@pytest.mark.parametrize("structure", ["", "/%postname%/", "/%year%/%monthnum%/%postname%/"])
def test_whatever_its_permalinks(site, structure):
    site.permalinks(structure)
    for _ in range(2):
        assert hand_over(outlet(site)) == Accepted("101")
    assert len(site.public()) == 1


def test_each_language_has_a_post_of_its_own(site):
    blog = outlet(site)
    for locale in ("pt-BR", "pt-PT", "zh-Hans-CN", "ar-EG"):
        given = replace(CONTENT, locale=locale, title="春の茶碗 😀", direction="rtl" if locale == "ar-EG" else "ltr")
        assert hand_over(blog, content=given) == hand_over(blog, content=given)
    slugs = {post["slug"]: post for post in site.public()}
    assert set(slugs) == {f"spring-sale-{tag}" for tag in ("pt-br", "pt-pt", "zh-hans-cn", "ar-eg")}
    assert '<div dir="rtl" lang="ar-EG">' in slugs["spring-sale-ar-eg"]["content"]["rendered"]
    assert slugs["spring-sale-ar-eg"]["title"]["rendered"] == "春の茶碗 😀"


# Who may


@pytest.mark.parametrize(
    ("user", "password", "told"),
    [
        ("editor", "abcd EFGH 1234 ijkl MNOP 5678", "400 (rest_invalid_param)"),
        ("nobody", "abcd EFGH 1234 ijkl MNOP 5678", "400 (rest_invalid_param)"),
        ("editor", "another", "400 (rest_invalid_param)"),  # that of the person, with which one logs in to the site
        ("subscriber", None, "400 (rest_invalid_param)"),
        ("contributor", None, "403 (rest_cannot_publish)"),
    ],
)
def test_who_may_not_is_told_so(site, user, password, told):
    with pytest.raises(Misconfigured) as error:
        hand_over(outlet(site, user, password))
    assert f"answered {told}: its password or rights are not accepted" in str(error.value)
    assert kept(site) == []


def test_a_password_may_have_its_blanks(site):
    secret = site.passwords["author"]
    spaced = " ".join(secret[at : at + 4] for at in range(0, 24, 4))
    assert hand_over(outlet(site, "author", spaced)) == Accepted("101")


def test_who_may_not_publish_can_still_hand_in_drafts(site):
    pending, draft = (outlet(site, "contributor", status=status) for status in ("pending", "draft"))
    for _ in range(2):
        outcome = hand_over(pending)
        assert isinstance(outcome, Refused) and "get no slug: set status: draft" in outcome.reason
    for _ in range(2):
        assert isinstance(hand_over(draft), Accepted)
    assert [status for _, _, status in kept(site)] == ["trash", "trash", "draft"]
    assert site.public() == []


# Filters and plugins


@pytest.mark.parametrize("user", ["administrator", "editor", "author"])
def test_filters_leave_what_we_find_it_by(site, user):
    """Of authors WordPress keeps no script, and no event."""
    blog = outlet(site, user)
    given = replace(CONTENT, html='<p onclick="x()">a</p><script>1</script>')
    assert hand_over(blog, content=given) == hand_over(blog, content=given) == Accepted("101")
    assert ("<script>" in site.public()[0]["content"]["rendered"]) == (user != "author")


def test_a_plugin_that_takes_comments_out_leaves_one_post_and_a_doubt(site):
    site.add_plugin(
        "no_comments", "add_filter('content_save_pre', fn($text) => preg_replace('/<!--.*?-->/', '', $text));"
    )
    blog = outlet(site)
    outcome = hand_over(blog)
    assert isinstance(outcome, Unknown) and "does a plugin take comments out" in outcome.reason
    assert hand_over(blog) == Refused(f"connection wordpress_peer: slug {SLUG} is taken by a post that is not ours")
    assert len(kept(site)) == 1


def test_a_plugin_that_keeps_posts_back_is_told_of(site):
    code = "add_filter('wp_insert_post_data', fn($post) => ['post_status' => 'pending'] + $post);"
    site.add_plugin("moderation", code)
    outcome = hand_over(outlet(site))
    assert isinstance(outcome, Refused) and "post 101 was kept as pending" in outcome.reason


@pytest.mark.parametrize("size", [3_000_000, 9_000_000, 0], ids=["too large for PHP", "than its form", "no image"])
def test_an_image_that_the_site_does_not_take_is_refused_for_good(site, pictured, size):
    (image,) = pictured.images
    approved = png() + bytes(size) if size else b"\x89PNG"
    Path(image.path).write_bytes(approved)
    image = replace(image, sha256=hashlib.sha256(approved).hexdigest())
    outcome = hand_over(outlet(site), content=replace(pictured, images=(image,)))
    assert isinstance(outcome, Refused) and outcome.after is None, outcome
    assert "rest_upload" in outcome.reason
    assert kept(site) == []


def test_a_site_under_maintenance_is_for_later(site):
    note = site.jail.path("/usr/share/wordpress/.maintenance")
    note.write_text("<?php $upgrading = time(); ?>")
    try:
        outcome = hand_over(outlet(site))
    finally:
        note.unlink()
    assert isinstance(outcome, Refused) and outcome.after == AGAIN and "answered 503" in outcome.reason


# Others at the same time


def test_two_workers_at_once_leave_one_post(site):
    """Both have looked before either wrote: WordPress itself then makes two, be it of one slug."""
    site.add_plugin("slow", "add_filter('wp_insert_post_data', function ($post) { usleep(300000); return $post; });")
    outcomes: list[Any] = []
    workers = [threading.Thread(target=lambda: outcomes.append(hand_over(outlet(site)))) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert [type(outcome) for outcome in outcomes] == [Accepted, Accepted]
    assert sorted(status for _, _, status in kept(site)) == ["publish", "trash"], "two were made"
    assert len(site.public()) == 1


def test_what_an_editor_changed_stays_until_there_is_a_newer_revision(site):
    blog = outlet(site)
    hand_over(blog)
    site.sql("UPDATE wp_posts SET post_content = REPLACE(post_content, 'Tout', 'Presque tout') WHERE ID = 101")
    assert hand_over(blog) == Accepted("101")
    assert "Presque tout" in site.public()[0]["content"]["rendered"]
    assert hand_over(blog, message(2)) == Accepted("101")
    assert "Presque tout" not in site.public()[0]["content"]["rendered"]


def test_a_post_of_somebody_else_is_left_alone(site):
    theirs = {"slug": SLUG, "status": "draft", "title": "Ours?", "content": "theirs"}
    outlet(site, "administrator")._ask("POST", "/posts", json=theirs)
    outcome = hand_over(outlet(site))
    assert outcome == Refused(f"connection wordpress_peer: slug {SLUG} is taken by a post that is not ours")
    assert site.sql("SELECT post_content, post_status FROM wp_posts") == [["theirs", "draft"]]


def test_what_was_moved_to_the_bin_is_made_anew(site):
    blog = outlet(site)
    hand_over(blog)
    blog._ask("DELETE", "/posts/101")
    assert blog.find(message(), blog.render(CONTENT)) is None
    assert isinstance(hand_over(blog, message(2)), Accepted)
    assert len(site.public()) == 1
