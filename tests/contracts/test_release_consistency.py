"""Releases read back from every outlet over real HTTP: what is as it was handed over, and what somebody has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from outlets_world import EVERY, POSTS, OutletsWorld, Services, serve_services

from caravan.assembly import consistency
from caravan.assembly.warehouse import open_warehouse
from caravan.clients.http import links
from caravan.clients.site import outlet as site_outlet
from caravan.clients.site.consistency import PageFacts, read_back, read_page
from caravan.core.errors import Rejected, Retryable
from caravan.demo.servers.serving import serve

DAG = "release_feedback_hourly"
BODY = "Our pots cost 19 €, see [them](https://www.example.com/pots)."
SILENT = ("hub", "partners", "search")


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    with serve_services() as services:
        yield services


class CheckedWorld(OutletsWorld):
    """`web`: what the own site answers, by path; what its folder has where nothing is said. `answers`: of links."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch, services: Services) -> None:
        super().__init__(home, monkeypatch, services)
        self.web: dict[str, Callable[[], PageFacts]] = {}
        self.answers: dict[str, int | None] = {}
        self.asked: list[str] = []
        monkeypatch.setattr(consistency, "utc_now", lambda: self.now)
        monkeypatch.setattr(site_outlet, "read_back", self._read_back)
        monkeypatch.setattr(links, "status", self._status)
        for name in ("en-GB", "de-DE"):
            head = (self.folder / f"{name}.md").read_text().split("\n")[:4]
            (self.folder / f"{name}.md").write_text("\n".join([*head, BODY, ""]))
        self.approve()

    def _read_back(self, url: str, store: Any = None) -> PageFacts:
        if store is not None:
            return read_back(url, store)
        path = url.removeprefix("https://www.example.com/")
        if path in self.web:
            return self.web[path]()
        file = self.home / "site" / path / "index.html"
        return read_page(file.read_bytes(), url) if file.exists() else PageFacts(404)

    def _status(self, url: str) -> int | None:
        self.asked.append(url)
        return next((code for part, code in self.answers.items() if part in url), 200)

    def check(self, *codes: str) -> dict[str, dict[str, int]]:
        return {code: consistency.check_outlet(code, DAG) for code in codes or consistency.list_published(DAG)}

    def found(self, outcome: str = "differs") -> set[tuple[str, str, str]]:
        """Outlet, language and aspect."""
        with open_warehouse(self.settings, read_only=True) as warehouse, warehouse.read() as session:
            newest = "SELECT message_id, MAX(checked_at) AS at FROM ops.release_check GROUP BY message_id"
            rows = session.rows(
                f"SELECT c.outlet, c.locale, c.aspect FROM ops.release_check AS c JOIN ({newest}) AS n "
                f"ON n.message_id = c.message_id AND n.at = c.checked_at WHERE c.outcome = '{outcome}'"
            )
        return set(rows)

    def edit(self, locale: str, old: str, new: str) -> None:
        path = self.home / "site" / locale / "autumn" / "index.html"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, services: Services, lakes) -> Iterator[CheckedWorld]:
    lakes.migrated(tmp_path / "lake")
    world = CheckedWorld(tmp_path, monkeypatch, services)
    world.release()
    world.now += timedelta(minutes=10)
    yield world
    world.controller.stop()


def test_what_is_as_it_was_handed_over_differs_nowhere(world):
    counts = world.check()
    assert set(counts) == {*EVERY}
    assert counts["site"] == {"same": 14}
    assert {code: counts[code] for code in SILENT} == {code: {"not_evaluated": 2} for code in SILENT}
    assert all(counts[code].keys() <= {"same", "not_evaluated"} for code in POSTS), counts
    assert all(counts[code]["same"] >= 10 for code in POSTS), counts
    consistency.verdict(DAG)
    assert world.found() == set()
    asked = len(world.asked)
    assert asked == len(set(world.asked)) + 1, "each link once for each outlet: /pots is on the site and on the blog"


def test_it_is_looked_at_once_a_day_for_a_week_and_not_at_once(world):
    world.now -= timedelta(minutes=8)
    assert consistency.list_published(DAG) == [], "caches take a moment"
    world.now += timedelta(minutes=8)
    world.check()
    world.now += timedelta(hours=1)
    assert consistency.list_published(DAG) == []
    world.now += timedelta(days=1)
    assert set(consistency.list_published(DAG)) == {*EVERY}
    world.now += timedelta(days=7)
    assert consistency.list_published(DAG) == []


