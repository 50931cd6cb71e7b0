"""`caravan release ...`: what releases there are, what is wrong with one, and how it will look."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from caravan.cli.steps import console, say
from caravan.config.settings import Settings
from caravan.core.errors import CaravanError, in_order

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caravan.assembly.shelf import Shelf
    from caravan.functions.release.planning import Standing

app = typer.Typer(help="Releases: what is told where, in which languages, and when.", no_args_is_help=True)

ReleaseId = Annotated[str, typer.Argument(metavar="ID", help="Name of the release's folder.")]


def _shelf() -> Shelf:
    from caravan.assembly.shelf import read_shelf

    return read_shelf(Settings.from_environment().config_dir)


@app.command("list")
def list_releases() -> None:
    """Show every release: where it is, its markets, its outlets, and when it is due."""
    from caravan.assembly.releases import standings

    settings, shelf = Settings.from_environment(), _shelf()
    if shelf.releases:
        found = standings(settings, shelf)
        console().print(release_table(shelf, found))
        for each in found.values():
            if each.reasons:
                say(f"{each.release_id}: {_reason(each)}")
    else:
        say("There is no release; add a folder to include/config/releases.")
    if shelf.faults:
        counted = "1 fault" if len(shelf.faults) == 1 else f"{len(shelf.faults)} faults"
        say(f"{counted} left something out; `caravan release lint` tells all")


def release_table(shelf: Shelf, standings: Mapping[str, Standing]) -> Table:
    """A row for each release, in the order of their ids; due when its first market is."""
    table = Table(box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    for title in ("release", "state", "due, UTC", "markets", "outlets"):
        table.add_column(title, no_wrap=title in ("release", "state", "due, UTC"))
    for release in shelf.releases.values():
        due = min(release.when.instant(shelf.known.markets[market].zone) for market in release.markets)
        revision = f" r{release.revision}" * (release.revision > 1) + ", withdrawn" * (release.action == "withdraw")
        table.add_row(
            Text(f"{release.id}{revision}"),
            standings[release.id].state,
            f"{due:%Y-%m-%d %H:%M}",
            " ".join(release.markets),
            Text(" ".join(release.outlets)),
        )
    return table


def _reason(found: Standing) -> str:
    """One reason in full; of several, how many: `lint` tells them."""
    return found.reasons[0] if len(found.reasons) == 1 else f"{len(found.reasons)} faults, see `caravan release lint`"


@app.command()
def lint(
    release_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="Only this release; all if absent.")] = None,
) -> None:
    """Tell everything that is wrong with a release, or with all of them; ends with 1 if anything is.

    Of one that is sound, the hash that whoever approves it signs.
    """
    from caravan.assembly.drawing import faults_of
    from caravan.assembly.reach import out_of_reach
    from caravan.functions.release.hashes import content_hash
    from caravan.functions.release.locales import passed_over

    settings, shelf = Settings.from_environment(), _shelf()
    if release_id is None:
        asked, faults = list(shelf.releases.values()), list(shelf.faults)
    else:
        asked, faults = [shelf.release(release_id)], []
    for release in asked:
        faults += faults_of(settings, shelf, release)
    faults = in_order(dict.fromkeys(faults))
    for fault in faults:
        say(str(fault))
    notes = [str(each) for release in asked for each in out_of_reach(shelf, release)]
    for note in [*notes, *in_order(each for release in asked for each in passed_over(release, shelf.known.markets))]:
        say(f"note: {note}")
    counted = "1 release" if len(asked) == 1 else f"{len(asked)} releases"
    say(f"{counted} read, " + ("nothing wrong" if not faults else f"{len(faults)} to be put right"))
    if faults:
        raise typer.Exit(1)
    if release_id is not None:
        say(f"content {content_hash(asked[0], shelf.revision(asked[0]).templates)}")


@app.command()
def check(release_id: ReleaseId) -> None:
    """Ask each link of a release, its outlets and the page to unsubscribe; ends with 1 if anything is wrong.

    Needs the network. Publishes nothing, unsubscribes nobody, and counts as nobody's visit.
    """
    from caravan.assembly.check import check as ask

    found, faults = ask(release_id)
    table = Table(box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    for title in ("asked", "answer", "leads to"):
        table.add_column(title, overflow="fold")
    for each in found:
        table.add_row(Text(each.what), Text(each.answer), Text(each.leads_to))
    if found:
        console().print(table)
    for fault in faults:
        say(str(fault))
    say(f"{len(found)} asked, " + ("nothing wrong" if not faults else f"{len(faults)} to be put right"))
    if faults:
        raise typer.Exit(1)


@app.command()
def revoke(
    release_id: ReleaseId,
    by: Annotated[str, typer.Option("--by", help="Who takes the approval back.")],
    why: Annotated[str, typer.Option("--why", help="What is wrong with it, for whoever approves it next.")],
) -> None:
    """Take back all that was approved of a release so far: what has not left is held until it is approved again."""
    from caravan.assembly.releases import revoke as take_back

    if not by.strip() or not why.strip():
        raise CaravanError("say who revokes it, and why")
    take_back(release_id, by.strip(), why.strip())
    say(f"{release_id}: not approved any more; what waits is held: `./caravan outbox list --object {release_id}`")


@app.command()
def preview(
    release_id: ReleaseId,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write to, where all else stays; previews/ID in CARAVAN_HOME if absent."),
    ] = None,
) -> None:
    """Write how a release will look, in each language and outlet, as HTML files that need no network."""
    from caravan.assembly.drawing import draw, faults_of
    from caravan.functions.release.preview import preview as render

    settings = Settings.from_environment()
    shelf = _shelf()
    release = shelf.release(release_id)
    pictures = {image.published_name: image.path.read_bytes() for image in release.images.values()}
    faults, show = faults_of(settings, shelf, release), draw(settings, shelf, release).show
    files = render(shelf.revision(release), faults, pictures, show)
    folder = out or settings.home / "previews" / release.id
    if out is None:
        shutil.rmtree(folder, ignore_errors=True)  # ours alone: what is not written again is of a language that is gone
    for path, html in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(html, encoding="utf-8")
    say(f"{len(files)} files written; open {folder / 'index.html'}")


@app.command()
def calendar(
    out: Annotated[
        Path | None, typer.Option(help="File to write, e.g. releases.ics; standard output if absent.")
    ] = None,
) -> None:
    """Write the editorial calendar as iCalendar: an event for each release and market."""
    from caravan.functions.release.calendar import editorial_calendar

    shelf = _shelf()
    now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    content = editorial_calendar(shelf.releases.values(), shelf.known, now)
    if out is None:
        typer.echo(content.decode(), nl=False)
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(content)
        say(f"{out} written")
