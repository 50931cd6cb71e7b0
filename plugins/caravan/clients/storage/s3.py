"""S3 and what speaks its protocol: a client made from a connection, and its errors by kind."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import botocore.exceptions as boto_errors
from botocore.parsers import ResponseParserError

from caravan.clients.aws import BROKEN, endpoint_of, open_service
from caravan.core.connections import Connection
from caravan.core.errors import CaravanError, Rejected, Retryable

_AWS = re.compile(r"s3([.-][a-z0-9-]+)*\.amazonaws\.com(:443)?")
"""A region's own endpoint leads to the same buckets as none at all."""
_CHANGED = frozenset(("NoSuchKey", "404", "PreconditionFailed", "412", "NoSuchVersion"))
_PASSING = frozenset(
    (
        *("InternalError", "ServiceUnavailable", "RequestTimeout", "OperationAborted", "ConditionalRequestConflict"),
        *("SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "BandwidthLimitExceeded"),
    )
)
_OURS = (
    boto_errors.ParamValidationError,
    boto_errors.NoCredentialsError,
    boto_errors.PartialCredentialsError,
    boto_errors.CredentialRetrievalError,
    boto_errors.NoRegionError,
    boto_errors.SSLError,
)
"""Nothing that a second attempt would mend."""
_ADVICE = {
    "NoSuchBucket": "there is no such bucket: correct the URL, or the connection's endpoint",
    "AccessDenied": "access is denied: the connection's key needs s3:ListBucket and s3:GetObject, to publish also "
    "s3:PutObject, s3:DeleteObject, s3:AbortMultipartUpload and s3:ListBucketMultipartUploads",
    "InvalidAccessKeyId": "the store does not know the connection's login (the access key id)",
    "SignatureDoesNotMatch": "the connection's password (the secret access key) is wrong, or its region is",
    "ExpiredToken": "the session token has expired: renew it in the connection",
    "PermanentRedirect": "the bucket is in another region: set `region_name` in the connection's extra",
    "AuthorizationHeaderMalformed": "the bucket is in another region: set `region_name` in the connection's extra",
    "RequestTimeTooSkewed": "this machine's clock is off by more than 15 minutes: set it",
}


def open_client(connection: Connection) -> Any:
    """A boto3 client for S3. Raises Misconfigured for an extra that is not supported, or has no sense."""
    return open_service(connection, "s3")


def store_of(connection: Connection) -> str:
    """Whose buckets the connection leads to: two connections to one store give one name."""
    endpoint = str(endpoint_of(connection, "s3") or "aws")
    store = endpoint.partition("://")[2].rstrip("/").lower() or endpoint
    return "aws" if _AWS.fullmatch(store) else store


@contextmanager
def typed_errors(connection: Connection, what: str) -> Iterator[None]:
    """Inside, botocore's errors become ours. `what`: what is read or written, e.g. `s3://bucket/key`.

    Rejected FILE_CHANGED: the object is gone or is another one now. Retryable: the network, or a store that is
    busy or broken. Misconfigured: anything that a person has to mend. No message holds a secret.
    """
    try:
        yield
    except CaravanError:
        raise
    except boto_errors.ClientError as error:
        raise _of_answer(connection, what, error) from None
    except _OURS as error:
        raise connection.misconfigured(f"{what}: {connection.hide(error)}") from None
    except (boto_errors.BotoCoreError, ResponseParserError, *BROKEN) as error:
        raise Retryable(f"{what} by connection {connection.conn_id}: {connection.hide(error)}") from None


def try_s3(connection: Connection, buckets: Sequence[str]) -> str:
    """Lists one key of each bucket, or the buckets where none is named; says what was seen."""
    client = open_client(connection)
    if not buckets:
        with typed_errors(connection, "the list of buckets"):
            count = len(client.list_buckets()["Buckets"])
        return f"{count} buckets can be listed"
    for bucket in buckets:
        with typed_errors(connection, f"s3://{bucket}"):
            client.list_objects_v2(Bucket=bucket, MaxKeys=1)
    return f"{', '.join(buckets)} can be listed"


def _of_answer(connection: Connection, what: str, error: boto_errors.ClientError) -> CaravanError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _CHANGED:
        return Rejected("FILE_CHANGED", f"{what} was removed or replaced after it was listed; the next run reads it")
    if code in _PASSING or status >= 500 or status == 429:
        after = timedelta(minutes=5) if code == "SlowDown" else None
        return Retryable(f"{what} by connection {connection.conn_id}: the store answers {code or status}", after)
    advice = _ADVICE.get(code) or (_ADVICE["AccessDenied"] if status == 403 else None)
    message = advice or connection.hide(error.response.get("Error", {}).get("Message", ""))
    return connection.misconfigured(f"{what}: {code or status}: {message}")
