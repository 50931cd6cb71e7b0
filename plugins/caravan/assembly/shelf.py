"""All that is configured of releases, read at once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from caravan import TEMPLATES_DIR
from caravan.config.lists import RecipientList, load_lists
from caravan.config.loader import load
from caravan.config.outlets import load_outlets
from caravan.config.release_settings import ReleaseSettings, read_settings
from caravan.config.releases import Known, Release, load_releases
from caravan.config.types import Configuration
from caravan.core.errors import Fault, Misconfigured, in_order, nearest
from caravan.functions.release.content import Revision
from caravan.functions.release.hashes import templates_of

TEMPLATES = TEMPLATES_DIR / "release"
_KINDS = ("mail", "site")
"""Folders of templates that outlets put texts into; all else there is of previews."""


@dataclass(frozen=True)
class Shelf:
    """All that is configured of releases. `faults`: of files; a release that has one is not in `releases`.
    `templates`: SHA-256 of each file that outlets put texts into, by its path."""

    configuration: Configuration
    releases: dict[str, Release]
    lists: dict[str, RecipientList]
    known: Known
    settings: ReleaseSettings
    faults: list[Fault]
    templates: Mapping[str, str] = field(repr=False)

    def faults_of(self, release_id: str) -> list[Fault]:
        return [fault for fault in self.faults if fault.where.startswith(f"releases/{release_id}/")]

    def release(self, release_id: str) -> Release:
        """Misconfigured with its faults, or for one that there is not."""
        if release_id in self.releases:
            return self.releases[release_id]
        if own := self.faults_of(release_id):
            raise Misconfigured(own)
        message = f"there is no release '{release_id}'{nearest(release_id, self.releases)}"
        raise Misconfigured([Fault("release", message)])

    def revision(self, release: Release) -> Revision:
        used = templates_of(release, self.templates)
        return Revision(release, self.known, self.settings, templates=used, published_at={})


def read_shelf(config_dir: Path) -> Shelf:
    configuration = load(config_dir)
    release_settings, faults = read_settings(config_dir)
    outlets, of_outlets = load_outlets(config_dir, configuration.markets)
    lists, of_lists = load_lists(config_dir, configuration.privacy.purposes, configuration.markets)
    known = Known.of(configuration, outlets, config_dir)
    releases, of_releases = load_releases(config_dir, known, release_settings)
    found = in_order([*faults, *of_outlets, *of_lists, *of_releases])
    return Shelf(configuration, releases, lists, known, release_settings, found, read_templates(TEMPLATES))


def read_templates(folder: Path) -> dict[str, str]:
    """Of all languages: `site/page.html.j2`, and `de-DE/site/page.html.j2` in its place."""
    files = [path for kind in _KINDS for where in ("", "*/") for path in folder.glob(f"{where}{kind}/*")]
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(files)
        if path.is_file() and not path.name.startswith(".")
    }
