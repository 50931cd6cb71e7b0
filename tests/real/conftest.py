"""Real input is not part of the project: data sets in the folder that CARAVAN_REAL_DATA names, ../shared/data by
default, and documentation that Debian packages put on this machine, served by nginx."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import nginx_server
import pytest
from crawled_docs import Crawled, CrawledDocs
from doc_sites import SITES

from caravan import PROJECT_ROOT

TOLD = pytest.StashKey[list[str]]()
"""Lines for the end of the run: which sites were there, and what was found."""


@pytest.fixture(scope="session")
def real_data() -> Path:
    folder = Path(os.environ.get("CARAVAN_REAL_DATA") or PROJECT_ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set CARAVAN_REAL_DATA to its folder")
    return folder


@pytest.fixture(scope="session")
def told(request: pytest.FixtureRequest) -> list[str]:
    return request.config.stash.setdefault(TOLD, [])


@pytest.fixture(scope="session")
def docs(tmp_path_factory: pytest.TempPathFactory, told: list[str]) -> Iterator[CrawledDocs]:
    """Each site is crawled when it is first asked for, and audited."""
    if nginx_server.program() is None:
        pytest.skip("no nginx on this machine: apt install nginx-light")
    absent = [site.package for site in SITES if site.version is None]
    if len(absent) == len(SITES):
        pytest.skip(f"no documentation on this machine: apt install {' '.join(absent)}")
    with CrawledDocs.served(tmp_path_factory.mktemp("docs")) as crawled:
        yield crawled
    told += [each.in_words for each in crawled.done]
    if absent:
        told.append(f"not on this machine: {', '.join(absent)}")


@pytest.fixture(scope="session", params=SITES, ids=lambda site: site.code)
def doc(request: pytest.FixtureRequest, docs: CrawledDocs) -> Crawled:
    if request.param.version is None:
        pytest.skip(f"no {request.param.folder}: apt install {request.param.package}")
    return docs.of(request.param)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if lines := config.stash.get(TOLD, []):
        terminalreporter.section("documentation sites")
        for line in lines:
            terminalreporter.line(line)
