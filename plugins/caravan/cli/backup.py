"""`caravan backup` and `caravan restore`: all that cannot be made again, to a folder and back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TransferSpeedColumn

from caravan.cli.steps import console, say
from caravan.config.settings import Settings
from caravan.core.errors import CaravanError
from caravan.warehouse.archive import Progress as Told


def backup(
    target: Annotated[str, typer.Argument(help="Folder of backups; each becomes a folder of its own in it.")],
    with_secrets: Annotated[
        bool, typer.Option("--with-secrets", help="The server's keys and passwords too, readable by you alone.")
    ] = False,
) -> None:
    """Back up warehouse, configuration and Airflow's metadata; loads go on meanwhile."""
    from caravan.assembly.backup import make_backup
    from caravan.assembly.warehouse import utc_now
    from caravan.config.types import local_folder

    try:
        folder = Path(local_folder(target))
    except ValueError as error:
        raise CaravanError(f"TARGET {error}") from None
    with _shown("backing up") as told:
        made = make_backup(Settings.from_environment(), folder, utc_now(), secrets=with_secrets, progress=told)
    shared = f", {made.linked_count} of them shared with the backup before" if made.linked_count else ""
    say(f"{made.folder}: {made.file_count} files, {made.size / 1e6:,.1f} MB{shared}")
    say(f"To put it back: ./caravan restore {made.folder}")


def restore(
    folder: Annotated[Path, typer.Argument(metavar="BACKUP", help="One backup: a folder that `backup` made.")],
    check: Annotated[bool, typer.Option("--check", help="Only read it whole and say whether it is sound.")] = False,
) -> None:
    """Put a backup back where nothing is: into an empty home, or an empty PostgreSQL database."""
    from caravan.assembly import backup as assembled
    from caravan.cli import server

    settings = Settings.from_environment()
    if check:
        with _shown("reading") as told:
            archive = assembled.check(folder, told)
        say(f"{folder} is sound: {len(archive.files)} files as of {archive.facts['made_at']} UTC")
        return
    if running := server.find_running(server.Places.of(settings)):
        raise CaravanError(f"Airflow runs at {running.url} in this home: stop it with `caravan down` first")
    with _shown("restoring") as told:
        lines = assembled.restore(settings, folder, told)
    for line in lines:
        say(line)


@contextmanager
def _shown(what: str) -> Iterator[Told]:
    """The bytes read so far, on a terminal."""
    columns = TextColumn("{task.description}"), DownloadColumn(), TransferSpeedColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console(), transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda count: progress.advance(task, count)
