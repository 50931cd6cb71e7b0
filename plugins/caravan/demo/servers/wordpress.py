"""A WordPress site as its REST API wp/v2 shows it, posts and media held in memory.

What it does as the real one (6.1, tests/peers): basic authentication with an application password, a wrong one taken
for none; plain permalinks, so that `/wp-json` is a page; slugs made unique with `-2`, `any` without what is in the bin,
content as it was written with `context=edit` alone and shown with a `<br />` at the end of each line unless it is
blocks; tags refused by name when they exist; media with slugs of their own and refused with a 500.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse

from caravan.core.connections import Connection
from caravan.demo.servers.faults import Faults
from caravan.demo.servers.serving import serve

USER, PASSWORD = "caravan", "abcd EFGH 1234 ijkl MNOP 5678"
Post = dict[str, Any]


class _Error(Exception):
    """One of WordPress's own answers."""

    def __init__(self, status: int, code: str, **data: Any) -> None:
        super().__init__(code)
        content = json.dumps({"code": code, "data": {"status": status, **data}})
        self.response = Response(content, status, media_type="application/json")


@dataclass
class Site:
    """`posts`, `media`: by id. `change`: makes another answer of one. `before_create`: is called before a post is made.
    `may_publish`: else publishing is forbidden, and pending posts lose their slug. `moderates`: a plugin keeps what is
    published as pending. `most_bytes`: of a file that PHP takes."""

    posts: dict[int, Post] = field(default_factory=dict)
    media: dict[int, Post] = field(default_factory=dict)
    categories: dict[str, int] = field(default_factory=lambda: {"news": 7})
    tags: dict[str, int] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    change: Callable[[Any], Any] = lambda content: content
    before_create: Callable[[], None] = lambda: None
    may_publish: bool = True
    moderates: bool = False
    most_bytes: int = 2 << 20

    @property
    def published(self) -> list[Post]:
        return [post for post in self.posts.values() if post["status"] == "publish"]

    def create(self, given: Post) -> Post:
        number = 1 + max(self.posts, default=100)
        wanted, taken = given["slug"], {post["slug"] for post in self.posts.values()}
        slug = next(name for name in (wanted, *(f"{wanted}-{n}" for n in range(2, 99))) if name not in taken)
        self.posts[number] = {"id": number}
        return self.update(number, {**given, "slug": slug})

    def update(self, number: int, given: Post) -> Post:
        post = self.posts[number]
        post.update({name: value for name, value in given.items() if name != "content"})
        if "content" in given:
            raw = given["content"]
            shown = raw if "<!-- wp:" in raw else raw.replace("\n", "<br />\n")
            post["content"] = {"raw": raw, "rendered": shown}
        if post["status"] == "publish" and self.moderates:
            post["status"] = "pending"
        if post["status"] == "pending" and not self.may_publish:
            post["slug"] = ""
        return post


@contextmanager
def serve_site(site: Site, conn_id: str = "wordpress_demo") -> Iterator[Connection]:
    """The connection to use."""
    with serve(application(site)) as url:
        yield account(url, conn_id)


def account(url: str, conn_id: str = "wordpress_demo") -> Connection:
    return Connection(conn_id, "http", host=url, login=USER, password=PASSWORD)


def application(site: Site) -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    def answer(request: Request, content: Callable[[], Any]) -> Response:
        site.faults.requests.append(f"{request.method} {request.url.path}")
        fault = site.faults.take()
        if not site.faults.works(fault):
            return site.faults.answer(fault, b"")
        try:
            if request.headers.get("Authorization") != expected:
                is_list = request.query_params.get("status") == "any"
                raise _Error(400, "rest_invalid_param") if is_list else _Error(401, "rest_cannot_create")
            body = json.dumps(site.change(content())).encode()
        except KeyError:
            return _Error(404, "rest_post_invalid_id").response
        except _Error as error:
            return error.response
        return site.faults.answer(fault, body)

    @app.middleware("http")
    async def route(request: Request, call_next: Any) -> Response:
        root, route = request.scope.get("root_path", ""), request.query_params.get("rest_route")
        if request.url.path == f"{root}/index.php" and route:
            request.scope["path"] = root + route
            found: Response = await call_next(request)
            return found
        return HTMLResponse("<!DOCTYPE html><title>The site's own first page</title>")

    @app.get("/wp/v2/posts")
    async def posts(request: Request) -> Response:
        asked = request.query_params
        is_edit = asked.get("context") == "edit"

        def shown(post: Post) -> Post:
            content = post["content"] if is_edit else {"rendered": post["content"]["rendered"]}
            title = {"raw": post.get("title", ""), "rendered": post.get("title", "")}
            return {**post, "content": content, "title": title}

        def listed() -> Any:
            states = {"publish"} if asked.get("status") != "any" else {"publish", "draft", "pending", "private"}
            slugs = asked["slug"].split(",")
            return [shown(post) for post in site.posts.values() if post["slug"] in slugs and post["status"] in states]

        return answer(request, listed)

    @app.post("/wp/v2/posts")
    async def create(request: Request) -> Response:
        given = await request.json()

        def created() -> Any:
            if given["status"] in ("publish", "private") and not site.may_publish:
                raise _Error(403, "rest_cannot_publish")
            site.before_create()
            return site.create(given)

        return answer(request, created)

    @app.get("/wp/v2/posts/{number}")
    async def one(request: Request, number: int) -> Response:
        return answer(request, lambda: site.posts[number])

    @app.post("/wp/v2/posts/{number}")
    async def update(request: Request, number: int) -> Response:
        given = await request.json()
        return answer(request, lambda: site.update(number, given))

    @app.delete("/wp/v2/posts/{number}")
    async def delete(request: Request, number: int) -> Response:
        def binned() -> Any:
            if site.posts[number]["status"] == "trash":
                raise _Error(410, "rest_already_trashed")
            return site.update(number, {"status": "trash", "slug": f"{site.posts[number]['slug']}__trashed"})

        return answer(request, binned)

    @app.get("/wp/v2/media")
    async def media(request: Request) -> Response:
        slug = request.query_params["slug"]
        return answer(request, lambda: [item for item in site.media.values() if item["slug"] == slug])

    @app.post("/wp/v2/media")
    async def upload(request: Request) -> Response:
        form = await request.form()
        file: Any = form["file"]
        size = len(await file.read())

        def uploaded() -> Any:
            if size > site.most_bytes:
                raise _Error(500, "rest_upload_unknown_error")
            number = 1 + max(site.media, default=500)
            url = f"https://site.example/wp-content/uploads/{file.filename}"
            item = {"id": number, "slug": form["slug"], "source_url": url, "alt_text": form["alt_text"], "size": size}
            site.media[number] = item
            return item

        return answer(request, uploaded)

    @app.post("/wp/v2/media/{number}")
    async def describe(request: Request, number: int) -> Response:
        given = await request.json()

        def described() -> Any:
            site.media[number].update(given)
            return site.media[number]

        return answer(request, described)

    @app.get("/wp/v2/categories")
    async def categories(request: Request) -> Response:
        slug = request.query_params["slug"]
        return answer(request, lambda: [{"id": site.categories[slug], "slug": slug}] if slug in site.categories else [])

    @app.post("/wp/v2/tags")
    async def tag(request: Request) -> Response:
        name = (await request.json())["name"].lower()

        def tagged() -> Any:
            if name in site.tags:
                raise _Error(400, "term_exists", term_id=site.tags[name])
            site.tags[name] = 11 + len(site.tags)
            return {"id": site.tags[name], "name": name}

        return answer(request, tagged)

    return app
