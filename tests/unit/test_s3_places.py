"""Places in buckets as configuration writes them: faults in plain words, overlaps found, nothing secret repeated."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from caravan import INCLUDE_DIR
from caravan.config.loader import check
from caravan.config.places import place_problem, s3_place


@pytest.mark.parametrize(
    ("text", "bucket", "prefix", "shown"),
    [
        ("s3://orders", "orders", "", "s3://orders"),
        ("s3://orders/", "orders", "", "s3://orders"),
        ("s3://my.orders-2/in/shop de/", "my.orders-2", "in/shop de", "s3://my.orders-2/in/shop de"),
    ],
)
def test_a_place(text: str, bucket: str, prefix: str, shown: str) -> None:
    place = s3_place(text)
    assert (place.bucket, place.prefix, str(place)) == (bucket, prefix, shown)
    assert place.key("a", "b") == "/".join(filter(None, [prefix, "a", "b"]))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("S3://orders/in", "'S3://orders/in' is no place that Caravan reads; write s3://bucket/prefix"),
        ("s3:/orders/in", "write s3://bucket/prefix"),
        ("s3a://orders/in", "write s3://bucket/prefix"),
        ("gs://orders/in", "write s3://bucket/prefix"),
        ("https://me:sesame@orders.s3.amazonaws.com/in", "'https://orders.s3.amazonaws.com/in' is no place"),
        ("s3://", "'' is no name of a bucket"),
        ("s3:///in", "'' is no name of a bucket"),
        ("s3://Orders/in", "'Orders' is no name of a bucket"),
        ("s3://or..ders/in", "is no name of a bucket"),
        ("s3://AKIA:sesame@orders/in", "keys have no place in a URL"),
        ("s3://orders/in//x", "has an empty part"),
        ("s3://orders//in", "has an empty part"),
        ("s3://orders/in/../x", "has an empty part, `.` or `..`"),
        ("s3://orders/in/*.csv", "has *; patterns belong into `files`"),
        ("s3://orders/in?versionId=1", "has ?; patterns belong into `files`"),
    ],
)
def test_what_is_no_place(text: str, words: str) -> None:
    problem = place_problem(text)
    assert problem is not None and words in problem
    assert "sesame" not in problem


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Two channels and their markets are enough, and quicker to read."""

    def others(folder: str, names: list[str]) -> list[str]:
        kept = {"channels": ["shop_de.yml", "shop_fr.yml"], "markets": ["de.yml", "fr.yml", "zz.yml"]}
        return [name for name in names if name not in kept.get(Path(folder).name, names)]

    shutil.copytree(INCLUDE_DIR / "config", tmp_path / "config", ignore=others)
    (tmp_path / "config/alerts.yml").unlink()  # names channels that are not here
    return tmp_path / "config"


def move(config: Path, channel: str, folder: str) -> None:
    file = config / f"channels/{channel}.yml"
    text = file.read_text(encoding="utf-8")
    assert f"folder: incoming/{channel}\n" in text
    file.write_text(text.replace(f"folder: incoming/{channel}\n", f"folder: {folder}\n"), encoding="utf-8")


def faults(config: Path) -> list[str]:
    return [str(fault) for fault in check(config, config.parent)]


def test_a_malformed_place_is_a_fault_with_its_line(config: Path) -> None:
    move(config, "shop_de", "s3://Orders/in")
    move(config, "shop_fr", "incoming/shop_fr\nconnection: s3_default")
    project = config / "project.yml"
    project.write_text(project.read_text() + "published: ftp://host/out\n")
    found = "\n".join(faults(config))
    assert "channels/shop_de.yml:5 folder: 'Orders' is no name of a bucket" in found
    assert "connection: is for a folder in a bucket" in found
    assert "published: 'ftp://host/out' is no place that Caravan reads" in found
    assert len(faults(config)) == 3


FILES = "bestellungen_*.csv"  # of shop_de


@pytest.mark.parametrize(
    ("folder", "clashes"),
    [
        ("s3://orders/in", True),
        ("s3://orders/in/", True),
        ("s3://orders/in\nconnection: s3_default", True),
        ("s3://orders/in\nconnection: s3_partner", False),
        ("s3://orders/in/deeper", False),
        ("s3://orders-2/in", False),
        ("orders/in", False),
    ],
)
def test_two_channels_that_read_the_same_objects(config: Path, folder: str, clashes: bool) -> None:
    move(config, "shop_de", "s3://orders/in")
    move(config, "shop_fr", folder)
    file = config / "channels/shop_fr.yml"
    text = file.read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.strip().startswith("files:"))
    file.write_text(text.replace(line, f"    files: {FILES}"), encoding="utf-8")
    found = [fault for fault in faults(config) if "reads the same files" in fault]
    assert len(found) == (2 if clashes else 0), faults(config)
