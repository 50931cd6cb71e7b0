"""S3 and what speaks its protocol: a client made from a connection, and its errors by kind."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import boto3
import botocore.exceptions as boto_errors
import urllib3.exceptions
from botocore.config import Config
from botocore.parsers import ResponseParserError

from caravan.core.connections import Connection
from caravan.core.errors import CaravanError, Rejected, Retryable, nearest

CONNECT_SECONDS, READ_SECONDS = 10, 60
ATTEMPTS = 4
"""Of one request: botocore repeats 500, 502, 503, 504, throttling and broken connections, waiting ever longer."""

BROKEN = (
    boto_errors.HTTPClientError,
    boto_errors.IncompleteReadError,
    boto_errors.ResponseStreamingError,
    urllib3.exceptions.HTTPError,
    ConnectionError,
    TimeoutError,
)
"""The connection broke, while asking or while reading an answer."""

_EXTRAS = (
    "region_name",
    "endpoint_url",
    "config_kwargs",
    "service_config",
    "aws_session_token",
    "profile_name",
    "verify",
)
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
    """A boto3 client. Without login and password boto3 looks for credentials itself (role, profile, environment).

    Raises Misconfigured for an extra that is not supported, or has no sense.
    """
    extra = connection.extra
    if unknown := sorted(extra.keys() - set(_EXTRAS)):
        hint = (
            "; a role goes into a profile of ~/.aws/config" if "role_arn" in unknown else nearest(unknown[0], _EXTRAS)
        )
        raise connection.misconfigured(f"extra '{unknown[0]}' is not supported{hint}")
    given = _object(connection, extra, "config_kwargs")
    for name in ("s3", "retries"):
        _object(connection, given, name)
    settings = {
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": READ_SECONDS,
        "retries": {"mode": "standard", "total_max_attempts": ATTEMPTS},
        **given,
    }
    try:
        session = boto3.Session(
            aws_access_key_id=connection.login,
            aws_secret_access_key=connection.password,
            aws_session_token=extra.get("aws_session_token"),
            region_name=extra.get("region_name"),
            profile_name=extra.get("profile_name"),
        )
        return session.client(
            "s3",
            endpoint_url=_endpoint(connection),
            verify=extra.get("verify"),
            config=Config(**settings),
        )
    except (boto_errors.BotoCoreError, AttributeError, TypeError, ValueError) as error:
        raise connection.misconfigured(connection.hide(error)) from None


def store_of(connection: Connection) -> str:
    """Whose buckets the connection leads to: two connections to one store give one name."""
    endpoint = str(_endpoint(connection) or "aws")
    store = endpoint.partition("://")[2].rstrip("/").lower() or endpoint
    return "aws" if _AWS.fullmatch(store) else store


def _endpoint(connection: Connection) -> Any:
    service = _object(connection, _object(connection, connection.extra, "service_config"), "s3")
    return service.get("endpoint_url") or connection.extra.get("endpoint_url")


def _object(connection: Connection, extra: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """What the extra holds under the name, empty where that is absent; Misconfigured when it is no object."""
    found = extra.get(name, {})
    if not isinstance(found, dict):
        # Without the value: it may hold a secret.
        raise connection.misconfigured(f"extra '{name}' has to be an object {{...}}, not {type(found).__name__}")
    return found


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
