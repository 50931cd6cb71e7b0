"""A release, a recipient and a mailing, for tests of mail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from caravan import TEMPLATES_DIR
from caravan.clients.mail.mailing import Mailing
from caravan.clients.mail.template import MailTemplate, Sender
from caravan.clients.mail.tokens import Keys, Links
from caravan.core.outbox import Intention, Key, Message
from caravan.core.release import Content

FOLDER = TEMPLATES_DIR / "release" / "mail"
NOON = datetime(2026, 3, 2, 12)
SENDER = Sender("news@shop.example", "Shop Ö", "Hauptstr. 1, 10115 Berlin", "care@shop.example")
KEYS = Keys("k1", {"k1": b"0123456789abcdef"})
LINKS = Links("https://shop.example/unsubscribe", KEYS)
CONTENT = Content(
    release_id="spring-2026",
    revision=1,
    kind="news",
    market_code="DE",
    locale="de-DE",
    title="Frühling für {{ first_name }}",
    summary="Neu & gut",
    html='<p>Hallo {{ first_name }},<br>neu: <a href="https://shop.example/a?b=1&amp;c=2">hier</a></p><ul><li>eins</ul>',
    text="Hallo {{ first_name }},\nneu: https://shop.example/a?b=1&c=2",
    published_at=NOON,
    updated_at=NOON,
    content_hash="c0ffee",
    url="https://shop.example/news/spring",
)
RECIPIENT = {"first_name": "Zoë"}


def content(**changes: Any) -> Content:
    return replace(CONTENT, **changes)


def mailing(clock: Callable[[], datetime] = lambda: NOON, **changes: Any) -> Mailing:
    given = {"sender": SENDER, "links": LINKS, "variables": frozenset(RECIPIENT), **changes}
    return Mailing(template=MailTemplate(FOLDER), clock=clock, **given)


def message(target: str = "zoe@example.com", variables: Any = RECIPIENT, **changes: Any) -> Message:
    payload = {"action": changes.pop("action", "publish"), "variables": variables}
    intention = Intention(
        Key("release", "spring-2026", 1, "mail_de", target),
        NOON,
        NOON + timedelta(hours=2),
        "c0ffee",
        payload=payload,
        locale="de-DE",
        **changes,
    )
    return Message(intention, "handed_over", 1, NOON)
