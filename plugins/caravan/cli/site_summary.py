"""What the terminal says of an audited crawl. Its report has the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from caravan.assembly.site_audit import CSV, Audited
from caravan.cli.steps import console, say
from caravan.config.site_checks import LISTED_BY, SEVERITIES, Catalogue
from caravan.core.errors import Fault, Misconfigured, nearest
from caravan.core.site_audit import AuditedCrawl
from caravan.reporting.formats import counted

GATED = 3
"""Exit code where a check of the gate fired. 1 and 2 are taken: nothing read, and an option that is wrong."""
_CHECKS_SHOWN = 12
_REASONS_SHOWN = 3
_NAMED = 5
_STYLES = {"error": "red", "warning": "yellow", "notice": ""}


def gated(text: str | None, catalogue: Catalogue) -> frozenset[str]:
    """Ids of checks from `ID,ID`, `error` for all of that severity; none for None. Misconfigured for what there is not,
    and where nothing is named."""
    if text is None:
        return frozenset()
    known = {check.id for check in catalogue.checks}
    errors = {check.id for check in catalogue.checks if check.severity == "error"}
    asked = [part.strip() for part in text.split(",") if part.strip()]
    if not asked:
        # As of a variable that is not set: a gate that nothing can shut would let everything pass.
        raise Misconfigured([Fault("--gate", f"names no check; give `error` or ids ({LISTED_BY}), or leave it out")])
    faults = [
        Fault("--gate", f"there is no check '{name}'{nearest(name, {*known, 'error'}, LISTED_BY)}")
        for name in asked
        if name not in known and name != "error"
    ]
    if faults:
        raise Misconfigured(faults)
    return frozenset(name for name in asked if name != "error") | (errors if "error" in asked else frozenset())


def show_audit(audited: Audited, gate: Collection[str]) -> int:
    """The exit code."""
    crawl = audited.crawl
    say(_certificate(crawl))
    if crawl.with_issues:
        say(f"Open issues: {', '.join(counted(crawl.severities[each], each) for each in SEVERITIES)}")
        console().print(_checks(crawl, audited))
    elif crawl.is_complete:
        say("No issues: every check that could be evaluated passed.")
    else:
        say("Nothing was found on the pages that were seen, which says nothing of the others.")
    if crawl.is_comparable:
        say(_changes(crawl))
    if unevaluated := crawl.of("not_evaluated"):
        say(_unevaluated([each.reason or "" for each in unevaluated]))
    say(f"The report: {audited.report}; all issues as rows: {audited.folder / CSV}")
    fired = sorted({each.check.id for each in audited.verdicts if each.outcome == "fired"} & set(gate))
    if fired:
        say(f"The gate is shut: {', '.join(fired)} fired.")
    absent = sorted({each.check.id for each in audited.verdicts if each.outcome == "not_evaluated"} & set(gate))
    if absent:
        say(_absent(absent))
    return GATED if fired else 0


def _absent(check_ids: Sequence[str]) -> str:
    """Those of the gate that say nothing."""
    if len(check_ids) <= _NAMED:
        return f"Of the gate these were not evaluated: {', '.join(check_ids)}."
    return f"Of the gate {counted(len(check_ids), 'check')} were not evaluated; the report says which, and why."


def _certificate(crawl: AuditedCrawl) -> str:
    if not crawl.is_complete:
        return f"The crawl is not complete: {crawl.incomplete_reason}."
    seen = f" ({crawl.seen_count:,} of {crawl.expected_count:,} expected addresses)" if crawl.expected_count else ""
    pages = crawl.pages
    judged = f"{pages.with_error:,} of {counted(pages.judged, 'judged address', 'judged addresses')}"
    # No share: what redirects is not judged, so all that is left may be well where hardly anything is.
    left = f"; {pages.unjudged:,} more redirect, or were not asked for" if pages.unjudged else ""
    return f"The crawl is complete{seen}. With an error: {judged}{left}."


def _checks(crawl: AuditedCrawl, audited: Audited) -> Table:
    titles = {each.check.id: each.check.title for each in audited.verdicts}
    table = Table(box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    table.add_column("severity")
    table.add_column("issues", justify="right")
    table.add_column("what")
    table.add_column("check", no_wrap=True)
    for each in crawl.with_issues[:_CHECKS_SHOWN]:
        severity = Text(each.severity, style=_STYLES[each.severity])
        table.add_row(severity, f"{each.open_count:,}", Text(titles[each.check_id]), each.check_id)
    more = len(crawl.with_issues) - _CHECKS_SHOWN
    if more > 0:
        table.add_row("", "", f"and {counted(more, 'check')} more in the report", "")
    return table


def _changes(crawl: AuditedCrawl) -> str:
    count = crawl.change_counts.get
    over = f"{count('fixed', 0):,} fixed, {count('gone', 0):,} gone"
    told = over if crawl.is_complete else "what is fixed is not known"
    more = f", {count('unverified', 0):,} not judged again" if count("unverified", 0) else ""
    return f"Since the last complete crawl: {count('new', 0):,} new, {count('regressed', 0):,} back, {told}{more}."


def _unevaluated(reasons: list[str]) -> str:
    """The most frequent reasons, a line each."""
    most = Counter(reasons).most_common(_REASONS_SHOWN)
    lines = [f"Not evaluated: {counted(len(reasons), 'check')}."]
    lines += [f"  {counted(count, 'check')}: {reason}" for reason, count in most]
    if left := len(reasons) - sum(count for _, count in most):
        lines.append(f"  {counted(left, 'check')} for other reasons, which are in the report.")
    return "\n".join(lines)
