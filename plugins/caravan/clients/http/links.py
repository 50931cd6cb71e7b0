"""Whether a link works: one request, one try, nothing read and no redirect followed."""

from __future__ import annotations

import requests
import urllib3
from requests.adapters import HTTPAdapter

TIMEOUT_SECONDS = (5, 10)


def status(url: str) -> int | None:
    """What it answers; a redirect is an answer. None where there is none."""
    with requests.Session() as session:
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(max_retries=0))
        session.trust_env = False  # no password of ~/.netrc for a host that a text names
        asked = {"User-Agent": "Caravan", "Accept": "text/html, */*;q=0.1"}
        try:
            # Not HEAD: some that show a page to everybody refuse it.
            with session.get(
                url, headers=asked, timeout=TIMEOUT_SECONDS, stream=True, allow_redirects=False
            ) as response:
                return response.status_code
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError):
            return None
