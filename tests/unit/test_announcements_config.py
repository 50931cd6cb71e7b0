"""What a site's file says under `announce`, held against the files of outlets and of other sites."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from config_case import edit, write_config

from caravan import PROJECT_ROOT
from caravan.config.loader import check
from caravan.config.sites import load_sites

SHOP = """\
code: shop
name: The shop
start_urls: [https://www.example.com/, https://www.example.de/]
announce:
  outlet: search
  most_per_day: 500
  sitemaps:
    - {url: https://www.example.com/sitemap.xml, folder: web}
    - {url: https://www.example.de/de/pages.xml, bucket: a-bucket, prefix: de}
"""
START = "start_urls: [https://www.example.com/]\n"
BLOG = "code: blog\nname: Blog\nstart_urls: [https://blog.example/]\n"
OUTLETS = {
    "search": "kind: indexnow\nkey: 0123456789abcdef\n",
    "press": "kind: site\nbase_url: https://news.example.com\npublisher: A\nfolder: press/\n",
    "broken": "kind: indexnow\n: x\n",
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    folder = write_config(tmp_path)
    (folder / "sites").mkdir()
    (folder / "sites" / "shop.yml").write_text(SHOP)
    (folder / "outlets").mkdir()
    for code, text in OUTLETS.items():
        (folder / "outlets" / f"{code}.yml").write_text(f"code: {code}\nname: {code}\n{text}")
    return folder


def test_it_is_read(config: Path) -> None:
    sites, faults = load_sites(config)
    assert faults == []
    announce = sites["shop"].announce
    assert announce is not None and (announce.outlet, announce.most_per_day) == ("search", 500)
    assert [(each.base_url, each.name, each.folder, each.bucket) for each in announce.sitemaps] == [
        ("https://www.example.com/", "sitemap.xml", "web", None),
        ("https://www.example.de/de/", "pages.xml", None, "a-bucket"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("outlet: search", "outlet: searc", ":5 announce.outlet: there is no outlet 'searc' of kind indexnow; did you"),
        ("outlet: search", "outlet: press", ":5 announce.outlet: there is no outlet 'press' of kind indexnow; known"),
        ("most_per_day: 500", "most_per_day: 0", ":6 announce.most_per_day: '0': input should be greater than or"),
        ("most_per_day", "most_a_day", ":6 announce.most_a_day: unknown key 'most_a_day'; did you mean 'most_per_day'"),
        ("folder: web}", "folder: press}", ":8 announce.sitemaps[0]: the outlet press keeps its own sitemaps there;"),
        (", folder: web}", "}", ":8 announce.sitemaps[0]: give either `folder` or `bucket`: where its files are put"),
        (".com/sitemap.xml", ".com/", ":8 announce.sitemaps[0].url: 'https://www.example.com/' is no address of a"),
        (".com/sitemap.xml", ".com/a.xml?b", ":8 announce.sitemaps[0].url: 'https://www.example.com/a.xml?b' is no"),
        (
            ".com/sitemap.xml",
            ".fr/sitemap.xml",
            ":8 announce.sitemaps[0].url: https://www.example.fr/sitemap.xml is on no",
        ),
        ("bucket: a-bucket, prefix: de", "folder: web/./", ":4 announce: two of its `sitemaps` are one file"),
    ],
)
def test_a_fault_is_told_with_its_line_and_leaves_out_the_site(config: Path, old: str, new: str, fault: str) -> None:
    edit(config / "sites/shop.yml", old, new)
    if "folder: web/./" in new:
        edit(config / "sites/shop.yml", "de/pages.xml", "de/sitemap.xml")
    sites, faults = load_sites(config)
    assert any(str(each).startswith(f"sites/shop.yml{fault}") for each in faults), [str(each) for each in faults]
    assert sites == {}


def test_the_example_of_the_manual_is_sound(config: Path) -> None:
    manual = (PROJECT_ROOT / "docs" / "sites.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```yaml\n(announce:.*?)```", manual, re.DOTALL)
    hosts = "hosts: [www.example.com, shop.example.de]\n"
    (config / "sites/shop.yml").write_text(SHOP[: SHOP.index("start")] + START + hosts + example)
    sites, faults = load_sites(config)
    assert [str(each) for each in faults] == [] and "shop" in sites


def test_it_has_to_say_something(config: Path) -> None:
    (config / "sites/shop.yml").write_text(f"{SHOP[: SHOP.index('announce')]}announce: {{most_per_day: 5}}\n")
    assert [str(each) for each in load_sites(config)[1]] == [
        "sites/shop.yml:4 announce: give `outlet`, `sitemaps` or both"
    ]


def test_a_fault_of_the_outlets_own_file_is_not_the_sites(config: Path) -> None:
    edit(config / "sites/shop.yml", "outlet: search", "outlet: broken")
    assert load_sites(config)[1] == []


def test_two_sites_do_not_write_one_sitemap_and_all_is_told_at_once(config: Path) -> None:
    blog = f"{BLOG}announce: {{sitemaps: [{{url: https://blog.example/sitemap.xml, folder: web}}]}}\n"
    (config / "sites" / "blog.yml").write_text(blog)
    sites, faults = load_sites(config)
    assert set(sites) == {"blog"}
    assert [str(each) for each in faults] == ["sites/shop.yml announce.sitemaps: the site blog writes one of them"]
    for folder in (config.parent / "web", config.parent / "press" / ".." / "web"):
        edit(config / "sites/blog.yml", "folder: web", f"folder: {folder}")
        assert set(load_sites(config, home=config.parent)[0]) == {"blog"}, folder
        edit(config / "sites/blog.yml", f"folder: {folder}", "folder: web")
    edit(config / "sites/blog.yml", "code: blog", "enabled: false\ncode: blog")
    assert (set(load_sites(config)[0]), load_sites(config)[1]) == ({"blog", "shop"}, []), "that one writes nothing"
    edit(config / "sites/blog.yml", "folder: web", "folder: press")
    edit(config / "sites/shop.yml", "outlet: search", "outlet: press")
    assert len(check(config)) == 2
