"""`caravan alerts` and `caravan heartbeat`."""

from __future__ import annotations

from datetime import timedelta

import pytest

from caravan.assembly import incidents
from caravan.assembly.warehouse import open_warehouse, utc_now
from caravan.cli.main import main
from caravan.clients.notify.spool import write_beat
from caravan.config.settings import Settings
from caravan.core.incidents import Sighting


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("CARAVAN_HOME", str(tmp_path))
    monkeypatch.setenv("CARAVAN_WAREHOUSE", f"lake://{tmp_path / 'lake'}")
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


@pytest.mark.parametrize(
    ("minutes", "code"),
    [(None, 1), (0, 0), (44, 0), (46, 1), (-60, 1)],
)
def test_a_heartbeat_that_is_missing_old_or_from_the_future_fails(home, capsys, minutes, code):
    if minutes is not None:
        write_beat(home / "heartbeat", utc_now() - timedelta(minutes=minutes))
    assert main(["heartbeat", "--max-age", "45m"]) == code
    assert "heartbeat" in capsys.readouterr().out


def test_open_incidents_are_listed(home, capsys):
    assert main(["alerts"]) == 1
    assert "no warehouse" in capsys.readouterr().err
    open_warehouse(Settings.from_environment()).close()
    incidents.see([])
    assert main(["alerts"]) == 0
    assert "no incident is open" in capsys.readouterr().out
    incidents.see([Sighting("disk_low", "critical", "disk of /x", "99.0 % are used")])
    assert main(["alerts"]) == 0
    shown = capsys.readouterr().out
    assert "disk of /x" in shown and "99.0 %" in shown


def test_without_targets_a_trial_says_so(home, capsys):
    assert main(["alerts", "--test"]) == 0
    assert "names no target" in capsys.readouterr().out
