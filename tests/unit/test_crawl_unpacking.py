"""Content-Encoding undone, and what is wrong with what cannot be."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest

from caravan.clients.crawl.unpacking import unpack

PAGE = b"<title>Shoes</title>" * 50
RAW = zlib.compress(PAGE, wbits=-15)


def packed(content: bytes) -> bytes:
    """Without a time in it: the same whenever it is made, and in every process that runs these tests."""
    return gzip.compress(content, mtime=0)


@pytest.mark.parametrize(
    ("wire", "encoding", "content", "reason"),
    [
        (PAGE, "", PAGE, None),
        (PAGE, "identity", PAGE, None),
        (b"", "gzip", b"", None),
        (packed(PAGE), "gzip", PAGE, None),
        (packed(PAGE), " X-GZIP , identity", PAGE, None),
        (packed(PAGE[:300]) + packed(PAGE[300:]), "gzip", PAGE, None),
        (packed(PAGE) + b"\0\0 rest", "gzip", PAGE, None),
        (packed(b""), "gzip", b"", None),
        (packed(b"") * 99 + packed(PAGE), "gzip", PAGE, None),
        (packed(b"") * 200_000, "gzip", b"", "encoding"),
        (zlib.compress(PAGE), "deflate", PAGE, None),
        (RAW, "deflate", PAGE, None),
        (packed(zlib.compress(PAGE)), "deflate, gzip", PAGE, None),
        (zlib.compress(packed(PAGE)), "deflate, gzip", b"", "encoding"),
        (PAGE, "gzip", b"", "encoding"),
        (PAGE, "br", b"", "encoding"),
        (PAGE, "utf-8", b"", "encoding"),
        (packed(PAGE)[:-9], "gzip", PAGE, "encoding"),
        (packed(PAGE)[:5], "gzip", b"", "encoding"),
        (packed(PAGE)[:-8] + b"\0" * 8, "gzip", b"", "encoding"),
        (packed(PAGE), "gzip, gzip, gzip, gzip", b"", "encoding"),
        (PAGE * 2, "", (PAGE * 2)[:1000], "size"),
        (packed(PAGE * 2), "gzip", (PAGE * 2)[:1000], "size"),
        (packed(PAGE) * 2, "gzip", PAGE, "size"),
        (packed(packed(b"\0" * 5_000_000)), "gzip, gzip", b"\0" * 1000, "size"),
    ],
)
def test_unpacking(wire, encoding, content, reason):
    assert len(PAGE) == 1000
    assert unpack(wire, encoding, 1000) == (content, reason)


def test_a_bomb_takes_no_memory():
    packer = zlib.compressobj(wbits=31)
    bomb = b"".join(packer.compress(b"\0" * (1 << 20)) for _ in range(64)) + packer.flush()
    tracemalloc.start()
    assert unpack(bomb, "gzip", 100_000) == (b"\0" * 100_000, "size")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 << 20
