"""What the demo's release goes to: five services behind one port of this machine, and a mail server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from fastapi import FastAPI

from caravan.core.connections import Connection
from caravan.demo.servers import bluesky, mail, mastodon, receiver, wordpress
from caravan.demo.servers import hub as hubs
from caravan.demo.servers.serving import serve


@dataclass(frozen=True)
class Outlets:
    """By the outlets' codes."""

    blog: wordpress.Site = field(default_factory=wordpress.Site)
    toots: mastodon.Account = field(default_factory=mastodon.Account)
    sky: bluesky.Repository = field(default_factory=bluesky.Repository)
    partners: receiver.Receiver = field(default_factory=receiver.Receiver)
    hub: hubs.Hub = field(default_factory=hubs.Hub)
    search: hubs.Hub = field(default_factory=hubs.Hub)
    letter: mail.Letterbox = field(default_factory=mail.Letterbox)
    letter_overseas: mail.Letterbox = field(default_factory=mail.Letterbox)


@contextmanager
def serve_outlets(outlets: Outlets, clock: Callable[[], datetime]) -> Iterator[tuple[str, list[Connection]]]:
    """The address that they are below, and the connections to use. `clock`: theirs, UTC without zone."""
    root = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    applications = {
        "blog": wordpress.application(outlets.blog),
        "toots": mastodon.application(outlets.toots),
        "sky": bluesky.application(outlets.sky),
        "partners": receiver.application(outlets.partners),
        "hub": hubs.application(outlets.hub),
        "search": hubs.application(outlets.search),
        "letter_overseas": mail.ses_application(outlets.letter_overseas),
    }
    for code, application in applications.items():
        getattr(outlets, code).faults.clock = clock
        root.mount(f"/{code}", application)
    with serve(root) as url, mail.serve_mail(outlets.letter, "letter") as letter:
        yield (
            url,
            [
                wordpress.account(f"{url}/blog", "blog"),
                mastodon.account_at(f"{url}/toots", "toots"),
                bluesky.account_at(f"{url}/sky", "sky"),
                receiver.account_at(f"{url}/partners", outlets.partners, "partners"),
                mail.ses_account(f"{url}/letter_overseas", "letter_overseas"),
                letter,
            ],
        )
