"""Addresses of web pages: read as a browser reads them, compared by what a server makes of them.

`resolve` follows the URL standard (https://url.spec.whatwg.org) for http and https, so that a crawl asks for what a
click asks for. Nothing else is changed: commas, single quotes in a path and percent codes that are none stay as they
were published, since that is what a server knows. `frontier_key` is only for telling whether two addresses are one;
nobody is ever asked for a key.

A page has some 20 to 40 links and most are plain, so plain ones are told by a pattern and never taken apart.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

import idna

from caravan.core.crawl import Limits, Scope

DEFAULT_PORTS = {"http": 80, "https": 443}
_LONGEST_NAME = 253
_EDGES = "".join(map(chr, range(0x21)))
_DROPPED = str.maketrans("", "", "\t\n\r")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):")
_PATH_ENDS = re.compile(r"[?#]")
_AUTHORITY_ENDS = re.compile(r"[/\\?#]")
_NOT_IN_HOSTS = re.compile(r"[\x00-\x20#%/:<>?@\[\\\]^`{|}\x7f]")

# What needs no change in any place; `:` apart, which can end a scheme, and `'`, which a query may not have.
_MARKS = r"A-Za-z0-9\-._~!$&()*+,;=@%/"
_TAIL = rf"(?:\?[{_MARKS}:?]*)?(?:#[{_MARKS}:?']*)?"
_PLAIN_ABSOLUTE = re.compile(rf"(https?)://([a-z0-9.\-]+(?::[0-9]+)?)/[{_MARKS}:']*{_TAIL}")
_PLAIN_ROOTED = re.compile(rf"/(?!/)[{_MARKS}:']*{_TAIL}")
_PLAIN_RELATIVE = re.compile(rf"[A-Za-z0-9\-_][{_MARKS}']*{_TAIL}")
# `/.` begins a segment that may be one of dots, and so does `/%2e`.
_MAY_BE_DOTS = re.compile(r"/(?:\.|%2[eE])")
_DOT = frozenset((".", "%2e"))
_DOT_DOT = frozenset(("..", ".%2e", "%2e.", "%2e%2e"))

# The percent-encode sets of the standard, as what is inside them.
_OF_PATH = re.compile(rb"[\x00-\x20\"#<>?^`{}\x7f-\xff]")
_OF_QUERY = re.compile(rb"[\x00-\x20\"#<>'\x7f-\xff]")
_OF_FRAGMENT = re.compile(rb"[\x00-\x20\"<>`\x7f-\xff]")

# A code that a broken one before it would swallow is left alone: `%4%31` is not `%41`.
_CODE = re.compile(r"(?<!%)(?<!%[0-9A-Fa-f])%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_SAME_IN_QUERY = _UNRESERVED | frozenset(",:/?@!$'()*|[]{}^`\\\"<>")
"""Whether encoded or not, a query's reader sees the same."""

_NUMBER = re.compile(r"[0-9]+")
_PARAMETER_VALUE = re.compile(r"(?<=;)([^=;/]*)=[^;/]*")
# Not from a number on: a date is three of them, not one that repeats.
_REPEATED = re.compile(r"(?!/0/)((?:/[^/?]++){1,8}?)\1+(?=[/?]|$)")


