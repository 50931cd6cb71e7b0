"""Release folders: what is read, what is refused, and where each fault stands."""

from __future__ import annotations

import os
import shutil
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from config_case import edit
from release_case import DE, EN, MAIL, RELEASE, known, png, release_of, write_releases

from caravan.config.release_settings import ReleaseSettings, read_settings
from caravan.config.releases import load_releases


@pytest.fixture
def config(tmp_path: Path) -> Path:
    write_releases(tmp_path)
    return tmp_path


def faults_of(config: Path) -> list[str]:
    """Those of a release that is left out for them."""
    releases, faults = load_releases(config, known(config))
    assert "spring" not in releases or not faults
    return [str(fault) for fault in faults]


def test_a_sound_release_is_read_as_it_is_written(config: Path) -> None:
    release = release_of(config)
    assert (release.id, release.kind, release.revision, release.action) == ("spring", "news", 1, "publish")
    assert release.max_lateness == timedelta(hours=4)
    assert [release.policy(market) for market in release.markets] == ["require", "fallback", "require"]
    assert sorted(release.bodies) == ["ar", "de", "en"]
    assert release.source.front.title == "Spring is here"
    assert release.source.text.startswith("# What is new\n\nAll bags")
    image = release.images["bags.png"]
    assert (image.media_type, image.width, image.height) == ("image/png", 3, 2)
    assert image.published_name == f"bags-{image.sha256[:10]}.png"


def test_without_a_folder_there_are_no_releases(config: Path) -> None:
    shutil.rmtree(config / "releases")
    assert load_releases(config, known(config)) == ({}, [])


def test_a_local_time_is_an_instant_of_each_market(config: Path) -> None:
    when = release_of(config).when
    assert when.instant("Asia/Dubai") == datetime(2026, 11, 25, 5, 30)
    assert when.instant("America/Sao_Paulo") == datetime(2026, 11, 25, 12, 30)


def test_every_key_is_read(config: Path) -> None:
    text = RELEASE.replace("audience: public", "audience: customer").replace("[site, toots]", "[toots]")
    text = text.replace('{local: "2026-11-25 09:30"}', "{utc: 2026-11-25T08:30:00Z}") + (
        "purpose: marketing_email\nembargo_until: 2026-11-25 08:00\nmax_lateness: 90m\n"
        "cost: {amount: 1200.50, currency: EUR}\ngoal: 200 orders\nutm: {campaign: spring26, medium: news}\n"
        "tags: [bags, colours]\nrevision: 3\naction: withdraw\nlist: lists/readers.csv\n"
    )
    (config / "releases/spring/release.yml").write_text(text)
    release = release_of(config)
    assert release.when.instant("Asia/Dubai") == datetime(2026, 11, 25, 8, 30)
    assert release.embargo_until == datetime(2026, 11, 25, 8)
    assert release.max_lateness == timedelta(minutes=90)
    assert release.cost is not None and (release.cost.amount, release.cost.currency) == (Decimal("1200.50"), "EUR")
    assert (release.utm.campaign, release.utm.medium, release.utm.source) == ("spring26", "news", None)
    assert (release.tags, release.revision, release.action) == (("bags", "colours"), 3, "withdraw")
    assert (release.list, release.goal, release.purpose) == ("lists/readers.csv", "200 orders", "marketing_email")


