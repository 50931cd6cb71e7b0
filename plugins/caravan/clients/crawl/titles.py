"""How wide a title is on a page of search results, which cut it by pixels."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

_FONT_PIXELS = 20
_THOUSANDTHS = {
    name: width
    for width, names in {
        191: "'",
        222: "ijl",
        260: "|",
        278: " !,./:;I[\\]ft",
        333: "()-`r",
        334: "{}",
        355: '"',
        389: "*",
        469: "^",
        500: "Jckszvxy",
        556: "#$0123456789?L_abdeghnopqu",
        584: "+<=>~",
        611: "FTZ",
        667: "&ABEKPSVXY",
        722: "CDHNRUw",
        778: "GOQ",
        833: "Mm",
        889: "%",
        944: "W",
        1015: "@",
    }.items()
    for name in names
}
"""Of Helvetica's size, from Adobe's font metrics: Arial has the same widths by design."""
_USUAL, _WIDE = 556, 1000


@lru_cache(maxsize=4096)
def pixels_of(title: str) -> int:
    """In Arial of 20 px, as results are shown on desktops; a letter with an accent is as wide as without."""
    return round(sum(map(_width, title)) * _FONT_PIXELS / 1000)


@lru_cache(maxsize=4096)
def _width(char: str) -> int:
    if char in _THOUSANDTHS:
        return _THOUSANDTHS[char]
    if unicodedata.category(char) in ("Mn", "Me"):  # stands on another: accents, Thai vowels
        return 0
    if unicodedata.east_asian_width(char) in "WF":
        return _WIDE
    return _THOUSANDTHS.get(unicodedata.normalize("NFD", char)[0], _USUAL)
