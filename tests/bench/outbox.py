"""Messages planned and handed over in a second, through the outbox on SQLite with fsync.

    python tests/bench/outbox.py [--planned 10000 100000 1000000] [--sent 2000] [--dir DIR]

Planning: messages a second and peak memory, for each number in a process of its own; the largest must not take longer
than a minute a million, nor a fifth more memory than the one before. Handing over: by one worker to a carrier that
answers at once; fails under the floor, 100 a second. And over SMTP to a server in another process, printed only.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from caravan import TEMPLATES_DIR
from caravan.assembly.sending import ReleaseCarrier
from caravan.clients.mail.mailing import Mailing
from caravan.clients.mail.smtp import SmtpOutlet
from caravan.clients.mail.template import MailTemplate, Sender
from caravan.clients.mail.tokens import Keys, Links
from caravan.core.connections import Connection
from caravan.core.outbox import Accepted, Carrier, Intention, Key, Message
from caravan.core.release import Content
from caravan.functions.outbox import sending
from caravan.warehouse.ledger import FILE, SqliteLedger
from caravan.warehouse.outbox import StoredOutbox

FLOOR, GOAL, MEMORY_GROWTH, MOST_SECONDS_A_MILLION = 100, 300, 1.2, 60
NOW = datetime.now(UTC).replace(tzinfo=None)
RATE = {"letter": timedelta(milliseconds=1)}
"""The highest that an outlet may have."""
CONTENT = Content(
    "spring", 1, "news", "DE", "de-DE", "Frühling für {{ first_name }}", "Neu", "<p>Hallo {{ first_name }}</p>",
    "Hallo {{ first_name }}", NOW, NOW, "c0ffee", url="https://shop.example/news/spring",
)  # fmt: skip


def intentions(count: int) -> Iterator[Intention]:
    """As a release makes them for its list."""
    for number in range(count):
        key = Key("release", "spring", 1, "letter", f"{number * 7919 % count}.customer@example.com")
        details = {"zone": "Europe/Berlin", "zone_source": "market", "is_customer": True}
        yield Intention(
            key,
            NOW,
            NOW + timedelta(hours=2),
            "c0ffee",
            market_code="DE",
            locale="de-DE",
            purpose="marketing_email",
            subject=key.message_id,
            payload={"action": "publish", "variables": {"first_name": "Zoë"}, **details},
        )


def plan(folder: Path, count: int, answers: Any) -> None:
    with SqliteLedger(folder / f"{count}-{FILE}") as ledger:
        outbox, start = StoredOutbox(ledger), time.monotonic()
        assert outbox.plan(intentions(count), NOW, "bench") == count
        seconds = time.monotonic() - start
    answers.put((seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


class Anybody:
    """A carrier that answers at once, and a gate that lets all pass."""

    is_repeatable = False

    def hand_over(self, message: Message) -> Accepted:
        return Accepted("id")

    def find(self, message: Message) -> None:
        return None

    def ask(self, message: Message, now: datetime) -> None:
        return None


def send(path: Path, count: int, carrier: Carrier) -> float:
    """Messages a second."""
    with SqliteLedger(path) as ledger:
        outbox = StoredOutbox(ledger)
        outbox.plan(intentions(count), NOW, "bench")
        clock = lambda: datetime.now(UTC).replace(tzinfo=None)  # noqa: E731
        sender = sending.Sender(
            outbox, "release", "letter", carrier, Anybody(), "bench", clock, time.sleep, spacing=lambda message: RATE
        )
        start = time.monotonic()
        assert sender.send_due(NOW + timedelta(minutes=1)) == {"accepted": count}
        return count / (time.monotonic() - start)


def serve(ports: Any) -> None:
    """A mail server that takes everything."""
    import asyncio

    from aiosmtpd.controller import UnthreadedController
    from aiosmtpd.handlers import Sink

    loop = asyncio.new_event_loop()
    controller = UnthreadedController(Sink(), "127.0.0.1", 0, loop=loop)
    controller.begin()
    ports.put(controller.server.sockets[0].getsockname()[1])
    loop.run_forever()


def smtp_carrier(port: int) -> SmtpOutlet:
    extra = {"disable_ssl": "true", "disable_tls": "true"}
    mailing = Mailing(
        Sender("news@shop.example", "Shop", "Hauptstr. 1, 10115 Berlin"),
        MailTemplate(TEMPLATES_DIR / "release" / "mail"),
        lambda: NOW,
        Links("https://shop.example/unsubscribe", Keys("k1", {"k1": b"0123456789abcdef"})),
        frozenset({"first_name"}),
    )
    return SmtpOutlet("letter", Connection("smtp_bench", "smtp", "127.0.0.1", port=port, extra=extra), mailing)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--planned", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--sent", type=int, default=2000)
    parser.add_argument("--dir", type=Path)
    given = parser.parse_args()
    faults = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=given.dir)))
        processes = multiprocessing.get_context("spawn")
        memory: list[float] = []
        for count in given.planned:
            answers = processes.SimpleQueue()
            planner = processes.Process(target=plan, args=(folder, count, answers))
            planner.start()
            planner.join()
            seconds, peak = answers.get()
            memory.append(peak)
            print(f"{count:,} planned in {seconds:.1f} s: {count / seconds:,.0f} a second, {peak:.0f} MB", flush=True)
        if seconds > MOST_SECONDS_A_MILLION * count / 1_000_000:
            faults.append("planning is too slow")
        if len(memory) > 1:
            growth = memory[-1] / memory[-2]
            print(f"memory at {given.planned[-1]:,} is {growth:.2f} times that at {given.planned[-2]:,}"
                  f" (at most {MEMORY_GROWTH})")  # fmt: skip
            faults += ["planning takes more memory for more messages"] * (growth > MEMORY_GROWTH)

        rate = send(folder / "sent.sqlite", given.sent, Anybody())
        print(f"handed over to a carrier that answers at once: {rate:,.0f} a second (goal {GOAL}, floor {FLOOR})")
        faults += ["handing over is too slow"] * (rate < FLOOR)

        ports = processes.SimpleQueue()
        server = processes.Process(target=serve, args=(ports,), daemon=True)
        server.start()
        stack.callback(server.terminate)
        outlet = stack.enter_context(smtp_carrier(ports.get()))
        payload = outlet.render(CONTENT)
        rate = send(folder / "smtp.sqlite", given.sent, ReleaseCarrier(outlet, lambda key: payload, lambda key: None))
        print(f"handed over by SMTP: {rate:,.0f} a second")
    for fault in faults:
        print(f"FAILED: {fault}")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
