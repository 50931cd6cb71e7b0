"""What becomes of a text: HTML, plain text, the language each market reads, links, addresses, hashes."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from config_case import edit
from release_case import EN, MARKETS, RELEASE, SETTINGS, png, release_of, revision_of, write_releases

from caravan.config.outlets import OutletAccount
from caravan.core.errors import Rejected
from caravan.core.release import Content, Image, PayloadKey
from caravan.functions.release.content import page_url
from caravan.functions.release.hashes import content_hash, templates_of
from caravan.functions.release.links import Tagging, link_rows, register, sent_links, short_id
from caravan.functions.release.locales import (
    Edition,
    direction,
    editions,
    missing,
    published,
    text_for,
    untranslated_share,
)
from caravan.functions.release.markup import refusals, to_html, to_text

HEAD = "---\ntitle: A\nsummary: B\n---\n"
PICTURE = Image("bags.png", "bags-1.png", "image/png", "Bags & more", 3, 2, sha256="1")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    write_releases(tmp_path)
    return tmp_path


def contents(config: Path) -> dict[tuple[str, str, str], Content]:
    """By outlet, market and language of the text."""
    found = list(revision_of(config).contents())
    assert found
    return {(outlet.code, each.market_code, each.locale): each for outlet, each in found}


def plain(url: str) -> str:
    return url


# (Markdown, HTML, plain text)
MARKUP = [
    ("# A\n\n## B", "<h2>A</h2>\n<h3>B</h3>", "A\n\nB"),
    ("## A\n\n###### B", "<h2>A</h2>\n<h6>B</h6>", "A\n\nB"),
    ("# A\n\n###### B", "<h2>A</h2>\n<h6>B</h6>", "A\n\nB"),
    ("### A\n\n#### B", "<h2>A</h2>\n<h3>B</h3>", "A\n\nB"),
    ("*a* **b** `c`", "<p><em>a</em> <strong>b</strong> <code>c</code></p>", "a b c"),
    ("a\nb  \nc", "<p>a\nb<br>\nc</p>", "a b\nc"),
    ("[a **b**](https://x.org/?p=1&q=2)", None, "a b (https://x.org/?p=1&q=2)"),
    ("<https://x.org/a>", '<p><a href="https://x.org/a">https://x.org/a</a></p>', "https://x.org/a"),
    ("<a@x.org>", '<p><a href="mailto:a@x.org">a@x.org</a></p>', "a@x.org"),
    ("- a\n- b\n  - c", "<ul>\n<li>a</li>\n<li>b\n<ul>\n<li>c</li>\n</ul>\n</li>\n</ul>", "- a\n- b\n\n  - c"),
    ("3. a\n4. b", '<ol start="3">\n<li>a</li>\n<li>b</li>\n</ol>', "3. a\n4. b"),
    ("- a\n\n- b", "<ul>\n<li>\n<p>a</p>\n</li>\n<li>\n<p>b</p>\n</li>\n</ul>", "- a\n\n- b"),
    ("> a\n> b", "<blockquote>\n<p>a\nb</p>\n</blockquote>", "> a b"),
    ("```py\na < b\n```", "<pre><code>a &lt; b\n</code></pre>", "    a < b"),
    ("a\n\n---\n\nb", "<p>a</p>\n<hr>\n<p>b</p>", "a\n\n---\n\nb"),
    ("Hi {{ first_name }}!", "<p>Hi {{ first_name }}!</p>", "Hi {{ first_name }}!"),
    ("1 < 2 & 3", "<p>1 &lt; 2 &amp; 3</p>", "1 < 2 & 3"),
    (
        "![x](bags.png)",
        '<p><img src="bags-1.png" alt="Bags &amp; more" width="3" height="2"></p>',
        "[Bags & more]",
    ),
    (
        "|a|b|\n|--|-:|\n|1|2|",
        '<table>\n<thead>\n<tr>\n<th>a</th>\n<th style="text-align:right">b</th>\n</tr>\n</thead>\n<tbody>\n<tr>\n'
        '<td>1</td>\n<td style="text-align:right">2</td>\n</tr>\n</tbody>\n</table>',
        "a | b\n1 | 2",
    ),
]


@pytest.mark.parametrize(("markdown", "html", "text"), MARKUP)
def test_a_text_becomes_html_and_plain_text(markdown: str, html: str | None, text: str) -> None:
    pictures = {"bags.png": PICTURE}
    if html is not None:
        assert to_html(markdown, plain, pictures) == html
    assert to_text(markdown, plain, pictures) == text


# (text, line of the fault in the file, part of it)
REFUSED = [
    ("<script>alert(1)</script>", 5, "HTML, <script>, is refused"),
    ("a\n\nb <b onclick=x>c</b>", 7, "HTML, <b>, is refused"),
    ("a\n\n<iframe src='https://x.org'></iframe>", 7, "HTML, <iframe>, is refused"),
    ("<div>\n<form action='https://x.org'>\n</div>", 6, "HTML, <form>, is refused"),
    ("a <img src='https://x.org/p.gif' width=1 height=1>", 5, "HTML, <img>, is refused"),
    ("a <!-- b -->", 5, "an HTML comment is refused"),
    ("a ![b](https://x.org/p.gif)", 5, "a remote image is refused"),
    ("a\nb ![b](//x.org/p.gif)", 6, "a remote image is refused"),
    ("![b](data:image/gif;base64,R0lGOD)", 5, "a remote image is refused"),
    ("![b](../other/a.png)", 5, "an image of another folder is refused"),
    ("[a](javascript:alert(1))", 5, "a link with javascript: is refused"),
    ("[a](&#106;avascript:alert(1))", 5, "a link with javascript: is refused"),
    ("[a](JaVaScript:alert(1))", 5, "a link with javascript: is refused"),
    ("[a](data:text/html;base64,x)", 5, "a link with data: is refused"),
    ("[a](vbscript:x)", 5, "a link with vbscript: is refused"),
    ("[a][1]\n\n[1]: file:///etc/passwd", 5, "a link with file: is refused"),
]


@pytest.mark.parametrize(("text", "line", "message"), REFUSED)
def test_what_no_outlet_may_get_is_refused_and_never_taken_away_in_silence(
    config: Path, text: str, line: int, message: str
) -> None:
    (config / "releases/spring/en.md").write_text(f"{HEAD}{text}\n")
    revision = revision_of(config)
    found = [str(fault) for fault in refusals(revision.release.source)]
    assert any(each.startswith(f"releases/spring/en.md:{line}: {message}") for each in found), found
    with pytest.raises(Rejected, match=r"TEXT_REFUSED: releases/spring/en\.md"):
        list(revision.contents())
    assert {each.locale for _, each in revision.contents(without=["en"])} == {"de", "ar"}


@pytest.mark.parametrize("text", [text for text, _, _ in REFUSED])
def test_html_that_is_made_all_the_same_holds_nothing_that_runs(text: str) -> None:
    html = to_html(text, plain, {}).lower()
    assert not [
        part for part in ("<script", "<iframe", "<form", "<b ", 'href="j', 'href="d', 'href="f') if part in html
    ]


@pytest.mark.parametrize("text", ["`<b>`", "    <b>", "a &lt;b&gt;", r"\<b>", "2 < 3 > 1", "[a](#b)", "[a](tel:+4930)"])
def test_what_only_looks_like_html_is_not_refused(config: Path, text: str) -> None:
    (config / "releases/spring/en.md").write_text(f"{HEAD}a\n\n{text}\n")
    assert refusals(release_of(config).source) == []


def test_each_market_reads_its_language_or_what_stands_in(config: Path) -> None:
    found = editions(release_of(config), MARKETS)
    assert found == [
        Edition("DE", "de-DE", "de", True),
        Edition("BR", "pt-BR", "en", False),
        Edition("AE", "ar-AE", "ar", True),
        Edition("AE", "en-AE", "en", True),
    ]
    assert untranslated_share(found) == 0.25
    assert published(found) == found


def test_a_market_without_a_text_in_its_second_language_reads_its_first(config: Path) -> None:
    edit(config / "releases/spring/release.yml", "[DE, BR, AE]", "[US]")
    edit(config / "releases/spring/release.yml", ", BR: fallback", "")
    release = release_of(config)
    assert editions(release, MARKETS) == [Edition("US", "en-US", "en", True), Edition("US", "es-US", None, False)]
    assert [each.locale for each in published(editions(release, MARKETS))] == ["en"]
    assert list(missing(release, MARKETS)) == []


# (policy, the text that Germany gets without one of its own, the fault)
POLICIES = [
    ("require", None, "DE: there is no text in de-DE or de; add one, or set translations to fallback or skip"),
    ("fallback", "en", None),
    ("skip", None, None),
]


@pytest.mark.parametrize(("policy", "locale", "fault"), POLICIES)
def test_a_missing_text_follows_the_policy(config: Path, policy: str, locale: str | None, fault: str | None) -> None:
    (config / "releases/spring/de.md").unlink()
    edit(config / "releases/spring/release.yml", "BR: fallback", f"BR: fallback, DE: {policy}")
    release = release_of(config)
    assert editions(release, MARKETS)[0] == Edition("DE", "de-DE", locale, False)
    expected = [f"releases/spring/release.yml: {fault}"] if fault else []
    assert [str(each) for each in missing(release, MARKETS)] == expected


def test_where_nothing_can_stand_in_the_gate_names_the_chain(config: Path) -> None:
    (config / "releases/spring/en.md").unlink()
    edit(config / "releases/spring/release.yml", "source_locale: en", "source_locale: de")
    assert [str(each) for each in missing(release_of(config), MARKETS)] == [
        "releases/spring/release.yml: BR: there is no text in any of pt-BR, pt, en; add one"
    ]


@pytest.mark.parametrize(("policy", "locale"), [("require", None), ("fallback", "en"), ("skip", None)])
def test_a_translation_of_an_older_source_counts_as_none(config: Path, policy: str, locale: str | None) -> None:
    now = release_of(config).source.sha256
    edit(config / "releases/spring/release.yml", "BR: fallback", f"BR: fallback, DE: {policy}")
    edit(config / "releases/spring/de.md", "summary", f"translation_of: '{now}'\nsummary")
    assert editions(release_of(config), MARKETS)[0].locale == "de"
    edit(config / "releases/spring/en.md", "six colours", "seven colours")
    release = release_of(config)
    assert editions(release, MARKETS)[0].locale == locale
    message = f"DE: the source has changed since; translate it again and write {release.source.sha256}"
    expected = [f"releases/spring/de.md:3 translation_of: {message}"] if policy == "require" else []
    assert [str(each) for each in missing(release, MARKETS)] == expected


def test_a_release_that_all_markets_skip_goes_to_nobody(config: Path) -> None:
    for name in ("de.md", "ar.md"):
        (config / "releases/spring" / name).unlink()
    edit(config / "releases/spring/release.yml", "{default: require, BR: fallback}", "skip")
    edit(config / "releases/spring/release.yml", "[DE, BR, AE]", "[DE, BR]")
    assert [str(each) for each in missing(release_of(config), MARKETS)] == [
        "releases/spring/release.yml: no market gets a text: all of them are skipped"
    ]


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (None, "ar"),
        ("en", "en"),
        ("en-AE", "en"),
        ("en-GB", "en"),
        ("ar-AE", "ar"),
        ("fr", "ar"),
        ("zh-TW", "zh-Hant"),
        ("zh-CN", "zh-Hans"),
    ],
)
def test_people_read_their_language_whatever_country_their_tag_names(wanted: str | None, text: str) -> None:
    assert text_for(wanted, ["ar", "zh-Hans", "zh-Hant", "en"]) == text


@pytest.mark.parametrize("tag", ["ar", "ar-AE", "he", "fa", "ur", "pa-Arab", "iw"])
def test_some_languages_run_from_the_right(tag: str) -> None:
    assert direction(tag) == "rtl"


@pytest.mark.parametrize("tag", ["en", "de-DE", "zh-Hans", "ja", "pa", "ar-Latn"])
def test_all_others_run_from_the_left(tag: str) -> None:
    assert direction(tag) == "ltr"


TAGGING = Tagging({"example.com"}, "site", "email", "spring", "de")
OURS = "utm_source=site&utm_medium=email&utm_campaign=spring&utm_content=de"


@pytest.mark.parametrize(
    ("url", "tagged"),
    [
        ("https://example.com", f"https://example.com?{OURS}"),
        ("https://Shop.Example.com/a", f"https://Shop.Example.com/a?{OURS}"),
        ("https://example.com/a?b=%20c;d#e", f"https://example.com/a?b=%20c;d&{OURS}#e"),
        ("https://example.com/a?utm_source=x", "https://example.com/a?utm_source=x"),
        ("https://example.com/a?UTM_Campaign=", "https://example.com/a?UTM_Campaign="),
        (f"https://example.com/?{OURS}", f"https://example.com/?{OURS}"),
        ("https://notexample.com/", "https://notexample.com/"),
        ("https://example.com.evil.org/", "https://example.com.evil.org/"),
        ("https://example.org/?u=example.com", "https://example.org/?u=example.com"),
        ("mailto:a@example.com", "mailto:a@example.com"),
        ("#anchor", "#anchor"),
        ("https://[", "https://["),
    ],
)
def test_links_to_our_hosts_are_tagged_once(url: str, tagged: str) -> None:
    assert TAGGING.tag(url) == tagged
    assert TAGGING.tag(tagged) == tagged


def test_links_are_known_by_what_they_lead_to(config: Path) -> None:
    text = "[a](https://example.com/) [b](https://example.com/) [c](https://x.org) [d](mailto:a@x.org) [e](#f)"
    (config / "releases/spring/en.md").write_text(HEAD + text)
    links = register(release_of(config).source, TAGGING)
    assert [(link.written, link.url, link.is_tagged) for link in links.values()] == [
        ("https://example.com/", f"https://example.com/?{OURS}", True),
        ("https://x.org", "https://x.org", False),
    ]
    assert list(links) == [short_id(f"https://example.com/?{OURS}"), "31b46000b0"]


def test_links_that_an_outlet_gets_are_on_record_with_their_tags(config: Path) -> None:
    text = "[a](https://example.com/ä?p=1&q=2) [b](https://x.org/?utm_source=They) [c](https://example.com/ä?p=1&q=2)"
    (config / "releases/spring/en.md").write_text(HEAD + text)
    revision = revision_of(config)
    page, post = PayloadKey("spring", 1, "site", "BR", "en", "c"), PayloadKey("spring", 1, "toots", "BR", "en", "c")
    (content,) = (each for outlet, each in revision.contents() if (outlet.code, each.market_code) == ("site", "BR"))
    payloads = {
        page: {"entry": {"parts": [content.html]}},
        replace(page, market_code="AE"): {"entry": {"parts": [content.html]}},
        post: {"text": "Spring is here", "url": content.url, "count": 3},
    }
    found = link_rows(sent_links(revision.release, payloads, revision.known.outlets, ["example.com"]))
    tagged = "https://example.com/%C3%A4?p=1&q=2&utm_source=site&utm_medium=site&utm_campaign=spring&utm_content=en"
    assert [(row["outlet"], row["place"], row["url"], row["is_tagged"]) for row in found] == [
        ("site", 1, tagged, True),
        ("site", 2, "https://x.org/?utm_source=They", False),
    ], "in each language once, and none of a post that has only the page's own"
    assert [tuple(row[f"utm_{name}"] for name in ("source", "medium", "campaign", "content")) for row in found] == [
        ("site", "site", "spring", "en"),
        ("They", None, None, None),
    ]


def test_content_for_each_outlet_market_and_language(config: Path) -> None:
    found = contents(config)
    assert list(found) == [
        (outlet, *rest)
        for outlet in ("site", "toots")
        for rest in (("DE", "de"), ("BR", "en"), ("AE", "ar"), ("AE", "en"))
    ]
    page = found["site", "DE", "de"]
    assert page.url == "https://news.example.com/de/spring/" == page_url("https://news.example.com", "de", "spring")
    assert page.alternates == {
        "de": "https://news.example.com/de/spring/",
        "en": "https://news.example.com/en/spring/",
        "ar": "https://news.example.com/ar/spring/",
        "x-default": "https://news.example.com/en/spring/",
    }
    assert (page.published_at, page.direction, page.author) == (datetime(2026, 11, 25, 8, 30), "ltr", "")
    assert found["site", "AE", "ar"].direction == "rtl"
    assert found["toots", "DE", "de"].url == page.url
    assert "utm_source=toots&amp;utm_medium=social&amp;utm_campaign=spring" in found["toots", "DE", "de"].html
    assert "utm_source=site&utm_medium=site&utm_campaign=spring&utm_content=de)" in page.text
    picture = found["site", "AE", "en"].images[0]
    assert (picture.alt, picture.width) == ("Six bags in a row", 3)
    assert f'src="{picture.name}"' in found["site", "AE", "en"].html
    assert page.images == ()


def test_the_texts_own_words_stand_in_its_links_before_the_releases(config: Path) -> None:
    edit(config / "releases/spring/de.md", "summary", "utm: {campaign: fruehling}\nsummary")
    (config / "releases/spring/release.yml").write_text(f"{RELEASE}utm: {{campaign: spring26, source: us}}\n")
    found = contents(config)
    assert "utm_source=us&utm_medium=site&utm_campaign=fruehling&utm_content=de" in found["site", "DE", "de"].text
    assert "utm_source=us&utm_medium=site&utm_campaign=spring26&utm_content=en#top" in found["site", "BR", "en"].text


def test_a_site_does_not_tag_links_to_itself(config: Path) -> None:
    edit(config / "releases/spring/de.md", "https://shop.example.com/de/taschen", "https://news.example.com/a")
    revision = replace(
        revision_of(config),
        settings=SETTINGS.model_copy(update={"own_hosts": ("news.example.com", "shop.example.com")}),
    )
    texts = {outlet.code: each.text for outlet, each in revision.contents() if each.locale == "de"}
    assert "(https://news.example.com/a)" in texts["site"]
    assert "(https://news.example.com/a?utm_source=toots" in texts["toots"]


def test_without_a_site_there_is_no_address(config: Path) -> None:
    edit(config / "releases/spring/release.yml", "[site, toots]", "[toots]")
    assert {(each.url, *each.alternates) for each in contents(config).values()} == {(None,)}


def test_an_outlet_gets_what_it_serves_and_nothing_when_it_is_off(config: Path) -> None:
    edit(config / "outlets/toots.yml", "kind: mastodon", "kind: mastodon\nlocales: [de]")
    edit(config / "outlets/site.yml", "kind: site", "kind: site\nenabled: false")
    found = contents(config)
    assert list(found) == [("toots", "DE", "de")]
    assert found["toots", "DE", "de"].url is None


def test_an_author_is_published_and_no_owner(config: Path) -> None:
    edit(config / "releases/spring/release.yml", "owner: Ida Example", "owner: ida\nauthor: Ida Example")
    assert {each.author for each in contents(config).values()} == {"Ida Example"}


def test_an_image_named_in_another_script_is_found_and_gets_a_name_for_addresses(config: Path) -> None:
    (config / "releases/spring/Größe 1.png").write_bytes(png(7))
    (config / "releases/spring/de.md").write_text(f"{HEAD}![Taschen](<Größe 1.png>)", encoding="utf-8")
    page = contents(config)["site", "DE", "de"]
    assert page.images[0].name.startswith("Gr-e-1-") and page.images[0].width == 7
    assert f'<img src="{page.images[0].name}" alt="Taschen" width="7" height="2">' in page.html
    assert page.text == "[Taschen]"


EDITS = [
    ("release.yml", "09:30", "09:31"),
    ("release.yml", "method: content", "method: email"),
    ("release.yml", "[site, toots]", "[toots, site]"),
    ("release.yml", "kind: news", "kind: news\nrevision: 1"),
    ("en.md", "six colours", "six  colours"),
    ("en.md", "New colours for", "Colours for"),
    ("ar.md", "كل", "هل"),
    ("de.md", "title: Der", "title: der"),
]


@pytest.mark.parametrize(("file", "old", "new"), EDITS)
def test_every_edit_changes_the_hash(config: Path, file: str, old: str, new: str) -> None:
    before = content_hash(release_of(config), {"page": "1"})
    edit(config / "releases/spring" / file, old, new)
    assert content_hash(release_of(config), {"page": "1"}) != before


def test_an_images_bytes_a_further_text_and_a_template_change_the_hash(config: Path) -> None:
    release = release_of(config)
    found = [content_hash(release, {"page": "1"}), content_hash(release, {"page": "2"}), content_hash(release, {})]
    (config / "releases/spring/bags.png").write_bytes(png() + b"\0")
    found.append(content_hash(release_of(config), {"page": "1"}))
    (config / "releases/spring/pt.md").write_text(EN)
    found.append(content_hash(release_of(config), {"page": "1"}))
    assert len(set(found)) == 5


TEMPLATES = {
    "mail/base.mjml.j2": "1",
    "site/page.html.j2": "2",
    "de/site/page.html.j2": "3",
    "d/site/page.html.j2": "4",
}


@pytest.mark.parametrize(
    ("outlets", "used"),
    [
        ("[site, toots]", "de/site site"),
        ("[toots]", "de/site site"),
        ("[letters]\nlist: people", "de/site mail site"),
    ],
)
def test_templates_that_an_outlet_may_put_texts_into_are_part_of_it(config: Path, outlets, used) -> None:
    edit(config / "releases/spring/release.yml", "[site, toots]", outlets)
    found = templates_of(release_of(config), TEMPLATES)
    assert " ".join(sorted(path.rpartition("/")[0] for path in found)) == used
    assert found.items() <= TEMPLATES.items()


def test_neither_order_nor_how_it_is_saved_changes_the_hash(config: Path, tmp_path: Path) -> None:
    before = content_hash(release_of(config), {"page": "1", "mail": "2"})
    turned = "\r\n".join(reversed(RELEASE.strip().split("\n"))).replace("kind: news", 'kind: "news" # a remark')
    (config / "releases/spring/release.yml").write_bytes(turned.encode("utf-8-sig"))
    title, summary = "title: Spring is here\n", "summary: New colours for all bags.\n"
    edit(config / "releases/spring/en.md", title + summary, summary + title)
    (config / "releases/spring/notes.txt").write_text("not part of it")
    moved = tmp_path / "elsewhere"
    shutil.copytree(config, moved, ignore=shutil.ignore_patterns("elsewhere"))
    assert content_hash(release_of(moved), {"mail": "2", "page": "1"}) == before
    assert len(before) == 64


def test_outlets_say_by_which_medium_their_links_come(config: Path) -> None:
    outlets: list[OutletAccount] = list(revision_of(config).known.outlets.values())
    assert {outlet.code: outlet.medium for outlet in outlets} == {"letters": "email", "site": "site", "toots": "social"}
