"""Feeds, sitemaps and indexes of the own site: read by the programs that readers have, and by strict parsers."""

from __future__ import annotations

import json
import random
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import timedelta
from typing import Any

import feedparser
import pytest
import site_case as case

from caravan.clients.site import sitemaps
from caravan.clients.site.lists import build
from caravan.clients.site.manifest import Entry, page_url
from caravan.clients.site.sitemaps import alternates_there, write_news, write_sitemaps

NS = {
    "s": "http://www.sitemaps.org/schemas/sitemap/0.9",
    "x": "http://www.w3.org/1999/xhtml",
    "n": "http://www.google.com/schemas/sitemap-news/0.9",
    "a": "http://www.w3.org/2005/Atom",
}
EVIL = "]]></title><script>x</script> & \x0b\x00\ufffe <b>"
CLEAN = "]]></title><script>x</script> &  <b>"


def series(count: int, locale: str = "de-DE", **given: Any) -> list[Entry]:
    """An hour apart; `r-1` the newest."""
    return [
        case.entry(locale, f"r-{number}", published_at=case.NOW - timedelta(hours=number), **given)
        for number in range(1, count + 1)
    ]


def locations(sitemap: bytes) -> list[str]:
    return [str(found.text) for found in ET.fromstring(sitemap).iterfind(".//s:loc", NS)]


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return build(case.SITE, [*series(3), *series(2, "en-GB")], case.NOW)


@pytest.mark.parametrize("folder", ["", "de-DE/"])
@pytest.mark.parametrize(("name", "version"), [("feed.rss", "rss20"), ("feed.atom", "atom10")])
def test_a_feed_reader_finds_each_entry_newest_first(
    files: dict[str, bytes], folder: str, name: str, version: str
) -> None:
    found = feedparser.parse(files[folder + name])
    assert (found.bozo, found.version, found.feed.title) == (False, version, "Example & Sons")
    oldest = found.entries[-1]
    expected = ["de-DE"] * 3 if folder else ["en-GB", "de-DE", "en-GB", "de-DE", "de-DE"]
    assert [entry.id.rpartition("/")[2] for entry in found.entries] == expected
    assert oldest.id == "tag:news.example.com,2026:release/r-3/de-DE"
    assert oldest.link == "https://news.example.com/press/de-DE/r-3/"
    assert oldest.title == "Größer & schöner"
    assert oldest.summary == "Was sich für unsere Kunden zum Winter ändert."
    assert oldest.published_parsed[:5] == (2026, 11, 22, 9, 0)
    (link,) = [link.href for link in found.feed.links if link.rel == "self"]
    assert link == f"https://news.example.com/press/{folder}{name}"


def test_feeds_name_their_hub_and_a_file_shows_the_key() -> None:
    told = build(replace(case.SITE, hub="https://hub.example.com/", indexnow_key="abc-12345"), series(1), case.NOW)
    for name in ("feed.rss", "de-DE/feed.atom"):
        found = feedparser.parse(told[name]).feed.links
        assert [link.href for link in found if link.rel == "hub"] == ["https://hub.example.com/"], name
    assert json.loads(told["feed.json"])["hubs"] == [{"type": "WebSub", "url": "https://hub.example.com/"}]
    assert told["abc-12345.txt"] == b"abc-12345"
    plain = build(case.SITE, series(1), case.NOW)
    assert b"hub" not in plain["feed.rss"] + plain["feed.atom"] + plain["feed.json"]


def test_the_json_feed_holds_the_same(files: dict[str, bytes]) -> None:
    found = json.loads(files["de-DE/feed.json"])
    assert found["version"] == "https://jsonfeed.org/version/1.1"
    assert found["feed_url"] == "https://news.example.com/press/de-DE/feed.json"
    assert [item["id"] for item in found["items"]] == [
        f"tag:news.example.com,2026:release/r-{number}/de-DE" for number in (1, 2, 3)
    ]
    assert found["items"][0] == {
        "id": "tag:news.example.com,2026:release/r-1/de-DE",
        "url": "https://news.example.com/press/de-DE/r-1/",
        "title": "Größer & schöner",
        "content_text": "Was sich für unsere Kunden zum Winter ändert.",
        "date_published": "2026-11-22T11:00:00Z",
        "date_modified": "2026-11-22T09:00:00Z",
        "language": "de-DE",
        "tags": ["winter"],
    }
    assert len(json.loads(files["feed.json"])["items"]) == 5


