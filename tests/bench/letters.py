"""An installation for benches that mails releases to a sink, and writes down what came when."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml
from aiosmtpd.controller import Controller
from live import free_port  # beside this file

from caravan import INCLUDE_DIR
from caravan.assembly.releases import hashes
from caravan.assembly.shelf import read_shelf

SITE = {"code": "site", "name": "Site", "kind": "site", "base_url": "https://www.example.com", "publisher": "Teapots",
        "folder": "site"}  # fmt: skip
LETTER = {"code": "letter", "name": "Newsletter", "kind": "smtp", "connection": "smtp_letter",
          "sender": "Teapots <news@example.com>", "postal_address": "Teapots Ltd, 1 High Street, London",
          "unsubscribe_url": "https://www.example.com/unsubscribe", "per_second": 1000}  # fmt: skip
LIST = {"name": "Letters", "audience": "customer", "purpose": "marketing_email", "legal_basis": "consent",
        "provenance": "sign-up form of the shop", "collected_since": "2024-01-01", "market": "DE"}  # fmt: skip
COLUMNS = "address,zone,consent_state,consent_at,consent_evidence,consent_text"


@dataclass(frozen=True)
class Planned:
    """A release: it is to leave at `due` to each of its list, and to the site unless it goes by the local clock."""

    id: str
    due: datetime
    max_lateness: timedelta
    zone: str | None = None

    @property
    def list(self) -> str:
        return self.zone.split("/")[-1].lower() if self.zone else "letters"

    @property
    def document(self) -> dict[str, Any]:
        local = self.due.astimezone(ZoneInfo(self.zone)) if self.zone else None
        when = {"local": f"{local:%Y-%m-%d %H:%M}"} if local else {"utc": f"{self.due:%Y-%m-%dT%H:%M:%SZ}"}
        return {
            "id": self.id, "kind": "news", "audience": "customer", "purpose": "marketing_email", "owner": "Maria",
            "markets": ["DE"], "outlets": ["letter"] if local else ["site", "letter"], "source_locale": "de-DE",
            "when": when, "max_lateness": f"{self.max_lateness // timedelta(minutes=1)}m", "method": "email",
            "list": self.list,
        }  # fmt: skip


class Sink:
    """A mail server that takes everything. `came`: release (its subject), address, and when."""

    def __init__(self) -> None:
        self.port = free_port()
        self.came: list[tuple[str, str, datetime]] = []
        self._server = Controller(self, hostname="127.0.0.1", port=self.port)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        subject = str(message_from_bytes(envelope.content, policy=policy.default)["Subject"])
        self.came += [(subject, to, datetime.now(UTC)) for to in envelope.rcpt_tos]
        return f"250 OK queued as {len(self.came)}"

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        self._server.stop()


class Post:
    """The files of an installation whose market is always open, and whose readers have agreed."""

    def __init__(self, folder: Path, sink: Sink) -> None:
        self.home, self.config = folder / "home", folder / "config"
        shutil.copytree(INCLUDE_DIR / "config", self.config)
        (self.home / "lists").mkdir(parents=True)
        for name in ("outlets", "lists", "releases"):
            (self.config / name).mkdir(exist_ok=True)
        for outlet in (SITE, LETTER):
            _write(self.config / "outlets" / f"{outlet['code']}.yml", outlet)
        market = yaml.safe_load((self.config / "markets" / "de.yml").read_text())
        market["contact"][-1]["channels"]["email"] = {"send": {"daily": ["00:00-24:00"]}}
        _write(self.config / "markets" / "de.yml", market)
        project = yaml.safe_load((self.config / "project.yml").read_text())
        _write(self.config / "project.yml", project | {"contact_caps": [{"count": 1000, "days": 1}]})
        extra = {"disable_tls": True, "disable_ssl": True}
        smtp = {"conn_type": "smtp", "host": "127.0.0.1", "port": sink.port, "extra": extra}
        self.environ = {
            **os.environ,
            "CARAVAN_HOME": str(self.home),
            "CARAVAN_CONFIG": str(self.config),
            "AIRFLOW_CONN_SMTP_LETTER": json.dumps(smtp),
        }
        self.environ.pop("CARAVAN_WAREHOUSE", None)

    def subscribe(self, code: str, count: int, zones: Iterable[str]) -> None:
        zones = list(zones)
        rows = [COLUMNS]
        for number in range(count):
            for state, day in (("pending", 1), ("given", 2)):
                said = f"{state},2026-01-0{day}T00:00:00Z,form 7,v1"
                rows.append(f"{code}-{number}@example.com,{zones[number % len(zones)]},{said}")
        (self.home / "lists" / f"{code}.csv").write_text("\n".join(rows) + "\n")
        _write(self.config / "lists" / f"{code}.yml", {"code": code, **LIST, "file": f"lists/{code}.csv"})

    def commit(self, releases: Iterable[Planned]) -> None:
        """Their files, approved by somebody else."""
        for each in releases:
            folder = self.config / "releases" / each.id
            folder.mkdir()
            _write(folder / "release.yml", each.document)
            (folder / "de-DE.md").write_text(f"---\ntitle: {each.id}\nsummary: Neu.\n---\nHier ist etwas Neues.\n")
        at = f"{datetime.now(UTC) - timedelta(minutes=1):%Y-%m-%dT%H:%M:%SZ}"
        for (release_id, _), content in hashes(read_shelf(self.config)).items():
            path = self.config / "releases" / release_id / "approvals.yml"
            if not path.exists():
                _write(path, {"approvals": [{"by": "Omar", "at": at, "hash": content}]})


def sleep_until(moment: datetime) -> None:
    while (left := (moment - datetime.now(UTC)).total_seconds()) > 0:
        time.sleep(min(left, 30))


def _write(path: Path, content: object) -> None:
    path.write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False))
