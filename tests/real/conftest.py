"""Real data is not part of the project: CARAVAN_REAL_DATA names its folder, ../shared/data by default."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from caravan import PROJECT_ROOT


@pytest.fixture(scope="session")
def real_data() -> Path:
    folder = Path(os.environ.get("CARAVAN_REAL_DATA") or PROJECT_ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set CARAVAN_REAL_DATA to its folder")
    return folder
