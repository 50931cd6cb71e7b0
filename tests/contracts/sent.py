"""Releases as an outbox has them after some weeks: late and in time, answered and not; the same on every engine."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from pathlib import Path

from caravan.core.consistency import Check, Checked
from caravan.core.outbox import Accepted, Intention, Key, Outcome, Refused, Unknown
from caravan.warehouse.catalog import Catalog
from caravan.warehouse.ledger import SqliteLedger
from caravan.warehouse.outbox import StoredOutbox
from caravan.warehouse.outbox_mirror import OutboxMirror
from caravan.warehouse.port import Warehouse
from caravan.warehouse.release_checks import StoredChecks

CHECKS = (Check("presence", "same"), Check("price", "differs", "shows 29 €; approved was 19 €"))
FIRST = datetime(2026, 3, 1, 8, 30)
HOUR = timedelta(hours=1)


class Sent:
    """Each `plan_and_send` adds a release and sends some of what is planned."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.chance = random.Random(31)
        self.releases = 0

    def plan_and_send(self, warehouse: Warehouse, catalog: Catalog) -> None:
        self.releases += 1
        with SqliteLedger(self.folder / "outbox.sqlite") as ledger:
            outbox = StoredOutbox(ledger)
            now = FIRST + timedelta(days=self.releases)
            outbox.plan([self.intention(number, now) for number in range(120)], now - HOUR, "test")
            mirror = OutboxMirror(warehouse, catalog, outbox, self.folder, lambda: now, batch=50)
            mirror.bring_up()
            for outlet in ("letter", "site"):
                self.send(outbox, outlet, now)
            outbox.recover(now + 12 * HOUR)
            mirror.bring_up()
            looked_at = [Checked(each, now, CHECKS) for each in outbox.find() if each.key.outlet == "site"]
            StoredChecks(warehouse, catalog).put(looked_at, now)

    def intention(self, number: int, now: datetime) -> Intention:
        outlet = "letter" if number % 4 else "site"
        key = Key("release" if number % 9 else "service", f"r{self.releases}", 1 + number % 2, outlet, f"t{number}")
        planned_for = now + timedelta(hours=self.chance.randint(0, 30))
        market = self.chance.choice(["DE", "US", None])
        return Intention(key, planned_for, planned_for + 6 * HOUR, "c0ffee", market_code=market, locale="de-DE")

    def send(self, outbox: StoredOutbox, outlet: str, now: datetime) -> None:
        for function in ("release", "service"):
            due = outbox.claim(function, outlet, "worker", now, now + 20 * HOUR, 48 * HOUR, 60)
            for message in due:
                at = message.due_at + timedelta(microseconds=self.chance.choice([1, 400_001, 60_000_000, 93_500_007]))
                begun = outbox.begin(message, at)
                assert begun is not None
                outcomes: list[Outcome] = [Accepted("1"), Accepted("2"), Unknown("no answer"), Refused("550")]
                outbox.record(begun, self.chance.choice(outcomes), at + timedelta(seconds=1))
