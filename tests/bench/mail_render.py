"""Mails made in a second of one processor: filled for a recipient, signed, built as MIME, ready to be sent.

    python tests/bench/mail_render.py [--mails 5000]

A release of 35 short sections in German, 30 KB of HTML. Prints also how long it takes to compile it, which happens
once for each release and language, and to fill it alone. Fails under the floor: 500 mails, or more than 0.1 ms to fill.
"""

from __future__ import annotations

import argparse
import sys
import time
from datetime import datetime, timedelta

from caravan import TEMPLATES_DIR
from caravan.clients.mail.mailing import Mailing
from caravan.clients.mail.message import Mail
from caravan.clients.mail.template import MailTemplate, Sender, merge_of
from caravan.clients.mail.tokens import Keys, Links
from caravan.core.outbox import Intention, Key, Message
from caravan.core.release import Content

FLOOR, GOAL, MOST_FILL_MS = 500, 1000, 0.1
NOON = datetime(2026, 3, 2, 12)
PARAGRAPH = "Größer, schöner und für alle schon ab heute im Laden. " * 8
SECTION = f'<h2>Neu</h2><p>{PARAGRAPH}</p><p><a href="https://shop.example/a?utm_source=mail">Mehr</a></p>'


def release() -> Content:
    html = "<p>Hallo {{ first_name }},</p>" + SECTION * 35
    return Content(
        "spring", 1, "news", "DE", "de-DE", "Frühling für {{ first_name }}", "Neu", html, PARAGRAPH * 20,
        NOON, NOON, "c0ffee", url="https://shop.example/news/spring",
    )  # fmt: skip


def message(number: int) -> Message:
    key = Key("release", "spring", 1, "mail_de", f"customer{number}@example.com")
    payload = {"variables": {"first_name": f"Zoë {number}"}}
    return Message(Intention(key, NOON, NOON + timedelta(hours=1), "c0ffee", payload=payload), "handed_over", 1, NOON)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mails", type=int, default=5000)
    count = parser.parse_args().mails
    mailing = Mailing(
        Sender("news@shop.example", "Shop", "Hauptstr. 1, 10115 Berlin"),
        MailTemplate(TEMPLATES_DIR / "release" / "mail"),
        lambda: NOON,
        Links("https://shop.example/unsubscribe", Keys("k1", {"k1": b"0123456789abcdef"})),
        frozenset({"first_name"}),
    )
    content = release()
    start = time.process_time()
    payload = mailing.render(content)
    compiled = time.process_time() - start
    faults = mailing.check(payload)
    messages = [message(number) for number in range(count)]

    merge = merge_of(payload["subject"], payload["html"], payload["text"])
    values = {"first_name": "Zoë", "unsubscribe_url": "https://shop.example/unsubscribe/1"}
    start = time.process_time()
    for _ in range(count):
        merge.fill(values)
    fill_ms = (time.process_time() - start) / count * 1000

    start = time.process_time()
    mails = [mailing.compose(each, payload) for each in messages]
    seconds = time.process_time() - start
    assert all(isinstance(mail, Mail) for mail in mails)
    rate = count / seconds
    print(f"HTML of {len(payload['html']) / 1024:.0f} KB, faults: {faults or 'none'}")
    print(f"compiled once in {compiled * 1000:.1f} ms; filled in {fill_ms:.3f} ms (at most {MOST_FILL_MS} ms)")
    print(f"{count:,} mails in {seconds:.1f} s of processor: {rate:,.0f} a second (goal {GOAL:,}, floor {FLOOR:,})")
    return int(rate < FLOOR or fill_ms > MOST_FILL_MS)


if __name__ == "__main__":
    sys.exit(main())
