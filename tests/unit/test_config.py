"""Configuration: what is refused, how the fault reads, and what goes on working beside it."""

from __future__ import annotations

import os
import re
import shutil
from decimal import Decimal
from pathlib import Path

import pytest
from config_case import CHANNEL, PROJECT, edit, write_config

from caravan import INCLUDE_DIR, PROJECT_ROOT
from caravan.config.document import read
from caravan.config.loader import check, load
from caravan.core.errors import Misconfigured


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path)


def test_sound_configuration(config: Path) -> None:
    loaded = load(config)
    assert check(config) == []
    assert loaded.faults == ()
    assert set(loaded.channels) == {"shop_no", "steady"}
    assert loaded.project.base_currency == "EUR"
    assert loaded.markets["NO"].country == "NO"
    source = loaded.channels["shop_no"].entities["order_line"]
    assert source.values["country"] == {"Norge": "NO", "Sverige": "SE"}
    assert source.rules[1].when["quantity"].below == Decimal(0)


def test_the_default_configuration_is_sound() -> None:
    loaded = load(INCLUDE_DIR / "config")
    assert [str(fault) for fault in check(INCLUDE_DIR / "config")] == []
    assert set(loaded.markets) == {"DE", "FR", "GB", "US", "JP", "CN", "BR", "AE", "SE", "AU", "ZZ"}
    assert len(loaded.channels) == 8
    assert {channel.delivery for channel in loaded.channels.values()} == {"complete", "changes"}
    assert {channel.kind for channel in loaded.channels.values()} == {"own", "marketplace", "partner"}
    dialects = {channel.format.model_dump_json() for channel in loaded.channels.values()}
    assert len(dialects) == 8


