"""What pages and headers tell crawlers in small languages of their own: robots, Link, refresh."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

AGENTS = frozenset(
    str.split(
        "googlebot googlebot-news googlebot-image bingbot msnbot yandex yandexbot baiduspider naverbot yeti seznambot "
        "duckduckbot applebot slurp"
    )
)
"""Names of meta elements that are robots rules for one crawler."""
_WITH_VALUE = frozenset(("max-snippet", "max-image-preview", "max-video-preview", "unavailable_after"))
_REFRESH = re.compile(r"\s*([0-9]*)(?:\.[0-9.]*)?\s*[;,\s]\s*(?:url\s*=\s*)?(.*)", re.IGNORECASE | re.DOTALL)
_LINK = re.compile(r'<([^>]*)>((?:[^,"]|"(?:[^"\\]|\\.)*")*)')
_PARAMETER = re.compile(r';\s*([!#$%&\'*+\-.^_`|~0-9A-Za-z]+)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*)))?')
_LONGEST_DELAY = 10**9


class HeaderLink(NamedTuple):
    """Of RFC 8288. `rel`: lower case."""

    href: str
    rel: tuple[str, ...]
    hreflang: str | None


@lru_cache(maxsize=4096)
def robots_of_meta(name: str, content: str) -> tuple[str, ...]:
    """`noindex`, `googlebot: max-snippet:0`; lower case, one each. `name`: `robots` or one of AGENTS."""
    agent = "" if name == "robots" else f"{name}: "
    return tuple(agent + directive for directive in _directives(content))


def robots_of_headers(values: Iterable[str]) -> list[str]:
    """The same of X-Robots-Tag: a crawler's name holds for what follows it in its header."""
    found = []
    for value in values:
        agent = ""
        for directive in _directives(value):
            name, colon, rest = directive.partition(":")
            if colon and name not in _WITH_VALUE:
                agent, directive = f"{name}: ", rest.strip()
            if directive:
                found.append(agent + directive)
    return found


def _directives(text: str) -> Iterator[str]:
    parts = iter(text.lower().split(","))
    for part in parts:
        words = " ".join(part.split())
        name, colon, value = (each.strip() for each in words.partition(":"))
        if colon and name.rpartition(":")[2].strip() in _WITH_VALUE:
            words = f"{name}:{value}"
        if words:
            yield words


def links_of_headers(values: Iterable[str]) -> list[HeaderLink]:
    """Of all Link headers, as they come. What is no link is passed over, as browsers do."""
    found = []
    for value in values:
        for href, written in _LINK.findall(value):
            parameters: dict[str, str] = {}
            for name, quoted, plain in _PARAMETER.findall(written):
                parameters.setdefault(name.lower(), re.sub(r"\\(.)", r"\1", quoted) if quoted else plain)
            rel = tuple(parameters.get("rel", "").lower().split())
            found.append(HeaderLink(href.strip(), rel, parameters.get("hreflang")))
    return found


def refresh_of(content: str) -> tuple[int, str] | None:
    """Seconds and address as written (`0; url='/new'`); None where it only loads the page again, or is no refresh."""
    found = _REFRESH.fullmatch(content)
    if not found:
        return None
    address = found[2].strip()
    if address[:1] in ("'", '"'):
        address = address[1:].partition(address[0])[0].strip()
    return (min(int(found[1][:10] or 0), _LONGEST_DELAY), address) if address else None
