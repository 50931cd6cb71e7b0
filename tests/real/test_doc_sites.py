"""Documentation that Debian packages put on this machine, crawled from nginx and read again by other means."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from crawled_docs import Crawled, CrawledDocs
from doc_sites import SITES
from read_again import COUNTED

pytestmark = pytest.mark.real

BESIDE = re.compile(r"/robots[.]txt|/sitemap[.]xml|/missing-.*")
"""What a crawl asks for besides pages and what they are made of."""
TWICE = ("developers-reference",)
"""In every run; the others in slow ones."""


Told = dict[str, tuple[int, int, int | None]]
"""Path and query to how often it was asked for, and the last answer's status and bytes."""


def logged(crawled: Crawled) -> Told:
    told: Told = {}
    for each in crawled.logged:
        if not BESIDE.fullmatch(each.target):
            count, _, _ = told.get(each.target, (0, 0, 0))
            told[each.target] = count + 1, each.status_code, each.body_bytes
    return told


def asked(crawled: Crawled) -> Told:
    """The page table in the words of nginx's log. Of what was cut off nginx has sent more than was read."""
    rows = crawled.ask(
        """
        SELECT
            url, attempt_count, CASE outcome WHEN 'not_modified' THEN 304 ELSE status_code END,
            CASE WHEN NOT COALESCE(is_truncated, FALSE) THEN wire_bytes END
        FROM page WHERE attempt_count > 0
        """
    )
    told = {url.removeprefix(crawled.origin): tuple(answer) for url, *answer in rows}
    assert len(told) == len(rows)
    return told


def assert_as_logged(crawled: Crawled) -> set[str]:
    """Returns what was cut off."""
    found, expected = asked(crawled), logged(crawled)
    cut = {target for target, (_, _, size) in found.items() if size is None}
    assert cut <= {"/all.html"}  # all of Node.js on one page
    assert found == expected | {target: (*expected[target][:2], None) for target in cut}
    return cut


def test_what_was_asked_is_what_nginx_logged(doc: Crawled) -> None:
    assert_as_logged(doc)
    assert doc.record.certificate.is_complete


def test_all_is_found_that_pages_lead_to_and_nothing_else(doc: Crawled) -> None:
    rows = doc.ask("SELECT url, status_code FROM page WHERE kind = 'page'")
    expected = {target: status for target, (status, _) in doc.read_again.items()}
    assert {url.removeprefix(doc.origin): status for url, status in rows} == expected


def test_pages_are_read_as_another_parser_reads_them(doc: Crawled) -> None:
    rows = doc.ask(
        """
        SELECT
            url, COALESCE(title, ''), title_count, language_code, ids,
            (SELECT COUNT(*) FROM link WHERE link.page_key = page.page_key AND tag = 'a' AND target_url IS NOT NULL),
            (SELECT COUNT(*) FROM link WHERE link.page_key = page.page_key AND tag = 'area'),
            (SELECT COUNT(*) FROM image WHERE image.page_key = page.page_key),
            (SELECT LIST(level ORDER BY position) FROM heading WHERE heading.page_key = page.page_key)
        FROM page WHERE is_html AND status_code = 200 AND NOT is_truncated
        """
    )
    pages = {target: page for target, (_, page) in doc.read_again.items() if page is not None}
    found, expected = {}, {}
    for url, title, title_count, language, places, links, areas, images, levels in rows:
        target = url.removeprefix(doc.origin)
        page = pages[target]
        counts = Counter({"a": links, "area": areas, "img": images, "title": title_count})
        counts.update(f"h{level}" for level in levels or ())
        found[target] = title, language, set(places), +counts
        kept = {name: n for name, n in page.counts.items() if name in COUNTED}
        expected[target] = page.title, page.language, page.places, Counter(kept)
    assert found == expected
    assert set(found) == {target for target, page in pages.items() if page.is_whole}