class BadUrl(ValueError):
    """No address that can be asked for.

    `reason`: `scheme` (of another kind: mailto, javascript, data; `detail` names it), `invalid` (a browser cannot read
    it either), `credentials` (it carries a name or a password), `too_long`.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class _Base(NamedTuple):
    """An absolute address, cut where relative ones are put on."""

    scheme: str
    origin: str
    path: str
    query: str
    directory: str


def resolve(base: str, href: str, limit: int = Limits.url_characters, charset: str = "utf-8") -> str:
    """The absolute address that a browser goes to for `href` in a page at `base`, with its fragment.

    `base`: absolute and itself of `resolve`; empty where `href` has to be absolute. `charset`: the page's, by which
    a browser encodes queries. Raises BadUrl.
    """
    url = _plain(base, href) or _parse(base, href, charset)
    if len(url) > limit:
        raise BadUrl("too_long", f"{len(url)} characters of {limit}")
    return url


def split_fragment(url: str) -> tuple[str, str | None]:
    """The address without its fragment, and the fragment as written; None where there is no `#`."""
    address, mark, fragment = url.partition("#")
    return address, fragment if mark else None


def frontier_key(url: str, scope: Scope) -> str:
    """The same text for addresses that a server cannot or should not tell apart. `url`: of `resolve`.

    Without fragment, without the parameters that the scope drops, the others by name (those of one name keep their
    order, which has a meaning); percent codes in capitals, and none where the character itself says the same.
    """
    if "?" not in url and "%" not in url and "#" not in url:
        return url
    address, _, query = url.partition("#")[0].partition("?")
    address = _CODE.sub(_decoded_in_path, address)
    parameters = [_CODE.sub(_decoded_in_query, each) for each in query.split("&") if each]
    kept = [each for each in parameters if each.partition("=")[0] not in scope.dropped_parameters]
    return f"{address}?{'&'.join(sorted(kept, key=_name_of))}" if kept else address


def key_of(text: str) -> int:
    """63 bits of BLAKE2b, so that a signed 64-bit column holds it: at 10 million addresses the chance that any two
    share one is 1 in 180,000."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def host_of(url: str) -> str:
    """As in `Scope.hosts`: with the port where it is not the scheme's. `url`: of `resolve`."""
    return url.split("/", 3)[2]


def origin_of(url: str) -> str:
    """`https://example.com`. `url`: of `resolve`."""
    return url[: url.index("/", 8)]


def is_internal(url: str, scope: Scope) -> bool:
    """Whether an address belongs to the site. `url`: of `resolve`. A prefix is one of characters: `/de` has `/dev`."""
    host_and_path = url.split("/", 3)
    if host_and_path[2] not in scope.hosts:
        return False
    if scope.prefixes and not f"/{host_and_path[3]}".startswith(scope.prefixes):
        return False
    return not (scope.excluded and any(each.search(url) for each in _compiled(scope.excluded)))


def pattern_of(url: str) -> str:
    """The same text for addresses that one template, calendar, set of filters or circle of links makes without end.

    Numbers become `0`, values of parameters `*`, and folders that repeat, up to eight in a row, stand there once.
    """
    address, _, query = url.partition("#")[0].partition("?")
    at = address.index("/", 8)
    path = _NUMBER.sub("0", _PARAMETER_VALUE.sub(r"\1=*", address[at:]))
    names = sorted({_NUMBER.sub("0", each.partition("=")[0]) for each in query.split("&") if each})
    return address[:at] + _REPEATED.sub(r"\1", path) + ("?" + "&".join(names) if names else "")


def _plain(base: str, href: str) -> str | None:
    """What needs no change but to be put on the base; None for what has to be looked at."""
    if not href:
        return None
    if href[0] == "/":
        head = _base(base).origin if base and _PLAIN_ROOTED.fullmatch(href) else None
    elif href.startswith("http"):
        found = _PLAIN_ABSOLUTE.fullmatch(href)
        head = "" if found and _host_and_port(found[1], found[2]) == found[2] else None
    else:
        head = _base(base).directory if base and _PLAIN_RELATIVE.fullmatch(href) else None
    return None if head is None or _MAY_BE_DOTS.search(href) else head + href


@lru_cache(maxsize=1024)
def _base(url: str) -> _Base:
    address, _, query = url.partition("#")[0].partition("?")
    at = address.index("/", 8)
    origin, path = address[:at], address[at:]
    directory = origin + path[: path.rindex("/") + 1]
    return _Base(url[: url.index(":")], origin, path, f"?{query}" if query else "", directory)


