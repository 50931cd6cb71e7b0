"""What a host lets be asked for: robots.txt by RFC 9309, its rules matched by protego."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from protego import Protego

from caravan.core.crawl import REDIRECTS, Answer, Ask, Fetcher, Limits
from caravan.core.urls import BadUrl, host_of, resolve, split_fragment

_MOST_REDIRECTS = 5
_THROTTLED = 429
"""The one 4xx that does not say "none": a host that asks for less is not asked for everything."""


@dataclass(frozen=True)
class Robots:
    """As table `robots` has it. `host`: as of `host_of`. `url`: where the answer came from, after redirects."""

    host: str
    url: str
    outcome: Literal["read", "none", "unavailable"]
    status_code: int | None
    reason: str | None
    requested_at: datetime
    content: str | None
    is_truncated: bool
    crawl_delay_s: float | None
    sitemaps: Sequence[str]
    """Absolute addresses, as declared; what is none is left out."""
    _rules: Protego | None
    _token: str
    detail: str = ""
    """Of no answer: what was wrong."""

    def allows(self, url: str) -> bool:
        """Whether the host lets us ask. `url`: of `resolve`, of this host."""
        if self.outcome == "unavailable":
            return False
        return self._rules is None or self._rules.can_fetch(url, self._token)

    def row(self) -> tuple[object, ...]:
        """In the order of table `robots`."""
        return (
            self.host,
            self.url,
            self.outcome,
            self.status_code,
            self.reason,
            self.requested_at,
            self.content,
            self.is_truncated,
            self.crawl_delay_s,
        )

    def told(self) -> dict[str, Any]:
        """All of it, for `remembered`; can be written as JSON."""
        of = {name: value for name, value in vars(self).items() if name != "_rules"}
        return {**of, "requested_at": self.requested_at.isoformat(), "sitemaps": list(self.sitemaps)}

    @classmethod
    def remembered(cls, told: Mapping[str, Any]) -> Robots:
        rules = Protego.parse(told["content"]) if told["content"] is not None else None
        return cls(**{**told, "requested_at": datetime.fromisoformat(told["requested_at"]), "_rules": rules})


def read_robots(origin: str, fetcher: Fetcher, agent: str, limits: Limits) -> Robots:
    """Asks for an origin's robots.txt. `agent`: as sent; groups are looked up by its first word.

    4xx, and redirects that lead nowhere: there are no rules. 5xx, 429, no answer or one that breaks off: the host may
    not be crawled, since nobody knows what it would have said. What is longer than the limit is read as far as that.
    """
    url, hops = f"{origin}/robots.txt", 0
    while True:
        answer = fetcher.fetch(Ask(url), limits.robots_bytes)
        if answer.status_code not in REDIRECTS:
            return _judged(origin, url, answer, agent)
        hops += 1
        target = _target(url, answer)
        if target is None or hops > _MOST_REDIRECTS:
            reason = "redirect_invalid" if target is None else "redirects"
            return _without_rules(origin, url, answer, agent, "none", reason)
        url = target


def _target(url: str, answer: Answer) -> str | None:
    try:
        return split_fragment(resolve(url, answer.header("location") or ""))[0] if answer.header("location") else None
    except BadUrl:
        return None


def _judged(origin: str, url: str, answer: Answer, agent: str) -> Robots:
    status = answer.status_code
    if status is None:
        return _without_rules(origin, url, answer, agent, "unavailable", answer.reason)
    if status == _THROTTLED or status >= 500 or status < 200:
        return _without_rules(origin, url, answer, agent, "unavailable", f"status_{status}")
    if status >= 300:
        return _without_rules(origin, url, answer, agent, "none", f"status_{status}")
    if answer.body_reason not in (None, "size"):
        return _without_rules(origin, url, answer, agent, "unavailable", answer.body_reason)
    is_truncated = answer.body_reason == "size"
    content = _text(answer.body, is_truncated)
    rules = Protego.parse(content)
    token = _token(agent)
    return Robots(
        host=host_of(f"{origin}/"),
        url=url,
        outcome="read",
        status_code=status,
        reason=None,
        requested_at=answer.requested_at,
        content=content,
        is_truncated=is_truncated,
        crawl_delay_s=rules.crawl_delay(token),
        sitemaps=_sitemaps(url, rules),
        _rules=rules,
        _token=token,
    )


def _text(body: bytes, is_truncated: bool) -> str:
    """UTF-8, as the RFC has it, or what its mark says. A cut line is left out: `Disallow: /` may have gone on."""
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = body.decode("utf-16", "replace")
    else:
        text = body.decode("utf-8-sig", "replace")
    # A NUL has no place in it, nor in a column of text.
    text = text.replace("\0", "\ufffd")
    return text[: max(text.rfind("\n"), text.rfind("\r")) + 1] if is_truncated else text


def _sitemaps(url: str, rules: Protego) -> Sequence[str]:
    found = []
    for each in rules.sitemaps:
        try:
            found.append(split_fragment(resolve(url, each))[0])
        except BadUrl:
            continue
    return list(dict.fromkeys(found))


def _token(agent: str) -> str:
    """`Caravan` of `Caravan/1.0 (+https://example.com/)`."""
    return agent.split("/")[0].split()[0]


def _without_rules(
    origin: str, url: str, answer: Answer, agent: str, outcome: Literal["none", "unavailable"], reason: str | None
) -> Robots:
    return Robots(
        host=host_of(f"{origin}/"),
        url=url,
        outcome=outcome,
        status_code=answer.status_code,
        reason=reason,
        requested_at=answer.requested_at,
        content=None,
        is_truncated=False,
        crawl_delay_s=None,
        sitemaps=(),
        _rules=None,
        _token=_token(agent),
        detail=answer.detail if answer.status_code is None else "",
    )
