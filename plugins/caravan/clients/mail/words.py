"""What mails and the pages behind their links say, by language: include/templates/release/mail/words.yml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import yaml

from caravan.core.errors import Fault, Misconfigured


@dataclass(frozen=True)
class Words:
    """`subscribed`, `notice`, `confirm_subject` and `confirm_text` hold `{sender}`."""

    online: str
    subscribed: str
    notice: str
    unsubscribe: str
    ask: str
    done: str
    again: str
    confirm_subject: str
    confirm_text: str
    confirm_reason: str
    confirm: str
    confirm_ask: str
    confirm_done: str
    late: str


def read_words(path: Path) -> Mapping[str, Words]:
    """By language tag. Raises Misconfigured when one lacks a text."""
    names = {field.name for field in fields(Words)}
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    wrong = [
        Fault(f"{path.name}: {tag}", f"has to hold the texts {', '.join(sorted(names))}")
        for tag, texts in found.items()
        if not isinstance(texts, dict) or texts.keys() != names or not all(isinstance(t, str) for t in texts.values())
    ]
    if wrong:
        raise Misconfigured(wrong)
    return {tag: Words(**texts) for tag, texts in found.items()}


def words_for(locale: str, words: Mapping[str, Words]) -> Words | None:
    """`zh-Hans-CN` finds `zh-Hans`; no language finds another one."""
    parts = locale.split("-")
    tags = ("-".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((words[tag] for tag in tags if tag in words), None)
