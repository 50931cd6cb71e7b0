"""A page's bytes as text: which charset, who said so, and what cannot be read."""

from __future__ import annotations

import codecs

import pytest

from caravan.clients.crawl.charsets import _BY_LABEL, charset_of, codec_of
from caravan.clients.crawl.decoding import EARLY_BYTES, declared, decode
from caravan.clients.crawl.sniffing import sniffed_type

HTML = "text/html"
JAPANESE = "<title>靴とバッグ</title>"
GERMAN = "<title>Schöne Schuhe</title>"


def _meta(charset: str, text: str, codec: str | None = None) -> bytes:
    return f'<meta charset="{charset}">{text}'.encode(codec or charset)


@pytest.mark.parametrize(
    ("body", "content_type", "charset", "source", "is_early", "is_replaced", "word"),
    [
        # Who says so
        (GERMAN.encode(), "text/html; charset=utf-8", "utf-8", "header", True, False, "Schöne"),
        (GERMAN.encode("utf-8-sig"), "text/html; charset=latin1", "utf-8", "bom", True, False, "Schöne"),
        (_meta("windows-1251", "Обувь"), "text/html; charset=UTF-8", "utf-8", "header", True, True, "\ufffd"),
        (_meta("windows-1251", "Обувь"), "text/html; charset=nonsense", "windows-1251", "meta", True, False, "Обувь"),
        (_meta("windows-1251", "Обувь"), None, "windows-1251", "meta", True, False, "Обувь"),
        (GERMAN.encode(), HTML, "utf-8", "assumed", False, False, "Schöne"),
        (GERMAN.encode("cp1252"), HTML, "windows-1252", "assumed", False, False, "Schöne"),
        (b"<title>Shoes</title>", None, "utf-8", "assumed", False, False, "Shoes"),
        (b"", None, "utf-8", "assumed", False, False, ""),
        (b"", 'text/html; charset="utf-8"', "utf-8", "header", True, False, ""),
        # Charsets of the world
        (_meta("Shift_JIS", JAPANESE), HTML, "shift_jis", "meta", True, False, "靴とバッグ"),
        (JAPANESE.encode("shift_jis"), "text/html;charset=x-sjis", "shift_jis", "header", True, False, "靴とバッグ"),
        (_meta("Shift_JIS", "①髙～", "cp932"), HTML, "shift_jis", "meta", True, False, "①髙～"),
        (_meta("EUC-JP", JAPANESE), HTML, "euc-jp", "meta", True, False, "靴とバッグ"),
        (_meta("iso-2022-jp", JAPANESE), HTML, "iso-2022-jp", "meta", True, False, "靴とバッグ"),
        (_meta("gb2312", "皮鞋镕", "gbk"), HTML, "gbk", "meta", True, False, "皮鞋镕"),
        (_meta("gb18030", "皮鞋㐀"), HTML, "gb18030", "meta", True, False, "皮鞋㐀"),
        (_meta("euc-kr", "신발똠", "cp949"), HTML, "euc-kr", "meta", True, False, "신발똠"),
        (_meta("big5", "鞋子"), HTML, "big5", "meta", True, False, "鞋子"),
        (_meta("windows-1250", "Příliš"), HTML, "windows-1250", "meta", True, False, "Příliš"),
        (_meta("windows-1255", "נעליים"), HTML, "windows-1255", "meta", True, False, "נעליים"),
        (_meta("tis-620", "รองเท้า"), HTML, "windows-874", "meta", True, False, "รองเท้า"),
        (_meta("iso-8859-1", "„Schuhe“ 10 €", "cp1252"), HTML, "windows-1252", "meta", True, False, "„Schuhe“ 10 €"),
        (_meta("iso-8859-15", "10 €"), HTML, "iso-8859-15", "meta", True, False, "10 €"),
        (JAPANESE.encode("utf-16"), HTML, "utf-16le", "bom", True, False, "靴とバッグ"),
        (codecs.BOM_UTF16_BE + JAPANESE.encode("utf-16-be"), HTML, "utf-16be", "bom", True, False, "靴とバッグ"),
        (JAPANESE.encode("utf-16-le"), "text/html; charset=utf-16", "utf-16le", "header", True, False, "靴とバッグ"),
        (_meta("utf-16", GERMAN, "utf-8"), HTML, "utf-8", "meta", True, False, "Schöne"),
        # What cannot be read
        (b"\xc3\xa4 \xff \xc3", "text/html; charset=utf-8", "utf-8", "header", True, True, "ä \ufffd \ufffd"),
        (b"a\x81\x9db", "text/html; charset=windows-1252", "windows-1252", "header", True, False, "a\x81\x9db"),
        (b"a\xaab", "text/html; charset=windows-1253", "windows-1253", "header", True, True, "a\ufffdb"),
        (b"\x82\xa0\x82", "text/html; charset=shift_jis", "shift_jis", "header", True, True, "あ\ufffd"),
        (b"a\0b\0c", "text/html; charset=utf-16le", "utf-16le", "header", True, True, "ab\ufffd"),
        (b"~{<:Ky~}", "text/html; charset=hz-gb-2312", "replacement", "header", True, True, "\ufffd"),
        (b"a\x80\xff", "text/html; charset=x-user-defined", "x-user-defined", "header", True, False, "a\uf780\uf7ff"),
        ("Schöne".encode() + b"\xe9", HTML, "windows-1252", "assumed", False, False, "SchÃ¶neé"),
    ],
)
def test_pages(body, content_type, charset, source, is_early, is_replaced, word):
    found = decode(body, content_type)
    assert (found.charset, found.source, found.has_early_charset, found.has_replaced_bytes) == (
        charset,
        source,
        is_early,
        is_replaced,
    )
    assert word in found.text
    assert not found.text.startswith("\ufeff")


