"""A release on every outlet, published, corrected and withdrawn: planned, approved and sent as the DAGs do it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import feedparser
import pytest
from outlets_world import EVERY, NOTICES, PAGES, POSTS, OutletsWorld, Services, serve_services
from release_world import a_release_more, agreed

from caravan.assembly import releases, sending
from caravan.assembly.sending import ReleaseCarrier
from caravan.core.errors import Misconfigured

BEFORE = ["Autumn teapots", "Teekannen im Herbst"]
AFTER = ["Autumn teapots, corrected", "Teekannen im Herbst"]
SENT = {"accepted": 2}
FIRST = dict.fromkeys(EVERY, SENT) | {"hub": {"accepted": 2, "waiting": 2}}
"""Who is first to tell waits some seconds for the site's feeds."""
ARRIVED = {code: {"accepted"} for code in EVERY}
POST = {"blog": 1, "toots": 0, "sky": 1, "partners": 0, "hub": 0, "search": 0}
"""How many requests come before the one that publishes."""


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            patch.delenv(name, raising=False)
        with serve_services() as services:
            yield services


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, services: Services) -> Iterator[OutletsWorld]:
    world = OutletsWorld(tmp_path, monkeypatch, services)
    world.approve()
    yield world
    world.controller.stop()


def told(world: OutletsWorld) -> tuple[set[str], list[str]]:
    """What the hub and the search engine have heard since they were asked last."""
    feeds, pages = set(world.services.hub.told), sorted(world.services.search.told)
    world.services.hub.told.clear()
    world.services.search.told.clear()
    return feeds, pages


def test_one_post_then_edited_then_gone_however_often_it_is_run(world):
    world.people(*agreed("anna"))
    feeds = {f"https://www.example.com/feed.{kind}" for kind in ("rss", "atom", "json")}
    pages = [f"https://www.example.com/{locale}/autumn/" for locale in sorted(PAGES)]
    assert world.release() == FIRST | {"letter": {"accepted": 1}}
    assert [world.titles(code) for code in POSTS] == [BEFORE] * 3
    assert told(world) == (feeds, pages)

    world.revise()
    assert world.release() == FIRST
    assert [world.titles(code) for code in POSTS] == [AFTER] * 3
    assert "corrected" in world.page("en-GB")
    assert told(world) == (feeds, pages)

    world.revise(action="withdraw")
    assert world.release() == FIRST
    assert [world.titles(code) for code in POSTS] == [[]] * 3
    assert told(world) == (feeds, pages)
    messages = [(each["action"], "provider_id" in each) for each in world.services.partners.taken]
    assert messages == [("publish", False)] * 2 + [("publish", True)] * 2 + [("withdraw", True)] * 2

    world.revise("Autumn teapots are back")
    assert world.release() == FIRST
    assert [world.titles(code) for code in POSTS] == [["Autumn teapots are back", "Teekannen im Herbst"]] * 3
    assert len(world.box.mails) == 1, "what left by mail is corrected by nobody"


def test_feeds_and_sitemaps_say_what_became_of_it(world):
    world.release()
    first = feedparser.parse(world.file("en-GB/feed.atom")).entries[0]
    world.revise()
    world.release()
    corrected = feedparser.parse(world.file("en-GB/feed.atom")).entries[0]
    assert (first.id, first.published) == (corrected.id, corrected.published)
    assert (first.title, corrected.title) == ("Autumn teapots", "Autumn teapots, corrected")
    assert corrected.updated > first.updated
    assert world.file("sitemap.xml").count("<loc>") == 2

    world.revise(action="withdraw")
    world.release()
    for name in ("feed.atom", "feed.rss", "en-GB/feed.atom", "sitemap.xml", "news-sitemap.xml"):
        assert "autumn" not in world.file(name), name
    assert json.loads(world.file("feed.json"))["items"] == []
    assert world.file("withdrawn.txt").split() == ["/de-DE/autumn/", "/en-GB/autumn/"]
    tombstone = world.page("en-GB")
    assert '<meta name="caravan-state" content="withdrawn">' in tombstone and "teapots" not in tombstone