def test_every_check_is_asked_and_none_breaks(doc: Crawled) -> None:
    assert [each.check.id for each in doc.audited.verdicts if each.is_broken] == []
    assert sum(each.outcome != "not_evaluated" for each in doc.audited.verdicts) >= 60
    issues = sum(each.issue_count for each in doc.audited.verdicts)
    assert doc.ask("SELECT COUNT(*), COUNT(DISTINCT (check_id, url)) FROM issue") == [(issues, issues)]
    assert doc.audited.report.stat().st_size > 10_000


@pytest.mark.parametrize(
    "code", [site.code if site.code in TWICE else pytest.param(site.code, marks=pytest.mark.slow) for site in SITES]
)
def test_the_night_after_nothing_is_sent_and_nothing_has_changed(docs: CrawledDocs, code: str) -> None:
    site = next(each for each in SITES if each.code == code)
    if site.version is None:
        pytest.skip(f"no {site.folder}: apt install {site.package}")
    first = docs.of(site)
    again = docs.again(first)
    cut = assert_as_logged(again)
    found = asked(again)
    before = {target: status for target, (_, status, _) in asked(first).items()}
    assert {target: 200 if status == 304 else status for target, (_, status, _) in found.items()} == before
    pages = {url.removeprefix(first.origin) for (url,) in first.ask("SELECT url FROM page WHERE kind = 'page'")}
    same = {target for target in pages if before[target] == 200} - cut  # what was not read whole is asked for whole
    assert {found[target][1:] for target in same} == {(304, 0)}
    assert again.ask("SELECT * FROM page_change") == []
    assert again.ask("SELECT change, COUNT(*) FROM ledger GROUP BY change") == [("still", issue_count(first))]
    assert issue_count(again) == issue_count(first)


def issue_count(crawled: Crawled) -> int:
    return sum(each.issue_count for each in crawled.audited.verdicts)


def test_translations_are_told_apart(docs: CrawledDocs) -> None:
    site = SITES[0]
    present = ["en", *site.translations]
    if site.version is None or len(present) == 1:
        pytest.skip("no translations: apt install developers-reference-de and the like")
    crawled = docs.of(site)
    pages = crawled.ask(
        "SELECT url, language_code, COALESCE(detected_language, language_code) FROM page WHERE is_html ORDER BY url"
    )
    folders = [(re.sub(f"^{crawled.origin}/(?:(..)/)?.*", r"\1", url) or "en") for url, _, _ in pages]
    assert [language for _, language, _ in pages] == folders
    assert Counter(folders) == dict.fromkeys(present, len(pages) // len(present))
    # As far as they are translated at all: the Italian page for new maintainers is English.
    mistaken = [url for url, stated, detected in pages if detected not in (stated, "en")]
    assert mistaken == []
    # Every page names each of its translations and itself; all of them are pages.
    named = crawled.ask("SELECT code, source, COUNT(*), COUNT(DISTINCT page_key) FROM hreflang GROUP BY ALL")
    assert sorted(named) == [(code, "header", len(pages), len(pages)) for code in sorted(present)]
    (unknown,) = crawled.ask("SELECT COUNT(*) FROM hreflang ANTI JOIN page ON hreflang.target_key = page.page_key")
    assert unknown == (0,)


def test_languages_are_told_by_words_where_no_page_states_its_own(docs: CrawledDocs) -> None:
    site = SITES[1]
    if site.version is None:
        pytest.skip(f"no {site.folder}: apt install {site.package}")
    crawled = docs.of(site)
    pages = crawled.ask(
        r"""
        SELECT REGEXP_EXTRACT(url, '[.]([a-z]{2})(-[a-z]+)?[.]html$', 1) AS named, detected_language, COUNT(*)
        FROM page WHERE is_html AND status_code = 200 AND named <> '' GROUP BY ALL
        """
    )
    present = {path.name.split(".")[1].partition("-")[0] for path in site.folder.glob("index.*.html")}
    assert {named for named, _, _ in pages} == {told for _, told, _ in pages if told} == present >= {"en"}
    assert [row for row in pages if row[1] not in (row[0], None)] == []  # some are full of commands: not told
