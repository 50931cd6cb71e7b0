"""A worker of its own process: publishes releases on a site, rebuilding its lists after each.

Arguments: the store as JSON (`folder`, or `bucket` with `connection`), the numbers of the releases.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import site_case as case

from caravan.clients.site.bucket import BucketStore
from caravan.clients.site.store import FolderStore
from caravan.core.connections import Connection
from caravan.core.outbox import Accepted


def open_store(told: dict[str, Any]) -> Any:
    if "folder" in told:
        return FolderStore(Path(told["folder"]))
    return BucketStore(Connection(**told["connection"]), told["bucket"], "press")


if __name__ == "__main__":
    outlet = case.outlet(open_store(json.loads(sys.argv[1])))
    for number in sys.argv[2:]:
        for locale in case.LOCALES:
            content = case.content(locale, f"r-{number}")
            said = outlet.hand_over(case.message(content), outlet.render(content))
            assert isinstance(said, Accepted), said
        outlet.publish_lists()
