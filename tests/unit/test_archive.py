"""A folder of files that is whole or refused, and says which file is not."""

from __future__ import annotations

import errno
import io
import os
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from caravan.core.errors import CaravanError, Rejected, Retryable
from caravan.warehouse import archive
from caravan.warehouse.archive import Source, new_archive, read_manifest, verify

AT = datetime(2026, 11, 22, 1, 30)


def ignore(count: int) -> None: ...


@pytest.fixture
def made(tmp_path) -> Path:
    files = {"a.parquet": b"rows " * 100, "b/c.yml": b"text", "empty": b""}
    for name, content in files.items():
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    with new_archive(tmp_path / "backups", AT, ignore) as writer:
        sources = [
            Source(tmp_path / "source" / name, name, len(content), fixed=True) for name, content in files.items()
        ]
        assert writer.missing_bytes(sources) == 504
        writer.add(sources)
        writer.finish({"engine": "lake", "made_by": archive.BY_SCHEDULE})
    return tmp_path / "backups" / "caravan-20261122T013000Z"


def flip(path: Path, at: int = 3) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_what_is_whole_is_read_as_it_was_written(made):
    read = read_manifest(made)
    verify(read, ignore)
    assert (read.facts["engine"], read.size, sorted(read.files)) == ("lake", 504, ["a.parquet", "b/c.yml", "empty"])
    assert read.below("b") == {"c.yml": made / "b" / "c.yml"}


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda folder: (folder / "a.parquet").unlink(), r"a\.parquet is missing"),
        (lambda folder: (folder / "b" / "c.yml").write_bytes(b"te"), r"b/c\.yml has 2 bytes instead of 4"),
        (lambda folder: flip(folder / "a.parquet"), r"a\.parquet was changed"),
        (lambda folder: shutil.rmtree(folder / "b"), r"b/c\.yml is missing"),
        (lambda folder: flip(folder / "manifest.json"), r"manifest\.json is not what manifest\.sha256 says"),
        (lambda folder: flip(folder / "manifest.sha256"), r"manifest\.json is not what manifest\.sha256 says"),
        (lambda folder: (folder / "manifest.sha256").write_bytes(b"\xff\xfe"), r"manifest\.json is not what"),
        (lambda folder: (folder / "manifest.json").unlink(), r"lacks manifest\.json: the backup was not finished"),
        (lambda folder: (folder / "manifest.sha256").unlink(), r"lacks manifest\.sha256"),
    ],
)
def test_every_damage_is_named(made, damage: Callable[[Path], None], told):
    damage(made)
    with pytest.raises(Rejected, match=told):
        verify(read_manifest(made), ignore)


def test_many_damages_are_counted(made, monkeypatch):
    monkeypatch.setattr(archive, "NAMED", 1)
    (made / "a.parquet").unlink()
    (made / "b" / "c.yml").unlink()
    with pytest.raises(Rejected, match=r"(?s)a\.parquet is missing\n  and 1 more"):
        verify(read_manifest(made), ignore)


def test_a_folder_of_backups_is_none_and_names_them(made):
    with pytest.raises(Rejected, match="it holds backups, name one: caravan-20261122T013000Z"):
        read_manifest(made.parent)
    with pytest.raises(CaravanError, match="is no folder"):
        read_manifest(made / "nowhere")
    (made / "manifest.json").unlink()
    (made / "manifest.json").mkdir()
    with pytest.raises(CaravanError, match=r"cannot be read: .*manifest\.json'; run as its owner"):
        read_manifest(made)


def test_a_failure_leaves_no_half_archive(made):
    with pytest.raises(ZeroDivisionError), new_archive(made.parent, AT.replace(day=23), ignore) as writer:
        writer.place("x").write_bytes(b"x")
        raise ZeroDivisionError
    assert archive.list_archives(made.parent) == [made]
    assert [path.name for path in made.parent.iterdir() if path.name.startswith("caravan")] == [made.name]


def test_a_file_that_changes_its_size_on_the_way_is_not_kept(made, tmp_path):
    source = tmp_path / "source" / "a.parquet"
    told = pytest.raises(Retryable, match="is damaged, or was written meanwhile")
    with told, new_archive(made.parent, AT.replace(day=23), ignore) as writer:
        writer.add([Source(source, "a.parquet", 7)])


def test_only_a_fixed_file_of_the_same_size_is_shared_with_the_archive_before(made, tmp_path):
    source, other = tmp_path / "source" / "a.parquet", tmp_path / "source" / "b" / "c.yml"
    size = source.stat().st_size
    with new_archive(made.parent, AT.replace(day=23), ignore) as writer:
        writer.add([Source(source, "a.parquet", size, fixed=True), Source(other, "b/c.yml", 4)])
        writer.finish({"made_by": archive.BY_SCHEDULE})
        linked = writer.linked_count
    second = made.with_name("caravan-20261123T013000Z")
    assert linked == 1
    assert (second / "a.parquet").samefile(made / "a.parquet")
    assert not (second / "b" / "c.yml").samefile(made / "b" / "c.yml")
    archive.drop_old(made.parent, 1, second)
    verify(read_manifest(second), ignore)


