"""Which files of a channel's folder are complete and may be read."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Literal, Protocol

from caravan.clients.file_drop.parsed import Delivery
from caravan.config.types import Configuration, FileChannel
from caravan.core.errors import Rejected

SkipCode = Literal["FILE_NOT_SETTLED", "FILE_TEMPORARY", "FILE_UNREADABLE", "FILE_UNMATCHED"]

TEMPORARY_SUFFIXES = (".part", ".tmp", ".filepart", ".crdownload")
"""What uploaders append while they write: WinSCP .filepart, browsers .part and .crdownload, others .tmp."""


@dataclass(frozen=True)
class Skipped:
    """Something where the pattern looks that is not read now, and why."""

    path: Path
    code: SkipCode
    message: str


@dataclass(frozen=True)
class Listing:
    """`deliveries`: settled files, oldest first (modification time, then name). Empty: nothing was delivered.

    `refused`: those among them that must not be loaded, by path.
    """

    deliveries: tuple[Delivery, ...]
    skipped: tuple[Skipped, ...]
    refused: Mapping[Path, Rejected]


@dataclass(frozen=True)
class Claim:
    """The files that one entity of a channel reads. `folder`: absolute, links followed; or the path of a bucket."""

    channel_code: str
    entity: str
    folder: Path
    pattern: str

    def __str__(self) -> str:
        return f"{self.channel_code} {self.entity} ({self.pattern} in {self.folder})"

    @property
    def place(self) -> tuple[Path, tuple[str, ...]]:
        """Where it looks for names."""
        return self.folder, PurePosixPath(self.pattern).parts[:-1]

    def covers(self, place: Path) -> bool:
        """Whether the pattern matches. `place`: absolute, links followed."""
        if not place.is_relative_to(self.folder):
            return False
        parts, patterns = place.relative_to(self.folder).parts, PurePosixPath(self.pattern).parts
        return len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns))


class Folder(Protocol):
    """Where one channel's files arrive."""

    @property
    def root(self) -> Path:
        """What the paths of skipped files begin with."""
        ...

    def listing(self, channel: FileChannel, entity: str, claims: Iterable[Claim]) -> Listing: ...

    def fetch(self, delivery: Delivery) -> None:
        """Make sure that the delivery's file is on this machine. Raises Rejected FILE_CHANGED."""
        ...

    def release(self, delivery: Delivery) -> None:
        """It has been read."""
        ...


@dataclass(frozen=True)
class LocalFolder:
    root: Path

    def listing(self, channel: FileChannel, entity: str, claims: Iterable[Claim]) -> Listing:
        return list_deliveries(channel, entity, self.root, time.time_ns(), claims)

    def fetch(self, delivery: Delivery) -> None:
        """It lies here."""

    def release(self, delivery: Delivery) -> None:
        """It stays: Caravan deletes nothing that was delivered."""


def claims(configuration: Configuration, root: Callable[[FileChannel], Path]) -> list[Claim]:
    """The files that all enabled channels read. `root`: a channel's folder, absolute and with links followed."""
    return [
        Claim(channel.code, entity, root(channel), source.files)
        for channel in configuration.channels.values()
        if channel.enabled and isinstance(channel, FileChannel)
        for entity, source in channel.entities.items()
    ]


def list_deliveries(
    channel: FileChannel, entity: str, folder: Path, now_ns: int, claims: Iterable[Claim] = ()
) -> Listing:
    """The settled files of one entity. `now_ns`: the clock, in nanoseconds since 1970. `claims`: those of every
    channel; a file that another entity reads as well is refused, because its orders would count twice.

    Every settled file is read once for its hash. Raises Rejected FOLDER_MISSING when there is no such folder:
    that is a wrong path or a lost mount, not a channel without orders. Raises Rejected FOLDER_UNREADABLE.
    """
    own = Claim(channel.code, entity, folder, channel.entities[entity].files)  # type: ignore[index]
    found: list[Delivery] = []
    skipped: list[Skipped] = []
    others: list[Path] = []
    for path in sorted(_matching(own, skipped, others)):
        outcome = _look(path, own, channel.settle_seconds, now_ns)
        if isinstance(outcome, Skipped):
            skipped.append(outcome)
        else:
            found.append(outcome)
    claims = list(claims)
    skipped += unmatched(own, claims, {each: _places(each) for each in others if each.is_file()})
    return listing_of(own, claims, {each: _places(each.path) for each in found}, skipped)


