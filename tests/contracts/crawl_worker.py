"""A crawl in a process of its own, to be killed. Arguments: the folder, the start address, addresses between commits,
seconds that the reader takes for a page."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from crawl_world import FAST, reader, run

from caravan.clients.crawl.frontier import Address
from caravan.clients.crawl.runs import Plan
from caravan.core.crawl import Answer, Extracted, Scope
from caravan.core.urls import host_of

if __name__ == "__main__":
    folder, url, checkpoint, seconds = sys.argv[1:]
    scope = Scope(frozenset([host_of(url)]), private_addresses=True)
    read = reader(scope, FAST)

    def slowly(address: Address, answer: Answer) -> Extracted:
        time.sleep(float(seconds))
        return read(address, answer)

    run(Path(folder), Plan((url,), scope, FAST), checkpoint=int(checkpoint), read=slowly)
