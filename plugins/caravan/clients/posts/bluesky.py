"""Posts of a Bluesky account, by an app password and XRPC (https://atproto.com/specs/xrpc).

A post is a record whose key we choose. It is made of the promised time and the message, as is all of the record, so
that repeating puts the same record where it is. Readers are not shown an edited record: a later revision is a new
post, and the one before it is deleted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from html import escape
from typing import Any, Literal
from urllib.parse import urlsplit

from caravan.clients.http.address import root_url
from caravan.clients.posts.call import Answer, Call, Stopped
from caravan.clients.posts.posting import (
    ReadablePosting,
    described,
    earlier_id,
    image_faults,
    own_id,
    read_image,
    withdrawn_id,
    withdraws,
)
from caravan.clients.posts.wording import addresses, graphemes, marked
from caravan.clients.site.consistency import read_text
from caravan.core.consistency import Appearance
from caravan.core.outbox import Accepted, Message, Outcome, Refused, Unknown
from caravan.core.release import Content, Payload, Shown

MOST_GRAPHEMES, MOST_BYTES = 300, 3000
MOST_TAGS, LONGEST_TAG = 8, 64
MOST_IMAGES, MOST_IMAGE_BYTES, LONGEST_ALT = 4, 1_000_000, 2000
IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
SESSION = timedelta(hours=1)
COLLECTION = "app.bsky.feed.post"
_SORTABLE = "234567abcdefghijklmnopqrstuvwxyz"
_EPOCH = datetime(1970, 1, 1)


@dataclass
class Bluesky(ReadablePosting):
    """Logs in once for an hour: a service allows few logins a day, and a token is good for two hours."""

    _session: tuple[str, str] = field(default=("", ""), init=False, repr=False)
    _until: datetime = field(default=_EPOCH, init=False, repr=False)

    def render(self, content: Content) -> Payload:
        text = f"{content.title}\n\n{content.summary}".strip()
        return {
            "text": f"{text}\n\n{shown(content.url)}" if content.url else text,
            "url": content.url,
            "title": content.title,
            "summary": content.summary,
            "langs": [content.locale],
            "tags": list(content.tags),
            "images": [described(image) for image in content.images],
        }

    def check(self, payload: Payload) -> Sequence[str]:
        length, size = graphemes(payload["text"]), len(payload["text"].encode())
        found = [] if payload["text"] else ["has no text"]
        if length > MOST_GRAPHEMES:
            found.append(f"has {length} characters, and at most {MOST_GRAPHEMES} are taken")
        if size > MOST_BYTES:
            found.append(f"has {size} bytes, and at most {MOST_BYTES} are taken")
        if len(payload["tags"]) > MOST_TAGS:
            found.append(f"has {len(payload['tags'])} tags, and at most {MOST_TAGS} are taken")
        long = [tag for tag in payload["tags"] if graphemes(tag) > LONGEST_TAG]
        found += [f"its tag {tag} is longer than {LONGEST_TAG} characters" for tag in long]
        return found + image_faults(payload["images"], MOST_IMAGES, MOST_IMAGE_BYTES, LONGEST_ALT, IMAGE_TYPES)

    def expected(self, message: Message, payload: Payload) -> Appearance:
        if withdraws(message):
            return Appearance(False)
        made = record(message, payload, [])
        return _read(made, payload["text"].partition("\n")[0])

    def _appearance(self, message: Message, payload: Payload) -> Appearance:
        found = self._get(self._login()[1], self._key_of(own_id(message)))
        return Appearance(False) if found is None else _read(found, str(found.get("text", "")))

    def show(self, payload: Payload) -> Shown:
        return Shown(payload["text"])

    def _publish(self, message: Message, payload: Payload) -> Outcome:
        # Beside a link's card there is room for its picture only.
        images = payload["images"][:1] if payload["url"] else payload["images"]
        files = [read_image(image) for image in images]
        did = self._login()[1]
        blobs = [self._upload(image, content) for image, content in zip(images, files, strict=True)]
        key = record_key(message.intention.planned_for, message.message_id)
        body = {"repo": did, "collection": COLLECTION, "rkey": key, "record": record(message, payload, blobs)}
        answer = self._ask("POST", "com.atproto.repo.putRecord", publishes=True, json=body)
        put = answer.json(needs=("uri", "cid"))
        if put["uri"] != f"at://{did}/{COLLECTION}/{key}":
            raise answer.doubt("the answer is not this message's record")
        before = earlier_id(message)
        if before is not None and before != put["uri"]:
            try:
                self._delete(before)
            except Stopped as stopped:  # both are there: neither a yes nor a no
                raise Stopped(Unknown(f"the post is there, and so is the one before it: {stopped}")) from None
        return Accepted(put["uri"])

    def _withdraw(self, message: Message, payload: Payload) -> Outcome:
        uri = withdrawn_id(message)
        self._delete(uri)
        return Accepted(uri)

    def _delete(self, uri: str) -> None:
        body = {"repo": self._login()[1], "collection": COLLECTION, "rkey": self._key_of(uri)}
        answer = self._ask("POST", "com.atproto.repo.deleteRecord", publishes=True, json=body)
        answer.receipt()  # what is not there is deleted as well

    def _evidence(self, message: Message, payload: Payload) -> Accepted | Refused | None:
        did = self._login()[1]
        if withdraws(message):
            uri = withdrawn_id(message)
            is_there = self._is_there(did, self._key_of(uri))
            return Accepted(uri) if is_there is False else None
        key = record_key(message.intention.planned_for, message.message_id)
        before = earlier_id(message)
        if not self._is_there(did, key) or (before and self._is_there(did, self._key_of(before)) is not False):
            return None
        return Accepted(f"at://{did}/{COLLECTION}/{key}")

    def _get(self, did: str, key: str) -> dict[str, Any] | None:
        """A record; None for one that there is not. Raises Stopped."""
        asked = {"repo": did, "collection": COLLECTION, "rkey": key}
        answer = self._ask("GET", "com.atproto.repo.getRecord", params=asked, expected=(400,))
        if answer.status == 400 and answer.error == " (RecordNotFound)":
            return None
        value = answer.json().get("value") if answer.status == 200 else None
        if not isinstance(value, dict):
            raise answer.doubt(f"no record{answer.error}")
        return value

    def _is_there(self, did: str, key: str) -> bool | None:
        """None when the answer does not say."""
        asked = {"repo": did, "collection": COLLECTION, "rkey": key}
        answer = self._ask("GET", "com.atproto.repo.getRecord", params=asked, expected=(400,))
        if answer.status == 400:
            return False if answer.error == " (RecordNotFound)" else None
        return True if answer.json(needs=("uri",))["uri"] == f"at://{did}/{COLLECTION}/{key}" else None

    def _key_of(self, uri: str) -> str:
        """Raises Stopped for a record of another account or kind."""
        begin, _, key = uri.rpartition("/")
        if begin != f"at://{self._login()[1]}/{COLLECTION}" or len(key) != 13:
            raise Stopped(Refused("the post to be taken back is not one of this account"))
        return key

    def _upload(self, image: Mapping[str, Any], content: bytes) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """The image and its blob. One that no record refers to is removed by the service."""
        kind = {"Content-Type": image["media_type"]}
        answer = self._ask("POST", "com.atproto.repo.uploadBlob", data=content, headers=kind)
        blob = answer.json().get("blob")
        if not (isinstance(blob, dict) and isinstance(blob.get("ref"), dict) and blob.get("size") == str(len(content))):
            raise answer.doubt(f"no blob of the size that was sent{answer.error}")
        # `read_json` leaves numbers as text; a record is signed with the number.
        return image, {**blob, "size": len(content)}

    def _login(self) -> tuple[str, str]:
        """Token and DID of the account."""
        if self.clock() >= self._until:
            method = "com.atproto.server.createSession"
            body = {"identifier": self.connection.login or "", "password": self.connection.password or ""}
            found = self._call({}).ask("POST", self._url(method), method, json=body)
            session = found.json(needs=("accessJwt", "did"))
            self._session, self._until = (session["accessJwt"], session["did"]), self.clock() + SESSION
        return self._session

    def _ask(self, method: Literal["GET", "POST"], name: str, **given: Any) -> Answer:
        return self._call({"Authorization": f"Bearer {self._login()[0]}"}).ask(method, self._url(name), name, **given)

    def _call(self, headers: Mapping[str, str]) -> Call:
        return Call(self.connection, headers, self.limits)

    def _url(self, name: str) -> str:
        return f"{root_url(self.connection)}/xrpc/{name}"


def record(
    message: Message, payload: Payload, blobs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]
) -> dict[str, Any]:
    """The same for the same message, byte for byte."""
    link = marked(payload["url"], message.message_id) if payload["url"] else None
    found: dict[str, Any] = {
        "$type": COLLECTION,
        "text": payload["text"],
        "createdAt": f"{message.intention.planned_for.isoformat(timespec='milliseconds')}Z",
        "langs": payload["langs"],
    }
    if facets(payload["text"], link):
        found["facets"] = facets(payload["text"], link)
    if payload["tags"]:
        found["tags"] = payload["tags"]
    if link:
        card: dict[str, Any] = {"uri": link, "title": payload["title"], "description": payload["summary"]}
        if blobs:
            card["thumb"] = blobs[0][1]
        found["embed"] = {"$type": "app.bsky.embed.external", "external": card}
    elif blobs:
        images = [{"image": blob, "alt": image["alt"]} for image, blob in blobs]
        found["embed"] = {"$type": "app.bsky.embed.images", "images": images}
    return found


def _read(found: Mapping[str, Any], text: str) -> Appearance:
    """What a record shows, of ours or of theirs."""
    embed, langs = found.get("embed"), found.get("langs")
    card = embed.get("external") if isinstance(embed, dict) else None
    link = card.get("uri") if isinstance(card, dict) else None
    return Appearance(
        True,
        version=str(found.get("createdAt")),
        text=text,
        prices=frozenset(read_text(escape(str(found.get("text", "")))).prices),
        links=(link,) if isinstance(link, str) else (),
        locale=", ".join(map(str, langs)) or None if isinstance(langs, list) else None,
    )


def facets(text: str, link: str | None = None) -> list[dict[str, Any]]:
    """The links of a text, by bytes of UTF-8. `link`: where the text's end leads that shows its address."""
    spans = [(begin, end, text[begin:end]) for begin, end in addresses(text)]
    ending = shown(link) if link else ""
    if link and text.endswith(ending):
        spans.append((len(text) - len(ending), len(text), link))
    return [
        {
            "index": {"byteStart": len(text[:begin].encode()), "byteEnd": len(text[:end].encode())},
            "features": [{"$type": "app.bsky.richtext.facet#link", "uri": uri}],
        }
        for begin, end, uri in spans
    ]


def shown(url: str) -> str:
    """An address as readers know it: host and path."""
    parts = urlsplit(url)
    return (parts.netloc + parts.path).rstrip("/")


def record_key(planned_for: datetime, message_id: str) -> str:
    """The same for ever. The second is the promised one; what it is divided into, and the clock, come from the message:
    of those for one and the same second one in a thousand million is like a given other."""
    number = int(message_id, 16)
    seconds = (planned_for - _EPOCH) // timedelta(seconds=1)
    return tid(seconds * 1_000_000 + number % 1_000_000, number // 1_000_000 % 1024)


def tid(micros: int, clock: int) -> str:
    """https://atproto.com/specs/tid: 53 bits of microseconds since 1970, 10 of the number of a clock."""
    bits = (micros << 10) | clock
    return "".join(_SORTABLE[bits >> shift & 31] for shift in range(60, -1, -5))
