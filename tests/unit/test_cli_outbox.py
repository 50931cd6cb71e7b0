"""`caravan outbox`: what people see of messages, and what they may decide."""

from __future__ import annotations

import secrets
import stat
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from caravan.assembly.outbox import KEY_FILE, KEY_VARIABLE, open_books, open_ledger, secret_key
from caravan.cli import main as cli
from caravan.cli.doctor_outbox import outbox
from caravan.config.settings import Settings
from caravan.core.contacts import Suppression, subject_of
from caravan.core.errors import Misconfigured
from caravan.core.outbox import Accepted, Intention, Key, Message, Unknown
from caravan.core.privacy import ConsentEvent

NOW = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
HOUR = timedelta(hours=1)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("CARAVAN_HOME", str(tmp_path))
    monkeypatch.delenv("CARAVAN_WAREHOUSE", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    return Settings.from_environment()


@pytest.fixture
def messages(settings: Settings) -> Iterator[dict[str, Message]]:
    """a was accepted, of b nobody knows, c is planned, d was to be sent long ago and nobody knows."""
    with open_books(settings) as books:
        for target, planned in (("a", NOW), ("b", NOW), ("c", NOW + HOUR), ("d", NOW - 9 * HOUR)):
            key = Key("release", "autumn", 1, "newsletter", target)
            books.outbox.plan([Intention(key, planned, planned + 4 * HOUR, "c0ffee")], NOW, "me")
        for message in books.outbox.claim("release", "newsletter", "one", NOW, NOW + HOUR / 2, HOUR, 9):
            begun = books.outbox.begin(message, NOW)
            assert begun
            books.outbox.record(begun, Accepted("4711") if message.key.target == "a" else Unknown("no answer"), NOW)
        yield {each.key.target: each for each in books.outbox.find()}


def run(*arguments: str) -> int:
    return cli.main(["outbox", *arguments])


def state_of(settings: Settings, message: Message) -> str:
    with open_books(settings) as books:
        found = books.outbox.get(message.message_id)
    assert found
    return found.state


def test_an_empty_outbox_says_so(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    with open_books(settings):
        pass
    assert run("list") == 0
    assert "nothing was ever planned" in capsys.readouterr().out
    assert run("list", "--object", "nope", "--state", "missed") == 0
    assert capsys.readouterr().out == "no message of state missed, object nope\n"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["list"], 0),
        (["list", "--state", "missed"], 0),
        (["verify"], 0),
        (["explain", "7"], 1),
        (["settle", "7", "accepted", "--why", "seen"], 1),
        (["retry", "7", "--why", "seen"], 1),
    ],
)
def test_whoever_only_looks_makes_no_outbox(
    settings: Settings, words: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == code
    assert "there is no outbox yet: nothing was ever planned" in capsys.readouterr().out
    assert list(settings.home.iterdir()) == []


def test_counts_and_lists(messages: dict[str, Message], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list") == 0
    rows = [line.split("│")[1:-1] for line in capsys.readouterr().out.splitlines() if "newsletter" in line]
    assert [[word.strip() for word in row[2:]] for row in rows] == [
        ["accepted", "1"],
        ["planned", "1"],
        ["unknown", "2"],
    ]
    assert run("list", "--state", "unknown") == 0
    shown = capsys.readouterr().out
    assert messages["b"].message_id[:12] in shown and messages["a"].message_id[:12] not in shown
    assert run("list", "--state", "unkown") == 1
    assert "did you mean 'unknown'?" in capsys.readouterr().err


@pytest.mark.parametrize("columns", [80, 149, 150, 200])
def test_what_people_copy_from_a_list_is_whole(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    key = Key("release", "autumn-sale-2026", 12, "newsletter", "anna.lindqvist@mail.example.com")
    with open_books(settings) as books:
        books.outbox.plan([Intention(key, NOW, NOW + HOUR, "c0ffee")], NOW, "me")
        (message,) = books.outbox.claim("release", "newsletter", "one", NOW, NOW + HOUR, HOUR, 1)
        begun = books.outbox.begin(message, NOW)
        assert begun and books.outbox.record(begun, Unknown("the server took it and never answered; " * 4), NOW)
    assert run("list", "--state", "unknown") == 0
    lines = capsys.readouterr().out.splitlines()
    words = {word.strip() for line in lines for word in line.replace("│", "  ").split("  ")}
    assert {message.message_id[:12], "unknown", f"{NOW:%Y-%m-%d %H:%M}"} <= words
    assert {"newsletter", "autumn-sale-2026 r12", key.target} <= words
    assert max(map(len, lines)) <= columns


def test_explain_tells_each_change(messages: dict[str, Message], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", messages["a"].message_id[:10]) == 0
    shown = capsys.readouterr().out
    assert "accepted" in shown and "4711" in shown and "handed_over" in shown
    assert run("explain", messages["a"].message_id[:10].upper()) == 0
    assert run("explain", "nothing") == 1
    assert run("explain", "") == 1
    assert "more than one message begins" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("claimed_at", "is_begun", "told"),
    [
        (NOW, False, ""),
        (NOW, True, ""),
        (NOW - 2 * HOUR, False, ": that is over, and the next run of release_send_minutely makes it planned again"),
        (NOW - 2 * HOUR, True, ": that is over, and the next run of release_send_minutely makes it unknown"),
    ],
)
def test_explain_tells_who_has_a_message_in_hand_and_how_long(
    messages: dict[str, Message],
    settings: Settings,
    capsys: pytest.CaptureFixture[str],
    claimed_at: datetime,
    is_begun: bool,
    told: str,
) -> None:
    with open_books(settings) as books:
        (message,) = books.outbox.claim("release", "newsletter", "host:7:ff", claimed_at, NOW + 2 * HOUR, HOUR, 1)
        assert not is_begun or books.outbox.begin(message, claimed_at)
    assert run("explain", message.message_id) == 0
    assert f"in hand  of host:7:ff until {claimed_at + HOUR} UTC{told}\n" in capsys.readouterr().out
    for target in ("a", "b"):
        assert run("explain", messages[target].message_id) == 0
        assert "in hand" not in capsys.readouterr().out, "it is in nobody's hands any more"


@pytest.mark.parametrize(
    ("words", "target", "code", "state"),
    [
        (("settle", "accepted"), "b", 0, "accepted"),
        (("settle", "rejected"), "b", 0, "rejected"),
        (("settle", "planned"), "b", 1, "unknown"),
        (("settle", "accepted"), "c", 1, "planned"),
        (("retry",), "b", 0, "planned"),
        (("retry",), "a", 1, "accepted"),
        (("retry",), "d", 1, "unknown"),
    ],
)
def test_what_a_person_may_decide(
    messages: dict[str, Message], settings: Settings, words: tuple[str, ...], target: str, code: int, state: str
) -> None:
    command, *more = words
    assert run(command, messages[target].message_id, *more, "--why", "seen in the mailbox") == code
    assert state_of(settings, messages[target]) == state


@pytest.mark.parametrize("kind", ["mastodon", "bluesky"])
def test_a_post_that_arrived_needs_its_name_for_a_correction(
    messages: dict[str, Message],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
) -> None:
    outlets = settings.home / "config" / "outlets"
    outlets.mkdir(parents=True)
    (outlets / "newsletter.yml").write_text(f"code: newsletter\nname: Posts\nkind: {kind}\nconnection: posts\n")
    monkeypatch.setenv("CARAVAN_CONFIG", str(outlets.parent))
    decide = ("settle", messages["b"].message_id)
    assert run(*decide, "accepted", "--why", "I see it") == 1
    assert "--theirs" in capsys.readouterr().err
    assert run(*decide, "rejected", "--why", "not there", "--theirs", "1142") == 1
    assert run(*decide, "accepted", "--why", "I see it", "--theirs", "1142") == 0
    with open_books(settings) as books:
        found = books.outbox.accepted_before(replace(messages["b"].key, revision=2))
    assert found and found.provider_id == "1142"


def test_verify(messages: dict[str, Message], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("verify") == 0
    assert "the log is whole" in capsys.readouterr().out


def test_a_bounced_address_is_written_to_again_and_a_complaint_stays(settings: Settings, capsys) -> None:
    with open_books(settings) as books:
        anna = subject_of("anna@example.com", secret_key(settings, books.contacts))
        for days in range(3):
            books.contacts.note_soft_bounce(anna, "email", NOW, f"event {days}")
        books.contacts.suppress([Suppression(anna, "email", "soft_bounces", NOW, "event 2")], NOW)
        assert run("unsuppress", "Anna@Example.com", "--why", "she wrote to us") == 0
        assert books.contacts.suppressions(anna, "email") == [] and books.contacts.soft_bounces(anna, "email", NOW) == 0
        assert run("unsuppress", "anna@example.com", "--why", "again") == 1
        books.contacts.suppress([Suppression(anna, "email", "complaint", NOW, "event 3")], NOW)
        assert run("unsuppress", "anna@example.com", "--why", "she is nice") == 1
        assert [each.reason for each in books.contacts.suppressions(anna, "email")] == ["complaint"]
        ben = subject_of("ben@example.com", secret_key(settings, books.contacts))
        event = ConsentEvent(ben, "marketing_email", "email", "withdrawn", NOW, "a link", "")
        books.contacts.add_consent([event], NOW, "unsubscribe")
        assert run("unsuppress", "ben@example.com", "--why", "she is nice") == 1
    said = capsys.readouterr()
    assert "it unsubscribed, and only its owner can subscribe it again" in said.err
    assert "lifted: soft_bounces" in said.out and "nothing suppresses" in said.err and "that stays" in said.err
    with open_ledger(settings) as ledger, ledger.read() as transaction:
        ((reason, why),) = transaction.rows("SELECT reason, why FROM suppression_lift")
    assert (reason, why) == ("soft_bounces", "she wrote to us")


def test_the_key_is_made_once_and_for_its_owner_alone(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_books(settings) as books:
        key = secret_key(settings, books.contacts)
        assert len(key) == 64 and secret_key(settings, books.contacts) == key
        path = settings.home / KEY_FILE
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        path.write_text("cut")
        with pytest.raises(Misconfigured, match="cut off"):
            secret_key(settings, books.contacts)
        monkeypatch.setenv(KEY_VARIABLE, key.decode())
        assert secret_key(settings, books.contacts) == key
        monkeypatch.setenv(KEY_VARIABLE, "short")
        with pytest.raises(Misconfigured, match="shorter than 32"):
            secret_key(settings, books.contacts)


def test_two_that_make_the_key_at_once_have_the_same_and_never_half_of_it(settings: Settings, monkeypatch) -> None:
    keys: list[bytes] = []
    token_hex = secrets.token_hex

    def another_process(size: int) -> str:
        if size == 32:  # the key itself, its file being open
            monkeypatch.setattr(secrets, "token_hex", token_hex)
            keys.append(secret_key(settings, books.contacts))
        return token_hex(size)

    with open_books(settings) as books:
        monkeypatch.setattr(secrets, "token_hex", another_process)
        keys.append(secret_key(settings, books.contacts))
    assert keys[0] == keys[1] and len(keys[0]) == 64
    assert [path.name for path in settings.home.iterdir() if "key" in path.name] == [KEY_FILE]


def test_another_key_than_the_outbox_was_begun_with_is_refused(settings: Settings, monkeypatch) -> None:
    path = settings.home / KEY_FILE
    with open_books(settings) as books:
        key = secret_key(settings, books.contacts)
        monkeypatch.setenv(KEY_VARIABLE, "x" * 40)
        with pytest.raises(Misconfigured, match=f"{KEY_VARIABLE}: is not the key by which people are known"):
            secret_key(settings, books.contacts)
        monkeypatch.delenv(KEY_VARIABLE)
        path.write_text("y" * 40)
        with pytest.raises(Misconfigured, match=f"{KEY_FILE}: is not the key by which people are known"):
            secret_key(settings, books.contacts)
        path.unlink()
        with pytest.raises(Misconfigured, match=f"{KEY_FILE}: is not there: put it back"):
            secret_key(settings, books.contacts)
        assert not path.exists(), "no other one is made"
        path.write_bytes(key)
        assert secret_key(settings, books.contacts) == key


def test_the_doctor_tells_what_waits_and_what_was_changed(settings: Settings) -> None:
    def told() -> list[tuple[str, str]]:
        return [(each.state, each.what) for each in outbox(settings, NOW)]

    assert told() == []
    with open_books(settings) as books:
        for target in ("a", "b"):
            key = Key("release", "autumn", 1, "newsletter", target)
            books.outbox.plan([Intention(key, NOW, NOW + HOUR, "c0ffee")], NOW, "me")
        assert told() == [("ok", "2 messages, 2 of them to come")]
        (message,) = books.outbox.claim("release", "newsletter", "one", NOW, NOW + HOUR, HOUR, 1)
        begun = books.outbox.begin(message, NOW)
        assert begun
        books.outbox.record(begun, Unknown("no answer"), NOW)
        found = books.outbox.get(message.message_id)
        assert found and books.outbox.settle(found, "operator", "no evidence", NOW, "me")
    state, what = told()[0]
    assert (state, what.split(":")[0]) == ("note", "of 1 messages nobody knows whether they arrived")
    late = [(each.state, each.what) for each in outbox(settings, NOW + 2 * HOUR)]
    assert ("failed", "1 messages are too late, and nothing has noticed: does release_send_minutely run?") in late
    with open_ledger(settings) as ledger, ledger.write() as transaction:
        transaction.rows("UPDATE outbox_event SET actor = 'nobody' WHERE seq = 1")
    assert told()[0][1].startswith("entry 1 of its log was changed")
