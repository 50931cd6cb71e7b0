"""The demo's web sites on this machine: the shop, its further hosts, a journal, a supplier to whom the shop links."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from caravan import INCLUDE_DIR
from caravan.demo.servers.certificates import authority, unsigned
from caravan.demo.servers.site import Host, serve_host
from caravan.demo.site import edges
from caravan.demo.site.answers import Reply, WebSite, missing
from caravan.demo.site.journal import Journal
from caravan.demo.site.planted import night
from caravan.demo.site.planting import Night
from caravan.demo.site.shop import Offers

SITES = INCLUDE_DIR / "demo" / "sites"


@dataclass
class Web:
    """`hosts`: by the name that site files and planted defects have for them. `authority`: a file of certificates."""

    offers: Offers
    hosts: Mapping[str, Host]
    authority: Path
    urls: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.urls = {name: host.url for name, host in self.hosts.items()}

    def begin(self, number: int) -> Night:
        """Everything is as it is in this night: 1 or 2."""
        begun = night(number, self.offers)
        self.hosts["kontor"].route = WebSite(begun.shop, {"{supplier}": self.urls["supplier"]})
        self.hosts["journal"].route = Journal(number)
        return begun

    def named(self, url: str) -> str:
        """An address as planted defects write it."""
        for name in ("kontor", "journal"):
            url = url.replace(self.urls[name], "")
        for name, origin in self.urls.items():
            url = url.replace(origin, f"{{{name}}}")
        return url

    def site_files(self) -> dict[str, str]:
        """Their configuration, by file name."""
        told = {**self.urls, "authority": str(self.authority)}
        return {
            path.name: Template(path.read_text(encoding="utf-8")).substitute(told)
            for path in sorted(SITES.glob("*.yml"))
        }


@contextmanager
def serve_web(offers: Offers, folder: Path) -> Iterator[Web]:
    """`offers`: of what the shop sells, beside its list prices. `folder`: of the hosts' certificates."""
    folder.mkdir(parents=True, exist_ok=True)
    file, signed = authority(folder)
    certificates = {"signed": signed, "unsigned": unsigned(folder)}
    urls: dict[str, str] = {}
    routes = {"kontor": _nothing, "supplier": _supplier, "journal": _nothing, **edges.routes(urls)}
    with ExitStack() as stack:
        hosts = {}
        for name, route in routes.items():
            kind = edges.BY_HTTPS.get(name)
            hosts[name] = stack.enter_context(serve_host(Host(route), certificates[kind] if kind else None))
            urls[name] = hosts[name].url
        web = Web(offers, hosts, file)
        web.begin(1)
        yield web


def _nothing(path: str, origin: str) -> Reply:
    return missing()


def _supplier(path: str, origin: str) -> Reply:
    return Reply(301, {"location": "/here/"}) if path == "/moved/" else missing()
