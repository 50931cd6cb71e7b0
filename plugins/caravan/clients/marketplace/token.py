"""Access for an hour, in exchange for a refresh token that lasts: Login with Amazon.

Source: "Connect to the SP-API", step 1 (grant_type refresh_token) and step 3 (the header x-amz-access-token).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

import requests

from caravan.clients.http.caller import Caller
from caravan.core.connections import Connection
from caravan.core.errors import Rejected

HEADER = "x-amz-access-token"
MARGIN_SECONDS = 60.0
"""A token is renewed as long before it ends."""


class Nobody:
    """Credentials for where they are in the body."""

    def sign(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request

    def renew(self) -> None:
        pass


@dataclass
class AccessToken:
    """Fetched when it is first needed, again shortly before it ends, and when the service refuses it."""

    connection: Connection
    open_caller: Callable[[], Caller]
    """Of the place that gives tokens."""
    clock: Callable[[], float]
    _token: str | None = field(default=None, init=False, repr=False)
    _ends: float = field(default=0.0, init=False)

    def sign(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token is None or self.clock() > self._ends:
            self._fetch()
        request.headers[HEADER] = self._token or ""
        return request

    def renew(self) -> None:
        self._token = None

    def _fetch(self) -> None:
        grant = {
            "grant_type": "refresh_token",
            "refresh_token": self.connection.extra.get("refresh_token"),
            "client_id": self.connection.login,
            "client_secret": self.connection.password,
        }
        try:
            with closing(self.open_caller()) as caller:
                given = caller.post("", grant, as_form=True, needs=("access_token", "expires_in"))
        except Rejected as error:
            if error.code != "REQUEST_REFUSED":
                raise
            # Login with Amazon answers 400 to a wrong or revoked refresh token.
            message = "is given no access token: client id, secret or refresh token are wrong or were revoked"
            reason = error.message.partition(";")[0]
            raise self.connection.misconfigured(f"{message} ({reason})") from None
        self._token = given["access_token"]
        lasts = float(given["expires_in"]) if given["expires_in"].isdigit() else 0.0
        self._ends = self.clock() + max(0.0, lasts - MARGIN_SECONDS)
