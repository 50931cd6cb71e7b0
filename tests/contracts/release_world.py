"""An installation with a release for two markets, a list, a site in a folder and a mail server that loses answers."""

from __future__ import annotations

import email
import email.policy
import json
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest
from test_notify import PLAIN, free_port

from caravan import INCLUDE_DIR
from caravan.assembly import outlets, releases, sending
from caravan.assembly.releases import Desk
from caravan.assembly.shelf import read_shelf
from caravan.config.settings import Settings

NOW = datetime(2026, 11, 25, 9, 30)
SITE = "code: site\nname: Site\nkind: site\nbase_url: https://www.example.com\npublisher: Teapots Ltd\nfolder: site\n"
LETTER = """\
code: letter
name: Newsletter
kind: smtp
connection: smtp_letter
sender: Teapots <news@example.com>
postal_address: Teapots Ltd, 1 High Street, London
unsubscribe_url: https://www.example.com/unsubscribe
per_second: 1000
"""
LIST = """\
code: letters
name: Letters
audience: customer
purpose: marketing_email
legal_basis: consent
provenance: sign-up form of the shop, confirmed by mail
collected_since: 2024-01-01
file: lists/letters.csv
market: DE
variables: [first_name]
"""
RELEASE = """\
id: autumn
kind: news
audience: customer
purpose: marketing_email
owner: Maria
markets: [DE, GB]
outlets: [site, letter]
source_locale: en-GB
when: {utc: 2026-11-25T09:30:00Z}
max_lateness: 2h
method: email
list: letters
"""
TEXTS = {"en-GB": ("Autumn teapots", "See [our pots]"), "de-DE": ("Teekannen im Herbst", "Hier sind [unsere Kannen]")}
HEADER = "address,market,consent_state,consent_at,consent_evidence,consent_text,first_name"


class Box:
    """What a mail server was given; `lose`: how many next answers are lost after it took the mail."""

    def __init__(self) -> None:
        self.mails: list[tuple[str, EmailMessage]] = []
        self.lose = 0

    async def handle_DATA(self, server, session, envelope) -> str:
        content = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(content, EmailMessage)
        self.mails += [(to, content) for to in envelope.rcpt_tos]
        if self.lose:
            self.lose -= 1
            server.transport.abort()
        return f"250 OK queued as {len(self.mails)}"


class ReleaseWorld:
    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home, self.config, self.now = home, home / "config", NOW
        shutil.copytree(INCLUDE_DIR / "config", self.config)
        self.folder = self.config / "releases" / "autumn"
        for folder in ("outlets", "lists", "releases/autumn"):
            (self.config / folder).mkdir(parents=True)
        (self.config / "outlets" / "site.yml").write_text(SITE)
        (self.config / "outlets" / "letter.yml").write_text(LETTER)
        (self.config / "lists" / "letters.yml").write_text(LIST)
        (self.folder / "release.yml").write_text(RELEASE)
        for locale, (title, text) in TEXTS.items():
            body = f"---\ntitle: {title}\nsummary: New in autumn.\n---\n{text}(https://www.example.com/pots).\n"
            (self.folder / f"{locale}.md").write_text(body)
        (home / "lists").mkdir()
        monkeypatch.setenv("CARAVAN_HOME", str(home))
        monkeypatch.setenv("CARAVAN_CONFIG", str(self.config))
        monkeypatch.delenv("CARAVAN_WAREHOUSE", raising=False)
        for module in (outlets, releases, sending):
            monkeypatch.setattr(module, "utc_now", lambda: self.now)
        monkeypatch.setattr(sending, "sleep", self._sleep)
        self.box, port = Box(), free_port()
        connection = {"conn_type": "smtp", "host": "127.0.0.1", "port": port, "extra": PLAIN}
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_LETTER", json.dumps(connection))
        self.port = port
        self.start_mail()

    def start_mail(self) -> None:
        from aiosmtpd.controller import Controller

        self.controller = Controller(self.box, hostname="127.0.0.1", port=self.port)
        self.controller.start()

    def _sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    @property
    def settings(self) -> Settings:
        return Settings.from_environment()

    def people(self, *rows: str) -> None:
        (self.home / "lists" / "letters.csv").write_text("\n".join([HEADER, *rows]) + "\n")

    def approve(self, by: str = "Omar") -> None:
        at = f"{self.now - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
        for (release_id, _), content in releases.hashes(read_shelf(self.config)).items():
            signed = f"approvals:\n  - {{by: {by}, at: '{at}', hash: '{content}'}}\n"
            (self.folder.with_name(release_id) / "approvals.yml").write_text(signed)

    def plan(self) -> dict[str, object]:
        return releases.plan("autumn", "test")

    def send(self) -> dict[str, dict[str, int]]:
        return {code: sending.send(code) for code in sending.list_outlets()}

    def states(self) -> dict[str, str]:
        with self.desk() as desk:
            return {each.key.target: each.state for each in desk.outbox.find()}

    def desk(self):
        return releases.open_desk(self.settings)

    def received(self) -> list[str]:
        return sorted(to for to, _ in self.box.mails)


def agreed(name: str, market: str = "DE") -> list[str]:
    """Rows of somebody who was asked and has confirmed."""
    said = (("pending", 1), ("given", 2))
    return [f"{name}@example.com,{market},{state},2026-01-0{day}T00:00:00Z,form 7,v1,{name}" for state, day in said]


def world_of_four(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReleaseWorld]:
    """Three have agreed, one was never asked, and one address is none."""
    world = ReleaseWorld(home, monkeypatch)
    world.people(
        *agreed("anna"), *agreed("ben", "GB"), *agreed("chloe"), "dora@example.com,DE,,,,,Dora", "bad,DE,,,,,x"
    )
    yield world
    world.controller.stop()


def a_release_more(world, **changes: str) -> None:
    """Another one to the same list, in a folder of its own."""
    folder = world.folder.with_name("winter")
    shutil.copytree(world.folder, folder, dirs_exist_ok=True)
    (folder / "approvals.yml").unlink(missing_ok=True)
    lines = "".join(f"{key}: {value}\n" for key, value in {"id": "winter", **changes}.items())
    text = (world.folder / "release.yml").read_text().replace("id: autumn\n", "")
    (folder / "release.yml").write_text(lines + text)


__all__ = ["NOW", "Desk", "ReleaseWorld", "a_release_more", "agreed", "world_of_four"]
