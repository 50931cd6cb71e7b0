"""The page behind the link to unsubscribe, as a WSGI application: any server can serve it, on the own site's address.

POST unsubscribes, by the mail program (RFC 8058) or by the page's button. GET never does: what looks through links for
malware follows every one of them.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from caravan.clients.mail.tokens import Keys, Subscription, read
from caravan.clients.mail.words import Words, words_for

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Record = Callable[[Subscription], None]
"""Stores that this subscription has ended; called again for the same one, changes nothing."""

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
_FORM = (
    '<form method="post"><input type="hidden" name="List-Unsubscribe" value="One-Click">'
    "<button>{button}</button></form>"
)


def application(record: Record, keys: Keys, words: Mapping[str, Words]) -> WSGIApplication:
    """The last part of the path is the token. `words` has to have English."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        _read_away(environ)
        status, body, more = _answer(method, environ.get("PATH_INFO", ""), record, keys, words)
        content = body.encode()
        start_response(status, [*_HEADERS, *more, ("Content-Length", str(len(content)))])
        return [] if method == "HEAD" else [content]

    return answer


def _answer(
    method: str, path: str, record: Record, keys: Keys, words: Mapping[str, Words]
) -> tuple[str, str, list[tuple[str, str]]]:
    subscription = read(path.rstrip("/").rpartition("/")[2], keys)
    if subscription is None:
        # Nothing is said about why: that would help whoever tries tokens out.
        return "404 Not Found", "<!doctype html><title>404</title><p>404", []
    said = words_for(subscription.locale, words) or words[_ELSE]

    def page(text: str, form: str = "") -> str:
        locale = subscription.locale
        direction = "rtl" if locale.partition("-")[0] in _RIGHT_TO_LEFT else "ltr"
        return _PAGE.format(
            locale=escape(locale), direction=direction, title=escape(said.unsubscribe), text=escape(text), form=form
        )

    if method in ("GET", "HEAD"):
        return "200 OK", page(said.ask, _FORM.format(button=escape(said.unsubscribe))), []
    if method != "POST":
        return "405 Method Not Allowed", page(said.again), [("Allow", "GET, HEAD, POST")]
    # Whatever the form says: the token shows what is meant, and no mail program's way of writing it is to fail.
    try:
        record(subscription)
    except Exception as error:
        _log.error("an unsubscription could not be stored: %s", type(error).__name__)
        return "503 Service Unavailable", page(said.again), [("Retry-After", "300")]
    return "200 OK", page(said.done), []


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
