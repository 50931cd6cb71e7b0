"""Text of posts: how long others say it is, where its links are, and the mark by which a post is found. Pure."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import urlsplit, urlunsplit

_ADDRESS = re.compile(r"https?://[^\s<>\"]+")
_ZWJ, _ZWNJ = "\u200d", "\u200c"
_THAI_AM, _LAO_AM = "\u0e33", "\u0eb3"


def mark(message_id: str) -> str:
    """By this a post is known as this message's."""
    return f"c={message_id[:10]}"


def marked(url: str, message_id: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, mark(message_id))))))


def has_mark(text: str, message_id: str) -> bool:
    """`text`: may be HTML, where `&` is written as `&amp;`."""
    return re.search(rf"[?&;]{mark(message_id)}(?![0-9a-z])", text) is not None


def addresses(text: str) -> list[tuple[int, int]]:
    """Where addresses begin and end, without the mark of punctuation behind."""
    found = []
    for match in _ADDRESS.finditer(text):
        address = match.group().rstrip(".,;:!?'")
        if address.endswith(")") and address.count(")") > address.count("("):
            address = address[:-1]
        found.append((match.start(), match.start() + len(address)))
    return found


def graphemes(text: str) -> int:
    """What readers take for characters, nearly as Unicode's Annex 29 counts them.

    Not as the annex: consonants of Indian scripts joined by a virama count as two, signs of Brahmi scripts that are
    written before a letter count for themselves, and any symbol is taken for a picture behind a joiner. So it counts
    too much where it errs in real text, and what passes here passes there.
    """
    count, flags, before = 0, 0, ""
    pictured = False
    for character in text:
        is_flag = "\U0001f1e6" <= character <= "\U0001f1ff"
        joins = (
            _extends(character)
            or (before == "\r" and character == "\n")
            or (before == _ZWJ and pictured and unicodedata.category(character) == "So")
            or (is_flag and flags % 2 == 1)
            or _joins_jamo(before, character)
        )
        if not joins or not before or (_extends(character) and _is_control(before)):
            count += 1
        flags = flags + 1 if is_flag else 0
        if not _extends(character):
            pictured = unicodedata.category(character) == "So"
        before = character
    return count


def _extends(character: str) -> bool:
    """Marks, joiners, the colours of skin, the letters of flags of regions."""
    if character in (_ZWJ, _ZWNJ, _THAI_AM, _LAO_AM) or "\U0001f3fb" <= character <= "\U0001f3ff":
        return True
    return unicodedata.category(character) in ("Mn", "Me", "Mc") or "\U000e0020" <= character <= "\U000e007f"


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Zl", "Zp")


def _joins_jamo(before: str, character: str) -> bool:
    """Korean syllables in parts: first, middle, last."""
    if "\u1160" <= character <= "\u11a7":
        is_open = "\uac00" <= before <= "\ud7a3" and (ord(before) - 0xAC00) % 28 == 0
        return "\u1100" <= before <= "\u11a7" or is_open
    if "\u11a8" <= character <= "\u11ff":
        return "\u1160" <= before <= "\u11ff" or "\uac00" <= before <= "\ud7a3"
    return "\u1100" <= character <= "\u115f" and "\u1100" <= before <= "\u115f"
