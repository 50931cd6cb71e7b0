"""The demo's release: approved, planned, handed over on its day by the DAGs, and compared with what arrived."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from caravan import INCLUDE_DIR

if TYPE_CHECKING:
    from caravan.assembly.shelf import Shelf
    from caravan.cli.run import RunResult
    from caravan.config.releases import Release
    from caravan.config.settings import Settings
    from caravan.demo.readers import Reader
    from caravan.demo.servers.mail import Letterbox
    from caravan.demo.servers.outlets import Outlets

SOURCE = INCLUDE_DIR / "demo"
RELEASE_ID = "autumn"
PLAN_DAG_ID, SEND_DAG_ID = "release_plan_hourly", "release_send_minutely"
APPROVER = "Omar"
MAIL = ("letter", "letter_overseas")
UNSUBSCRIBE = "https://www.example.com/unsubscribe"
SOON = timedelta(minutes=2)
_LOST = 1
"""Answers of the mail server that are lost after it took the mail: nobody knows, so it is not sent again."""

Run = Callable[[str], "RunResult"]


def write_release(config_dir: Path, home: Path, servers: str, people: Iterable[Reader]) -> None:
    """The release, its outlets at the address `servers`, its list with its people, and an approval of exactly that."""
    from caravan.demo.readers import csv_file

    for folder in ("lists", "releases"):
        shutil.copytree(SOURCE / folder, config_dir / folder, dirs_exist_ok=True)
    shutil.copyfile(SOURCE / "releases.yml", config_dir / "releases.yml")
    (config_dir / "outlets").mkdir(exist_ok=True)
    for file in sorted((SOURCE / "outlets").glob("*.yml")):
        text = Template(file.read_text(encoding="utf-8")).substitute(SERVERS=servers)
        (config_dir / "outlets" / file.name).write_text(text, encoding="utf-8")
    (home / "lists").mkdir(parents=True, exist_ok=True)
    (home / "lists" / "readers.csv").write_text(csv_file(list(people)), encoding="utf-8", newline="")
    _sign(config_dir)


def _sign(config_dir: Path) -> None:
    from caravan.assembly.releases import hashes
    from caravan.assembly.shelf import read_shelf

    shelf = read_shelf(config_dir)
    release = shelf.release(RELEASE_ID)
    at = release_day(release) - timedelta(days=2)
    approval = f"{{by: {APPROVER}, at: '{at:%Y-%m-%dT%H:%M:%SZ}', hash: {hashes(shelf)[RELEASE_ID, release.revision]}}}"
    (config_dir / "releases" / RELEASE_ID / "approvals.yml").write_text(f"approvals:\n  - {approval}\n")


def release_day(release: Release) -> datetime:
    assert release.when.local is not None
    return release.when.local


@dataclass
class Leaving:
    """What became of the release. `arrived`: how often, by outlet and what it is of: a language, a page's address, a
    person. `expected`: the same, of what had not left before. `wrong`: what differs, in words."""

    expected: dict[str, Counter[str]] = field(default_factory=dict)
    arrived: dict[str, Counter[str]] = field(default_factory=dict)
    states: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def leave(settings: Settings, outlets: Outlets, people: list[Reader], run: Run, tell: Callable[[str], None]) -> Leaving:
    """Plan it on the day before, hand over at each instant at which anything is due, plan it again."""
    from caravan.assembly.clock import standing_at
    from caravan.assembly.releases import open_desk
    from caravan.assembly.shelf import read_shelf

    shelf = read_shelf(settings.config_dir)
    release = shelf.release(RELEASE_ID)
    found = Leaving()

    def go(dag_id: str, moment: datetime) -> None:
        with standing_at(moment):
            result = run(dag_id)
        if not result:
            found.wrong.append(f"  {dag_id} at {moment:%Y-%m-%d %H:%M}: {result.state}: {dict(result.failures)}")

    def states() -> dict[tuple[str, str], str]:
        with open_desk(settings) as desk:
            return {(each.key.outlet, each.key.target): each.state for each in desk.outbox.find(limit=10_000)}

    def is_left(moment: datetime) -> bool:
        with open_desk(settings) as desk:
            return any(each.due_at <= moment for each in desk.outbox.find(state="planned", limit=10_000))

    go(PLAN_DAG_ID, release_day(release) - timedelta(days=1))
    before = states()
    found.expected = _expected(shelf, release, people, before)
    if not any(state != "planned" for state in before.values()):
        outlets.letter.lose = _LOST
        outlets.partners.faults.next("lost")
    instants = _instants(shelf, release, people)
    for moment in instants:
        go(SEND_DAG_ID, moment)
        if is_left(moment + SOON):  # whoever tells of the site's pages came before it
            go(SEND_DAG_ID, moment + SOON)
        tell(f"  {moment:%Y-%m-%d %H:%M} UTC: {sum(map(_sum, _arrived(outlets, settings).values())):,} arrived")
    go(PLAN_DAG_ID, instants[-1] + timedelta(hours=1))
    found.arrived = _arrived(outlets, settings)
    found.states = Counter((outlet, state) for (outlet, _), state in states().items())
    found.wrong += [*differences(found), *_wrong_mails(outlets, shelf, people)]
    return found


def _instants(shelf: Shelf, release: Release, people: Iterable[Reader]) -> list[datetime]:
    zones = {shelf.known.markets[market].zone for market in release.markets}
    zones |= {person.zone for person in people if person.zone}
    return sorted({release.when.instant(zone) for zone in zones})


def _expected(
    shelf: Shelf, release: Release, people: Iterable[Reader], before: Mapping[tuple[str, str], str]
) -> dict[str, Counter[str]]:
    """From what is so, not from what was planned; less what had left before. The site keeps its pages."""

    def is_left(outlet: str, target: str) -> bool:
        return outlet != "site" and before.get((outlet, target), "planned") != "planned"

    found = {}
    for code in release.outlets:
        if code in MAIL:
            serves = shelf.known.outlets[code].serves_market
            getting = [each for each in people if each.why_not is None and serves(each.market)]
            found[code] = Counter(each.address for each in getting if not is_left(code, each.address))
        else:
            found[code] = Counter(
                shown for locale in release.bodies if not is_left(code, locale) for shown in _shown(code, locale)
            )
    return found


def _shown(outlet: str, locale: str) -> list[str]:
    """What says that one language has arrived."""
    return {
        "blog": [f"{RELEASE_ID}-{locale.lower()}"],
        "toots": [locale.partition("-")[0]],
        "search": [f"https://www.example.com/{locale}/{RELEASE_ID}/"],
        "hub": [f"https://www.example.com/feed.{kind}" for kind in ("atom", "json", "rss")],
    }.get(outlet, [locale])


def _arrived(outlets: Outlets, settings: Settings) -> dict[str, Counter[str]]:
    return {
        "site": Counter(
            path.parent.parent.name for path in (settings.home / "site").glob(f"*/{RELEASE_ID}/index.html")
        ),
        "blog": Counter(post["slug"] for post in outlets.blog.published),
        "toots": Counter(str(status["language"]) for status in outlets.toots.statuses),
        "sky": Counter(record["langs"][0] for record in outlets.sky.records.values()),
        "partners": Counter(message["release"]["locale"] for message in outlets.partners.taken),
        "hub": Counter(outlets.hub.told),
        "search": Counter(outlets.search.told),
        **{code: Counter(mail.to for mail in letterbox.mails) for code, letterbox in _letterboxes(outlets)},
    }


def _letterboxes(outlets: Outlets) -> Iterator[tuple[str, Letterbox]]:
    return ((code, getattr(outlets, code)) for code in MAIL)


def differences(found: Leaving) -> Iterator[str]:
    for code, expected in found.expected.items():
        arrived = found.arrived[code]
        for target in sorted(expected.keys() | arrived.keys()):
            if expected[target] != arrived[target]:
                yield f"  {code}: {target} arrived {arrived[target]} times, not {expected[target]}"


def _wrong_mails(outlets: Outlets, shelf: Shelf, people: Iterable[Reader]) -> Iterator[str]:
    """Each in the language of its reader, and with what a mail needs so that its reader can leave (RFC 8058)."""
    release = shelf.release(RELEASE_ID)
    markets = {person.address: person for person in people if person.why_not is None}
    for code, letterbox in _letterboxes(outlets):
        for mail in letterbox.mails:
            person = markets.get(mail.to)
            if person is None:
                continue  # told already: it should not have arrived
            locale = person.locale or next(
                tag for chain in shelf.known.markets[person.market].chains for tag in chain if tag in release.bodies
            )
            html = mail.content.get_body(("html",))
            is_right = {
                "its subject": mail.content["Subject"] == release.bodies[locale].front.title,
                "To": mail.content["To"] == person.address,
                "List-Unsubscribe": f"<{UNSUBSCRIBE}/" in mail.content["List-Unsubscribe"],
                "List-Unsubscribe-Post": mail.content["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click",
                "its text": mail.content.get_body(("plain",)) is not None,
                "its links": html is not None and f"utm_campaign={RELEASE_ID}" in html.get_content(),
            }
            yield from (
                f"  {code}: of the mail to {mail.to} {name} is wrong" for name, good in is_right.items() if not good
            )


def release_table(found: Leaving) -> Table:
    """A row for each outlet."""
    table = Table(box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    table.add_column("outlet")
    for title in ("planted", "arrived", "accepted", "left out", "nobody knows"):
        table.add_column(title, justify="right")
    for code, expected in found.expected.items():
        states = (found.states[code, state] for state in ("accepted", "skipped", "unknown"))
        table.add_row(code, *map(str, (_sum(expected), _sum(found.arrived[code]), *states)))
    return table


def told(found: Leaving) -> str:
    unknown = sum(count for (_, state), count in found.states.items() if state == "unknown")
    arrived = sum(_sum(counted) for outlet, counted in found.arrived.items() if outlet != "site")
    if not arrived:
        return f"Release {RELEASE_ID}: had left before; planned and due again, nothing of it was sent twice"
    return (
        f"Release {RELEASE_ID}: {arrived} posts, calls and mails arrived, each once, where they were to and nowhere "
        f"else; of {unknown} the answer was lost on purpose: it is unknown, and not sent again"
    )


def _sum(counted: Counter[str]) -> int:
    return sum(counted.values())
