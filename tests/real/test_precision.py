"""Issues of documentation sites that were judged one by one: how many of what the audit raises are so."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from crawled_docs import Crawled, CrawledDocs
from doc_sites import SITES

pytestmark = pytest.mark.real

LABELS = Path(__file__).with_name("precision.yml")
LEAST = 0.95


@cache
def labels_of(code: str) -> list[dict[str, Any]]:
    return [each for each in _known()["issues"] if each["site"] == code]


@cache
def _known() -> dict[str, Any]:
    known: dict[str, Any] = yaml.safe_load(LABELS.read_text(encoding="utf-8"))
    return known


def is_labelled(code: str, version: str | None) -> bool:
    """Another version has other pages."""
    return version is not None and _known()["packages"][code] == version


def raised(crawled: Crawled) -> set[tuple[str, str]]:
    found = crawled.ask("SELECT check_id, url FROM issue")
    return {(check, url.removeprefix(crawled.origin)) for check, url in found}


def test_labels_are_of_sites_and_say_why() -> None:
    assert {each["site"] for each in _known()["issues"]} == {site.code for site in SITES} == set(_known()["packages"])
    judged = [(each["check"], each["site"], each["path"]) for each in _known()["issues"]]
    assert len(set(judged)) == len(judged) == 200
    assert Counter(each["drawn"] for each in _known()["issues"]) == {"before": 100, "after": 100}
    assert all(each["why"] and each["is_true"] in (True, False) for each in _known()["issues"])


def test_what_is_so_is_still_raised(doc: Crawled) -> None:
    if not is_labelled(doc.site.code, doc.site.version):
        pytest.skip(f"{doc.site.package} {doc.site.version}: the labels are of {_known()['packages'][doc.site.code]}")
    found = raised(doc)
    lost = [each for each in labels_of(doc.site.code) if each["is_true"] and (each["check"], each["path"]) not in found]
    assert lost == []


def test_what_is_raised_is_so(docs: CrawledDocs, told: list[str]) -> None:
    present = [docs.of(site) for site in SITES if is_labelled(site.code, site.version)]
    if not present:
        pytest.skip("no documentation of the versions that are labelled")
    so: Counter[str] = Counter()
    judged: Counter[str] = Counter()
    for crawled in present:
        found = raised(crawled)
        for each in labels_of(crawled.site.code):
            if (each["check"], each["path"]) in found:
                judged[each["check"]] += 1
                so[each["check"]] += each["is_true"]
    share = so.total() / judged.total()
    told.append(f"{so.total()} of {judged.total()} judged issues are so, {100 * share:.1f} %; by check:")
    told += [f"  {check:<28} {so[check]:>3} of {judged[check]:>3}" for check in sorted(judged)]
    assert share >= LEAST
