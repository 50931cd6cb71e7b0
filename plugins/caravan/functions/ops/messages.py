"""What a person is told of an incident, from the templates in include/templates/alerts."""

from __future__ import annotations

import re
from functools import cache

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from caravan import TEMPLATES_DIR
from caravan.core.errors import CaravanError
from caravan.core.incidents import Incident, Kind, Phase, Sighting, Told

LONGEST = 700
"""Characters of what happened: a message names the trouble, the log has all of it."""

TITLES: dict[Kind, str] = {
    "task_failed": "failed",
    "check_failed": "a check failed",
    "run_late": "is late",
    "dag_broken": "cannot be read",
    "stale": "has no news",
    "zero_rows": "delivered nothing",
    "config_fault": "is at fault",
    "target_down": "cannot be told",
    "clock_off": "is wrong",
    "disk_low": "is nearly full",
}
_MAIL = re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+")
_LOGIN = re.compile(r"(?<=://)[^/\s]+@")


def tell(incident: Incident, phase: Phase) -> Told:
    """The message of an incident's opening or its end."""
    sighting = incident.sighting
    text = (
        _environment()
        .get_template(f"{phase}.txt.j2")
        .render(incident=incident, sighting=sighting, where=where(sighting), to_do=runbook(sighting))
    )
    subject = f"{where(sighting)} {TITLES[sighting.kind]}"
    return Told(
        f"{incident.incident_id}.{phase}",
        phase,
        sighting.severity,
        f"[caravan] {'over: ' if phase == 'closed' else ''}{subject}",
        text,
    )


def trial(name: str, message_id: str) -> Told:
    """What `caravan alerts --test` sends."""
    text = _environment().get_template("test.txt.j2").render(name=name)
    return Told(message_id, "test", "warning", "[caravan] a test message", text)


def where(sighting: Sighting) -> str:
    return f"{sighting.dag_id}: {sighting.subject}" if sighting.dag_id else sighting.subject


def runbook(sighting: Sighting) -> str:
    """The page that says what to do, from the root of the project."""
    if sighting.kind == "task_failed":
        return f"docs/runbooks/{sighting.dag_id}.md"
    return f"docs/runbooks/ops_watch_quarterhourly.md#{sighting.kind.replace('_', '-')}"


def describe(error: BaseException | None) -> str:
    """An error for a person outside. Only ours are repeated: a library's may hold a row, or a password."""
    if error is None:
        return "It failed without an error; its log may say why."
    if isinstance(error, CaravanError):
        return tidy(str(error))
    return f"{type(error).__name__}; its log says more."


def tidy(text: str) -> str:
    """Short, without addresses of people and without logins in URLs."""
    text = _LOGIN.sub("***@", _MAIL.sub("***@***", text)).strip()
    return text if len(text) <= LONGEST else f"{text[:LONGEST].rstrip()} ..."


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES_DIR / "alerts"),
        undefined=StrictUndefined,
        autoescape=False,  # plain text
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
