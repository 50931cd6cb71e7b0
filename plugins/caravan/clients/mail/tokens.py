"""Links to unsubscribe: signed, so that nobody makes one for another, and without anything about a person.

A token is `1.<key id>.<facts>.<signature>`, the latter two in base64url. The signature is the
HMAC-SHA-256 of all before it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

_VERSION = "1"
_SHORTEST_KEY = 16
_LONGEST_TOKEN = 1000
_MARK_DIGITS = 10
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
_MESSAGE_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Subscription:
    """What a link takes back. `outlet`: the list. `locale`: of the mail, and so of the page behind the link."""

    message_id: str
    outlet: str
    locale: str


def mark_of(key: bytes) -> Callable[[str], str]:
    """How a message is named in the headers of its mail: id and signature. Whoever knows an address can reckon out the
    id; without the signature they would forge a bounce of somebody else's mail."""

    def mark(message_id: str) -> str:
        return f"{message_id}.{hmac.new(key, f'mark {message_id}'.encode(), hashlib.sha256).hexdigest()[:_MARK_DIGITS]}"

    return mark


@dataclass(frozen=True)
class Keys:
    """`current`: the id of the key that signs. The others still open what they once signed: to rotate, add a key and
    make it current; take the old one away when its mails are old enough (the law asks for 30 to 60 days)."""

    current: str
    secrets: Mapping[str, bytes] = field(repr=False)

    def __post_init__(self) -> None:
        if self.current not in self.secrets:
            raise ValueError(f"there is no key {self.current!r} to sign with")
        for key_id, secret in self.secrets.items():
            if not _KEY_ID.fullmatch(key_id):
                raise ValueError(f"a key's id has letters, digits, _ and -, at most 32: {key_id!r}")
            if len(secret) < _SHORTEST_KEY:
                raise ValueError(f"key {key_id!r} has less than {_SHORTEST_KEY} bytes")


@dataclass(frozen=True)
class Links:
    """`address`: where the page of unsubscribe.py is served, e.g. https://shop.example/unsubscribe."""

    address: str
    keys: Keys

    def __post_init__(self) -> None:
        if not re.match(r"https?://[^/?#\s]+", self.address) or "?" in self.address or "#" in self.address:
            raise ValueError("the address of the unsubscribe page has to be an http(s) URL without query")

    def url(self, subscription: Subscription) -> str:
        return f"{self.address.rstrip('/')}/{sign(subscription, self.keys)}"


def sign(subscription: Subscription, keys: Keys) -> str:
    facts = json.dumps([subscription.message_id, subscription.outlet, subscription.locale], separators=(",", ":"))
    signed = f"{_VERSION}.{keys.current}.{_text(facts.encode())}"
    return f"{signed}.{_text(_mac(keys.secrets[keys.current], signed))}"


def read(token: str, keys: Keys) -> Subscription | None:
    """None for whatever we have not signed."""
    parts = token.split(".")
    if len(token) > _LONGEST_TOKEN or not token.isascii() or len(parts) != 4 or parts[0] != _VERSION:
        return None
    secret = keys.secrets.get(parts[1])
    given = _bytes(parts[3])
    if secret is None or given is None or not hmac.compare_digest(_mac(secret, ".".join(parts[:3])), given):
        return None
    # Signed by us: it may still be of another version of this code.
    try:
        facts: Any = json.loads(_bytes(parts[2]) or b"")
    except ValueError:
        return None
    if not (isinstance(facts, list) and len(facts) == 3 and all(isinstance(fact, str) for fact in facts)):
        return None
    return Subscription(*facts) if _MESSAGE_ID.fullmatch(facts[0]) else None


def _mac(secret: bytes, text: str) -> bytes:
    return hmac.new(secret, text.encode(), hashlib.sha256).digest()


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _bytes(text: str) -> bytes | None:
    """None unless this is how `_text` writes it: one signature has one form."""
    try:
        found = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return found if _text(found) == text else None
