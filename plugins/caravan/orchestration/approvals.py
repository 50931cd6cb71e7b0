"""Asking a person on Airflow's page, and who it was that answered."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NoReturn

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Context

from caravan.config.settings import BY_HAND
from caravan.core.errors import Rejected
from caravan.orchestration.errors import RetryByError
from caravan.orchestration.steps import RETRY_DELAY


class AskApprover(ApprovalOperator):
    """Waits without holding a place of a pool. "Reject" skips the next task; no answer in time is a refusal for good,
    not something to be tried again."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"retry_policy": RetryByError(RETRY_DELAY), **options})

    def execute(self, context: Context) -> Any:
        if os.environ.get(BY_HAND):
            raise Rejected("NOBODY_TO_ASK", "a run by command has no page to answer on: trigger the DAG in Airflow")
        return super().execute(context)

    def process_trigger_event_error(self, event: dict[str, Any]) -> NoReturn:
        if event["error_type"] == "timeout":
            raise Rejected("NOT_ANSWERED", f"nobody answered within {self.response_timeout}; nothing is approved")
        super().process_trigger_event_error(event)
        raise AssertionError("Airflow's operator raises")


def responder(answer: Mapping[str, Any]) -> str:
    """The name by which Airflow's login knows whoever answered. Rejected when nobody did."""
    user = answer.get("responded_by_user") or {}
    if not (name := str(user.get("name") or "").strip()):
        raise Rejected("NO_APPROVER", "Airflow does not say who answered, so nobody has approved")
    return name
