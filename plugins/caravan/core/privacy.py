"""Whether a purpose may use a person's data: the law as dated rows, the person's own word as events. Default deny.

Nothing here knows a country's law or reads a clock: rows come from include/config/privacy, events from whoever keeps
them, and the instant is an argument. Times are UTC without zone; a row is valid on whole UTC days.
`caravan.core.privacy_frames` gives the same answers for a table of people.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

ConsentType = Literal["none", "opt_in", "double_opt_in", "opt_out", "separate"]
"""none: nobody is asked. opt_in: a given consent. double_opt_in: one that was asked for and confirmed. opt_out: until
the person refuses. separate: given for this purpose and this channel by name; one for all channels does not count."""

LegalBasis = Literal["consent", "contract", "legal_obligation", "legitimate_interests", "notice"]
"""notice: the law asks for a notice and a way to refuse, and for no other ground."""

PersonalClass = Literal["pseudonym", "identifier", "contact", "free_text"]
"""The personal-data classes of columns (include/sql/*/_models.yml), without `none`."""

Signal = Literal["gpc", "do_not_call"]
"""What a browser (Global Privacy Control) or a public register says for a person. Known at the time of asking."""

State = Literal["given", "pending", "withdrawn", "objected"]

ALL_CHANNELS = "all"
"""An event's channel when it holds for every one. Nobody can be addressed on it."""

Standing = Literal["given", "pending", "unknown_state", "withdrawn", "objected"]
STANDINGS: tuple[Standing, ...] = ("given", "pending", "unknown_state", "withdrawn", "objected")
"""States by how much they restrict: of two at one instant the later in this list wins."""
REFUSALS: tuple[Standing, ...] = STANDINGS[2:]

Reason = Literal[
    "no_consent_needed",
    "consent",
    "soft_opt_in",
    "not_refused",
    "aggregate",
    "own_region",
    "listed_region",
    "unknown_purpose",
    "unknown_channel",
    "unknown_regime",
    "no_policy",
    "optout_signal",
    "unknown_subject",
    "no_consent",
    "no_evidence",
    "not_separate",
    "pending",
    "not_confirmed",
    "unknown_state",
    "withdrawn",
    "objected",
    "unknown_region",
    "stays_in_region",
]
"""Up to `listed_region` a yes, from `unknown_purpose` on a no."""


@dataclass(frozen=True)
class Purpose:
    """What data is used for. `channels`: those it may use, none named means any. `keeps`: classes it may hold."""

    code: str
    channels: frozenset[str] = frozenset()
    keeps: frozenset[str] = frozenset()
    description: str = ""


@dataclass(frozen=True)
class PolicyRow:
    """What one regime says of one purpose on the UTC days `[valid_from, valid_to)`."""

    regime: str
    purpose: str
    legal_basis: LegalBasis
    consent_type: ConsentType
    retention_days: int | None
    """None for a purpose that keeps no personal data."""
    request_sla_days: int
    """Days to answer a person's request, and below to erase, from receipt."""
    erase_sla_days: int
    residency: frozenset[str] | None
    """Countries that rows may leave their own for (ISO 3166-1); None for every country."""
    valid_from: date
    valid_to: date | None
    source: str
    optout_signals: frozenset[str] = frozenset()
    """Signals that count as a refusal."""
    has_soft_opt_in: bool = False
    """A customer may be addressed without having opted in, until they refuse."""

    def is_valid_on(self, day: date) -> bool:
        return self.valid_from <= day and (self.valid_to is None or day < self.valid_to)


@dataclass(frozen=True)
class Regime:
    """One body of law. Rows of one purpose do not overlap."""

    code: str
    name: str
    rows: tuple[PolicyRow, ...]
    note: str = ""
    """How far the rows may be trusted."""

    def row(self, purpose: str, day: date) -> PolicyRow | None:
        return next((row for row in self.rows if row.purpose == purpose and row.is_valid_on(day)), None)


@dataclass(frozen=True)
class Policies:
    """All of include/config/privacy. Empty by default: then nothing is allowed."""

    purposes: Mapping[str, Purpose] = field(default_factory=dict)
    regimes: Mapping[str, Regime] = field(default_factory=dict)
    tables: Mapping[str, str] = field(default_factory=dict)
    """Table with personal data to the purpose it is kept for."""

    def retention_days(self, table: str, regime: str, day: date) -> int | None:
        """How long rows of the table's people under that regime are kept; None when nothing says so."""
        found = self.regimes.get(regime)
        row = found.row(self.tables[table], day) if found and table in self.tables else None
        return row.retention_days if row else None


@dataclass(frozen=True)
class ConsentEvent:
    """One word of a person; events are only ever added. `subject`: whatever key the caller knows people by.

    A `state` that is none of State counts as a refusal. `evidence`: where the proof lies; a consent without one
    does not count. `text_version`: of the text that the person saw.
    """

    subject: str
    purpose: str
    channel: str
    state: str
    at: datetime
    evidence: str
    text_version: str


@dataclass(frozen=True)
class Decision:
    """The answer, why, and the row it stands on (None when there is none)."""

    is_allowed: bool
    reason: Reason
    row: PolicyRow | None = None


def allowed(
    subject: str | None,
    purpose: str,
    channel: str,
    at: datetime,
    *,
    regime: str | None,
    policies: Policies,
    events: Iterable[ConsentEvent],
    signals: Collection[str] = (),
    is_customer: bool = False,
) -> Decision:
    """Whether `purpose` may use the subject's data on `channel` at `at`. Any order of events gives the same answer.

    `events` may hold other people's and later ones; they do not count. `signals`: those seen for the subject.
    `is_customer`: bought, and could refuse when the address was taken (what a soft opt-in asks for).
    Ask again at hand-over: an answer given at planning is old by then.
    """
    if at.tzinfo is not None:
        raise ValueError("`at` is UTC without zone: convert with to_utc_naive first")
    row = governing_row(purpose, channel, at.date(), regime, policies)
    if not isinstance(row, PolicyRow):
        return Decision(False, row)
    if row.optout_signals & set(signals):
        return Decision(False, "optout_signal", row)
    if row.consent_type == "none":
        return Decision(True, "no_consent_needed", row)
    if not subject:
        return Decision(False, "unknown_subject", row)
    said = [
        event
        for event in events
        if event.subject == subject
        and event.purpose == purpose
        and event.channel in (channel, ALL_CHANNELS)
        and event.at <= at
    ]
    return _judge(row, said, is_customer)


def governing_row(
    purpose: str, channel: str, day: date, regime: str | None, policies: Policies
) -> PolicyRow | Literal["unknown_purpose", "unknown_channel", "unknown_regime", "no_policy"]:
    """The row that answers for everybody under the regime, or why there is none."""
    if purpose not in policies.purposes:
        return "unknown_purpose"
    channels = policies.purposes[purpose].channels
    if not channel or channel == ALL_CHANNELS or (channels and channel not in channels):
        return "unknown_channel"
    law = policies.regimes.get(regime or "")
    if law is None:
        return "unknown_regime"
    return law.row(purpose, day) or "no_policy"


def _judge(row: PolicyRow, said: list[ConsentEvent], is_customer: bool) -> Decision:
    last: Standing | None = None  # the last word
    refusal: Literal["unknown_state", "withdrawn", "objected"] | None = None  # the last one that no consent followed
    is_asked = False  # whether a confirmation has been asked for since the last refusal
    weaknesses: set[str | None] = set()
    for event in sorted(said, key=lambda event: (event.at, STANDINGS.index(standing(event.state)))):
        weakness = _weakness(event, row.consent_type)
        weaknesses.add(weakness)
        if weakness is not None:
            continue
        last = standing(event.state)
        if last == "given":
            refusal = None
        elif last == "pending":
            is_asked = True
        else:
            refusal, is_asked = last, False
    if row.consent_type == "opt_out":
        return Decision(False, refusal, row) if refusal else Decision(True, "not_refused", row)
    if last is None and row.has_soft_opt_in and is_customer:
        return Decision(True, "soft_opt_in", row)
    if last is None:
        if "no_evidence" in weaknesses:
            return Decision(False, "no_evidence", row)
        return Decision(False, "not_separate" if weaknesses else "no_consent", row)
    if last != "given":
        return Decision(False, last, row)
    if row.consent_type == "double_opt_in" and not is_asked:
        return Decision(False, "not_confirmed", row)
    return Decision(True, "consent", row)


def standing(state: str) -> Standing:
    """The state as it counts."""
    return next((known for known in STANDINGS if known == state), "unknown_state")


def _weakness(event: ConsentEvent, consent_type: ConsentType) -> Literal["no_evidence", "not_separate"] | None:
    """Why a consent does not count. It then counts as never given: it neither allows nor takes back."""
    if event.state != "given":
        return None
    if not event.evidence:
        return "no_evidence"
    return "not_separate" if consent_type == "separate" and event.channel == ALL_CHANNELS else None


def exportable(
    subject_region: str | None,
    target_region: str | None,
    purpose: str,
    at: datetime,
    *,
    regime: str | None,
    policies: Policies,
    is_aggregate: bool = False,
) -> Decision:
    """Whether data of people in `subject_region` may go to a store in `target_region` (ISO 3166-1 alpha-2).

    Comes on top of `allowed`. `is_aggregate`: no row stands for one person, and small groups are left out already.
    """
    if purpose not in policies.purposes:
        return Decision(False, "unknown_purpose")
    law = policies.regimes.get(regime or "")
    if law is None:
        return Decision(False, "unknown_regime")
    row = law.row(purpose, at.date())
    if row is None:
        return Decision(False, "no_policy")
    if is_aggregate:
        return Decision(True, "aggregate", row)
    if not subject_region or not target_region:
        return Decision(False, "unknown_region", row)
    if subject_region == target_region:
        return Decision(True, "own_region", row)
    if row.residency is None or target_region in row.residency:
        return Decision(True, "listed_region", row)
    return Decision(False, "stays_in_region", row)
