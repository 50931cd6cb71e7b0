"""A WordPress site as its REST API wp/v2 shows it, posts and media held in memory.

What it does as the real one: basic authentication with an application password, slugs made unique with `-2`, `any`
without what is in the bin, content as it was written with `context=edit` alone, media with slugs of their own.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request, Response

from caravan.core.connections import Connection
from caravan.demo.servers.faults import Faults
from caravan.demo.servers.serving import serve

USER, PASSWORD = "caravan", "abcd EFGH 1234 ijkl MNOP 5678"
Post = dict[str, Any]


@dataclass
class Site:
    """`posts`, `media`: by id. `change`: makes another answer of one. `before_create`: is called before a post is made.
    `may_publish`: else what is to be published is kept as pending."""

    posts: dict[int, Post] = field(default_factory=dict)
    media: dict[int, Post] = field(default_factory=dict)
    categories: dict[str, int] = field(default_factory=lambda: {"news": 7})
    faults: Faults = field(default_factory=Faults)
    change: Callable[[Any], Any] = lambda content: content
    before_create: Callable[[], None] = lambda: None
    may_publish: bool = True

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
            post["content"] = {"raw": given["content"], "rendered": given["content"]}
        if post["status"] == "publish" and not self.may_publish:
            post["status"] = "pending"
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
        if request.headers.get("Authorization") != expected:
            fault = "denied"
        if not site.faults.works(fault):
            return site.faults.answer(fault, b"")
        try:
            body = json.dumps(site.change(content())).encode()
        except KeyError:
            return Response('{"code": "rest_post_invalid_id"}', 404, media_type="application/json")
        return site.faults.answer(fault, body)

    @app.get("/wp-json/wp/v2/posts")
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

    @app.post("/wp-json/wp/v2/posts")
    async def create(request: Request) -> Response:
        given = await request.json()

        def created() -> Any:
            site.before_create()
            return site.create(given)

        return answer(request, created)

    @app.get("/wp-json/wp/v2/posts/{number}")
    async def one(request: Request, number: int) -> Response:
        return answer(request, lambda: site.posts[number])

    @app.post("/wp-json/wp/v2/posts/{number}")
    async def update(request: Request, number: int) -> Response:
        given = await request.json()
        return answer(request, lambda: site.update(number, given))

    @app.delete("/wp-json/wp/v2/posts/{number}")
    async def delete(request: Request, number: int) -> Response:
        if site.posts.get(number, {}).get("status") == "trash":
            return Response('{"code": "rest_already_trashed"}', 410, media_type="application/json")

        def binned() -> Any:
            return site.update(number, {"status": "trash", "slug": f"{site.posts[number]['slug']}__trashed"})

        return answer(request, binned)

    @app.get("/wp-json/wp/v2/media")
    async def media(request: Request) -> Response:
        slug = request.query_params["slug"]
        return answer(request, lambda: [item for item in site.media.values() if item["slug"] == slug])

    @app.post("/wp-json/wp/v2/media")
    async def upload(request: Request) -> Response:
        form = await request.form()
        file: Any = form["file"]
        size = len(await file.read())

        def uploaded() -> Any:
            number = 1 + max(site.media, default=500)
            url = f"https://site.example/wp-content/uploads/{file.filename}"
            item = {"id": number, "slug": form["slug"], "source_url": url, "alt_text": form["alt_text"], "size": size}
            site.media[number] = item
            return item

        return answer(request, uploaded)

    @app.post("/wp-json/wp/v2/media/{number}")
    async def describe(request: Request, number: int) -> Response:
        given = await request.json()

        def described() -> Any:
            site.media[number].update(given)
            return site.media[number]

        return answer(request, described)

    @app.get("/wp-json/wp/v2/categories")
    async def categories(request: Request) -> Response:
        slug = request.query_params["slug"]
        return answer(request, lambda: [{"id": site.categories[slug], "slug": slug}] if slug in site.categories else [])

    return app
