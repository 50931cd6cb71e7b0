"""Posts of a WordPress site, by its REST API wp/v2 and an application password.

A release has one post per language, for good: its slug is `<release>-<locale>`, and comments in its content name the
message it was last written by, the revision and the release. It is looked up before it is written: repeating changes
nothing, an older revision never takes a newer one's place, and what was withdrawn comes back only as a newer one.

The content is one block of HTML, for in any other text WordPress puts a `<br>` wherever a line ends. Titles and
excerpts are HTML there, and are escaped. Addresses are `index.php?rest_route=`, for where permalinks are plain there is
no `/wp-json`.

Two workers that look at once may both create: WordPress then calls one of them `<slug>-2`. Whoever is told so, and
whoever looks next, moves the younger one to the bin and writes to the older.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Literal

from caravan.clients.http.address import root_url
from caravan.clients.posts.call import Answer, Call, Stopped
from caravan.clients.posts.posting import ReadablePosting, described, image_faults, read_image, withdraws
from caravan.clients.site.consistency import read_text
from caravan.core.consistency import Appearance
from caravan.core.outbox import Accepted, Message, Outcome, Refused
from caravan.core.release import Content, Payload, Shown

LONGEST_SLUG = 190
"""The column takes 200; there has to be room for `-2`."""
MOST_IMAGES, MOST_IMAGE_BYTES, LONGEST_ALT = 20, 10 << 20, 1000
"""Caravan's own limits; a site's differ with its PHP."""
IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_MARKER = re.compile(r"<!-- caravan:([0-9a-f]{32}) -->")
_REVISION = re.compile(r"<!-- caravan-revision:([0-9]{1,9}) -->")
_RELEASE = re.compile(r"<!-- caravan-release:([a-z0-9_-]{1,63}) -->")
_BLOCK, _BLOCK_END = "<!-- wp:html -->", "<!-- /wp:html -->"
_FIELDS = "id,slug,status,content"


@dataclass(frozen=True)
class _Post:
    number: int
    slug: str
    status: str
    raw: str
    """Its content as it was written."""

    @property
    def message_id(self) -> str | None:
        """Of the message that wrote it; None for somebody else's post."""
        found = _MARKER.findall(self.raw)
        return found[-1] if found else None

    @property
    def revision(self) -> int:
        return max(map(int, _REVISION.findall(self.raw)), default=0)

    def is_of(self, message: Message) -> bool:
        """Two releases may come to one slug (`a_b` and `a-b`). A post from before its release was noted is of its
        slug's."""
        found = _RELEASE.findall(self.raw)
        return self.message_id is not None and (not found or found[-1] == message.key.object_id)

    def with_revision(self, comment: str) -> str:
        return _REVISION.sub(comment, self.raw) if self.revision else self.raw + comment


