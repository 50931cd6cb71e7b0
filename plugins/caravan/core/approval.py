"""Who said that a release may go out, and for which words. Pure; times are UTC without zone."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(frozen=True)
class Approval:
    """`content_hash`: of what was approved, to the letter; whatever is changed after is approved by nobody.

    `source`: a file beside the release, or Airflow's page.
    """

    release_id: str
    content_hash: str
    approver: str
    at: datetime
    source: Literal["file", "airflow"]


@dataclass(frozen=True)
class Revocation:
    """Who took back all that was approved of a content up to `at`. Who approves it again does so after."""

    release_id: str
    content_hash: str
    revoker: str
    at: datetime
    why: str
    source: Literal["file", "command"]


def missing(
    content_hash: str,
    author: str,
    approvals: Iterable[Approval],
    needed: int,
    now: datetime,
    revocations: Iterable[Revocation] = (),
) -> str | None:
    """Why it may not go out yet; None when enough people other than the author have approved this very content, and
    nobody has taken that back."""
    given = list(approvals)
    of_this = (each for each in revocations if each.content_hash == content_hash)
    revoked = max(of_this, key=lambda each: each.at, default=None)
    standing = [each for each in given if each.content_hash == content_hash and not (revoked and each.at <= revoked.at)]
    for_this = {person(each.approver) for each in standing if each.at <= now}
    by_others = for_this - {person(author), ""}
    if len(by_others) >= needed:
        return None
    if ahead := min((each for each in standing if each.at > now), key=lambda each: each.at, default=None):
        return (
            f"approved by {len(by_others)} of {needed}; the approval by {ahead.approver} is dated "
            f"{ahead.at:%Y-%m-%d %H:%M:%S} UTC, which is to come: it counts from then"
        )
    if revoked and not for_this:
        return f"its approval was revoked by {revoked.revoker}: {revoked.why}"
    if for_this and not by_others:
        return "approved by its author alone: somebody else has to"
    if given and not for_this:
        return "changed since it was approved"
    return f"approved by {len(by_others)} of {needed}"


def person(name: str) -> str:
    """Whom a name stands for: spaces, capitals and the ways that Unicode has of writing a letter make nobody another
    one."""
    return unicodedata.normalize("NFKC", " ".join(unicodedata.normalize("NFKC", name).casefold().split()))
