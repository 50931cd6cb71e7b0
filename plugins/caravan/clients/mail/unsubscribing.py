"""Whether the page behind the links to unsubscribe does what they promise, tried with a link that is nobody's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from caravan.clients.mail.tokens import Links, Subscription

NOBODY = "0" * 32
"""The id of no message: what is unsubscribed by it is nothing."""
_FORM = {"List-Unsubscribe": "One-Click"}


class Page(Protocol):
    """`status`: None where there was no answer, and `problem` says why. `text`: how it begins."""

    @property
    def status(self) -> int | None: ...
    @property
    def problem(self) -> str: ...
    @property
    def text(self) -> str: ...


class Asker(Protocol):
    def ask(self, method: str, url: str, *, form: dict[str, str] | None = None, with_text: bool = False) -> Page: ...


@dataclass(frozen=True)
class Trial:
    """`problem`: empty where it went as it should. Neither holds a link."""

    what: str
    status: int | None
    problem: str


def trials(links: Links, outlet: str, locale: str, asker: Asker) -> Iterator[Trial]:
    url = links.url(Subscription(NOBODY, outlet, locale))
    page = asker.ask("GET", url, with_text=True)
    wrong = "shows no button that unsubscribes" if page.status == 200 and 'method="post"' not in page.text else ""
    yield _trial("shows its page", page, 200, wrong)
    # A site that has a page for everything would pass for one that unsubscribes.
    forged = asker.ask("GET", url[:-4] + ("AAAA" if url[-4:] != "AAAA" else "BBBB"))
    yield _trial("refuses a link that nobody signed", forged, 404, "")
    yield _trial("takes one click (RFC 8058)", asker.ask("POST", url, form=_FORM), 200, "")


def _trial(what: str, page: Page, expected: int, wrong: str) -> Trial:
    if page.status is not None and page.status != expected:
        wrong = f"answers {page.status} instead of {expected}"
    return Trial(what, page.status, page.problem or wrong)
