"""Approved is what somebody else approved, to the letter."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from caravan.config.approvals import load_approvals
from caravan.core.approval import Approval, Revocation, missing
from caravan.core.release import PayloadKey, SentLink
from caravan.warehouse.ledger import FILE, SqliteLedger
from caravan.warehouse.releases import StoredReleases

NOW = datetime(2026, 11, 25, 8, 30)


def by(approver: str, content: str = "hash", at: datetime = NOW) -> Approval:
    return Approval("autumn", content, approver, at, "file")


@pytest.mark.parametrize(
    ("approvals", "needed", "why"),
    [
        ([], 1, "approved by 0 of 1"),
        ([by("Omar")], 1, None),
        ([by("Maria  K")], 1, "approved by its author alone: somebody else has to"),
        ([by("MARIA k"), by("Omar")], 1, None),
        ([by("Omar", "older")], 1, "changed since it was approved"),
        ([by("Omar", "older"), by("Omar")], 1, None),
        ([by("Omar"), by("omar ")], 2, "approved by 1 of 2"),
        ([by("Jos\u00e9"), by("JOSE\u0301")], 2, "approved by 1 of 2"),
        ([by("Maria\u00a0\uff2b")], 1, "approved by its author alone: somebody else has to"),
        ([by("Omar"), by("Li")], 2, None),
        (
            [by("Omar", at=NOW + timedelta(minutes=1))],
            1,
            "approved by 0 of 1; the approval by Omar is dated 2026-11-25 08:31:00 UTC, which is to come: it counts "
            "from then",
        ),
        ([by("Li"), by("Omar", at=NOW + timedelta(days=1))], 1, None),
        (
            [by("Li"), by("Omar", at=NOW + timedelta(days=1))],
            2,
            "approved by 1 of 2; the approval by Omar is dated 2026-11-26 08:30:00 UTC, which is to come: it counts "
            "from then",
        ),
        ([by("Omar", "older", at=NOW + timedelta(days=1))], 1, "changed since it was approved"),
        ([by(" ")], 1, "approved by its author alone: somebody else has to"),
    ],
)
def test_what_is_missing(approvals, needed, why):
    assert missing("hash", "Maria K", approvals, needed, NOW) == why


def test_approvals_and_payloads_are_kept_once(tmp_path: Path):
    with SqliteLedger(tmp_path / FILE) as ledger:
        releases = StoredReleases(ledger)
        assert releases.approve([by("Omar"), by("Li")]) == 2
        assert releases.approve([by("Omar", at=NOW + timedelta(days=1))]) == 0
        assert releases.approvals("autumn") == [by("Li"), by("Omar")]
        assert releases.approvals("winter") == []
        key = PayloadKey("autumn", 1, "site", "DE", "de-DE", "hash")
        link = SentLink(
            "autumn", 1, "hash", "site", "de-DE", "abc", 1, "https://a.example/?utm_source=site", "https://a.example/"
        )
        releases.keep({key: {"title": "Ä"}}, [link], NOW)
        releases.keep({key: {"title": "other"}}, [replace(link, url="other")], NOW)
        assert releases.links() == [link]
        assert releases.payload(key) == {"title": "Ä"}
        assert releases.payload(PayloadKey("autumn", 2, "site", "DE", "de-DE", "hash")) is None


HOUR = timedelta(hours=1)


def revoked(at: datetime = NOW, content: str = "hash") -> Revocation:
    return Revocation("autumn", content, "Li", at, "wrong price", "command")


@pytest.mark.parametrize(
    ("approvals", "revocations", "needed", "why"),
    [
        ([by("Omar")], [revoked()], 1, "its approval was revoked by Li: wrong price"),
        ([by("Omar")], [revoked(content="older")], 1, None),
        ([by("Omar")], [revoked(NOW - HOUR)], 1, None),
        ([by("Omar"), by("Omar", at=NOW + HOUR)], [revoked()], 1, None),
        (
            [by("Omar", at=NOW + HOUR)],
            [revoked(), revoked(NOW + HOUR)],
            1,
            "its approval was revoked by Li: wrong price",
        ),
        ([by("Omar"), by("Ann", at=NOW + HOUR)], [revoked()], 2, "approved by 1 of 2"),
        ([by("Omar")], [revoked(NOW + 9 * HOUR)], 1, "its approval was revoked by Li: wrong price"),
        ([], [revoked()], 1, "its approval was revoked by Li: wrong price"),
    ],
)
def test_a_revoked_approval_counts_for_nothing_until_it_is_given_again(approvals, revocations, needed, why):
    assert missing("hash", "Maria K", approvals, needed, NOW + 2 * HOUR, revocations) == why


def test_a_file_revokes_and_with_a_fault_says_nothing(tmp_path: Path):
    line = f"{{by: Li, at: '2026-11-25T08:30:00Z', hash: {'a' * 64}, why: wrong price}}"
    (tmp_path / "approvals.yml").write_text(f"revoked:\n  - {line}\n")
    expected = Revocation("autumn", "a" * 64, "Li", NOW, "wrong price", "file")
    assert load_approvals(tmp_path, "autumn") == ([], [expected], [])
    (tmp_path / "approvals.yml").write_text(f"revokd:\n  - {line}\n")
    approvals, revocations, faults = load_approvals(tmp_path, "autumn")
    assert (approvals, revocations) == ([], [])
    assert "did you mean 'revoked'" in str(faults[0])