def _parse(base: str, href: str, charset: str) -> str:
    """The standard's state machine for http and https, unrolled."""
    text = href.strip(_EDGES)
    found = _SCHEME.match(text) or _SCHEME.match(text[:64].translate(_DROPPED))
    scheme = found[1].lower() if found else ""
    if scheme and scheme not in DEFAULT_PORTS:
        raise BadUrl("scheme", scheme[:40])
    text = text.translate(_DROPPED)
    rest = text[len(scheme) + 1 :] if scheme else text
    onto = _base(base) if base else None
    if scheme and (onto is None or scheme != onto.scheme):
        return _absolute(scheme, rest.lstrip("/\\"), charset)
    if onto is None:
        raise BadUrl("invalid", "relative, without an address that it is relative to")
    if rest[:1] in ("/", "\\"):
        if rest[1:2] in ("/", "\\"):
            return _absolute(onto.scheme, rest.lstrip("/\\"), charset)
        return onto.origin + _path_and_tail("/", rest, charset)
    if rest[:1] in ("", "#"):
        return onto.origin + onto.path + onto.query + _fragment(rest)
    if rest[0] == "?":
        return onto.origin + onto.path + _tail(rest, charset)
    return onto.origin + _path_and_tail(onto.directory[len(onto.origin) :], rest, charset)


def _absolute(scheme: str, text: str, charset: str) -> str:
    """`text`: from the host on."""
    end = _AUTHORITY_ENDS.search(text)
    at = end.start() if end else len(text)
    authority, rest = text[:at], text[at:]
    if "@" in authority:
        raise BadUrl("credentials", "a name or password before the host")
    return f"{scheme}://{_host_and_port(scheme, authority)}{_path_and_tail('/', rest, charset)}"


@lru_cache(maxsize=4096)
def _host_and_port(scheme: str, authority: str) -> str:
    if authority.startswith("["):
        inside, _, after = authority[1:].partition("]")
        host = f"[{_ipv6(inside)}]"
        colon, port = after[:1], after[1:]
        if "]" not in authority or colon not in ("", ":"):
            raise BadUrl("invalid", "an IPv6 address is not closed")
    else:
        name, colon, port = authority.partition(":")
        host = _host(name)
    if not port:
        return host
    if not re.fullmatch("0*[0-9]{1,5}", port) or int(port[-5:]) > 65535:
        raise BadUrl("invalid", f"no port: {port[:20]!r}")
    number = int(port[-5:])
    return host if number == DEFAULT_PORTS[scheme] else f"{host}:{number}"


def _host(name: str) -> str:
    """Lower case, punycode for what is not ASCII, IPv4 in its usual form."""
    if "%" in name:
        name = unquote(name)
    name = name.lower() if name.isascii() else _punycode(name)
    if not name or _NOT_IN_HOSTS.search(name):
        raise BadUrl("invalid", f"no host: {name[:60]!r}")
    last = name.removesuffix(".").rpartition(".")[2]
    return _ipv4(name) if last.isdigit() or re.fullmatch("0x[0-9a-f]*", last) else name


def _punycode(name: str) -> str:
    if len(name) > _LONGEST_NAME:
        raise BadUrl("invalid", f"a host of {len(name)} characters")
    try:
        mapped = idna.uts46_remap(name, std3_rules=False, transitional=False)
    except idna.IDNAError as error:
        raise BadUrl("invalid", f"no host: {name[:60]!r}") from error
    # Not idna.encode(): it refuses names that are registered and that browsers open, as those with pictures.
    labels = [x if x.isascii() else f"xn--{x.encode('punycode').decode()}" for x in mapped.split(".")]
    return ".".join(labels).lower()


def _ipv4(name: str) -> str:
    """From one to four numbers, decimal, octal or hexadecimal, the last for all bytes that are left."""
    parts = name.removesuffix(".").split(".")
    try:
        numbers = [_number(part) for part in parts]
    except ValueError:
        numbers = []
    if not 1 <= len(numbers) <= 4 or max(numbers[:-1], default=0) > 255 or numbers[-1] >= 256 ** (5 - len(numbers)):
        raise BadUrl("invalid", f"no IPv4 address: {name[:60]!r}")
    value = numbers[-1] + sum(number << 8 * (3 - at) for at, number in enumerate(numbers[:-1]))
    return str(ipaddress.IPv4Address(value))


