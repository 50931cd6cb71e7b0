"""Where the files of a channel arrive: a folder of this machine, or one in a bucket."""

from __future__ import annotations

import os
from pathlib import Path

from caravan.assembly.connections import current
from caravan.clients.file_drop.deliveries import Folder, LocalFolder
from caravan.config.places import S3_DEFAULT, is_url, s3_place
from caravan.config.settings import Settings
from caravan.config.types import FileChannel
from caravan.core.errors import Misconfigured


def open_folder(channel: FileChannel, settings: Settings, scratch: Path, *, dry_run: bool) -> Folder:
    """`scratch`: for copies of what is downloaded. A dry run remembers nothing of it."""
    if not is_url(channel.folder):
        return LocalFolder(settings.home / channel.folder)
    from caravan.clients.file_drop.s3_folder import S3Folder
    from caravan.clients.file_drop.seen import Seen
    from caravan.clients.storage.s3 import open_client

    connection = current().get(channel.connection or S3_DEFAULT)
    return S3Folder(
        connection,
        s3_place(channel.folder),
        open_client(connection),
        scratch / "objects",
        Seen(settings.home / "seen-objects.sqlite", read_only=dry_run),
    )


def folder_root(channel: FileChannel, home: Path) -> Path:
    """What two channels that read one place have in common, however each writes it."""
    if not is_url(channel.folder):
        return Path(os.path.realpath(home / channel.folder))
    from caravan.clients.storage.s3 import store_of

    conn_id = channel.connection or S3_DEFAULT
    try:
        store = store_of(current().get(conn_id))
    except Misconfigured:
        store = conn_id  # that channel's own run tells it
    return s3_place(channel.folder).path(store)
