"""Google's keys: a service account's or a user's, as JSON in the connection's extra `keyfile_dict`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
from google.auth.exceptions import GoogleAuthError, RefreshError, TransportError
from google.auth.transport.requests import Request
from google.oauth2 import credentials as users
from google.oauth2 import service_account

from caravan.clients.http.answers import Passing
from caravan.core.connections import Connection, is_private

SCOPE = "https://www.googleapis.com/auth/webmasters.readonly"
TOKEN_URI = "https://oauth2.googleapis.com/token"
_EXTRA = "keyfile_dict"
_USER_NEEDS = ("client_id", "client_secret", "refresh_token")


@dataclass
class GoogleKey:
    """`Credentials` of a Caller. google-auth fetches the token when it is first needed, and again before it ends."""

    connection: Connection
    _key: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._key = _read_key(self.connection)
        self._ask = Request(requests.Session())

    def sign(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        try:
            self._key.before_request(self._ask, request.method, request.url, request.headers)
        # `from None`: google-auth's errors repeat what was answered.
        except TransportError:
            raise Passing("is given no access token: the place that gives them does not answer") from None
        except RefreshError as error:
            if error.retryable:
                raise Passing("is given no access token for now") from None
            word = re.match(r"[a-z_]+", str(error.args[0] if error.args else ""))
            reason = f" ({word[0]})" if word else ""
            message = f"is given no access token{reason}: the key is wrong, or was deleted or revoked"
            raise self.connection.misconfigured(message) from None
        return request

    def renew(self) -> None:
        self._key.token = None


def _read_key(connection: Connection) -> Any:
    """google-auth's credentials. Raises Misconfigured; nothing of the key is repeated."""
    given = connection.extra.get(_EXTRA)
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError:
            given = None
    if not isinstance(given, Mapping):
        message = f"needs the extra {_EXTRA}: the JSON of a service account's key, or of an authorized user"
        raise connection.misconfigured(message)
    token_uri = given.get("token_uri", TOKEN_URI)
    if not (isinstance(token_uri, str) and is_private(token_uri)):
        raise connection.misconfigured(f"would send its key in the clear: `token_uri` of {_EXTRA} must be https")
    kind = given.get("type")
    if kind == "service_account":
        info = {**given, "token_uri": token_uri}
        try:
            return service_account.Credentials.from_service_account_info(info, scopes=[SCOPE])  # type: ignore[no-untyped-call]
        except (ValueError, GoogleAuthError):
            raise connection.misconfigured(f"has no key of a service account in {_EXTRA} that can be read") from None
    if kind == "authorized_user":
        lacking = [name for name in _USER_NEEDS if not (isinstance(given.get(name), str) and given[name])]
        if lacking:
            raise connection.misconfigured(f"lacks {', '.join(lacking)} in {_EXTRA}")
        wanted = {name: given[name] for name in _USER_NEEDS}
        return users.Credentials(None, token_uri=token_uri, scopes=[SCOPE], **wanted)  # type: ignore[no-untyped-call]
    raise connection.misconfigured(f"has a {_EXTRA} whose `type` is neither service_account nor authorized_user")
