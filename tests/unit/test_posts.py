"""Wording, keys, signatures and limits of posts, without a service."""

from __future__ import annotations

import hashlib
import hmac
import re
import ssl
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import regex
import requests
import urllib3

from caravan.clients.posts.bluesky import Bluesky, _read, facets, record, record_key, shown, tid
from caravan.clients.posts.call import _never_left
from caravan.clients.posts.indexnow import IndexNow, list_faults
from caravan.clients.posts.mastodon import Mastodon, composed, counted
from caravan.clients.posts.posting import embargoed, image_faults
from caravan.clients.posts.webhook import Webhook, signature
from caravan.clients.posts.websub import WebSub, url_faults
from caravan.clients.posts.wording import addresses, graphemes, has_mark, marked
from caravan.clients.posts.wordpress import WordPress, _linked, slug
from caravan.core.connections import Connection
from caravan.core.outbox import Intention, Key, Message, Refused
from caravan.core.release import Content, Image, Outlet

NOW = datetime(2026, 11, 20, 10)
ID = "0123456789abcdef0123456789abcdef"
CONNECTION = Connection("posts", "http", host="https://service.example", password="a-password")
CONTENT = Content(
    "spring-sale", 2, "news", "FR", "fr-FR", "Soldes", "Tout à moitié prix.", "<p>x</p>", "x", NOW, NOW, "a" * 64
)


def clock() -> datetime:
    return NOW


def outlets() -> list[Outlet]:
    return [kind("code", CONNECTION, clock) for kind in (WordPress, Mastodon, Bluesky, Webhook)]


def message(embargo: datetime | None = None, **payload: Any) -> Message:
    key = Key("release", "spring-sale", 1, "sky", "page")
    return Message(Intention(key, NOW, NOW, "a" * 64, embargo, payload=payload), "handed_over", 1, NOW)


# Characters

FAMILY = "👩\u200d👩\u200d👧\u200d👦"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        ("abc", 3),
        ("e\u0301te\u0301", 3),
        (FAMILY, 1),
        ("👍🏽👍", 2),
        ("🇸🇪🇩🇪", 2),
        ("🇸🇪🇩", 2),
        ("🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f", 1),
        ("❤\ufe0f a", 3),
        ("1\ufe0f\u20e3", 1),
        ("한국", 2),
        ("\u1112\u1161\u11ab\u1100\u116e\u11a8", 2),
        ("กำ", 1),
        ("नि", 1),
        ("a\u200d👦", 2),
        ("a\r\nb\n\u0301", 5),
        ("שָׁלוֹם", 4),
    ],
)
def test_graphemes_are_counted_as_readers_do(text, expected):
    assert graphemes(text) == expected == len(regex.findall(r"\X", text))


def test_where_the_count_of_graphemes_errs_it_is_too_many():
    """Letters of Devanagari that are joined by a virama: one by Unicode 15.1, two here."""
    assert graphemes("क्षि") == 2 >= len(regex.findall(r"\X", "क्षि"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("See https://example.com/a, and (https://example.com/b).", ["https://example.com/a", "https://example.com/b"]),
        ("https://example.com/wiki/A_(b)!", ["https://example.com/wiki/A_(b)"]),
        ("example.com, ftp://example.com", []),
    ],
)
def test_addresses_end_before_the_punctuation(text, expected):
    assert [text[begin:end] for begin, end in addresses(text)] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        ("https://a.example", 23),
        (f"à https://example.com/{'x' * 300} b", 2 + 23 + 2),
        (f"{FAMILY} https://a.example https://b.example.", 1 + 1 + 23 + 1 + 23 + 1),
    ],
)
def test_every_link_counts_23_on_mastodon(text, expected):
    assert counted(text) == expected


# The mark


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.example/x", "https://a.example/x?c=0123456789"),
        ("https://a.example/x?y=1#z", "https://a.example/x?y=1&c=0123456789#z"),
    ],
)
def test_a_link_is_marked_with_its_message(url, expected):
    assert marked(url, ID) == expected
    assert has_mark(f'<a href="{expected.replace("&", "&amp;")}">', ID)


@pytest.mark.parametrize("text", ["c=0123456789", "?c=01234567890", "?abc=0123456789", "?c=0123456788"])
def test_another_mark_is_not_taken_for_it(text):
    assert not has_mark(text, ID)


# Bluesky's records


def test_a_tid_is_as_others_write_it():
    """Examples of atproto.com/specs/tid and imlunahey.com/labs/tid."""
    assert tid(0, 0) == "2222222222222"
    assert tid(1_777_133_079_938_938, 362) == "3mkdg6z7lvufe"
    assert tid(1_781_544_068_269_269, 362) == "3modsapilapfe"


