"""include/config/releases.yml: what every release is held to. A file that is not there leaves the defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from caravan.config.document import read
from caravan.config.frozen import Frozen
from caravan.config.validation import validate
from caravan.core.errors import Fault

FILE = "releases.yml"

_Host = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
_HostPattern = Annotated[str, Field(pattern=r"^[a-z0-9*][a-z0-9.*-]*$")]


class ReleaseSettings(Frozen):
    own_hosts: tuple[_Host, ...] = ()
    """Hosts of ours, with their subdomains: links to them are tagged."""
    staging_hosts: tuple[_HostPattern, ...] = (
        *("localhost", "127.*", "10.*", "192.168.*", "*.local", "*.localhost", "*.test", "*.internal", "*.invalid"),
        *("staging.*", "*.staging.*", "stage.*", "dev.*", "*.dev.*", "preview.*", "test.*"),
    )
    """Patterns of hosts that nobody outside reaches; a link to one is a fault."""
    link_schemes: tuple[Literal["https", "http", "mailto", "tel"], ...] = ("https", "mailto", "tel")
    mail_variables: tuple[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], ...] = ("first_name",)
    """What mail fills in for each recipient: `{{ first_name }}`."""
    title_characters: Annotated[int, Field(ge=10, le=1_000)] = 110
    """What search engines take of a headline."""
    summary_characters: Annotated[int, Field(ge=10, le=5_000)] = 300
    approvals: Annotated[int, Field(ge=1, le=5)] = 1
    """So many people other than the author have to approve."""
    image_bytes: Annotated[int, Field(ge=1_000)] = 5 * 1024 * 1024


def read_settings(config_dir: Path) -> tuple[ReleaseSettings, list[Fault]]:
    """With a fault, the defaults: they are stricter than most files."""
    if not (config_dir / FILE).exists():
        return ReleaseSettings(), []
    document, faults = read(config_dir / FILE, FILE)
    if document is None:
        return ReleaseSettings(), faults
    settings, more = validate(document, ReleaseSettings)
    return settings or ReleaseSettings(), faults + more