@dataclass
class WordPress(ReadablePosting):
    """`category`: its slug. `status`: of what is handed over, `withdrawn_status`: of what was taken back."""

    category: str | None = field(default=None, kw_only=True)
    status: Literal["publish", "draft", "private", "pending"] = field(default="publish", kw_only=True)
    withdrawn_status: Literal["draft", "private"] = field(default="draft", kw_only=True)

    def render(self, content: Content) -> Payload:
        html = content.html
        if content.direction == "rtl":
            html = f'<div dir="rtl" lang="{content.locale}">{html}</div>'
        return {
            "slug": slug(content.release_id, content.locale),
            "title": content.title,
            "html": html,
            "summary": content.summary,
            "tags": list(content.tags),
            "images": [described(image) for image in content.images],
        }

    def check(self, payload: Payload) -> Sequence[str]:
        found = [f"has no {name}" for name in ("title", "html") if not payload[name].strip()]
        if len(payload["slug"]) > LONGEST_SLUG:
            found.append(f"its slug {payload['slug']} is longer than {LONGEST_SLUG} characters")
        if "<!-- caravan" in payload["html"]:
            found.append("its text holds a comment that begins with caravan, which is how posts are found")
        return found + image_faults(payload["images"], MOST_IMAGES, MOST_IMAGE_BYTES, LONGEST_ALT, IMAGE_TYPES)

    def expected(self, message: Message, payload: Payload) -> Appearance:
        if withdraws(message):
            return Appearance(False)
        facts = read_text(payload["html"])
        return Appearance(
            True,
            version=message.message_id,
            text=payload["title"],
            prices=frozenset(facts.prices),
            links=facts.links,
        )

    def _appearance(self, message: Message, payload: Payload) -> Appearance:
        """What readers get; of one that is to wait for an editor, what that editor gets."""
        asked = {"slug": payload["slug"], "status": "any", "context": "edit", "_fields": f"{_FIELDS},title"}
        answer = self._ask("GET", "/posts", params=asked)
        public = ("publish",) if withdraws(message) else ("publish", self.status)
        for item in answer.json(list):
            post = _read(answer, item)
            if post.slug == payload["slug"] and post.message_id and post.status in public:
                facts, title = read_text(post.raw), item.get("title")
                return Appearance(
                    True,
                    version=post.message_id,
                    text=title.get("raw") if isinstance(title, dict) else None,
                    prices=frozenset(facts.prices),
                    links=facts.links,
                )
        return Appearance(False)

    def show(self, payload: Payload) -> Shown:
        return Shown(html=payload["html"])

    def _publish(self, message: Message, payload: Payload) -> Outcome:
        files = [read_image(image) for image in payload["images"]]
        post = self._only(payload["slug"], message, publishes=False)
        if isinstance(post, Refused):
            return post
        if post and post.revision > message.key.revision:
            return self._outdated(post)
        if post and self._has_it(post, message):
            return Accepted(str(post.number))  # written again it would undo what an editor has done since
        html, media = payload["html"], []
        for image, content in zip(payload["images"], files, strict=True):
            number, url = self._upload(image, content)
            media.append(number)
            html = _linked(html, image["name"], url)
        body: dict[str, Any] = {
            "status": self.status,
            "slug": payload["slug"],
            "title": escape(payload["title"], quote=False),
            "excerpt": escape(payload["summary"], quote=False),
            "content": f"{_BLOCK}\n{html}\n{_marks(message)}\n{_BLOCK_END}",
            "tags": [self._tag(name) for name in payload["tags"]],
        }
        if media:
            body["featured_media"] = media[0]
        if self.category:
            body["categories"] = [self._category(self.category)]
        if post:
            return self._write(f"/posts/{post.number}", body, message)
        outcome = self._write("/posts", body, message)
        if isinstance(outcome, Accepted):
            # Somebody may have created it since we looked.
            post = self._only(payload["slug"], message, publishes=True)
            if isinstance(post, _Post) and str(post.number) != outcome.provider_id:
                return self._write(f"/posts/{post.number}", body, message)
        return outcome

    def _withdraw(self, message: Message, payload: Payload) -> Outcome:
        posts = [post for post in self._look(payload["slug"], publishes=False) if post.is_of(message)]
        known = message.intention.payload.get("provider_id")
        if not posts and isinstance(known, str) and known.isdecimal():
            # A list that shows nothing, e.g. from a cache, is not enough.
            path = f"/posts/{known}"
            answer = self._ask("GET", path, expected=(404,), params={"context": "edit", "_fields": _FIELDS})
            posts = [] if answer.status == 404 else [_read(answer, answer.json())]
        for post in posts:
            if post.revision > message.key.revision:
                return self._outdated(post)
            body = {"status": self.withdrawn_status, "content": post.with_revision(_revision(message))}
            answer = self._ask("POST", f"/posts/{post.number}", publishes=True, expected=(404,), json=body)
            if answer.status != 404 and not self._is_withdrawn(_read(answer, answer.json()), message):
                raise answer.doubt("the post did not take its new status")
        return Accepted(str(posts[0].number) if posts else None)

    def _is_withdrawn(self, post: _Post, message: Message) -> bool:
        return (post.status, post.revision) == (self.withdrawn_status, message.key.revision)

    def _evidence(self, message: Message, payload: Payload) -> Accepted | Refused | None:
        ours = [post for post in self._look(payload["slug"], publishes=False) if post.is_of(message)]
        if withdraws(message):
            is_gone = ours and all(self._is_withdrawn(post, message) for post in ours)
            return Accepted(str(ours[0].number)) if is_gone else None
        for post in ours:
            if self._has_it(post, message):
                return Accepted(str(post.number))
        return None

    def _outdated(self, post: _Post) -> Refused:
        return Refused(f"connection {self.connection.conn_id}: post {post.number} is of revision {post.revision}")

    def _has_it(self, post: _Post, message: Message) -> bool:
        """Published counts too where it was to wait for an editor."""
        return post.message_id == message.message_id and post.status in (self.status, "publish")

    def _write(self, path: str, body: Mapping[str, Any], message: Message) -> Outcome:
        answer = self._ask("POST", path, publishes=True, json=body)
        post = _read(answer, answer.json())
        # Without it the post would never be found again, and be written a second time.
        if post.message_id != message.message_id:
            raise answer.doubt("the answer is not this message's post; does a plugin take comments out of posts?")
        if path != "/posts" and not path.endswith(f"/{post.number}"):
            raise answer.doubt("the answer is another post's")
        if not post.slug:
            # It would never be found again, and be made a second time.
            self._ask("DELETE", f"/posts/{post.number}", publishes=True, expected=(404, 410))
            return Refused(
                f"{answer.where}: pending posts of this user get no slug: set status: draft, or let it publish"
            )
        if post.status != self.status and post.status in ("draft", "pending", "private", "future"):
            return Refused(f"{answer.where}: post {post.number} was kept as {post.status}; may this user publish?")
        if post.status != self.status:
            raise answer.doubt(f"the answer does not say that its status is {self.status}")
        return Accepted(str(post.number))

    def _only(self, wanted: str, message: Message, *, publishes: bool) -> _Post | Refused | None:
        """The release's post, the oldest where there are several; the others are moved to the bin."""
        posts = self._look(wanted, publishes)
        if taken := next((post for post in posts if post.slug == wanted and not post.is_of(message)), None):
            whose = "of another release" if taken.message_id else "not ours"
            return Refused(f"connection {self.connection.conn_id}: slug {wanted} is taken by a post that is {whose}")
        ours = [post for post in posts if post.is_of(message)]
        for younger in ours[1:]:
            self._ask("DELETE", f"/posts/{younger.number}", publishes=publishes, expected=(404, 410))
        return ours[0] if ours else None

    def _look(self, wanted: str, publishes: bool) -> list[_Post]:
        """All of that slug and `-2` to `-4`, by age. `any` leaves out what is in the bin."""
        slugs = ",".join([wanted, *(f"{wanted}-{number}" for number in (2, 3, 4))])
        asked = {"slug": slugs, "status": "any", "context": "edit", "per_page": "100", "_fields": _FIELDS}
        answer = self._ask("GET", "/posts", publishes=publishes, expected=(400,), params=asked)
        if answer.status == 400:  # WordPress takes a wrong password for no login, which may not ask for `any`
            raise self.connection.misconfigured(f"answered 400{answer.error}: its password or rights are not accepted")
        posts = [_read(answer, item) for item in answer.json(list)]
        if any(post.slug not in slugs.split(",") for post in posts):
            raise answer.doubt("posts of other slugs than those asked for")
        return sorted(posts, key=lambda post: post.number)

    def _upload(self, image: Mapping[str, Any], content: bytes) -> tuple[int, str]:
        """Number and address of the image, put there unless it is. Its name holds its content's hash."""
        wanted = f"caravan-{_sanitised(image['name'])}"
        found = self._ask("GET", "/media", params={"slug": wanted, "_fields": "id,slug,source_url,alt_text"})
        items = found.json(list)
        if items:
            number, url = _media(found, items[0])
            if items[0].get("alt_text") != image["alt"]:
                self._ask("POST", f"/media/{number}", json={"alt_text": image["alt"]})
            return number, url
        file = (image["name"], content, image["media_type"])
        fields = {"slug": wanted, "alt_text": image["alt"]}
        created = self._ask("POST", "/media", expected=(500,), data=fields, files={"file": file})
        if "rest_upload" in created.error:
            told = f"{created.where}: image {image['name']} is not taken{created.error}: is it too large for the site?"
            raise Stopped(Refused(told))
        return _media(created, created.json())

    def _category(self, name: str) -> int:
        answer = self._ask("GET", "/categories", params={"slug": name, "_fields": "id,slug"})
        for item in answer.json(list):
            if isinstance(item, dict) and item.get("slug") == name and str(item.get("id")).isdecimal():
                return int(item["id"])
        raise self.connection.misconfigured(f"has no category with the slug {name}")

    def _tag(self, name: str) -> int:
        """Made unless there is one of that name, in whatever case."""
        answer = self._ask("POST", "/tags", expected=(400,), json={"name": name})
        found = answer.json()
        error = found.get("data")
        number = str(error.get("term_id") if isinstance(error, dict) else found.get("id"))
        if number.isdecimal():
            return int(number)
        raise answer.doubt(f"no tag with id{answer.error}")

    def _ask(
        self, method: Literal["GET", "POST", "DELETE"], path: str, *, publishes: bool = False, **given: Any
    ) -> Answer:
        connection = self.connection
        secret = base64.b64encode(f"{connection.login or ''}:{connection.password or ''}".encode()).decode()
        call = Call(connection, {"Authorization": f"Basic {secret}"}, self.limits)
        params = {"rest_route": f"/wp/v2{path}", **given.pop("params", {})}
        return call.ask(method, f"{root_url(connection)}/index.php", path, publishes=publishes, params=params, **given)


