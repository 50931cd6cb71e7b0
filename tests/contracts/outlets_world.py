"""An installation that publishes on every kind of outlet, with their accounts in files and in the environment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from release_world import RELEASE, ReleaseWorld

from caravan.core.connections import Connection
from caravan.demo.servers import bluesky, mastodon, receiver, wordpress
from caravan.demo.servers.faults import Faults
from caravan.demo.servers.hub import KEY, Hub, serve_engine, serve_hub

PAGES = ("en-GB", "de-DE")
POSTS = ("blog", "toots", "sky")
"""Outlets whose posts can be read back."""
NOTICES = ("hub", "search")
EVERY = ("site", *POSTS, "partners", *NOTICES)

_FILES = {
    "blog": "kind: wordpress\nconnection: wordpress_demo\n",
    "toots": "kind: mastodon\nconnection: mastodon_demo\n",
    "sky": "kind: bluesky\nconnection: bluesky_demo\n",
    "partners": "kind: webhook\nconnection: webhook_demo\n",
    "hub": "kind: websub\nhub: {hub}\n",
    "search": f"kind: indexnow\nsite: site\nkey: {KEY}\nendpoint: {{search}}\n",
}


@dataclass
class Services:
    """The other sides, and the connections to them."""

    blog: wordpress.Site = field(default_factory=wordpress.Site)
    toots: mastodon.Account = field(default_factory=mastodon.Account)
    sky: bluesky.Repository = field(default_factory=bluesky.Repository)
    partners: receiver.Receiver = field(default_factory=receiver.Receiver)
    hub: Hub = field(default_factory=Hub)
    search: Hub = field(default_factory=Hub)
    connections: dict[str, Connection] = field(default_factory=dict)

    def begin(self) -> None:
        """As if they had just been opened."""
        for each in (self.blog, self.toots, self.sky, self.partners, self.hub, self.search):
            each.__init__()  # type: ignore[misc]

    def faults(self, code: str) -> Faults:
        found = getattr(self, code).faults
        assert isinstance(found, Faults)
        return found


@contextmanager
def serve_services() -> Iterator[Services]:
    services = Services()
    with ExitStack() as stack:
        for code, serving in (
            ("blog", wordpress.serve_site(services.blog)),
            ("toots", mastodon.serve_account(services.toots)),
            ("sky", bluesky.serve_repository(services.sky)),
            ("partners", receiver.serve_receiver(services.partners)),
            ("hub", serve_hub(services.hub)),
            ("search", serve_engine(services.search)),
        ):
            services.connections[code] = stack.enter_context(serving)
        yield services


class OutletsWorld(ReleaseWorld):
    """`autumn` goes to every outlet; `revise` writes its next revision."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch, services: Services) -> None:
        super().__init__(home, monkeypatch)
        self.services, self.revision = services, 1
        services.begin()
        hosts = {code: connection.host for code, connection in services.connections.items()}
        for code, text in _FILES.items():
            (self.config / "outlets" / f"{code}.yml").write_text(f"code: {code}\nname: {code}\n{text.format(**hosts)}")
            services.faults(code).clock = lambda: self.now
        for connection in services.connections.values():
            given = {"conn_type": "http", "host": connection.host, "extra": dict(connection.extra)}
            given |= {name: getattr(connection, name) for name in ("login", "password") if getattr(connection, name)}
            monkeypatch.setenv(f"AIRFLOW_CONN_{connection.conn_id.upper()}", json.dumps(given))
        # What no release names is read by every step all the same.
        for path in [*(self.config / "markets").iterdir(), *(self.config / "channels").iterdir()]:
            if path.name not in ("de.yml", "gb.yml", "zz.yml"):
                path.unlink()
        self.people()
        self.write(f"[{', '.join(EVERY)}, letter]")

    def write(self, outlets: str, action: str = "publish") -> None:
        """`release.yml`, due now."""
        text = RELEASE.replace("[site, letter]", outlets).replace(
            "utc: 2026-11-25T09:30:00Z", f"utc: {self.now:%FT%TZ}"
        )
        (self.folder / "release.yml").write_text(f"{text}revision: {self.revision}\naction: {action}\n")

    def revise(self, title: str = "Autumn teapots, corrected", action: str = "publish") -> None:
        """Another revision, due now, without mail: what has left has left."""
        self.revision += 1
        self.now += timedelta(hours=1)
        self.write(f"[{', '.join(EVERY)}]", action)
        text = (self.folder / "en-GB.md").read_text().split("\n")
        (self.folder / "en-GB.md").write_text("\n".join([text[0], f"title: {title}", *text[2:]]))
        self.approve()

    def release(self) -> dict[str, dict[str, int]]:
        """Planned and sent, and once more. What came of the first time."""
        self.plan()
        counts = self.send()
        self.plan()
        self.tick()
        return counts

    def tick(self, minutes: int = 1, times: int = 1) -> None:
        """The runs of as many minutes."""
        for _ in range(times):
            self.now += timedelta(minutes=minutes)
            self.send()

    def titles(self, code: str) -> list[str]:
        """Of what anybody can see there, one for each post."""
        services = self.services
        if code == "blog":
            return sorted(post["title"] for post in services.blog.published)
        texts = {
            "toots": [status["content"].removeprefix("<p>") for status in services.toots.statuses],
            "sky": [record["text"] for record in services.sky.records.values()],
        }[code]
        return sorted(text.split("\n")[0] for text in texts)

    def left(self, revision: int) -> dict[str, set[str]]:
        """By outlet, the states of a revision's messages."""
        found: dict[str, set[str]] = {}
        with self.desk() as desk:
            for each in desk.outbox.find():
                if each.key.revision == revision:
                    found.setdefault(each.key.outlet, set()).add(each.state)
        return found

    def page(self, locale: str) -> str:
        return (self.home / "site" / locale / "autumn" / "index.html").read_text()

    def file(self, name: str) -> str:
        return (self.home / "site" / name).read_text()
