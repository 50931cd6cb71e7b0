"""On which engines a test runs, where that is not simply both.

That the engines agree on every row is shown by test_engines_agree.py. A lake takes three times the CPU of PostgreSQL:
of many tests that go the same way, some run on it in `make test` and all in `make test-all`.
"""

from __future__ import annotations

import pytest

_LAKE_IN_TEST_ALL = [pytest.param("lake", marks=pytest.mark.slow), "postgresql"]

one_engine = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
"""For what the engine has no part in."""
slow_on_lake = pytest.mark.parametrize("engine", _LAKE_IN_TEST_ALL, indirect=True)
slow_on_standing_lake = pytest.mark.parametrize("standing_place", _LAKE_IN_TEST_ALL, indirect=True)
"""For tests of a database that is made once for their file."""
