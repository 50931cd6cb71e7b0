"""The demo's release by its own steps: over HTTP, SMTP and files to exactly those who are to get it, and only once."""

from __future__ import annotations

import json
import os
import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import feedparser
import pytest

from caravan.assembly import releases, sending
from caravan.assembly.clock import utc_now
from caravan.cli import demo_release
from caravan.cli.demo_release import PLAN_DAG_ID, Leaving, leave, write_release
from caravan.cli.demo_world import connected, write_config
from caravan.cli.run import RunResult
from caravan.config.settings import Settings
from caravan.demo.readers import readers
from caravan.demo.servers.outlets import Outlets, serve_outlets

HREFLANG = "{http://www.w3.org/1999/xhtml}link"
LOC = "{http://www.sitemaps.org/schemas/sitemap/0.9}loc"
PEOPLE = readers(1)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("CARAVAN_")]:
            patch.delenv(name)
        patch.setenv("CARAVAN_HOME", str(folder))
        patch.setenv("CARAVAN_CONFIG", str(write_config(Settings.from_environment().config_dir, folder / "config")))
        yield folder


class Stopped(Exception):
    """As a machine that is switched off."""


def night(outlets: Outlets, home: Path, before: Callable[[], None] = lambda: None) -> Leaving:
    """All of it once, without Airflow. `before`: each of its steps."""
    settings = Settings.from_environment()

    def run(dag_id: str) -> RunResult:
        before()
        if dag_id == PLAN_DAG_ID:
            for release_id in releases.list_releases():
                releases.plan(release_id, "test")
            sending.refresh_lists()
        else:
            for code in sending.list_outlets():
                sending.send(code)
            sending.verdict()
        return RunResult(dag_id, "success", {})

    with serve_outlets(outlets, utc_now) as (servers, accounts), connected(accounts):
        write_release(settings.config_dir, home, servers, PEOPLE)
        return leave(settings, outlets, PEOPLE, run, lambda line: None)


@pytest.fixture(scope="module")
def first(home: Path) -> tuple[Outlets, Leaving]:
    outlets = Outlets()
    return outlets, night(outlets, home)


def test_it_arrives_where_it_is_to_and_nowhere_else(first: tuple[Outlets, Leaving]) -> None:
    outlets, found = first
    assert found.wrong == []
    getting = sum(person.why_not is None for person in PEOPLE)
    assert len(outlets.letter.mails) + len(outlets.letter_overseas.mails) == getting == 67
    assert found.states["letter", "unknown"] == 1, "the one whose answer was lost"
    assert len(outlets.partners.taken) == 5, "the lost answer of a receiver that keeps ids is settled"
    assert {post["status"] for post in outlets.blog.posts.values()} == {"publish"}


def test_feeds_and_sitemaps_are_read_by_others(first: tuple[Outlets, Leaving], home: Path) -> None:
    site = home / "site"
    for name in ("feed.rss", "feed.atom", *(f"{tag}/feed.rss" for tag in ("en", "de-DE", "ja-JP", "ar-AE", "fr-FR"))):
        found = feedparser.parse((site / name).read_bytes())
        assert (found.bozo, len(found.entries)) == (False, 1 if "/" in name else 5), name
    titles = {each["language"]: each["title"] for each in json.loads((site / "feed.json").read_text())["items"]}
    assert titles["ja-JP"] == "秋の新しい釉薬、六色"
    pages = ElementTree.parse(site / "sitemap.xml").getroot()
    releases_of_it = [url for url in pages if "/autumn/" in url.findtext(LOC, "")]
    languages = {frozenset(link.attrib["hreflang"] for link in url.iter(HREFLANG)) for url in releases_of_it}
    assert (len(releases_of_it), len(languages)) == (5, 1), "each names all"
    assert languages.pop() == {"en", "de-DE", "fr-FR", "ja-JP", "ar-AE", "x-default"}


def test_a_mail_has_what_its_reader_needs(first: tuple[Outlets, Leaving]) -> None:
    outlets, _ = first
    mail = next(each.content for each in outlets.letter.mails if each.to.endswith(".ae@example.com"))
    assert mail["Subject"] == "ستة ألوان جديدة لهذا الخريف"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    html: Any = mail.get_body(("html",))
    assert 'dir="rtl"' in html.get_content()
    assert 'src="https://www.example.com/ar-AE/autumn/teapot-' in html.get_content(), "beside the page of its language"
    assert (mail.defects, mail.is_multipart()) == ([], True)


def test_another_night_sends_nothing(first: tuple[Outlets, Leaving], home: Path) -> None:
    later = Outlets()
    found = night(later, home)
    assert found.wrong == []
    assert not (later.letter.mails or later.letter_overseas.mails or later.blog.posts or later.toots.statuses)
    assert not (later.sky.records or later.partners.taken or later.hub.told or later.search.told)


@pytest.mark.slow
def test_stopped_in_the_middle_the_next_night_brings_the_rest(first: Any, home: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "config", tmp_path / "config")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CARAVAN_HOME", str(tmp_path))
        patch.setenv("CARAVAN_CONFIG", str(tmp_path / "config"))
        steps = iter(range(100))

        def stop() -> None:
            if next(steps) == 4:
                raise Stopped

        one, two = Outlets(), Outlets()
        with pytest.raises(Stopped):
            night(one, tmp_path, stop)
        assert 0 < len(one.letter.mails) < len(first[0].letter.mails)
        assert night(two, tmp_path).wrong == []
        sent = [each.to for box in (one, two) for each in (*box.letter.mails, *box.letter_overseas.mails)]
        assert sorted(sent) == sorted(each.address for each in PEOPLE if each.why_not is None)


def test_the_judge_sees_one_more_one_less_and_one_other() -> None:
    found = Leaving(
        expected={"letter": demo_release.Counter(["a", "b"])}, arrived={"letter": demo_release.Counter(["b", "b", "c"])}
    )
    assert list(demo_release.differences(found)) == [
        "  letter: a arrived 0 times, not 1",
        "  letter: b arrived 2 times, not 1",
        "  letter: c arrived 1 times, not 0",
    ]
