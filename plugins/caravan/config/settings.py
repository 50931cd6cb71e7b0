"""Where things are: the three settings that command line and Airflow tasks share."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from caravan import INCLUDE_DIR, PROJECT_ROOT
from caravan.core.errors import Fault, Misconfigured


def home_dir(environ: Mapping[str, str]) -> Path:
    """Where state is, and what relative folders of channels lie in (CARAVAN_HOME)."""
    return Path(environ.get("CARAVAN_HOME") or PROJECT_ROOT / ".caravan").absolute()


BY_HAND = "CARAVAN_RUN_BY_HAND"
"""Set while `caravan run` runs a DAG without any scheduler: it says nothing of whether one lives."""


@dataclass(frozen=True)
class Settings:
    """`home`: state (CARAVAN_HOME). `config_dir`: configuration (CARAVAN_CONFIG).
    `warehouse`: `lake:///absolute/path` or `postgresql://...` (CARAVAN_WAREHOUSE)."""

    home: Path
    config_dir: Path
    warehouse: str

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Settings:
        environ = os.environ if environ is None else environ
        home = home_dir(environ)
        config_dir = Path(environ.get("CARAVAN_CONFIG") or INCLUDE_DIR / "config").absolute()
        warehouse = environ.get("CARAVAN_WAREHOUSE") or f"lake://{home / 'lake'}"
        if not warehouse.startswith(("lake:///", "postgresql://")):
            scheme = warehouse.split(":", 1)[0]
            raise Misconfigured(
                [Fault("CARAVAN_WAREHOUSE", f"'{scheme}:' is no engine; use lake:///path or postgresql://...")]
            )
        return cls(home, config_dir, warehouse)

    @property
    def lake_root(self) -> Path | None:
        """Where the lake is, or is to be made; None when the warehouse is no lake."""
        scheme, _, path = self.warehouse.partition("://")
        return Path(path) if scheme == "lake" else None

    @property
    def staging_dir(self) -> Path:
        """Scratch files of running loads; safe to delete when nothing runs."""
        return self.home / "staging"

    @property
    def published_dir(self) -> Path:
        return self.home / "published"

    @property
    def report_dir(self) -> Path:
        return self.home / "report"
