"""Where a host's name leads, and whether a crawl may go there.

A page can name any host, and a host any address: without this a link could have the crawl read what only machines
inside may read. So a name is looked up here and nowhere else, every address of the answer is checked, and
`connections.py` connects to those and no others: a name that leads elsewhere a moment later changes nothing.

The system's resolver knows no deadline, so each look-up has a thread of its own that nobody has to wait for.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Lookup = Callable[[str], Iterable[str]]
"""Host to addresses. Raises socket.gaierror."""

_KEEP_SECONDS = 300.0
"""A site may move while it is crawled; what is looked up again is checked again."""
_AT_ONCE = 16
"""Look-ups under way, those included that nobody waits for any more."""

# IANA's registries of special-purpose addresses (RFC 6890), written out: what the standard library calls private
# differs between releases of Python 3.11 to 3.13.
_INSIDE = (
    ("loopback", "127.0.0.0/8", "::1/128"),
    ("private", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10"),
    ("link-local", "169.254.0.0/16", "fe80::/10"),
    ("of a carrier's own network", "100.64.0.0/10"),
)
_NOWHERE = (
    ("unspecified", "0.0.0.0/8", "::/128"),
    ("multicast", "224.0.0.0/4", "ff00::/8"),
    ("for documentation", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20"),
    ("for measurements", "198.18.0.0/15"),
    ("reserved", "240.0.0.0/4", "192.0.0.0/24", "192.88.99.0/24", "2001::/23"),
    # One address in the clothes of another: whoever reads only the outside lets it in.
    ("IPv4 in IPv6", "::ffff:0:0/96", "::/96", "2002::/16", "64:ff9b:1::/48"),
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""How networks without IPv4 reach it: as good or bad as the address inside."""
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")


class RefusedAddress(OSError):
    """A host leads where a crawl may not go."""


class UnknownHost(OSError):
    """`may_pass`: the name servers did not answer; another time they may."""

    def __init__(self, message: str, may_pass: bool) -> None:
        super().__init__(message)
        self.may_pass = may_pass


def refusal(address: Address, private_addresses: bool) -> str | None:
    """What is wrong with going there; None where nothing is. `private_addresses`: as `Scope` has it."""
    if isinstance(address, ipaddress.IPv6Address) and address in _NAT64:
        address = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    for name, networks in _NETWORKS["inside"]:
        if any(address in network for network in networks):
            return None if private_addresses else name
    for name, networks in _NETWORKS["nowhere"]:
        if any(address in network for network in networks):
            return name
    if isinstance(address, ipaddress.IPv6Address) and address not in _GLOBAL_V6:
        return "reserved"
    return None


def look_up(host: str) -> list[str]:
    """The system's addresses of a host, in its order of preference. Takes as long as the system's resolver lets it."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


@dataclass
class _LookUp:
    """One that is under way. `found` is there when `done` is set."""

    began: float
    done: threading.Event = field(default_factory=threading.Event)
    found: list[str] | OSError = field(default_factory=list)


@dataclass
class Addresses:
    """For all threads of a crawl. `clock`: seconds that only grow."""

    private_addresses: bool = False
    lookup: Lookup = look_up
    clock: Callable[[], float] = time.monotonic
    _known: dict[str, tuple[float, list[str] | OSError]] = field(default_factory=dict, init=False)
    _under_way: dict[str, _LookUp] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _places: threading.BoundedSemaphore = field(
        default_factory=lambda: threading.BoundedSemaphore(_AT_ONCE), init=False
    )

    def of(self, host: str, seconds: float = 10.0) -> list[str]:
        """Checked addresses of a host, without brackets. Raises RefusedAddress, UnknownHost; the latter, too, where
        the name servers have not answered `seconds` after they were asked, and until they do."""
        with self._lock:
            until, found = self._known.get(host, (0.0, []))
        if self.clock() >= until:
            found = self._checked([host], host) if _is_address(host) else self._looked_up(host, seconds)
        if isinstance(found, OSError):
            # A new one: an exception that several threads raise collects the traces of all of them.
            raise UnknownHost(str(found), found.may_pass) if isinstance(found, UnknownHost) else type(found)(str(found))
        return found

    def prefer(self, host: str, address: str) -> None:
        """The one that took a connection comes first from now on: where IPv6 leads nowhere, each would wait for it."""
        with self._lock:
            until, found = self._known.get(host, (0.0, []))
            if isinstance(found, list) and address in found and found[0] != address:
                self._known[host] = (until, [address, *(each for each in found if each != address)])

    def _looked_up(self, host: str, seconds: float) -> list[str] | OSError:
        """Whoever asks while a look-up is under way waits for that one, and no longer than the first may."""
        late = UnknownHost(f"{host}: the name servers did not answer in {seconds:g} s", True)
        with self._lock:
            under_way = self._under_way.get(host)
        if under_way is None:
            if not self._places.acquire(timeout=seconds):
                return late
            under_way = self._begin(host)
        left = under_way.began + seconds - self.clock()
        return under_way.found if under_way.done.wait(max(left, 0.0)) else late

    def _begin(self, host: str) -> _LookUp:
        """With a place taken, which the look-up gives back at its end. Another may have begun one, or ended it."""
        with self._lock:
            under_way = self._under_way.get(host)
            until, found = self._known.get(host, (0.0, []))
            if under_way is None and self.clock() < until:
                under_way = _LookUp(self.clock(), found=found)
                under_way.done.set()
            if under_way is not None:
                self._places.release()
                return under_way
            under_way = self._under_way[host] = _LookUp(self.clock())
        threading.Thread(target=self._run, args=(host, under_way), name=f"look up {host}", daemon=True).start()
        return under_way

    def _run(self, host: str, under_way: _LookUp) -> None:
        try:
            under_way.found = self._answer(host)
        except Exception as error:  # a label of more than 63 characters, and whatever would reach nobody from a thread
            under_way.found = UnknownHost(f"{host}: {error}", False)
        found = under_way.found
        is_passing = isinstance(found, UnknownHost) and found.may_pass
        with self._lock:
            self._known[host] = (self.clock() + (0 if is_passing else _KEEP_SECONDS), found)
            del self._under_way[host]
        self._places.release()
        under_way.done.set()

    def _answer(self, host: str) -> list[str] | OSError:
        try:
            return self._checked(self.lookup(host), host)
        except socket.gaierror as error:
            return UnknownHost(f"{host}: {error.strerror or error}", error.errno == socket.EAI_AGAIN)

    def _checked(self, answer: Iterable[str], host: str) -> list[str] | OSError:
        try:
            found = {each: ipaddress.ip_address(each) for each in map(_bare, answer)}
        except ValueError as error:
            # An address with a zone.
            return UnknownHost(f"{host}: {error}", False)
        if not found:
            return UnknownHost(f"{host}: no address", False)
        for text, address in found.items():
            if wrong := refusal(address, self.private_addresses):
                return RefusedAddress(f"{host} leads to {text}, which is {wrong}")
        return list(found)


def _bare(host: str) -> str:
    return host.removeprefix("[").removesuffix("]")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(_bare(host))
    except ValueError:
        return False
    return True


_NETWORKS = {
    kind: [(name, [ipaddress.ip_network(each) for each in networks]) for name, *networks in table]
    for kind, table in (("inside", _INSIDE), ("nowhere", _NOWHERE))
}