def test_a_correction_changes_when_an_entry_was_updated_and_not_its_id() -> None:
    def entry_of(revision: int) -> Any:
        files = build(case.SITE, [case.entry(revision=revision)], case.NOW)
        return feedparser.parse(files["feed.atom"]).entries[0]

    before, after = entry_of(1), entry_of(2)
    assert (before.id, before.published) == (after.id, after.published)
    assert (before.updated, after.updated) == ("2026-11-22T09:00:00Z", "2026-11-22T10:00:00Z")


def test_the_order_of_reading_changes_no_byte() -> None:
    entries = [*series(30), *series(25, "en-GB"), case.entry(release_id="r-99", is_withdrawn=True)]
    shuffled = random.Random(7).sample(entries, len(entries))
    assert build(case.SITE, shuffled, case.NOW) == build(case.SITE, entries, case.NOW)


def test_what_cannot_be_in_xml_is_left_out_and_everything_else_is_text() -> None:
    files = build(case.SITE, [case.entry(title=EVIL, summary=EVIL, author=EVIL, tags=(EVIL,))], case.NOW)
    for path, content in files.items():
        if path.endswith(("rss", "atom", "xml")):
            ET.fromstring(content)
            assert not re.search(rb"<script|<b>", content)
    atom = ET.fromstring(files["feed.atom"])
    assert atom.findtext("a:entry/a:title", namespaces=NS) == CLEAN
    assert b"<script>" not in files["de-DE/index.html"]


def test_every_language_of_a_release_names_every_other() -> None:
    entries = [case.entry(locale) for locale in ("de-DE", "en-GB")]
    (sitemap,) = write_sitemaps(case.SITE, entries).values()
    named = {}
    for url in ET.fromstring(sitemap).iterfind("s:url", NS):
        links = url.iterfind("x:link[@rel='alternate']", NS)
        named[url.findtext("s:loc", namespaces=NS)] = {link.get("hreflang"): link.get("href") for link in links}
    german, english = (page_url(case.SITE.base_url, locale, "r-1") for locale in ("de-DE", "en-GB"))
    expected = {"de-DE": german, "en-GB": english, "x-default": english}
    assert named == {german: expected, english: expected}


@pytest.mark.parametrize(
    ("locales", "more", "tags"),
    [
        (["de-DE"], {}, []),  # the English one is not published: nothing leads there
        (["de-DE", "en-GB"], {"fr-FR": "https://exemple.example/x/"}, ["de-DE", "en-GB", "fr-FR", "x-default"]),
        (["en-GB"], {}, ["en-GB", "x-default"]),
        (["de-DE", "en-GB", "sv-SE"], {}, ["de-DE", "en-GB", "sv-SE", "x-default"]),  # one that the others do not know
    ],
)
def test_languages_are_named_as_they_are_there(locales: list[str], more: dict[str, str], tags: list[str]) -> None:
    said = {tag: page_url(case.SITE.base_url, tag, "r-1") for tag in ("de-DE", "en-GB")}
    said |= {"x-default": said["en-GB"], **more}
    entries = [case.entry(locale, alternates=said) for locale in locales]
    found = alternates_there(case.SITE, entries)
    assert len(found) == len(locales)
    assert [list(each) for each in found.values()] == [tags] * len(locales)


