"""The outlets for other people's services, each with its stand-in, told apart by nothing but this."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from caravan.clients.posts.bluesky import Bluesky
from caravan.clients.posts.call import Limits
from caravan.clients.posts.indexnow import IndexNow
from caravan.clients.posts.mastodon import Mastodon
from caravan.clients.posts.posting import Posting
from caravan.clients.posts.webhook import Webhook
from caravan.clients.posts.websub import WebSub
from caravan.clients.posts.wordpress import WordPress
from caravan.core.connections import Connection
from caravan.core.outbox import Intention, Key, Message
from caravan.core.release import Content, Image
from caravan.demo.servers.bluesky import JWT, Repository, serve_repository
from caravan.demo.servers.faults import Faults
from caravan.demo.servers.hub import Hub, serve_engine, serve_hub
from caravan.demo.servers.mastodon import Account, serve_account
from caravan.demo.servers.receiver import Receiver, serve_receiver
from caravan.demo.servers.wordpress import Site, serve_site

NOW = datetime(2026, 11, 20, 10)
LIMITS = Limits(connect_seconds=10, silence_seconds=10, answer_seconds=20, answer_bytes=1 << 18)
HASTY = replace(LIMITS, silence_seconds=1, answer_seconds=1)
"""For services that take for ever; others may be slow on a machine that has much to do."""
Change = Callable[[Any], Any]

CONTENT = Content(
    release_id="spring-sale",
    revision=1,
    kind="news",
    market_code="FR",
    locale="fr-FR",
    title="Soldes de printemps",
    summary="Tout à moitié prix.",
    html="<p>Tout à <b>moitié</b> prix.</p>",
    text="Tout à moitié prix.",
    published_at=NOW,
    updated_at=NOW,
    content_hash="a" * 64,
    url="https://www.example.com/fr/soldes?utm_source=x",
    tags=("soldes", "prix bas"),
)


def message(revision: int = 1, embargo: datetime | None = None, **payload: Any) -> Message:
    key = Key("release", "spring-sale", revision, "outlet", "page")
    planned = NOW - timedelta(minutes=1)
    intention = Intention(key, planned, NOW + timedelta(hours=6), "a" * 64, embargo, payload=payload)
    return Message(intention, "handed_over", 1, planned, changed_at=planned)


def renamed(old: str, new: str) -> Change:
    """Makes every object's field be called otherwise, at any depth."""

    def change(content: Any) -> Any:
        if isinstance(content, dict):
            return {new if name == old else name: change(value) for name, value in content.items()}
        return [change(item) for item in content] if isinstance(content, list) else content

    return change


def nothing(content: Any) -> Any:
    return {}


@dataclass
class Stand:
    """`before`, `before_withdrawal`: requests before the one that publishes, or takes back. `mutations`: by name; each
    has to spoil the answer to it.

    `wrong_key`: whether a wrong password raises, or is refused.
    """

    kind = ""
    is_repeatable = True
    has_evidence = True
    before = 0
    before_withdrawal = 0
    provider_id = ""
    wrong_key = "raises"
    mutations: dict[str, Change] = field(default_factory=dict)
    state: Any = None
    now: datetime = NOW

    @property
    def faults(self) -> Faults:
        return self.state.faults

    def begin(self) -> None:
        self.state.__init__()
        self.now = NOW
        self.faults.clock = lambda: self.now

    def fail(self, *faults: Any, withdrawal: bool = False) -> None:
        """The requests from the one on that publishes, or takes back."""
        self.faults.next(*["ok"] * (self.before_withdrawal if withdrawal else self.before), *faults)

    def tells(self, content: Any) -> bool:
        """Whether an answer tells of what was published."""
        return isinstance(content, dict)

    def outlet(self, connection: Connection, limits: Limits = LIMITS) -> Posting:
        raise NotImplementedError

    def serve(self) -> AbstractContextManager[Connection]:
        raise NotImplementedError

    def public(self) -> int:
        """How many posts anybody can see."""
        raise NotImplementedError

    def withdrawn(self) -> bool:
        return self.public() == 0

    def secrets(self, connection: Connection) -> set[str]:
        return {*connection.secrets, *filter(None, [connection.password])}


class WordPressStand(Stand):
    kind, before, before_withdrawal, provider_id = "wordpress", 3, 1, "101"

    def __init__(self) -> None:
        super().__init__(
            state=Site(),
            mutations={
                "no id": renamed("id", "ID"),
                "no content": renamed("raw", "source"),
                "no status": renamed("status", "state"),
                "its marker is taken out": lambda content: _without_markers(content),
                "another post's": lambda content: _marked_otherwise(content),
                "an empty object": nothing,
            },
        )

    def serve(self) -> AbstractContextManager[Connection]:
        return serve_site(self.state)

    def outlet(self, connection: Connection, limits: Limits = LIMITS) -> Posting:
        return WordPress("blog", connection, lambda: self.now, limits=limits)

    def public(self) -> int:
        return len(self.state.published)

    def tells(self, content: Any) -> bool:
        return isinstance(content, dict) and "content" in content


def _without_markers(content: Any) -> Any:
    return content if isinstance(content, list) else {**content, "content": {"raw": "<p>Tout</p>"}}


def _marked_otherwise(content: Any) -> Any:
    other = {"raw": f"<!-- caravan:{'0' * 32} -->"}
    return content if isinstance(content, list) else {**content, "content": other}


