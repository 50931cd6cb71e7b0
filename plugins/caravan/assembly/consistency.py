"""Reading releases back: what each outlet shows is held against what was handed over to it."""

from __future__ import annotations

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache

from caravan.assembly.clock import utc_now
from caravan.assembly.outbox import is_made
from caravan.assembly.releases import Desk, open_desk, opened
from caravan.assembly.warehouse import catalog, open_store
from caravan.clients.http import links
from caravan.config.settings import Settings
from caravan.core.consistency import Appearance, Check, Checked, Readable
from caravan.core.errors import Fault, Misconfigured, Rejected, Retryable
from caravan.core.outbox import Message
from caravan.core.release import Outlet, PayloadKey
from caravan.functions.release import consistency
from caravan.functions.release.consistency import LOOKED_AT_FOR, Last
from caravan.functions.release.planning import FUNCTION
from caravan.warehouse.release_checks import Found, StoredChecks

log = logging.getLogger(__name__)

LINK_SECONDS = 300
"""So long links are asked in one task; the others count as without an answer, and are asked again."""
_MOST_PAGES = 10_000
_TOLD = 5


def list_published(dag_id: str) -> list[str]:
    """Outlets with a page or post that is to be read back now."""
    with _published(dag_id) as published:
        if published is None:
            return []
        _, pages, checks = published
        due = consistency.due(pages, _seen(checks.last(_since())), utc_now())
    return sorted({each.key.outlet for each in due})


def check_outlet(outlet: str, dag_id: str) -> dict[str, int]:
    """Read back what of an outlet is due, and write down what was found; aspects by outcome.

    Misconfigured when the account does not let us in: then nothing is written.
    """
    faults, now = list[Fault](), utc_now()
    with _published(dag_id) as published:
        if published is None:
            return {}
        desk, pages, checks = published
        own = [each for each in pages if each.key.outlet == outlet]
        with opened(desk, [outlet], (), faults) as outlets:
            if faults:
                raise Misconfigured(faults)
            due = consistency.due(own, _seen(checks.last(_since())), now)
            found = _read(desk, outlets[outlet], due, now) if outlet in outlets else []
        checks.put(found, now)
    counts: Counter[str] = Counter(each.outcome for one in found for each in one.checks)
    log.info("%s: %s pages or posts read back: %s", outlet, len(found), dict(counts))
    return dict(counts)


def verdict(dag_id: str) -> None:
    """Rejected for as long as what an outlet shows is not what was handed over to it."""
    with _published(dag_id) as published:
        if published is None:
            return
        _, found, checks = published
        pages, last = {each.message_id: each for each in found}, checks.last(_since())
    told = [
        f"{key.object_id} on {key.outlet}, {key.target}: {each.aspect}: {each.detail}"
        for each in last
        if each.outcome == "differs" and each.message_id in pages
        for key in [pages[each.message_id].key]
    ]
    if told:
        more = f"\n  and {len(told) - _TOLD} more: the report's page of releases" if len(told) > _TOLD else ""
        raise Rejected("RELEASE_DIFFERS", "\n  - ".join(["", *told[:_TOLD]]) + more)


@contextmanager
def _published(dag_id: str) -> Iterator[tuple[Desk, list[Message], StoredChecks] | None]:
    """What is there to be read back, and where what was found is kept; None where nothing has left."""
    settings = Settings.from_environment()
    if not is_made(settings):
        yield None
        return
    with open_desk(settings) as desk:
        pages = _pages(desk)
        if not pages:
            yield None
            return
        with open_store(settings, desk.shelf.configuration, dag_id) as store:
            yield desk, pages, StoredChecks(store.warehouse, catalog())


def _pages(desk: Desk) -> list[Message]:
    """The newest revision of each page and post, of the last days. Mail is no page: each is somebody's own."""
    accounts = [code for code, each in desk.shelf.known.outlets.items() if each.enabled and not each.is_mail]
    left = (desk.outbox.left_since(FUNCTION, code, _since(), _MOST_PAGES) for code in accounts)
    found = [message for messages in left for message in messages]
    return consistency.newest(found)


def _since() -> datetime:
    return utc_now() - LOOKED_AT_FOR


def _seen(found: Iterable[Found]) -> dict[str, Last]:
    outcomes: dict[str, list[str]] = defaultdict(list)
    at: dict[str, datetime] = {}
    for each in found:
        outcomes[each.message_id].append(each.outcome)
        at[each.message_id] = each.checked_at
    return {message_id: Last(at[message_id], consistency.worst(of)) for message_id, of in outcomes.items()}


def _read(desk: Desk, outlet: Outlet, due: Iterable[Message], now: datetime) -> list[Checked]:
    checks: dict[str, list[Check]] = {}
    shown: dict[str, dict[str, Appearance]] = defaultdict(dict)
    messages = {each.message_id: each for each in due}
    status = _status()
    for message in messages.values():
        checks[message.message_id], page = _one(desk, outlet, message, status)
        if page is not None:
            shown[message.key.object_id][message.message_id] = page
    problems: dict[str, list[str]] = defaultdict(list)
    for pages in shown.values():
        by_url = {page.url: message_id for message_id, page in pages.items()}
        for url, problem in consistency.mutual(pages.values()):
            problems[by_url[url]].append(problem)
    return [
        Checked(message, now, consistency.with_mutual(checks[message_id], problems[message_id]))
        for message_id, message in messages.items()
    ]


def _one(
    desk: Desk, outlet: Outlet, message: Message, status: consistency.Status
) -> tuple[list[Check], Appearance | None]:
    payload = desk.releases.payload(PayloadKey.of(message))
    if not isinstance(outlet, Readable):
        return [Check("presence", "not_evaluated", "what was told to it cannot be read back")], None
    if payload is None:
        return [Check("presence", "not_evaluated", "what was handed over is not kept any more")], None
    try:
        found = outlet.read_back(message, payload)
    except Retryable as error:
        return [Check("presence", "unanswered", str(error))], None
    except Rejected as error:
        return [Check("presence", "not_evaluated", error.message)], None
    return consistency.compare(outlet.expected(message, payload), found, status), found


def _status() -> consistency.Status:
    """Asks each link once."""
    ends = time.monotonic() + LINK_SECONDS

    @cache
    def status(url: str) -> int | None:
        return links.status(url) if time.monotonic() < ends else None

    return status
