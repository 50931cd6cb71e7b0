"""Services of AWS and what speaks their protocol: a client made from a connection of the type `aws`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import boto3
import botocore.exceptions as boto_errors
import urllib3.exceptions
from botocore.config import Config

from caravan.core.connections import Connection
from caravan.core.errors import nearest

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


def open_service(connection: Connection, service: str, *, tries_once: bool = False) -> Any:
    """A boto3 client. Without login and password boto3 looks for credentials itself (role, profile, environment).

    `tries_once`: whatever the connection says, one request is one request: a repeated one could send twice.
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
    if tries_once:
        settings["retries"] = {"total_max_attempts": 1}
    try:
        session = boto3.Session(
            aws_access_key_id=connection.login,
            aws_secret_access_key=connection.password,
            aws_session_token=extra.get("aws_session_token"),
            region_name=extra.get("region_name"),
            profile_name=extra.get("profile_name"),
        )
        return session.client(
            service,
            endpoint_url=endpoint_of(connection, service),
            verify=extra.get("verify"),
            config=Config(**settings),
        )
    except (boto_errors.BotoCoreError, AttributeError, TypeError, ValueError) as error:
        raise connection.misconfigured(connection.hide(error)) from None


def endpoint_of(connection: Connection, service: str) -> Any:
    own = _object(connection, _object(connection, connection.extra, "service_config"), service)
    return own.get("endpoint_url") or connection.extra.get("endpoint_url")


def _object(connection: Connection, extra: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """What the extra holds under the name, empty where that is absent; Misconfigured when it is no object."""
    found = extra.get(name, {})
    if not isinstance(found, dict):
        # Without the value: it may hold a secret.
        raise connection.misconfigured(f"extra '{name}' has to be an object {{...}}, not {type(found).__name__}")
    return found