def next_archive(made: Path, day: int = 23, size: int = 500) -> tuple[Path, int]:
    """Another one, of the same a.parquet; and how many of its files are shared."""
    source = made.parents[1] / "source" / "a.parquet"
    with new_archive(made.parent, AT.replace(day=day), ignore) as writer:
        given = [Source(source, "a.parquet", size, fixed=True)]
        missing = writer.missing_bytes(given)
        writer.add(given)
        writer.finish({"made_by": archive.BY_SCHEDULE})
        assert missing == (0 if writer.linked_count else size)
    return made.with_name(f"caravan-202611{day}T013000Z"), writer.linked_count


def test_a_file_that_was_cut_since_is_copied_and_not_handed_on(made):
    (made / "a.parquet").write_bytes(b"rows")
    again, linked = next_archive(made)
    assert linked == 0
    verify(read_manifest(again), ignore)


@pytest.mark.parametrize("name", ["manifest.json", "manifest.sha256"])
def test_a_damaged_archive_stops_no_other_one_is_not_counted_and_stays(made, name, caplog):
    second, _ = next_archive(made)
    flip(second / name)
    third, linked = next_archive(made, 24)
    assert linked == 1, "shared with the newest that can be read"
    assert f"{second.name}/manifest.json is not what" in caplog.text
    assert archive.drop_old(made.parent, 1, third) == [made]
    assert archive.list_archives(made.parent) == [second, third]


@pytest.mark.parametrize(
    ("what", "linked"), [("", 0), ("manifest.json", 0), ("a.parquet", 0), ("../caravan-x.part", 1)]
)
def test_what_cannot_be_read_stops_no_backup(made, what, linked, caplog, monkeypatch):
    """Another user's, or on a bad disk."""
    bad = Path(os.path.normpath(made / what))
    (made.parent / "caravan-x.part").mkdir()

    def failing(given):
        def call(path, *arguments, **options):
            # What is in such a folder cannot be looked at either.
            if bad in (Path(path), *Path(path).parents):
                raise OSError(errno.EIO, "Input/output error", str(path))
            return given(path, *arguments, **options)

        return call

    for where, name in ((Path, "stat"), (Path, "open"), (archive.shutil, "rmtree"), (archive.os, "link")):
        monkeypatch.setattr(where, name, failing(getattr(where, name)))
    second, shared = next_archive(made)
    assert shared == linked
    assert what == "a.parquet" or str(bad) in caplog.text
    monkeypatch.undo()
    verify(read_manifest(second), ignore)


@pytest.mark.parametrize(
    ("keep", "gone"),
    [(1, [22, 24, 25]), (2, [24, 25]), (3, [24]), (4, [])],
)
def test_what_a_wrong_clock_dated_ahead_goes_first_and_the_one_just_made_stays(made, keep, gone, caplog):
    for day in (24, 25):
        next_archive(made, day)
    new, _ = next_archive(made, 23)
    dropped = archive.drop_old(made.parent, keep, new)
    assert sorted(archive.made_at(path).day for path in dropped) == gone
    assert new.exists()
    assert caplog.text.count("a clock was wrong") == len({24, 25} & set(gone))


def test_what_a_person_made_is_not_dropped_and_nothing_is_while_another_is_written(made, monkeypatch):
    with new_archive(made.parent, AT.replace(day=23), ignore) as writer:
        writer.finish({"made_by": archive.BY_HAND})
    next_archive(made, 24)
    monkeypatch.setattr(archive, "LOCK_WAIT_SECONDS", 0.05)
    with new_archive(made.parent, AT.replace(day=25), ignore) as writer:
        with pytest.raises(Retryable, match="writing a backup"):
            archive.drop_old(made.parent, 1, made)
        writer.finish({"made_by": archive.BY_HAND})
    assert archive.drop_old(made.parent, 1, made.with_name("caravan-20261124T013000Z")) == [made]
    assert [path.name[14:16] for path in archive.list_archives(made.parent)] == ["23", "24", "25"]


def test_a_disk_that_is_not_mounted_is_told(tmp_path):
    with pytest.raises(Retryable, match="mount its disk"), new_archive(tmp_path / "disk" / "backups", AT, ignore):
        pass
    assert not (tmp_path / "disk").exists()


def test_a_disk_that_fills_is_told_and_a_file_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    source, target = tmp_path / "source", tmp_path / "there" / "target"
    source.write_bytes(b"text")
    monkeypatch.setattr(archive.os, "fdopen", lambda descriptor, mode: FullDisk(descriptor, mode))
    with pytest.raises(Retryable, match="no room left for"):
        archive.put_file(source, target)
    assert list(target.parent.iterdir()) == []
    monkeypatch.undo()
    archive.put_file(source, target)
    assert target.read_bytes() == b"text"


class FullDisk(io.FileIO):
    def write(self, content) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_disk_at_99_percent_is_told_in_gigabytes(tmp_path, monkeypatch):
    usage = shutil._ntuple_diskusage(10**11, 99 * 10**9, 10**9)
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda path: usage)
    archive.require_room(tmp_path / "not" / "there", 9 * 10**8, "the backup")
    with pytest.raises(Retryable, match=r"takes 2\.10 GB and .* has 1\.00 GB free"):
        archive.require_room(tmp_path / "not" / "there", 2 * 10**9, "the backup")
