"""What the outlets of a release make of it, before anybody has approved it: without their connections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from caravan.assembly.outlets import drawer_of
from caravan.assembly.shelf import Shelf
from caravan.config.outlets import OutletAccount, SiteOutlet
from caravan.config.releases import FILE, Release
from caravan.config.settings import Settings
from caravan.core.errors import Fault, Misconfigured, Rejected, in_order
from caravan.core.release import Content, Drawer, Shown
from caravan.functions.release.lint import lint
from caravan.functions.release.planning import list_faults


@dataclass(frozen=True)
class Drawing:
    """`drawers`: by outlet. `faults`: of outlets that could never be opened."""

    drawers: Mapping[str, Drawer]
    faults: list[Fault]

    def show(self, outlet: OutletAccount, content: Content) -> Shown:
        """Raises Rejected for what the outlet can make nothing of."""
        drawer = self.drawers.get(outlet.code)
        if drawer is None:
            raise Rejected("OUTLET_FAULTY", f"{outlet.code} has a fault")
        return drawer.show(drawer.render(content))

    def check(self, code: str, content: Content) -> list[str]:
        drawer = self.drawers[code]
        try:
            return list(drawer.check(drawer.render(content)))
        except Rejected as error:
            return [error.message]


def draw(settings: Settings, shelf: Shelf, release: Release) -> Drawing:
    of_list = shelf.lists.get(release.list or "")
    variables = of_list.variables if of_list else ()
    known = shelf.known
    sites = {code: each for code, each in known.outlets.items() if isinstance(each, SiteOutlet) and each.enabled}
    zones = {code: market.zone for code, market in known.markets.items()}
    drawers: dict[str, Drawer] = {}
    faults: list[Fault] = []
    for code in release.outlets:
        account = known.outlets.get(code)
        if account is not None and account.enabled:
            try:
                drawers[code] = drawer_of(account, settings, variables, sites, zones)
            except Misconfigured as error:
                faults += error.faults
    return Drawing(drawers, faults)


def faults_of(settings: Settings, shelf: Shelf, release: Release) -> list[Fault]:
    """All that is wrong with its texts and its list, and what its outlets say of them. Asks nobody."""
    drawing = draw(settings, shelf, release)
    checks = {code: partial(drawing.check, code) for code in drawing.drawers}
    is_mailed = any(shelf.known.outlets[code].is_mail for code in drawing.drawers)
    of_list = list_faults(release, shelf.lists.get(release.list or "")) if is_mailed else []
    where = f"releases/{release.id}/{FILE}"
    return in_order(
        [*drawing.faults, *(Fault(where, each) for each in of_list), *lint(shelf.revision(release), checks)]
    )
