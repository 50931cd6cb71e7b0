"""The pages of the report say what the warehouse holds, lead to each other, and ask nothing of the outside."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import report_world as world

from caravan import TEMPLATES_DIR
from caravan.reporting import charts, formats, links
from caravan.reporting.ledger import read_sales
from caravan.reporting.report import render
from caravan.reporting.sales import Sales
from caravan.warehouse.lake import Lake

NOW = world.NOW.replace(tzinfo=None)
TITLE = "Sales & <more>"
SUFFIXES = ("", "-7", "-90", "-365")
MARTS_RUN = "marts__2026-11-21T05:35:00+00:00"

Site = dict[str, str]


def read_site(first_page: Path) -> Site:
    """Text by path of every page that readers can reach."""
    folder = first_page.parent
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    files = [file for name in names for file in ([folder / name] if "." in name else (folder / name).iterdir())]
    return {str(file.relative_to(folder)): file.read_text(encoding="utf-8") for file in files}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    with world.open_lake(tmp_path_factory.mktemp("report") / "lake") as opened:
        world.fill(opened, world.make_orders())
        yield opened


@pytest.fixture(scope="module")
def sales(lake: Lake) -> Sales:
    with lake.read() as session:
        found = read_sales(session)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def site(lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Site:
    with lake.read() as session:
        return read_site(render(session, tmp_path_factory.mktemp("site"), world.NOW, TITLE, expected=world.EXPECTED))


@pytest.fixture(scope="module")
def page(site: Site) -> str:
    return site["index.html"]


def test_the_pages(site: Site) -> None:
    expected = {f"{name}{suffix}.html" for name in ("index", "products") for suffix in SUFFIXES}
    expected |= {f"market/{code}{suffix}.html" for code in world.MARKETS for suffix in SUFFIXES}
    expected |= {"quality.html", "quarantine.html", "releases.html", "calendar.html", "definitions.html"}
    expected |= {"site.html"}
    expected |= {links.run("reporting_marts_hourly", MARTS_RUN), links.run("sales_orders_daily", "r2")}
    assert set(site) == expected
    assert max(len(page.encode()) for page in site.values()) < 300_000


@pytest.mark.parametrize(
    ("outcomes", "blocks", "said", "unsaid"),
    [
        (["pass"], [], ["No check failed when it last ran, and no slice is held back."], ["Every check passed"]),
        (
            ["pass"],
            ["structure"],
            ["No check failed when it last ran.", "Held at the last good state"],
            ["no slice is"],
        ),
        (["pass"], ["unvalidated"], ["and no slice is held back"], ["Held at the last good state"]),
        (["warn"], [], ["warning"], ["No check failed"]),
        ([], [], ["No check has run yet."], ["No check failed"]),
    ],
)
def test_the_page_claims_no_more_than_the_newest_checks_know(
    tmp_path: Path, outcomes: list[str], blocks: list[str], said: list[str], unsaid: list[str]
) -> None:
    at = NOW - timedelta(hours=1)
    with world.open_lake(tmp_path / "lake") as lake:
        with lake.write() as session:
            for number, outcome in enumerate(outcomes):
                check = {"model_name": "mart.fct_order", "check_name": f"c{number}", "kind": "structure"}
                counts = {"outcome": outcome, "checked_count": 3, "failed_count": 0, "checked_at": at}
                world.insert(session, "ops.quality_result", [check | counts])
            for kind in blocks:
                block = {"model_name": "mart.fct_order", "slice_date": world.LAST_DAY, "part_value": "shop_de"}
                cause = {"cause_model": "stg.x", "cause_kind": kind, "reason": "r", "run_id": "r1", "blocked_at": at}
                world.insert(session, "ops.blocked_slice", [block | cause])
        with lake.read() as session:
            page = read_site(render(session, tmp_path / "site", world.NOW, expected=world.EXPECTED))["quality.html"]
    assert [words for words in said if words not in page] == []
    assert [words for words in unsaid if words in page] == []


def test_no_page_asks_anything_of_the_outside(site: Site) -> None:
    assert "<svg" in site["index.html"]
    for path, page in site.items():
        assert not re.search(r"(?i)https?:|//[a-z]|url\(|@import|<script|<link|<img|<iframe|javascript:", page), path
        assert "default-src 'none'" in page


def test_every_link_leads_to_a_page_and_its_part(site: Site) -> None:
    """Relative ones only, so that the folder works from any address and from a disk."""
    reached = {"index.html"}
    for path, page in site.items():
        targets = [attrs["href"] or "" for _, attrs in outline(page).seen if "href" in attrs]
        assert len(targets) > 5
        for target in targets:
            file, _, part = target.partition("#")
            assert not file.startswith("/") and ":" not in file
            found = str((Path("/") / path).parent.joinpath(file).resolve().relative_to("/")) if file else path
            assert found in site, f"{path} leads to {target}"
            assert not part or f'id="{part}"' in site[found], f"{path} leads to {target}"
            reached.add(found)
    assert reached == set(site)


def test_a_range_stays_chosen(site: Site) -> None:
    """From 90 days of everything to 90 days of a market, and back."""
    assert 'href="market/JP-90.html"' in site["index-90.html"]
    assert 'href="../index-90.html"' in site["market/JP-90.html"]
    assert 'href="market/JP-90.html#products"' in site["products-90.html"]
    for path in ("index-90.html", "market/JP-90.html", "products-90.html"):
        (current,) = re.findall(r'aria-current="page">(\d+ days)<', site[path])
        assert current == "90 days"


def test_the_navigation_tells_where_a_page_is(site: Site) -> None:
    entry = '<a href="{}" aria-current="{}">Freshness and quality</a>'
    assert entry.format("quality.html", "page") in site["quality.html"]
    runs = [path for path in site if path.startswith("run/")]
    assert runs and all(entry.format("../quality.html", "true") in site[path] for path in runs)


def test_text_of_the_data_is_text(site: Site) -> None:
    for path in ("index.html", "products.html", "market/DE.html"):
        assert "Sales &amp; &lt;more&gt;" in site[path]
        assert "&lt;script&gt;alert(1)" in site[path]
    assert site["index.html"].count("&lt;script&gt;alert(1)") >= 3  # in two drawings and their descriptions
    assert not [path for path, page in site.items() if "<script" in page]


def test_no_personal_data(site: Site, lake: Lake) -> None:
    with lake.read() as session:
        raw = str(session.rows("SELECT raw_row, message FROM ops.quarantine"))
    for secret in world.PERSONAL:
        assert secret in raw
        assert not [path for path, page in site.items() if secret in page]
    assert not [path for path, page in site.items() if re.search(r"shop_de/C\d", page)]


class _Outline(HTMLParser):
    """Tags with attributes, and what is wrong with their nesting."""

    VOID = frozenset({"meta", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> at {self.getpos()}")


def outline(page: str) -> _Outline:
    parser = _Outline()
    parser.feed(page)
    parser.close()
    return parser


def test_every_page_is_well_formed_and_named(site: Site) -> None:
    titles, table_count = [], 0
    for path, page in site.items():
        found = outline(page)
        assert (found.faults, found.open) == ([], []), path
        tags = [tag for tag, _ in found.seen]
        assert dict(found.seen)["html"] == {"lang": "en"}
        assert [tags.count(tag) for tag in ("h1", "main", "header", "footer")] == [1, 1, 1, 1]
        assert tags.count("table") == tags.count("caption")
        table_count += tags.count("table")
        assert all(attrs.get("scope") in ("col", "row") for tag, attrs in found.seen if tag == "th")
        assert all(attrs.get("aria-label") for tag, attrs in found.seen if tag == "nav")
        drawings = [attrs for tag, attrs in found.seen if tag == "svg"]
        assert all(attrs["role"] == "img" for attrs in drawings)
        assert tags.count("desc") == len(drawings)
        ids = [attrs["id"] for _, attrs in found.seen if "id" in attrs]
        assert len(ids) == len(set(ids)), path
        first_link = next(attrs["href"] for tag, attrs in found.seen if tag == "a")
        assert first_link == "#main" and "main" in ids, "the keyboard's way past the navigation"
        titles += re.findall(r"<title>(.*?)</title>", page, re.DOTALL)[:1]
    assert len(set(titles)) == len(site), "tabs and histories tell them apart"
    assert table_count >= 7


def test_a_drawing_for_each_channel_and_width(page: str) -> None:
    assert page.count("<svg") == len(world.CHANNELS) + 4


def test_drawings_keep_to_the_schema() -> None:
    """The report leaves this check out, for it takes as long as the drawing."""
    days = [world.LAST_DAY + timedelta(days=offset) for offset in range(28)]
    points: dict[date, Decimal | None] = {day: Decimal(number - 3) for number, day in enumerate(days)}
    for width in (charts.FULL, charts.NARROW):
        for some in (days, days[:7], days[:1]):
            assert charts._columns(some, points, (str, str), width).to_dict(validate=True)["width"]
    bars = charts._bars([charts.Bar("a", None, "unknown"), charts.Bar("b", Decimal(2), "2")], charts.WIDE)
    assert bars.to_dict(validate=True)["width"]
    stack = charts.Stack("a", [("var(--bad)", Decimal(2)), ("var(--axis)", Decimal(0))], "2 errors")
    assert charts._stacks([stack], charts.WIDE).to_dict(validate=True)["width"]


@pytest.mark.parametrize("path", ["index.html", "index-7.html", "market/DE.html", "products.html"])
def test_figures_say_how_many_how_fresh_and_who_made_them(site: Site, path: str) -> None:
    page = site[path]
    run = links.relative(path, links.run("reporting_marts_hourly", MARTS_RUN))
    assert "Orders up to 20 Nov 2026; built 21 Nov 2026 05:40 UTC by " in page
    assert f'<a href="{run}">reporting_marts_hourly</a>' in page
    assert path == "products.html" or re.search(r"n = [\d,]+ orders", page)


def test_the_run_that_made_the_figures_has_a_page(site: Site) -> None:
    page = site[links.run("reporting_marts_hourly", MARTS_RUN)]
    assert "As it stood when the report was written, 21 Nov 2026 06:10 UTC." in page
    assert MARTS_RUN in page and ">success<" in page and "0123abc" in page
    read = site[links.run("sales_orders_daily", "r2")]
    assert ">failed<" in read and "adds up" in read
    assert f'href="{links.run("sales_orders_daily", "r2")}"' in site["quality.html"]


@pytest.mark.parametrize(
    "path, words",
    [
        ("index.html", "Orders up to 20 Nov 2026, written 21 Nov 2026 06:10 UTC"),
        ("index.html", "24 Oct to 20 Nov 2026, compared with the 28 days before"),
        ("index.html", "Other countries (ZZ)"),
        ("index.html", '<td class="num"><span class="unknown">unknown</span></td>'),
        ("index.html", "No order recorded in these days: Italy."),
        ("market/IT.html", "No order recorded in these days"),
        ("market/ZZ.html", "have no exchange rate"),
        ("index-90.html", "orders are known from 22 Sep 2026 on, so the 90 days before cannot be compared"),
        ("quality.html", "GZIP_TRUNCATED"),
        ("quality.html", "no file at the last look"),
        ("quality.html", "adds up"),
        ("quarantine.html", "18 rows are set aside"),
        ("quarantine.html", "unknown country"),
        ("quarantine.html", "orders_2026-11-20.csv.gz:7"),
        ("quarantine.html", "not recorded"),
        ("definitions.html", "net sales / orders with a rate"),
    ],
)
def test_the_page_says(site: Site, path: str, words: str) -> None:
    assert words in site[path]


def test_figures_on_the_page_are_formatted(page: str, sales: Sales) -> None:
    assert f">{formats.whole_money(sales.latest.net_base, 'EUR')}<" in page
    assert f">{formats.money(sales.latest.aov_base, 'EUR')}<" in page
    assert f">{formats.count(sales.latest.customer_count)}<" in page
    (japan,) = [row for row in sales.markets if row.code == "JP"]
    assert f">¥{round(japan.net or 0):,}<" in page


def test_the_same_snapshot_makes_the_same_pages(lake: Lake, site: Site, tmp_path: Path) -> None:
    with lake.read() as session:
        again = render(session, tmp_path / "new" / "folder", world.NOW, TITLE, expected=world.EXPECTED)
    assert again == tmp_path / "new" / "folder" / "index.html"
    assert read_site(again) == site


@pytest.mark.parametrize("has_tables", [False, True])
def test_an_empty_warehouse_says_what_to_do(tmp_path: Path, has_tables: bool) -> None:
    with world.open_lake(tmp_path / "lake") as lake:
        if has_tables:
            world.create_tables(lake)
        with lake.read() as session:
            site = read_site(render(session, tmp_path / "site", world.NOW, expected=world.EXPECTED))
    fixed = {"quality.html", "quarantine.html", "releases.html", "calendar.html", "definitions.html", "site.html"}
    assert set(site) == {"index.html", "products.html", *fixed}
    for path in ("index.html", "products.html"):
        assert "No order has reached the warehouse yet" in site[path]
        assert "./caravan run sales_orders_daily" in site[path]
    assert "Nothing has been read yet." in site["quarantine.html"]
    assert "No check has run yet." in site["quality.html"]
    for page in site.values():
        assert (outline(page).faults, outline(page).open) == ([], [])
        assert "<svg" not in page and "Nothing is missing" not in page
    test_every_link_leads_to_a_page_and_its_part(site)


MARKUP = "<script>alert(2)</script> & 'Söhne\""


def one_order(**given: Any) -> world.Order:
    line = world.Line("MUG-01", 1, Decimal("14.50"))
    order = {"order_id": "1", "day": world.LAST_DAY, "channel": "shop_de", "market": "DE", "currency": "EUR",
             "customer": "C1", "kind": "sale", "lines": (line,)}  # fmt: skip
    return world.Order(**(order | given))


def site_of(tmp_path: Path, orders: list[world.Order], names: dict[str, str] | None = None) -> Site:
    with world.open_lake(tmp_path / "lake") as lake:
        world.fill(lake, orders, min(order.day for order in orders))
        with lake.write() as session:
            for code, name in (names or {}).items():
                values = {"code": code, "name": name}
                session.execute("UPDATE mart.dim_market SET name = $name WHERE market_code = $code", values)
        with lake.read() as session:
            return read_site(render(session, tmp_path / "site", world.NOW, expected=world.EXPECTED))


def test_one_order_fills_every_page(tmp_path: Path) -> None:
    site = site_of(tmp_path, [one_order()])
    test_every_link_leads_to_a_page_and_its_part(site)
    for suffix in SUFFIXES:
        for path in (f"index{suffix}.html", f"market/DE{suffix}.html"):
            assert "€14.50" in site[path] and "n = 1 order<" in site[path] and "<svg" in site[path]
        assert "No order recorded in these days" in site[f"market/FR{suffix}.html"]
        assert "No product was sold in these weeks." in site[f"products{suffix}.html"]  # its week is not over


def test_a_market_of_markup_is_text_and_its_file_is_a_file(tmp_path: Path) -> None:
    """Its name, and a code that has come from elsewhere than configuration."""
    climbing = "../../<b>X"
    site = site_of(tmp_path, [one_order(), one_order(order_id="2", market=climbing)], {"DE": MARKUP})
    test_every_link_leads_to_a_page_and_its_part(site)
    assert [path for path in site if path.startswith("market/DE")]
    assert "<h1>&lt;script&gt;alert(2)&lt;/script&gt; &amp; &#39;Söhne&#34;</h1>" in site["market/DE.html"]
    for path, page in site.items():
        assert "<script" not in page and "<b>X" not in page, path
    assert "&lt;b&gt;X" in site["index.html"]
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith("X") or "<" in path.name]


def test_months_without_orders_are_gaps_and_not_zeros(tmp_path: Path) -> None:
    days = [world.LAST_DAY - timedelta(days=ago) for ago in (0, 150, 151, 400)]
    site = site_of(tmp_path, [one_order(order_id=str(day), day=day) for day in days])
    page = site["index-365.html"]
    table = page[page.index("Net sales by channel, EUR") :]
    table = table[: table.index("</table>")]
    assert table.count('<th scope="row"') == 51
    assert table.count('<td class="num">–</td>') == 50  # the last order's week is not whole, two share another
    assert "€43.50" in page  # three orders of the 365 days
    assert "before: €14.50" not in page  # the year before is not known in whole
    assert "n = 1 order<" in site["index.html"]
    assert "before: none recorded" in site["index.html"]  # it is known that nothing came


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb, WCAG 2.2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable(scheme: str) -> None:
    style = (TEMPLATES_DIR / "report" / "style.css").read_text(encoding="utf-8")
    light, dark = (dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", block)) for block in style.split("@media")[:2])
    colours = dark if scheme == "dark" else light
    pairs = [("ink", "paper"), ("ink-2", "paper"), ("link", "paper"), ("ink-2", "panel")]
    for text, ground in [*pairs, *((kind, f"{kind}-bg") for kind in ("bad", "warn", "good"))]:
        dim, bright = sorted((luminance(colours[text]), luminance(colours[ground])))
        assert (bright + 0.05) / (dim + 0.05) >= 4.5, f"{text} on {ground}"
