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
from caravan.assembly.warehouse import open_warehouse


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
        "copied": 0, "stg.config__release": 2, "stg.release__link": 0, "mart.dim_release": 2,
        "mart.dim_release_link": 0, "mart.fct_release": 0
    }  # fmt: skip
    assert not (world.home / "outbox.sqlite").exists(), "to look makes none"
    assert rows(world, f"{calendar} ORDER BY 2") == [(1, "DE", "in_review"), (1, "GB", "in_review")]
    assert mirroring.mirror("r2", "release_plan_hourly") == {"copied": 0}
    assert rows(world, "SELECT run_id FROM ops.run") == [("r1",)], "an hour without a change leaves no record"

    text = release.read_text()
    release.write_text(text.replace("kind: news", "kind: nonsense"))
    assert mirroring.mirror("r3", "release_plan_hourly") == {"copied": 0}, "what cannot be read is not called off"
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
    assert mirroring.mirror("r2", "release_plan_hourly") == {"copied": 0}


def test_what_left_and_what_did_not_is_seen_without_addresses(world):
    world.approve()
    world.plan()
    assert mirroring.mirror("r1", "release_plan_hourly") == {
        "copied": 5, "stg.config__release": 2, "stg.release__link": 4, "mart.dim_release": 2,
        "mart.dim_release_link": 4, "mart.fct_delivery": 5, "mart.fct_release": 1
    }  # fmt: skip
    world.now += timedelta(seconds=90)
    assert world.send() == {"site": {"accepted": 2}, "letter": {"accepted": 2, "skipped": 1}}
    assert mirroring.mirror("r2", "release_plan_hourly")["copied"] == 5
    counts = "message_count, planned_count, accepted_count, skipped_count, first_handed_over_at >= TIMESTAMP '{}'"
    (found,) = rows(world, f"SELECT {counts.format(world.now)} FROM mart.fct_release")
    assert found == (5, 0, 4, 1, True)
    late = rows(world, "SELECT outlet_code, COUNT(*) FROM mart.fct_delivery WHERE is_late GROUP BY 1 ORDER BY 1")
    assert late == [("letter", 2), ("site", 2)], "90 seconds"
    assert not [each for each in rows(world, "SELECT * FROM ops.outbox") if "@" in str(each)]
    runs = rows(world, "SELECT run_id, state FROM ops.run ORDER BY run_id")
    assert runs == [("r1", "success"), ("r2", "success")]
    assert mirroring.mirror("r3", "release_plan_hourly") == {"copied": 0}
    assert rows(world, "SELECT COUNT(*) FROM ops.run") == [(2,)], "an hour without a change leaves no record"
    assert world.now > NOW
