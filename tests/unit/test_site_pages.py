"""A page of the own site: what it says to readers, search engines and other sites, and what cannot break out of it."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import site_case as case

import caravan
from caravan.clients.site.consistency import read_page
from caravan.clients.site.faults import Limits
from caravan.clients.site.page import render_page, render_withdrawn
from caravan.clients.site.store import FolderStore
from caravan.core.release import Content

EVIL = "</script></title><script>alert(1)</script>\"'><img src=x onerror=alert(1)>&amp;"


class Page(HTMLParser):
    """Elements with their attributes, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.data: dict[str, list[str]] = {}
        self._last = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.found.append((tag, dict(attrs)))
        self._last = tag

    def handle_data(self, data: str) -> None:
        self.data.setdefault(self._last, []).append(data)

    def all(self, tag: str, **attributes: str) -> list[dict[str, str | None]]:
        return [given for name, given in self.found if name == tag and attributes.items() <= given.items()]

    def meta(self, name: str) -> str | None:
        (found,) = [given for given in self.all("meta") if name in (given.get("name"), given.get("property"))]
        return found["content"]

    @property
    def linked_data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.data["script"][0])
        return found


def page_of(content: Content) -> Page:
    return Page(render_page(case.SITE, content))


def faults(tmp_path: Path, limits: Limits | None = None, **given: Any) -> list[str]:
    made = case.outlet(FolderStore(tmp_path / "site"))
    made.limits = limits or Limits()
    return list(made.check(made.render(case.content(**given))))


def test_the_head_says_where_what_and_in_which_languages(tmp_path: Path) -> None:
    image = case.picture(tmp_path)
    page = page_of(case.content(images=(image,), author="Eva Maier"))
    url = "https://news.example.com/press/de-DE/r-1/"
    assert page.all("html") == [{"lang": "de-DE", "dir": "ltr"}]
    assert page.all("link", rel="canonical") == [{"rel": "canonical", "href": url}]
    alternates = [(link["hreflang"], link["href"]) for link in page.all("link") if "hreflang" in link]
    other = url.replace("de-DE", "en-GB")
    assert alternates == [("de-DE", url), ("en-GB", other), ("x-default", other)]
    expected = {
        "description": "Was sich für unsere Kunden zum Winter ändert.",
        "og:title": "Größer & schöner",
        "og:description": "Was sich für unsere Kunden zum Winter ändert.",
        "og:url": url,
        "og:image": url + image.name,
        "og:locale": "de_DE",
        "og:locale:alternate": "en_GB",
        "og:site_name": "Example & Sons",
        "caravan-revision": "1",
    }
    assert {name: page.meta(name) for name in expected} == expected
    assert page.linked_data == {
        "@context": "https://schema.org",
        "@type": "NewsArticle",
        "headline": "Größer & schöner",
        "description": "Was sich für unsere Kunden zum Winter ändert.",
        "inLanguage": "de-DE",
        "mainEntityOfPage": url,
        "datePublished": "2026-11-22T09:00:00Z",
        "dateModified": "2026-11-22T09:00:00Z",
        "image": [url + image.name],
        "keywords": ["winter"],
        "author": {"@type": "Person", "name": "Eva Maier"},
        "publisher": {"@type": "Organization", "name": "Example & Sons"},
    }


def test_no_title_breaks_out_of_where_it_stands(tmp_path: Path) -> None:
    image = case.picture(tmp_path, alt=EVIL)
    text = render_page(case.SITE, case.content(title=EVIL, summary=EVIL, author=EVIL, tags=(EVIL,), images=(image,)))
    page = Page(text)
    assert page.linked_data["headline"] == page.linked_data["keywords"][0] == EVIL
    assert page.meta("og:title") == page.meta("description") == EVIL
    assert [given.get("type") for given in page.all("script")] == ["application/ld+json"]
    assert text.count("<script") == text.count("</script") == 1
    assert [given["src"] for given in page.all("img")] == [image.name]
    assert not [given for _, given in page.found if "onerror" in given]


