"""Releases by Amazon SES (API v2), one mail in each request, asked once.

SES knows no idempotency token: whatever has no definite answer may have left, and its events tell (see ses_events.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import botocore.exceptions as boto_errors
from botocore.parsers import ResponseParserError

from caravan.clients.aws import BROKEN
from caravan.clients.mail.mailing import ASK_A_PERSON, TRY_AGAIN, Draws, Mailing
from caravan.clients.mail.message import Mail
from caravan.core.connections import Connection
from caravan.core.outbox import Accepted, Message, Outcome, Refused, Unknown
from caravan.core.release import Payload

TAG = "caravan_message"
OUTLET_TAG = "caravan_outlet"
STOPPED = timedelta(hours=6)
"""After SES has stopped the account or the domain: somebody has to talk to its support."""
_THROTTLED = timedelta(minutes=1)
_AFTER: Mapping[str, timedelta | None] = {
    "TooManyRequestsException": _THROTTLED,
    "ThrottlingException": _THROTTLED,
    "Throttling": _THROTTLED,
    "LimitExceededException": TRY_AGAIN,
    "SendingPausedException": STOPPED,
    "AccountSuspendedException": STOPPED,
    "MessageRejected": None,
    "BadRequestException": None,
    "ValidationException": None,
    # Nothing that another mail could mend.
    "MailFromDomainNotVerifiedException": ASK_A_PERSON,
    "NotFoundException": ASK_A_PERSON,
}
"""By the code of the answer: when it may be tried again. Others of 4xx are for good; of 401 and 403 a person's."""
_NEVER_LEFT = (
    boto_errors.EndpointConnectionError,
    boto_errors.ConnectTimeoutError,
    boto_errors.ProxyConnectionError,
    boto_errors.NoCredentialsError,
    boto_errors.PartialCredentialsError,
    boto_errors.CredentialRetrievalError,
    boto_errors.NoRegionError,
)


class SesOutlet(Draws):
    """`client`: of `sesv2`, made by clients.aws.open_service(..., tries_once=True)."""

    is_repeatable = False

    def __init__(
        self,
        code: str,
        connection: Connection,
        client: Any,
        mailing: Mailing,
        configuration_set: str | None = None,
    ) -> None:
        if client.meta.config.retries.get("total_max_attempts") != 1:
            raise ValueError("a client that repeats requests by itself sends mails twice")
        self.code = code
        self._connection = connection
        self._client = client
        self._mailing = mailing
        self._set = {"ConfigurationSetName": configuration_set} if configuration_set else {}

    def hand_over(self, message: Message, payload: Payload) -> Outcome:
        mail = self._mailing.compose(message, payload)
        if isinstance(mail, Refused):
            return mail
        if mail.to.needs_utf8:
            return Refused("ADDRESS: SES takes no address of other than ASCII characters")
        return self._send(mail)

    def find(self, message: Message, payload: Payload) -> Accepted | Refused | None:
        """SES cannot be asked; its events come through a queue."""
        return None

    def _send(self, mail: Mail) -> Outcome:
        try:
            answer = self._client.send_email(
                FromEmailAddress=mail.sender,
                Destination={"ToAddresses": [mail.to.text]},
                Content={"Raw": {"Data": mail.content}},
                EmailTags=[{"Name": TAG, "Value": mail.message_id}, {"Name": OUTLET_TAG, "Value": _tag(self.code)}],
                **self._set,
            )
        except boto_errors.ClientError as error:
            return _of_answer(error)
        except boto_errors.ParamValidationError:
            return Refused("SES takes no such request")  # checked before it is sent; its text quotes the mail
        except _NEVER_LEFT as error:
            return Refused(f"SES cannot be reached: {self._connection.hide(error)}", after=TRY_AGAIN)
        except boto_errors.SSLError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                return Refused("the certificate of SES's endpoint is not valid", after=ASK_A_PERSON)
            return Unknown("no answer of SES: SSLError")
        except (boto_errors.BotoCoreError, ResponseParserError, *BROKEN) as error:
            return Unknown(f"no answer of SES: {type(error).__name__}")
        found = answer.get("MessageId") if isinstance(answer, Mapping) else None
        if not isinstance(found, str) or not found.strip():
            return Unknown("SES answered well and gave no MessageId")
        return Accepted(found)


def _of_answer(error: boto_errors.ClientError) -> Refused | Unknown:
    """By code and status only: the text may quote the address."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    # Without a code in the answer boto gives the status again.
    said = f"SES answered {status} {code if code != str(status) else ''}".rstrip()
    if not 400 <= status < 500 or status == 408:
        return Unknown(said)
    if status in (401, 403) and code not in _AFTER:
        return Refused(said, after=ASK_A_PERSON)
    return Refused(said, after=_AFTER.get(code, _THROTTLED if status == 429 else None))


def _tag(text: str) -> str:
    """Letters, digits, _ and - are all that SES takes in a tag."""
    return "".join(sign if sign.isascii() and (sign.isalnum() or sign in "_-") else "_" for sign in text)