@pytest.mark.parametrize(("place", "is_early"), [(EARLY_BYTES, True), (EARLY_BYTES + 1, False), (50_000, False)])
def test_how_far_into_a_page_its_word_may_stand(place, is_early):
    meta = b'<meta charset="shift_jis">'
    body = b"<!--" + b" " * (place - len(meta) - 7) + b"-->" + meta + JAPANESE.encode("shift_jis")
    assert body.index(meta) + len(meta) == place
    found = decode(body, HTML)
    assert (found.charset, found.source, found.has_early_charset) == ("shift_jis", "meta", is_early)


def test_a_word_that_comes_after_the_head_or_never_is_none():
    text = b"<body>" + b" " * EARLY_BYTES + b'<meta charset="shift_jis">'
    assert decode(text, HTML).source == "assumed"
    assert decode(b" " * 70_000 + b'<meta charset="shift_jis">', HTML).source == "assumed"


@pytest.mark.parametrize(
    ("body", "content_type", "text", "is_replaced"),
    [
        ("aé".encode()[:-1], "text/html; charset=utf-8", "a", False),
        ("aé".encode()[:-1], None, "a", False),
        ("あい".encode("shift_jis")[:-1], "text/html; charset=shift_jis", "あ", False),
        ("ab".encode("utf-16-le")[:-1], "text/html; charset=utf-16le", "a", False),
        (b"\xff" + "aé".encode()[:-1], "text/html; charset=utf-8", "\ufffda", True),
    ],
)
def test_a_cut_goes_through_a_character(body, content_type, text, is_replaced):
    found = decode(body, content_type, is_cut=True)
    assert (found.text, found.has_replaced_bytes) == (text, is_replaced)
    assert decode(body, content_type).text != text


