"""`allowed` for a table of people at one instant: the same answers, in columns."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd

from caravan.core.privacy import (
    ALL_CHANNELS,
    REFUSALS,
    STANDINGS,
    Policies,
    PolicyRow,
    Reason,
    governing_row,
    standing,
)

_NEVER = np.iinfo(np.int64).min
_GIVEN, _PENDING = STANDINGS.index("given"), STANDINGS.index("pending")
_REFUSALS = slice(STANDINGS.index(REFUSALS[0]), None)

YES: frozenset[Reason] = frozenset(["no_consent_needed", "consent", "soft_opt_in", "not_refused"])


def allowed_many(
    people: pd.DataFrame, purpose: str, channel: str, at: datetime, *, policies: Policies, events: pd.DataFrame
) -> pd.DataFrame:
    """`is_allowed` and `reason` for each row of `people`, under its index.

    `people`: subject and regime (text; nobody is known by an empty one), and, where there are any, signals (codes with
    a space between) and is_customer (true or false; false when absent).
    `events`: subject, purpose, channel, state, at (UTC without zone), evidence. Other people's and later ones may be
    there. The row behind an answer is `governing_row(purpose, channel, at.date(), regime, policies)`.
    """
    if at.tzinfo is not None:
        raise ValueError("`at` is UTC without zone: convert with to_utc_naive first")
    if events["at"].isna().any():
        raise ValueError("events without a time: quarantine them, one may be a refusal")
    reasons = np.full(len(people), "unknown_regime", dtype=object)
    said = events[
        (events["purpose"] == purpose) & events["channel"].isin([channel, ALL_CHANNELS]) & (events["at"] <= at)
    ]
    for regime, places in people.groupby("regime", dropna=False, sort=False).indices.items():
        found = governing_row(purpose, channel, at.date(), str(regime), policies)
        reasons[places] = _judge(found, people.iloc[places], said) if isinstance(found, PolicyRow) else found
    return pd.DataFrame({"is_allowed": pd.Series(reasons).isin(YES).to_numpy(), "reason": reasons}, index=people.index)


def _judge(row: PolicyRow, people: pd.DataFrame, said: pd.DataFrame) -> np.ndarray:
    """The reason for each of these people, all under one row. `said`: events on this purpose and channel so far."""
    is_refused_by_signal = _has_signal(people, row.optout_signals)
    if row.consent_type == "none":
        return np.where(is_refused_by_signal, "optout_signal", "no_consent_needed").astype(object)
    subjects = people["subject"].astype(object).where(people["subject"].notna(), "").to_numpy()
    is_customer = _flag(people, "is_customer")

    codes, known = pd.factorize(subjects)
    whose = pd.Index(known).get_indexer(pd.Index(said["subject"], dtype=object))
    said, whose = said[whose >= 0], whose[whose >= 0]
    is_given = (said["state"] == "given").to_numpy()
    is_unproven = is_given & (said["evidence"].fillna("") == "").to_numpy()
    is_blanket = is_given & (said["channel"] == ALL_CHANNELS).to_numpy() & (row.consent_type == "separate")
    counts = ~is_unproven & ~is_blanket

    # The last time of each state, and from those everything else: only the order of times matters.
    latest = np.full((len(known), len(STANDINGS)), _NEVER)
    states, names = pd.factorize(said["state"].astype(object).fillna(""))
    ranks = np.array([STANDINGS.index(standing(name)) for name in names], dtype=np.int64)[states]
    times = said["at"].to_numpy().astype("datetime64[us]").astype(np.int64)
    np.maximum.at(latest, (whose[counts], ranks[counts]), times[counts])
    has_unproven, has_blanket = np.zeros(len(known), bool), np.zeros(len(known), bool)
    has_unproven[whose[is_unproven]] = True
    has_blanket[whose[is_blanket]] = True

    latest, has_unproven, has_blanket = latest[codes], has_unproven[codes], has_blanket[codes]
    last = _latest_of(latest)
    refused_at = latest[:, _REFUSALS].max(axis=1)
    refusal = _latest_of(latest[:, _REFUSALS]) + STANDINGS.index(REFUSALS[0])
    names_of = np.array(STANDINGS, dtype=object)
    is_silent = latest.max(axis=1) == _NEVER

    if row.consent_type == "opt_out":
        is_refused = (refused_at > _NEVER) & (refused_at >= latest[:, _GIVEN])
        reasons = np.where(is_refused, names_of[refusal], "not_refused")
    else:
        is_confirmed = (row.consent_type != "double_opt_in") | (latest[:, _PENDING] > refused_at)
        consent = np.where(is_confirmed, "consent", "not_confirmed")
        reasons = np.where(last == _GIVEN, consent, names_of[last])
        silence = np.where(has_unproven, "no_evidence", np.where(has_blanket, "not_separate", "no_consent"))
        if row.has_soft_opt_in:
            silence = np.where(is_customer, "soft_opt_in", silence)
        reasons = np.where(is_silent, silence, reasons)
    reasons = np.where(subjects == "", "unknown_subject", reasons)
    return np.where(is_refused_by_signal, "optout_signal", reasons).astype(object)


def _latest_of(times: np.ndarray) -> np.ndarray:
    """The column with the latest time; of equal ones the last, which restricts most."""
    last: np.ndarray = times.shape[1] - 1 - np.argmax(times[:, ::-1], axis=1)
    return last


def _flag(people: pd.DataFrame, column: str) -> np.ndarray:
    if column not in people:
        return np.zeros(len(people), dtype=bool)
    return people[column].fillna(False).astype(bool).to_numpy()


def _has_signal(people: pd.DataFrame, refusing: frozenset[str]) -> np.ndarray:
    if "signals" not in people or not refusing:
        return np.zeros(len(people), dtype=bool)
    codes, texts = pd.factorize(people["signals"].astype(object).fillna(""))
    hits = np.array([bool(refusing & set(str(text).split())) for text in texts], dtype=bool)
    found: np.ndarray = hits[codes]
    return found