def test_nothing_is_loaded_from_elsewhere_and_nothing_runs(tmp_path: Path) -> None:
    text = render_page(case.SITE, case.content(images=(case.picture(tmp_path),)))
    page = Page(text)
    loaded = [given[name] for _, given in page.found for name in ("src", "srcset", "data") if name in given]
    assert loaded == [page.all("img")[0]["src"]] and "/" not in str(loaded[0])
    assert {link["rel"] for link in page.all("link")} == {"canonical", "alternate"}
    (policy,) = [given["content"] for given in page.all("meta") if "http-equiv" in given]
    assert str(policy).startswith("default-src 'none'; img-src 'self'; style-src 'unsafe-inline'")
    assert "url(" not in text and "@import" not in text
    assert "prefers-color-scheme: dark" in text and 'name="viewport" content="width=device-width' in text


def test_a_picture_that_the_text_shows_is_not_shown_twice(tmp_path: Path) -> None:
    first, second = case.picture(tmp_path, "one"), case.picture(tmp_path, "two")
    body = f'<p><img src="{second.name}" alt="x"></p>'
    shown = [given["src"] for given in page_of(case.content(images=(first, second), html=body)).all("img")]
    assert shown == [first.name, second.name]


@pytest.mark.parametrize(
    ("locale", "direction", "market", "day", "og_locale"),
    [
        ("ar-AE", "rtl", "AE", "22 نوفمبر 2026", "ar_AE"),
        ("ja-JP", "ltr", "JP", "2026年11月23日", "ja_JP"),  # already the next day in Tokyo
        ("zh-Hans-CN", "ltr", "CN", "2026年11月22日", "zh_CN"),
        ("sv", "ltr", "SE", "22 november 2026", "sv_SE"),
        ("en-GB", "ltr", "GB", "22 November 2026", "en_GB"),
        ("en", "ltr", "AE", "November 22, 2026", "en_US"),
        ("de", "ltr", "AT", "22. November 2026", "de_AT"),
    ],
)
def test_direction_date_and_locale_are_the_readers(
    locale: str, direction: Any, market: str, day: str, og_locale: str
) -> None:
    late = case.NOW.replace(hour=20)
    content = case.content(
        locale, market_code=market, direction=direction, published_at=late, updated_at=late, alternates={}
    )
    page = page_of(content)
    assert page.all("html") == [{"lang": locale, "dir": direction}]
    assert page.data["time"][0] == day
    assert page.meta("og:locale") == og_locale
    assert not [link for link in page.all("link") if "hreflang" in link], "one language has no alternates"


def test_a_correction_says_when_it_was_made() -> None:
    content = case.content(revision=2, updated_at=case.NOW.replace(day=24))
    text = render_page(case.SITE, content)
    assert re.search(r"22\. November 2026</time> · Aktualisiert <time [^>]*>24\. November 2026<", text)
    assert "Aktualisiert" not in render_page(case.SITE, case.content())


@pytest.mark.parametrize(
    ("locale", "word"),
    [
        ("de-DE", "Zurückgezogen"),
        ("ja-JP", "取り下げ"),
        ("ar-AE", "تم السحب"),
        ("pt-BR", "Retirada"),
        ("xx", "Withdrawn"),
    ],
)
def test_a_tombstone_says_so_in_its_language_and_is_not_indexed(locale: str, word: str) -> None:
    page = Page(render_withdrawn(case.SITE, locale, "ltr", "r-1", 3))
    assert page.data["h1"][0] == word
    assert page.meta("robots") == "noindex"
    assert page.meta("caravan-revision") == "3"
    assert not page.all("link")


