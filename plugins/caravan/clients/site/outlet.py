"""Releases on the company's own site. A page is put where it belongs, so putting it again changes nothing.

    <locale>/<release id>/index.html      the page, or a tombstone
    <locale>/<release id>/<picture>       its pictures
    <locale>/<release id>/release.json    what is known of it: after the page, so that nothing is listed before
    feeds, sitemaps, indexes              by `publish_lists`, once for a batch

An older revision never takes a newer one's place, and what was withdrawn comes back only as a newer revision: page and
manifest are each replaced only in the version that was looked at, and a page says its revision itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from caravan.clients.pictures import read_picture
from caravan.clients.site import lists
from caravan.clients.site.consistency import PageFacts, read_back, read_page, read_text
from caravan.clients.site.faults import Limits, find_faults
from caravan.clients.site.manifest import FILE, PAGE, Entry, entry_of, page_url, read_entry, tag_uri
from caravan.clients.site.page import Site, alternates_of, render_page, render_withdrawn
from caravan.clients.site.store import Conflict, Store, hash_of, put_now
from caravan.core.consistency import Appearance
from caravan.core.errors import Misconfigured, Rejected, Retryable
from caravan.core.outbox import Accepted, Message, Outcome, Refused, Unknown
from caravan.core.release import Content, Payload, Shown

_HTML = "text/html; charset=utf-8"
_JSON = "application/json; charset=utf-8"
_REVISION = re.compile(rb'<meta name="caravan-revision" content="(\d{1,9})">')
_WITHDRAWN = b'<meta name="caravan-state" content="withdrawn">'
_ROUNDS = 10
"""Of a page that another worker puts at the same time."""
_SOON = timedelta(minutes=1)
_WHEN_MENDED = timedelta(minutes=15)
"""When to try again what a person has to mend first: a bucket's policy."""


@dataclass
class SiteOutlet:
    """`clock`: UTC without zone; nothing is put before its embargo ends."""

    code: str
    site: Site
    store: Store
    clock: Callable[[], datetime]
    limits: Limits = field(default_factory=Limits)
    is_repeatable: bool = field(default=True, init=False)

    def render(self, content: Content) -> Payload:
        """`entry`: the manifest; `html`: the page; `body`: what was written; `images`: their files and names."""
        html = render_page(self.site, content)
        url = page_url(self.site.base_url, content.locale, content.release_id)
        entry = Entry(
            release_id=content.release_id,
            revision=content.revision,
            kind=content.kind,
            market_code=content.market_code,
            locale=content.locale,
            entry_id=tag_uri(self.site.base_url, f"release/{content.release_id}/{content.locale}"),
            url=url,
            title=content.title,
            summary=content.summary,
            published_at=content.published_at,
            updated_at=content.updated_at,
            content_hash=content.content_hash,
            page_hash=hash_of(html.encode()),
            direction=content.direction,
            alternates=alternates_of(self.site, content),
            images=tuple(image.name for image in content.images),
            image_url=url + content.images[0].name if content.images else None,
            tags=content.tags,
            author=content.author,
        )
        images = [asdict(image) for image in content.images]
        return {"entry": entry.to_dict(), "html": html, "body": content.html, "images": images}

    def check(self, payload: Payload) -> Sequence[str]:
        return list(find_faults(payload, self.limits))

    def show(self, payload: Payload) -> Shown:
        return Shown(html=payload["html"])

    def hand_over(self, message: Message, payload: Payload) -> Outcome:
        """Puts the page, or its tombstone. The lists follow by `publish_lists`."""
        embargo = message.intention.embargo_until
        now = self.clock()
        if embargo and now < embargo:
            return Refused("its embargo has not ended", after=embargo - now)
        try:
            for _ in range(_ROUNDS):
                try:
                    return self._put(message, payload)
                except Conflict:
                    continue
        except Rejected as error:
            return Refused(str(error))
        except Misconfigured as error:
            return Refused("; ".join(map(str, error.faults)), after=_WHEN_MENDED)
        except Retryable as error:  # a throttled put was not done; of any other nobody knows
            return Refused(str(error), after=error.after) if error.after else Unknown(str(error))
        return Unknown(f"{self.store.name}: another worker puts the same page again and again")

    def find(self, message: Message, payload: Payload) -> Accepted | Refused | None:
        """Accepted: page and manifest are there as they should be. Refused: something else is, for good. None: neither
        of them, so that it has to be put again."""
        wanted, _ = self._wanted(message, payload)
        there = _entry(self._look(f"{wanted.folder}/{FILE}")[0])
        if there and (reason := _outranked(wanted, there)):
            return Refused(reason)
        if there is None or not _is_same(there, wanted):
            return None
        page = self.store.head(f"{wanted.folder}/{PAGE}")
        if page is None or page.sha256 != there.page_hash:
            return None
        names = {path.rpartition("/")[2] for path in self.store.list(wanted.folder)}
        lacking = {*there.images} - names
        remaining = names - {PAGE, FILE} if there.is_withdrawn else set()
        return None if lacking or remaining else Accepted(wanted.url)

    def expected(self, message: Message, payload: Payload) -> Appearance:
        entry, html = self._wanted(message, payload)
        if entry.is_withdrawn:
            return Appearance(False, url=entry.url)
        return replace(
            _appearance(read_page(html, entry.url), entry.url), links=read_text(payload["body"], entry.url).links
        )

    def read_back(self, message: Message, payload: Payload) -> Appearance:
        """As its readers get it, or where the site does not answer, as its store has it."""
        entry = self._wanted(message, payload)[0]
        try:
            return _appearance(read_back(entry.url), entry.url)
        except Retryable as error:
            stored = read_back(f"{entry.folder}/{PAGE}", self.store)
            return replace(_appearance(stored, entry.url), note=f"as the store has it: {error}")

    def publish_lists(self) -> lists.Published:
        """Feeds, sitemaps and indexes as the pages are now: after each batch, and daily, since news grow old."""
        return lists.publish_lists(self.site, self.store, self.clock)

    def _put(self, message: Message, payload: Payload) -> Outcome:
        try:
            wanted, html = self._wanted(message, payload)
            page, page_seen = self._look(f"{wanted.folder}/{PAGE}")
            manifest, manifest_seen = self._look(f"{wanted.folder}/{FILE}")
            images = [] if wanted.is_withdrawn else payload["images"]
            pictures = [(image, read_picture(image)) for image in images]
        except Conflict:
            raise
        except Retryable as error:  # so far, only read
            return Refused(str(error), after=error.after or _SOON)
        there = _entry(manifest)
        if reason := _outranked_by_page(wanted, page or b"") or (there and _outranked(wanted, there)):
            return Refused(reason)
        if there:
            wanted = replace(wanted, entry_id=there.entry_id)
        for image, content in pictures:
            put_now(self.store, f"{wanted.folder}/{image['name']}", content, image["media_type"])
        if page != html:
            self.store.put(f"{wanted.folder}/{PAGE}", html, _HTML, page_seen)
        self.store.put(f"{wanted.folder}/{FILE}", wanted.to_bytes(), _JSON, manifest_seen)
        self._drop_pictures(wanted, there)
        # Not the store's word, but a look: only what can be read has arrived.
        return self.find(message, payload) or Unknown(f"{wanted.url} is not there as it was put")

    def _drop_pictures(self, wanted: Entry, before: Entry | None) -> None:
        if wanted.is_withdrawn:
            paths = self.store.list(wanted.folder).keys() - {f"{wanted.folder}/{name}" for name in (PAGE, FILE)}
        else:  # no others: a newer revision's may be on their way
            paths = {f"{wanted.folder}/{name}" for name in {*(before.images if before else ())} - {*wanted.images}}
        for path in sorted(paths):
            self.store.delete(path)

    def _look(self, path: str) -> tuple[bytes | None, str | None]:
        """Content and version of a file. Raises Conflict when it changes between the two."""
        stored = self.store.head(path)
        if stored is None:
            return None, None
        content = self.store.get(path)
        if content is None or hash_of(content) != stored.sha256:
            raise Conflict(f"{self.store.name}: {path} changes while it is read")
        return content, stored.version

    def _wanted(self, message: Message, payload: Payload) -> tuple[Entry, bytes]:
        """The manifest and the page as they should be. Raises Rejected when the payload is not of the message."""
        key = message.key
        entry = entry_of(payload["entry"])
        if entry.release_id != key.object_id:
            raise Rejected("OTHER_RELEASE", f"the payload is of {entry.release_id}, the message of {key.object_id}")
        if message.intention.payload.get("action") != "withdraw":
            if entry.revision != key.revision:
                said = f"the payload is of revision {entry.revision}, the message of {key.revision}"
                raise Rejected("OTHER_REVISION", said)
            return entry, payload["html"].encode()
        text = render_withdrawn(self.site, entry.locale, entry.direction, entry.release_id, key.revision).encode()
        # Of what was taken back nothing stays to be read; the time is the plan's, so that a repetition is the same.
        nothing: dict[str, Any] = {"title": "", "summary": "", "alternates": {}, "images": (), "image_url": None}
        nothing |= {"tags": (), "author": "", "is_withdrawn": True}
        gone_at = message.intention.planned_for
        return replace(entry, **nothing, revision=key.revision, page_hash=hash_of(text), updated_at=gone_at), text


