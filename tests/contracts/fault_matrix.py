"""A release to a list by one account whose other side loses answers, sent by two workers at once that are killed.

SES tells afterwards in a queue what it has taken; of some it tells nothing, as SMTP does of all.
"""

from __future__ import annotations

import email
import json
import logging
import multiprocessing
import os
import random
import socket
import sys
import time
from collections import Counter
from datetime import timedelta
from multiprocessing.connection import wait
from pathlib import Path
from threading import Thread
from typing import Any, Literal

import pytest
from matrix_worker import LEASE, Job, Step, work
from places import Place, PostgresPlace
from release_world import ReleaseWorld, agreed
from werkzeug import Request, Response
from werkzeug.serving import make_server

from caravan.assembly.outbox import open_ledger
from caravan.clients.mail.ses import TAG
from caravan.core.outbox import Message
from caravan.warehouse.ledger import as_text
from caravan.warehouse.outbox import StoredOutbox

Kind = Literal["smtp", "ses"]
WORKERS = 2
HANGS_SECONDS = 600
"""Ten thousand mails take a worker minutes."""
REFUSED, BUSY_ONCE, BUSY, UNASKED = 4, 4, 6, 5
"""People of whom the other side says no for good, no for now once, and no for now always; and who never agreed."""
LEAST_LOST = 5
UNTOLD = 2
"""Mails that SES took of which neither answer nor event comes."""
_SES = {"kind: smtp": "kind: ses", "connection: smtp_letter": "connection: aws_letter"}
_EVENTS = "events: {connection: aws_letter, url: https://sqs.us-east-1.amazonaws.com/1/events}\n"
_ALWAYS = 1_000_000


class Receiver:
    """The other side. `took`: the message of each mail that it has, whatever it answered. `lost`: those whose answer
    it lost. By address: `lose`, `refuse`, and `busy`, how often it says that it is."""

    def __init__(self, lose: set[str], refuse: set[str], busy: dict[str, int]) -> None:
        self.lose, self.refuse, self.busy = lose, refuse, busy
        self.took: list[str] = []
        self.lost: set[str] = set()

    def is_busy(self, address: str) -> bool:
        self.busy[address] = left = self.busy.get(address, 0) - 1
        return left >= 0

    def take(self, address: str, message_id: str) -> bool:
        """Whether it gets an answer."""
        self.took.append(message_id)
        if address not in self.lose:
            return True
        self.lose.discard(address)  # who sends again gets an answer: a test that fails is to end
        self.lost.add(message_id)
        return False


class SmtpReceiver(Receiver):
    """For aiosmtpd."""

    async def handle_RCPT(self, server, session, envelope, address, options) -> str:
        if address in self.refuse:
            return "550 5.1.1 no such user"
        if self.is_busy(address):
            return "451 4.7.1 later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope) -> str:
        message_id = email.message_from_bytes(envelope.content)["Caravan-Message-Id"][:32]  # its mark follows
        if not self.take(envelope.rcpt_tos[0], message_id):
            server.transport.abort()
        return "250 2.0.0 Ok: queued as 4F2B9C01"


