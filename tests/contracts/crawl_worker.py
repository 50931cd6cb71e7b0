"""A crawl in a process of its own, to be killed. Arguments: the folder, the start address, addresses between commits,
seconds that the reader takes for a page, and the folder of the crawl before, if any."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from crawl_world import IMPATIENT, reader, run

from caravan.clients.crawl.frontier import Address
from caravan.clients.crawl.runs import Plan
from caravan.core.crawl import Answer, Extracted, Scope
from caravan.core.urls import host_of

if __name__ == "__main__":
    folder, url, checkpoint, seconds, *last = sys.argv[1:]
    scope = Scope(frozenset([host_of(url)]), private_addresses=True)
    read = reader(scope, IMPATIENT)

    def slowly(address: Address, answer: Answer) -> Extracted:
        time.sleep(float(seconds))
        return read(address, answer)

    more = {"checkpoint": int(checkpoint), "last": Path(last[0]) if last else None}
    run(Path(folder), Plan((url,), scope, IMPATIENT), read=slowly, **more)