def test_every_way_to_differ_is_found_told_and_over_when_it_is_mended(world):
    services = world.services
    world.edit("en-GB", "19 €", "29 €")
    world.edit("de-DE", '<html lang="de-DE"', '<html lang="fr-FR"')
    records = dict(services.sky.records)
    services.sky.records.clear()
    post = next(each for each in services.blog.published if each["slug"] == "autumn-en-gb")
    post["title"] = "Sale!"
    post["content"]["raw"] = post["content"]["raw"].replace("https://www.example.com/pots", "https://evil.example/")
    status = next(each for each in services.toots.statuses if "Herbst" in each["content"])
    kept = dict(status)
    status["content"] = status["content"].replace("c=", "x=")
    world.check("site", *POSTS)
    assert world.found() == {
        *(("site", "en-GB", "price"), ("site", "de-DE", "language")),
        *(("sky", "en-GB", "presence"), ("sky", "de-DE", "presence")),
        *(("blog", "en-GB", "text"), ("blog", "en-GB", "links")),
        *(("toots", "de-DE", "version"), ("toots", "de-DE", "links")),
    }
    with pytest.raises(Rejected, match=r"autumn on site, en-GB: price: shows 29 €; approved was 19 €"):
        consistency.verdict(DAG)
    world.edit("en-GB", "29 €", "19 €")
    world.edit("de-DE", '<html lang="fr-FR"', '<html lang="de-DE"')
    services.sky.records.update(records)
    status.update(kept)
    world.now += timedelta(hours=1)
    assert {"site", *POSTS} <= set(consistency.list_published(DAG))
    world.check("site", *POSTS)
    assert {outlet for outlet, _, _ in world.found()} == {"blog"}
    world.revise()
    world.release()
    world.now += timedelta(minutes=10)
    world.check("blog")
    consistency.verdict(DAG)


def test_what_was_withdrawn_and_is_still_there_differs(world):
    page, posts = world.page("en-GB"), [dict(each) for each in world.services.toots.statuses]
    world.revise(action="withdraw")
    world.release()
    world.now += timedelta(minutes=10)
    world.check("site", *POSTS)
    consistency.verdict(DAG)
    (world.home / "site" / "en-GB" / "autumn" / "index.html").write_text(page)
    world.services.toots.statuses.extend(posts)
    world.services.blog.posts[101]["status"] = "publish"
    world.now += timedelta(days=1)
    world.check("site", *POSTS)
    assert {(outlet, aspect) for outlet, _, aspect in world.found()} == {
        (outlet, "presence") for outlet in ("site", "toots", "blog")
    }
    with pytest.raises(Rejected, match="was withdrawn, and is still there"):
        consistency.verdict(DAG)


def test_a_language_that_does_not_name_the_other_or_is_gone(world):
    world.edit("de-DE", 'hreflang="en-GB"', 'hreflang="en-IE"')
    world.check("site")
    assert world.found() == {("site", "de-DE", "hreflang")}
    world.edit("de-DE", "https://www.example.com/en-GB/autumn/", "https://www.example.com/en/autumn/")
    world.now += timedelta(hours=1)
    world.check("site")
    assert world.found() == {("site", "de-DE", "hreflang"), ("site", "en-GB", "hreflang")}
    with pytest.raises(Rejected, match="names de-DE, which does not name it"):
        consistency.verdict(DAG)


def test_a_link_that_is_broken_differs_and_one_without_an_answer_is_asked_again(world):
    world.answers = {"/pots": 404}
    world.check("site", "blog")
    assert {aspect for _, _, aspect in world.found()} == {"links"}
    world.answers = {"/pots": None}
    world.now += timedelta(hours=1)
    world.check("site", "blog")
    assert world.found() == set()
    assert world.found("unanswered") == {
        (outlet, locale, "links") for outlet in ("site", "blog") for locale in ("en-GB", "de-DE")
    }
    consistency.verdict(DAG)
    world.now += timedelta(hours=1)
    assert {"blog", "site"} <= set(consistency.list_published(DAG))


def test_a_site_that_does_not_answer_is_read_from_its_store_and_a_service_is_asked_again(world):
    def silent() -> PageFacts:
        raise Retryable("https://www.example.com/en-GB/autumn/ answers 502")

    world.web["en-GB/autumn/"] = silent
    world.services.faults("toots").always = "down"
    counts = world.check("site", "toots")
    assert counts["site"] == {"same": 14}
    assert counts["toots"] == {"unanswered": 2}
    with open_warehouse(world.settings, read_only=True) as warehouse, warehouse.read() as session:
        rows = session.rows("SELECT detail FROM ops.release_check WHERE detail LIKE 'as the store has it%'")
    assert rows == [("as the store has it: https://www.example.com/en-GB/autumn/ answers 502",)]
    consistency.verdict(DAG)
    world.now += timedelta(hours=1)
    found = consistency.list_published(DAG)
    assert "toots" in found and "site" not in found


def test_before_anything_was_planned_nothing_is_opened(tmp_path, monkeypatch, services):
    monkeypatch.setenv("CARAVAN_HOME", str(tmp_path))
    assert consistency.list_published(DAG) == []
    consistency.verdict(DAG)
    assert list(tmp_path.iterdir()) == []


def test_a_link_is_asked_once_and_no_redirect_followed():
    asked = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope["path"])
        code = int(scope["path"].strip("/"))
        await send({"type": "http.response.start", "status": code, "headers": [(b"location", b"/200")]})
        await send({"type": "http.response.body", "body": b"x" * 100})

    with serve(app) as url:
        assert [links.status(f"{url}/{code}") for code in (200, 302, 404, 503)] == [200, 302, 404, 503]
    assert asked == ["/200", "/302", "/404", "/503"]
    assert links.status(f"{url}/200") is None, "nobody is there any more"
    assert links.status("https://[") is None