# (what is replaced in release.yml, by what, the fault)
FILE_FAULTS = [
    ("kind: news", "kinds: news", ":2 kinds: unknown key 'kinds'; did you mean 'kind'?"),
    ("kind: news", "kind: new", ":2 kind: 'new' is not known; did you mean 'news'?"),
    ("owner: Ida Example", "owner: ''", ":4 owner: is empty"),
    ("owner: Ida Example", 'owner: "Ida\\nBcc: x"', ":4 owner: has a line break or a control character; write it on"),
    ("id: spring", "id: Spring", ":1 id: 'Spring' does not have the form"),
    ("id: spring", "id: summer", ":1 id: 'summer' differs from the folder's name; rename the folder to summer"),
    ("id: spring", "id: spring\nid: spring", ":2 id: 'id' is given twice, first in line 1; keep one"),
    ("[DE, BR, AE]", "[DE, BX, AE]", ":5 markets[1]: there is no market 'BX'; known are AE, BR, DE, US"),
    ("[DE, BR, AE]", "[DE, BR, DE]", ":5 markets[2]: 'DE' is named twice"),
    ("[DE, BR, AE]", "[]", ":5 markets: is empty"),
    (
        "[site, toots]",
        "[site, letters]\nlist: x\naction: withdraw",
        ":6 outlets[1]: 'letters' is mail, which cannot",
    ),
    ("[site, toots]", "[site, tots]", ":6 outlets[1]: there is no outlet 'tots'; did you mean 'toots'?"),
    ("[site, toots]", "[site, letters]", ":1 list: is required: mail needs the file of its recipients"),
    ("source_locale: en", "source_locale: es", ":7 source_locale: there is no es.md beside it"),
    ("{local:", "{locale:", ":8 when.locale: unknown key 'locale'; did you mean 'local'?"),
    ('{local: "2026-11-25 09:30"}', "{}", ":8 when: give either `local` or `utc`"),
    ('{local: "2026-11-25 09:30"}', "tomorrow", ":8 when: expected `key: value` lines, found 'tomorrow'"),
    ("2026-11-25 09:30", "2026-11-25 09:30Z", ":8 when.local: '2026-11-25 09:30Z' is no time (like 2026-11-25 09:30,"),
    ("2026-11-25", "0001-01-01", ":8 when.local: '0001-01-01 09:30' is not of this century"),
    ("2026-11-25 09:30", "2026-11-31 09:30", ":8 when.local: '2026-11-31 09:30' is no time of the calendar"),
    ('{local: "2026-11-25 09:30"}', "{utc: 2026-11-25T08:30+01:00}", ":8 when.utc: '2026-11-25T08:30+01:00' is no ti"),
    ("method: content", "method: contents", ":9 method: there is no method 'contents'; did you mean 'content'?"),
    ("BR: fallback", "US: fallback", ":10 translations.US: 'US' is no market of this release"),
    ("BR: fallback", "BR: falback", ":10 translations.BR: 'falback' is not known; did you mean 'fallback'?"),
    ("{default: require, BR: fallback}", "never", ":10 translations: 'never' is not known; known are fallback, requ"),
    ("kind: news", "kind: notice", ":10 translations.BR: a notice is told in the reader's language"),
    ("audience: public", "audience: customer", ":1 purpose: is required: a release for customer goes to people"),
]
ADDED = [  # (lines after all others, which begin in line 11)
    ("purpose: marketing", "purpose: there is no purpose 'marketing'; did you mean 'marketing_email'?"),
    ("max_lateness: 4", "max_lateness: '4' is no length of time up to 14 days (like 90m, 4h, 2d)"),
    ("max_lateness: 15d", "max_lateness: '15d' is no length of time"),
    ("cost: {amount: -1, currency: EUR}", "cost.amount: '-1': input should be greater than or equal to 0"),
    ("cost: {amount: 1, currency: EUX}", "cost.currency: 'EUX' is no ISO 4217 code (like EUR)"),
    ("utm: {campaign: Spring}", "utm.campaign: 'Spring' does not have the form"),
    ("utm: {compaign: spring}", "utm.compaign: unknown key 'compaign'; did you mean 'campaign'?"),
    ("revision: 0", "revision: '0': input should be greater than or equal to 1"),
    ("action: delete", "action: 'delete' is not known"),
    ("tags: bags", "tags: expected a list, found 'bags'"),
    ("embargo_until: 2026-11-25 10:00", "embargo_until: is after 2026-11-25 09:30 UTC, when the first market counts"),
]


@pytest.mark.parametrize(("old", "new", "fault"), FILE_FAULTS)
def test_a_fault_of_the_file_names_its_line(config: Path, old: str, new: str, fault: str) -> None:
    edit(config / "releases/spring/release.yml", old, new)
    faults = faults_of(config)
    assert any(each.startswith(f"releases/spring/release.yml{fault}") for each in faults), faults


@pytest.mark.parametrize(("line", "fault"), ADDED)
def test_a_fault_of_what_may_be_left_out(config: Path, line: str, fault: str) -> None:
    (config / "releases/spring/release.yml").write_text(f"{RELEASE}{line}\n")
    faults = faults_of(config)
    assert [each for each in faults if each.startswith(f"releases/spring/release.yml:11 {fault}")] == faults
    assert len(faults) == 1


