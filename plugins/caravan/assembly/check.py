"""What can be known of a release before it leaves, if one asks: its links, its outlets, the page to unsubscribe."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caravan.assembly.drawing import faults_of
from caravan.assembly.outlets import keys_of
from caravan.assembly.releases import Desk, open_desk, opened
from caravan.config.outlets import MailOutlet
from caravan.config.releases import Release
from caravan.core.errors import Fault, in_order
from caravan.functions.release.links import host_of, is_web
from caravan.functions.release.lint import lint

if TYPE_CHECKING:
    from caravan.clients.http.probe import Probe


@dataclass(frozen=True)
class Checked:
    """One thing that was asked. `leads_to`: another host that it ends at. `problem`: empty where all is well."""

    what: str
    answer: str
    leads_to: str = ""
    problem: str = ""


def check(release_id: str) -> tuple[list[Checked], list[Fault]]:
    """Each link and each page to unsubscribe, as it answers, and every fault. Publishes nothing, and unsubscribes
    nobody. Misconfigured for a release that there is not."""
    from caravan.clients.http.probe import Probe

    with open_desk() as desk, Probe() as probe:
        release = desk.shelf.release(release_id)
        links = {url: probe.follow(url) for url in _links(release)}
        found = [
            Checked(
                url,
                str(answer.status or answer.problem),
                answer.ends_at if host_of(answer.ends_at) != host_of(url) else "",
            )
            for url, answer in links.items()
        ]
        pages = list(_unsubscribing(desk, release, probe))
        faults = [*faults_of(desk.settings, desk.shelf, release), *_opening_faults(desk, release)]
        faults += lint(desk.shelf.revision(release), status=lambda url: links[url].status)
        faults += [Fault(page.what, page.problem) for page in pages if page.problem]
    return [*found, *pages], in_order(dict.fromkeys(faults))


def _links(release: Release) -> dict[str, None]:
    """Each once, as the texts have them: what is added to trace visits is not there yet."""
    references = [each for body in release.bodies.values() for each in body.references]
    return dict.fromkeys(each.target for each in references if each.kind == "link" and is_web(each.target))


def _unsubscribing(desk: Desk, release: Release, probe: Probe) -> Iterator[Checked]:
    from caravan.clients.mail.tokens import Links
    from caravan.clients.mail.unsubscribing import trials

    if release.kind == "notice":  # nobody unsubscribes from what has to be told
        return
    for code in release.outlets:
        account = desk.shelf.known.outlets.get(code)
        if isinstance(account, MailOutlet) and account.enabled:
            links = Links(account.unsubscribe_url, keys_of(desk.key))
            for each in trials(links, code, release.source_locale, probe):
                what = f"{code}: {account.unsubscribe_url} {each.what}"
                yield Checked(what, str(each.status or each.problem), problem=each.problem)


def _opening_faults(desk: Desk, release: Release) -> list[Fault]:
    """Of outlets whose connection is missing, or makes no sense."""
    faults: list[Fault] = []
    with opened(desk, release.outlets, (), faults):
        return faults
