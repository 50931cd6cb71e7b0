"""Tells search engines by IndexNow which pages have changed (https://www.indexnow.org/documentation)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from caravan.clients.posts.call import Call, Stopped
from caravan.clients.posts.posting import Posting
from caravan.clients.posts.websub import url_faults
from caravan.core.connections import is_private
from caravan.core.outbox import Accepted, Message, Outcome, Refused
from caravan.core.release import Content, Payload, Shown

MOST_URLS = 10_000
_KEY = re.compile(r"[A-Za-z0-9-]{8,128}")


@dataclass
class IndexNow(Posting):
    """The connection's password is the key, its extra `key_location` the address of the file that holds it. Pages of a
    payload with an `origin` (`https://www.example.com`) have it there, under the name that IndexNow looks for."""

    def __post_init__(self) -> None:
        self.has_evidence = False

    def render(self, content: Content) -> Payload:
        return {"urls": [content.url] if content.url else []}

    def check(self, payload: Payload) -> Sequence[str]:
        if not self._key_location(payload):
            return ["its file names no `site`: it tells of crawled sites alone"]
        return list_faults(payload["urls"], self._key_location(payload))

    def show(self, payload: Payload) -> Shown:
        return Shown("\n".join(payload["urls"]))

    def _publish(self, message: Message, payload: Payload) -> Outcome:
        key = self.connection.password or ""
        return submit(Call(self.connection, limits=self.limits), payload["urls"], key, self._key_location(payload))

    def _withdraw(self, message: Message, payload: Payload) -> Outcome:
        return self._publish(message, payload)

    def _key_location(self, payload: Payload) -> str:
        if "origin" in payload:
            return f"{payload['origin']}/{self.connection.password}.txt"
        return str(self.connection.extra.get("key_location", ""))


def submit(call: Call, urls: Sequence[str], key: str, key_location: str) -> Outcome:
    """One POST of the pages given, and no others. Raises Misconfigured, also for a key that cannot be one."""
    if not _KEY.fullmatch(key):
        raise call.connection.misconfigured("its password is no key: 8 to 128 letters, digits and hyphens")
    if list_faults(urls, key_location):
        return Refused("; ".join(list_faults(urls, key_location)))
    url = call.connection.url()
    if not is_private(url):
        raise call.connection.misconfigured("sends its key in the clear: give a host that begins with https://")
    body = {
        "host": urlsplit(key_location).netloc,
        "key": key,
        "keyLocation": key_location,
        "urlList": list(urls),
    }
    try:
        # 403: the key's file was not found or holds another one. It is the site's fault, not the account's.
        answer = call.ask("POST", url, "its address", publishes=True, expected=(403,), json=body)
        if answer.status == 403:
            return Refused(f"{answer.where} answered 403: the engine does not find the key at its key_location")
        if answer.status not in (200, 202):
            raise answer.doubt(f"answered {answer.status}, which IndexNow does not know")
        answer.receipt()
    except Stopped as stopped:
        return stopped.outcome
    return Accepted()


def list_faults(urls: Sequence[str], key_location: str) -> list[str]:
    found = url_faults(urls, "page")
    if len(urls) > MOST_URLS:
        found.append(f"there are {len(urls)} pages, and at most {MOST_URLS} are taken at once")
    host = urlsplit(key_location).netloc
    if not host:
        return [*found, "the connection's extra key_location is no address"]
    return found + [f"{url} is not on {host}, where the key is" for url in urls if urlsplit(url).netloc != host]
