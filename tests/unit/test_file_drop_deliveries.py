"""Which files are read, and which are left for later."""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from file_drop_case import CONFIGURATION, LINE, LINE_FIELDS, NOW, channel, csv_text, deliver

from caravan.assembly.folders import folder_root
from caravan.assembly.inboxes import FileInbox
from caravan.clients.file_drop import parse as parse_module
from caravan.clients.file_drop.deliveries import Claim, LocalFolder, claims, list_deliveries
from caravan.clients.file_drop.parse import parse
from caravan.config.types import Channel
from caravan.core.errors import Rejected, Retryable

SECOND = 1_000_000_000
NOW_NS = 1_700_000_000 * SECOND


def put(folder: Path, name: str, age_seconds: float = 3600, content: bytes = b"x") -> Path:
    path = folder / name
    path.write_bytes(content)
    when = NOW_NS - int(age_seconds * SECOND)
    os.utime(path, ns=(when, when))
    return path


def in_home(home: Path) -> Callable[[Channel], Path]:
    return lambda each: folder_root(each, home)


def test_settled_files_come_oldest_first_and_then_by_name(tmp_path: Path) -> None:
    put(tmp_path, "orders_b.csv", age_seconds=100)
    put(tmp_path, "orders_a.csv", age_seconds=100)
    put(tmp_path, "orders_z.csv", age_seconds=200, content=b"older")
    put(tmp_path, "returns.csv")
    listing = list_deliveries(channel(files="orders_*.csv"), "order_line", tmp_path, NOW_NS)
    assert [delivery.name for delivery in listing.deliveries] == ["orders_z.csv", "orders_a.csv", "orders_b.csv"]
    assert [(each.code, each.path.name) for each in listing.skipped] == [("FILE_UNMATCHED", "returns.csv")]
    first = listing.deliveries[0]
    assert (first.channel_code, first.entity, first.size) == ("shop", "order_line", 5)
    assert first.content_hash == hashlib.sha256(b"older").hexdigest()
    assert first.modified_ns == NOW_NS - 200 * SECOND


def a_link_to_nothing(path: Path) -> None:
    path.symlink_to("gone.csv")


def a_link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def not_permitted(path: Path) -> None:
    put(path.parent, path.name)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (Path.mkdir, "is a folder"),
        (os.mkfifo, "is a pipe"),
        (a_link_to_nothing, "gone.csv, which does not exist"),
        (a_link_to_itself, "cannot be read: Too many levels of symbolic links"),
        (not_permitted, "cannot be read: Permission denied; let the user that runs Caravan read it"),
    ],
)
@pytest.mark.parametrize("pattern", ["*.csv", "orders.csv"])
def test_what_cannot_be_read_is_named_and_hides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None], words: str, pattern: str
) -> None:
    path = tmp_path / "orders.csv"
    make(path)
    if make is not_permitted:
        deny(monkeypatch, "open", path)
    put(tmp_path, "whole.csv")
    listing = list_deliveries(channel(files=pattern), "order_line", tmp_path, NOW_NS)
    whole = [delivery.name for delivery in listing.deliveries]
    whole += [skipped.path.name for skipped in listing.skipped if skipped.code == "FILE_UNMATCHED"]
    assert whole == ["whole.csv"]
    assert (listing.skipped[0].path, listing.skipped[0].code) == (path, "FILE_UNREADABLE")
    assert words in listing.skipped[0].message


def deny(monkeypatch: pytest.MonkeyPatch, method: str, denied: Path) -> None:
    """What a user without the right gets; the tests may run as root, who has it always."""
    owner: Any = os if method == "listdir" else Path
    real = getattr(owner, method)

    def refuse(path: Path, *arguments: object, **options: object) -> object:
        if path == denied:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *arguments, **options)

    monkeypatch.setattr(owner, method, refuse)


def test_a_folder_on_the_way_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("closed", "open"):
        (tmp_path / name).mkdir()
        put(tmp_path, f"{name}/orders.csv")
    deny(monkeypatch, "listdir", tmp_path / "closed")
    listing = list_deliveries(channel(files="*/*.csv"), "order_line", tmp_path, NOW_NS)
    assert [delivery.path for delivery in listing.deliveries] == [tmp_path / "open" / "orders.csv"]
    assert [(skipped.path, skipped.code) for skipped in listing.skipped] == [(tmp_path / "closed", "FILE_UNREADABLE")]