def test_a_locale_may_have_a_template_and_words_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = tmp_path / "release/site"
    shared.parent.mkdir(parents=True)
    shared.symlink_to(caravan.TEMPLATES_DIR / "release/site")
    own = tmp_path / "release/de-DE/site"
    own.mkdir(parents=True)
    (own / "withdrawn.html.j2").write_text(
        '{% extends "site/frame.html.j2" %}{% block main %}Fort: {{ words.withdrawn }}'
    )
    (own / "withdrawn.html.j2").open("a").write("{% endblock %}")
    (own / "words.yml").write_text("withdrawn: Weg\n")
    monkeypatch.setattr(caravan, "TEMPLATES_DIR", tmp_path)
    assert "Fort: Weg" in render_withdrawn(case.SITE, "de-DE", "ltr", "r-1", 1)
    assert "Retiré" in render_withdrawn(case.SITE, "fr-FR", "ltr", "r-1", 1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, []),
        ({"title": "x" * 111}, ["the title has 111 characters, 110 are the most"]),
        ({"title": " "}, ["the title is empty"]),
        ({"summary": "x" * 201}, ["the summary has 201 characters, 200 are the most"]),
        ({"alternates": {"de-DE": "https://news.example.com/press/de-DE/r-1/"}}, ["no language is named for readers"]),
        ({"release_id": "../x"}, ["release_id '../x' cannot be part of an address"]),
        ({"locale": "xx"}, ["the page would speak English round its content: add xx"]),
        ({"html": "<p><script>x</script></p>"}, ["the text holds <script>"]),
        ({"html": '<img src="//cdn.example/x.png" alt="x">'}, ["the text loads a file from cdn.example"]),
        ({"html": '<img src="x.png">'}, ["a picture in the text has no alt text"]),
        ({"html": "ß" * 150_000}, ["the page and its pictures weigh 30"]),
    ],
)
def test_faults_are_told_in_words(tmp_path: Path, given: dict[str, Any], said: list[str]) -> None:
    found = faults(tmp_path, **given)
    assert len(found) == len(said)
    assert [fault[: len(word)] for fault, word in zip(found, said, strict=True)] == said


def test_pictures_are_weighed_and_need_words(tmp_path: Path) -> None:
    large = case.picture(tmp_path, "large", 5_000_001 + 4, alt=" ")
    gone = case.picture(tmp_path, "gone")
    Path(gone.path).unlink()
    found = faults(tmp_path, images=(large, gone))
    assert found.pop().startswith("the page and its pictures weigh 5,00")
    assert found == [
        f"picture {large.name} has no alt text: say what it shows",
        f"picture {large.name} has 5,001 kB, 5,000 kB are the most",
        f"picture {gone.name}: its file is not there",
    ]
    small = case.picture(tmp_path, "small")
    assert faults(tmp_path, Limits(image_bytes=0), images=(small,)) == [
        f"picture {small.name} has 1 kB, 0 kB are the most"
    ]


def test_what_a_page_says_is_read_back(tmp_path: Path) -> None:
    content = case.content(revision=2, html=case.content().html + "<p>oder CHF 1’250.50, 99 kr, $5, nicht 2026</p>")
    found = read_page(render_page(case.SITE, content).encode(), "https://news.example.com/press/de-DE/r-1/")
    assert (found.revision, found.content_hash, found.locale) == (2, content.content_hash, "de-DE")
    assert found.canonical == "https://news.example.com/press/de-DE/r-1/"
    assert dict(found.alternates) == dict(content.alternates)
    assert found.title == "Größer & schöner"
    assert "https://shop.example.com/x?a=1&b=2" in found.links
    assert found.prices == ("1.299,00 €", "CHF 1’250.50", "99 kr", "$5")
    assert found.is_indexed
    assert not read_page(render_withdrawn(case.SITE, "de", "ltr", "r-1", 3).encode(), "x").is_indexed


def test_a_release_of_another_version_of_the_manifest_can_be_read() -> None:
    from caravan.clients.site.manifest import read_entry

    entry = case.entry()
    assert read_entry(entry.to_bytes()) == entry
    assert read_entry(json.dumps({**entry.to_dict(), "new_field": 1}).encode()) == entry
    for broken in (
        b"",
        b"[]",
        b"{}",
        b'{"release_id": "x"}',
        b"\xff",
        b"<html>",
        json.dumps({**entry.to_dict(), "title": "\ud800"}).encode(),
    ):
        with pytest.raises(ValueError):
            read_entry(broken)
