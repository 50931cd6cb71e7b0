"""How fast mail leaves: so many a second in all, and so many to one domain. Clock and sleep are arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

_MOST_DOMAINS = 10_000


@dataclass
class Bucket:
    """Tokens come in at `per_second`, up to `burst`; each mail takes one."""

    per_second: float
    burst: float
    tokens: float
    at: float

    def wait_for_one(self, now: float) -> float:
        """Takes one token, which may be a future one: the seconds until it is there."""
        self.refill(now)
        self.tokens -= 1
        return max(0.0, -self.tokens / self.per_second)

    def refill(self, now: float) -> None:
        # A clock that goes back gives nothing, and goes on from there.
        self.tokens = min(self.burst, self.tokens + max(0.0, now - self.at) * self.per_second)
        self.at = now


@dataclass
class Throttle:
    """`clock`: seconds, e.g. time.monotonic. `per_domain`: for those named, and under "*" for each other one."""

    clock: Callable[[], float]
    sleep: Callable[[float], None]
    per_second: float
    per_domain: Mapping[str, float] = field(default_factory=dict)
    burst: float = 1.0

    def __post_init__(self) -> None:
        if min(self.per_second, self.burst, *self.per_domain.values()) <= 0 or self.burst < 1:
            raise ValueError("a rate has to be more than 0 a second, a burst at least 1")
        now = self.clock()
        self._all = Bucket(self.per_second, self.burst, self.burst, now)
        self._domains: dict[str, Bucket] = {}

    def wait(self, domain: str) -> float:
        """Sleeps until a mail may go to the domain; the seconds that took."""
        now = self.clock()
        seconds = self._all.wait_for_one(now)
        if (bucket := self._bucket(domain, now)) is not None:
            seconds = max(seconds, bucket.wait_for_one(now))
        if seconds > 0:
            self.sleep(seconds)
        return seconds

    def _bucket(self, domain: str, now: float) -> Bucket | None:
        rate = self.per_domain.get(domain, self.per_domain.get("*"))
        if rate is None:
            return None
        if domain not in self._domains and len(self._domains) >= _MOST_DOMAINS:
            # A full bucket is as good as a new one.
            for bucket in self._domains.values():
                bucket.refill(now)
            self._domains = {name: bucket for name, bucket in self._domains.items() if bucket.tokens < bucket.burst}
        return self._domains.setdefault(domain, Bucket(rate, self.burst, self.burst, now))
