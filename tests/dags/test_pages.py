"""The pages in Airflow's UI: nobody sees them without a login, and nothing but the report comes out of them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from httpx import URL
from lake_template import migrated_lake
from unit import report_world, site_world

from caravan.config.settings import Settings
from caravan.core.window import Window
from caravan.orchestration import views
from caravan.reporting import templates
from caravan.reporting.report import render
from caravan.warehouse import evidence
from caravan.warehouse.lake import Lake

ROOT = Path(__file__).resolve().parents[2]
RUN = {"dag": "sales_orders_daily", "run": "manual__1"}
MARKUP = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def anonymous(airflow_database: None) -> Iterator[TestClient]:
    """Airflow's API server with the plugins that it finds."""
    from airflow.api_fastapi.app import create_app, purge_cached_app

    yield TestClient(create_app(apps="core"), follow_redirects=False)
    purge_cached_app()


@pytest.fixture(scope="module")
def viewer(anonymous: TestClient) -> TestClient:
    """Somebody of the role that may the least."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="reader", role="viewer"))
    return TestClient(anonymous.app, headers={"Authorization": f"Bearer {token}"}, follow_redirects=False)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("CARAVAN_HOME", str(tmp_path / "home"))
    return Settings.from_environment()


@pytest.fixture
def report(settings: Settings) -> Path:
    folder = settings.report_dir
    for name, text in {
        "index.html": "<h1>Sales</h1>",
        "markets/index.html": "<h1>Markets</h1>",
        "markets/de.html": "<h1>Germany</h1>",
        "style.css": "body {}",
        "map.svg": "<svg/>",
        "kpis.json": "{}",
        ".index.html.part": "half of it",
        ".git/config": "secret",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder.parent / "secret.txt").write_text("secret")
    (folder / "link.txt").symlink_to(folder.parent / "secret.txt")
    (folder / "up").symlink_to(folder.parent)
    return folder


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    "path",
    ["", "index.html", "style.css", "no/such", "run", "run?dag=a&run=b", "openapi.json", "docs", "redoc",
     "docs/oauth2-redirect", ".git/config", "..%2fsecret.txt"],
)  # fmt: skip
def test_nobody_gets_anything_without_a_login(anonymous, report, method, path):
    assert anonymous.request(method, f"/caravan/{path}").status_code == 401


def test_a_token_of_somebody_else_is_none(anonymous, report):
    forged = anonymous.get("/caravan/", headers={"Authorization": "Bearer eyJhbGciOiJIUzUxMiJ9.eyJzdWIiOiJhIn0.x"})
    assert forged.status_code in (401, 403)
    assert "Sales" not in forged.text


@pytest.mark.parametrize(
    ("path", "kind", "text"),
    [
        ("", "text/html; charset=utf-8", "<h1>Sales</h1>"),
        ("index.html", "text/html; charset=utf-8", "<h1>Sales</h1>"),
        ("markets/", "text/html; charset=utf-8", "<h1>Markets</h1>"),
        ("markets/de.html", "text/html; charset=utf-8", "<h1>Germany</h1>"),
        ("style.css", "text/css; charset=utf-8", "body {}"),
        ("map.svg", "image/svg+xml", "<svg/>"),
        ("kpis.json", "application/json", "{}"),
    ],
)
def test_a_viewer_reads_the_report(viewer, report, path, kind, text):
    found = viewer.get(f"/caravan/{path}")
    assert (found.status_code, found.headers["content-type"], found.text) == (200, kind, text)
    head = viewer.head(f"/caravan/{path}")
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(text)), b"")
    for name in ("etag", "last-modified"):
        assert head.headers[name] == found.headers[name]


def test_a_folder_is_sent_to_its_own_address_where_relative_links_hold(viewer, report):
    assert URL(viewer.get("/caravan/markets").headers["location"]).path == "/caravan/markets/"


def test_what_has_not_changed_is_not_sent_again(viewer, report):
    first = viewer.get("/caravan/")
    for condition in (
        {"If-None-Match": first.headers["etag"]},
        {"If-Modified-Since": first.headers["last-modified"]},
    ):
        again = viewer.get("/caravan/", headers=condition)
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["cache-control"] == "no-cache, private"
    (report / "index.html").write_text("<h1>Sales of today</h1>")
    changed = viewer.get("/caravan/", headers={"If-None-Match": first.headers["etag"]})
    assert (changed.status_code, changed.text) == (200, "<h1>Sales of today</h1>")


@pytest.mark.parametrize(
    "path",
    ["%2e%2e/secret.txt", "..%2fsecret.txt", "..%5csecret.txt", "markets/..%2f..%2fsecret.txt", "%252e%252e/secret.txt",
     "%2fetc/passwd", "link.txt", "up/secret.txt", ".git/config", "markets/%2e%2e/.git/config", ".index.html.part",
     "%00", "index.html%00.css", "x" * 5000, "no.html", "no/such/"],
)  # fmt: skip
def test_nothing_but_the_report_is_served(viewer, report, path):
    # Encoded, since httpx resolves a plain `..` by itself; the app sees them decoded.
    found = viewer.get(f"/caravan/{path}")
    assert found.status_code == 404
    assert "secret" not in found.text and "half" not in found.text and "root:" not in found.text


@pytest.mark.parametrize("path", ["", "run"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_the_pages_are_only_read(viewer, report, method, path):
    refused = viewer.request(method, f"/caravan/{path}")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["", "style.css", "no.html", "run", "docs"])
def test_every_answer_says_what_a_browser_may_do_with_it(viewer, anonymous, report, path):
    for client in (viewer, anonymous):
        headers = client.get(f"/caravan/{path}").headers
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'" and policy["frame-ancestors"] == "'self'"
        assert "connect-src" not in policy, "nothing is fetched"
        assert policy["script-src"] == templates.filter_source(), "nothing runs but the filter of issues, as it is"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-cache, private"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A home with a report of some orders, and the paths of its pages."""
    home = tmp_path_factory.mktemp("written")
    with Lake(migrated_lake(home / "lake")) as lake:
        report_world.fill(lake, [order for order in report_world.make_orders() if order.day.day % 10 == 0])
        site_world.fill(lake)
        with lake.read() as session:
            folder = render(session, home / "report", report_world.NOW, expected=report_world.EXPECTED).parent
    found = (path for name in folder.iterdir() if not name.name.startswith(".") for path in [name, *name.glob("*")])
    return home, sorted(str(path.relative_to(folder)) for path in found if path.is_file())