def slug(release_id: str, locale: str) -> str:
    return _sanitised(f"{release_id}-{locale}")


def _marks(message: Message) -> str:
    release = f"<!-- caravan-release:{message.key.object_id} -->"
    return f"<!-- caravan:{message.message_id} -->{_revision(message)}{release}"


def _revision(message: Message) -> str:
    return f"<!-- caravan-revision:{message.key.revision} -->"


def _linked(html: str, name: str, url: str) -> str:
    """With the address of an image wherever its name is the end of one."""
    return re.sub(rf'(?<=\ssrc=")(?:[^"]*/)?{re.escape(name)}(?=")', lambda _: escape(url), html)


def _sanitised(text: str) -> str:
    """As WordPress would do it, so that what comes back is what was asked for."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _read(answer: Answer, item: object) -> _Post:
    if isinstance(item, dict):
        number, name, status = item.get("id"), item.get("slug"), item.get("status")
        content = item.get("content")
        raw = content.get("raw") if isinstance(content, dict) else None
        if isinstance(number, str) and number.isdecimal() and all(isinstance(it, str) for it in (name, status, raw)):
            return _Post(int(number), str(name), str(status), str(raw))
    raise answer.doubt("no post with id, slug, status and content" + answer.error)


def _media(answer: Answer, item: object) -> tuple[int, str]:
    if isinstance(item, dict) and isinstance(item.get("source_url"), str) and str(item.get("id")).isdecimal():
        return int(item["id"]), item["source_url"]
    raise answer.doubt("no image with id and source_url" + answer.error)
