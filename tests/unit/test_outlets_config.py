"""Outlet files: each kind has its settings, and a fault leaves out its outlet alone."""

from __future__ import annotations

import shutil
from decimal import Decimal
from pathlib import Path

import pytest
from config_case import edit
from release_case import MAIL, SITE, TOOTS, write_releases

from caravan.config.outlets import OUTLETS, MastodonOutlet, SiteOutlet, SmtpOutlet, load_outlets

HEAD = "code: x\nname: X\n"
SOUND = {
    "site": SITE.replace("code: site", "code: x").replace("folder: published/site", "bucket: news-eu\nprefix: a/b")
    + "hub: https://hub.example.com/\nindexnow_key: 0123456789abcdef\n",
    "wordpress": f"{HEAD}kind: wordpress\nconnection: wordpress_blog\ncategory: news\nstatus: draft\n",
    "smtp": MAIL.replace("code: letters", "code: x") + "reply_to: a@example.com\nseeds: lists/seeds.csv\n",
    "ses": MAIL.replace("code: letters", "code: x").replace("smtp", "ses")
    + "configuration_set: main\nper_second: 12.5\nper_domain_per_second: 2\n",
    "mastodon": TOOTS.replace("code: toots", "code: x") + "visibility: unlisted\nmax_characters: 1000\n",
    "bluesky": f"{HEAD}kind: bluesky\nconnection: bluesky_main\n",
    "webhook": f"{HEAD}kind: webhook\nconnection: webhook_crm\nmarkets: [DE]\nlocales: [de, pt-BR]\nenabled: false\n",
    "websub": f"{HEAD}kind: websub\nhub: https://hub.example.com/\nsite: site\n",
    "indexnow": f"{HEAD}kind: indexnow\nkey: 0123456789abcdef\nsite: site\n",
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    write_releases(tmp_path)
    return tmp_path


def test_there_is_a_sound_example_of_every_kind() -> None:
    assert set(SOUND) == set(OUTLETS)


@pytest.mark.parametrize("kind", SOUND)
def test_every_kind_is_read(config: Path, kind: str) -> None:
    (config / "outlets/x.yml").write_text(SOUND[kind])
    outlets, faults = load_outlets(config, {"DE"})
    assert [str(fault) for fault in faults] == []
    assert type(outlets["x"]) is OUTLETS[kind]


def test_what_is_left_out_has_a_default(config: Path) -> None:
    outlets, _ = load_outlets(config)
    site, toots, mail = outlets["site"], outlets["toots"], outlets["letters"]
    assert isinstance(site, SiteOutlet) and isinstance(toots, MastodonOutlet) and isinstance(mail, SmtpOutlet)
    assert (site.base_url, site.connection, site.enabled) == ("https://news.example.com", "s3_default", True)
    assert (toots.visibility, toots.max_characters, toots.medium) == ("public", 500, "social")
    assert (mail.per_second, mail.per_domain_per_second, mail.is_mail) == (Decimal(1), None, True)


@pytest.mark.parametrize(
    ("market", "locale", "is_served"),
    [("DE", "de", True), ("DE", "de-AT", True), ("DE", "pt-BR", True), ("DE", "pt", False), ("FR", "de", False)],
)
def test_whom_an_outlet_serves(config: Path, market: str, locale: str, is_served: bool) -> None:
    (config / "outlets/x.yml").write_text(SOUND["webhook"])
    assert load_outlets(config)[0]["x"].serves(market, locale) is is_served


# (kind, what is replaced, by what, the fault)
FAULTS = [
    ("webhook", "kind: webhook", "kind: webhok", ":3 kind: 'webhok' is no kind of outlet; did you mean 'webhook'?"),
    ("webhook", "kind: webhook\n", "", ":1 kind: is required; known are bluesky, indexnow"),
    ("webhook", "connection", "conection", ":4 conection: unknown key 'conection'; did you mean 'connection'?"),
    ("webhook", "code: x", "code: y", ":1 code: 'y' differs from the file's name; rename the file to y.yml"),
    ("webhook", "markets: [DE]", "markets: [DX]", ":5 markets[0]: there is no market 'DX'; known are DE"),
    ("webhook", "pt-BR", "pt_BR", ":6 locales[1]: 'pt_BR' is written pt-BR"),
    ("webhook", "pt-BR", "xx", ":6 locales[1]: 'xx' is no BCP 47 tag of a language (like pt-BR)"),
    ("webhook", "name: X", 'name: "X\\nY"', ":2 name: has a line break or a control character"),
    ("site", "bucket: news-eu\n", "", ":1: give either `folder` or `bucket`: where its files are put"),
    ("site", "bucket: news-eu", "bucket: news-eu\nfolder: a", ":1: give either `folder` or `bucket`"),
    ("site", "bucket: news-eu", "folder: a", ":1: `prefix` is of a bucket; put it into `folder`"),
    ("site", "prefix: a/b", "prefix: a//b", ":1: 'a//b' has an empty part"),
    ("site", "https://news.example.com/", "news.example.com", ":4 base_url: 'news.example.com' is no address (like"),
    ("site", "https://news.example.com/", "https://a:b@example.com", ":4 base_url: a login has no place in an address"),
    ("site", "https://news.example.com/", "https://example.com/?a=1", ":4 base_url: 'https://example.com/?a=1' has a"),
    ("site", "0123456789abcdef", "short", ":9 indexnow_key: 'short' does not have the form"),
    ("smtp", "News <news@example.com>", "News", ":5 sender: 'News' is no mail address (like News <news@example.com>)"),
    ("smtp", "News <news@example.com>", '"a@example.com\\nBcc: b@example.com"', ":5 sender: has a line break"),
    ("smtp", "unsubscribe_url", "unsubscribe", ":6 unsubscribe: unknown key 'unsubscribe'; did you mean 'unsubscribe_"),
    ("smtp", "unsubscribe_url: https", "unsubscribe_url: http", ":6 unsubscribe_url: 'http://news.example.com/"),
    ("ses", "per_second: 12.5", "per_second: 0", ":9 per_second: '0': input should be greater than 0"),
    ("mastodon", "unlisted", "unlist", ":5 visibility: 'unlist' is not known; did you mean 'unlisted'?"),
    ("bluesky", "connection: bluesky_main", "connection: Blue", ":4 connection: 'Blue' does not have the form"),
    ("wordpress", "category: news", "category: News!", ":5 category: 'News!' does not have the form"),
    ("indexnow", "site: site", "site: sites", ":5 site: there is no outlet 'sites' of kind site; did you mean 'site'?"),
    ("websub", "site: site", "site: toots", ":5 site: there is no outlet 'toots' of kind site"),
]


@pytest.mark.parametrize(("kind", "old", "new", "fault"), FAULTS)
def test_a_fault_leaves_out_its_outlet_alone(config: Path, kind: str, old: str, new: str, fault: str) -> None:
    (config / "outlets/x.yml").write_text(SOUND[kind])
    edit(config / "outlets/x.yml", old, new)
    outlets, faults = load_outlets(config, {"DE"})
    assert any(str(each).startswith(f"outlets/x.yml{fault}") for each in faults), [str(each) for each in faults]
    assert set(outlets) == {"site", "toots", "letters"}


def test_without_a_folder_there_are_no_outlets(config: Path) -> None:
    shutil.rmtree(config / "outlets")
    assert load_outlets(config) == ({}, [])


def test_a_file_with_another_ending_is_told(config: Path) -> None:
    (config / "outlets/toots.yml").rename(config / "outlets/toots.yaml")
    outlets, faults = load_outlets(config)
    assert sorted(outlets) == ["letters", "site"]
    assert [str(fault) for fault in faults] == [
        "outlets/toots.yaml: ends in .yaml, which is not read; rename it to toots.yml"
    ]
