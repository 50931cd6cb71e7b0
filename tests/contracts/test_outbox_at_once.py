"""Two processes at one outbox: each message once, by one outlet, no faster than the rate, nobody beyond a cap; on both
engines."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from outboxes import MINUTE, NOW, intention

from caravan import PROJECT_ROOT
from caravan.core.outbox import Key
from caravan.warehouse.ledger import FILE
from caravan.warehouse.outbox import StoredOutbox


def at_once(script: str, place: str, *more: str) -> list[list[str]]:
    """The lines that two processes say that are told to begin together."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", script, place, name, *more],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT / "plugins")},
        )
        for name in ("one", "two")
    ]
    for worker in workers:
        assert worker.stdout and worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin
        worker.stdin.write("go\n")
        worker.stdin.flush()
    return [worker.communicate(timeout=60)[0].splitlines() for worker in workers]


@pytest.fixture
def place(engine: str, outbox: StoredOutbox, new_place, tmp_path: Path) -> str:
    """Of the outbox, for another process."""
    return str(tmp_path / FILE) if engine == "lake" else new_place.places[0].dsn


WORKER = """
import sys
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from caravan.warehouse.ledger import PostgresLedger, SqliteLedger
from caravan.warehouse.outbox import StoredOutbox
place, name = sys.argv[1:]
ledger = PostgresLedger(place) if "://" in place else SqliteLedger(Path(place))
outbox, now = StoredOutbox(ledger), datetime(2026, 11, 25, 8, 30)
minutes = timedelta(minutes=10)
print("ready", flush=True)
sys.stdin.readline()
while found := outbox.claim("release", "newsletter", name, now, now + minutes, minutes, 3):
    for message in found:
        if outbox.begin(message, now):
            print(message.key.target, flush=True)
"""


def test_two_workers_at_once_never_have_the_same(outbox, place):
    targets = [f"t{number:03}" for number in range(60)]
    outbox.plan([intention(target) for target in targets], NOW, "me")
    sent = at_once(WORKER, place)
    assert sorted(sent[0] + sent[1]) == targets
    assert outbox.verify() is None


RATED = """
import sys, time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from caravan.core.outbox import Accepted
from caravan.functions.outbox.sending import Pace, Sender
from caravan.warehouse.ledger import PostgresLedger, SqliteLedger
from caravan.warehouse.outbox import StoredOutbox
place, name = sys.argv[1:]
ledger = PostgresLedger(place) if "://" in place else SqliteLedger(Path(place))
class Carrier:
    is_repeatable = False
    def hand_over(self, message):
        print(message.key.target, flush=True)
        return Accepted()
class Gate:
    def ask(self, message, now):
        return None
clock = lambda: datetime.now(UTC).replace(tzinfo=None)
spacing = {"newsletter": timedelta(milliseconds=50)}
sender = Sender(StoredOutbox(ledger), "release", "newsletter", Carrier(), Gate(), name, clock, time.sleep,
                Pace(batch=2), lambda message: spacing)
print("ready", flush=True)
sys.stdin.readline()
sender.send_due(clock() + timedelta(minutes=1))
"""


def test_two_workers_at_once_are_no_faster_than_the_rate(outbox, open_ledger, place):
    now = datetime.now(UTC).replace(tzinfo=None)
    times = {"planned_for": now, "not_after": now + MINUTE}
    outbox.plan([intention(f"t{number:02}", **times) for number in range(20)], now, "me")
    said = at_once(RATED, place)
    assert sorted(line for lines in said for line in lines) == [f"t{number:02}" for number in range(20)]
    assert all(said), "both send"
    with open_ledger().read() as transaction:
        rows = transaction.rows("SELECT handed_over_at FROM outbox_message ORDER BY handed_over_at")
    times = [datetime.fromisoformat(row[0]) for row in rows]
    assert min(after - before for before, after in pairwise(times)) >= timedelta(milliseconds=50)


BY_DOMAIN = (
    RATED.replace("import Accepted", "import Accepted, Domains, domain_rate")
    .replace(
        "lambda message: spacing)",
        "lambda message: spacing | {domain_rate('newsletter', message.key.target): slow}, domains=domains)",
    )
    .replace(
        "sender = Sender",
        """slow, second = timedelta(milliseconds=150), timedelta(seconds=1)
domains = Domains("newsletter", slow, second / 10, second)
sender = Sender""",
    )
)


def test_two_workers_at_once_share_the_rate_of_a_domain_and_lose_nothing(outbox, open_ledger, place):
    now = datetime.now(UTC).replace(tzinfo=None)
    times = {"planned_for": now, "not_after": now + MINUTE}
    targets = [f"t{number:02}@{'slow' if number % 2 else f'd{number}'}" for number in range(20)]
    outbox.plan([intention(target, **times) for target in targets], now, "me")
    said = at_once(BY_DOMAIN, place)
    assert sorted(line for lines in said for line in lines) == targets
    assert outbox.verify() is None
    with open_ledger().read() as transaction:
        rows = transaction.rows(
            "SELECT handed_over_at FROM outbox_message WHERE target LIKE '%@slow' ORDER BY handed_over_at"
        )
    left = [datetime.fromisoformat(row[0]) for row in rows]
    assert min(after - before for before, after in pairwise(left)) >= timedelta(milliseconds=150)


BY_TWO_OUTLETS = """
import sys
from datetime import datetime, timedelta
from pathlib import Path
from caravan.core.outbox import Cap, Caps, Message
from caravan.warehouse.ledger import PostgresLedger, SqliteLedger
from caravan.warehouse.outbox import StoredOutbox
place, name = sys.argv[1:3]
outbox = StoredOutbox(PostgresLedger(place) if "://" in place else SqliteLedger(Path(place)))
caps = Caps(tuple(Cap(int(count), 1) for count in sys.argv[3:]))
now, minutes = datetime(2026, 11, 25, 8, 30), timedelta(minutes=10)
found = outbox.claim("release", name, name, now, now + minutes, minutes, 100)
print("ready", flush=True)
sys.stdin.readline()
for message in found:
    if isinstance(outbox.begin(message, now, caps=caps), Message):
        print(message.key.target, flush=True)
"""


@pytest.mark.parametrize("objects", [("autumn", "winter"), ("autumn", "autumn")])
def test_two_outlets_at_once_write_to_nobody_twice(outbox, place, objects):
    """A cap of one message of all releases; and without any cap, one of the same revision."""
    people, caps = [f"t{number:02}" for number in range(40)], ("1",) * (len(set(objects)) - 1)
    of_outlets = dict(zip(("one", "two"), objects, strict=True))
    keys = [Key("release", name, 1, outlet, person) for person in people for outlet, name in of_outlets.items()]
    outbox.plan([intention(key.target, key=key) for key in keys], NOW, "me")
    said = at_once(BY_TWO_OUTLETS, place, *caps)
    assert sorted(line for lines in said for line in lines) == people
    assert outbox.verify() is None
