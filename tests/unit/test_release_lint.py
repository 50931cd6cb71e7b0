"""What is told of a release before anybody approves it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from config_case import edit
from release_case import RELEASE, SETTINGS, revision_of, write_releases

from caravan.config.release_settings import ReleaseSettings
from caravan.core.release import Content
from caravan.functions.release.lint import lint

HEAD = "---\ntitle: A\nsummary: B\n---\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    write_releases(tmp_path)
    return tmp_path


def faults_of(config: Path, settings: ReleaseSettings = SETTINGS) -> list[str]:
    return [str(fault) for fault in lint(revision_of(config, settings))]


def test_nothing_is_wrong_with_a_sound_release(config: Path) -> None:
    assert faults_of(config) == []


# (text of de.md after its front matter of four lines, the fault)
TEXTS = [
    ("[a](http://x.org)", ":5: the link http://x.org is http only; use https or mailto or tel"),
    ("a\n\n[a](https://staging.x.org/b)", ":7: the link https://staging.x.org/b leads to a host that readers do not r"),
    ("[a](https://shop.staging.x.org)", ":5: the link https://shop.staging.x.org leads to a host that readers do not"),
    ("[a](https://localhost:8080/)", ":5: the link https://localhost:8080/ leads to a host that readers do not"),
    ("[a](https://127.0.0.1/)", ":5: the link https://127.0.0.1/ leads to a host"),
    ("[a](https://intranet/b)", ":5: the link https://intranet/b leads to a host"),
    ("[a](https://)", ":5: the link https:// names no host"),
    ("[a](/b)", ":5: the link /b is relative; write it in full"),
    ("[a](//x.org)", ":5: the link //x.org is relative; write it in full"),
    ("[a]()", ":5: the link to nothing is relative; write it in full"),
    ("[ ](https://x.org)", ":5: the link https://x.org has no words; say where it leads"),
    ("[a](https://x.org/{{first_name}})", ":5: the link https://x.org/%7B%7Bfirst_name%7D%7D has a placeholder"),
    ("[a](https://x.org/{{ first_name }})", ":5: https://x.org/{{ is no link, so nobody can trace it"),
    ("see https://x.org/a", ":5: https://x.org/a is no link, so nobody can trace it; write <https://x.org/a>"),
    ("Hi\n{{ first_name }}", ":6: {{ first_name }} is not filled in by site, toots"),
    ("{% if a %}", ":5: '{%' starts a template; only {{ a_variable }} is filled in"),
    ("Hi {{ first_name", ":5: '{{' starts a template; only {{ a_variable }} is filled in"),
    ("a <b>c</b>", ":5: HTML, <b>, is refused; write it in Markdown, or leave it out"),
    ("[a](javascript:b)", ":5: a link with javascript: is refused; known are http, https, mailto, tel"),
]


@pytest.mark.parametrize(("text", "fault"), TEXTS)
def test_a_fault_of_a_text_stands_at_its_line(config: Path, text: str, fault: str) -> None:
    (config / "releases/spring/de.md").write_text(f"{HEAD}{text}\n")
    faults = faults_of(config)
    assert any(each.startswith(f"releases/spring/de.md{fault}") for each in faults), faults
    assert not [each for each in faults if not each.startswith("releases/spring/de.md:")]


def test_a_refused_link_is_told_once(config: Path) -> None:
    (config / "releases/spring/de.md").write_text(f"{HEAD}[a](javascript:b)\n")
    assert len(faults_of(config)) == 1


@pytest.mark.parametrize(
    "text",
    ["[a](https://x.org/b?c=d#e)", "<https://x.org>", "[a](#b)", "[a](mailto:a@x.org)", "[a](tel:+49)", "`https://x`"],
)
def test_links_that_lead_somewhere_are_no_fault(config: Path, text: str) -> None:
    (config / "releases/spring/de.md").write_text(f"{HEAD}{text}\n")
    assert faults_of(config) == []


def test_the_settings_say_what_may_be_linked_to(config: Path) -> None:
    (config / "releases/spring/de.md").write_text(f"{HEAD}[a](http://shop.test/)\n")
    settings = SETTINGS.model_copy(update={"staging_hosts": (), "link_schemes": ("https", "http")})
    assert faults_of(config, settings) == []
    assert len(faults_of(config, settings.model_copy(update={"staging_hosts": ("*.test",)}))) == 1


@pytest.mark.parametrize(("characters", "is_fault"), [(110, False), (111, True)])
def test_a_title_has_a_limit(config: Path, characters: int, is_fault: bool) -> None:
    edit(config / "releases/spring/de.md", "Der Frühling ist da", "ü" * characters)
    expected = ["releases/spring/de.md:2 title: has 111 characters; 110 is the limit (title_characters)"]
    assert faults_of(config) == (expected if is_fault else [])


def test_a_summary_has_a_limit(config: Path) -> None:
    edit(config / "releases/spring/de.md", "Neue Farben", "Neue Farben " * 30)
    assert [each.split(": ")[0] for each in faults_of(config)] == ["releases/spring/de.md:3 summary"]


def test_missing_and_stale_translations_are_told_together(config: Path) -> None:
    (config / "releases/spring/ar.md").unlink()
    edit(config / "releases/spring/de.md", "summary", f"translation_of: {'0' * 64}\nsummary")
    found = faults_of(config)
    assert [each[: each.index(";")] for each in found] == [
        "releases/spring/de.md:3 translation_of: DE: the source has changed since",
        "releases/spring/release.yml: AE: there is no text in ar-AE or ar",
    ]


def test_a_text_that_no_market_reads_is_told(config: Path) -> None:
    (config / "releases/spring/es.md").write_text(f"{HEAD}Hola")
    assert faults_of(config) == [
        "releases/spring/es.md:1: no market of this release reads es; name one, or remove the file"
    ]


def test_mail_fills_in_what_the_settings_name_and_nothing_else(config: Path) -> None:
    text = RELEASE.replace("[site, toots]", "[letters]").replace("audience: public", "audience: customer")
    (config / "releases/spring/release.yml").write_text(f"{text}purpose: marketing_email\nlist: readers.csv\n")
    (config / "releases/spring/de.md").write_text(f"{HEAD}Hallo {{{{ first_name }}}}\n{{{{ first_nam }}}}")
    edit(config / "releases/spring/de.md", "title: A", "title: 'Nur für {{ city }}'")
    assert faults_of(config) == [
        "releases/spring/de.md:2 title: {{ city }} is not filled in by letters; known are first_name",
        "releases/spring/de.md:6: {{ first_nam }} is not filled in by letters; did you mean 'first_name'?",
    ]
    given = lint(revision_of(config), variables={"letters": {"first_name", "first_nam", "city"}})
    assert given == []


def test_what_an_outlet_says_of_its_payload_is_told_once_for_all_markets(config: Path) -> None:
    asked: list[tuple[str, str]] = []

    def too_long(content: Content) -> Sequence[str]:
        asked.append((content.market_code, content.locale))
        return ["has 7 characters more than 500"] if content.locale == "en" else []

    found = [str(fault) for fault in lint(revision_of(config), checks={"toots": too_long})]
    assert found == ["releases/spring/en.md: toots: has 7 characters more than 500"]
    assert asked == [("DE", "de"), ("BR", "en"), ("AE", "ar"), ("AE", "en")]


def test_outlets_are_not_asked_about_a_text_that_is_refused(config: Path) -> None:
    edit(config / "releases/spring/en.md", "All bags", "<b>All</b> bags")
    found = [str(fault) for fault in lint(revision_of(config), checks={"toots": lambda content: [content.locale]})]
    assert found == [
        "releases/spring/ar.md: toots: ar",
        "releases/spring/de.md: toots: de",
        "releases/spring/en.md:7: HTML, <b>, is refused; write it in Markdown, or leave it out",
    ]


def test_links_are_asked_only_where_somebody_asks_and_each_once(config: Path) -> None:
    (config / "releases/spring/de.md").write_text(
        f"{HEAD}[a](https://x.org/gone) [b](https://x.org/moved)\n[c](https://x.org/gone) [d](mailto:a@x.org)"
    )
    edit(config / "releases/spring/en.md", "https://shop.example.com/bags?size=m#top", "https://x.org/silent")
    assert faults_of(config) == []
    answers = {"https://x.org/gone": 404, "https://x.org/moved": 301, "https://x.org/silent": None}
    asked: list[str] = []

    def status(url: str) -> int | None:
        asked.append(url)
        return answers[url]

    assert [str(fault) for fault in lint(revision_of(config), status=status)] == [
        "releases/spring/de.md:5: the link https://x.org/gone answers 404",
        "releases/spring/de.md:6: the link https://x.org/gone answers 404",
        "releases/spring/en.md:7: the link https://x.org/silent gives no answer",
    ]
    assert sorted(asked) == sorted(answers)
