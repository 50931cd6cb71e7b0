"""Where crawls lie: those of a night and those by hand never in one folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from caravan.assembly.site import crawls_root, crawls_root_of_host
from caravan.config.outlets import CODE
from caravan.config.settings import Settings

SETTINGS = Settings(Path("/home"), Path("/home/config"), "lake:///home/lake")


@pytest.mark.parametrize(
    ("host", "folder"),
    [
        ("www.example.com", "www.example.com"),
        ("127.0.0.1:8080", "127.0.0.1_8080"),
        ("wiki", "wiki."),
        ("localhost:8080", "localhost_8080."),
        ("[::1]", "___1_."),
    ],
)
def test_a_crawl_by_hand_is_no_night_of_a_site(host: str, folder: str) -> None:
    root = crawls_root_of_host(SETTINGS, host)
    assert root == Path("/home/site/crawls") / folder
    assert not re.match(CODE, root.name), "no site has this code"


def test_a_sites_crawls_lie_by_its_code() -> None:
    assert crawls_root(SETTINGS, "wiki") == Path("/home/site/crawls/wiki")
