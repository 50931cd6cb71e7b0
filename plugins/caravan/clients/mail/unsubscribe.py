"""The pages behind the links to unsubscribe and to confirm, as a WSGI application: any server can serve it, on the own
site's address.

POST unsubscribes, by the mail program (RFC 8058) or by the page's button, or confirms. GET never does: what looks
through links for malware follows every one of them.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from caravan.clients.mail.tokens import Keys, Subscription, read
from caravan.clients.mail.words import Words, words_for

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Record = Callable[[Subscription], None]
"""Stores that this subscription has ended; called again for the same one, changes nothing."""


@dataclass(frozen=True)
class Confirming:
    """`keys`: others than those of unsubscribing, or a link to one would do the other. `record`: stores that they want
    it; False when it is too late for that."""

    keys: Keys
    record: Callable[[Subscription], bool]


_log = logging.getLogger(__name__)
_LARGEST_BODY = 64 * 1024
_ELSE = "en"
"""For a token whose language words.yml no longer has."""
_RIGHT_TO_LEFT = ("ar", "fa", "he", "ur")
_HEADERS = [
    ("Content-Type", "text/html; charset=utf-8"),
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Robots-Tag", "noindex"),
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"),
]
_PAGE = """<!doctype html>
<html lang="{locale}" dir="{direction}">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>{title}</title>
<style>body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 32rem; margin: 15vh auto; padding: 0 1rem }}
button {{ font: inherit; padding: .5rem 1.25rem }}</style></head>
<body><main><h1>{title}</h1><p>{text}</p>{form}</main></body></html>
"""
_FORM = '<form method="post">{more}<button>{button}</button></form>'
_ONE_CLICK = '<input type="hidden" name="List-Unsubscribe" value="One-Click">'


@dataclass(frozen=True)
class _Deed:
    """What a link is for. `do`: False when it is too late."""

    locale: str
    title: str
    ask: str
    done: str
    more: str
    do: Callable[[], bool]


def application(
    record: Record, keys: Keys, words: Mapping[str, Words], confirming: Confirming | None = None
) -> WSGIApplication:
    """The last part of the path is the token. `words` has to have English."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        _read_away(environ)
        deed = _deed(environ.get("PATH_INFO", "").rstrip("/").rpartition("/")[2], record, keys, words, confirming)
        status, body, more = _answer(method, deed, words)
        content = body.encode()
        start_response(status, [*_HEADERS, *more, ("Content-Length", str(len(content)))])
        return [] if method == "HEAD" else [content]

    return answer


def _deed(
    token: str, record: Record, keys: Keys, words: Mapping[str, Words], confirming: Confirming | None
) -> _Deed | None:
    """None for a token that we have not signed."""
    if (ending := read(token, keys)) is not None:
        said = words_for(ending.locale, words) or words[_ELSE]

        def unsubscribe() -> bool:
            record(ending)
            return True

        return _Deed(ending.locale, said.unsubscribe, said.ask, said.done, _ONE_CLICK, unsubscribe)
    if confirming and (begun := read(token, confirming.keys)) is not None:
        said = words_for(begun.locale, words) or words[_ELSE]
        do = partial(confirming.record, begun)
        return _Deed(begun.locale, said.confirm, said.confirm_ask, said.confirm_done, "", do)
    return None


def _answer(method: str, deed: _Deed | None, words: Mapping[str, Words]) -> tuple[str, str, list[tuple[str, str]]]:
    if deed is None:
        # Nothing is said about why: that would help whoever tries tokens out.
        return "404 Not Found", "<!doctype html><title>404</title><p>404", []
    said = words_for(deed.locale, words) or words[_ELSE]

    def page(text: str, form: str = "") -> str:
        direction = "rtl" if deed.locale.partition("-")[0] in _RIGHT_TO_LEFT else "ltr"
        return _PAGE.format(
            locale=escape(deed.locale), direction=direction, title=escape(deed.title), text=escape(text), form=form
        )

    if method in ("GET", "HEAD"):
        return "200 OK", page(deed.ask, _FORM.format(more=deed.more, button=escape(deed.title))), []
    if method != "POST":
        return "405 Method Not Allowed", page(said.again), [("Allow", "GET, HEAD, POST")]
    # Whatever the form says: the token shows what is meant, and no mail program's way of writing it is to fail.
    try:
        is_done = deed.do()
    except Exception as error:
        _log.error("what somebody said by a link could not be stored: %s", type(error).__name__)
        return "503 Service Unavailable", page(said.again), [("Retry-After", "300")]
    return ("200 OK", page(deed.done), []) if is_done else ("410 Gone", page(said.late), [])


def _read_away(environ: WSGIEnvironment) -> None:
    """Some clients read no answer before their form has been read. A longer one is none of ours."""
    try:
        length = int(environ.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return
    if 0 < length <= _LARGEST_BODY:
        environ["wsgi.input"].read(length)


@contextmanager
def serve(app: WSGIApplication, port: int = 0) -> Iterator[str]:
    """Its address while it is served on loopback, one request at a time: for tests and trials, not for the world."""

    class Quiet(WSGIRequestHandler):
        def log_message(self, format: str, *arguments: Any) -> None:
            """Requests hold tokens."""

    with make_server("127.0.0.1", port, app, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