def test_the_guides_examples_are_sound(config: Path) -> None:
    guide = (PROJECT_ROOT / "docs" / "add-a-channel.md").read_text(encoding="utf-8")
    examples = re.findall(r"^```yaml\n# include/config/channels/(\w+)\.yml\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    assert [name for name, _ in examples] == ["shop_se", "shop_web", "market_eu"]
    shutil.copy(INCLUDE_DIR / "config" / "parties.yml", config)
    for name, text in examples:
        (config / "channels" / f"{name}.yml").write_text(text, encoding="utf-8")
    assert [str(fault) for fault in check(config)] == []
    assert {"shop_se", "shop_web", "market_eu"} <= set(load(config).channels)


# (file, what is replaced, by what, where, a part of the message)
GLOBAL_FAULTS = [
    ("project.yml", "base_currency: EUR", "base_currency: EURO", "project.yml:1 base_currency", "'EURO'"),
    ("project.yml", "base_currency: EUR", "base_currency: EUX", "project.yml:1 base_currency", "no ISO 4217 code"),
    ("project.yml", "base_currency", "base_curency", "project.yml:1 base_curency", "did you mean 'base_currency'?"),
    ("project.yml", "mart.rpt", "stg.rpt", "project.yml:3 published_marts[0]", "is no mart"),
    ("project.yml", PROJECT, "- EUR\n", "project.yml:1", "is no mapping"),
    ("project.yml", PROJECT, "# nothing\n", "project.yml:1", "is empty"),
    ("project.yml", PROJECT, "a: 1\n---\nb: 2\n", "project.yml:2", "is no valid YAML"),
    ("markets/no.yml", "NOK", "NKR", "markets/no.yml:6 money[0].currency", "no ISO 4217 code"),
    ("markets/no.yml", "country: NO", "country: UK", "markets/no.yml:3 country", "no ISO 3166-1 code"),
    ("markets/no.yml", "country: NO", "country: ZZ", "markets/no.yml:3 country", "no ISO 3166-1 code"),
    ("markets/no.yml", "code: NO", "code: no", "markets/no.yml:1 code", "does not have the form"),
    ("markets/no.yml", "code: NO", "code: NX", "markets/no.yml:1 code", "rename the file to nx.yml"),
    ("markets/no.yml", "zone: Europe/Oslo", "zone: Oslo", "markets/no.yml:4 zone", "no IANA time zone"),
    ("markets/no.yml", "zone: Europe/Oslo", "zones: Oslo", "markets/no.yml:4 zones", "did you mean 'zone'?"),
    (
        "markets/zz.yml",
        "country: ZZ",
        "country: NO",
        "markets/no.yml:3 country",
        "of markets/zz.yml; a country has one",
    ),
    (
        "markets/zz.yml",
        "country: ZZ",
        "country: NO",
        "markets/zz.yml:3 country",
        "of markets/no.yml; a country has one",
    ),
]


@pytest.mark.parametrize(("file", "old", "new", "where", "message"), GLOBAL_FAULTS)
def test_a_fault_of_everything_stops_everything(
    config: Path, file: str, old: str, new: str, where: str, message: str
) -> None:
    edit(config / file, old, new)
    with pytest.raises(Misconfigured) as caught:
        load(config)
    found = [fault for fault in caught.value.faults if fault.where == where and message in fault.message]
    assert found, str(caught.value)
    assert found[0].channel is None


def test_all_faults_come_in_one_report(config: Path) -> None:
    edit(config / "project.yml", "EUR", "EUX")
    edit(config / "markets" / "no.yml", "NOK", "NKR")
    edit(config / "channels" / "shop_no.yml", "kind: own", "kindd: own")
    edit(config / "channels" / "shop_no.yml", "quantity: Qty", "qty: Qty")
    with pytest.raises(Misconfigured) as caught:
        load(config)
    assert [fault.where for fault in caught.value.faults] == [
        "channels/shop_no.yml:1 kind",
        "channels/shop_no.yml:3 kindd",
        "channels/shop_no.yml:16 entities.order_line.columns",
        "channels/shop_no.yml:23 entities.order_line.columns.qty",
        "channels/shop_no.yml:35 entities.order_line.rules[1].when.quantity",
        "markets/no.yml:6 money[0].currency",
        "project.yml:1 base_currency",
    ]
    assert str(caught.value).startswith("7 faults found:\n  - channels/shop_no.yml:1 kind: is required\n")


def test_a_market_that_is_broken_brings_its_channels_no_fault(config: Path) -> None:
    edit(config / "markets" / "no.yml", "code: NO", "code: [")
    with pytest.raises(Misconfigured) as caught:
        load(config)
    assert {fault.where.split(":")[0] for fault in caught.value.faults} == {"markets/no.yml"}


@pytest.mark.parametrize(
    ("remove", "where", "message"),
    [
        (".", "", "is no folder; set CARAVAN_CONFIG"),
        ("project.yml", "project.yml", "cannot be read: No such file"),
        ("markets", "markets", "cannot be read: No such file"),
        ("channels", "channels", "cannot be read: No such file"),
        ("privacy", "privacy", "cannot be read: No such file"),
        ("markets/zz.yml", "markets/zz.yml", "is missing"),
    ],
)
def test_missing_parts(config: Path, remove: str, where: str, message: str) -> None:
    path = config / remove
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    faults = [fault for fault in check(config) if fault.channel is None]
    assert [fault.where for fault in faults if message in fault.message] == [where or str(config)]
    with pytest.raises(Misconfigured):
        load(config)


def test_no_market(config: Path) -> None:
    for path in (config / "markets").iterdir():
        path.unlink()
    assert "markets: no market; add one file for each, e.g. markets/de.yml" in map(str, check(config))


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("bad.yml", b"name: \xff\n", "channels/bad.yml:1: byte 0xff is not UTF-8; save the file as UTF-8"),
        ("bad.yml", b"a: 1\nb: caf\xe9\n", "channels/bad.yml:2: byte 0xe9 is not UTF-8; save the file as UTF-8"),
        ("bad.yml", b"", "channels/bad.yml:1: is empty; expected `key: value` lines"),
        ("bad.yml", b"[" * 5000, "channels/bad.yml: is nested too deeply"),
        ("bad.yml", None, "channels/bad.yml: cannot be read: Is a directory"),
        ("bad.yaml", b"code: bad\n", "channels/bad.yaml: ends in .yaml, which is not read; rename it to bad.yml"),
    ],
)
def test_files_that_cannot_be_read(config: Path, name: str, content: bytes | None, fault: str) -> None:
    path = config / "channels" / name
    path.mkdir() if content is None else path.write_bytes(content)
    loaded = load(config)
    assert [str(each) for each in loaded.faults] == [fault]
    assert loaded.faults[0].channel == "bad"
    assert set(loaded.channels) == {"shop_no", "steady"}


def test_whatever_its_depth_a_file_is_read_or_has_a_fault(tmp_path: Path) -> None:
    file = tmp_path / "deep.yml"
    found = set()
    for depth in range(50, 1500, 7):
        file.write_text("a: " + "[" * depth + "]" * depth)
        document, faults = read(file, file.name)
        assert (document is None) == bool(faults)
        found |= {str(fault) for fault in faults}
    assert found == {"deep.yml: is nested too deeply"}


