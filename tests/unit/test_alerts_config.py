"""alerts.yml and pools.yml: what they say, and every fault in the one report."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from caravan import INCLUDE_DIR
from caravan.cli.alerts import age
from caravan.config import loader
from caravan.config.alerts import Alerts, load_alerts, read_alerts, usable_alerts
from caravan.config.pools import load_pools, read_pools
from caravan.core.errors import Misconfigured
from caravan.core.incidents import Sighting

CONFIG = INCLUDE_DIR / "config"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    shutil.copytree(CONFIG, tmp_path / "config")
    return tmp_path / "config"


def test_the_files_that_come_with_it_are_sound():
    alerts = load_alerts(CONFIG)
    assert alerts.targets == (), "nobody is told before somebody is named"
    assert (alerts.deadline(1), alerts.deadline(3)) == (timedelta(hours=3), timedelta(days=1))
    assert alerts.stale_after_hours.channels["shop_de"] == 192
    assert [pool.name for pool in load_pools(CONFIG)] == ["warehouse", "outbox", "sending", "crawling"]


def test_the_examples_in_the_file_can_be_used_as_they_stand(config):
    text = (config / "alerts.yml").read_text().replace("targets: []", "targets:")
    examples = text.split("# Minutes after")[0].replace("\n#  ", "\n  ")
    (config / "alerts.yml").write_text(examples)
    assert [target.name for target in load_alerts(config).targets] == ["on_call", "chat"]


def test_without_the_files_the_defaults_hold(config):
    (config / "alerts.yml").unlink()
    (config / "pools.yml").unlink()
    assert load_alerts(config) == Alerts()
    assert load_pools(config) == load_pools(CONFIG), "one less than tasks at once, for the watch"


MAIL = "- {name: a, kind: smtp, connection: smtp_a, sender: a@x.org, to: [b@x.org]}"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("tragets: []", "alerts.yml:1 tragets: unknown key 'tragets'; did you mean 'targets'?"),
        (f"targets:\n{MAIL}\n{MAIL}", "alerts.yml:3 targets[1].name: another target is called 'a' already"),
        ("targets:\n- {name: a, kind: smtp, connection: c, to: [b@x.org]}", "a target of kind smtp needs `sender`"),
        ("targets:\n- {name: a, kind: webhook, connection: c, to: [b@x.org]}", "is for mail"),
        ("targets:\n- {name: a, kind: sms, connection: c}", "'sms' is not known"),
        (MAIL.replace("- {", "targets:\n- {").replace("b@x.org", "nobody"), "'nobody' does not have the form"),
        ("deadline_minutes: {tier:9: 5}", "'tier:9' is not known"),
        ("deadline_minutes: {tier:1: 0}", "greater than or equal to 1"),
        ("stale_after_hours: {channels: {shop_dee: 5}}", "there is no channel 'shop_dee'; did you mean 'shop_de'?"),
        ("stale_after_hours: {markets: {shop_de: {XX: 5}}}", "there is no market 'XX'"),
        ("disk: {used_pct: 101}", "alerts.yml:1 disk.used_pct"),
    ],
)
def test_a_fault_of_the_alerts_is_in_the_one_report_and_stops_no_run(config, text, fault):
    (config / "alerts.yml").write_text(text + "\n")
    faults = [str(each) for each in read_alerts(config)[1]]
    assert any(fault in each for each in faults), faults
    assert set(faults) <= {str(each) for each in loader.check(config)}
    with pytest.raises(Misconfigured):
        load_alerts(config)
    assert loader.load(config).channels


@pytest.mark.parametrize(
    ("rest", "told"),
    [
        ("stale_after_hours: {channels: {gone: 5}}", ["a"]),
        ("stale_after_hours: {default: soon}", ["a"]),
        ("disk: {used_pct: 101}\nclock: ~", ["a"]),
        ("unknown: 1", ["a"]),
        ("- {name: b, kind: sms, connection: c}", ["a"]),
        ("- {name: b, kind: smtp, connection: c}", ["a"]),
        ("- {name: a, kind: webhook, connection: c}", ["a"]),
        ("- {name: b, kind: webhook, connection: c}\ndeadline_minutes: {tier:9: 5}", ["a", "b"]),
    ],
)
def test_a_fault_beside_a_target_does_not_silence_it(config, rest, told):
    (config / "alerts.yml").write_text(f"targets:\n{MAIL}\n{rest}\n")
    alerts, faults = usable_alerts(config)
    assert [target.name for target in alerts.targets] == told
    assert faults


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("pools: []", "is empty"),
        ("pools:\n- {name: other, slots: 1, description: x}", "has no 'warehouse'"),
        ("pools:\n- {name: warehouse, slots: 1, description: x}", "has no 'outbox'"),
        ("pools:\n- {name: warehouse, slots: 0, description: x}", "pools.yml:2 pools[0].slots"),
        ("pools:\n- {name: default_pool, slots: 1, description: x}", "is Airflow's own"),
        ("pools:\n" + "- {name: warehouse, slots: 1, description: x}\n" * 2, "another pool is called 'warehouse'"),
    ],
)
def test_a_fault_of_the_pools_is_in_the_one_report(config, text, fault):
    (config / "pools.yml").write_text(text + "\n")
    pools, faults = read_pools(config)
    assert pools == ()
    assert any(fault in str(each) for each in faults), faults
    assert set(map(str, faults)) <= {str(each) for each in loader.check(config)}


def test_a_target_is_not_told_that_it_is_down_itself(config):
    (config / "alerts.yml").write_text(f"targets:\n{MAIL}\n")
    (target,) = load_alerts(config).targets
    assert target.wants(Sighting("target_down", "warning", "target b", "x"))
    assert not target.wants(Sighting("target_down", "warning", "target a", "x"))


@pytest.mark.parametrize(("text", "length"), [("45m", 45), ("45", 45), ("2h", 120), ("120s", 2)])
def test_an_age(text, length):
    assert age(text) == timedelta(minutes=length)


@pytest.mark.parametrize("text", ["", "soon", "-5m", "1d", "99999999999h"])
def test_no_age(text):
    with pytest.raises(Misconfigured, match="like 45m"):
        age(text)
