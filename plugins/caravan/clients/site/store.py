"""Where a site's files lie, and the one rule for changing them: only what one has seen is replaced."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from caravan.core.errors import Fault, Misconfigured, Rejected, Retryable

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_UNFINISHED = ".part"
_LOCK = ".lock"
_OURS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ELOOP)
"""What no second attempt mends."""


class Conflict(Retryable):
    """Another worker has put or deleted the file since it was looked at: look again."""


@dataclass(frozen=True)
class Stored:
    """`version`: differs whenever the file was put again with other content. `sha256`: of its content."""

    version: str
    sha256: str


class Store(Protocol):
    """Paths are relative, with slashes: `de-DE/r-1/index.html`. Each raises Rejected PATH_REFUSED for any other kind,
    Retryable for what may pass, Misconfigured for what a person has to mend."""

    name: str
    """For messages."""

    def put(self, path: str, content: bytes, content_type: str, seen: str | None) -> bool:
        """Put the file, whole or not at all; False where it holds these bytes already.

        `seen`: the version that it replaces, None when there was none. Raises Conflict when there is another by now.
        """
        ...

    def get(self, path: str) -> bytes | None: ...

    def head(self, path: str) -> Stored | None: ...

    def delete(self, path: str) -> None:
        """Nothing happens where there is no such file."""
        ...

    def list(self, folder: str = "") -> dict[str, str]:
        """Version by path of every file below, however deep; those whose name begins with a dot are none of ours."""
        ...


def put_now(store: Store, path: str, content: bytes, content_type: str) -> bool:
    """Put in place of whatever is there now."""
    there = store.head(path)
    if there and there.sha256 == hash_of(content):
        return False
    return store.put(path, content, content_type, there.version if there else None)


def hash_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def is_name(text: str) -> bool:
    """Whether it can be one part of a path, in every file system and URL as it stands."""
    return bool(_PART.fullmatch(text)) and not text.endswith((".", _UNFINISHED))


def check_path(path: str) -> str:
    if not path or not all(is_name(part) for part in path.split("/")):
        message = f"'{path[:200]}' is no path on a site: letters, digits, dot, dash and underscore between slashes"
        raise Rejected("PATH_REFUSED", message)
    return path


class FolderStore:
    """A folder of this machine; workers on it take turns by a lock on `.lock`, held for one file at a time.

    The folder is made when it is missing. Never follows a link out of it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self.name = str(folder)

    def put(self, path: str, content: bytes, content_type: str, seen: str | None) -> bool:
        file = self._file(path)
        with self._alone(path):
            version = _version(file)
            if version is not None and file.read_bytes() == content:
                return False
            if version != seen:
                raise Conflict(f"{self.name}: {path} was changed by another worker")
            self._make(file.parent)
            # What a killed writer left has the same name, and is written over.
            unfinished = file.with_name(f".{file.name}{_UNFINISHED}")
            with unfinished.open("wb") as handle:
                handle.write(content)
                handle.flush()
                # On the disk before the rename shows it: a power cut must not leave an empty page.
                os.fsync(handle.fileno())
            unfinished.chmod(0o644)
            os.replace(unfinished, file)
            _sync(file.parent)
        return True

    def get(self, path: str) -> bytes | None:
        with self._typed_errors(path):
            try:
                return self._file(path).read_bytes()
            except FileNotFoundError:
                return None

    def head(self, path: str) -> Stored | None:
        file = self._file(path)
        with self._alone(path):
            version = _version(file)
            return Stored(version, hash_of(file.read_bytes())) if version else None

    def delete(self, path: str) -> None:
        file = self._file(path)
        with self._alone(path):
            file.unlink(missing_ok=True)

    def list(self, folder: str = "") -> dict[str, str]:
        root = self._file(folder) if folder else self._folder
        found = {}
        with self._typed_errors(folder or "."):
            for place, folders, names in os.walk(root, onerror=_raise_unless_gone):
                folders[:] = [name for name in folders if not name.startswith(".")]
                for name in names:
                    file = Path(place) / name
                    version = None if name.startswith(".") else _version(file)
                    if version:
                        found[file.relative_to(self._folder).as_posix()] = version
        return found

    def _file(self, path: str) -> Path:
        file = self._folder / check_path(path)
        # A link inside may lead anywhere.
        if not file.parent.resolve().is_relative_to(self._folder.resolve()) or file.is_symlink():
            raise Rejected("PATH_REFUSED", f"{self.name}: {path} is a link, or leads out of the folder")
        return file

    def _make(self, folder: Path) -> None:
        """Readable for a web server of another user, whatever this process's umask is."""
        if folder.is_dir():
            return
        if folder != self._folder:
            self._make(folder.parent)
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)

    @contextmanager
    def _alone(self, path: str) -> Iterator[None]:
        with self._typed_errors(path):
            self._make(self._folder)
            with (self._folder / _LOCK).open("a") as handle:
                fcntl.flock(handle, fcntl.LOCK_EX)
                yield

    @contextmanager
    def _typed_errors(self, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = f"{path}: {error.strerror or type(error).__name__}"
            if error.errno in _OURS:
                raise Misconfigured([Fault(self.name, reason)]) from None
            raise Retryable(f"{self.name}: {reason}") from None


def _raise_unless_gone(error: OSError) -> None:
    """What cannot be listed would look like pages that were never published."""
    if not isinstance(error, FileNotFoundError):
        raise error


def _version(file: Path) -> str | None:
    """A file that is put again is another file with another time."""
    try:
        found = file.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return f"{found.st_ino}-{found.st_mtime_ns}-{found.st_size}"


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
