"""Real servers, in the folder that CARAVAN_PEERS names (README.md). Without them the tests here are skipped."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "contracts"))

import blog as wordpress
from jail import Jail, opened


@pytest.fixture(scope="session")
def jail() -> Iterator[Jail]:
    folder = os.environ.get("CARAVAN_PEERS")
    if not folder:
        pytest.skip("CARAVAN_PEERS names no folder with servers (tests/peers/README.md)")
    if not (Path(folder) / "versions").is_file():
        pytest.skip(f"no servers in CARAVAN_PEERS, {folder}: fetch them with tests/peers/fetch.sh {folder}")
    if os.geteuid() != 0:
        pytest.skip("the servers run in a folder by chroot, which only root may")
    with opened(Path(folder)) as jail:
        yield jail


@pytest.fixture(scope="session")
def blog(jail: Jail) -> wordpress.Blog:
    return wordpress.start(jail)