def test_a_record_has_one_key_for_ever():
    key, bits = record_key(NOW, ID), 0
    assert key == record_key(NOW.replace(microsecond=999), ID) == "3n2qdbeqo5jza"
    for character in key:
        bits = bits * 32 + "234567abcdefghijklmnopqrstuvwxyz".index(character)
    micros, number = bits >> 10, int(ID, 16)
    assert datetime(1970, 1, 1) + timedelta(microseconds=micros - number % 1_000_000) == NOW
    assert bits % 1024 == number // 1_000_000 % 1024
    keys = [record_key(NOW + timedelta(seconds=n), f"{n * 7919:032x}") for n in range(1000)]
    assert keys == sorted(set(keys))
    assert len({record_key(NOW, hashlib.sha256(b"%d" % n).hexdigest()[:32]) for n in range(2000)}) == 2000
    assert all(re.fullmatch("[2-7a-j][2-7a-z]{12}", key) for key in keys)


def test_facets_count_bytes():
    text = f"{FAMILY} é https://a.example/ü. Ça\n\nb.example/x"
    found = facets(text, "https://b.example/x?c=0123456789")
    encoded = text.encode()
    cut = [encoded[each["index"]["byteStart"] : each["index"]["byteEnd"]].decode() for each in found]
    assert cut == ["https://a.example/ü", "b.example/x"]
    assert [each["index"]["byteStart"] for each in found] == [len(FAMILY.encode()) + 4, len(encoded) - 11]
    uris = [each["features"] for each in found]
    assert uris == [
        [{"$type": "app.bsky.richtext.facet#link", "uri": uri}]
        for uri in ("https://a.example/ü", "https://b.example/x?c=0123456789")
    ]


def test_a_record_has_a_card_of_its_link():
    outlet = Bluesky("sky", CONNECTION, clock)
    payload = outlet.render(replace(CONTENT, url="https://b.example/x/?utm_source=y", tags=("prix",)))
    sent = message()
    made = record(sent, payload, [({"alt": "a"}, {"$type": "blob"})])
    uri = f"https://b.example/x/?utm_source=y&c={sent.message_id[:10]}"
    assert made == {
        "$type": "app.bsky.feed.post",
        "text": "Soldes\n\nTout à moitié prix.\n\nb.example/x",
        "createdAt": "2026-11-20T10:00:00.000Z",
        "langs": ["fr-FR"],
        "facets": [
            {
                "index": {"byteStart": 31, "byteEnd": 42},
                "features": [{"$type": "app.bsky.richtext.facet#link", "uri": uri}],
            }
        ],
        "tags": ["prix"],
        "embed": {
            "$type": "app.bsky.embed.external",
            "external": {
                "uri": uri,
                "title": "Soldes",
                "description": "Tout à moitié prix.",
                "thumb": {"$type": "blob"},
            },
        },
    }
    assert made == record(sent, payload, [({"alt": "a"}, {"$type": "blob"})])


def test_without_a_link_a_record_has_its_images():
    payload = Bluesky("sky", CONNECTION, clock).render(CONTENT)
    made = record(message(), payload, [({"alt": "a"}, {"$type": "blob"})])
    assert made["embed"] == {
        "$type": "app.bsky.embed.images",
        "images": [{"image": {"$type": "blob"}, "alt": "a"}],
    }
    assert "facets" not in made and shown("https://a.example/?x=1") == "a.example"


# Limits


def test_what_is_too_long_is_said_and_not_cut():
    long = replace(CONTENT, title="x" * 300, summary="👍🏽" * 250, url="https://a.example/x", tags=("prix bas",))
    toots, sky = Mastodon("toots", CONNECTION, clock), Bluesky("sky", CONNECTION, clock)
    assert toots.render(long)["text"] == f"{'x' * 300}\n\n{'👍🏽' * 250}"
    length = 300 + 2 + 250 + 2 + 23 + 2 + len("#prixbas")
    assert toots.check(toots.render(long)) == [f"has {length} characters, and at most 500 are taken; a link counts 23"]
    toots.max_characters = length
    assert toots.check(toots.render(long)) == []
    assert sky.check(sky.render(long)) == ["has 565 characters, and at most 300 are taken"]
    assert sky.check(sky.render(replace(CONTENT, summary="x" + "e\u0301" * 280 + "\u0301" * 1500))) == [
        "has 3849 bytes, and at most 3000 are taken"
    ]
    many = sky.check(sky.render(replace(CONTENT, tags=(*"abcdefgh", "x" * 65))))
    assert many == ["has 9 tags, and at most 8 are taken", f"its tag {'x' * 65} is longer than 64 characters"]


