"""Tells a WebSub hub that feeds have changed (W3C WebSub leaves the form of it open: this is PubSubHubbub's, which hubs
take)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from caravan.clients.posts.call import Call, Stopped
from caravan.clients.posts.posting import Posting
from caravan.core.connections import is_private
from caravan.core.outbox import Accepted, Message, Outcome, Refused
from caravan.core.release import Content, Payload, Shown


@dataclass
class WebSub(Posting):
    """`feeds`: their addresses, of one site or of several. The hub fetches them anew; to tell it twice changes nothing,
    and nothing shows it."""

    feeds: Sequence[str] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        self.has_evidence = False

    def render(self, content: Content) -> Payload:
        """The feeds of the site that has the page."""
        url = content.url or ""
        return {"urls": [feed for feed in self.feeds if url.startswith(feed.rpartition("/")[0] + "/")] or [*self.feeds]}

    def check(self, payload: Payload) -> Sequence[str]:
        return url_faults(payload["urls"], "feed")

    def show(self, payload: Payload) -> Shown:
        return Shown("\n".join(payload["urls"]))

    def _publish(self, message: Message, payload: Payload) -> Outcome:
        return tell_hub(Call(self.connection, limits=self.limits), payload["urls"])

    def _withdraw(self, message: Message, payload: Payload) -> Outcome:
        return self._publish(message, payload)


def tell_hub(call: Call, urls: Sequence[str]) -> Outcome:
    """One POST for all feeds. Raises Misconfigured."""
    if url_faults(urls, "feed"):
        return Refused("; ".join(url_faults(urls, "feed")))
    hub = call.connection.url()
    if not is_private(hub):
        raise call.connection.misconfigured("sends in the clear: give a host that begins with https://")
    form = [("hub.mode", "publish"), *(("hub.url", url) for url in urls)]
    try:
        call.ask("POST", hub, "its address", publishes=True, data=form).receipt()
    except Stopped as stopped:
        return stopped.outcome
    return Accepted()


def url_faults(urls: Sequence[str], what: str) -> list[str]:
    found = [] if urls else [f"there is no address of a {what} to tell"]
    return found + [f"{url} is no address of a {what}" for url in urls if not url.startswith(("https://", "http://"))]
