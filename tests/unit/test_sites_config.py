"""Site files: what they say to a crawl, and that a fault leaves out its site alone."""

from __future__ import annotations

import re
import shutil
from datetime import date
from pathlib import Path

import pytest
from config_case import edit, write_config
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from caravan import PROJECT_ROOT
from caravan.cli.check import find_notices
from caravan.config.loader import check
from caravan.config.sites import DROPPED_PARAMETERS, load_sites
from caravan.core.crawl import Limits, Scope

SHOP = """\
code: shop
name: The shop
start_urls: [https://www.example.com/, https://www.example.de/#top]
hosts: [www.example.com, www.example.de]
prefixes: [/de/, /shop/]
excluded: ["/cart", "[?&]sort="]
dropped_parameters: [ref]
sitemaps: [https://www.example.com/maps/all.xml.gz]
limits:
  requests_per_second: 2.5
  pages_of_host: 5000
check_external: true
required_share: 0.9
markets:
  - {market: NO, locale: nb-NO, prefix: /de/}
  - {market: NO, locale: en, host: www.example.de}
checks:
  severity: {title-missing: warning}
  off: [content-spelling]
suppressions:
  - {check: title-too-long, urls: "/archive/", owner: Ada, reason: old pages, expires: 2027-01-31}
gate: [response-5xx]
authorities: own.pem
"""
PLAIN = "code: plain\nname: Plain\nstart_urls: [https://plain.example/]\n"
CHECKS = {"title-missing", "title-too-long", "content-spelling", "response-5xx"}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copy(DEFAULT_CA_BUNDLE_PATH, tmp_path / "own.pem")
    folder = write_config(tmp_path)
    (folder / "sites").mkdir()
    (folder / "sites" / "shop.yml").write_text(SHOP)
    (folder / "sites" / "plain.yml").write_text(PLAIN)
    return folder


def test_a_site_is_read(config: Path) -> None:
    sites, faults = load_sites(config, {"NO"}, CHECKS)
    assert faults == [] and sorted(sites) == ["plain", "shop"]
    shop = sites["shop"]
    assert (shop.authorities, sites["plain"].authorities) == (Path("own.pem"), None)
    assert shop.start_urls == ("https://www.example.com/", "https://www.example.de/")
    assert shop.scope() == Scope(
        hosts=frozenset(["www.example.com", "www.example.de"]),
        prefixes=("/de/", "/shop/"),
        excluded=("/cart", "[?&]sort="),
        dropped_parameters=DROPPED_PARAMETERS | {"ref"},
        check_external=True,
    )
    limits = shop.crawl_limits()
    assert (limits.requests_per_second, limits.pages_of_host, limits.depth) == (2.5, 5000, Limits().depth)
    assert shop.suppressions[0].expires == date(2027, 1, 31)


def test_what_is_left_out_has_a_default(config: Path) -> None:
    plain = load_sites(config)[0]["plain"]
    assert plain.scope() == Scope(frozenset(["plain.example"]), dropped_parameters=DROPPED_PARAMETERS)
    assert plain.crawl_limits() == Limits()
    assert (plain.enabled, float(plain.required_share), plain.gate) == (True, 0.95, ())


