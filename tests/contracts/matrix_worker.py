"""A worker in a process of its own that dies by SIGKILL where a test wants it to: it plans, takes back, sends or
collects what comes back.

A death is an empty file `<phase>.<count>`: whoever comes to the phase for that time or a later one takes it, and dies.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Literal

import holidays.countries  # noqa: F401  (as below: a fork of whoever has it finds it loaded)

from caravan.assembly import feedback, outlets, releases, sending
from caravan.clients.mail import ses, ses_events, smtp  # noqa: F401
from caravan.core.codes import country_codes
from caravan.core.outbox import UNCAPPED, UNLIMITED, Caps, Message, Skip, Spacing, Wait
from caravan.functions.outbox.sending import Pace
from caravan.warehouse.ledger import Ledger
from caravan.warehouse.outbox import StoredOutbox

LEASE = timedelta(seconds=3)
PACE = Pace(batch=5, lease=LEASE)
country_codes()
_ANSWERED = ("after accepted", "after rejected", "after unknown")

Step = Literal["plan", "cancel", "send", "collect"]


@dataclass(frozen=True)
class Job:
    """`now`: what the clock of the test showed when time.monotonic() was `started`; it goes on from there.
    `in_the_air`: a file that gets the message of which a death leaves nobody to know, a line each."""

    step: Step
    environ: Mapping[str, str]
    deaths: Path
    in_the_air: Path
    now: datetime
    started: float

    def clock(self) -> datetime:
        return self.now + timedelta(seconds=time.monotonic() - self.started)


class MortalOutbox(StoredOutbox):
    def __init__(self, job: Job, ledger: Ledger) -> None:
        self._job = job
        self._seen: Counter[str] = Counter()
        self._begun = self._in_the_air = ""
        super().__init__(ledger, self._come_to)

    def begin(
        self, message: Message, now: datetime, spacing: Spacing = UNLIMITED, caps: Caps = UNCAPPED
    ) -> Message | Wait | Skip | None:
        self._begun = message.message_id
        return super().begin(message, now, spacing, caps)

    def _come_to(self, phase: str) -> None:
        self._seen[phase] += 1
        if phase == "after handed_over":
            self._in_the_air = self._begun
        elif phase in _ANSWERED:
            self._in_the_air = ""
        for death in self._job.deaths.glob(f"{phase}.*"):
            if int(death.suffix[1:]) <= self._seen[phase]:
                self._die(death)

    def _die(self, death: Path) -> None:
        try:
            death.unlink()
        except FileNotFoundError:
            return  # another one took it
        with self._job.in_the_air.open("a") as file:
            file.write(f"{self._in_the_air}\n")
        os.kill(os.getpid(), signal.SIGKILL)


def work(job: Job) -> None:
    logging.disable(logging.CRITICAL)
    os.environ.update(job.environ)
    for module in (feedback, outlets, releases, sending):
        module.utc_now = job.clock  # type: ignore[attr-defined]
    releases.StoredOutbox = partial(MortalOutbox, job)  # type: ignore[misc,assignment]
    sending.USUAL = PACE  # type: ignore[misc]
    turns = {function: (timedelta(0), turn) for function, (_, turn) in sending.FUNCTIONS.items()}
    sending.FUNCTIONS = turns  # type: ignore[misc]  # what is due in a minute is not waited for
    if job.step == "plan":
        releases.plan("autumn", "test")
    elif job.step == "cancel":
        with releases.open_desk() as desk:
            desk.outbox.cancel("release", "autumn", 1, "taken back", job.clock(), "test")
    elif job.step == "collect":
        feedback.collect("letter")
    else:
        for outlet in sending.list_outlets():
            sending.send(outlet)