HEAD = "---\ntitle: A\nsummary: B\n---\n"
# (file, its content, the fault)
BODY_FAULTS = [
    ("de.md", "Guten Tag", ":1: begins without `---`; front matter with title and summary comes first"),
    ("de.md", "", ":1: begins without `---`"),
    ("de.md", "---\ntitle: A\n", ":1: the front matter has no end; write `---` on a line of its own after it"),
    ("de.md", "---\n---\nText", ":1: is empty; expected `key: value` lines"),
    ("de.md", "---\ntitle: [A\n---\nText", ":3: is no valid YAML"),
    ("de.md", "---\ntitle: A\ntitle: B\nsummary: C\n---\nText", ":3 title: 'title' is given twice, first in line 2"),
    ("de.md", DE.replace("summary:", "sumary:"), ":3 sumary: unknown key 'sumary'; did you mean 'summary'?"),
    ("de.md", DE.replace("summary:", "sumary:"), ":1 summary: is required"),
    ("de.md", '---\ntitle: "A\\r\\nBcc: b@example.org"\nsummary: B\n---\nText', ":2 title: has a line break or"),
    ("de.md", '---\ntitle: "A\u2028B"\nsummary: B\n---\nText', ":2 title: has a line break or"),
    ("de.md", "---\ntitle: ' '\nsummary: B\n---\nText", ":2 title: is empty"),
    ("de.md", f"{HEAD}\n \n", ":4: has no text after the front matter"),
    ("de.md", f"{HEAD}One\ntwo\x00three", ":6: has the character U+0000; remove it"),
    ("de.md", "---\ntitle: A\nsummary: B\ntranslation_of: abc\n---\nText", ":4 translation_of: 'abc' does not have"),
    ("de.md", f"{HEAD}One\n\n![Two](bag.png)", ":7: there is no image 'bag.png' beside it; did you mean 'bags.png'?"),
    ("de.md", f"{HEAD}One\ntwo ![](bags.png)", ":6: 'bags.png' has no alternative text; write ![what it shows](bags"),
    ("de.md", f"{HEAD}![A](plan.svg)", ":5: 'plan.svg' is no image that outlets take; use .png, .jpg"),
    ("de.md", "---\ntitle: A\nsummary: B\nimages: {x.png: X}\n---\nT", ":4 images.x.png: there is no image 'x.png'"),
    ("xx.md", DE, ":1: 'xx' is no BCP 47 tag of a language (like pt-BR)"),
    ("german.md", DE, ":1: 'german' is no BCP 47 tag of a language (like pt-BR)"),
    ("pt_BR.md", DE, ":1: 'pt_BR' is written pt-BR"),
    ("ja.md", DE, ":1: no market reads 'ja'"),
    ("de.markdown", DE, ": is not read; rename it to de.md"),
]


@pytest.mark.parametrize(("file", "text", "fault"), BODY_FAULTS)
def test_a_fault_of_a_text_names_its_line(config: Path, file: str, text: str, fault: str) -> None:
    (config / "releases/spring" / file).write_text(text, encoding="utf-8", newline="")
    faults = faults_of(config)
    assert any(each.startswith(f"releases/spring/{file}{fault}") for each in faults), faults


@pytest.mark.parametrize(
    "encoded",
    [
        EN.encode("utf-8-sig"),
        EN.replace("\n", "\r\n").encode(),
        EN.replace("\n", "\r").encode(),
        EN.replace("\n", "\r\n").encode("utf-8-sig"),
    ],
    ids=["mark", "CRLF", "CR", "both"],
)
def test_how_an_editor_saves_a_text_changes_nothing(config: Path, encoded: bytes) -> None:
    before = release_of(config).source
    (config / "releases/spring/en.md").write_bytes(encoded)
    assert release_of(config).source == before


def test_a_text_that_is_not_utf_8_names_the_line(config: Path) -> None:
    (config / "releases/spring/de.md").write_bytes(DE.encode("latin-1"))
    assert faults_of(config) == ["releases/spring/de.md:2: byte 0xfc is not UTF-8; save the file as UTF-8"]


def test_a_text_longer_than_any_release_is_not_read(config: Path) -> None:
    os.truncate(config / "releases/spring/de.md", 50_000_000)
    assert faults_of(config) == ["releases/spring/de.md: is longer than 1,024 KiB; no reader wants that"]


def test_an_image_of_forty_megabytes_is_not_read(config: Path) -> None:
    os.truncate(config / "releases/spring/bags.png", 40_000_000)
    assert faults_of(config) == [
        "releases/spring/bags.png: has 40,000,000 bytes; an image may have 5,242,880 (image_bytes in releases.yml)"
    ]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is no PNG, JPEG, GIF or WebP image"),
        (b"<svg/>", "is no PNG, JPEG, GIF or WebP image"),
        (png()[:18], "is cut off: its size in pixels is not there"),
        (png(0), "has no pixels"),
        (b"GIF89a\x01\x00\x02\x00", "holds image/gif, its name says image/png; rename it"),
    ],
)
def test_a_file_that_is_no_image(config: Path, content: bytes, fault: str) -> None:
    (config / "releases/spring/bags.png").write_bytes(content)
    assert faults_of(config) == [f"releases/spring/bags.png: {fault}"]


