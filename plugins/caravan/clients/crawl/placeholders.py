"""Words on a page that were never meant for a reader: filler, and templates and translation keys that nobody filled."""

from __future__ import annotations

import re
from collections import Counter

_TEMPLATES = {
    "{{": r"""\{\{\s*[\w.$|@:\[\]'"() -]{1,80}\}\}""",  # Vue, Angular, Handlebars, Jinja, Liquid
    "{%": r"\{%-?\s*[a-z][^%\n]{0,80}%\}",  # Jinja, Liquid
    "${": r"\$\{\s*[A-Za-z_][\w.$\[\]()]{0,80}\s*\}",  # JavaScript, Freemarker
    "%{": r"%\{\s*[a-z_][\w.]{0,60}\s*\}",  # Ruby
    "#{": r"#\{\s*[a-z_][\w.]{0,60}\s*\}",
    "<%": r"<%=?\s*[\w.$()@ ]{1,80}%>",  # ERB, EJS, ASP
    "[[": r"\[\[\s*[A-Za-z_][\w.:-]{0,60}\s*\]\]",  # Thymeleaf, own ones
    "%(": r"%\([a-z_]\w{0,40}\)[sd]\b",  # gettext, sprintf
    "%1": r"%1\$[sd]\b",
    "%s": r"%s(?![\w%])",
    "%d": r"%d(?![\w%])",
    "[object": r"\[object Object\]",
    "ranslation missing": r"ranslation missing: ?[\w.-]{1,80}",
}
"""What each begins with, and the whole of it."""
_PATTERNS = {sign: re.compile(pattern) for sign, pattern in _TEMPLATES.items()}
_BEGINS = "{%["
_IN_CALL = re.compile(r"""\w\(\s*["'“‘][^"'”’)]*$""")
"""What stands before a marker that is part of a quoted text given to a function: code in the middle of prose."""
_LONGEST_CALL = 80
_KEY = re.compile(r"[a-z][a-z0-9_-]*(?:\.[a-z][a-z0-9_-]*){2,6}|[a-z]+(?:_[a-z]+)*(?:\.[a-z]+(?:_[a-z]+)+)")
_LONGEST_KEY = 100
_NO_KEY_BEGINS = frozenset(str.split("www org com net io java javax de fr uk ftp mail"))
_NO_KEY_ENDS = frozenset(
    str.split(
        "com org net de fr uk jp cn eu io dev co info html htm xml json js css php py rb sh md txt pdf png jpg gif "
        "svg gz xz bz2 zip tar conf cfg ini yml yaml toml so dll exe deb rpm test local localhost example"
    )
)
"""Hosts and files have dots between small words too."""
_FILLER = "lorem ipsum"


def filler_count(lowered: str) -> int:
    """`lowered`: a page's visible words."""
    return lowered.count(_FILLER)


def templates_in(words: str) -> Counter[str]:
    """Markers to how often they stand there. Nearly no page has any of the characters that they begin with."""
    found: Counter[str] = Counter()
    if not any(each in words for each in _BEGINS) and "ranslation missing" not in words:
        return found
    for sign, pattern in _PATTERNS.items():
        at = words.find(sign)
        while at >= 0:
            if (match := pattern.match(words, at)) and not _IN_CALL.search(words[max(0, at - _LONGEST_CALL) : at]):
                found[" ".join(match[0].split())] += 1
            at = words.find(sign, at + len(sign))
    return found


def is_key(block: str) -> bool:
    """Whether all that a block says is a translation's key: `product.title.label`."""
    if len(block) > _LONGEST_KEY or not _KEY.fullmatch(block):
        return False
    parts = block.split(".")
    # Two letters in the end are a country: a host.
    return parts[0] not in _NO_KEY_BEGINS and parts[-1] not in _NO_KEY_ENDS and len(parts[-1]) > 2
