"""An outbox that comes back from a backup sends nothing twice: what may have left since is known to nobody."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from places import Place

from caravan.assembly.backup import make_backup, restore
from caravan.assembly.outbox import open_books, open_ledger, secret_key
from caravan.config.settings import Settings
from caravan.core.approval import Approval
from caravan.core.contacts import Suppression
from caravan.core.errors import CaravanError
from caravan.core.outbox import Accepted, Intention, Key
from caravan.core.privacy import ConsentEvent
from caravan.core.release import PayloadKey, SentLink
from caravan.warehouse import ledger_copy
from caravan.warehouse.outbox import StoredOutbox
from caravan.warehouse.releases import StoredReleases

AT = datetime(2026, 11, 22, 1, 30)
HOUR = timedelta(hours=1)


def intention(target: str, hours: int) -> Intention:
    planned = AT + hours * HOUR
    return Intention(Key("release", "autumn", 1, "mail", target), planned, planned + 24 * HOUR, "c", payload={"n": "ö"})


LINK = SentLink("autumn", 1, "c", "mail", "de", "abc", 1, "https://a.example/?utm_source=mail", "https://a.example/")


def settings_of(home: Path, place: Place) -> Settings:
    return Settings(home, home / "config", f"lake://{place.root}" if place.engine == "lake" else place.dsn)


def fill(settings: Settings) -> None:
    """sent long ago, due two hours after the backup, due in ten."""
    with open_books(settings) as books:
        books.outbox.plan([intention("sent", -3), intention("soon", 2), intention("later", 10)], AT - 4 * HOUR, "me")
        (message,) = books.outbox.claim("release", "mail", "one", AT - 3 * HOUR, AT, HOUR, 9)
        begun = books.outbox.begin(message, AT - 3 * HOUR)
        assert begun
        books.outbox.record(begun, Accepted("4711"), AT - 3 * HOUR)
        books.contacts.add_consent([ConsentEvent("x", "marketing_email", "email", "given", AT, "e", "v")], AT, "list")
        books.contacts.suppress([Suppression("y", "email", "complaint", AT, "event")], AT)
        books.contacts.note_soft_bounce("z", "email", AT, "event")
    with open_ledger(settings) as ledger:
        releases = StoredReleases(ledger)
        releases.approve([Approval("autumn", "c", "Omar", AT, "file")])
        releases.keep({PayloadKey("autumn", 1, "mail", "DE", "de", "c"): {"a": 1}}, [LINK], AT)


@pytest.mark.parametrize("to", ["lake", "postgresql"])
def test_what_may_have_left_since_is_not_sent_again(engine, to, new_place, tmp_path):
    place = new_place(engine)
    place.open().close()
    source = settings_of(tmp_path / "home", place)
    source.config_dir.mkdir(parents=True)
    fill(source)
    with open_books(source) as books:
        key = secret_key(source, books.contacts)
    made = make_backup(source, tmp_path / "backups", AT, secrets=False)
    with open_books(source) as books:
        books.outbox.plan([intention("planned after it", 3)], AT + HOUR, "me")

    target = settings_of(tmp_path / "again", new_place(to, migrated=False))
    target.config_dir.mkdir(parents=True)
    said = restore(target, made.folder, clock=lambda: AT + 5 * HOUR)
    assert any(line.startswith("outbox restored; 1 messages were due since") for line in said)
    assert any(line.startswith(f"WHAT PEOPLE SAID AFTER {AT} UTC IS GONE") for line in said)
    with open_books(target) as books:
        assert books.contacts.key_print() and secret_key(target, books.contacts) == key
        books.outbox.plan([intention("planned after it", 3), intention("new", 9)], AT + 5 * HOUR, "me")
        states = {each.key.target: (each.state, each.provider_id) for each in books.outbox.find()}
        assert states == {
            "sent": ("accepted", "4711"),
            "soon": ("unknown", None),
            "later": ("planned", None),
            "planned after it": ("unknown", None),
            "new": ("planned", None),
        }
        assert books.outbox.verify() is None
        assert [each.state for each in books.contacts.consent("x")] == ["given"]
        assert [each.reason for each in books.contacts.suppressions("y", "email")] == ["complaint"]
        assert books.contacts.soft_bounces("z", "email", AT) == 1
    with open_ledger(target) as ledger:
        assert [each.approver for each in StoredReleases(ledger).approvals("autumn")] == ["Omar"]
        assert StoredReleases(ledger).payload(PayloadKey("autumn", 1, "mail", "DE", "de", "c")) == {"a": 1}
        assert StoredReleases(ledger).links() == [LINK]


@pytest.mark.parametrize("to", ["lake", "postgresql"])
def test_no_sender_sees_what_is_restored_before_it_is_in_doubt(to, new_place, tmp_path, monkeypatch):
    source = Settings(tmp_path / "home", tmp_path / "home" / "config", f"lake://{tmp_path / 'home' / 'lake'}")
    fill(source)
    target = settings_of(tmp_path / "again", new_place(to, migrated=False))
    with open_ledger(source) as given, open_ledger(target) as taken:
        with monkeypatch.context() as cut, pytest.raises(KeyboardInterrupt):
            cut.setattr(ledger_copy.outbox, "doubt", interrupted)
            ledger_copy.restore(given, taken, AT, AT + 5 * HOUR)
        outbox = StoredOutbox(taken)
        assert outbox.find() == []
        assert ledger_copy.restore(given, taken, AT, AT + 5 * HOUR) == 1
        assert ledger_copy.restore(given, taken, AT, AT + 12 * HOUR) is None
        assert {each.key.target: each.state for each in outbox.find(object_id="autumn")} == {
            "sent": "accepted",
            "soon": "unknown",
            "later": "planned",
        }
        assert outbox.verify() is None


def interrupted(*given: object) -> None:
    raise KeyboardInterrupt


def test_nothing_is_restored_over_another_outbox(new_place, tmp_path):
    place = new_place("lake")
    place.open().close()
    source = settings_of(tmp_path / "home", place)
    source.config_dir.mkdir(parents=True)
    fill(source)
    made = make_backup(source, tmp_path / "backups", AT, secrets=False)
    other = settings_of(tmp_path / "other", new_place("lake", migrated=False))
    other.config_dir.mkdir(parents=True)
    with open_books(other) as books:
        books.outbox.plan([intention("x", 1)], AT, "me")
    with pytest.raises(CaravanError, match="the outbox holds rows"):
        restore(other, made.folder, clock=lambda: AT)
