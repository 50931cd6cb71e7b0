"""What a release says, and how an outlet takes it. Pure; times are UTC without zone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from caravan.core.outbox import Accepted, Message, Outcome, Refused

Kind = Literal["news", "offer", "notice"]
"""news: told. offer: with a price. notice: what the law or a contract asks to be told; nobody is asked for consent."""

Audience = Literal["public", "customer", "partner", "press"]

Action = Literal["publish", "withdraw"]


@dataclass(frozen=True)
class Image:
    """`path`: its file. `name`: what it is called where it is published, its content's hash in it. `sha256`: of the
    content that is approved, hexadecimal."""

    path: str
    name: str
    media_type: str
    alt: str
    width: int
    height: int
    sha256: str


@dataclass(frozen=True)
class Content:
    """One revision in one language for one market, whatever outlet takes it.

    `html`: of the body, cleaned, headings from h2 on; its links are tagged for the outlet. `text`: the same as plain
    text. `url`: where the own site has it, or will; None where no site publishes it. `alternates`: by BCP 47 tag, the
    same release in the other languages, `x-default` among them. `direction`: of its script. `images_at`: the address
    below which the images of `html` are; empty where the outlet puts them beside it.
    """

    release_id: str
    revision: int
    kind: Kind
    market_code: str
    locale: str
    title: str
    summary: str
    html: str
    text: str
    published_at: datetime
    updated_at: datetime
    content_hash: str
    direction: Literal["ltr", "rtl"] = "ltr"
    url: str | None = None
    alternates: Mapping[str, str] = field(default_factory=dict)
    images: tuple[Image, ...] = ()
    images_at: str = ""
    tags: tuple[str, ...] = ()
    author: str = ""


Payload = Mapping[str, Any]
"""What an outlet makes of content, once for all targets: JSON. It holds no secret and no target's data."""


@dataclass(frozen=True)
class PayloadKey:
    """What a payload was made for. A message holds all of it."""

    release_id: str
    revision: int
    outlet: str
    market_code: str
    locale: str
    content_hash: str

    @classmethod
    def of(cls, message: Message) -> PayloadKey:
        key, intention = message.key, message.intention
        where = (intention.market_code or "", intention.locale or "")
        return cls(key.object_id, key.revision, key.outlet, *where, intention.content_hash)


@dataclass(frozen=True)
class SentLink:
    """A web link of a text as an outlet gets it. `place`: among the links of the text, from 1. `url`: as it is sent;
    `target_url`: as it is written."""

    release_id: str
    revision: int
    content_hash: str
    outlet: str
    locale: str
    link_id: str
    place: int
    url: str
    target_url: str


@dataclass(frozen=True)
class Shown:
    """What readers will see. `text`: words as they arrive, or the plain part of a mail. `html`: a whole document, or
    the part of one that is ours; None for words alone."""

    text: str = ""
    html: str | None = None

    @property
    def is_document(self) -> bool:
        return self.html is not None and self.html.lstrip()[:9].lower() == "<!doctype"


class Drawer(Protocol):
    """What an outlet makes of content. Needs no connection."""

    def render(self, content: Content) -> Payload:
        """Raises Rejected for what it can make nothing of."""
        ...

    def check(self, payload: Payload) -> Sequence[str]:
        """What is wrong with it here, in words for whoever wrote it: too long, too large, an image without alt text.
        Nothing is cut."""
        ...

    def show(self, payload: Payload) -> Shown: ...


class Outlet(Drawer, Protocol):
    """One account, folder or list that releases go to. Made for one task; tries once."""

    code: str
    is_repeatable: bool

    def hand_over(self, message: Message, payload: Payload) -> Outcome:
        """Publish, or with `message.intention.payload["action"] == "withdraw"` take back. What it raises counts as
        Unknown."""
        ...

    def find(self, message: Message, payload: Payload) -> Accepted | Refused | None:
        """Evidence of what became of it; None when there is none."""
        ...
