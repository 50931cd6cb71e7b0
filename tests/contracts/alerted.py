"""An installation with a mail server, for tests of the whole way from a fault to a mail."""

from __future__ import annotations

import contextlib
import json
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from test_notify import PLAIN, Postbox, free_port

from caravan import INCLUDE_DIR
from caravan.assembly import incidents, ops
from caravan.core.errors import Rejected
from caravan.core.incidents import RunEnd, Sighting
from caravan.warehouse.lake import Lake

NOON = datetime(2026, 3, 2, 12)
DISK = Sighting("disk_low", "critical", "disk of /x", "99.0 % are used")
STALE = Sighting("stale", "warning", "channel fr", "Nothing has come.", channel_code="fr")


class Site:
    """An installation with one mail target. `mail_server` starts it: it is down at first."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = home
        self.box = Postbox()
        self.port = free_port()
        self.controllers: list[Any] = []
        config = home / "config"
        shutil.copytree(INCLUDE_DIR / "config", config)
        target = '{"name": "mail", "kind": "smtp", "connection": "smtp_alerts", "sender": "a@example.com", '
        (config / "alerts.yml").write_text("targets: [" + target + '"to": ["b@example.com"]}]\n')
        connection = {"conn_type": "smtp", "host": "127.0.0.1", "port": self.port, "extra": PLAIN}
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_ALERTS", json.dumps(connection))
        monkeypatch.setenv("CARAVAN_HOME", str(home))
        monkeypatch.setenv("CARAVAN_CONFIG", str(config))
        monkeypatch.setenv("CARAVAN_WAREHOUSE", f"lake://{home / 'lake'}")
        monkeypatch.delenv(incidents.SWITCH, raising=False)
        # One connection for all: to attach the lake takes longer than everything done with it.
        self.lake = Lake(home / "lake")
        monkeypatch.setattr(incidents, "open_warehouse", lambda settings, **options: contextlib.nullcontext(self.lake))
        monkeypatch.setattr(incidents, "migrate", lambda warehouse: None)

    def mail_server(self) -> None:
        from aiosmtpd.controller import Controller

        self.controllers.append(Controller(self.box, hostname="127.0.0.1", port=self.port))
        self.controllers[-1].start()

    def subjects(self) -> list[str]:
        return [str(mail["Subject"]).removeprefix("[caravan] ") for mail in self.box.mails]


def fail(label: str | None = "shop_fr", run_id: str = "r1") -> None:
    incidents.task_failed("sales", "collect", label, run_id, 1, "http://x", Rejected("GZIP_TRUNCATED", "it ends early"))


def end(error: Exception | None, failed: int = 0, run_id: str = "r1") -> None:
    states = {"collect": ["failed"] * failed + ["success"] * (3 - failed), "verdict": ["running"]}
    incidents.run_ended(RunEnd("sales", run_id, 1, states, "verdict", "http://x"), error)


def watch() -> None:
    """All steps of the watch that look at something, and the one that delivers."""
    ops.check_sources()
    ops.check_runs(lambda *asked: ([], [], {}))
    ops.check_machine()
    ops.check_configuration()
    incidents.send_messages()