@pytest.mark.parametrize("value", ["", " [a]", " nothing"])
def test_an_entity_of_the_wrong_type_is_one_fault(config: Path, value: str) -> None:
    path = config / "channels" / "shop_no.yml"
    path.write_text(CHANNEL[: CHANNEL.index("  order_line:")] + f"  order_line:{value}\n")
    assert [fault.where for fault in load(config).faults] == ["channels/shop_no.yml:14 entities.order_line"]


def test_a_value_that_cannot_be_stored_is_one_fault(config: Path) -> None:
    edit(config / "channels" / "shop_no.yml", "name: Butikk", 'name: "\\0"')
    assert [fault.where for fault in load(config).faults] == ["channels/shop_no.yml:2 name"]


def test_a_file_name_that_is_no_utf8_is_shown_and_hashed(config: Path) -> None:
    with open(os.fsencode(config) + b"/channels/caf\xe9.yml", "w") as file:
        file.write(CHANNEL.replace("incoming/shop_no", "incoming/cafe"))
    loaded = load(config)
    assert "channels/caf\\xe9.yml:1 code" in {fault.where for fault in loaded.faults}
    assert len(loaded.hash) == 64


def test_aliases_that_blow_up_are_refused(config: Path) -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)
    )
    (config / "channels" / "bomb.yml").write_text(bomb)
    assert "has more than 100,000 values" in load(config).faults[0].message


def test_two_channels_with_one_code_are_both_disabled(config: Path) -> None:
    edit(config / "channels" / "steady.yml", "code: steady", "code: shop_no")
    loaded = load(config)
    assert loaded.channels == {}
    messages = {str(fault) for fault in loaded.faults}
    assert (
        "channels/shop_no.yml:1 code: 'shop_no' is also the code of channels/steady.yml; each channel has its own"
        in messages
    )
    assert (
        "channels/steady.yml:1 code: 'shop_no' is also the code of channels/shop_no.yml; each channel has its own"
        in messages
    )


BOTH = {"shop_no", "steady"}


@pytest.mark.parametrize(
    ("folder", "files", "enabled", "usable"),
    [
        ("incoming/shop_no", "orders_*.csv", "yes", set()),
        ("./incoming//shop_no/", "./orders_*.csv", "yes", set()),
        ("incoming/x/../shop_no", "orders_*.csv", "yes", set()),
        ("{home}/incoming/shop_no", "orders_*.csv", "yes", set()),
        ("linked", "orders_*.csv", "yes", set()),
        ("incoming", "shop_no/orders_*.csv", "yes", set()),
        ("incoming", "*/orders_*.csv", "yes", set()),
        ("incoming/shop_no", "*.csv", "yes", set()),
        ("incoming/shop_no", "orders_se_*.csv", "yes", set()),
        ("incoming/shop_no", "orders_2026.csv", "yes", set()),
        ("incoming/shop_no", "orders_*.csv", "no", BOTH),
        ("incoming/another", "orders_*.csv", "yes", BOTH),
        ("incoming/shop_no", "lines_*.csv", "yes", BOTH),
        ("incoming/shop_no", "*/orders_*.csv", "yes", BOTH),
        # They may have a file in common and need not: the files decide.
        ("incoming/shop_no", "*_lines.csv", "yes", BOTH),
        ("incoming/shop_no", "orders_[0-9].csv", "yes", BOTH),
    ],
)
def test_two_channels_that_read_the_same_files(
    config: Path, tmp_path: Path, folder: str, files: str, enabled: str, usable: set[str]
) -> None:
    (tmp_path / "incoming" / "shop_no").mkdir(parents=True)
    (tmp_path / "linked").symlink_to("incoming/shop_no")
    path = config / "channels" / "steady.yml"
    edit(path, "folder: incoming/steady", f"folder: {folder.format(home=tmp_path)}\nenabled: {enabled}")
    edit(path, "orders_*.csv", f'"{files}"')
    loaded = load(config, tmp_path)
    assert set(loaded.channels) == usable
    assert {fault.channel for fault in loaded.faults} == BOTH - usable
    assert all("reads the same files; one order would count twice" in fault.message for fault in loaded.faults)
    assert check(config, tmp_path) == list(loaded.faults)


def test_two_entities_that_read_the_same_files(config: Path) -> None:
    head = "columns: {order_id: O, ordered_at: D, country: C, currency: V}"
    edit(config / "channels" / "shop_no.yml", "entities:\n", f'entities:\n  order: {{files: "*.csv", {head}}}\n')
    message = "reads the same files; one order would count twice: give each its own folder or names"
    assert [str(fault) for fault in load(config).faults] == [
        f"channels/shop_no.yml:14 entities.order.files: entities.order_line {message}",
        f"channels/shop_no.yml:16 entities.order_line.files: entities.order {message}",
    ]


