"""A folder of pages that is swapped whole: a reader finds all pages of the old state or all of the new one.

    .versions/<v>          the pages of one state; the one before the current stays, for whoever is reading it
    .current               a link to it: renaming this link is the swap
    index.html, market ..  a link into .current for each name at the top

Links are relative, so that the folder may be moved or mounted elsewhere. Other files in it are left alone.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from caravan.warehouse.locks import hold_lock

LOCK_WAIT_SECONDS = 60.0
CURRENT, VERSIONS = ".current", ".versions"
FIRST_PAGE = "index.html"


def swap(target_dir: Path, pages: Mapping[str, str], version: str) -> Path:
    """Put the pages (text by path) in place of those before and return the path of the first one.

    `version` names their folder, with a number behind it where there is one already. Raises Retryable while another
    writer works. After any failure the old pages stand.
    """
    versions = target_dir / VERSIONS
    versions.mkdir(parents=True, exist_ok=True)
    with hold_lock(target_dir / ".lock", LOCK_WAIT_SECONDS, f"has been writing {target_dir}"):
        for unfinished in versions.glob("*.part"):  # a killed writer's; the lock is ours
            shutil.rmtree(unfinished)
        previous = os.readlink(target_dir / CURRENT) if (target_dir / CURRENT).is_symlink() else ""
        built = _build(versions, pages, version)
        try:
            _point(target_dir / CURRENT, f"{VERSIONS}/{built.name}")
        except BaseException:
            shutil.rmtree(built)
            raise
        _link_names(target_dir, {PurePosixPath(path).parts[0] for path in pages})
        _sync(target_dir)
        for old in versions.iterdir():
            if old.name not in (built.name, PurePosixPath(previous).name):
                shutil.rmtree(old)
    return target_dir / FIRST_PAGE


def _build(versions: Path, pages: Mapping[str, str], version: str) -> Path:
    part = versions / f"{version}.part"
    try:
        for path, text in pages.items():
            file = part / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            file.chmod(0o644)
            _sync(file)
        for folder in (part, *(path for path in part.rglob("*") if path.is_dir())):
            folder.chmod(0o755)
            _sync(folder)
        built, number = versions / version, 1
        while built.exists():
            number += 1
            built = versions / f"{version}-{number}"
        return part.rename(built)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _link_names(target_dir: Path, names: set[str]) -> None:
    """The first page comes last: whatever it leads to is there by then."""
    for name in sorted(names, key=lambda name: name == FIRST_PAGE):
        link, target = target_dir / name, f"{CURRENT}/{name}"
        if not link.is_symlink() or os.readlink(link) != target:
            _point(link, target)
    for path in target_dir.iterdir():
        if path.is_symlink() and path.name not in names and os.readlink(path) == f"{CURRENT}/{path.name}":
            path.unlink()


def _point(link: Path, target: str) -> None:
    """Make the link, or turn it round, by one rename."""
    part = link.with_name(f".{link.name.lstrip('.')}.part")
    part.unlink(missing_ok=True)
    part.symlink_to(target)
    try:
        os.replace(part, link)
    except BaseException:
        part.unlink()
        raise


def _sync(path: Path) -> None:
    """On the disk before the rename that makes it visible: a power cut must not leave an empty page."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
