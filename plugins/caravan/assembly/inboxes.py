"""What a channel has to be read: files that lie in a folder, or the answer of a service."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from caravan.assembly.connections import current
from caravan.assembly.folders import folder_root, open_folder
from caravan.assembly.services import Question, asked_since, open_source
from caravan.assembly.warehouse import utc_now
from caravan.clients.file_drop import parsed as files
from caravan.clients.file_drop.deliveries import Claim, Folder, Listing, claims
from caravan.clients.file_drop.parse import parse
from caravan.clients.file_drop.parsed import Parsed, Stamp
from caravan.config.services import ServiceChannel
from caravan.config.settings import Settings
from caravan.config.types import Channel, Configuration, FileChannel
from caravan.core.entities import EntityName
from caravan.core.errors import Rejected
from caravan.core.protocols import Delivery, Inbox, OrderStore
from caravan.core.pulls import Pull


def open_inboxes(
    channel: Channel,
    configuration: Configuration,
    settings: Settings,
    store: OrderStore,
    scratch: Path,
    *,
    dry_run: bool,
    reload: bool,
) -> Mapping[EntityName, Inbox[Any]]:
    """One for each entity. Nothing is read or asked yet."""
    if isinstance(channel, ServiceChannel):
        source = open_source(channel, current().get(channel.connection))
        since = asked_since(channel, store, reload=reload)
        question = Question(source, since, timedelta(minutes=channel.overlap_minutes), scratch / "pull")
        return {
            entity: PullInbox(channel, entity, question, configuration, scratch, dry_run) for entity in channel.entities
        }
    assert isinstance(channel, FileChannel)
    folder = open_folder(channel, settings, scratch, dry_run=dry_run)
    claimed = claims(configuration, lambda each: folder_root(each, settings.home))
    return {entity: FileInbox(channel, entity, folder, configuration, scratch, claimed) for entity in channel.entities}


@dataclass(frozen=True)
class FileInbox:
    """One entity of a file_drop channel: `folder` is where its files arrive, `claims` what every channel reads."""

    channel: FileChannel
    entity: str
    folder: Folder
    configuration: Configuration
    scratch: Path
    claims: Sequence[Claim]

    @cached_property
    def _listing(self) -> Listing:
        return self.folder.listing(self.channel, self.entity, self.claims)

    def deliveries(self) -> Sequence[files.Delivery]:
        return self._listing.deliveries

    def waiting(self) -> Mapping[str, str]:
        return {str(skipped.path.relative_to(self.folder.root)): skipped.message for skipped in self._listing.skipped}

    def refused(self, delivery: files.Delivery) -> Rejected | None:
        return self._listing.refused.get(delivery.path)

    def parse(self, delivery: files.Delivery, load_id: str, observed_at: datetime) -> Parsed:
        self.folder.fetch(delivery)
        workdir = self.scratch / delivery.content_hash
        workdir.mkdir(parents=True, exist_ok=True)
        return parse(delivery, self.channel, self.configuration, workdir, utc_now(), stamp=Stamp(load_id, observed_at))

    def discard(self, delivery: files.Delivery) -> None:
        shutil.rmtree(self.scratch / delivery.content_hash, ignore_errors=True)
        self.folder.release(delivery)


@dataclass(frozen=True)
class PulledDelivery:
    """The records of one entity in an answer."""

    name: str
    content_hash: str
    delivered_at: datetime


@dataclass(frozen=True)
class PullInbox:
    """One entity of a channel that is asked. It has one delivery, the answer, however little is in it."""

    channel: ServiceChannel
    entity: str
    question: Question
    configuration: Configuration
    scratch: Path
    dry_run: bool

    def deliveries(self) -> Sequence[Delivery]:
        """In a dry run the one that would be asked for: a question can make a service write a report."""
        if self.dry_run:
            return [PulledDelivery(self.question.name, "", utc_now())]
        pull = self.question.answer()
        return [PulledDelivery(pull.name, self._answered(pull), pull.delivered_at)]

    def _answered(self, pull: Pull) -> str:
        """Every answer is one of its own, also one that says the same as the last: that it came is what is known."""
        content = f"{pull.delivered_at.isoformat()} {pull.files[self.entity].content_hash}"
        return hashlib.sha256(content.encode()).hexdigest()

    def waiting(self) -> Mapping[str, str]:
        return {}

    def refused(self, delivery: Delivery) -> Rejected | None:
        return None

    def parse(self, delivery: Delivery, load_id: str, observed_at: datetime) -> Parsed:
        path = self.question.answer().files[self.entity].path
        status = path.stat()
        file = files.Delivery(
            self.channel.code, self.entity, path, delivery.content_hash, status.st_size, status.st_mtime_ns
        )
        workdir = self.scratch / f"parsed-{self.entity}"
        return parse(file, self.channel, self.configuration, workdir, utc_now(), stamp=Stamp(load_id, observed_at))

    def discard(self, delivery: Delivery) -> None:
        shutil.rmtree(self.scratch / f"parsed-{self.entity}", ignore_errors=True)