def unmatched(own: Claim, claims: Sequence[Claim], others: Mapping[Path, Iterable[Path]]) -> list[Skipped]:
    """One word for all files beside the deliveries that nobody reads: a misspelt pattern would be silent else.

    `others`: files that the pattern does not match, with the places that name them. Where several entities of a
    channel look, the first of them tells it.
    """
    beside = sorted(each.entity for each in claims if (each.channel_code, each.place) == (own.channel_code, own.place))
    if beside and own.entity != beside[0]:
        return []
    left = sorted(
        path
        for path, places in others.items()
        if not path.name.startswith(".") and not any(claim.covers(place) for claim in claims for place in places)
    )
    if not left:
        return []
    more = f", nor do {len(left) - 1} other files beside it" if left[1:] else ""
    message = f"it matches no pattern ({own.pattern}){more}; correct `files` of the channel, or move it away"
    return [Skipped(left[0], "FILE_UNMATCHED", message)]


def listing_of(
    own: Claim, claims: Iterable[Claim], found: Mapping[Delivery, Iterable[Path]], skipped: Sequence[Skipped]
) -> Listing:
    """`found`: deliveries with the places that name them; refused is what somebody else's claim covers."""
    others = [claim for claim in claims if (claim.channel_code, claim.entity) != (own.channel_code, own.entity)]
    refused = {
        delivery.path: _claimed_twice(delivery, own, sharing)
        for delivery, places in found.items()
        if (sharing := [claim for claim in others if any(map(claim.covers, places))])
    }
    in_order = sorted(found, key=lambda delivery: (delivery.modified_ns, delivery.name))
    return Listing(tuple(in_order), tuple(skipped), refused)


def unfinished(name: str, age_seconds: float, settle_seconds: int) -> tuple[SkipCode, str] | None:
    """Why a file of this name and age is not read yet; None if it may be."""
    if name.startswith(".") or name.endswith(TEMPORARY_SUFFIXES):
        return "FILE_TEMPORARY", f"{name} is the name of a file still being written"
    if age_seconds < 0:
        reason = f"{name} was changed {-age_seconds:.0f} s in the future; check the clocks of both machines"
        return "FILE_NOT_SETTLED", reason
    if age_seconds < settle_seconds:
        reason = f"{name} changed {age_seconds:.0f} s ago; it is read after {settle_seconds} s without change"
        return "FILE_NOT_SETTLED", reason
    return None


def name_patterns(pattern: str) -> tuple[list[str], list[str]]:
    """A pattern for each folder on the way, and those of names: temporary ones are looked for, to be told."""
    *heads, last = PurePosixPath(pattern).parts
    return heads, [last, f".{last}", f".{last}.*", *(last + suffix for suffix in TEMPORARY_SUFFIXES)]


def require_unchanged(delivery: Delivery) -> None:
    """Raises Rejected FILE_CHANGED unless the file still has the size and time it was listed with."""
    try:
        now = delivery.path.stat()
    except FileNotFoundError:
        raise Rejected("FILE_CHANGED", f"{delivery.name} was removed after it was listed") from None
    if (now.st_size, now.st_mtime_ns) != (delivery.size, delivery.modified_ns):
        raise Rejected(
            "FILE_CHANGED",
            f"{delivery.name} was {delivery.size} bytes when it was listed and is {now.st_size} now, or was written "
            "again; nothing was loaded, the next run reads it. Deliver under a temporary name and rename",
        )