def test_more_than_fifty_thousand_pages_are_two_sitemaps_and_an_index() -> None:
    assert (sitemaps.MOST_URLS, sitemaps.MOST_BYTES) == (50_000, 52_428_800)
    one = case.entry(alternates={})
    entries = [
        Entry(**{**vars(one), "release_id": f"r-{number}", "url": page_url(case.SITE.base_url, "de-DE", f"r-{number}")})
        for number in range(50_001)
    ]
    found = write_sitemaps(case.SITE, entries)
    assert list(found) == ["sitemap-1.xml", "sitemap-2.xml", "sitemap.xml"]
    assert locations(found["sitemap.xml"]) == [case.SITE.url("sitemap-1.xml"), case.SITE.url("sitemap-2.xml")]
    assert ET.fromstring(found["sitemap.xml"]).tag == f"{{{NS['s']}}}sitemapindex"
    first, second = locations(found["sitemap-1.xml"]), locations(found["sitemap-2.xml"])
    assert (len(first), second) == (50_000, [case.SITE.url("de-DE/r-50000/")])
    assert list(write_sitemaps(case.SITE, entries[:50_000])) == ["sitemap.xml"]


@pytest.mark.parametrize(
    ("most_urls", "most_bytes", "sizes"), [(3, 10**9, [3, 3, 1]), (7, 10**9, []), (10**9, 400, [2, 2, 2, 1])]
)
def test_a_sitemap_is_split_by_count_and_by_size(most_urls: int, most_bytes: int, sizes: list[int]) -> None:
    found = write_sitemaps(case.SITE, [*series(7, alternates={})], most_urls, most_bytes)
    index = found.pop("sitemap.xml")
    assert [len(locations(part)) for part in found.values()] == sizes
    assert all(len(part) <= most_bytes for part in found.values())
    assert len(locations(index)) == (len(sizes) or 7)


def test_news_are_two_days_old_at_most() -> None:
    ages = {"now": timedelta(), "young": timedelta(days=2, seconds=-1), "old": timedelta(days=2)}
    entries = [case.entry("zh-Hant-TW", name, published_at=case.NOW - age) for name, age in ages.items()]
    entries.append(case.entry(release_id="sale", kind="offer", published_at=case.NOW))
    root = ET.fromstring(write_news(case.SITE, entries, case.NOW))
    assert [str(loc.text).split("/")[-2] for loc in root.iterfind("s:url/s:loc", NS)] == ["now", "young"]
    news = root.find("s:url/n:news", NS)
    assert news is not None
    said = {child.tag.partition("}")[2]: child.text for child in news.iter() if child.text and child.text.strip()}
    assert said == {
        "name": "Example & Sons",
        "language": "zh-tw",
        "publication_date": "2026-11-22T12:00:00Z",
        "title": "Größer & schöner",
    }


def test_an_index_page_shows_twenty_and_leads_to_the_next() -> None:
    files = build(case.SITE, series(41), case.NOW)
    pages = [files[f"de-DE/{name}"].decode() for name in ("index.html", "page-2.html", "page-3.html")]
    shown = [re.findall(r"/press/de-DE/(r-\d+)/", page) for page in pages]
    numbers = [f"r-{number}" for number in range(1, 42)]
    assert shown == [numbers[:20], numbers[20:40], numbers[40:]]
    leads = [re.findall(r'<a rel="(\w+)" href="([^"]+)"', page) for page in pages]
    assert leads == [
        [("next", "page-2.html")],
        [("prev", "./"), ("next", "page-3.html")],
        [("prev", "page-2.html")],
    ]
    assert "de-DE/page-4.html" not in files


def test_what_was_withdrawn_is_in_no_list_but_its_own() -> None:
    entries = [*series(1), case.entry(release_id="gone", is_withdrawn=True, title="", updated_at=case.NOW)]
    files = build(case.SITE, entries, case.NOW)
    assert files["withdrawn.txt"] == b"/de-DE/gone/\n"
    assert sorted(path for path, content in files.items() if b"gone" in content) == ["withdrawn.txt"]
    assert feedparser.parse(files["feed.atom"]).feed.updated == "2026-11-22T12:00:00Z"


def test_a_site_of_withdrawn_pages_has_empty_lists() -> None:
    files = build(case.SITE, [case.entry(is_withdrawn=True)], case.NOW)
    assert feedparser.parse(files["de-DE/feed.rss"]).entries == []
    assert locations(files["sitemap.xml"]) == []
    assert sorted(build(case.SITE, [], case.NOW)) == ["news-sitemap.xml", "sitemap.xml", "withdrawn.txt"]
