"""What is told of hosts and addresses that were left out, and of a site of which no page could be read."""

from __future__ import annotations

import pytest

from caravan.assembly.site_unread import Unread, told_of_site
from caravan.core.crawl import in_words


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("robots_unavailable: status_503", "its robots.txt answered 503"),
        ("robots_unavailable: timeout", "it does not answer in time"),
        ("robots_unavailable: tls", "its certificate, or its TLS, cannot be trusted"),
        (
            "robots_unavailable: tls: Hostname mismatch, certificate is not valid for 'shop.example'",
            "its certificate, or its TLS, cannot be trusted (Hostname mismatch, certificate is not valid for "
            "'shop.example')",
        ),
        ("robots_unavailable: encoding", "its robots.txt could not be read"),
        ("robots_unavailable", "its robots.txt could not be read"),
        ("host_unavailable", "it did not answer any more"),
        ("unheard_of", "unheard_of"),
    ],
)
def test_why_a_host_was_left_out(reason: str, told: str) -> None:
    assert in_words(reason) == told


@pytest.mark.parametrize(
    ("unread", "told"),
    [
        (Unread({"a.example": "its robots.txt answered 503", "b.example": "it has no name"}, False, None, ""),
         "a.example: its robots.txt answered 503; b.example: it has no name"),
        (Unread({"a.example": "its address may not be asked"}, True, None, ""),
         "it leads to this machine or into a private network; `private_addresses: true` in its file allows that"),
        (Unread({}, False, "https://www.a.example/", "301 (1)"),
         "it redirects to https://www.a.example/, which is on none of its hosts; see `hosts` in its file"),
        (Unread({}, False, None, "404 (3), timeout (1)"), "its addresses answered 404 (3), timeout (1)"),
    ],
)  # fmt: skip
def test_why_nothing_of_a_site_was_read(unread: Unread, told: str) -> None:
    assert told_of_site(unread) == told