def test_relative_folders_lie_in_the_home_of_the_environment(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(config / "channels" / "steady.yml", "incoming/steady", f"{tmp_path}/incoming/shop_no")
    assert check(config, tmp_path / "elsewhere") == []
    monkeypatch.setenv("CARAVAN_HOME", str(tmp_path))
    assert len(check(config)) == 2


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("NO", "NO"),
        ("no", "no"),
        ("on", "on"),
        ("010", "010"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("2026-10-30", "2026-10-30"),
        ("1e3", "1e3"),
        ('"null"', "null"),
        ("'EIRE '", "EIRE "),
        ("=", "="),
        ("<<", "<<"),
    ],
)
def test_text_stays_as_typed(config: Path, typed: str, read: str) -> None:
    edit(config / "channels" / "shop_no.yml", "sku: Article", f"sku: {typed}")
    edit(config / "channels" / "shop_no.yml", "Sverige: SE", f"{typed}: SE")
    source = load(config).channels["shop_no"].entities["order_line"]
    assert source.columns["sku"] == read
    assert source.values["country"] == {"Norge": "NO", read: "SE"}


def test_types_come_from_the_model(config: Path) -> None:
    path = config / "channels" / "shop_no.yml"
    edit(path, 'delimiter: ";"', 'delimiter: "\\t"')
    edit(path, "folder:", "settle_seconds: 0\nenabled: false\nmax_deleted_share: 0.05\nbusiness_zone: ~\nfolder:")
    edit(path, "{below: 0}", "{equals: 0}")
    edit(path, "{equals: cancelled}", "{one_of: [cancelled, refunded]}")
    channel = load(config).channels["shop_no"]
    assert channel.format.delimiter == "\t"
    assert (channel.settle_seconds, channel.enabled, channel.business_zone) == (0, False, None)
    assert channel.max_deleted_share == Decimal("0.05")
    rules = channel.entities["order_line"].rules
    assert rules[0].when["status"].one_of == ("cancelled", "refunded")
    assert rules[1].when["quantity"].equals == Decimal(0)
    assert isinstance(rules[1].when["quantity"].equals, Decimal)


def test_what_may_look_odd_but_is_meant(config: Path) -> None:
    path = config / "channels" / "shop_no.yml"
    edit(path, "currency: NOK", "currency: NOK\n      country: ZZ")  # where the column is empty
    edit(path, "country: {Norge", 'quantity: {en halv: "0,5"}\n      country: {"?": "", Norge')
    edit(path, "{quantity: {below: 0}}", "{flow: {equals: export}, quantity: {one_of: [-1, -2.5]}}")
    source = load(config).channels["shop_no"].entities["order_line"]
    assert source.constants["country"] == "ZZ"
    assert source.values["quantity"] == {"en halv": "0,5"}
    assert source.values["country"]["?"] == ""
    assert source.rules[1].when["quantity"].one_of == ("-1", "-2.5")


def test_anchors_serve_for_values_used_twice(config: Path) -> None:
    path = config / "channels" / "shop_no.yml"
    head = "files: heads_*.csv, columns: {order_id: O, ordered_at: D, country: C, currency: V, status: S}"
    values = "{country: {Norge: NO}, status: {Avbestilt: cancelled}}"
    edit(path, "entities:\n", f"entities:\n  order: {{{head}, values: &values {values}}}\n")
    edit(
        path,
        "values:\n      country: {Norge: NO, Sverige: SE}\n      status: {Avbestilt: cancelled}",
        "values: *values",
    )
    entities = load(config).channels["shop_no"].entities
    assert entities["order"].values == entities["order_line"].values
    assert entities["order_line"].values["country"] == {"Norge": "NO"}


def test_the_hash_says_whether_anything_changed(config: Path) -> None:
    before = load(config).hash
    assert len(before) == 64
    assert load(config).hash == before
    (config / ".hidden").write_text("an editor's file")
    assert load(config).hash == before
    edit(config / "channels" / "steady.yml", "name: Butikk", "name: Butikken")
    changed = load(config).hash
    assert changed != before
    (config / "channels" / "steady.yml").rename(config / "channels" / "steady.off")
    renamed = load(config).hash
    assert renamed not in (before, changed)


def test_the_hash_does_not_depend_on_where_the_configuration_lies(config: Path, tmp_path: Path) -> None:
    shutil.copytree(config, tmp_path / "elsewhere")
    assert load(tmp_path / "elsewhere").hash == load(config).hash
