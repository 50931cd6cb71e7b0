"""The loop of a crawl: whom to ask next, who may be asked, and what is kept of the answers.

Generation by generation (an address lies as deep as its nearest seed is links away), within one in the order of keys:
the same site gives the same tables, whatever the threads did and however often the crawl was killed.

One thread decides, reads, writes and commits; as many as there are connections ask (downloader.py). Turns of hosts
are taken here, so that no thread waits for a slow host while another could be asked.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

import pyarrow as pa

from caravan.clients.crawl.archive import Archive, Validators
from caravan.clients.crawl.batch import Batch, seeds_of
from caravan.clients.crawl.crew import Crew
from caravan.clients.crawl.downloader import Downloader
from caravan.clients.crawl.frontier import Address, Frontier, Step
from caravan.clients.crawl.intake import Intake
from caravan.clients.crawl.origins import BLOCKED, DEPTH, NO_ROBOTS, SECONDS, TOLD_TO_WAIT, TRAP, Origin
from caravan.clients.crawl.pace import Pace
from caravan.clients.crawl.parts import Parts
from caravan.clients.crawl.robots import Robots
from caravan.core.crawl import REFUSALS, Answer, Ask, Counts, Limits, Scope
from caravan.core.urls import host_of, key_of, pattern_of

_FLUSH_ROWS = 20_000
_FLUSH_SECONDS = 15.0
_CHUNK = 128
"""Addresses of one origin that are looked up at once."""
_TOLD_EVERY_SECONDS = 1.0
_ASK_AGAIN_BY_GET = (403, 404, 405, 501)
"""What servers say that do not know HEAD."""
_THROTTLED = 429


@dataclass
class _Asked:
    """An address on its way. `pattern`: hash of its pattern. `tries`: how often it was given to a thread."""

    address: Address
    pattern: int
    validators: Validators | None = None
    by_get: bool = False
    tries: int = 0
    attempts: int = 0

    def ask(self) -> Ask:
        if self.address.kind != "page" and not self.by_get:
            return Ask(self.address.url, "HEAD")
        etag, last_modified = self.validators or (None, None)
        return Ask(self.address.url, etag=etag, last_modified=last_modified)


@dataclass
class _Line:
    """Addresses of one origin in one generation, in the order of their keys."""

    origin: Origin
    buffer: deque[_Asked] = field(default_factory=deque)
    after: int = -1
    is_through: bool = False
    is_queued: bool = False
    is_probing: bool = False
    has_turn: bool = False


@dataclass
class Work:
    """What a crawl needs. `archive`: the last complete crawl. `stop`: set by whoever wants it to end; what was read is
    kept, and the next one goes on. `certificates`: host to the end of the one it showed."""

    scope: Scope
    limits: Limits
    frontier: Frontier
    parts: Parts
    downloader: Downloader
    intake: Intake
    pace: Pace
    archive: Archive | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    progress: Callable[[Counts], None] = lambda counts: None
    certificates: Mapping[str, datetime] = field(default_factory=dict)
    checkpoint: int = 512


class Crawl:
    def __init__(self, work: Work) -> None:
        self.work = work
        self.batch = Batch(work.archive)
        self.part = work.frontier.part
        told = work.frontier.origins()
        self.origins = {origin: self._known(origin, of) for origin, of in told.items()}
        self.counts = Counts()
        self._reserved: Counter[int] = Counter()
        self.crew = Crew(work.limits.connections)
        self._lines: dict[str, _Line] = {}
        self._heap: list[tuple[float, int, _Line]] = []
        self._turns = itertools.count()
        self._touched: set[str] = set()
        self._by_outcome = Counter(work.frontier.counts())
        self._by_outcome.pop("waiting", None)
        self._began = self._flushed_at = self._told_at = time.monotonic()

    def run_generation(self, depth: int) -> None:
        """All that waits at this depth, unless it is stopped."""
        for origin in self.work.frontier.waiting_origins(depth):
            self._queue(_Line(self.origin(origin)))
        while (self._heap or self.crew.under_way) and not self.work.stop.is_set():
            self._turn(depth)
            self._flush_if_due(depth)
        if self.work.stop.is_set():
            self.crew.finish()
        self._heap.clear()
        self._lines.clear()
        self.flush(depth)

    def origin(self, origin: str) -> Origin:
        if origin not in self.origins:
            self.origins[origin] = self._known(origin, None)
        return self.origins[origin]

    def learn_rules(self, origin: Origin) -> None:
        """Asks for its robots.txt, in this thread."""
        self._learnt(origin, self.work.downloader.robots(origin.origin))

    def flush(self, depth: int) -> None:
        """Everything so far on disk, then in the frontier."""
        self._flushed_at = time.monotonic()
        batch, self.batch = self.batch, Batch(self.work.archive)
        if not batch:
            return
        tables = batch.tables()
        self.write(tables)
        step = Step(
            done=batch.done,
            found=seeds_of(tables.get("found"), depth + 1, self.work.scope.kinds),
            patterns=batch.patterns,
            origins=self._told(),
            skipped=batch.skipped,
            meta={"well_count": str(int(self.work.frontier.meta("well_count") or 0) + batch.well_count)},
        )
        self.commit(step)
        self._reserved -= batch.patterns
        self._by_outcome.update(outcome for _, outcome in batch.done)
        self.counts.wire_bytes += batch.wire_bytes
        self._tell()

    def host_rows(self) -> list[tuple[object, ...]]:
        """Of the table `host`."""
        pace, certificates = self.work.pace, self.work.certificates
        return [
            each.row(pace.waited_ms(each.host), pace.rate(each.host), certificates.get(each.host))
            for _, each in sorted(self.origins.items())
        ]

    def _told(self) -> dict[str, dict[str, object]]:
        """What is to be remembered of each origin of which anything is new."""
        touched, self._touched = self._touched, set()
        return {name: each.told(self.work.pace.waited_ms(each.host)) for name, each in self._of(touched)}

    def _of(self, names: Iterable[str]) -> Iterator[tuple[str, Origin]]:
        return ((name, self.origins[name]) for name in sorted(names))

    def write(self, tables: Mapping[str, pa.Table]) -> None:
        """The next part, of what is committed later."""
        self.part += 1
        self.work.parts.write(self.part, tables)

    def commit(self, step: Step) -> None:
        self.work.frontier.commit(step, lambda: self.part)

    # From here on: one turn of the loop.

    def _turn(self, depth: int) -> None:
        now = time.monotonic()
        has_room = self.crew.has_room
        if has_room and self._heap and self._heap[0][0] <= now:
            _, _, line = heapq.heappop(self._heap)
            line.is_queued = False
            self._advance(line, depth)
            self.crew.take(0.0)
            return
        until_due = self._heap[0][0] - now if has_room and self._heap else _TOLD_EVERY_SECONDS
        wait = min(max(until_due, 0.0005), _TOLD_EVERY_SECONDS)
        if self.crew.under_way:
            self.crew.take(wait)
        else:
            self.work.stop.wait(wait)  # nobody has anything to bring before the host's next turn
        if now - self._told_at > _TOLD_EVERY_SECONDS:
            self._tell()

    def _advance(self, line: _Line, depth: int) -> None:
        """Gives the next address of a line to a thread, or settles it; then the line waits for its host's next turn."""
        origin, downloader = line.origin, self.work.downloader
        if origin.robots is None and origin.closed is None:
            self.crew.give(partial(downloader.robots, origin.origin), partial(self._rules_came, line))
            return
        if origin.is_own and not origin.is_probed and not line.is_probing and origin.closed is None:
            line.is_probing = True
            if (probe := origin.page_to_be_missing(self.work.scope.prefixes)) is not None:
                self.crew.give(partial(downloader.missing_page, probe), partial(self._probed, origin, probe))
        asked = self._next(line, depth)
        if asked is None:
            return
        # A turn is taken ahead and waited for here. What the host has said since holds for it, too.
        wait = self.work.pace.held(origin.host) if line.has_turn else self.work.pace.reserve(origin.host)
        line.has_turn = True
        if wait > 0:
            line.buffer.appendleft(asked)
            self._queue(line, wait)
            return
        line.has_turn = False
        origin.began = time.monotonic() if origin.began is None else origin.began
        asked.tries += 1
        self.crew.give(partial(downloader.page, asked.address, asked.ask()), partial(self._answered, asked))
        self._queue(line)

    def _next(self, line: _Line, depth: int) -> _Asked | None:
        """The next that is to be asked; those before it that are not are settled. None at the end of the line."""
        while True:
            while not line.buffer:
                if line.is_through:
                    return None
                self._refill(line, depth)
                self._flush_if_due(depth)
            asked = line.buffer.popleft()
            # What was planned an hour ago need not be right any more.
            reason = self.closed(line.origin)
            if reason is None or asked.tries:
                return asked
            self._reserved[asked.pattern] -= 1
            self._skip(asked.address, reason)

    def _refill(self, line: _Line, depth: int) -> None:
        addresses = self.work.frontier.take(depth, line.origin.origin, line.after, _CHUNK)
        line.is_through = len(addresses) < _CHUNK
        if not addresses:
            return
        line.after = addresses[-1].key
        patterns = {each.key: key_of(f"{each.kind} {pattern_of(each.url)}") for each in addresses}
        asked_before = self.work.frontier.asked_of(sorted(set(patterns.values())))
        archive = self.work.archive
        keys = [each.key for each in addresses if each.kind == "page"]
        validators = archive.validators(keys) if archive is not None else {}
        for address in addresses:
            self._plan(line, address, patterns[address.key], asked_before, validators)

    def _plan(
        self,
        line: _Line,
        address: Address,
        pattern: int,
        asked_before: Mapping[int, int],
        validators: Mapping[int, Validators],
    ) -> None:
        origin, limits = line.origin, self.work.limits
        if origin.closed == "refused_address":
            self.batch.add_unasked(address, "refused", origin.closed)
        elif origin.closed is None and not origin.allows(address.url):
            self.batch.add_unasked(address, "blocked", BLOCKED)
        elif reason := origin.over(address.kind):
            self._skip(address, reason)
        elif address.depth > limits.depth:
            self._skip(address, DEPTH)
        elif asked_before.get(pattern, 0) + self._reserved[pattern] >= limits.pages_of_pattern:
            self._skip(address, TRAP)
        else:
            self._reserved[pattern] += 1
            origin.planned[address.kind] += 1
            line.buffer.append(_Asked(address, pattern, validators.get(address.key)))

    def _skip(self, address: Address, reason: str) -> None:
        self.origin(address.origin).skipped[reason] += 1
        self._touched.add(address.origin)
        self.batch.add_unasked(address, "skipped", reason)

    def closed(self, origin: Origin) -> str | None:
        """Why none of its addresses is asked any more; also where it wants to be asked later than it may take."""
        if origin.closed is None and self.work.pace.held(origin.host) > origin.seconds_left():
            origin.closed = TOLD_TO_WAIT if origin.seconds_left() > 0 else SECONDS
        return origin.closed

    # What threads bring.

    def _answered(self, asked: _Asked, answer: Answer) -> None:
        address, origin = asked.address, self.origin(asked.address.origin)
        asked.attempts += answer.attempt_count
        self._touched.add(origin.origin)
        if self._is_to_be_asked_again(asked, answer):
            line = self._lines[origin.origin]
            line.buffer.appendleft(asked)
            self._queue(line)
            return
        extracted, problem = self.work.intake.page(address, answer)
        origin.answered(answer)
        origin.asked[address.kind] += 1
        self.batch.patterns[asked.pattern] += 1
        is_seen = answer.status_code == 304 or (extracted is not None and extracted.is_read)
        # What nobody was ever shown is as it was: a site may have more of it than of pages.
        is_seen |= answer.status_code in REFUSALS and not self.batch.is_known(address)
        origin.unseen_count += address.kind == "page" and not is_seen
        if answer.status_code == _THROTTLED:
            # It was asked for, and nobody has seen it: it is neither covered nor judged.
            origin.skipped[TOLD_TO_WAIT] += 1
            self.batch.skipped[TOLD_TO_WAIT] += 1
            self.batch.add_failed(address, "skipped", TOLD_TO_WAIT, answer, asked.attempts)
        elif extracted is not None:
            self.batch.add_read(address, answer, extracted, asked.attempts)
        elif answer.status_code == 304 and problem is None:
            is_first = asked.attempts == answer.attempt_count
            self.batch.add_unchanged(address, answer if is_first else replace(answer, attempt_count=asked.attempts))
        else:
            origin.failed_count += 1
            refused = answer.reason in ("refused_address", "bad_url")
            reason = problem or answer.reason or "broken"
            self.batch.add_failed(address, "refused" if refused else "failed", reason, answer, asked.attempts)

    def _is_to_be_asked_again(self, asked: _Asked, answer: Answer) -> bool:
        """A host that was too busy, and one that does not know HEAD: they said nothing of the page. A 304 with
        X-Robots-Tag says more than that nothing has changed: the page had none."""
        if answer.status_code in _ASK_AGAIN_BY_GET and asked.ask().method == "HEAD" and not self.work.stop.is_set():
            asked.by_get = True
            return True
        if answer.status_code == 304 and asked.validators and answer.header("x-robots-tag") is not None:
            asked.validators = None
            return True
        is_busy = answer.status_code == _THROTTLED or (answer.status_code == 503 and answer.retry_after_s is not None)
        if not is_busy or self.closed(self.origin(asked.address.origin)):
            return False
        return asked.tries < self.work.limits.attempts and not self.work.stop.is_set()

    def _learnt(self, origin: Origin, robots: Robots) -> None:
        origin.robots = robots
        self._touched.add(origin.origin)
        if robots.reason == "tls":
            origin.tls_problem = origin.tls_problem or robots.detail or "tls"
        self.work.pace.delay(origin.host, robots.crawl_delay_s)
        self.batch.add("robots", robots.row())
        if robots.outcome == "unavailable" and (origin.is_own or robots.status_code is not None):
            origin.closed = "refused_address" if robots.reason == "refused_address" else NO_ROBOTS

    def _rules_came(self, line: _Line, robots: Robots) -> None:
        self._learnt(line.origin, robots)
        self._queue(line)

    def _probed(self, origin: Origin, probe: Address, answer: Answer) -> None:
        origin.is_probed = True
        self._touched.add(origin.origin)
        origin.missing_page_status, origin.missing_page_hash = self.work.intake.missing_page(probe, answer)

    def _queue(self, line: _Line, wait: float = 0.0) -> None:
        self._lines[line.origin.origin] = line
        if not line.is_queued:
            line.is_queued = True
            heapq.heappush(self._heap, (time.monotonic() + wait, next(self._turns), line))

    def _flush_if_due(self, depth: int) -> None:
        batch = self.batch
        is_due = time.monotonic() - self._flushed_at > _FLUSH_SECONDS
        if is_due or batch.asked_count >= self.work.checkpoint or batch.row_count >= _FLUSH_ROWS:
            self.flush(depth)

    def _tell(self) -> None:
        self._told_at = time.monotonic()
        self.counts.waiting = self.work.frontier.waiting_count() - len(self.batch.done)
        self.counts.by_outcome = dict(self._by_outcome + Counter(outcome for _, outcome in self.batch.done))
        self.counts.seconds = time.monotonic() - self._began
        self.work.progress(self.counts)

    def _known(self, origin: str, told: Mapping[str, object] | None) -> Origin:
        is_own = host_of(f"{origin}/") in self.work.scope.hosts
        return Origin.remembered(origin, is_own, self.work.limits, told)
