"""A crawled site's sitemap in its place: split, put again, grown and shrunk."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from caravan.clients.site.listing import put_sitemap
from caravan.clients.site.sitemaps import Listed
from caravan.clients.site.store import FolderStore
from caravan.core.errors import Rejected

URL = "https://www.example.com/shop/pages.xml"


def pages(count: int, day: str | None = "2026-03-01") -> list[Listed]:
    return [Listed(f"https://www.example.com/shop/{number}", day, {}) for number in range(count)]


def put(folder: Path, listed: list[Listed]) -> int:
    return put_sitemap(FolderStore(folder), URL, listed, most_urls=3)


def files(folder: Path) -> dict[str, list[str]]:
    """Addresses by file."""
    found = {}
    for path in sorted(folder.glob("*.xml")):
        locations = (str(each.text) for each in ET.parse(path).iter() if each.tag.endswith("}loc"))
        found[path.name] = [location.rpartition("/")[2] for location in locations]
    return found


def test_it_grows_and_shrinks_and_leaves_what_others_keep_there(tmp_path: Path) -> None:
    (tmp_path / "pages-7.xml").write_text("<urlset/>")
    assert put(tmp_path, pages(2)) == 2
    assert files(tmp_path) == {"pages-7.xml": [], "pages.xml": ["0", "1"]}
    assert put(tmp_path, pages(7)) == 7
    assert files(tmp_path) == {
        "pages-1.xml": ["0", "1", "2"],
        "pages-2.xml": ["3", "4", "5"],
        "pages-3.xml": ["6"],
        "pages-7.xml": [],
        "pages.xml": ["pages-1.xml", "pages-2.xml", "pages-3.xml"],
    }
    put(tmp_path, pages(4))
    assert sorted(files(tmp_path)) == ["pages-1.xml", "pages-2.xml", "pages-7.xml", "pages.xml"]
    put(tmp_path, pages(3))
    assert files(tmp_path) == {"pages-7.xml": [], "pages.xml": ["0", "1", "2"]}


def test_the_index_says_when_a_part_changed_last(tmp_path: Path) -> None:
    put(tmp_path, [*pages(2), Listed("https://www.example.com/shop/new", "2026-03-05", {}), *pages(2, None)])
    index = (tmp_path / "pages.xml").read_text()
    assert index.count("<lastmod>") == 1 and "<lastmod>2026-03-05</lastmod>" in index
    assert "<lastmod>" not in (tmp_path / "pages-2.xml").read_text()


def test_what_is_put_again_is_not_written_again(tmp_path: Path) -> None:
    put(tmp_path, pages(5))
    for path in tmp_path.glob("*.xml"):
        os.utime(path, (0, 0))
    put(tmp_path, pages(5))
    assert {path.stat().st_mtime for path in tmp_path.glob("*.xml")} == {0}


def test_without_pages_what_is_there_stays(tmp_path: Path) -> None:
    put(tmp_path, pages(5))
    with pytest.raises(Rejected, match=f"NOTHING_TO_LIST: no page that may be indexed for {URL}: what is there stays"):
        put(tmp_path, [])
    assert len(files(tmp_path)) == 3


class Killed(BaseException):
    """As by SIGKILL: nothing catches it, nothing is tidied."""


class Dying(FolderStore):
    """Its worker dies before a file is put, or deleted."""

    def __init__(self, folder: Path, before: str) -> None:
        super().__init__(folder)
        self.before = before

    def put(self, path: str, content: bytes, content_type: str, seen: str | None) -> bool:
        if path == self.before:
            raise Killed
        return super().put(path, content, content_type, seen)

    def delete(self, path: str) -> None:
        raise Killed


@pytest.mark.parametrize("before", ["pages-1.xml", "pages-2.xml", "pages.xml", "any that is deleted"])
def test_a_worker_that_dies_leaves_whole_files_and_the_next_one_ends_it(tmp_path: Path, before: str) -> None:
    put(tmp_path, pages(7))
    with pytest.raises(Killed):
        put_sitemap(Dying(tmp_path, before), URL, pages(5, "2026-03-02"), most_urls=3)
    listed = files(tmp_path)
    assert all(listed[name] for name in listed["pages.xml"]), "what the index names is there"
    put(tmp_path, pages(5, "2026-03-02"))
    listed = files(tmp_path)
    assert [path for name in listed.pop("pages.xml") for path in listed[name]] == ["0", "1", "2", "3", "4"]
    assert set(listed) <= {"pages-1.xml", "pages-2.xml", "pages-3.xml"}
    assert "2026-03-01" not in "".join((tmp_path / name).read_text() for name in ("pages-1.xml", "pages-2.xml"))


def test_characters_that_xml_does_not_take_as_they_are(tmp_path: Path) -> None:
    put(tmp_path, [Listed("https://www.example.com/shop/?a=1&b=<2>", None, {"de": 'https://www.example.com/?q="x"'})])
    (url,) = ET.parse(tmp_path / "pages.xml").getroot()
    assert url[0].text == "https://www.example.com/shop/?a=1&b=<2>"
    assert url[1].attrib == {"rel": "alternate", "hreflang": "de", "href": 'https://www.example.com/?q="x"'}
