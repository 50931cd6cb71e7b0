"""A release on its way, as the step of the DAG brings it into the warehouse."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from release_world import NOW, ReleaseWorld, agreed

from caravan.assembly import mirror as mirroring
from caravan.assembly import reporting
from caravan.assembly.outbox import open_ledger
from caravan.assembly.warehouse import open_warehouse
from caravan.core.errors import Rejected
from caravan.warehouse.outbox_caps import contacts


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lakes) -> Iterator[ReleaseWorld]:
    lakes.migrated(tmp_path / "lake")
    world = ReleaseWorld(tmp_path, monkeypatch)
    monkeypatch.setattr(mirroring, "utc_now", lambda: world.now)
    world.people(*agreed("anna"), *agreed("ben", "GB"), "dora@example.com,DE,,,,,Dora")
    yield world
    world.controller.stop()


def rows(world: ReleaseWorld, sql: str) -> list[tuple[Any, ...]]:
    with open_warehouse(world.settings, read_only=True) as warehouse, warehouse.read() as session:
        return session.rows(sql)


def test_without_releases_there_is_nothing_to_do(world):
    shutil.rmtree(world.folder.parent)
    assert mirroring.mirror("r1", "release_plan_hourly") == {}
    assert not (world.home / "outbox.sqlite").exists()


def test_the_calendar_follows_the_folders(world):
    release, calendar = world.folder / "release.yml", "SELECT revision, market_code, standing FROM mart.dim_release"
    assert mirroring.mirror("r1", "release_plan_hourly") == {
        "copied": 0, "lists": 0, "stg.config__release": 2, "stg.release__link": 0, "mart.dim_release": 2,
        "mart.dim_release_link": 0, "mart.fct_release": 0,
    }  # fmt: skip
    assert not (world.home / "outbox.sqlite").exists(), "to look makes none"
    assert rows(world, f"{calendar} ORDER BY 2") == [(1, "DE", "in_review"), (1, "GB", "in_review")]
    assert mirroring.mirror("r2", "release_plan_hourly") == {"copied": 0, "lists": 0}
    assert rows(world, "SELECT run_id FROM ops.run") == [("r1",)], "an hour without a change leaves no record"

    text = release.read_text()
    release.write_text(text.replace("kind: news", "kind: nonsense"))
    unread = mirroring.mirror("r3", "release_plan_hourly")
    assert unread == {"copied": 0, "lists": 0}, "what cannot be read is not called off"
    release.write_text(text.replace("[DE, GB]", "[DE]") + "revision: 2\n")
    world.approve()
    mirroring.mirror("r4", "release_plan_hourly")
    assert rows(world, calendar) == [(2, "DE", "planned")]


def test_the_report_asks_the_outbox_itself(world):
    assert reporting.traffic(world.settings, world.now) == []
    assert not (world.home / "outbox.sqlite").exists()
    world.approve()
    world.plan()
    found = reporting.traffic(world.settings, world.now)
    assert [(each.outlet, each.due_count, each.last_at) for each in found] == [("letter", 3, None), ("site", 2, None)]


def test_links_lead_from_their_tags_back_to_the_release(world):
    (world.config / "releases.yml").write_text("own_hosts: [www.example.com]\n")
    world.approve()
    world.plan()
    mirroring.mirror("r1", "release_plan_hourly")
    asked = "SELECT outlet_code, locale, url, target_url, is_tagged FROM mart.dim_release_link"
    pots, tags = "https://www.example.com/pots", "utm_source=letter&utm_medium=email&utm_campaign=autumn&utm_content"
    assert rows(world, f"{asked} WHERE utm_campaign = 'autumn' ORDER BY locale") == [
        ("letter", locale, f"{pots}?{tags}={locale.lower()}", pots, True) for locale in ("de-DE", "en-GB")
    ]
    assert rows(world, f"{asked} WHERE NOT is_tagged ORDER BY locale") == [
        ("site", locale, pots, pots, False) for locale in ("de-DE", "en-GB")
    ], "the site does not tag links to itself"
    assert mirroring.mirror("r2", "release_plan_hourly") == {"copied": 0, "lists": 0}


def test_what_left_and_what_did_not_is_seen_without_addresses(world):
    world.approve()
    world.plan()
    assert mirroring.mirror("r1", "release_plan_hourly") == {
        "copied": 5, "lists": 1, "stg.config__release": 2, "stg.release__link": 4, "mart.dim_release": 2,
        "mart.dim_release_link": 4, "mart.fct_delivery": 5, "mart.fct_release": 1,
    }  # fmt: skip
    begun = world.now = world.now + timedelta(seconds=90)
    assert world.send() == {"site": {"accepted": 2}, "letter": {"accepted": 2, "skipped": 1}}
    assert mirroring.mirror("r2", "release_plan_hourly")["copied"] == 5
    counts = "message_count, planned_count, accepted_count, skipped_count, first_handed_over_at >= TIMESTAMP '{}'"
    (found,) = rows(world, f"SELECT {counts.format(begun)} FROM mart.fct_release")
    assert found == (5, 0, 4, 1, True)
    late = rows(world, "SELECT outlet_code, COUNT(*) FROM mart.fct_delivery WHERE is_late GROUP BY 1 ORDER BY 1")
    assert late == [("letter", 2), ("site", 2)], "90 seconds"
    assert not [each for each in rows(world, "SELECT * FROM ops.outbox") if "@" in str(each)]
    runs = rows(world, "SELECT run_id, state FROM ops.run ORDER BY run_id")
    assert runs == [("r1", "success"), ("r2", "success")]
    assert mirroring.mirror("r3", "release_plan_hourly") == {"copied": 0, "lists": 0}
    assert rows(world, "SELECT COUNT(*) FROM ops.run") == [(2,)], "an hour without a change leaves no record"
    assert world.now > NOW


BAD = (
    "info@example.com,DE,,,,,Info",
    "nobody,DE,,,,,x",
    "eve@example.com,XX,,,,,Eve",
    "fay@example.com,DE,,,,,",
    "gus@example.com,DE,agreed,2026-01-01,form,v1,Gus",
    "anna@example.com,DE,given,2026-01-02T00:00:00Z,form 7,v1,anna",
)
LOAD = "received_count, loaded_count, unchanged_count, duplicate_count, quarantined_count"


def test_rows_that_nobody_is_written_to_for_are_found_in_quarantine(world):
    world.people(*agreed("anna"), *agreed("ben", "GB"), *BAD)
    world.approve()
    assert world.plan()["letter"] == {"received": 10, "planned": 5, "new": 2, "bad": 5, "elsewhere": {}}
    assert mirroring.mirror("r1", "release_plan_hourly")["lists"] == 1
    found = rows(
        world,
        "SELECT channel_code, entity, file_name, row_number, field_name, reason_code FROM ops.quarantine "
        "ORDER BY row_number",
    )
    where = ("list_letters", "recipient", "lists/letters.csv")
    assert found == [
        (*where, 6, "address", "ROLE_ADDRESS"),
        (*where, 7, "address", "BAD_ADDRESS"),
        (*where, 8, "market", "UNKNOWN_MARKET"),
        (*where, 9, "first_name", "VARIABLE_MISSING"),
        (*where, 10, "consent_state", "NOT_A_STATE"),
    ]
    everything = rows(world, "SELECT * FROM ops.quarantine") + rows(world, "SELECT * FROM ops.load")
    assert not [each for each in everything if "example" in str(each) or "nobody@" in str(each)], "no address"
    assert rows(world, f"SELECT state, {LOAD} FROM ops.load") == [("loaded", 10, 4, 0, 1, 5)]
    world.plan()
    assert mirroring.mirror("r2", "release_plan_hourly")["lists"] == 0, "the same file again"
    assert rows(world, "SELECT COUNT(*) FROM ops.quarantine") == [(5,)]


def test_a_file_that_was_mended_is_a_load_of_its_own_and_other_rules_judge_again(world):
    world.people(*agreed("anna"), *BAD)
    world.approve()
    world.plan()
    mirroring.mirror("r1", "release_plan_hourly")
    path = world.config / "lists" / "letters.yml"
    path.write_text(path.read_text().replace("variables: [first_name]", "variables: []"))
    world.now += timedelta(minutes=1)
    world.plan()
    mirroring.mirror("r2", "release_plan_hourly")
    assert rows(world, "SELECT COUNT(*) FROM ops.quarantine") == [(4,)], "the first judgement counts no longer"
    world.people(*agreed("anna"))
    world.now += timedelta(minutes=1)
    world.plan()
    mirroring.mirror("r3", "release_plan_hourly")
    counts = rows(world, f"SELECT {LOAD} FROM ops.load ORDER BY started_at")
    assert counts == [(8, 2, 0, 1, 5), (8, 3, 0, 1, 4), (2, 2, 0, 0, 0)]
    assert rows(world, "SELECT COUNT(*) FROM ops.quarantine") == [(4,)]


def test_a_no_in_a_bad_row_is_heard(world):
    world.people(*agreed("anna"), "anna@example.com,XX,withdrawn,2026-02-01,form 9,v1,anna")
    world.approve()
    world.plan()
    assert world.send()["letter"] == {"skipped": 1}


def test_a_list_that_is_no_text_is_refused(world):
    (world.home / "lists" / "letters.csv").write_bytes("address,first_name\nzo\u00eb@example.com,x\n".encode("latin-1"))
    world.approve()
    with pytest.raises(Rejected, match=r"LIST_BROKEN: lists/letters\.csv.*not UTF-8"):
        world.plan()


def test_addresses_of_our_own_get_every_language_at_once_and_count_nowhere(world):
    text = (world.folder / "release.yml").read_text()
    (world.folder / "release.yml").write_text(text.replace("T09:30", "T15:30").replace("[site, letter]", "[letter]"))
    outlet = world.config / "outlets" / "letter.yml"
    outlet.write_text(outlet.read_text() + "seeds: lists/seeds.csv\n")
    for locale in ("en-GB", "de-DE"):
        body = world.folder / f"{locale}.md"
        body.write_text(body.read_text() + "\nDear {{ first_name }}!\n")
    world.approve()
    with pytest.raises(Rejected, match=r"SEEDS_MISSING: outlet letter: lists/seeds\.csv"):
        world.plan()
    seeds = world.home / "lists" / "seeds.csv"
    seeds.write_text("address\nqa@\n")
    with pytest.raises(Rejected, match=r"SEEDS_FAULTY: lists/seeds\.csv:2 address: "):
        world.plan()
    seeds.write_text("address,first_name\ninfo@example.com,Info\nqa@example.com,Qa\n")
    assert world.plan()["letter"] == {"received": 5, "planned": 5, "new": 3, "bad": 0, "elsewhere": {}, "seeds": 4}
    assert world.send() == {"letter": {"accepted": 4}}, "six hours before anybody else, in their night as well"
    found = sorted((to, mail["Subject"]) for to, mail in world.box.mails)
    titles = ("Autumn teapots", "Teekannen im Herbst")
    assert found == [(f"{name}@example.com", title) for name in ("info", "qa") for title in titles]
    assert "Dear Qa!" in world.box.mails[-1][1].get_body(("plain",)).get_content()
    world.plan()
    assert world.send() == {}, "once"
    mirroring.mirror("r1", "release_plan_hourly")
    assert rows(world, "SELECT is_seed, COUNT(*) FROM mart.fct_delivery GROUP BY 1 ORDER BY 1") == [
        (False, 3),
        (True, 4),
    ]
    assert rows(world, "SELECT message_count, accepted_count FROM mart.fct_release") == [(3, 0)]
    assert not [each for each in rows(world, "SELECT * FROM mart.fct_delivery") if "example.com" in str(each)]
    with world.desk() as desk:
        qa = desk.subject_of("qa@example.com")
    with open_ledger(world.settings) as ledger, ledger.read() as transaction:
        assert contacts(transaction, qa, NOW - timedelta(days=9)) == 0, "for caps"
