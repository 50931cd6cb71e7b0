"""What Caravan's errors ask of Airflow: try again, or stop until a person acts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.sdk import RetryDecision, RetryPolicy

from caravan.core.errors import Misconfigured, Rejected, Retryable

if TYPE_CHECKING:
    from airflow.sdk import Context


@dataclass(frozen=True)
class RetryByError(RetryPolicy):
    """`Rejected` and `Misconfigured` fail at once: they stay wrong however often they are tried.

    `Retryable` waits at least as long as it asks for. Anything else, as the task's `retries` say.
    """

    retry_delay: timedelta

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        match exception:
            case Rejected() | Misconfigured():
                return RetryDecision.fail(f"{type(exception).__name__}: no retry will mend it")
            case Retryable(after=timedelta() as after):
                return RetryDecision.retry(max(after, self.retry_delay))
            case _:
                return RetryDecision.default()
