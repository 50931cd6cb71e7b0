"""`caravan privacy MARKET`: which law holds there on a day, and what it lets each purpose do."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table

from caravan.cli.steps import console, say
from caravan.config.settings import Settings
from caravan.core.errors import Fault, Misconfigured, nearest

if TYPE_CHECKING:
    from caravan.config.types import Configuration
    from caravan.core.privacy import PolicyRow


def privacy(
    market: Annotated[str, typer.Argument(help="The market's code, e.g. DE.")],
    purpose: Annotated[str | None, typer.Option(help="Only this purpose, with its sources.")] = None,
    on: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="A UTC day; today if absent.")] = None,
) -> None:
    """Print the privacy policy of a market on a day."""
    from caravan.config import loader

    configuration = loader.load(Settings.from_environment().config_dir)
    day = on.date() if on else datetime.now(UTC).date()
    head, rows = policy_of(configuration, market.upper(), purpose, day)
    say(head)
    console().print(policy_table(rows))
    denied = [code for code in configuration.privacy.purposes if code not in {row.purpose for row in rows}]
    if denied and purpose is None:
        say(f"Denied, for no row speaks of it: {', '.join(denied)}")
    if purpose is not None:
        for row in rows:
            say(f"Source: {row.source}")


def policy_of(configuration: Configuration, market: str, purpose: str | None, day: date) -> tuple[str, list[PolicyRow]]:
    """A sentence on the regime, and its rows of that day. Misconfigured for what there is not."""
    from caravan.config.privacy import EEA

    policies = configuration.privacy
    if market not in configuration.markets:
        raise Misconfigured(
            [Fault(f"market {market}", f"there is no such market{nearest(market, configuration.markets)}")]
        )
    if purpose is not None and purpose not in policies.purposes:
        raise Misconfigured(
            [Fault("--purpose", f"there is no purpose '{purpose}'{nearest(purpose, policies.purposes)}")]
        )
    code = configuration.markets[market].privacy.on(day).regime
    regime = policies.regimes[code]
    rows = [row for name in policies.purposes if (row := regime.row(name, day)) and purpose in (None, name)]
    if not rows:
        return f"{market} on {day}: {code} ({regime.name}) says nothing of that; all of it is denied.", []
    terms = rows[0]
    if terms.residency is None:
        residency = "rows may leave for any country"
    elif not terms.residency:
        residency = "no row leaves the country, aggregates do"
    else:
        named = ["EEA", *sorted(terms.residency - EEA)] if terms.residency >= EEA else sorted(terms.residency)
        residency = f"rows may leave for {', '.join(named)}"
    return (
        f"{market} on {day}: {code} ({regime.name}). Requests are answered within {terms.request_sla_days} days, data "
        f"is erased within {terms.erase_sla_days}; {residency}. Note: {regime.note}."
    ), rows


def policy_table(rows: list[PolicyRow]) -> Table:
    """One row per purpose."""
    table = Table(box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    has_end = any(row.valid_to for row in rows)
    for title in ("purpose", "ground", "kept, days", "since", *(["until"] if has_end else []), "consent"):
        table.add_column(title, justify="right" if title == "kept, days" else "left", no_wrap=title != "consent")
    for row in rows:
        consent: list[str] = [row.consent_type]
        consent += ["soft for customers"] if row.has_soft_opt_in else []
        consent += [f"refused by {signal}" for signal in sorted(row.optout_signals)]
        table.add_row(
            row.purpose,
            row.legal_basis,
            "" if row.retention_days is None else f"{row.retention_days:,}",
            str(row.valid_from),
            *([str(row.valid_to or "")] if has_end else []),
            ", ".join(consent),
        )
    return table
