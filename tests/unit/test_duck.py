"""DuckDB's extensions: files of locked wheels, whose signature is looked at by `caravan doctor`."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest

from caravan.cli.doctor import examine
from caravan.warehouse import duck


def test_the_extensions_are_signed() -> None:
    duck.require_signed()


def test_a_changed_extension_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = tmp_path / "ducklake.duckdb_extension"
    shutil.copy(duck.extension_file("ducklake"), changed)
    with changed.open("r+b") as file:
        file.seek(-300_000, 2)
        file.write(b"changed")
    monkeypatch.setattr(duck, "extension_file", lambda name: changed)
    monkeypatch.setenv("CARAVAN_HOME", str(tmp_path / "home"))
    with pytest.raises(duckdb.Error, match="signature"):
        duck.require_signed()
    [told] = [finding for finding in examine() if finding.subject == "DuckDB extensions"]
    assert told.state == "failed" and "signature" in told.what
