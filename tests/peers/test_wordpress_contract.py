"""The suite of all outlets, held against the real WordPress."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from test_outlet_contract import *  # noqa: F403
from wordpress_stand import RealStand

STANDS = (RealStand,)


@pytest.fixture(scope="module")
def served(blog) -> Iterator[dict[Any, Any]]:
    stand = RealStand()
    stand.blog = blog
    with stand.serve() as connection:
        yield {RealStand: (stand, connection)}
