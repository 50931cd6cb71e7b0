"""A crawl without pandas, which is there for whoever asks for it."""

from __future__ import annotations

import os
import subprocess
import sys

from caravan import PROJECT_ROOT

SCRIPT = """
import sys
from caravan.clients.crawl.frames import leave_out_pandas
from caravan.clients.crawl.parts import as_table
leave_out_pandas()
table = as_table("found", [(1, 2, "https://example.com/", "page"), (2, 3, None, "page")])
print("pandas" in sys.modules)
print(table.to_pandas()["target_url"].isna().tolist())
"""


def test_a_process_that_crawls_has_no_pandas_until_a_frame_is_asked_for():
    done = subprocess.run(
        [sys.executable, "-P", "-c", SCRIPT],
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT / "plugins")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split("\n")[:2] == ["False", "[False, True]"], done.stderr
