"""What all outlets for mail do alike: make a mail of a release and a recipient, and say when it must not leave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from caravan.clients.mail import lint
from caravan.clients.mail.addresses import Invalid, normalised
from caravan.clients.mail.message import Envelope, Mail, build
from caravan.clients.mail.template import UNSUBSCRIBE_URL, Compiled, MailTemplate, Merge, Sender, merge_of
from caravan.clients.mail.tokens import Links, Subscription
from caravan.core.errors import Rejected
from caravan.core.outbox import Message, Refused
from caravan.core.release import Content, Payload, Shown

TRY_AGAIN = timedelta(minutes=15)
"""After what passes: a busy server, a broken connection."""
ASK_A_PERSON = timedelta(hours=1)
"""After what a person has to mend, a password for instance: tried until it is too late for the message."""


@dataclass(frozen=True)
class Mailing:
    """`clock`: UTC without zone. `variables`: those that the payload of every intention has under `variables`.

    `links`: where people unsubscribe; without it nothing but notices can be sent. `mark`: what headers call a message
    of this id.
    """

    sender: Sender
    template: MailTemplate
    clock: Callable[[], datetime]
    links: Links | None = None
    variables: frozenset[str] = frozenset()
    mark: Callable[[str], str] = str

    def render(self, content: Content) -> Payload:
        """Raises Rejected when it cannot be made a mail at all."""
        return self.payload(content, self.template.compile(content, self.sender))

    def payload(self, content: Content, compiled: Compiled) -> Payload:
        return {**asdict(compiled), "kind": content.kind, "locale": content.locale, "release_id": content.release_id}

    def check(self, payload: Payload) -> list[str]:
        compiled = _compiled(payload)
        try:
            merge = Merge(compiled)
        except Rejected as error:
            return [error.message]
        known = self.variables | {UNSUBSCRIBE_URL} if self.links else self.variables
        found = [*lint.faults(compiled, payload["kind"]), *merge.missing(known)]
        if self.links is None and payload["kind"] != "notice":
            found.append("no address is set where people unsubscribe")
        return found

    def show(self, payload: Payload) -> Shown:
        return Shown(payload["text"], payload["html"])

    def compose(self, message: Message, payload: Payload) -> Mail | Refused:
        """Whatever keeps the mail from being sent as it is asks for no connection: nothing has left."""
        intention, now = message.intention, self.clock()
        if intention.embargo_until is not None and now < intention.embargo_until:
            return Refused("EMBARGO: it may not leave yet", after=intention.embargo_until - now)
        if intention.payload.get("action") == "withdraw":
            return Refused("WITHDRAWAL: a mail cannot be taken back")
        # A key of its own for each language of a trial: then the address is beside it.
        address = normalised(intention.payload.get("to") or message.key.target)
        if isinstance(address, Invalid):
            return Refused(f"ADDRESS: {address.reason}")
        values: dict[str, Any] = dict(intention.payload.get("variables", {}))
        unsubscribe_url = None
        if payload["kind"] != "notice":
            if self.links is None:
                return Refused("UNSUBSCRIBE: no address is set where people unsubscribe", after=ASK_A_PERSON)
            subscription = Subscription(message.message_id, message.key.outlet, payload["locale"])
            unsubscribe_url = self.links.url(subscription)
            values[UNSUBSCRIBE_URL] = unsubscribe_url
        envelope = Envelope(
            message.message_id,
            self.mark(message.message_id),
            address,
            message.key.outlet,
            payload["release_id"],
            payload["kind"],
            now,
            unsubscribe_url,
        )
        try:
            filled = merge_of(payload["subject"], payload["html"], payload["text"]).fill(values)
            return build(filled, self.sender, envelope)
        except Rejected as error:
            return Refused(str(error))


class Draws:
    """What outlets for mail make of content: a mail, whoever carries it."""

    _mailing: Mailing

    def render(self, content: Content) -> Payload:
        return self._mailing.render(content)

    def check(self, payload: Payload) -> list[str]:
        return self._mailing.check(payload)

    def show(self, payload: Payload) -> Shown:
        return self._mailing.show(payload)


def _compiled(payload: Payload) -> Compiled:
    return Compiled(payload["subject"], payload["html"], payload["text"])
