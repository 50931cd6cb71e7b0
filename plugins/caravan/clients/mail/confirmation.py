"""The mail that asks somebody whether it was they who signed up: confirmed opt-in."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from datetime import datetime
from html import escape
from typing import Literal

from caravan.clients.mail.mailing import Mailing
from caravan.clients.mail.words import words_for
from caravan.core.errors import Rejected
from caravan.core.release import Content, Payload

CONFIRM_URL = "confirm_url"
"""The variable that each of these mails has."""
_LINK = f"{{{{ {CONFIRM_URL} }}}}"


def confirmation(
    mailing: Mailing, list_code: str, market: str, locale: str, direction: Literal["ltr", "rtl"], at: datetime
) -> tuple[Payload, str]:
    """What an outlet is given for it, and the hash of what it says. Raises Rejected NO_WORDS for a language without."""
    words, name = words_for(locale, mailing.template.words), mailing.sender.name
    if words is None:
        raise Rejected("NO_WORDS", f"words.yml has no {locale}")
    text = words.confirm_text.replace("{sender}", name)
    content = Content(
        release_id=list_code,
        revision=1,
        kind="notice",
        market_code=market,
        locale=locale,
        title=words.confirm_subject.replace("{sender}", name),
        summary=text,
        html=f'<p>{escape(text)}</p><p><a href="{_LINK}">{escape(words.confirm)}</a></p>',
        text=f"{text}\n\n{words.confirm}: {_LINK}",
        published_at=at,
        updated_at=at,
        content_hash="",
        direction=direction,
    )
    compiled = mailing.template.compile(content, mailing.sender, words.confirm_reason)
    said = hashlib.sha256(json.dumps(asdict(compiled), sort_keys=True).encode()).hexdigest()
    return mailing.payload(content, compiled), said
