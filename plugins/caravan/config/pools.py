"""include/config/pools.yml: how many tasks of a kind run at once. A task whose pool does not exist never starts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from caravan.config.document import read
from caravan.config.frozen import Frozen
from caravan.config.validation import validate
from caravan.core.errors import Fault, Misconfigured

FILE = "pools.yml"


WAREHOUSE = "warehouse"
"""The pool of every task that may write the warehouse."""
OUTBOX = "outbox"
"""The pool of what fills the outbox: a long list neither waits for the warehouse nor takes the watch's place."""
SENDING = "sending"
"""The pool of what hands over: nothing else, however long, may keep a message from its minute."""
CRAWLING = "crawling"
"""The pool of crawls: they take hours, and wait for others' servers, not for the warehouse."""
_NAMED = (WAREHOUSE, OUTBOX, SENDING, CRAWLING)


class Pool(Frozen):
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
    slots: Annotated[int, Field(ge=1, le=1024)]
    description: str


_WITHOUT_FILE = (
    Pool(name=WAREHOUSE, slots=3, description="Tasks that read and write the warehouse"),
    Pool(name=OUTBOX, slots=1, description="Tasks that plan what is to leave, and take in what comes back"),
    Pool(name=SENDING, slots=2, description="Tasks that hand over what is due"),
    Pool(name=CRAWLING, slots=2, description="Crawls of own sites"),
)


class _Pools(Frozen):
    pools: Annotated[tuple[Pool, ...], Field(min_length=1)]


def load_pools(config_dir: Path) -> tuple[Pool, ...]:
    """Raises Misconfigured with every fault of the file."""
    pools, faults = read_pools(config_dir)
    if faults:
        raise Misconfigured(faults)
    return pools


def read_pools(config_dir: Path) -> tuple[tuple[Pool, ...], list[Fault]]:
    """The pools, or none and every fault. No file: the pools that tasks name, with as many slots as `up` leaves."""
    if not (config_dir / FILE).exists():
        return _WITHOUT_FILE, []
    document, faults = read(config_dir / FILE, FILE)
    if document is None:
        return (), faults
    found, more = validate(document, _Pools)
    faults += more
    names = [document.text("pools", index, "name") for index in range(len(found.pools) if found else 0)]
    for index, name in enumerate(names):
        if name in names[:index]:
            faults.append(document.fault(("pools", index, "name"), f"another pool is called '{name}' already"))
        if name == "default_pool":
            faults.append(document.fault(("pools", index, "name"), "is Airflow's own; give another name"))
    for name in _NAMED if found else ():
        if name not in names:
            faults.append(document.fault(("pools",), f"has no '{name}'; a task in a missing pool never starts"))
    return (found.pools if found and not faults else ()), faults