@pytest.fixture
def real_report(written: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("CARAVAN_HOME", str(written[0]))
    return written[1]


def test_every_page_of_the_report_needs_a_login_and_is_there_after_it(viewer, anonymous, real_report):
    kinds = {path.split("/")[0].split("-")[0].removesuffix(".html") for path in real_report}
    own = {"index", "market", "products", "quality", "quarantine", "releases", "calendar", "definitions", "run"}
    own |= {"site", "site_shop", "site_shop.csv", "site_wiki"}
    assert kinds == own
    for path in real_report:
        assert anonymous.get(f"/caravan/{path}").status_code == 401
        assert anonymous.head(f"/caravan/{path}").status_code == 401
        found = viewer.get(f"/caravan/{path}")
        kind = "text/csv" if path.endswith(".csv") else "text/html"
        assert (found.status_code, found.headers["content-type"]) == (200, f"{kind}; charset=utf-8")
        assert ("<h1>" in found.text) == (kind == "text/html")
    assert viewer.get("/caravan/").text == viewer.get("/caravan/index.html").text


def test_every_link_of_the_report_leads_to_a_page_that_is_served(viewer, real_report):
    seen, waiting = set(), {"/caravan/"}
    while waiting:
        address = waiting.pop()
        seen.add(address)
        page = viewer.get(address)
        assert page.status_code == 200, address
        linked = {URL(target) for target in re.findall(r'href="([^"#]+)', page.text)}
        # Pages of crawled sites are other people's.
        targets = {URL(address).join(target).path for target in linked if target.is_relative_url}
        assert {target.host for target in linked if target.is_absolute_url} <= {site_world.HOST}
        assert all(target.startswith("/caravan/") for target in targets)
        waiting |= targets - seen
    assert len(seen) == len(real_report) + 1, "the first page has two addresses"


@pytest.mark.parametrize(
    "path", [".current/index.html", ".versions/", ".lock", "market/.versions/x", "market/NO.html", "run/"]
)
def test_what_lies_behind_the_pages_is_not_served(viewer, real_report, path):
    found = viewer.get(f"/caravan/{path}")
    assert found.status_code == 404
    assert "no page of this name" in found.text


def test_before_the_first_report_the_page_says_what_makes_it(viewer, settings):
    for path in ("", "index.html"):
        found = viewer.get(f"/caravan/{path}")
        assert found.status_code == 404
        assert "no report yet" in found.text and "reporting_marts_hourly" in found.text
    settings.report_dir.mkdir(parents=True)
    assert "no report yet" in viewer.get("/caravan/").text
    (settings.report_dir / "index.html").write_text("now there is")
    assert viewer.get("/caravan/").text == "now there is"


def test_a_run_is_read_live_and_its_message_is_text(viewer, settings):
    assert viewer.get("/caravan/run", params=RUN).status_code == 503, "there is no warehouse yet"
    day = Window(datetime(2026, 3, 9), datetime(2026, 3, 10))
    with Lake(migrated_lake(settings.lake_root)) as lake:
        with lake.write() as session:
            evidence.start_run(session, RUN["run"], RUN["dag"], day, "0123abc", "c0ffee", day.end)
        assert ">running<" in viewer.get("/caravan/run", params=RUN).text
        with lake.write() as session:
            end = day.end + timedelta(minutes=4)
            evidence.end_run(session, RUN["run"], RUN["dag"], "failed", f"shop_de {MARKUP}: no", end)
    page = viewer.get("/caravan/run", params=RUN)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    for shown in (">failed<", "9 Mar 2026", "0123abc", "&lt;script&gt;"):
        assert shown in page.text
    assert MARKUP not in page.text
    assert viewer.head("/caravan/run", params=RUN).status_code == 200


@pytest.mark.parametrize(
    "asked",
    [{"dag": "sales_orders_daily"}, {}, {"dag": "ops_watch_quarterhourly", "run": "manual__1"},
     {"dag": "x", "run": "a\x00b"}, {"dag": MARKUP, "run": f"'{MARKUP} OR 1=1 --"}],
)  # fmt: skip
def test_a_run_that_nobody_recorded_is_named_and_escaped(viewer, settings, asked):
    migrated_lake(settings.lake_root)
    page = viewer.get("/caravan/run", params=asked)
    assert page.status_code == 404
    assert "No evidence of this run" in page.text
    assert MARKUP not in page.text


@pytest.mark.parametrize("address", ["postgresql://me:s3same@127.0.0.1:9/none", "mysql://me:s3same@db/x"])
def test_a_warehouse_that_does_not_answer_is_a_page_without_its_address(viewer, settings, monkeypatch, address):
    monkeypatch.setenv("CARAVAN_WAREHOUSE", address)
    page = viewer.get("/caravan/run", params=RUN)
    assert page.status_code == 503
    assert "cannot be read now" in page.text and "caravan doctor" in page.text
    for part in ("s3same", "127.0.0.1", "mysql", "Traceback"):
        assert part not in page.text


def test_the_warehouse_is_let_go_after_each_request(viewer, settings, monkeypatch):
    closed, root = [], migrated_lake(settings.lake_root)
    monkeypatch.setattr(Lake, "close", lambda lake, close=Lake.close: (closed.append(lake), close(lake))[1])
    with Lake(root) as lake:
        pass
    assert closed == [lake]
    viewer.get("/caravan/run", params=RUN)
    assert len(closed) == 2


def test_airflow_knows_the_pages_and_links_to_them(anonymous):
    from airflow import plugins_manager

    plugin = next(each for each in plugins_manager._get_plugins()[0] if each.name == "caravan")
    assert [each["url_prefix"] for each in plugin.fastapi_apps] == ["/caravan"]
    links = {view["destination"]: view["href"] for view in plugin.external_views}
    assert links == {"nav": "caravan/", "dag_run": "caravan/run?dag={DAG_ID}&run={RUN_ID}"}
    for link in links.values():
        assert anonymous.get(f"/{link}").status_code == 401, "it is one of our pages, not Airflow's own start page"
    assert len({view["url_route"] for view in plugin.external_views}) == len(plugin.external_views)


def test_a_task_that_loads_the_plugins_does_not_load_the_pages():
    code = "import sys, caravan.orchestration.views; print([m for m in ('fastapi', 'airflow') if m in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "plugins")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert views.FASTAPI_APPS
