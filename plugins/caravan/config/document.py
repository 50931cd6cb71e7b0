"""A YAML file with positions: every value knows its line, every scalar is what the person typed.

YAML 1.1 turns Norway's `NO` into false, `010` into 8 and a date into a date, and keeps the last of two equal
keys. Here all scalars are text (`null`, `~` and nothing at all are None), types are left to the model that
knows what it expects, and a key given twice is a fault.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import Composer

from caravan.core.errors import Fault, Misconfigured

Location = tuple[str | int, ...]
Tree = str | list[Any] | dict[str, Any] | None

_NULLS = frozenset(["", "~", "null", "Null", "NULL"])
_PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("str", "seq", "map"))
_NUL = "\0"
"""An escape can write it, but neither paths nor databases take it."""
_MOST_NODES = 100_000
"""More than any sane file has: a few nested aliases can blow a small file up to billions."""


@dataclass(frozen=True)
class Document:
    """One file whose root is a mapping. `where`: its path as faults show it."""

    where: str
    data: dict[str, Any]
    lines: Mapping[Location, int]

    def mapping(self, *location: str | int) -> dict[str, Any]:
        """The mapping at a location; empty where there is none (its type is the model's concern)."""
        found = self.value(*location)
        return found if isinstance(found, dict) else {}

    def text(self, *location: str | int) -> str | None:
        """The text at a location, None where there is none."""
        found = self.value(*location)
        return found if isinstance(found, str) else None

    def value(self, *location: str | int) -> Tree:
        node: Any = self.data
        for step in location:
            if isinstance(node, dict):
                node = node.get(str(step))
            elif isinstance(node, list) and isinstance(step, int) and step < len(node):
                node = node[step]
            else:
                return None
        return node  # type: ignore[no-any-return]

    def known(self, location: Location) -> Location:
        """The longest part of a location that the file really has."""
        while location and location not in self.lines:
            location = location[:-1]
        return location

    def fault(self, location: Location, message: str) -> Fault:
        """A fault at a field; its line, or that of the nearest field round it."""
        line = self.lines.get(self.known(location), 1)
        return Fault(f"{self.where}:{line} {show(location)}".rstrip(), message)


def show(location: Location) -> str:
    """`entities.order_line.rules[0].when`."""
    text = ""
    for step in location:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.lstrip(".")


def files_in(folder: Path) -> list[Path]:
    """The YAML files of a folder, by name; none where there is no folder. Misconfigured when it cannot be read."""
    try:
        names = sorted(os.listdir(folder)) if folder.exists() else []
    except OSError as error:
        raise Misconfigured([Fault(folder.name, f"cannot be read: {error.strerror}")]) from error
    return [folder / name for name in names if name.endswith((".yml", ".yaml")) and not name.startswith(".")]


def read(path: Path, where: str) -> tuple[Document | None, list[Fault]]:
    """Read one file. Its faults are returned, never raised; a document may come with faults."""
    if path.suffix != ".yml":
        return None, [Fault(where, f"ends in {path.suffix}, which is not read; rename it to {path.stem}.yml")]
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        byte = error.object[error.start]
        return None, [Fault(f"{where}:{line}", f"byte 0x{byte:02x} is not UTF-8; save the file as UTF-8")]
    except OSError as error:
        return None, [Fault(where, f"cannot be read: {error.strerror}")]
    return parse(text, where)


def parse(text: str, where: str) -> tuple[Document | None, list[Fault]]:
    """As `read`, of a file's text; of a part, empty lines before it make its lines the file's.

    Every step of a run reads the whole configuration: an unchanged text gives the document it gave before, and nobody
    changes one.
    """
    document, faults = _parsed(text, where)
    return document, list(faults)


@lru_cache(maxsize=256)
def _parsed(text: str, where: str) -> tuple[Document | None, Sequence[Fault]]:
    try:
        root = yaml.compose(text, Loader=_PlainLoader)
        walk = _Walk(where)
        data = walk.mapping(root, ()) if isinstance(root, yaml.MappingNode) else {}
    except yaml.reader.ReaderError as error:
        line = text.encode().count(b"\n", 0, error.position) + 1
        return None, [Fault(f"{where}:{line}", f"character U+{error.character:04X} is not allowed in YAML")]
    except yaml.MarkedYAMLError as error:
        line, problem = _problem(error, text)
        return None, [Fault(f"{where}:{line}", f"is no valid YAML: {problem}")]
    except RecursionError:
        return None, [Fault(where, "is nested too deeply")]
    if root is None:
        return None, [Fault(f"{where}:1", "is empty; expected `key: value` lines")]
    if not isinstance(root, yaml.MappingNode):
        return None, [Fault(f"{where}:{root.start_mark.line + 1}", "is no mapping; expected `key: value` lines")]
    if walk.overflowing:
        return None, [Fault(where, f"has more than {_MOST_NODES:,} values, or an alias inside its own anchor")]
    return Document(where, data, walk.lines), walk.faults


def _problem(error: yaml.MarkedYAMLError, text: str) -> tuple[int, str]:
    """Its line, and what is wrong there."""
    mark = error.problem_mark or error.context_mark
    problem = ", ".join(part for part in (error.context, error.problem) if part)
    if mark is None:
        return 1, problem
    there = "".join(text.split("\n")[mark.line : mark.line + 1])[mark.column :]
    return mark.line + 1, "a tab; indent with blanks" if there.startswith("\t") else problem


class QuickLoader(Composer, yaml.CSafeLoader):
    """libyaml reads, ten times faster; nodes are made here, since its own code for that ends the process where a file
    is nested too deeply."""

    def __init__(self, stream: str) -> None:
        yaml.CSafeLoader.__init__(self, stream)
        Composer.__init__(self)


class _PlainLoader(QuickLoader):
    """Resolves no scalar to anything but text."""

    yaml_implicit_resolvers: dict[Any, Any] = {}


class _Walk:
    """Turns YAML nodes into a tree and remembers where everything stood."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.lines: dict[Location, int] = {}
        self.faults: list[Fault] = []
        self.overflowing = False
        self._open: set[int] = set()

    def mapping(self, node: yaml.MappingNode, location: Location) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._fault(line, location, "a key must be plain text")
                continue
            key = key_node.value
            inner = (*location, key)
            if _NUL in key:
                self._fault(line, location, "a key has the character U+0000; remove it")
                continue
            if key == "<<" and not key_node.style and not isinstance(value_node, yaml.ScalarNode):
                self._fault(line, location, "merging with `<<` is not supported; write the lines out")
                continue
            if key in found:
                first = self.lines[inner]
                self._fault(line, inner, f"'{key}' is given twice, first in line {first}; keep one")
                continue
            self.lines[inner] = line
            found[key] = self._tree(value_node, inner)
        return found

    def _tree(self, node: yaml.Node, location: Location) -> Tree:
        if len(self.lines) > _MOST_NODES or id(node) in self._open:
            self.overflowing = True
        if self.overflowing:
            return None
        if node.tag not in _PLAIN_TAGS:
            self._fault(node.start_mark.line + 1, location, f"the tag {node.tag} is not supported; remove it")
            return None
        if isinstance(node, yaml.ScalarNode):
            if _NUL in node.value:
                message = "has the character U+0000, which cannot be stored; remove it"
                self._fault(node.start_mark.line + 1, location, message)
                return None
            is_null = not node.style and node.value in _NULLS
            return None if is_null else str(node.value)
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self.mapping(node, location)
            return [self._item(item, (*location, index)) for index, item in enumerate(node.value)]
        finally:
            self._open.discard(id(node))

    def _item(self, node: yaml.Node, location: Location) -> Tree:
        self.lines[location] = node.start_mark.line + 1
        return self._tree(node, location)

    def _fault(self, line: int, location: Location, message: str) -> None:
        self.faults.append(Fault(f"{self.where}:{line} {show(location)}".rstrip(), message))
