"""What can be told of a text without understanding it: its size, its hashes, its language.

Texts are long and pages many, so characters are worked on as arrays; nothing here looks at a word in Python.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from caravan.core.urls import key_of

_Codes = npt.NDArray[np.uint32]
_Hashes = npt.NDArray[np.uint64]

_SPACELESS = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x2E80, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
"""Thai and Lao, Burmese, Khmer, Chinese and Japanese. Korean has spaces between words."""
_SPACELESS_SHARE = 1 / 3
"""Of the characters. Japanese pages full of product numbers and Latin brands are Japanese still."""
_WORDS_OF_SHINGLE, _CHARACTERS_OF_SHINGLE = 3, 5
_LONG_WORD = 7
"""From so many letters on a word is long to LIX (Björnsson 1968)."""
_SENTENCE_ENDS = tuple(".!?…।؟۔")
_CLOSING = "\"'”’»)]"
"""What may stand behind the end of a sentence."""
_ENDS_SENTENCE = np.zeros(1 << 16, dtype=np.bool_)
_ENDS_SENTENCE[list(map(ord, _SENTENCE_ENDS))] = True
_HASHED_CHARACTERS = 1 << 16
"""So much of a text tells whether it is nearly another; a book on one page costs no more."""
_LANGUAGE_CHARACTERS, _TITLE_CHARACTERS = 200, 40
"""Below, detection is a guess."""
_SAMPLE_END, _LARGE_SAMPLE = 600, 1_000
_LIKELY, _SURE = 0.35, 0.8
_NORWEGIAN = {"nb": "no", "nn": "no"}
_NO_LANGUAGE = frozenset(("zxx", "und", "mul", "mis"))
"""ISO 639-2 of what is in none, or in nobody knows which: tables of numbers."""

_LOADING = threading.Lock()

_U = np.uint64


class Text(NamedTuple):
    """Columns of `page`. Without spaces between words there are none to count."""

    word_count: int | None
    character_count: int
    text_hash: int | None
    simhash: int | None
    language: str | None


def read_text(words: str, declared: str | None = None) -> Text:
    """`words`: white space collapsed. `declared`: the language that the page states."""
    if not words:
        return Text(0, 0, None, None, None)
    lowered = words.lower()
    codes = np.frombuffer(lowered[:_HASHED_CHARACTERS].rstrip().encode("utf-32-le", "surrogatepass"), np.uint32)
    spaces = words.count(" ")
    character_count = len(words) - spaces
    language = language_of(words, declared)
    if is_spaceless(lowered, codes):
        marks = _rolled(codes[codes != ord(" ")].astype(_U), _CHARACTERS_OF_SHINGLE)
        return Text(None, character_count, key_of(lowered), _vote(marks), language)
    simhash = _vote(_rolled(_word_hashes(codes), _WORDS_OF_SHINGLE))
    return Text(spaces + 1, character_count, key_of(lowered), simhash, language)


class Prose(NamedTuple):
    """Columns of `page`: what LIX and its like are made of. NULL as `word_count`."""

    prose_word_count: int | None = None
    sentence_count: int | None = None
    long_word_count: int | None = None


def read_prose(blocks: Sequence[str]) -> Prose:
    """Of those blocks that end as sentences do, up to `_HASHED_CHARACTERS` in all: names in tables, menus and
    signatures of functions are no sentences. `blocks`: of a text whose words have spaces between them."""
    prose = [end for block in blocks if (end := block.rstrip(_CLOSING)).endswith(_SENTENCE_ENDS)]
    codes = np.frombuffer(" ".join(prose)[:_HASHED_CHARACTERS].rstrip().encode("utf-32-le", "surrogatepass"), np.uint32)
    if not len(codes):
        return Prose(0, 0, 0)
    spaces = np.flatnonzero(codes == ord(" "))
    lengths = np.diff(spaces, prepend=-1, append=len(codes)) - 1
    before = np.append(codes[spaces - 1], codes[-1])
    sentences = int(np.count_nonzero(_ENDS_SENTENCE[np.minimum(before, len(_ENDS_SENTENCE) - 1)]))
    return Prose(len(lengths), max(1, sentences), int(np.count_nonzero(lengths >= _LONG_WORD)))


def is_spaceless(text: str, codes: _Codes) -> bool:
    """Whether it is of a script without spaces between words."""
    if text.isascii():
        return False
    wide = codes[codes >= _SPACELESS[0][0]]
    enough = _SPACELESS_SHARE * int(np.count_nonzero(codes != ord(" ")))
    if not len(wide) or len(wide) < enough:
        return False
    return sum(int(np.count_nonzero((wide >= low) & (wide <= high))) for low, high in _SPACELESS) >= enough


def language_of(text: str, declared: str | None = None) -> str | None:
    """ISO 639-1 of a page's text; None for one too short, or in two minds.

    `declared`: what the page says. Few words bear it out; to gainsay it takes more of them, and that costs more. Of a
    page that says nothing the first words tell, or else those after them: together they may be in two minds.
    """
    if len(text) < _LANGUAGE_CHARACTERS:
        return None
    code, probability = _classified(text[:_LANGUAGE_CHARACTERS])
    if not declared:
        if probability < _SURE:
            is_long = len(text) >= 2 * _LANGUAGE_CHARACTERS
            code, probability = _classified(text[_LANGUAGE_CHARACTERS:_SAMPLE_END] if is_long else text)
        return code if probability >= _SURE else None
    if probability < _LIKELY or code != _language(declared):
        code, probability = _classified(text[:_LARGE_SAMPLE])
    return code if probability >= _LIKELY and (code == _language(declared) or probability >= _SURE) else None


@lru_cache(maxsize=4096)
def title_language_of(title: str) -> str | None:
    """The same of a title, which is shorter: sites repeat theirs."""
    if len(title) < _TITLE_CHARACTERS:
        return None
    code, probability = _classified(title)
    return code if probability >= _SURE else None


def _classified(text: str) -> tuple[str, float]:
    code, probability = _identifier().classify(text)
    return _NORWEGIAN.get(code, code), 0.0 if code in _NO_LANGUAGE else probability


@lru_cache(maxsize=1024)
def _language(tag: str) -> str:
    code = tag.replace("_", "-").partition("-")[0].strip().lower()
    return _NORWEGIAN.get(code, code)


def _identifier() -> LanguageIdentifier:
    with _LOADING:
        return _loaded_identifier()


@lru_cache(maxsize=1)
def _loaded_identifier() -> LanguageIdentifier:
    """Half a second and 100 MB: not by each of the threads that ask for it first."""
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


_MULTIPLIER = 0x9E37_79B9_7F4A_7C15
_MODULUS = 1 << 64


def _powers(base: int) -> _Hashes:
    """By place in the text, modulo 2^64."""
    with np.errstate(over="ignore"):
        powers = np.full(_HASHED_CHARACTERS, base, dtype=_U)
        powers[0] = 1
        return np.multiply.accumulate(powers)


_POWERS, _INVERSES = _powers(_MULTIPLIER), _powers(pow(_MULTIPLIER, -1, _MODULUS))
_PLACES = tuple(_U(value) for value in (3, 0x9E37_79B9_7F4A_7C15, 0xC2B2_AE3D_27D4_EB4F, 0x1656_67B1_9E37_79F9, 5))


def _word_hashes(codes: _Codes) -> _Hashes:
    """One of each word. `codes`: of words with one space between them.

    A polynomial of the whole text, of which a word is the difference at its ends, brought back to the text's begin.
    """
    ends = np.append(np.flatnonzero(codes == ord(" ")), len(codes))
    starts = np.concatenate((np.zeros(1, dtype=np.int64), ends[:-1] + 1))
    sums = np.concatenate((np.zeros(1, dtype=_U), np.cumsum(codes * _POWERS[: len(codes)], dtype=_U)))
    hashes: _Hashes = (sums[ends] - sums[starts]) * _INVERSES[starts]
    return hashes


def _rolled(units: _Hashes, size: int) -> _Hashes:
    """One hash of each run of `size` units; of all of them where there are fewer. The end is that of splitmix64."""
    size = min(size, len(units))
    count = len(units) - size + 1
    mixed = units[:count] * _PLACES[0]
    for place in range(1, size):
        mixed = mixed + units[place : place + count] * _PLACES[place]
    mixed = (mixed ^ (mixed >> _U(30))) * _U(0xBF58_476D_1CE4_E5B9)
    mixed = (mixed ^ (mixed >> _U(27))) * _U(0x94D0_49BB_1331_11EB)
    return mixed ^ (mixed >> _U(31))


def _vote(hashes: _Hashes) -> int | None:
    """SimHash (Charikar 2002): each bit as most of the shingles have it. Signed, as a column of 64 bits holds it."""
    if not len(hashes):
        return None
    bits = np.unpackbits(hashes.astype("<u8", copy=False).view(np.uint8)).reshape(-1, 64)
    most = np.add.reduce(bits, axis=0, dtype=np.uint32) * 2 > len(hashes)
    return int(np.packbits(most).view("<i8")[0])