def test_a_file_that_goes_while_the_folder_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listdir = os.listdir
    put(tmp_path, "stays.csv")
    monkeypatch.setattr(os, "listdir", lambda folder: [*listdir(folder), "gone.csv"])
    listing = list_deliveries(channel(files="*.csv"), "order_line", tmp_path, NOW_NS)
    assert [delivery.name for delivery in listing.deliveries] == ["stays.csv"]
    assert [skipped.message for skipped in listing.skipped] == ["gone.csv was removed while the folder was listed"]


# (folder and pattern of another channel, the files of `shop` in `in`, pattern *.csv, that are refused)
CLAIMS: list[tuple[str, str, list[str]]] = [
    ("in", "lines*.csv", ["lines_1.csv"]),
    ("./in/", "./*.csv", ["lines_1.csv", "orders_1.csv"]),
    ("{home}/in", "*_1.*", ["lines_1.csv", "orders_1.csv"]),
    ("elsewhere/../in", "orders_?.csv", ["orders_1.csv"]),
    ("link", "orders_*", ["orders_1.csv"]),
    (".", "in/[a-m]*.csv", ["lines_1.csv"]),
    ("in", "Lines*.csv", []),
    ("in", "*.txt", []),
    ("in", "*/lines*.csv", []),
    ("other", "*.csv", []),
]


@pytest.mark.parametrize(("folder", "pattern", "refused"), CLAIMS)
def test_a_file_that_two_channels_claim_is_refused(
    tmp_path: Path, folder: str, pattern: str, refused: list[str]
) -> None:
    for name in ("in", "other", "elsewhere"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to("in")
    for name in ("lines_1.csv", "orders_1.csv"):
        put(tmp_path / "in", name)
    shop = channel(files="*.csv")
    rival = channel(files=pattern, settings={"code": "rival", "folder": folder.format(home=tmp_path)})
    both = claims(CONFIGURATION.model_copy(update={"channels": {"shop": shop, "rival": rival}}), in_home(tmp_path))
    listing = list_deliveries(shop, "order_line", tmp_path / "in", NOW_NS, both)
    assert [delivery.name for delivery in listing.deliveries] == ["lines_1.csv", "orders_1.csv"]
    assert sorted(path.name for path in listing.refused) == refused
    for path, error in listing.refused.items():
        assert error.code == "FILE_CLAIMED_TWICE"
        assert f"{path.name} is matched by shop order_line (*.csv in {tmp_path}/in) and by rival" in error.message
    from_there = list_deliveries(rival, "order_line", tmp_path / rival.folder, NOW_NS, both)
    assert sorted(path.name for path in from_there.refused) == refused, "neither side loads it"


def test_two_entities_of_one_channel_cannot_share_a_file_nor_can_a_link_to_it(tmp_path: Path) -> None:
    path = put(tmp_path, "orders.csv")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "renamed.csv").symlink_to(path)
    rivals = [Claim("shop", "order", tmp_path, "orders*"), Claim("shop", "order_line", tmp_path, "*.csv")]
    listing = list_deliveries(channel(files="*.csv"), "order_line", tmp_path, NOW_NS, rivals)
    assert list(listing.refused) == [path]
    through_a_link = list_deliveries(channel(files="*.csv"), "order_line", tmp_path / "in", NOW_NS, rivals)
    assert [path.name for path in through_a_link.refused] == ["renamed.csv"]


def test_the_inbox_lists_a_refused_file_and_says_why(tmp_path: Path) -> None:
    path, of = good_file(tmp_path), channel(files="*", settings={"settle_seconds": 0})
    rival = Claim("rival", "order_line", tmp_path, "orders*")
    inbox = FileInbox(of, "order_line", LocalFolder(tmp_path), CONFIGURATION, tmp_path / "work", [rival])
    (delivery,) = inbox.deliveries()
    assert delivery.path == path
    assert inbox.refused(delivery).code == "FILE_CLAIMED_TWICE"


