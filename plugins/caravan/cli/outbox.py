"""`caravan outbox`: what is to leave, what has left, and what a person has to decide."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from getpass import getuser
from typing import TYPE_CHECKING, Annotated, get_args

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from caravan.cli.steps import console, say
from caravan.config.settings import Settings
from caravan.core.errors import CaravanError, nearest
from caravan.core.outbox import TRANSITIONS, Message, State

if TYPE_CHECKING:
    from caravan.warehouse.outbox import StoredOutbox
    from caravan.warehouse.outbox_stops import Stop

app = typer.Typer(help="What leaves the machine: list, explain, decide.", no_args_is_help=True)

SHOWN = 12
"""The begin of a message's id: enough to tell them apart."""
WIDE = 150
"""Columns of a terminal that has room for a message on a line; in a narrower one what it is stands line by line."""
Id = Annotated[str, typer.Argument(metavar="ID", help="A message's id, or its first digits.")]


@app.command("list")
def list_messages(
    state: Annotated[str | None, typer.Option(help=f"Only these: {', '.join(get_args(State))}.")] = None,
    function: Annotated[str | None, typer.Option(help="Only those of release, promotion, ...")] = None,
    object_id: Annotated[str | None, typer.Option("--object", help="Only those of this release, ...")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000)] = 50,
) -> None:
    """Count messages by outlet and state; with an option, list them."""
    if state and state not in get_args(State):
        raise CaravanError(f"no state '{state}'{nearest(state, get_args(State))}")
    if _is_empty():
        return
    for stop in _stops():
        say(f"{stop.outlet}: stopped since {stop.at:%Y-%m-%d %H:%M} UTC, nothing leaves: {stop.reason}")
    with _outbox() as outbox:
        if not (state or function or object_id):
            _show_counts(outbox)
            return
        found = outbox.find(state=state, function=function, object_id=object_id, limit=limit)
    if found:
        _show(found)
    else:
        asked = {"state": state, "function": function, "object": object_id}
        say(f"no message of {', '.join(f'{name} {value}' for name, value in asked.items() if value)}")


@app.command()
def explain(message: Id) -> None:
    """Everything that is known of a message: what was intended, and each change with when, who and why."""
    with _outbox() as outbox:
        found = _one(outbox, message)
        events = outbox.events(found.message_id)
    intention = found.intention
    stop = next((each.reason for each in _stops() if each.outlet == found.key.outlet), "")
    facts = {
        "id": found.message_id,
        "is": f"{found.state}{f': {found.reason}' if found.reason else ''}",
        "of": f"{found.key.function} {found.key.object_id}, revision {found.key.revision}",
        "to": f"{found.key.outlet}: {found.key.target}",
        "planned for": f"{intention.planned_for} UTC, not after {intention.not_after}",
        "in hand": _lease(found, _now()),
        "held": f"its outlet is stopped: {stop}" if stop and found.state in ("planned", "claimed") else "",
        "content": intention.content_hash,
        "theirs": found.provider_id or "",
    }
    for name, value in facts.items():
        if value:
            say(f"{name:>12}  {value}")
    table = Table()
    for title in ("at (UTC)", "from", "to", "try", "by", "why"):
        table.add_column(title, overflow="fold")
    for each in events:
        who = (each.at, each.from_state or "", each.to_state, str(each.attempt), each.actor, each.detail or "")
        table.add_row(*map(Text, who))
    console().print(table)


@app.command()
def settle(
    message: Id,
    state: Annotated[str, typer.Argument(help="accepted: it arrived. rejected: it did not, and is not sent again.")],
    why: Annotated[str, typer.Option("--why", help="What you saw, for the log.")],
    theirs: Annotated[
        str | None,
        typer.Option(help="What the other side calls it: number of a Mastodon status, at://... of a Bluesky post."),
    ] = None,
) -> None:
    """Decide what nobody could know. Sends nothing."""
    if state not in ("accepted", "rejected"):
        raise CaravanError(f"'{state}' is neither accepted nor rejected")
    if theirs and state == "rejected":
        raise CaravanError("--theirs is of what arrived: leave it out of what did not")
    _decide(message, "accepted" if state == "accepted" else "rejected", why, theirs)


@app.command()
def retry(
    message: Id,
    why: Annotated[str, typer.Option("--why", help="How you know that it did not arrive, for the log.")],
) -> None:
    """Plan again what did not arrive: a rejected message, or one of which nobody knows. It may arrive twice."""
    _decide(message, "planned", why)


@app.command()
def unsuppress(
    address: Annotated[str, typer.Argument(help="Whom mail servers said to be gone.")],
    why: Annotated[str, typer.Option("--why", help="How you know that mail arrives there, for the record.")],
) -> None:
    """Write to an address again after its bounces. A complaint or an unsubscription stays."""
    from caravan.assembly.feedback import unsuppress as lift

    if not _is_empty():
        say(f"lifted: {', '.join(lift(address, getuser(), why))}")