def test_a_status_is_its_text_link_and_tags():
    outlet = Mastodon("toots", CONNECTION, clock)
    payload = outlet.render(replace(CONTENT, url="https://a.example/x", tags=("prix bas", "été", "!")))
    assert composed(payload, "LINK") == "Soldes\n\nTout à moitié prix.\n\nLINK\n\n#prixbas #été"
    assert payload["language"] == "fr"
    without = outlet.check(outlet.render(CONTENT))
    assert without == ["has no page of its own to link to: what became of a lost answer could not be seen"]


def test_images_are_checked_where_they_go(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(b"x" * 11)
    images = [
        {"path": f"{tmp_path}/a.png", "name": "a.png", "media_type": "image/png", "alt": "A"},
        {"path": f"{tmp_path}/a.png", "name": "b.png", "media_type": "image/png", "alt": " "},
        {"path": f"{tmp_path}/c.png", "name": "c.png", "media_type": "image/tiff", "alt": "long alt"},
    ]
    assert image_faults(images[:1], 1, 11, 5, ["image/png"]) == []
    assert image_faults(images, 2, 10, 5, ["image/png"]) == [
        "has 3 images, and at most 2 are taken",
        "image a.png has 11 bytes, and at most 10 are taken",
        "image b.png has no alt text",
        "image b.png has 11 bytes, and at most 10 are taken",
        "image c.png has an alt text of 8 characters, and at most 5 are taken",
        "image c.png is image/tiff; taken are image/png",
        "image c.png has no file",
    ]


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (None, "picture a.png cannot be read: No such file or directory"),
        (b"other", "picture a.png is not what was approved: put it back, or approve it under a new revision"),
    ],
)
def test_a_picture_that_is_not_what_was_approved_stops_its_post_before_anything_leaves(tmp_path: Path, now, told):
    path, digest = tmp_path / "a.png", hashlib.sha256(b"approved").hexdigest()
    image = Image(str(path), "a-1f.png", "image/png", "A", 1, 1, digest)
    if now:
        path.write_bytes(now)
    for outlet in outlets()[:3]:
        payload = outlet.render(replace(CONTENT, url="https://a.example/x", images=(image,)))
        assert outlet.hand_over(message(), payload) == Refused(told, timedelta(minutes=1))


@pytest.mark.parametrize(
    ("urls", "place", "expected"),
    [
        (["https://a.example/x"], "https://a.example/k.txt", []),
        ([], "https://a.example/k.txt", ["there is no address of a page to tell"]),
        (["/x"], "https://a.example/k.txt", ["/x is no address of a page", "/x is not on a.example, where the key is"]),
        (["https://b.example/x"], "", ["the connection's extra key_location is no address"]),
        (
            ["https://a.example/x"] * 10_001,
            "https://a.example/k.txt",
            ["there are 10001 pages, and at most 10000 are taken at once"],
        ),
    ],
)
def test_pages_told_to_search_engines(urls, place, expected):
    assert list_faults(urls, place) == expected


def test_an_outlet_for_crawled_sites_alone_takes_no_release():
    outlet = IndexNow("search", CONNECTION, clock)
    assert outlet.check(outlet.render(replace(CONTENT, url="https://a.example/x"))) == [
        "its file names no `site`: it tells of crawled sites alone"
    ]
    assert outlet.check({"origin": "https://a.example", "urls": ["https://a.example/x"]}) == []


def test_feeds_told_to_hubs():
    assert url_faults(["https://a.example/feed.xml"], "feed") == []
    assert url_faults(["feed.xml"], "feed") == ["feed.xml is no address of a feed"]


# WordPress


@pytest.mark.parametrize(
    ("release", "locale", "expected"),
    [("spring-sale", "fr-FR", "spring-sale-fr-fr"), ("2026_Q4.News", "zh-Hant-TW", "2026-q4-news-zh-hant-tw")],
)
def test_slugs_are_as_wordpress_keeps_them(release, locale, expected):
    assert slug(release, locale) == expected


def test_images_in_the_text_lead_to_where_they_were_put():
    html = '<img src="images/a-1f.png" alt="a"><img src="ba-1f.png"><a href="a-1f.png">'
    assert _linked(html, "a-1f.png", "https://w.example/a?x&y") == (
        '<img src="https://w.example/a?x&amp;y" alt="a"><img src="ba-1f.png"><a href="a-1f.png">'
    )


