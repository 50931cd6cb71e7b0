"""What the outlets of a release make of it, before anybody has approved it: without their connections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from caravan.assembly.outlets import drawer_of
from caravan.assembly.shelf import Shelf
from caravan.config.approvals import load_approvals
from caravan.config.outlets import OutletAccount, SiteOutlet
from caravan.config.releases import FILE, FOLDER, Release
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
    # A list with a fault may have them all: that fault is told, and no other made of it.
    variables = of_list.variables if of_list else shelf.settings.mail_variables if release.list else ()
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
    """All that is wrong with its texts, its list, its outlets and its approvals, and what the outlets say of the texts.
    Asks nobody."""
    drawing = draw(settings, shelf, release)
    checks = {code: partial(drawing.check, code) for code in drawing.drawers}
    mail = [code for code in drawing.drawers if shelf.known.outlets[code].is_mail]
    of_list = shelf.lists.get(release.list or "")
    filled = dict.fromkeys(mail, of_list.variables) if of_list else {}
    of_people = list_faults(release, of_list) if mail else []
    where = f"releases/{release.id}/{FILE}"
    named = (*(f"outlets/{code}.yml" for code in release.outlets), f"lists/{release.list}.yml")
    of_files = [fault for fault in shelf.faults if fault.where.startswith(named)]
    *_, of_approvals = load_approvals(settings.config_dir / FOLDER / release.id, release.id)
    of_list_or_texts = [*(Fault(where, each) for each in of_people), *lint(shelf.revision(release), checks, filled)]
    return in_order(dict.fromkeys([*of_files, *of_approvals, *drawing.faults, *of_list_or_texts]))
