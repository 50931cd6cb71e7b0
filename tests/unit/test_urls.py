"""Addresses of pages: as a browser reads them, and which of them are one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caravan.core.crawl import Limits, Scope
from caravan.core.urls import (
    BadUrl,
    frontier_key,
    host_of,
    is_internal,
    key_of,
    origin_of,
    pattern_of,
    resolve,
    split_fragment,
)

BASE = "http://example.com/a/b/c.html?x=1"
SHOP = Scope(frozenset({"example.com"}), dropped_parameters=frozenset({"utm_source", "gclid"}))


@pytest.mark.parametrize(
    ("href", "url"),
    [
        ("", BASE),
        ("d.html", "http://example.com/a/b/d.html"),
        ("d/e.html?q=1#top", "http://example.com/a/b/d/e.html?q=1#top"),
        ("#top", f"{BASE}#top"),
        ("#", f"{BASE}#"),
        ("?q", "http://example.com/a/b/c.html?q"),
        ("?", "http://example.com/a/b/c.html?"),
        ("/d", "http://example.com/d"),
        ("../d", "http://example.com/a/d"),
        ("../../../../d", "http://example.com/d"),
        ("./d/./e/../f", "http://example.com/a/b/d/f"),
        (".", "http://example.com/a/b/"),
        ("..", "http://example.com/a/"),
        ("/d/..", "http://example.com/"),
        ("/%2e%2E/d/%2E", "http://example.com/d/"),
        ("/.well-known/x", "http://example.com/.well-known/x"),
        ("...", "http://example.com/a/b/..."),
        ("/d//e", "http://example.com/d//e"),
        ("//other.org", "http://other.org/"),
        ("//other.org/d", "http://other.org/d"),
        ("///other.org/d", "http://other.org/d"),
        ("\\d\\e", "http://example.com/d/e"),
        ("\\\\other.org\\d", "http://other.org/d"),
        ("/d?a\\b#c\\d", "http://example.com/d?a\\b#c\\d"),
        ("http:d", "http://example.com/a/b/d"),
        ("http:/d", "http://example.com/d"),
        ("https:d/e", "https://d/e"),
        ("https:\\\\d\\e", "https://d/e"),
        ("https://other.org", "https://other.org/"),
        ("HTTPS://Other.ORG/D", "https://other.org/D"),
        ("https://other.org:443/", "https://other.org/"),
        ("http://other.org:0080", "http://other.org/"),
        ("http://other.org:443/", "http://other.org:443/"),
        ("http://other.org:/d", "http://other.org/d"),
        ("http://other.org./", "http://other.org./"),
        ("http://other.org?q", "http://other.org/?q"),
        ("http://other.org#f", "http://other.org/#f"),
        ("http://a_b.other.org/", "http://a_b.other.org/"),
        ("http://oth%65r.org/", "http://other.org/"),
        # White space
        (" \n d.html \t", "http://example.com/a/b/d.html"),
        ("\x00\x1fd", "http://example.com/a/b/d"),
        ("d\te\nf\rg", "http://example.com/a/b/defg"),
        ("ht\ntps://other.org/", "https://other.org/"),
        ("d e", "http://example.com/a/b/d%20e"),
        ("/d?a b#c d", "http://example.com/d?a%20b#c%20d"),
        ("\u00a0d", "http://example.com/a/b/%C2%A0d"),
        # As published
        ("/a,b;c=d", "http://example.com/a,b;c=d"),
        ("/it's", "http://example.com/it's"),
        ("/100%", "http://example.com/100%"),
        ("/%zz%4", "http://example.com/%zz%4"),
        ("/%c3%a9%7e", "http://example.com/%c3%a9%7e"),
        ("/?q=1,2&q=%zz", "http://example.com/?q=1,2&q=%zz"),
        ("/?a=b?c=/d", "http://example.com/?a=b?c=/d"),
        ("/a|b[c]", "http://example.com/a|b[c]"),
        ("a:b/c:d", None),
        ("./a:b", "http://example.com/a/b/a:b"),
        # What no request may have as it is
        ('/"<>`{}^', "http://example.com/%22%3C%3E%60%7B%7D%5E"),
        ("/?\"<>'", "http://example.com/?%22%3C%3E%27"),
        ("/?`{}^|", "http://example.com/?`{}^|"),
        ('/#"<>`', "http://example.com/#%22%3C%3E%60"),
        ("/\x7f\x01-", "http://example.com/%7F%01-"),
        ("/\u00fc?\u00fc#\u00fc", "http://example.com/%C3%BC?%C3%BC#%C3%BC"),
        ("/\ud800", "http://example.com/%EF%BF%BD"),
        # Hosts
        ("http://b\u00fccher.example/", "http://xn--bcher-kva.example/"),
        ("http://B\u00dcCHER.example/", "http://xn--bcher-kva.example/"),
        ("http://stra\u00dfe.example/", "http://xn--strae-oqa.example/"),
        ("http://\u4f8b\u3048\u3002\u30c6\u30b9\u30c8/", "http://xn--r8jz45g.xn--zckzah/"),
        ("http://\uff45xample.com/", "http://example.com/"),
        ("http://\U0001f600.example/", "http://xn--e28h.example/"),
        ("http://2130706433/", "http://127.0.0.1/"),
        ("http://0x7f.1/", "http://127.0.0.1/"),
        ("http://0177.0.0.1./", "http://127.0.0.1/"),
        ("http://[::1]:8080/d", "http://[::1]:8080/d"),
        ("http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/"),
        ("http://[2001:DB8:0:0::1]/", "http://[2001:db8::1]/"),
    ],
)
def test_resolved_as_by_a_browser(href, url):
    if url is None:
        with pytest.raises(BadUrl):
            resolve(BASE, href)
    else:
        assert resolve(BASE, href) == url
        assert resolve("", url) == url, "what is resolved stays as it is"


@pytest.mark.parametrize(
    ("href", "reason", "detail"),
    [
        ("mailto:x@example.com", "scheme", "mailto"),
        ("tel:+49301234", "scheme", "tel"),
        ("data:text/html,<p>x", "scheme", "data"),
        ("JavaScript:void(0)", "scheme", "javascript"),
        (" java\nscript:alert(1)", "scheme", "javascript"),
        ("ftp://example.com/", "scheme", "ftp"),
        ("localhost:8080/", "scheme", "localhost"),
        ("http://", "invalid", "no host"),
        ("//", "invalid", "no host"),
        ("https:", "invalid", "no host"),
        ("http://?q", "invalid", "no host"),
        ("http://ex ample.com/", "invalid", "no host: 'ex ample.com'"),
        ("http://exa%00mple.com/", "invalid", "no host"),
        ("http://ex%2fample.com/", "invalid", "no host"),
        ("http://<shop>.example/", "invalid", "no host"),
        ("http://{{ host }}/", "invalid", "no host"),
        (f"http://{'ü' * 260}/", "invalid", "260 characters"),
        ("http://1.2.3.4.5/", "invalid", "no IPv4 address"),
        ("http://256.1.1.1/", "invalid", "no IPv4 address"),
        ("http://1.2.3.08/", "invalid", "no IPv4 address"),
        ("http://4294967296/", "invalid", "no IPv4 address"),
        ("http://[::1/", "invalid", "not closed"),
        ("http://[::g]/", "invalid", "no IPv6 address"),
        ("http://[fe80::1%25eth0]/", "invalid", "no IPv6 address"),
        ("http://example.com:99999/", "invalid", "no port"),
        ("http://example.com:8a/", "invalid", "no port"),
        ("http://example.com:-1/", "invalid", "no port"),
        ("http://example.com:\u0661/", "invalid", "no port"),
        ("http://name:password@example.com/", "credentials", "before the host"),
        ("//name@example.com/", "credentials", "before the host"),
        ("/" + "x" * 8_000, "too_long", "8019 characters of 2048"),
    ],
)
def test_what_cannot_be_asked_for(href, reason, detail):
    with pytest.raises(BadUrl) as failed:
        resolve(BASE, href)
    assert failed.value.reason == reason
    assert detail in failed.value.detail


def test_a_secret_is_not_told_on():
    with pytest.raises(BadUrl) as failed:
        resolve(BASE, "https://name:password@example.com/")
    assert "password@" not in str(failed.value) and "name:" not in str(failed.value)


def test_how_long_an_address_may_be():
    longest = "/" + "x" * (Limits.url_characters - len("http://example.com/"))
    assert len(resolve(BASE, longest)) == Limits.url_characters
    with pytest.raises(BadUrl, match="too_long"):
        resolve(BASE, longest + "x")
    assert len(resolve(BASE, longest + "x", limit=5_000)) == Limits.url_characters + 1


def test_without_a_base_only_absolute_addresses():
    assert resolve("", "https://example.com/a b") == "https://example.com/a%20b"
    for href in ("a", "/a", "//example.com/", "", "#a"):
        with pytest.raises(BadUrl, match="relative"):
            resolve("", href)


@pytest.mark.parametrize(
    ("charset", "query"),
    [
        ("utf-8", "%E6%97%A5%C3%A9"),
        ("shift_jis", "%93%FA%26%23233%3B"),
        ("windows-1252", "%26%2326085%3B%E9"),
    ],
)
def test_queries_are_in_the_charset_of_the_page(charset, query):
    assert resolve(BASE, "/é?日é#é", charset=charset) == f"http://example.com/%C3%A9?{query}#%C3%A9"


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("http://example.com/", ("http://example.com/", None)),
        ("http://example.com/#", ("http://example.com/", "")),
        ("http://example.com/#a#b", ("http://example.com/", "a#b")),
    ],
)
def test_fragments(url, parts):
    assert split_fragment(url) == parts


SAME = [
    ("/", "/#top"),
    ("/", "/?"),
    ("/", "/?&"),
    ("/", "/?utm_source=x"),
    ("/?a=1", "/?utm_source=x&a=1&gclid="),
    ("/?a=1&b=2", "/?b=2&a=1"),
    ("/?a=1&b=2", "/?a=1&&b=2&"),
    ("/~a", "/%7ea"),
    ("/%C3%A9", "/%c3%a9"),
    ("/é", "/%c3%A9"),
    ("/?q=a,b", "/?q=a%2Cb"),
    ("/?q=a+b", "/?q=a%20b"),
    ("/?q=a b", "/?q=a+b"),
    ("/?%61=1", "/?a=1"),
    ("http://EXAMPLE.com:80", "/"),
]
APART = [
    ("/", "/index.html"),
    ("/a", "/a/"),
    ("/a", "/A"),
    ("/a", "//a"),
    ("/", "https://example.com/"),
    ("/", "http://www.example.com/"),
    ("/?a=1&a=2", "/?a=2&a=1"),
    ("/?a", "/?a="),
    ("/?q=a%26b", "/?q=a&b"),
    ("/?q=a%2Bb", "/?q=a+b"),
    ("/?q=%2523", "/?q=%23"),
    ("/a%2Fb", "/a/b"),
    ("/a%3Fb", "/a?b"),
    ("/a%2Cb", "/a,b"),
    ("/%25zz", "/%zz"),
    ("/%4%31", "/%41"),
    ("/?utm_sourcex=1", "/"),
]


def _at_root(href):
    return resolve("http://example.com/", href)


@pytest.mark.parametrize(("one", "other"), SAME)
def test_two_addresses_of_one_page(one, other):
    assert frontier_key(_at_root(one), SHOP) == frontier_key(_at_root(other), SHOP)


@pytest.mark.parametrize(("one", "other"), APART)
def test_two_pages(one, other):
    assert frontier_key(_at_root(one), SHOP) != frontier_key(_at_root(other), SHOP)


ANY_HREF = st.text("ab/.?#%&=+;:,'\"\\ é2E41\t", max_size=30)


@settings(max_examples=300, deadline=None)
@given(ANY_HREF)
def test_a_key_is_its_own_key(href):
    try:
        url = resolve(BASE, href)
    except BadUrl:
        return
    assert resolve(BASE, url) == url
    key = frontier_key(url, SHOP)
    assert frontier_key(key, SHOP) == key
    assert url.isascii() and " " not in url


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_an_address_or_a_bad_one(href):
    try:
        url = resolve(BASE, href)
    except BadUrl as bad:
        assert bad.reason in ("scheme", "invalid", "credentials", "too_long")
    else:
        assert url.startswith(("http://", "https://")) and host_of(url) and origin_of(url) in url
        assert pattern_of(url) and is_internal(url, SHOP) is (host_of(url) == "example.com")


@settings(max_examples=300, deadline=None)
@given(st.from_regex(r"[A-Za-z0-9\-_~!$&()*+,;=@%/.:']{0,12}(\?[a-z%:/?.]{0,6})?(#[a-z']{0,4})?", fullmatch=True))
def test_the_short_way_leads_to_the_same_place(href):
    """The pattern for plain links and the whole parser agree; a leading blank takes the second."""

    def place(text):
        try:
            return resolve(BASE, text)
        except BadUrl as bad:
            return bad.reason

    assert place(href) == place(f" {href}")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("", 8238016292129134938),
        ("http://example.com/", 9048048907842410115),
        ("\ud800", 2379092608228951732),
    ],
)
def test_keys_stay_the_same_from_night_to_night(text, key):
    assert key_of(text) == key
    assert 0 <= key_of(text) < 1 << 63


@pytest.mark.parametrize(
    ("url", "scope", "expected"),
    [
        ("http://example.com/", {}, True),
        ("https://example.com/a?b", {}, True),
        ("http://www.example.com/", {}, False),
        ("http://example.com:8080/", {}, False),
        ("http://example.com:8080/", {"hosts": frozenset({"example.com:8080"})}, True),
        ("http://example.com/de/a", {"prefixes": ("/de/", "/fr/")}, True),
        ("http://example.com/en/a", {"prefixes": ("/de/", "/fr/")}, False),
        ("http://example.com/de", {"prefixes": ("/de/",)}, False),
        ("http://example.com/cart", {"excluded": ("/login", r"/cart\b")}, False),
        ("http://example.com/cartoon", {"excluded": ("/login", r"/cart\b")}, True),
        ("http://example.com/a|b", {"excluded": ("x|/a",)}, False),
        ("http://example.com/CART", {"excluded": ("/login", "(?i)/cart")}, False),
        ("http://example.com/aa", {"excluded": ("(x)y", r"/(a)\1")}, False),
    ],
)
def test_what_belongs_to_the_site(url, scope, expected):
    assert is_internal(url, Scope(**{"hosts": frozenset({"example.com"}), **scope})) is expected


@pytest.mark.parametrize(
    ("url", "pattern"),
    [
        ("http://example1.com/", "http://example1.com/"),
        ("http://example.com/2026/11/22?day=3", "http://example.com/0/0/0?day"),
        ("http://example.com/p-12.html#x", "http://example.com/p-0.html"),
        ("http://example.com/?b=1&a=2&a=3", "http://example.com/?a&b"),
        ("http://example.com/?f1=x&f22=y", "http://example.com/?f0"),
        ("http://example.com/a;jsessionid=1A2B/b", "http://example.com/a;jsessionid=*/b"),
        ("http://example.com/a/b/a/b/a/b", "http://example.com/a/b"),
        ("http://example.com/a/b/c/d/e/a/b/c/d/e/a/b/c/d/e/", "http://example.com/a/b/c/d/e/"),
        ("http://example.com/p/1/p/2/p/3", "http://example.com/p/0"),
        ("http://example.com/x/x/x/", "http://example.com/x/"),
        ("http://example.com/ab/abc", "http://example.com/ab/abc"),
        ("http://example.com/de/shoes", "http://example.com/de/shoes"),
    ],
)
def test_patterns_of_traps(url, pattern):
    assert pattern_of(url) == pattern


def test_hosts_and_origins():
    assert host_of("https://example.com:8443/a//b") == "example.com:8443"
    assert origin_of("https://example.com:8443/a//b") == "https://example.com:8443"
