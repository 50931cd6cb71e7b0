"""What an address answers to whoever follows it: asked for as little as can be, and by nobody in particular."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urljoin, urlsplit, urlunsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

SECONDS = (5.0, 10.0)
"""To connect, and for each answer."""
MOST_REDIRECTS = 5
_MOVED = (301, 302, 303, 307, 308)
_MOST_BYTES = 64 * 1024
_AGENT = "Caravan (checks links before they are sent)"
_TRACKING = re.compile(r"(utm_\w+|gclid|fbclid|msclkid|mc_[ce]id)(=|$)", re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """`status`: of the last answer, None where there was none: `problem` says why. `ends_at`: where it came from.
    `text`: how its body begins, if that was asked for."""

    status: int | None
    ends_at: str
    problem: str = ""
    text: str = ""


class Probe:
    def __init__(self, seconds: tuple[float, float] = SECONDS) -> None:
        self._seconds = seconds
        self._session = requests.Session()
        self._session.headers["User-Agent"] = _AGENT
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=0))

    def follow(self, url: str) -> Answer:
        """With HEAD; with GET where the server does not say yes to that, as many do not. Counts as nobody's visit:
        parameters by which visits are traced are left out."""
        try:
            asked = without_tracking(url)
        except ValueError:
            return Answer(None, url, "is no web address")
        answer = self.ask("HEAD", asked)
        return answer if answer.status is not None and answer.status < 400 else self.ask("GET", asked)

    def ask(self, method: str, url: str, *, form: Mapping[str, str] | None = None, with_text: bool = False) -> Answer:
        """Redirects are followed, but for those of a form: who sends one wants it taken where it was sent."""
        at = url
        for _ in range(MOST_REDIRECTS + 1):
            answer, goes_to = self._once(method, at, form, with_text)
            if goes_to is None or form is not None:
                return answer
            at = urljoin(at, goes_to)
            if urlsplit(at).scheme not in ("http", "https"):
                return Answer(None, at, "leads to what is no web address")
        return Answer(None, at, f"leads on and on, more than {MOST_REDIRECTS} times")

    def _once(
        self, method: str, url: str, form: Mapping[str, str] | None, with_text: bool
    ) -> tuple[Answer, str | None]:
        """The answer, and where it leads to."""
        try:
            with self._session.request(
                method, url, data=form, timeout=self._seconds, allow_redirects=False, stream=True
            ) as response:
                goes_to = response.headers.get("Location") if response.status_code in _MOVED else None
                answer = Answer(response.status_code, url)
                if with_text and goes_to is None:
                    content = response.raw.read(_MOST_BYTES, decode_content=True)
                    answer = replace(answer, text=content.decode("utf-8", "replace"))
                return answer, goes_to
        # Not what the library says: it quotes the address, which may hold a secret.
        except requests.exceptions.SSLError:
            problem = "has no valid certificate"
        except (requests.Timeout, urllib3.exceptions.TimeoutError):
            problem = f"does not answer within {self._seconds[1]:g} s"
        except (requests.ConnectionError, OSError):
            problem = "cannot be reached"
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError):
            problem = "does not answer as HTTP does"
        return Answer(None, url, problem), None

    def close(self) -> None:
        self._session.close()

    def __enter__(self) -> Probe:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def without_tracking(url: str) -> str:
    """The rest of the query stays as it is written: to decode and encode it may change what it means."""
    parts = urlsplit(url)
    kept = [each for each in parts.query.split("&") if not _TRACKING.match(each)]
    return urlunsplit(parts._replace(query="&".join(kept), fragment=""))
