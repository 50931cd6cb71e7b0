"""tests/bench/crawl.py: where it works."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from caravan import PROJECT_ROOT


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "path", list(sys.path))
    spec = importlib.util.spec_from_file_location("crawl_bench", PROJECT_ROOT / "tests/bench/crawl.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "crawl_bench", module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_its_folder_is_made_where_there_is_none(bench: ModuleType, tmp_path: Path) -> None:
    for _ in range(2):
        assert bench.working_folder(tmp_path / "not/yet").parent == tmp_path / "not/yet"
    assert len(list((tmp_path / "not/yet").iterdir())) == 2