def test_right_to_left_is_said_and_posts_are_checked():
    outlet = WordPress("blog", CONNECTION, clock)
    payload = outlet.render(replace(CONTENT, locale="ar", direction="rtl"))
    assert payload["html"] == '<div dir="rtl" lang="ar"><p>x</p></div>'
    wrong = replace(CONTENT, release_id="x" * 200, title=" ", html=f"<p><!-- caravan:{ID} --></p>")
    assert outlet.check(outlet.render(wrong)) == [
        "has no title",
        f"its slug {'x' * 200}-fr-fr is longer than 190 characters",
        "its text holds a comment that begins with caravan, which is how posts are found",
    ]


# Webhook


def test_the_signature_is_of_time_and_body():
    body = '{"a":"é"}'.encode()
    expected = hmac.digest(b"key", b"1790000000." + body, "sha256").hex()
    assert signature("key", "1790000000", body) == f"sha256={expected}"
    assert signature("key", "1790000001", body) != signature("key", "1790000000", body)


def test_the_documented_verification_works():
    text = (Path(__file__).resolve().parents[2] / "docs/outlets/webhook.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    genuine, body = names["is_genuine"], b'{"a":1}'
    headers = {"Caravan-Timestamp": "1790000000", "Caravan-Signature": signature("key", "1790000000", body)}
    assert genuine("key", headers, body, 1_790_000_299.0)
    assert not genuine("key", headers, body, 1_790_000_301.0)
    assert not genuine("other", headers, body, 1_790_000_000.0)
    assert not genuine("key", headers, body + b" ", 1_790_000_000.0)
    assert not genuine("key", headers | {"Caravan-Timestamp": "x"}, body, 1_790_000_000.0)


# What never left


def test_the_embargo_ends_at_its_moment():
    sent = message(embargo=NOW)
    assert embargoed(sent, NOW) is None
    assert embargoed(sent, NOW - timedelta(seconds=5)) == Refused(
        "under embargo until 2026-11-20T10:00:00Z", timedelta(seconds=5)
    )


def tls(reason: str) -> Exception:
    error = ssl.SSLError()
    error.reason = reason
    pool: Any = None
    return requests.exceptions.SSLError(urllib3.exceptions.MaxRetryError(pool, "/", urllib3.exceptions.SSLError(error)))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (requests.exceptions.ConnectTimeout(), True),
        (requests.exceptions.ProxyError(), True),
        (requests.exceptions.ReadTimeout(), False),
        (requests.exceptions.ConnectionError(), False),
        (requests.exceptions.ChunkedEncodingError("x"), False),
        (tls("CERTIFICATE_VERIFY_FAILED"), True),
        (tls("WRONG_VERSION_NUMBER"), True),
        (tls("UNEXPECTED_EOF_WHILE_READING"), False),
        (ConnectionResetError(), False),
    ],
)
def test_only_what_certainly_never_left_is_refused(error, expected):
    assert _never_left(error) is expected


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://b.example/shop/fr-FR/spring-sale/", ["https://b.example/shop/feed.rss"]),
        ("https://a.example/fr-FR/spring-sale/", ["https://a.example/feed.rss"]),
        ("https://a.example.net/fr-FR/spring-sale/", ["https://a.example/feed.rss", "https://b.example/shop/feed.rss"]),
        (None, ["https://a.example/feed.rss", "https://b.example/shop/feed.rss"]),
    ],
)
def test_a_hub_is_told_of_the_feeds_beside_the_page(url, told):
    feeds = ["https://a.example/feed.rss", "https://b.example/shop/feed.rss"]
    assert WebSub("hub", CONNECTION, clock, feeds=feeds).render(replace(CONTENT, url=url)) == {"urls": told}


@pytest.mark.parametrize(
    ("change", "links", "locale"),
    [
        (
            {"embed": {"external": {"uri": "https://a.example/"}}, "langs": ["fr", "de"]},
            ("https://a.example/",),
            "fr, de",
        ),
        ({}, (), None),
        ({"embed": None, "langs": None}, (), None),
        ({"embed": [], "langs": "fr"}, (), None),
        ({"embed": {"external": None}}, (), None),
        ({"embed": {"external": {"uri": 7}}}, (), None),
    ],
)
def test_a_record_that_somebody_else_has_put_there_is_read(change, links, locale):
    found = _read({"text": "Soldes", "createdAt": "2026-11-20T10:00:00.000Z", **change}, "Soldes")
    assert (found.links, found.locale, found.text) == (links, locale, "Soldes")