def _number(text: str) -> int:
    if len(text) > 20 or not text.isalnum():
        raise ValueError(text)
    if text.startswith("0x"):
        return int(text[2:] or "0", 16)
    return int(text, 8 if text.startswith("0") else 10)


def _ipv6(text: str) -> str:
    try:
        if "%" in text:
            raise ValueError("zone")
        address = ipaddress.IPv6Address(text)
    except ValueError:
        raise BadUrl("invalid", f"no IPv6 address: {text[:60]!r}") from None
    if address.ipv4_mapped:
        # Written with dots since Python 3.13, with two hexadecimal numbers by the standard.
        number = int(address.ipv4_mapped)
        return f"::ffff:{number >> 16:x}:{number & 0xFFFF:x}"
    return address.compressed


def _path_and_tail(directory: str, text: str, charset: str) -> str:
    """`directory`: what a relative path is put on, with a slash at its end; `text`: path, query, fragment."""
    end = _PATH_ENDS.search(text)
    at = end.start() if end else len(text)
    path, tail = text[:at].replace("\\", "/"), text[at:]
    whole = path if path.startswith("/") else directory + path
    if _MAY_BE_DOTS.search(whole):
        whole = _without_dots(whole)
    return _encoded(whole, _OF_PATH) + _tail(tail, charset)


def _without_dots(path: str) -> str:
    kept: list[str] = []
    segments = path[1:].split("/")
    for position, segment in enumerate(segments):
        dots = segment.lower() if len(segment) <= 6 else segment
        if dots in _DOT_DOT and kept:
            kept.pop()
        if dots not in _DOT and dots not in _DOT_DOT:
            kept.append(segment)
        elif position == len(segments) - 1:
            kept.append("")
    return "/" + "/".join(kept)


def _tail(text: str, charset: str) -> str:
    """`text`: empty, or a query and a fragment with the marks before them."""
    if not text:
        return ""
    query, mark, fragment = text.partition("#")
    return _encoded(query, _OF_QUERY, charset) + _fragment(mark + fragment)


def _fragment(text: str) -> str:
    return _encoded(text, _OF_FRAGMENT)


def _encoded(text: str, places: re.Pattern[bytes], charset: str = "utf-8") -> str:
    """With percent codes for the bytes that the standard lets stand in no such place."""
    if not text:
        return text
    try:
        raw = text.encode(charset)
    except UnicodeEncodeError:
        raw = b"".join(_best_bytes(char, charset) for char in text)
    return places.sub(_percent_code, raw).decode("ascii")


def _best_bytes(char: str, charset: str) -> bytes:
    """What browsers send for a character that the page's charset does not have: its number in HTML."""
    try:
        return char.encode(charset)
    except UnicodeEncodeError:
        return b"%26%23" + str(ord(char)).encode() + b"%3B" if charset != "utf-8" else "\ufffd".encode()


def _percent_code(found: re.Match[bytes]) -> bytes:
    return b"%%%02X" % found[0][0]


def _decoded_in_path(found: re.Match[str]) -> str:
    char = chr(int(found[1], 16))
    return char if char in _UNRESERVED else found[0].upper()


def _decoded_in_query(found: re.Match[str]) -> str:
    char = chr(int(found[1], 16))
    return "+" if char == " " else char if char in _SAME_IN_QUERY else found[0].upper()


def _name_of(parameter: str) -> str:
    return parameter.partition("=")[0]


@lru_cache(maxsize=64)
def _compiled(expressions: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    """Each by itself: joined, `(?i)` would stand where it may not, and `\\1` mean another's group."""
    return tuple(re.compile(each) for each in expressions)