@app.command()
def lift(
    outlet: Annotated[str, typer.Argument(help="An outlet that was stopped: too many complaints, or bounces.")],
    why: Annotated[str, typer.Option("--why", help="What you found and did about it, for the record.")],
) -> None:
    """Let a stopped outlet hand over again. It is judged anew, by what it sends from now on."""
    from caravan.assembly.feedback import lift as lift_stop

    if not _is_empty():
        lift_stop(outlet, getuser(), why)
        say(f"{outlet}: hands over again")


@app.command()
def verify() -> None:
    """Check that no entry of the log was changed, taken out or put in."""
    if _is_empty():
        return
    with _outbox() as outbox:
        broken = outbox.verify()
    if broken is not None:
        raise CaravanError(f"entry {broken} of the log does not follow from the one before: it was changed")
    say("the log is whole")


def _lease(message: Message, now: datetime) -> str:
    """Who has it in hand and how long for; nothing where nobody has."""
    if message.state not in ("claimed", "handed_over") or message.lease_until is None:
        return ""
    until = f"of {message.worker} until {message.lease_until} UTC"
    if message.lease_until > now:
        return until
    becomes = "planned again" if message.state == "claimed" else "unknown"
    return f"{until}: that is over, and the next run of release_send_minutely makes it {becomes}"


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def _decide(message: str, state: State, why: str, theirs: str | None = None) -> None:
    now = _now()
    with _outbox() as outbox:
        found = _one(outbox, message)
        if found.state == state == "planned":
            raise CaravanError(f"{found.message_id[:SHOWN]} waits: it leaves by itself from {found.due_at} UTC on")
        if found.state not in ("unknown", "operator", "rejected") or state not in TRANSITIONS[found.state]:
            raise CaravanError(f"{found.message_id[:SHOWN]} is {found.state}: that does not become {state}")
        if state == "planned" and now > found.intention.not_after:
            raise CaravanError(f"it was to be sent by {found.intention.not_after} UTC: too late now")
        if state == "accepted" and not (theirs or found.provider_id) and _is_edited_by_id(found):
            raise CaravanError(
                f"{found.key.outlet} corrects a post under the id that the service gave it; without it a correction is "
                "a second post: --theirs, the number of a Mastodon status or the at://... of a Bluesky post"
            )
        if not outbox.settle(found, state, why, now, getuser(), theirs):
            raise CaravanError("somebody else has just moved it on; look again")
    say(f"{found.message_id[:SHOWN]}: {found.state} -> {state}")


def _is_edited_by_id(message: Message) -> bool:
    from caravan.config.outlets import load_outlets

    outlets, _ = load_outlets(Settings.from_environment().config_dir)
    account = outlets.get(message.key.outlet)
    return account is not None and account.edits and message.intention.payload.get("action") != "withdraw"


def _is_empty() -> bool:
    """Says so: whoever only looks makes no outbox where there is none."""
    from caravan.assembly.outbox import is_made

    is_there = is_made(Settings.from_environment())
    if not is_there:
        say("there is no outbox yet: nothing was ever planned")
    return not is_there


@contextmanager
def _outbox() -> Iterator[StoredOutbox]:
    from caravan.assembly.outbox import open_books

    if _is_empty():
        raise typer.Exit(1)
    with open_books(Settings.from_environment()) as books:
        yield books.outbox


def _stops() -> list[Stop]:
    from caravan.assembly.outbox import open_books

    with open_books(Settings.from_environment()) as books:
        return list(books.stops.standing().values())


def _one(outbox: StoredOutbox, begin: str) -> Message:
    found = outbox.named("".join(each for each in begin.lower() if each.isalnum()))
    if not found:
        raise CaravanError(f"no message '{begin}'")
    if len(found) > 1:
        raise CaravanError(f"more than one message begins with '{begin}'; give more digits")
    return found[0]


def _show(found: list[Message]) -> None:
    is_narrow = console().width < WIDE
    table = Table(box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    for title in ("id", "planned, UTC", "state"):
        table.add_column(title, no_wrap=True)
    for title in ("message",) if is_narrow else ("outlet", "object", "target", "why"):
        table.add_column(title, overflow="fold")
    for each in found:
        what = (each.key.outlet, f"{each.key.object_id} r{each.key.revision}", each.key.target, each.reason or "")
        cells = ("\n".join(filter(None, what)),) if is_narrow else what
        row = (each.message_id[:SHOWN], f"{each.intention.planned_for:%Y-%m-%d %H:%M}", each.state, *cells)
        table.add_row(*map(Text, row))
    console().print(table)


def _show_counts(outbox: StoredOutbox) -> None:
    counts = outbox.counts()
    if not counts:
        say("nothing was ever planned")
        return
    table = Table()
    for title in ("function", "outlet", "state"):
        table.add_column(title)
    table.add_column("messages", justify="right")
    for function, outlet, state, count in counts:
        table.add_row(function, outlet, state, f"{count:,}")
    console().print(table)
