"""What the first bytes of an image say of it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from release_case import png

from caravan.config.images import read_image

JPEG_HEAD = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
JPEG_TABLE = b"\xff\xc4\x00\x05\x00\x01\x02"  # a Huffman table, between the markers of frames
JPEG_FRAME = b"\x00\x11\x08\x01\x2c\x02\x58\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01"  # 300 high, 600 wide


def webp(chunk: bytes) -> bytes:
    return b"RIFF\x00\x00\x00\x00WEBP" + chunk


# (file name, content, media type, width, height)
IMAGES = [
    ("a.png", png(640, 480), "image/png", 640, 480),
    ("a.GIF", b"GIF89a\x40\x01\xf0\x00rest", "image/gif", 320, 240),
    ("a.jpg", JPEG_HEAD + b"\xff\xc0" + JPEG_FRAME, "image/jpeg", 600, 300),
    ("a.jpeg", JPEG_HEAD + JPEG_TABLE + b"\xff\xff\xff\xc2" + JPEG_FRAME, "image/jpeg", 600, 300),
    ("a.webp", webp(b"VP8X\x0a\0\0\0\x10\0\0\0\x57\x02\0\x2b\x01\0"), "image/webp", 600, 300),
    ("a.webp", webp(b"VP8L\x0a\0\0\0\x2f" + (599 | 299 << 14).to_bytes(4, "little")), "image/webp", 600, 300),
    ("a.webp", webp(b"VP8 \x0a\0\0\0\x30\x01\0\x9d\x01\x2a\x58\x02\x2c\x01"), "image/webp", 600, 300),
]


@pytest.mark.parametrize(("name", "content", "media_type", "width", "height"), IMAGES)
def test_the_size_in_pixels(
    tmp_path: Path, name: str, content: bytes, media_type: str, width: int, height: int
) -> None:
    (tmp_path / name).write_bytes(content)
    image = read_image(tmp_path / name)
    assert (image.media_type, image.width, image.height) == (media_type, width, height)
    assert image.sha256 == hashlib.sha256(content).hexdigest()
    assert image.published_name == f"a-{image.sha256[:10]}.{name.split('.')[1].lower()}"


@pytest.mark.parametrize(("name", "content", "width", "height"), [(*each[:2], *each[3:]) for each in IMAGES])
def test_wherever_an_image_is_cut_off_its_size_is_right_or_it_is_told(
    tmp_path: Path, name: str, content: bytes, width: int, height: int
) -> None:
    told = set()
    for length in range(min(len(content), 60)):
        (tmp_path / name).write_bytes(content[:length])
        try:
            image = read_image(tmp_path / name)
            assert (image.width, image.height) == (width, height)
        except ValueError as error:
            told.add(str(error))
    assert told and told <= {
        "is cut off: its size in pixels is not there",
        "is no PNG, JPEG, GIF or WebP image",
    }


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("a.jpg", png(), "holds image/png, its name says image/jpeg; rename it"),
        ("a.png", b"%PDF-1.7", "is no PNG, JPEG, GIF or WebP image"),
        ("a.jpg", JPEG_HEAD + b"\xff\xd9", "is cut off: its size in pixels is not there"),
        ("a.gif", b"GIF89a\0\0\0\0", "has no pixels"),
    ],
)
def test_what_is_no_image(tmp_path: Path, name: str, content: bytes, fault: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError) as caught:
        read_image(tmp_path / name)
    assert str(caught.value) == fault