class MastodonStand(Stand):
    kind, is_repeatable, provider_id = "mastodon", False, "116001"

    def __init__(self) -> None:
        super().__init__(
            state=Account(),
            mutations={
                "no id": renamed("id", "ID"),
                "no content": renamed("content", "text"),
                "another status": lambda content: {
                    **content,
                    "content": "<p>https://www.example.com/?c=0123456789</p>",
                },
                "an empty object": nothing,
            },
        )

    def serve(self) -> AbstractContextManager[Connection]:
        return serve_account(self.state)

    def outlet(self, connection: Connection, limits: Limits = LIMITS) -> Posting:
        return Mastodon("toots", connection, lambda: self.now, limits=limits, pause=lambda seconds: None)

    def public(self) -> int:
        return len(self.state.statuses)


class BlueskyStand(Stand):
    kind, before, before_withdrawal = "bluesky", 1, 1
    provider_id = "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/app.bsky.feed.post/3n2qd7la7bhaf"

    def __init__(self) -> None:
        super().__init__(
            state=Repository(),
            mutations={
                "no uri": renamed("uri", "url"),
                "no cid": renamed("cid", "hash"),
                "another record": lambda content: content | {"uri": "at://did:plc:x/app.bsky.feed.post/3kf2577exva2x"},
                "no token": renamed("accessJwt", "token"),
                "an empty object": nothing,
            },
        )

    def serve(self) -> AbstractContextManager[Connection]:
        return serve_repository(self.state)

    def outlet(self, connection: Connection, limits: Limits = LIMITS) -> Posting:
        return Bluesky("sky", connection, lambda: self.now, limits=limits)

    def public(self) -> int:
        return len(self.state.records)

    def tells(self, content: Any) -> bool:
        return isinstance(content, dict) and "accessJwt" not in content

    def secrets(self, connection: Connection) -> set[str]:
        return {*super().secrets(connection), JWT}


class WebhookStand(Stand):
    kind, has_evidence, provider_id = "webhook", False, "r1"

    def __init__(self) -> None:
        super().__init__(
            state=Receiver(),
            mutations={
                "another message's": lambda content: {**content, "message_id": "0" * 32},
                "an error": lambda content: {"error": {"text": "database is down"}},
                "errors": lambda content: {"errors": ["database is down"]},
                "a list": lambda content: [content],
                "a no": lambda content: {**content, "success": False},
                "a failure": lambda content: {"status": "error", "message": "database is down"},
            },
        )

    def serve(self) -> AbstractContextManager[Connection]:
        return serve_receiver(self.state)

    def outlet(self, connection: Connection, limits: Limits = LIMITS) -> Posting:
        return Webhook("partners", connection, lambda: self.now, limits=limits)

    def public(self) -> int:
        return len([each for each in self.state.taken if each["action"] == "publish"])

    def withdrawn(self) -> bool:
        return [each["action"] for each in self.state.taken] == ["publish", "withdraw"]


class ForgetfulStand(WebhookStand):
    """A receiver that takes a message as often as it comes, and says so."""

    kind, is_repeatable = "webhook without ids", False

    def begin(self) -> None:
        super().begin()
        self.state.keeps_ids = False

    @contextmanager
    def serve(self) -> Iterator[Connection]:
        with serve_receiver(self.state) as connection:
            yield replace(connection, extra={"keeps_ids": "false"})


class HubStand(Stand):
    kind, has_evidence = "websub", False

    def __init__(self) -> None:
        super().__init__(state=Hub(), mutations={"an error": lambda content: {"error": "no such topic"}})

    def serve(self) -> AbstractContextManager[Connection]:
        return serve_hub(self.state)

    def outlet(self, connection: Connection, limits: Limits = LIMITS) -> Posting:
        feeds = ("https://www.example.com/fr/feed.xml", "https://www.example.com/fr/feed.json")
        return WebSub("hub", connection, lambda: self.now, limits=limits, feeds=feeds)

    def public(self) -> int:
        """To be told again changes nothing."""
        return 1 if self.state.told else 0

    def withdrawn(self) -> bool:
        return len(self.state.told) == 4


class EngineStand(HubStand):
    kind, wrong_key = "indexnow", "refused"

    def serve(self) -> AbstractContextManager[Connection]:
        return serve_engine(self.state)

    def outlet(self, connection: Connection, limits: Limits = LIMITS) -> Posting:
        return IndexNow("search", connection, lambda: self.now, limits=limits)

    def withdrawn(self) -> bool:
        return len(self.state.told) == 2


STANDS = (WordPressStand, MastodonStand, BlueskyStand, WebhookStand, ForgetfulStand, HubStand, EngineStand)


def opened(stand: Any) -> Iterator[tuple[Any, Any]]:
    """Once: a stand without a past, and an outlet of it."""
    stand.begin()
    with stand.serve() as connection:
        yield stand, stand.outlet(connection)


def hand_over(outlet: Any, sent: Any = None, content: Any = CONTENT) -> Any:
    return outlet.hand_over(sent or message(), outlet.render(content))


def with_images(folder: Path) -> Content:
    """Content with two images."""
    images = []
    for name in ("a-1f.png", "b-2e.png"):
        data = b"\x89PNG" + name.encode()
        (folder / name).write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        images.append(Image(f"{folder}/{name}", name, "image/png", f"Image {name}", 1, 1, digest))
    return replace(CONTENT, html='<img src="img/a-1f.png" alt="A">', images=tuple(images))