def revisions(world: OutletsWorld) -> Iterator[list[str]]:
    """Publish, correct, withdraw, each planned; and what titles are to be seen then."""
    for number, (action, titles) in enumerate((("publish", BEFORE), ("publish", AFTER), ("withdraw", []))):
        if number:
            world.revise(action=action)
        world.plan()
        yield titles


def test_a_lost_answer_leaves_one_post_edited_and_gone_all_the_same(world):
    """Of each revision every outlet loses one answer, after the other side did what was asked."""
    for titles in revisions(world):
        for code, before in POST.items():
            world.services.faults(code).next(*["ok"] * before, "lost")
        counts = world.send()
        assert {code: counts[code]["unknown"] for code in POST} == dict.fromkeys(POST, 1)
        world.tick(times=2)
        assert world.left(world.revision) == ARRIVED
        assert [world.titles(code) for code in POSTS] == [titles] * 3
    assert [each["action"] for each in world.services.partners.taken] == [*["publish"] * 4, *["withdraw"] * 2]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_worker_that_dies_leaves_one_post_edited_and_gone_all_the_same(world, monkeypatch, when):
    """Of each revision and outlet one worker dies with a message handed over, before or after it has left."""
    hand_over, dying = ReleaseCarrier.hand_over, []

    def handed(self, message):
        if dying and when == "before":
            raise KeyboardInterrupt
        outcome = hand_over(self, message)
        if dying:
            raise KeyboardInterrupt
        return outcome

    monkeypatch.setattr(ReleaseCarrier, "hand_over", handed)
    for titles in revisions(world):
        dying.append(when)
        for code in ("site", *POSTS, "partners"):
            with pytest.raises(KeyboardInterrupt):
                sending.send(code)
        dying.clear()
        world.tick(minutes=11, times=3)  # leases end; what became of it is looked for; what was not sent is
        assert world.left(world.revision) == ARRIVED
        assert [world.titles(code) for code in POSTS] == [titles] * 3
        assert "corrected" in world.page("en-GB") if titles is AFTER else True


def test_who_is_told_of_a_page_is_told_after_it_is_there(world):
    """A hub that came while the site's own task is still to run would fetch what was there before, and not again."""
    world.plan()
    assert sending.list_outlets()[-2:] == list(NOTICES)
    before = world.now
    assert sending.send("hub") == {"waiting": 2}
    assert world.services.hub.told == []
    assert world.now == before, "nor does it keep the site waiting, where tasks run one after another"
    sending.send("site")
    world.now += timedelta(minutes=1)
    assert sending.send("hub") == SENT


@pytest.mark.parametrize(("code", "place"), [("hub", "outlets/hub.yml hub"), ("search", "outlets/search.yml endpoint")])
@pytest.mark.parametrize(("fault", "told"), [("denied", "answered 401"), ("moved", "is redirected to ")])
def test_who_is_told_without_an_account_is_named_by_the_outlet_s_own_field(world, code, place, fault, told):
    world.plan()
    sending.send("site")
    world.now += timedelta(minutes=1)
    getattr(world.services, code).faults.next(fault)
    with pytest.raises(Misconfigured) as refused:
        sending.send(code)
    (only,) = refused.value.faults
    assert (only.where, only.message.startswith(told)) == (place, True)
    assert "password" not in only.message and "set its host" not in only.message


def test_nobody_is_told_of_a_page_whose_site_could_not_be_opened_when_it_was_planned(world):
    file = world.config / "outlets" / "site.yml"
    file.write_text(file.read_text().replace("folder: site", "bucket: pages\nconnection: s3_pages"))
    with pytest.raises(Misconfigured, match="s3_pages"):
        world.plan()
    assert [{*sending.send(code)} for code in NOTICES] == [{"waiting"}] * 2
    assert told(world) == (set(), [])
    file.write_text(file.read_text().replace("bucket: pages\nconnection: s3_pages", "folder: site"))
    world.plan()
    world.tick(times=2)
    feeds, pages = told(world)
    assert len(feeds) == 3 and pages == [f"https://www.example.com/{locale}/autumn/" for locale in sorted(PAGES)]


