"""Whoever signed up on a list that asks for it gets one mail, with a link to confirm that it was they."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from traceback import format_tb

from caravan.assembly import lists
from caravan.assembly.clock import utc_now
from caravan.assembly.outlets import confirm_keys_of, mailing_of
from caravan.assembly.releases import Desk, open_desk
from caravan.config.lists import RecipientList
from caravan.config.outlets import MailOutlet
from caravan.core.errors import CaravanError, Fault, Misconfigured
from caravan.core.outbox import Intention, Key
from caravan.core.release import PayloadKey
from caravan.functions.outbox.confirming import FUNCTION, PURPOSE, confirms, is_to_be_asked
from caravan.functions.release.locales import direction
from caravan.functions.release.recipients import BadRecipient, Consent, Recipient

log = logging.getLogger(__name__)

CHANNEL = "email"


def ask(by: str) -> dict[str, int]:
    """Of each list that wants it, how many are asked now. One with a fault keeps no other one back: Misconfigured at
    the end."""
    counts: dict[str, int] = {}
    faults: list[Fault] = []
    with open_desk() as desk:
        for each in desk.shelf.lists.values():
            if each.enabled and each.confirm:
                try:
                    counts[each.code] = _ask(desk, each, by)
                except CaravanError as error:
                    faults.append(Fault(f"list {each.code}", str(error)))
                except Exception as error:  # its text may hold a row
                    log.error(
                        "list %s: %s\n%s", each.code, type(error).__name__, "".join(format_tb(error.__traceback__))
                    )
                    faults.append(Fault(f"list {each.code}", f"{type(error).__name__}: see the log"))
    log.info("asked to confirm: %s", counts)
    if faults:
        raise Misconfigured(faults)
    return counts


def _ask(desk: Desk, of_list: RecipientList, by: str) -> int:
    account, now = desk.shelf.known.outlets.get(of_list.confirm or ""), utc_now()
    if not isinstance(account, MailOutlet) or account.confirm_url is None:
        where = f"lists/{of_list.code}.yml confirm"
        raise Misconfigured([Fault(where, f"'{of_list.confirm}' is no outlet for mail with a `confirm_url`")])
    # All that they said is known then, also what stands further below.
    reading = lists.take_in(desk, of_list, now)
    letters = _Letters(desk, of_list, account, account.confirm_url, now)
    with lists.people(desk, of_list, reading.read_at) as rows:
        return desk.outbox.plan(letters.intentions(rows), now, by)


class _Letters:
    def __init__(self, desk: Desk, of_list: RecipientList, account: MailOutlet, address: str, now: datetime) -> None:
        from caravan.clients.mail.confirmation import CONFIRM_URL
        from caravan.clients.mail.tokens import Links

        self._desk, self._list, self._account, self._now = desk, of_list, account, now
        self._mailing = mailing_of(account, desk.key, [CONFIRM_URL])
        self._links = Links(address, confirm_keys_of(desk.key))
        self._within = timedelta(days=of_list.confirm_days)
        self._kept: dict[tuple[str, str, int], str] = {}

    def intentions(self, rows: Iterable[Recipient | BadRecipient]) -> Iterator[Intention]:
        for row in rows:
            if isinstance(row, Recipient) and row.consent and row.consent.state == "pending":
                market = row.market or self._list.market
                is_served = market is not None and self._account.serves_market(market)
                locale = self._locale(row, market) if market and is_served else None
                if market and locale and self._is_open(row, row.consent):
                    yield self._intention(row, row.consent, market, locale)

    def _is_open(self, row: Recipient, consent: Consent) -> bool:
        if consent.at < self._now - self._within:  # most rows: nothing has to be asked of the ledger
            return False
        subject, contacts = self._desk.subject_of(row.address), self._desk.contacts
        said, purpose = contacts.consent(subject), self._list.purpose
        is_asked = is_to_be_asked(said, purpose, CHANNEL, consent.at, self._now, self._within)
        return is_asked and not contacts.suppressions(subject, CHANNEL)

    def _locale(self, row: Recipient, market: str) -> str | None:
        """Theirs, or a language of the market; one that our words have."""
        from caravan.clients.mail.words import words_for

        spoken = [tag for chain in self._desk.shelf.known.markets[market].chains for tag in chain]
        tags = [row.locale, *spoken] if row.locale else spoken
        return next((tag for tag in tags if words_for(tag, self._mailing.template.words)), None)

    def _intention(self, row: Recipient, consent: Consent, market: str, locale: str) -> Intention:
        from caravan.clients.mail.confirmation import CONFIRM_URL
        from caravan.clients.mail.tokens import Subscription

        # A sign-up of another day is another message; twice on one day is one.
        revision, until = consent.at.toordinal(), self._now + self._within
        key = Key(FUNCTION, self._list.code, revision, self._account.code, row.address.lower())
        link = self._links.url(Subscription(key.message_id, self._account.code, locale))
        return Intention(
            key,
            planned_for=consent.at,  # promised then: what was sent before a restore is not sent again
            not_after=until,
            content_hash=self._content(market, locale, revision),
            market_code=market,
            locale=locale,
            purpose=PURPOSE,
            subject=self._desk.subject_of(row.address),
            payload={
                "action": "publish",
                "variables": {CONFIRM_URL: link},
                "zone": row.zone or self._desk.shelf.known.markets[market].zone,
                "confirms": confirms(self._list.purpose, consent.at, until, consent.text_version),
            },
        )

    def _content(self, market: str, locale: str, revision: int) -> str:
        """The hash of what the mail says, once that is kept for the outlet."""
        from caravan.clients.mail.confirmation import confirmation

        if (market, locale, revision) not in self._kept:
            payload, said = confirmation(self._mailing, self._list.code, market, locale, direction(locale), self._now)
            key = PayloadKey(self._list.code, revision, self._account.code, market, locale, said)
            self._desk.releases.keep({key: payload}, (), self._now)
            self._kept[market, locale, revision] = said
        return self._kept[market, locale, revision]