@pytest.mark.parametrize(
    ("head", "charset"),
    [
        (b'<meta charset="utf-8">', "utf-8"),
        (b"<META CHARSET='UTF-8'>", "utf-8"),
        (b"<meta charset=utf-8/>", None),
        (b"<meta charset = utf-8 >", "utf-8"),
        (b"<meta/charset=utf-8>", "utf-8"),
        (b'<meta charset=" utf-8 ">', "utf-8"),
        (b'<meta name="x" content="y"><meta charset="koi8-r">', "koi8-r"),
        (b'<meta http-equiv="Content-Type" content="text/html; charset=koi8-r">', "koi8-r"),
        (b"<meta content='text/html;charset = \"koi8-r\"' http-equiv=content-type>", "koi8-r"),
        (b'<meta content="text/html; charset=koi8-r">', None),
        (b'<meta name="description" content="charset=koi8-r">', None),
        (b'<meta charset="nonsense"><meta charset="koi8-r">', "koi8-r"),
        (b'<meta charset="koi8-r" charset="utf-8">', "koi8-r"),
        (b"<metadata charset=koi8-r>", None),
        (b'<!-- <meta charset="koi8-r"> --><meta charset="utf-8">', "utf-8"),
        (b'<!--><meta charset="koi8-r">', "koi8-r"),
        (b'<!-- <meta charset="koi8-r">', None),
        (b'<a title="<meta charset=koi8-r>"><meta charset="utf-8">', "utf-8"),
        (b'</p title=">"><meta charset="utf-8">', "utf-8"),
        (b'<!doctype html><?x <b?><meta charset="utf-8">', "utf-8"),
        (b"<meta charset=\xff>", None),
        (b"<meta charset", None),
        (b"<meta ", None),
        (b"<", None),
        (b"a < b", None),
        (b'<meta charset="utf-16le">', "utf-8"),
        (b'<meta charset="x-user-defined">', "windows-1252"),
        (b'<?xml version="1.0" encoding="Shift_JIS"?><html>', "shift_jis"),
        (b"<?xml version='1.0' encoding = 'koi8-r'?><meta charset=utf-8>", "utf-8"),
        (b'<?xml version="1.0" encoding="utf-16"?>', "utf-8"),
        ('<?xml version="1.0"?>'.encode("utf-16-le"), "utf-16le"),
        ('<?xml version="1.0"?>'.encode("utf-16-be"), "utf-16be"),
    ],
)
def test_what_a_page_says_of_itself(head, charset):
    assert declared(head) == charset


@pytest.mark.parametrize(
    ("label", "charset"),
    [
        ("UTF8", "utf-8"),
        (" utf-8\n", "utf-8"),
        ("ISO-8859-1", "windows-1252"),
        ("us-ascii", "windows-1252"),
        ("iso-8859-9", "windows-1254"),
        ("gb2312", "gbk"),
        ("ks_c_5601-1987", "euc-kr"),
        ("utf-7", None),
        ("utf-32", None),
        ("", None),
        ("rot13", None),
    ],
)
def test_labels(label, charset):
    assert charset_of(label) == charset


def test_python_can_read_every_charset_of_the_standard():
    names = sorted(set(_BY_LABEL.values()) - {"replacement", "x-user-defined"})
    assert len(names) == 38
    assert len(_BY_LABEL) == 228
    for name in names:
        assert "a" in codecs.decode("a".encode(codec_of(name)), codec_of(name))


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"", None),
        (b"<!DOCTYPE html><html>", "text/html"),
        (b"\xef\xbb\xbf \n<!doctype HTML>", "text/html"),
        ("<!doctype html>".encode("utf-16"), "text/html"),
        (codecs.BOM_UTF16_BE + "<html>".encode("utf-16-be"), "text/html"),
        (b"<!-- x --><p>", "text/html"),
        (b"<p>Hello", "text/html"),
        (b"<pre>Hello", "text/plain"),
        (b'<?xml version="1.0"?><urlset>', "text/xml"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg">', "image/svg+xml"),
        (b'<svg viewBox="0 0 1 1">', "image/svg+xml"),
        (b"%PDF-1.7\n", "application/pdf"),
        (b"\x89PNG\r\n\x1a\n\0\0", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "image/webp"),
        (b"\0\0\0\x20ftypavif", "image/avif"),
        (b"\0\0\0\x20ftypisom", "video/mp4"),
        (b"\x1f\x8b\x08\0", "application/gzip"),
        (b"PK\3\4\x14", "application/zip"),
        (b"wOF2\0\1", "font/woff2"),
        (b'{"a": 1}', "text/plain"),
        (b"body { color: red }", "text/plain"),
        ("Schöne Schuhe".encode("cp1252"), "text/plain"),
        (b"a\0b\1c", "application/octet-stream"),
    ],
)
def test_what_a_body_begins_like(body, media_type):
    assert sniffed_type(body) == media_type
