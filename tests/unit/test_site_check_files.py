"""include/checks/site: the catalogue is what was published, and every fault of a file is told at once."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from caravan.cli.site import app
from caravan.cli.site_checks import summary
from caravan.config.site_checks import JUDGED, adjusted, load_site_checks, read_views
from caravan.core.errors import Misconfigured

PUBLISHED = Path(__file__).resolve().parents[1] / "fixtures" / "site_check_ids.txt"
CATALOGUE = load_site_checks()


def test_ids_categories_and_severities_are_those_published():
    lines = PUBLISHED.read_text(encoding="utf-8").splitlines()
    published = sorted(line for line in lines if not line.startswith("#"))
    assert len(published) == 172
    assert sorted(f"{check.id} {check.category} {check.severity}" for check in CATALOGUE.checks) == published
    counts = Counter(check.severity for check in CATALOGUE.checks)
    assert counts == {"error": 64, "warning": 59, "notice": 49}


def test_texts_are_sentences():
    for check in CATALOGUE.checks:
        assert check.why.endswith((".", '"')), check.id
        assert check.fix.endswith((".", '"')), check.id
        assert not check.title.endswith("."), check.id


def test_what_is_judged_has_words():
    assert {check.over for check in CATALOGUE.checks if check.is_implemented} == set(JUDGED)


GOOD = """
category: url
checks:
  url-one:
    severity: notice
    title: One
    why: Why.
    fix: Fix.
    over: page_view
    limits: {words: 5}
    sql: SELECT page_key FROM page_view WHERE words > $words
"""


def as_of(category: str) -> str:
    return GOOD.replace("category: url", f"category: {category}")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("category: url", "category: urls", "url.yml:2 category: differs from the file's name; write `category: url`"),
        ("severity: notice", "severity: note", "checks.url-one.severity: 'note' is not known; did you mean 'notice'?"),
        ("url-one:", "URL one:", "'URL one' does not have the form"),
        ("title: One", "titel: One", "unknown key 'titel'; did you mean 'title'?"),
        ("why: Why.", "", "checks.url-one.why: is required"),
        ("over: page_view", "over: page_vew", "no script makes 'page_vew'; did you mean 'page_view'?"),
        ("over: page_view", "", "needs `over`"),
        ("words > $words", "words > $word", "$word is none of its limits; did you mean 'words'?"),
        ("words > $words", "words > 5", "checks.url-one.limits.words: is not used: `sql` has no $words"),
        ("limits: {words: 5}", "limits: {words: many}", "'many' is no number"),
        ("over: page_view", "over: page_view\n    needs: [prise]", "'prise' is no input; did you mean 'price'?"),
        ("over: page_view", "over: page_view\n    later: x", "either `sql`, or `later`"),
        ("  url-one:", "  url-one: text\n  url-two:", "checks.url-one: expected `key: value` lines"),
    ],
)
def test_a_fault_is_told_with_its_place(tmp_path, old, new, told):
    assert old in GOOD
    (tmp_path / "views.sql").write_text("-- Pages.\nCREATE TEMP VIEW page_view AS SELECT 1;\n", encoding="utf-8")
    (tmp_path / "url.yml").write_text(GOOD.replace(old, new), encoding="utf-8")
    with pytest.raises(Misconfigured) as raised:
        load_site_checks(tmp_path)
    assert told in str(raised.value)


def test_an_id_belongs_to_one_file_and_all_faults_come_at_once(tmp_path):
    (tmp_path / "views.sql").write_text("CREATE TEMP VIEW page_view AS SELECT 1;\n", encoding="utf-8")
    (tmp_path / "url.yml").write_text(GOOD, encoding="utf-8")
    (tmp_path / "links.yml").write_text(
        GOOD.replace(": url\n", ": links\n").replace("notice", "note"), encoding="utf-8"
    )
    (tmp_path / "metadata.yml").write_text(GOOD.replace(": url\n", ": metadata\n"), encoding="utf-8")
    (tmp_path / "other.yml").write_text(GOOD.replace(": url\n", ": other\n"), encoding="utf-8")
    with pytest.raises(Misconfigured) as raised:
        load_site_checks(tmp_path)
    messages = str(raised.value)
    assert "site/links.yml:5 checks.url-one.severity: 'note' is not known" in messages
    assert "site/url.yml:4 checks.url-one: another file has a check 'url-one' already" in messages
    assert "'other' is no category" in messages


def test_no_files_are_no_catalogue(tmp_path):
    (tmp_path / "views.sql").write_text("", encoding="utf-8")
    with pytest.raises(Misconfigured, match="no checks in"):
        load_site_checks(tmp_path)


def test_a_site_has_limits_and_severities_of_its_own():
    own = adjusted(CATALOGUE, {"title-too-long": {"pixels": Decimal(600)}}, {"title-too-long": "error"})
    assert own["title-too-long"].severity == "error"
    assert own["title-too-long"].limits == {**CATALOGUE["title-too-long"].limits, "pixels": Decimal(600)}
    assert [check.id for check in own.checks] == [check.id for check in CATALOGUE.checks]


@pytest.mark.parametrize(
    ("limits", "severities", "told"),
    [
        ({"title-to-long": {}}, {}, "title-to-long: there is no check 'title-to-long'; did you mean 'title-too-long'?"),
        (
            {"title-too-long": {"pixel": Decimal(1)}},
            {},
            "title-too-long.pixel: title-too-long has no limit 'pixel'; did you mean 'pixels'?",
        ),
        ({}, {"h1-mising": "error"}, "h1-mising: there is no check 'h1-mising'; did you mean 'h1-missing'?"),
    ],
)
def test_what_a_site_names_has_to_exist(limits, severities, told):
    with pytest.raises(Misconfigured) as raised:
        adjusted(CATALOGUE, limits, severities, "shop.yml checks")
    assert f"shop.yml checks.{told}" in str(raised.value)


def test_only_what_the_checks_need_is_made():
    views = read_views(
        "CREATE TEMP VIEW one AS SELECT 1;\n\n-- Two; of one.\nCREATE TEMP TABLE two AS\nSELECT * FROM one;\n"
        "CREATE TEMP MACRO three(x) AS x;\nCREATE TEMP VIEW four AS SELECT THREE(1);\n"
    )
    assert list(views) == ["one", "two", "three", "four"]
    catalogue = CATALOGUE.model_copy(update={"views": views})
    asking = CATALOGUE["title-too-long"].model_copy(update={"over": "two", "sql": "SELECT 1"})
    needed = catalogue.model_copy(update={"checks": (asking,)}).script()
    assert needed == [views["one"], views["two"]]


def test_the_command_lists_every_check():
    answer = CliRunner().invoke(app, ["checks", "--format", "json"])
    assert answer.exit_code == 0
    told = json.loads(answer.stdout)
    assert [check["id"] for check in told] == [check.id for check in CATALOGUE.checks]
    assert {check["is_implemented"] for check in told if check["waits_for"]} == {False}
    table = CliRunner().invoke(app, ["checks"], env={"COLUMNS": "200"})
    assert summary(CATALOGUE) in table.stdout
    assert CliRunner().invoke(app, ["checks", "--format", "xml"]).exit_code == 2