def _look(path: Path, claim: Claim, settle_seconds: int, now_ns: int) -> Delivery | Skipped:
    """One file of the pattern: a delivery, or why it is none. No error of one file hides the others."""
    name = path.name
    try:
        before = path.stat()
        if stat.S_ISDIR(before.st_mode):
            return Skipped(path, "FILE_UNREADABLE", f"{name} is a folder; name files in it as {name}/*, or rename it")
        if not stat.S_ISREG(before.st_mode):
            return Skipped(path, "FILE_UNREADABLE", f"{name} is a pipe, socket or device, not a file; remove it")
        if why := unfinished(name, (now_ns - before.st_mtime_ns) / 1e9, settle_seconds):
            return Skipped(path, *why)
        with path.open("rb") as file:
            content_hash = hashlib.file_digest(file, "sha256").hexdigest()
        after = path.stat()
    except OSError as error:
        if not os.path.lexists(path):
            return Skipped(path, "FILE_NOT_SETTLED", f"{name} was removed while the folder was listed")
        if isinstance(error, FileNotFoundError):
            target = os.path.realpath(path)
            return Skipped(path, "FILE_UNREADABLE", f"{name} is a link to {target}, which does not exist; remove it")
        return _unreadable(path, error)
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        return Skipped(path, "FILE_NOT_SETTLED", f"{name} changed while it was read")
    return Delivery(claim.channel_code, claim.entity, path, content_hash, before.st_size, before.st_mtime_ns)


def _matching(claim: Claim, skipped: list[Skipped], others: list[Path]) -> Iterator[Path]:
    """What the pattern matches; folders that cannot be looked into go to `skipped`, what lies beside to `others`."""
    heads, lasts = name_patterns(claim.pattern)
    try:
        os.listdir(claim.folder)
    except (FileNotFoundError, NotADirectoryError):
        message = f"there is no folder {claim.folder}; create it, mount it, or correct `folder`"
        raise Rejected("FOLDER_MISSING", f"channel {claim.channel_code}: {message}") from None
    except OSError as error:
        message = f"the folder {claim.folder} cannot be read: {error.strerror}; let the user that runs Caravan read it"
        raise Rejected("FOLDER_UNREADABLE", f"channel {claim.channel_code}: {message}") from error
    return _walk(claim.folder, heads, lasts, skipped, others)


def _walk(
    folder: Path, heads: Sequence[str], lasts: Sequence[str], skipped: list[Skipped], others: list[Path]
) -> Iterator[Path]:
    """Paths below `folder`: one pattern for each folder on the way, several for the name."""
    # Not Path.glob: it passes over what it may not read, and treats links differently from version to version.
    try:
        names = os.listdir(folder)
    except OSError as error:
        skipped.append(_unreadable(folder, error))
        return
    for name in names:
        if not heads and any(fnmatchcase(name, pattern) for pattern in lasts):
            yield folder / name
        elif not heads:
            others.append(folder / name)
        elif fnmatchcase(name, heads[0]) and os.path.isdir(folder / name):
            yield from _walk(folder / name, heads[1:], lasts, skipped, others)


def _unreadable(path: Path, error: OSError) -> Skipped:
    message = f"{path.name} cannot be read: {error.strerror or error}; let the user that runs Caravan read it"
    return Skipped(path, "FILE_UNREADABLE", message)


def _places(path: Path) -> set[Path]:
    """A file's own place, and that of the file which a link leads to."""
    return {Path(os.path.realpath(path.parent), path.name), Path(os.path.realpath(path))}


def _claimed_twice(delivery: Delivery, own: Claim, sharing: Sequence[Claim]) -> Rejected:
    return Rejected(
        "FILE_CLAIMED_TWICE",
        f"{delivery.name} is matched by {' and by '.join(map(str, [own, *sharing]))}; neither loads it, because its "
        "orders would count twice. Give each a folder of its own or change `files`",
    )