class SesReceiver(Receiver):
    """SendEmail of SES v2, and a queue of SQS with its events. `told`: those it tells of; each comes again until it is
    deleted."""

    def __init__(self, *faults: Any) -> None:
        super().__init__(*faults)
        self.told: set[str] = set()
        self.events: dict[str, str] = {}
        logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
        self._server = make_server("127.0.0.1", 0, self._app, threaded=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def _app(self, environ: Any, start_response: Any) -> Any:
        asked = json.loads(Request(environ).get_data())
        action = environ.get("HTTP_X_AMZ_TARGET")
        answer = self._queue(action, asked) if action else self._answer(asked, environ["werkzeug.socket"])
        return answer(environ, start_response)

    def tell(self, unknown: set[str]) -> None:
        """Of what it took of these, but for UNTOLD, and of some of the others."""
        self.told = {*sorted(unknown & set(self.took))[UNTOLD:], *(set(self.took[::10]) - unknown)}
        for number, message_id in enumerate(sorted(self.told)):
            mail = {"timestamp": "2026-11-25T09:30:00Z", "messageId": f"0107-{number}", "tags": {TAG: [message_id]}}
            self.events[f"e{number}"] = json.dumps({"eventType": "Send", "mail": mail, "send": {}})

    def _queue(self, action: str, asked: dict[str, Any]) -> Response:
        found: dict[str, Any] = {}
        if action == "AmazonSQS.ReceiveMessage":
            waiting = list(self.events.items())[: asked["MaxNumberOfMessages"]]
            found = {"Messages": [{"MessageId": key, "ReceiptHandle": key, "Body": body} for key, body in waiting]}
        else:
            assert action == "AmazonSQS.DeleteMessage"
            del self.events[asked["ReceiptHandle"]]
        return Response(json.dumps(found), content_type="application/x-amz-json-1.0")

    def _answer(self, asked: dict[str, Any], connection: socket.socket) -> Response:
        (address,) = asked["Destination"]["ToAddresses"]
        if address in self.refuse:
            return Response("{}", 400, {"x-amzn-ErrorType": "MessageRejected"})
        if self.is_busy(address):
            return Response("{}", 429, {"x-amzn-ErrorType": "TooManyRequestsException"})
        (message_id,) = [tag["Value"] for tag in asked["EmailTags"] if tag["Name"] == TAG]
        if not self.take(address, message_id):
            connection.shutdown(socket.SHUT_RDWR)
        return Response(json.dumps({"MessageId": f"0107-{len(self.took)}"}), content_type="application/json")

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Matrix(ReleaseWorld):
    """`count` people, of whose answers one in a hundred is lost, LEAST_LOST at least. Its clock begins at NOW
    and goes on by itself."""

    def __init__(
        self, home: Path, monkeypatch: pytest.MonkeyPatch, place: Place, kind: Kind, count: int, seed: int
    ) -> None:
        super().__init__(home, monkeypatch)
        if isinstance(place, PostgresPlace):
            monkeypatch.setenv("CARAVAN_WAREHOUSE", place.dsn)
        for path in (*self.config.glob("channels/*"), *self.config.glob("markets/*")):
            if path.name not in ("de.yml", "gb.yml", "zz.yml"):
                path.unlink()  # each worker reads all that there is
        release = self.folder / "release.yml"
        release.write_text(release.read_text().replace("[site, letter]", "[letter]"))
        self.planned = self._people(count, random.Random(seed), kind)
        self._environ = {name: os.environ[name] for name in os.environ if name.startswith(("CARAVAN_", "AIRFLOW_CONN"))}
        self._started = time.monotonic()
        self._deaths, self._in_the_air = home / "deaths", home / "in_the_air"
        self._deaths.mkdir()
        self._in_the_air.touch()
        self.killed: list[str] = []
        self._ledger = open_ledger(self.settings)
        self.outbox = StoredOutbox(self._ledger)
        # One process loads all that workers need; each is a fork of it.
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
        self._processes = multiprocessing.get_context("forkserver")
        self._processes.set_forkserver_preload(["pytest", "matrix_worker"])

    def _people(self, count: int, dice: random.Random, kind: Kind) -> int:
        names = [f"p{number:05}" for number in range(count)]
        rest = dice.sample(names, k=count)
        lose, refuse, once, always, unasked = (
            {f"{rest.pop()}@example.com" for _ in range(number)}
            for number in (max(count // 100, LEAST_LOST), REFUSED, BUSY_ONCE, BUSY, UNASKED)
        )
        self.people(
            *(row for name in rest for row in agreed(name)),
            *(row for each in lose | refuse | once | always for row in agreed(each.partition("@")[0])),
            *(f"{each},DE,,,,,Nobody" for each in unasked),
        )
        faults = lose, refuse, dict.fromkeys(once, 1) | dict.fromkeys(always, _ALWAYS)
        self.receiver: Receiver = self._smtp(*faults) if kind == "smtp" else self._ses(*faults)
        return count

    def _smtp(self, *faults: Any) -> Receiver:
        self.controller.handler = SmtpReceiver(*faults)
        return self.controller.handler

    def _ses(self, *faults: Any) -> Receiver:
        account = self.config / "outlets" / "letter.yml"
        text = account.read_text()
        for smtp, ses in _SES.items():
            assert smtp in text
            text = text.replace(smtp, ses)
        account.write_text(text + _EVENTS)
        receiver = SesReceiver(*faults)
        extra = {"endpoint_url": receiver.url, "region_name": "us-east-1"}
        connection = {"conn_type": "aws", "login": "AKIATEST", "password": "secret", "extra": extra}
        os.environ["AIRFLOW_CONN_AWS_LETTER"] = json.dumps(connection)
        return receiver

    def close(self) -> None:
        self._ledger.close()
        self.controller.stop()
        os.environ.pop("AIRFLOW_CONN_AWS_LETTER", None)
        if isinstance(self.receiver, SesReceiver):
            self.receiver.close()

    def kill_at(self, *deaths: str) -> None:
        """`<phase>.<count>`: the worker that comes there."""
        for death in deaths:
            (self._deaths / death).touch(exist_ok=False)

    def deaths_left(self) -> list[str]:
        return sorted(path.name for path in self._deaths.iterdir())

    def in_the_air(self) -> set[str]:
        """Messages handed over whose answer no worker was left to take down."""
        return {line for line in self._in_the_air.read_text().splitlines() if line}

    def kills(self) -> int:
        return len(self._in_the_air.read_text().splitlines())

    def start(self, step: Step) -> Any:
        job = Job(step, self._environ, self._deaths, self._in_the_air, self.now, self._started)
        worker = self._processes.Process(target=work, args=(job,))
        worker.start()
        return worker

    def run(self, step: Step) -> int:
        """Exit code of a worker of this step."""
        worker = self.start(step)
        worker.join(HANGS_SECONDS)
        assert worker.exitcode is not None, f"{step} hangs"
        return int(worker.exitcode)

    def work(self, until_none: str = "") -> None:
        """Two workers at a time, a new one for each that ends, until nothing is due, and no message in the states
        `until_none`."""
        workers: list[Any] = []
        leases = 0
        while True:
            is_due = self._is_there("state = 'planned' AND due_at <= :now") or (
                bool(until_none) and self._is_there(f"state IN ({until_none})")
            )
            if not is_due and not workers:
                if not self._is_there("state IN ('claimed', 'handed_over')"):
                    return
                assert leases < 100, "what dead workers have left stays with them"
                leases += 1
                self.now += LEASE + timedelta(seconds=1)
                is_due = True
            workers += [self.start("send") for _ in range(WORKERS - len(workers) if is_due else 0)]
            assert wait([each.sentinel for each in workers], timeout=HANGS_SECONDS), "a worker hangs"
            for each in workers:
                assert each.exitcode in (None, 0, -9), "a worker failed"
            workers = [each for each in workers if each.exitcode is None]

    def _is_there(self, where: str) -> bool:
        now = self.now + timedelta(seconds=time.monotonic() - self._started)
        with self._ledger.read() as transaction:
            return bool(transaction.row(f"SELECT 1 FROM outbox_message WHERE {where} LIMIT 1", {"now": as_text(now)}))

    def messages(self, *states: str) -> list[Message]:
        found = self.outbox.find(limit=self.planned + 1)
        return [each for each in found if not states or each.state in states]

    def ids(self, *states: str) -> set[str]:
        return {each.message_id for each in self.messages(*states)}

    def counts(self) -> Counter[str]:
        return Counter(each.state for each in self.messages())
