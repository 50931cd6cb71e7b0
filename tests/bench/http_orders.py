"""Orders a second through the WooCommerce client, against plain `requests` paging of the same server.

    python tests/bench/http_orders.py [--orders 20000] [--large 100000]

The shop is a stand-in in a process of its own, asked over real HTTP on loopback. The peer asks for the same pages in a
session that stays open, parses each as JSON and keeps nothing. The client does what a night does: checks each page,
takes every order apart into records of ours, exactly, and writes them to files. Best of three each, in turn. Then the
client's peak of memory at `--large` orders against `--orders`, each in a process of its own: what is held does not
grow with the answer.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

import requests

from caravan.clients.woocommerce.shop import ORDERS, PAGE_SIZE, open_shop
from caravan.core.connections import Connection
from caravan.demo.servers.woocommerce import Shop, serve_shop

FLOOR, GOAL = 1 / 3, 2 / 3
MEMORY_LIMIT = 1.10
FIRST = datetime(2026, 1, 1)
EXAMPLE = Path(__file__).parents[1] / "fixtures" / "woocommerce" / "order.json"


def serve(count: int, pipe: Pipe) -> None:
    """A shop with so many orders, one changed every seven seconds, until the pipe is closed."""
    shop, order = Shop("Europe/Berlin"), json.loads(EXAMPLE.read_text())
    moments = (FIRST + timedelta(seconds=7 * number) for number in range(count))
    shop.put(
        *(
            {**order, "id": number, "refunds": [], **shop.times("created", moment), **shop.times("modified", moment)}
            for number, moment in enumerate(moments, start=1)
        )
    )
    with serve_shop(shop) as connection:
        pipe.send(connection)
        pipe.poll(None)


def page_plainly(connection: Connection, count: int) -> int:
    found, page = 0, 1
    with requests.Session() as session:
        session.trust_env = False
        session.auth = connection.login, connection.password
        while found < count:
            params = {"orderby": "modified", "order": "asc", "status": "any", "per_page": PAGE_SIZE, "page": page}
            answer = session.get(f"{connection.host}{ORDERS}", params=params, timeout=60)
            found += len(answer.json())
            page += 1
    return found


def pull(connection: Connection, count: int) -> int:
    with tempfile.TemporaryDirectory(prefix="caravan-http-") as folder:
        return open_shop(connection).pull(None, Path(folder)).files["order"].record_count


def orders_a_second(read: Callable[[Connection, int], int], connection: Connection, count: int) -> float:
    began = time.perf_counter()
    if (found := read(connection, count)) != count:
        raise SystemExit(f"{read.__name__} found {found} orders of {count}")
    return count / (time.perf_counter() - began)


def peak_mb(count: int) -> float:
    """Of a process that pulls so many."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.Process(target=_pull_alone, args=(count, there))
    process.start()
    peak: float = here.recv()
    process.join()
    return peak


def _pull_alone(count: int, pipe: Pipe) -> None:
    with Server(count) as connection:
        pull(connection, count)
    pipe.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


class Server:
    """In a process of its own, so that it takes no time of the one that is measured."""

    def __init__(self, count: int) -> None:
        self._here, there = multiprocessing.Pipe()
        self._process = multiprocessing.Process(target=serve, args=(count, there))

    def __enter__(self) -> Connection:
        self._process.start()
        connection: Connection = self._here.recv()
        return connection

    def __exit__(self, *_: Any) -> None:
        self._process.terminate()
        self._process.join()


def main() -> int:
    multiprocessing.set_start_method("spawn")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=20_000)
    parser.add_argument("--large", type=int, default=100_000)
    given = parser.parse_args()
    with Server(given.orders) as connection:
        rounds = [
            (orders_a_second(page_plainly, connection, given.orders), orders_a_second(pull, connection, given.orders))
            for _ in range(3)
        ]
    plain, ours = max(each[0] for each in rounds), max(each[1] for each in rounds)
    print(f"{given.orders:,} orders: plain requests {plain:,.0f} a second, the client {ours:,.0f} a second")
    print(f"ratio {ours / plain:.2f} (floor {FLOOR:.2f}, goal {GOAL:.2f})")
    small, large = peak_mb(given.orders), peak_mb(given.large)
    print(f"peak memory: {small:.0f} MB at {given.orders:,} orders, {large:.0f} MB at {given.large:,}")
    print(f"ratio {large / small:.2f} (at most {MEMORY_LIMIT:.2f})")
    return int(ours / plain < FLOOR or large / small > MEMORY_LIMIT)


if __name__ == "__main__":
    sys.exit(main())
