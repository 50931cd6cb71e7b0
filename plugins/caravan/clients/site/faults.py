"""What is wrong with a page, in words for whoever wrote it. Nothing is cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from caravan.clients.site.manifest import X_DEFAULT
from caravan.clients.site.page import lacks_words
from caravan.clients.site.store import is_name

_LOADING = ("src", "srcset", "poster", "data", "background", "action")
_FORBIDDEN = ("script", "iframe", "object", "embed", "form", "link", "style", "meta", "base")


@dataclass(frozen=True)
class Limits:
    """Thresholds of ours: search results show about 60 characters of a title and 160 of a summary, and structured data
    asks for headlines up to 110."""

    title_chars: int = 110
    summary_chars: int = 200
    image_bytes: int = 5 * 1000**2
    page_bytes: int = 300 * 1000
    """Of the page and its pictures together."""


def find_faults(payload: Mapping[str, Any], limits: Limits) -> Iterator[str]:
    """Looks at the pictures' files, which need not be there any more after the release."""
    entry = payload["entry"]
    for name in ("locale", "release_id"):
        if not is_name(entry[name]):
            yield f"{name} '{entry[name]}' cannot be part of an address: use letters, digits, dot, dash and underscore"
    yield from _length("title", entry["title"], limits.title_chars)
    yield from _length("summary", entry["summary"], limits.summary_chars)
    if entry["alternates"] and X_DEFAULT not in entry["alternates"]:
        yield "no language is named for readers of all others (x-default)"
    if lacks_words(entry["locale"]):
        yield f"the page would speak English round its content: add {entry['locale']} to release/site/words.yml"
    yield from _body_faults(payload["body"])
    total = len(payload["html"].encode())
    for image in payload["images"]:
        yield from _image_faults(image, limits)
        total += _size(image["path"]) or 0
    if total > limits.page_bytes:
        yield f"the page and its pictures weigh {_kb(total)}, more than {_kb(limits.page_bytes)}: use smaller pictures"


def _length(name: str, text: str, most: int) -> Iterator[str]:
    if not text.strip():
        yield f"the {name} is empty"
    elif len(text) > most:
        yield f"the {name} has {len(text)} characters, {most} are the most"


def _image_faults(image: Mapping[str, Any], limits: Limits) -> Iterator[str]:
    name = image["name"]
    if not is_name(name):
        yield f"picture '{name}' cannot be called that on a site: use letters, digits, dot, dash and underscore"
    if not image["alt"].strip():
        yield f"picture {name} has no alt text: say what it shows"
    size = _size(image["path"])
    if size is None:
        yield f"picture {name}: its file is not there"
    elif size > limits.image_bytes:
        yield f"picture {name} has {_kb(size)}, {_kb(limits.image_bytes)} are the most"


def _size(path: str) -> int | None:
    try:
        return Path(path).stat().st_size
    except OSError:
        return None


def _kb(size: int) -> str:
    return f"{-(-size // 1000):,} kB"


class _Body(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _FORBIDDEN:
            self.faults.append(f"the text holds <{tag}>, which has no place in a page")
        if tag == "img" and not (dict(attrs).get("alt") or "").strip():
            self.faults.append("a picture in the text has no alt text: say what it shows")
        for name, value in attrs:
            host = urlsplit((value or "").strip()).netloc if name in _LOADING else ""
            if host:
                self.faults.append(
                    f"the text loads a file from {host}: readers would be told of there; add it as a picture"
                )


def _body_faults(body: str) -> Iterator[str]:
    parser = _Body()
    parser.feed(body)
    yield from dict.fromkeys(parser.faults)
