"""`caravan site checks`: the catalogue of the site audit, and what its checks wait for."""

from __future__ import annotations

import json
from collections import Counter

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from caravan.cli.steps import console, say
from caravan.config.site_checks import INPUTS, SEVERITIES, Catalogue, Check, load_site_checks


def list_checks(as_json: bool) -> None:
    catalogue = load_site_checks()
    if as_json:
        typer.echo(json.dumps([_described(check) for check in catalogue.checks], indent=2, ensure_ascii=False))
        return
    console().print(checks_table(catalogue))
    say(summary(catalogue))


def checks_table(catalogue: Catalogue) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    for name in ("check", "category", "severity", "what it finds", "evaluated"):
        table.add_column(name, no_wrap=name in ("check", "severity"))
    for check in catalogue.checks:
        table.add_row(check.id, check.category, check.severity, escape(check.title), escape(state(check)))
    return table


def state(check: Check) -> str:
    """`always`, or what has to be there."""
    if check.later:
        return f"not yet: {check.later}"
    return f"with {'; '.join(INPUTS[name] for name in check.needs)}" if check.needs else "always"


def summary(catalogue: Catalogue) -> str:
    counts = Counter(check.severity for check in catalogue.checks)
    severities = ", ".join(f"{counts[severity]} {severity}" for severity in SEVERITIES)
    done = sum(check.is_implemented for check in catalogue.checks)
    return f"{len(catalogue.checks)} checks ({severities}); {done} are evaluated, the rest is reported as not evaluated"


def _described(check: Check) -> dict[str, object]:
    return {
        "id": check.id,
        "category": check.category,
        "severity": check.severity,
        "version": check.version,
        "title": check.title,
        "why": check.why,
        "fix": check.fix,
        "needs": list(check.needs),
        "limits": {name: float(limit) for name, limit in check.limits.items()},
        "is_implemented": check.is_implemented,
        "waits_for": check.later,
    }
