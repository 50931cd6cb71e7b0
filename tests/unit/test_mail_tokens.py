"""Signed links to unsubscribe, the page behind them, and the pace of sending."""

from __future__ import annotations

import base64
import io
import json

import pytest
from mail_case import FOLDER, KEYS

from caravan.clients.mail.tokens import Keys, Links, Subscription, read, sign
from caravan.clients.mail.unsubscribe import application
from caravan.clients.mail.words import read_words

SUBSCRIPTION = Subscription("0123456789abcdef" * 2, "mail_de", "de-DE")
TOKEN = sign(SUBSCRIPTION, KEYS)
WORDS = read_words(FOLDER / "words.yml")


def test_a_token_tells_what_was_signed_and_nothing_about_a_person():
    assert read(TOKEN, KEYS) == SUBSCRIPTION
    assert sign(SUBSCRIPTION, KEYS) == TOKEN, "the same link however often it is made"
    version, key_id, facts, _ = TOKEN.split(".")
    assert (version, key_id) == ("1", "k1")
    assert json.loads(base64.urlsafe_b64decode(facts + "==")) == [SUBSCRIPTION.message_id, "mail_de", "de-DE"]


def test_keys_rotate_without_breaking_the_links_already_sent():
    both = Keys("k2", {**KEYS.secrets, "k2": b"fedcba9876543210"})
    assert read(TOKEN, both) == SUBSCRIPTION
    assert sign(SUBSCRIPTION, both).startswith("1.k2.")
    assert read(sign(SUBSCRIPTION, both), both) == SUBSCRIPTION
    assert read(TOKEN, Keys("k2", {"k2": b"fedcba9876543210"})) is None
    assert read(TOKEN, Keys("k1", {"k1": b"fedcba9876543210"})) is None


def test_no_single_character_of_a_token_can_be_changed():
    for place, sign_ in enumerate(TOKEN):
        for other in ("A", "b", "0", "."):
            if other != sign_:
                assert read(TOKEN[:place] + other + TOKEN[place + 1 :], KEYS) is None, place


@pytest.mark.parametrize(
    "token",
    ["", ".", "...", "1.k1..", "1.k1.W10.AAAA", TOKEN + "=", TOKEN + ".x", TOKEN + "\n", TOKEN * 20, "ü" + TOKEN],
)
def test_what_we_have_not_signed_is_no_token(token):
    assert read(token, KEYS) is None


@pytest.mark.parametrize("facts", [{}, [1, 2, 3], ["x", "mail_de", "de-DE"], [SUBSCRIPTION.message_id, "mail_de"]])
def test_what_another_version_signed_is_no_token(facts, monkeypatch):
    monkeypatch.setattr("caravan.clients.mail.tokens.json.dumps", lambda *given, **named: repr(facts).replace("'", '"'))
    assert read(sign(SUBSCRIPTION, KEYS), KEYS) is None


def test_keys_that_could_be_guessed_or_are_not_there_are_refused():
    for current, secrets in (("k1", {}), ("k1", {"k1": b"short"}), ("k.1", {"k.1": b"0123456789abcdef"})):
        with pytest.raises(ValueError, match="key"):
            Keys(current, secrets)
    assert "0123456789abcdef" not in repr(KEYS)


@pytest.mark.parametrize("address", ["shop.example/u", "ftp://shop.example", "https://shop.example/?t=", "https:///u"])
def test_the_address_of_the_page_is_a_plain_url(address):
    with pytest.raises(ValueError, match="http"):
        Links(address, KEYS)
    assert Links("https://shop.example/u/", KEYS).url(SUBSCRIPTION) == f"https://shop.example/u/{TOKEN}"


def ask(method, path=f"/unsubscribe/{TOKEN}", body=b"List-Unsubscribe=One-Click", fails=False):
    """Status, headers, page and what was recorded."""
    recorded, answer = [], {}

    def record(subscription):
        if fails:
            raise OSError("disk of zoe@example.com is full")
        recorded.append(subscription)

    def start(status, headers):
        answer.update(status=status, headers=dict(headers))

    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }
    page = b"".join(application(record, KEYS, WORDS)(environ, start)).decode()
    return answer["status"], answer["headers"], page, recorded


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_looking_at_the_page_does_not_unsubscribe(method):
    status, headers, page, recorded = ask(method, body=b"")
    assert (status, recorded) == ("200 OK", [])
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    if method == "HEAD":
        assert page == ""
    else:
        assert '<html lang="de-DE" dir="ltr">' in page
        assert '<form method="post">' in page
        assert "<button>Abbestellen</button>" in page
        assert "http" not in page, "nothing is asked of others"


@pytest.mark.parametrize(
    "body",
    [
        b"List-Unsubscribe=One-Click",
        b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--',
        b"",
    ],
)
def test_a_post_unsubscribes_at_once_and_again_does_no_harm(body):
    for _ in range(2):
        status, _, page, recorded = ask("POST", body=body)
        assert (status, recorded) == ("200 OK", [SUBSCRIPTION])
        assert "Die E-Mails sind abbestellt." in page
        assert "<form" not in page


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", ["", "/", "/unsubscribe", f"/unsubscribe/{TOKEN}x", "/unsubscribe/<script>"])
def test_a_bad_token_finds_nothing(method, path):
    status, _, page, recorded = ask(method, path)
    assert (status, recorded) == ("404 Not Found", [])
    assert "script" not in page


def test_another_method_is_refused():
    status, headers, _, recorded = ask("DELETE")
    assert (status, headers["Allow"], recorded) == ("405 Method Not Allowed", "GET, HEAD, POST", [])


def test_what_could_not_be_stored_is_said_to_whoever_asked(caplog):
    status, headers, page, _ = ask("POST", fails=True)
    assert (status, headers["Retry-After"]) == ("503 Service Unavailable", "300")
    assert "Das hat nicht geklappt." in page
    assert "OSError" in caplog.text
    assert "zoe" not in caplog.text


def test_a_page_that_runs_from_right_to_left():
    _, _, page, _ = ask("GET", "/u/" + sign(Subscription(SUBSCRIPTION.message_id, "mail_ae", "ar-AE"), KEYS))
    assert '<html lang="ar-AE" dir="rtl">' in page