# (what is replaced, by what, the fault)
FAULTS = [
    ("code: shop", "code: shoq", ":1 code: 'shoq' differs from the file's name; rename the file to shoq.yml"),
    ("name: The shop\n", "", ":1 name: is required"),
    ("prefixes:", "prefixs:", ":5 prefixs: unknown key 'prefixs'; did you mean 'prefixes'?"),
    ("https://www.example.com/,", "www.example.com,", ":3 start_urls[0]: 'www.example.com' is no address that can be"),
    ("https://www.example.com/,", "ftp://www.example.com/,", ":3 start_urls[0]: 'ftp://www.example.com/' is no addr"),
    ("https://www.example.com/,", "https://a:b@www.example.com/,", ":3 start_urls[0]: 'https://a:b@www.example.com/'"),
    ("[https://www.example.com/, https://www.example.de/#top]", "[]", ":3 start_urls: is empty"),
    (
        "https://www.example.de/#top",
        "https://www.example.fr/",
        ":3 start_urls[1]: https://www.example.fr/ is on none of t",
    ),
    ("[www.example.com, w", "[https://www.example.com, w", ":4 hosts[0]: 'https://www.example.com' is no host"),
    ("[www.example.com, w", "[WWW.example.com, w", ":4 hosts[0]: 'WWW.example.com' is no host; it is written www.exam"),
    ("[www.example.com, w", "[www.example.com/de, w", ":4 hosts[0]: 'www.example.com/de' is no host (like www.exampl"),
    ("[/de/,", "[de/,", ":5 prefixes[0]: 'de/' does not begin with a slash"),
    ('"/cart"', '"/cart("', ":6 excluded[0]: '/cart(' is no regular expression"),
    ('"/cart"', '""', ":6 excluded[0]: is empty; it would match every address"),
    ("requests_per_second: 2.5", "requests_per_second: 0", ":10 limits.requests_per_second: '0': input should be gre"),
    ("pages_of_host: 5000", "pages_of_hosts: 5000", ":11 limits.pages_of_hosts: unknown key 'pages_of_hosts'; did yo"),
    ("check_external: true", "check_external: maybe", ":12 check_external: 'maybe' is neither true nor false"),
    ("required_share: 0.9", "required_share: 95", ":13 required_share: '95': input should be less than or equal to 1"),
    ("{market: NO, locale: nb-NO", "{market: NX, locale: nb-NO", ":15 markets[0].market: there is no market 'NX'"),
    ("locale: nb-NO", "locale: nb_NO", ":15 markets[0].locale: 'nb_NO' is written nb-NO"),
    (", prefix: /de/}", "}", ":15 markets[0]: give `prefix`, `host` or both"),
    ("host: www.example.de", "host: www.example.d", ":16 markets[1].host: 'www.example.d' is no host of the site; did"),
    (
        "locale: en, host",
        "channel: shop_na, locale: en, host",
        ":16 markets[1].channel: there is no channel 'shop_na'; di",
    ),
    (
        "market: NO, locale: en, host: www.example.de",
        "market: SE, locale: sv, prefix: /de/",
        ":16 markets[1]: prefix /de/",
    ),
    ("title-missing: warning", "title-missing: fatal", ":18 checks.severity.title-missing: 'fatal' is not known"),
    (
        "title-missing:",
        "title-misssing:",
        ":18 checks.severity.title-misssing: there is no check 'title-misssing'; di",
    ),
    ("[content-spelling]", "[content-speling]", ":19 checks.off[0]: there is no check 'content-speling'; did you mean"),
    ("[response-5xx]", "[response-5xx, response-5xx]", ":22 gate: has a value twice"),
    ("[response-5xx]", "[response-6xx]", ":22 gate[0]: there is no check 'response-6xx'; did you mean 'response-5xx'?"),
    ("[response-5xx]", "[zzz]", ":22 gate[0]: there is no check 'zzz'; `./caravan site checks` lists them"),
    ("check: title-too-long", "check: title-long", ":21 suppressions[0].check: there is no check 'title-long'; did"),
    ("owner: Ada, ", "", ":21 suppressions[0].owner: is required"),
    (
        '"/archive/"',
        '"/a(?!b)"',
        ":21 suppressions[0].urls: '/a(?!b)' is no RE2 regular expression: invalid perl opera",
    ),
    ("reason: old pages, ", 'reason: "", ', ":21 suppressions[0].reason: is empty"),
    ("2027-01-31", "2027-02-31", ":21 suppressions[0].expires: '2027-02-31' is no day of the calendar"),
]


@pytest.mark.parametrize(("old", "new", "fault"), FAULTS)
def test_a_fault_leaves_out_its_site_alone(config: Path, old: str, new: str, fault: str) -> None:
    edit(config / "sites/shop.yml", old, new)
    sites, faults = load_sites(config, {"NO"}, CHECKS)
    assert any(str(each).startswith(f"sites/shop.yml{fault}") for each in faults), [str(each) for each in faults]
    assert set(sites) == {"plain"}


def test_what_is_wrong_is_told_at_once(config: Path) -> None:
    """Neither hides the other, and what follows from a fault is none."""
    (config / "sites/shop.yml").write_text(
        "code: shop\nstart_urls: [https://a.example/, https://c.example/]\nhosts: [a.example]\n"
        "markets:\n  - {market: NO, locale: nb_NO}\n"
        "announce: {sitemaps: [{url: https://b.example/map.xml, folder: web}]}\n"
    )
    assert [str(each) for each in load_sites(config, {"NO"}, CHECKS)[1]] == [
        "sites/shop.yml:1 name: is required",
        "sites/shop.yml:2 start_urls[1]: https://c.example/ is on none of the `hosts`",
        "sites/shop.yml:5 markets[0]: give `prefix`, `host` or both: where its pages are",
        "sites/shop.yml:5 markets[0].locale: 'nb_NO' is written nb-NO",
        "sites/shop.yml:6 announce.sitemaps[0].url: https://b.example/map.xml is on no host of the site",
    ]
    edit(config / "sites/shop.yml", "hosts: [a.example]", "hosts: [A.example]")
    assert [str(each) for each in load_sites(config, {"NO"}, CHECKS)[1]] == [
        "sites/shop.yml:1 name: is required",
        "sites/shop.yml:3 hosts[0]: 'A.example' is no host; it is written a.example",
        "sites/shop.yml:5 markets[0]: give `prefix`, `host` or both: where its pages are",
        "sites/shop.yml:5 markets[0].locale: 'nb_NO' is written nb-NO",
    ]