def _appearance(facts: PageFacts, url: str) -> Appearance:
    if facts.status != 200 or facts.is_withdrawn:
        return Appearance(False, url=url)
    return Appearance(
        True,
        version=f"revision {facts.revision}, {facts.content_hash}",
        text=facts.title,
        prices=frozenset(facts.prices),
        links=facts.links,
        locale=facts.locale,
        url=url,
        alternates=facts.alternates,
    )


def _entry(manifest: bytes | None) -> Entry | None:
    """One that cannot be read counts as none, and is replaced."""
    try:
        return read_entry(manifest) if manifest is not None else None
    except ValueError:
        return None


def _outranked_by_page(wanted: Entry, page: bytes) -> str:
    """A worker may have put the page and not yet its manifest."""
    found = _REVISION.search(page)
    rank = (int(found[1]) if found else 0, _WITHDRAWN in page)
    if rank <= (wanted.revision, wanted.is_withdrawn):
        return ""
    return f"{wanted.url} shows revision {rank[0]}{', withdrawn,' if rank[1] else ''} by now, this is {wanted.revision}"


def _outranked(wanted: Entry, there: Entry) -> str:
    """Why what is there must stay; empty when it may be replaced."""
    if there.revision > wanted.revision:
        return f"{there.url} shows revision {there.revision} by now, this is {wanted.revision}"
    if there.revision < wanted.revision or wanted.is_withdrawn:
        return ""
    if there.is_withdrawn:
        return f"{there.url} was withdrawn; only a newer revision than {there.revision} brings it back"
    if there.content_hash != wanted.content_hash:
        return f"{there.url} shows other content as revision {there.revision}; a change is a new revision"
    if there.market_code != wanted.market_code and there.page_hash != wanted.page_hash:
        return f"{there.url} shows the text for {there.market_code}; give {wanted.market_code} a locale of its own"
    return ""


def _is_same(there: Entry, wanted: Entry) -> bool:
    if wanted.is_withdrawn:
        return there.is_withdrawn and there.revision == wanted.revision
    return not there.is_withdrawn and there.content_hash == wanted.content_hash and there.revision == wanted.revision