def test_a_channel_that_is_switched_off_claims_nothing(tmp_path: Path) -> None:
    off = channel(settings={"enabled": False})
    assert claims(CONFIGURATION.model_copy(update={"channels": {"shop": off}}), in_home(tmp_path)) == []


def test_nothing_delivered_and_no_folder_are_different_answers(tmp_path: Path) -> None:
    listing = list_deliveries(channel(files="*.csv"), "order_line", tmp_path, NOW_NS)
    assert (listing.deliveries, listing.skipped) == ((), ())
    with pytest.raises(Rejected, match="there is no folder") as caught:
        list_deliveries(channel(files="*.csv"), "order_line", tmp_path / "lost", NOW_NS)
    assert caught.value.code == "FOLDER_MISSING"


def test_a_folder_that_may_not_be_read_is_no_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deny(monkeypatch, "listdir", tmp_path)
    with pytest.raises(Rejected, match="Permission denied") as caught:
        list_deliveries(channel(files="*.csv"), "order_line", tmp_path, NOW_NS)
    assert caught.value.code == "FOLDER_UNREADABLE"


def good_file(tmp_path: Path) -> Path:
    path = tmp_path / "orders.csv"
    path.write_text(csv_text([LINE_FIELDS, LINE]))
    return path


@pytest.mark.parametrize("change", ["grown", "touched", "removed"])
def test_a_file_changed_since_it_was_listed_loads_nothing(tmp_path: Path, change: str) -> None:
    path, of = good_file(tmp_path), channel()
    delivery = deliver(path, of)
    if change == "grown":
        path.write_text(path.read_text() + ",".join(LINE))
        os.utime(path, ns=(delivery.modified_ns, delivery.modified_ns))
    elif change == "touched":
        os.utime(path, ns=(0, delivery.modified_ns + 1))
    else:
        path.unlink()
    with pytest.raises(Rejected) as caught:
        parse(delivery, of, CONFIGURATION, tmp_path / "work", NOW)
    assert caught.value.code == "FILE_CHANGED"


def test_a_file_changed_while_it_is_read_loads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, of = good_file(tmp_path), channel()
    delivery = deliver(path, of)
    settle = parse_module.settle

    def settle_late(*arguments: object) -> object:
        path.write_text("half of another fi")
        return settle(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(parse_module, "settle", settle_late)
    with pytest.raises(Rejected) as caught:
        parse(delivery, of, CONFIGURATION, tmp_path / "work", NOW)
    assert caught.value.code == "FILE_CHANGED"
    assert [each for each in (tmp_path / "work").rglob("*") if each.is_file()] == []


def test_truncated_gzip_loads_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    rows = [(f"A{number}", *LINE[1:]) for number in range(20_000)]
    whole = gzip.compress(csv_text([LINE_FIELDS, *rows]).encode())
    path, of = tmp_path / "orders.csv", channel()
    for cut in (len(whole) // 2, len(whole) - 4, 5):
        path.write_bytes(whole[:cut])
        with pytest.raises(Rejected) as caught:
            parse(deliver(path, of), of, CONFIGURATION, tmp_path / "work", NOW)
        assert caught.value.code == "GZIP_TRUNCATED", cut
        assert list((tmp_path / "work").iterdir()) == []
    path.write_bytes(whole[:200] + b"\xff\x00\xff" + whole[203:])
    with pytest.raises(Rejected) as caught:
        parse(deliver(path, of), of, CONFIGURATION, tmp_path / "work", NOW)
    assert caught.value.code == "GZIP_BROKEN"


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        duckdb.IOException('IO Error: Could not write all bytes to file "x": No space left on device'),
    ],
)
def test_a_full_disk_is_said_to_be_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    path, of = good_file(tmp_path), channel()

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(parse_module, "_copy", fail)
    with pytest.raises(Retryable, match="no room left"):
        parse(deliver(path, of), of, CONFIGURATION, tmp_path / "work", NOW)
    assert list((tmp_path / "work").iterdir()) == []