def test_a_list_whose_only_item_is_at_fault_is_not_told_to_be_empty(config: Path) -> None:
    edit(config / "sites/plain.yml", "https://plain.example/", "plain.example")
    assert [str(each) for each in load_sites(config)[1]] == [
        "sites/plain.yml:3 start_urls[0]: 'plain.example' is no address that can be crawled (like "
        "https://www.example.com/)"
    ]
    edit(config / "sites/plain.yml", "[plain.example]", "[]")
    assert [str(each) for each in load_sites(config)[1]] == ["sites/plain.yml:3 start_urls: is empty"]


def test_what_a_site_asks_for_in_vain_is_told_and_does_not_stop_its_night(config: Path) -> None:
    edit(config / "sites/shop.yml", "authorities: own.pem", "authorities: /nowhere/own.pem")
    edit(config / "sites/shop.yml", "gate: [response-5xx]", "gate: [response-5xx, content-spelling, perf-lcp]")
    assert [str(each) for each in check(config)] == [
        "sites/shop.yml:22 gate[1]: 'content-spelling' is `off` above, so it never fires; remove one of both",
        "sites/shop.yml:22 gate[2]: 'perf-lcp' is not evaluated yet, so it never fires; `./caravan site checks` says "
        "what it waits for",
        "sites/shop.yml:23 authorities: there is no file /nowhere/own.pem; it is to hold the certificates of who signs "
        "for the hosts",
    ]
    assert set(load_sites(config, {"NO"}, {*CHECKS, "perf-lcp"})[0]) == {"plain", "shop"}


@pytest.mark.parametrize("content", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n", b"\x30\x82\xff"])
def test_a_file_that_holds_no_certificates_is_told(config: Path, content: bytes) -> None:
    Path("own.pem").write_bytes(content)
    [fault] = check(config)
    told = "sites/shop.yml:23 authorities: own.pem cannot be read as certificates (PEM): "
    assert str(fault).startswith(told) and len(str(fault)) > len(told)


def test_a_suppression_that_has_ended_is_to_be_renewed(config: Path) -> None:
    told = "sites/shop.yml suppressions[0]: ended on 2027-01-31: what it kept quiet is told again; give another day,"
    notices = [
        [str(each) for each in find_notices(config, date(2027, month, day)) if "sites/" in each.where]
        for month, day in ((1, 31), (2, 1))
    ]
    assert notices == [[], [f"{told} or remove it"]]


def test_a_market_may_have_two_locales_in_one_place(config: Path) -> None:
    edit(config / "sites/shop.yml", "locale: en, host: www.example.de", "locale: en, prefix: /de/")
    assert load_sites(config, {"NO"}, CHECKS)[1] == []


def test_without_a_folder_there_are_no_sites(tmp_path: Path) -> None:
    assert load_sites(write_config(tmp_path)) == ({}, [])


def test_the_check_of_the_configuration_tells_faults_of_sites(config: Path) -> None:
    assert [str(fault) for fault in check(config)] == []
    edit(config / "sites/shop.yml", "market: NO, locale: en", "market: SE, locale: en")
    (config / "sites/more.yaml").write_text(PLAIN)
    assert [str(fault) for fault in check(config)] == [
        "sites/more.yaml: ends in .yaml, which is not read; rename it to more.yml",
        "sites/shop.yml:16 markets[1].market: there is no market 'SE'; known are NO, ZZ",
    ]


def test_the_example_of_the_manual_is_sound(config: Path) -> None:
    manual = (PROJECT_ROOT / "docs" / "sites.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```yaml\n(code: .*?)```", manual, re.DOTALL)
    (config / "sites/shop.yml").write_text(example)
    sites, faults = load_sites(config)
    assert [str(fault) for fault in faults] == [] and "shop" in sites
