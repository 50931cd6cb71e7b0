"""A page's bytes as text, by the rules of the HTML standard: as a browser would show it.

A byte order mark counts for more than the header, the header for more than the page, the page for more than a guess
(https://html.spec.whatwg.org/#determining-the-character-encoding). The guess is UTF-8 where every byte of the page
agrees with it, and windows-1252 where not, as browsers have it in most of the world.
"""

from __future__ import annotations

import codecs
import re
from typing import Literal, NamedTuple

from caravan.clients.crawl.charsets import charset_of, codec_of

EARLY_BYTES = 1024
"""So far into a page its own word about its charset has to stand."""
_LATE_BYTES = 1 << 16
"""Browsers begin anew when it comes later; how much later is left to them."""
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16le"),
    (codecs.BOM_UTF16_BE, "utf-16be"),
)
_IN_HEADER = re.compile(r""";\s*charset\s*=\s*(?:"([^"]*)"?|([^;\s]*))""", re.IGNORECASE)
_IN_CONTENT = re.compile(
    rb"""charset[\t\n\f\r ]*=[\t\n\f\r ]*(?:"([^"]*)"|'([^']*)'|([^\t\n\f\r ;"']+))""", re.IGNORECASE
)
_COMMENT = re.compile(rb"<!--.*?-->|<!-->|<!--->", re.DOTALL)
_META = re.compile(rb"<meta(?=[\t\n\f\r /])", re.IGNORECASE)
_XML = re.compile(rb"""<\?xml[^>]*?[\t\n\r ]encoding[\t\n\r ]*=[\t\n\r ]*["']([^"'>]*)["']""")
_XML_IN_UTF_16 = {b"<\0?\0x\0": "utf-16le", b"\0<\0?\0x": "utf-16be"}
_BODY = re.compile(rb"<body[\t\n\f\r />]", re.IGNORECASE)
_TAG = re.compile(rb"</?[A-Za-z][^\t\n\f\r >]*")
_ATTRIBUTE = re.compile(
    rb"""[\t\n\f\r /]*([^\t\n\f\r />=][^\t\n\f\r />=]*|=[^\t\n\f\r />=]*)"""
    rb"""(?:[\t\n\f\r ]*=[\t\n\f\r ]*(?:"([^"]*)"|'([^']*)'|([^\t\n\f\r >"'][^\t\n\f\r >]*)?))?"""
)
_REPLACEMENT = "\ufffd"

Source = Literal["bom", "header", "meta", "assumed"]


class Decoded(NamedTuple):
    """`charset`: the standard's name. `has_early_charset`: a mark, the header or the first 1,024 bytes name one.
    `has_replaced_bytes`: some bytes were none of that charset."""

    text: str
    charset: str
    source: Source
    has_early_charset: bool
    has_replaced_bytes: bool


def decode(body: bytes, content_type: str | None, is_cut: bool = False) -> Decoded:
    """`content_type`: the header. `is_cut`: the body is not whole; what the cut left of a character is no fault."""
    charset, source, is_early = _charset(body, content_type, is_cut)
    marked = next((len(mark) for mark, name in _MARKS if name == charset and body.startswith(mark)), 0)
    text, has_replaced = _text(body[marked:] if marked else body, charset, is_cut)
    return Decoded(text, charset, source, is_early, has_replaced)


def _charset(body: bytes, content_type: str | None, is_cut: bool) -> tuple[str, Source, bool]:
    for mark, charset in _MARKS:
        if body.startswith(mark):
            return charset, "bom", True
    if content_type and (found := _IN_HEADER.search(content_type)):
        named = charset_of(found[1] or found[2] or "")
        if named:
            return named, "header", True
    if named := declared(body[:EARLY_BYTES]):
        return named, "meta", True
    if len(body) > EARLY_BYTES:
        head = body[:_LATE_BYTES]
        ends = _BODY.search(head)
        if named := declared(head[: ends.start()] if ends else head):
            return named, "meta", False
    return ("utf-8" if _is_utf8(body, is_cut) else "windows-1252"), "assumed", False


def declared(head: bytes) -> str | None:
    """What the first bytes of a page say of their charset: the standard's prescan."""
    if head[:6] in _XML_IN_UTF_16:
        return _XML_IN_UTF_16[head[:6]]
    xml = _XML.match(head)
    return _in_tags(head) or (xml and _as_ascii(xml[1])) or None


def _in_tags(head: bytes) -> str | None:
    at = head.find(b"<")
    while at >= 0:
        if comment := _COMMENT.match(head, at):
            at = comment.end()
        elif head.startswith(b"<!--", at):
            return None
        elif meta := _META.match(head, at):
            attributes, at = _attributes(head, meta.end())
            # A tag that does not end in what is looked at says nothing yet.
            if (named := _of_meta(attributes)) and head.find(b">", at) >= 0:
                return named
        elif tag := _TAG.match(head, at):
            at = _attributes(head, tag.end())[1]
        elif head[at + 1 : at + 2] in (b"!", b"/", b"?"):
            at = head.find(b">", at)
        else:
            at += 1
        at = head.find(b"<", at) if at >= 0 else at
    return None


def _attributes(head: bytes, at: int) -> tuple[dict[bytes, bytes], int]:
    """The first of each name, and where they end."""
    found: dict[bytes, bytes] = {}
    while each := _ATTRIBUTE.match(head, at):
        found.setdefault(each[1].lower(), each[2] or each[3] or each[4] or b"")
        at = each.end()
    return found, at


def _of_meta(attributes: dict[bytes, bytes]) -> str | None:
    label = attributes.get(b"charset")
    if label is None and attributes.get(b"http-equiv", b"").lower() == b"content-type":
        content = _IN_CONTENT.search(attributes.get(b"content", b""))
        label = content and (content[1] or content[2] or content[3])
    return _as_ascii(label) if label else None


def _as_ascii(label: bytes) -> str | None:
    """Whoever could read the label as ASCII reads no UTF-16."""
    named = charset_of(label.decode("latin-1"))
    return {"utf-16le": "utf-8", "utf-16be": "utf-8", "x-user-defined": "windows-1252"}.get(named or "", named)


def _is_utf8(body: bytes, is_cut: bool) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")("strict").decode(body, final=not is_cut)
    except UnicodeDecodeError:
        return False
    return True


def _text(body: bytes, charset: str, is_cut: bool) -> tuple[str, bool]:
    """The text, and whether it has characters that stand for bytes of no meaning."""
    if charset == "replacement":
        # Charsets in which harmless bytes become a script: browsers show none of it.
        return (_REPLACEMENT if body else ""), bool(body)
    if charset == "x-user-defined":
        return "".join(chr(byte if byte < 0x80 else 0xF700 + byte) for byte in body), False
    decoder = codecs.getincrementaldecoder(codec_of(charset))
    try:
        return decoder("strict").decode(body, final=not is_cut), False
    except UnicodeDecodeError:
        pass
    if charset.startswith(("windows-", "macintosh", "iso-8859-", "koi8-", "ibm866")):
        text = body.decode(codec_of(charset), _CONTROLS)
        return text, _REPLACEMENT in text
    return decoder("replace").decode(body, final=not is_cut), True


_CONTROLS = "caravan-controls"


def _as_control(error: UnicodeError) -> tuple[str, int]:
    """What Python's tables of one byte leave open between 0x80 and 0x9F are control characters to browsers."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    byte = error.object[error.start]
    return (chr(byte) if 0x80 <= byte <= 0x9F else _REPLACEMENT), error.start + 1


codecs.register_error(_CONTROLS, _as_control)