def test_a_hub_is_told_when_the_feeds_are_made_not_while_more_pages_are_put(world, monkeypatch):
    """Another release's page is due a minute later: the same run waits for it, and makes the feeds then."""
    a_release_more(world)
    for name, outlets, at in (("autumn", "[site, hub]", "09:30:00Z"), ("winter", "[site]", "09:31:00Z")):
        file = world.folder.with_name(name) / "release.yml"
        text = file.read_text().replace(f"[{', '.join(EVERY)}, letter]", outlets).replace("09:30:00Z", at)
        file.write_text(text)
    world.approve()
    for name in ("autumn", "winter"):
        releases.plan(name, "test")

    def sleep(seconds: float) -> None:
        world.now += timedelta(seconds=15)
        monkeypatch.setattr(sending, "sleep", world._sleep)
        sending.send("hub")  # another process, meanwhile
        assert told(world)[0] == set()
        world.now += timedelta(seconds=seconds - 15)

    monkeypatch.setattr(sending, "sleep", sleep)
    sending.send("site")
    assert "/autumn/" in (world.home / "site" / "feed.rss").read_text()
    world.tick()
    assert len(told(world)[0]) == 3


def test_a_hub_is_told_of_the_site_that_has_the_page(world):
    site = (world.config / "outlets" / "site.yml").read_text()
    for old, new in (("code: site", "code: another"), ("www.", "another."), ("folder: site", "folder: another")):
        site = site.replace(old, new)
    (world.config / "outlets" / "another.yml").write_text(site)
    world.release()
    assert told(world)[0] == {f"https://www.example.com/feed.{kind}" for kind in ("rss", "atom", "json")}


def test_nobody_is_told_of_a_page_that_was_refused(world):
    world.plan()
    (world.home / "site" / "en-GB" / "autumn").mkdir(parents=True)
    newer = world.home / "site" / "en-GB" / "autumn" / "index.html"
    newer.write_text('<html><meta name="caravan-revision" content="9"></html>')
    sending.send("site")
    world.tick()
    with world.desk() as desk:
        found = {each.key.target: each.state for each in desk.outbox.find() if each.key.outlet == "search"}
    assert found == {"en-GB": "skipped", "de-DE": "accepted"}


def test_a_correction_waits_until_it_is_known_what_it_corrects(world):
    """Of Mastodon and Bluesky: which post it is, the lost answer would have said."""
    world.plan()
    world.services.faults("toots").next("cut")
    world.services.faults("toots").always = "down"
    world.send()
    assert world.left(1)["toots"] == {"unknown"}
    world.revise()
    world.release()
    assert world.left(2)["toots"] == {"planned"}
    world.services.faults("toots").always = "ok"
    world.tick(minutes=6, times=3)
    assert world.left(2)["toots"] == {"accepted"}
    assert world.titles("toots") == AFTER


def test_what_somebody_else_has_deleted_meanwhile_is_posted_anew(world):
    world.release()
    for posts in (world.services.toots.statuses, world.services.sky.records, world.services.blog.posts):
        posts.clear()
    world.revise()
    world.release()
    assert [world.titles(code) for code in POSTS] == [AFTER] * 3


def test_mail_is_not_taken_back_and_a_release_that_says_so_has_a_fault(world):
    world.release()
    world.revise(action="withdraw")
    world.write("[site, letter]", "withdraw")
    with pytest.raises(
        Misconfigured, match=r"release\.yml:7 outlets\[1\]: 'letter' is mail, which cannot be taken back"
    ):
        world.plan()


def test_a_withdrawal_takes_back_the_mails_that_still_wait(world):
    world.people(*agreed("anna"))
    world.now -= timedelta(hours=2)
    world.approve()
    world.plan()
    world.now += timedelta(hours=1)
    world.revise(action="withdraw")
    world.release()
    assert world.left(1)["letter"] == {"cancelled"}
    assert world.box.mails == []