def test_a_faulty_release_is_left_out_alone_and_all_faults_come_in_one_report(config: Path) -> None:
    shutil.copytree(config / "releases/spring", config / "releases/autumn")
    shutil.copytree(config / "releases/spring", config / "releases/winter")
    (config / "releases/nothing").mkdir()
    (config / "releases/note.txt").write_text("x")
    edit(config / "releases/winter/release.yml", "id: spring", "id: winter")
    edit(config / "releases/autumn/release.yml", "id: spring", "id: autumn")
    edit(config / "releases/autumn/release.yml", "kind: news", "kind: mews")
    edit(config / "releases/autumn/de.md", "---\ntitle", "--\ntitle")
    releases, faults = load_releases(config, known(config))
    assert sorted(releases) == ["spring", "winter"]
    assert [str(fault) for fault in faults] == [
        "releases/autumn/de.md:1: begins without `---`; front matter with title and summary comes first",
        "releases/autumn/release.yml:2 kind: 'mews' is not known; did you mean 'news'?",
        "releases/note.txt: is no folder; each release has one, with release.yml and its texts",
        "releases/nothing/release.yml: is missing; it says what goes where, and when",
    ]


def test_a_copied_folder_leaves_out_the_copy_alone(config: Path) -> None:
    shutil.copytree(config / "releases/spring", config / "releases/copy")
    releases, faults = load_releases(config, known(config))
    assert sorted(releases) == ["spring"]
    assert [str(fault) for fault in faults] == [
        "releases/copy/release.yml:1 id: 'spring' differs from the folder's name; rename the folder to spring",
        "releases/copy/release.yml:1 id: 'spring' is also the id of releases/spring/release.yml",
    ]


@pytest.mark.parametrize(
    ("given", "policies"),
    [
        ("skip", ["skip", "skip", "skip"]),
        ("{BR: skip}", ["require", "skip", "require"]),
        ("{default: fallback, DE: require}", ["require", "fallback", "fallback"]),
    ],
)
def test_what_a_market_without_a_text_gets(config: Path, given: str, policies: list[str]) -> None:
    edit(config / "releases/spring/release.yml", "{default: require, BR: fallback}", given)
    release = release_of(config)
    assert [release.policy(market) for market in ("DE", "BR", "AE")] == policies


def test_markets_and_outlets_have_to_meet(config: Path) -> None:
    edit(config / "outlets/site.yml", "kind: site", "kind: site\nmarkets: [US]")
    edit(config / "outlets/toots.yml", "kind: mastodon", "kind: mastodon\nmarkets: [DE, AE]")
    assert faults_of(config) == [
        "releases/spring/release.yml:5 markets[1]: no outlet of this release serves BR",
        "releases/spring/release.yml:6 outlets[0]: 'site' serves none of the markets",
    ]


@pytest.mark.parametrize(
    ("first", "second", "markets"),
    [
        ("", "", ["DE", "BR", "AE"]),
        ("markets: [DE, BR]", "markets: [BR, AE]", ["BR"]),
        ("markets: [DE, BR]", "markets: [AE]", []),
        ("locales: [de]", "locales: [en, ar]", []),
        ("locales: [en]", "locales: [ar]", ["AE"]),
    ],
)
def test_two_mail_outlets_do_not_write_to_one_market(config: Path, first: str, second: str, markets: list[str]) -> None:
    """Emirates read two languages, and everybody there gets one of those that an outlet has."""
    (config / "outlets/second.yml").write_text(f"{MAIL.replace('code: letters', 'code: second')}{second}\n")
    (config / "outlets/letters.yml").write_text(f"{MAIL}{first}\n")
    edit(config / "releases/spring/release.yml", "[site, toots]", "[site, letters, second]\nlist: readers")
    assert faults_of(config) == [
        f"releases/spring/release.yml:6 outlets[2]: 'letters' and 'second' would both mail everybody in {market}: "
        "leave one out, or name `markets` in their files"
        for market in sorted(markets)
    ]


def test_an_outlet_with_a_fault_of_its_own_is_no_fault_of_the_release(config: Path) -> None:
    edit(config / "releases/spring/release.yml", "[site, toots]", "[site, broken]")
    assert release_of(config).outlets == ("site", "broken")


def test_alternative_texts_may_stand_in_the_front_matter(config: Path) -> None:
    edit(config / "releases/spring/de.md", "---\nAlle", "images: {bags.png: Taschen}\n---\n![](bags.png)\n\nAlle")
    assert release_of(config).bodies["de"].alternatives == {"bags.png": "Taschen"}


def test_the_settings_have_defaults_and_faults(tmp_path: Path) -> None:
    assert read_settings(tmp_path) == (ReleaseSettings(), [])
    (tmp_path / "releases.yml").write_text("own_hosts: [example.com]\nimage_bytes: 2000\n")
    assert read_settings(tmp_path)[0].image_bytes == 2000
    (tmp_path / "releases.yml").write_text("own_host: [example.com]\n")
    assert [str(fault) for fault in read_settings(tmp_path)[1]] == [
        "releases.yml:1 own_host: unknown key 'own_host'; did you mean 'own_hosts'?"
    ]
