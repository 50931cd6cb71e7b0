"""Everything that is wrong with a release before anybody approves it, in words for whoever wrote it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from caravan.config.markdown import Reference
from caravan.config.outlets import OutletAccount
from caravan.config.release_bodies import Body
from caravan.config.release_settings import ReleaseSettings
from caravan.config.releases import Known, Release
from caravan.core.errors import Fault, in_order, nearest
from caravan.core.release import Content
from caravan.functions.release.content import Revision
from caravan.functions.release.links import host_of, is_web
from caravan.functions.release.locales import missing
from caravan.functions.release.markup import SCHEMES, refusals

Check = Callable[[Content], Sequence[str]]
"""What an outlet says of content: its `render`, then its `check`."""
Status = Callable[[str], int | None]
"""What a link answers over HTTP; None for no answer."""

_VARIABLE = re.compile(r"\{\{\s*(.*?)\s*\}\}")
_STATEMENT = re.compile(r"\{[%#]|\{\{(?!.*?\}\})")


def lint(
    revision: Revision,
    checks: Mapping[str, Check] | None = None,
    variables: Mapping[str, Collection[str]] | None = None,
    status: Status | None = None,
) -> list[Fault]:
    """Every fault, in the order of the files. `checks`, `variables`: by outlet, what it says of content, and what it
    fills in for each recipient; mail those of the settings where nothing is given. `status`: asks each link."""
    release, known, settings = revision.release, revision.known, revision.settings
    # Of an outlet whose file has a fault nobody knows what it fills in: that fault is told, and no other made of it.
    usual = {code: _filled(known.outlets[code], settings) for code in release.outlets if code in known.outlets}
    filled = usual | dict(variables or {})
    faults = list(missing(release, known.markets))
    for body in release.bodies.values():
        faults += _reading_faults(release, body, known)
        faults += _length_faults(body, settings)
        faults += refusals(body)
        faults += _link_faults(body, settings)
        faults += _variable_faults(release, body, filled)
    if status is not None:
        faults += _answer_faults(release, status)
    faults += _payload_faults(revision, checks or {})
    return in_order(dict.fromkeys(faults))


def _filled(outlet: OutletAccount, settings: ReleaseSettings) -> Collection[str]:
    return settings.mail_variables if outlet.is_mail else ()


def _reading_faults(release: Release, body: Body, known: Known) -> Iterator[Fault]:
    read = {tag for code in release.markets for chain in known.markets[code].chains for tag in chain}
    if body.locale not in read and body is not release.source:
        yield Fault(f"{body.where}:1", f"no market of this release reads {body.locale}; name one, or remove the file")


def _length_faults(body: Body, settings: ReleaseSettings) -> Iterator[Fault]:
    for key, text, limit in (
        ("title", body.front.title, settings.title_characters),
        ("summary", body.front.summary, settings.summary_characters),
    ):
        if len(text) > limit:
            yield body.front_fault(key, f"has {len(text):,} characters; {limit:,} is the limit ({key}_characters)")


def _link_faults(body: Body, settings: ReleaseSettings) -> Iterator[Fault]:
    for each in body.references:
        if each.kind == "bare":
            yield body.fault(each.line, f"{each.target} is no link, so nobody can trace it; write <{each.target}>")
        elif each.kind == "link" and (problem := _link_problem(each, settings)):
            yield body.fault(each.line, f"the link {each.target or 'to nothing'} {problem}")


def _link_problem(link: Reference, settings: ReleaseSettings) -> str | None:
    target, scheme = link.target, link.target.partition(":")[0].lower()
    if not link.text.strip():
        return "has no words; say where it leads"
    if any(mark in target for mark in ("{{", "%7B%7B", "%7b%7b")):
        return "has a placeholder; a link is the same for everybody"
    if target.startswith("#"):
        return None
    if scheme not in SCHEMES:
        # A scheme that is refused is told as that.
        return None if re.match(r"[a-z][a-z0-9+.-]*:", target, re.IGNORECASE) else "is relative; write it in full"
    if scheme not in settings.link_schemes:
        return f"is {scheme} only; use {' or '.join(settings.link_schemes)}"
    if not is_web(target):
        return None
    host = host_of(target)
    if not host:
        return "names no host"
    if any(fnmatchcase(host, pattern) for pattern in settings.staging_hosts) or "." not in host.strip("."):
        return "leads to a host that readers do not reach (staging_hosts)"
    return None


def _variable_faults(release: Release, body: Body, filled: Mapping[str, Collection[str]]) -> Iterator[Fault]:
    """`filled`: by outlet of the release."""
    for key, text in (("title", body.front.title), ("summary", body.front.summary)):
        yield from (body.front_fault(key, problem) for problem in _variable_problems(text, filled))
    for number, line in enumerate(body.text.split("\n"), 1):
        yield from (body.fault(number, problem) for problem in _variable_problems(line, filled))


def _variable_problems(line: str, filled: Mapping[str, Collection[str]]) -> Iterator[str]:
    if found := _STATEMENT.search(line):
        yield f"'{found[0]}' starts a template; only {{{{ a_variable }}}} is filled in"
    for name in dict.fromkeys(_VARIABLE.findall(line)):
        lacking = [code for code, names in filled.items() if name not in names]
        if lacking:
            known = {each for names in filled.values() for each in names}
            hint = "" if name in known else nearest(name, known)
            yield f"{{{{ {name} }}}} is not filled in by {', '.join(lacking)}{hint}"


def _answer_faults(release: Release, status: Status) -> Iterator[Fault]:
    answers: dict[str, int | None] = {}
    for body in release.bodies.values():
        for each in body.references:
            if each.kind != "link" or not is_web(each.target):
                continue
            if each.target not in answers:
                answers[each.target] = status(each.target)
            answer = answers[each.target]
            if answer is None:
                yield body.fault(each.line, f"the link {each.target} gives no answer")
            elif not 200 <= answer < 400:
                yield body.fault(each.line, f"the link {each.target} answers {answer}")


def _payload_faults(revision: Revision, checks: Mapping[str, Check]) -> Iterator[Fault]:
    """Of texts that may be rendered at all. One that all markets share is told once."""
    if not checks:
        return
    refused = [locale for locale, body in revision.release.bodies.items() if refusals(body)]
    for outlet, content in revision.contents(without=refused):
        for problem in checks[outlet.code](content) if outlet.code in checks else ():
            yield Fault(revision.release.bodies[content.locale].where, f"{outlet.code}: {problem}")
