"""Two mail outlets of one release: nobody gets it from both, whatever becomes of lists and markets meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from release_world import LETTER, NOW, ReleaseWorld, agreed

HOUR = timedelta(hours=1)


@pytest.fixture(params=["[site, letter, second]", "[second, site, letter]"])
def world(request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReleaseWorld]:
    """`site` for all; `letter` for DE and US, `second` for GB, in either order; a day before it leaves."""
    world = ReleaseWorld(tmp_path, monkeypatch)
    release = world.folder / "release.yml"
    changes = {
        "[site, letter]": request.param,
        "[DE, GB]": "[DE, GB, US]",
        "source_locale: en-GB": "source_locale: en",
        "max_lateness: 2h": "max_lateness: 9h",
    }
    text = release.read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    release.write_text(text)
    (world.folder / "en-GB.md").rename(world.folder / "en.md")
    serve(world, letter="[DE, US]", second="[GB]")
    world.now -= timedelta(days=1)
    world.approve()
    yield world
    world.controller.stop()


def serve(world: ReleaseWorld, **markets: str) -> None:
    for code, named in markets.items():
        text = LETTER.replace("code: letter", f"code: {code}").replace("news@", f"{code}@")
        (world.config / "outlets" / f"{code}.yml").write_text(f"{text}markets: {named}\n")


def left(world: ReleaseWorld) -> list[str]:
    """Who has a mail, and of which outlet."""
    return sorted(f"{to.partition('@')[0]} {mail['From'].partition('<')[2].partition('@')[0]}" for to, mail in
                  world.box.mails)  # fmt: skip


def leave(world: ReleaseWorld) -> list[str]:
    world.now = max(world.now + HOUR / 2, NOW)
    world.send()
    return left(world)


def test_whoever_is_on_the_list_under_two_markets_is_one(world):
    world.people(*agreed("anna"), *agreed("anna", "GB"), *agreed("ben", "GB"))
    counts = world.plan()
    first, second = (code for code in counts if code in ("letter", "second"))
    assert counts[second]["elsewhere"]["reached before"] == 2, "both of her rows there"
    again = world.plan()
    assert (again[first], again[second]) == ({"new": 0}, {"new": 0})
    assert leave(world) == [f"anna {first}", "ben second"]


def test_whose_market_is_changed_after_their_mail_has_left_gets_no_other(world):
    world.people(*agreed("anna"), *agreed("ben", "GB"))
    world.plan()
    assert leave(world) == ["anna letter", "ben second"]
    world.people(*agreed("anna", "GB"), *agreed("ben"), *agreed("cara"))
    world.plan()
    assert leave(world) == ["anna letter", "ben second", "cara letter"]


def test_a_market_that_is_given_to_another_outlet_after_its_mail_has_left_gets_no_other(world):
    world.people(*agreed("anna"), *agreed("ben", "GB"))
    world.plan()
    leave(world)
    serve(world, letter="[US]", second="[DE, GB]")
    world.plan()
    assert leave(world) == ["anna letter", "ben second"]


@pytest.mark.parametrize("second", ["[GB]", "[DE, GB]"])
def test_a_market_that_is_given_away_before_leaves_by_the_new_outlet_alone(world, second):
    world.people(*agreed("anna"), *agreed("ben", "GB"))
    world.plan()
    serve(world, letter="[US]", second=second)
    assert world.plan()["letter"]["taken_back"] == 1
    assert leave(world) == (["anna second", "ben second"] if "DE" in second else ["ben second"])


def test_two_outlets_that_hold_one_person_hand_over_once(world):
    """Planned on one, then given to the other, and nobody has planned since."""
    world.people(*agreed("anna"))
    world.plan()
    serve(world, letter="[US]", second="[DE, GB]")
    world.plan()
    with world.desk() as desk:
        (taken_back,) = desk.outbox.find(state="cancelled")
        desk.outbox.settle(taken_back, "planned", "as it was before it was taken back", world.now, "test")
    assert len(leave(world)) == 1
    with world.desk() as desk:
        found = {each.state: each.reason for each in desk.outbox.find() if each.intention.subject}
    assert set(found) == {"accepted", "skipped"}
    assert found["skipped"].startswith("it has reached them by ")
