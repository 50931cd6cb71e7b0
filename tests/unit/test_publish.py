"""What is published is whole, holds no personal data, and is swapped at once."""

from __future__ import annotations

import fcntl
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
import report_world as world

from caravan import INCLUDE_DIR, SQL_DIR
from caravan.config.loader import load
from caravan.core.errors import Misconfigured, Rejected, Retryable
from caravan.reporting.publish import Classes, check_marts, publish
from caravan.warehouse.catalog import load_models
from caravan.warehouse.lake import Lake

NOW = world.NOW
MARTS = ("mart.dim_market", "mart.rpt_sales__channel_day")
CLASSES: Classes = {
    model.name: {column.name: column.personal for column in model.columns} for model in load_models(SQL_DIR).models
}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    lines = (world.Line("MUG-01", 1, Decimal(10)),)
    orders = [
        world.Order(f"{number}", date(2026, 11, 1 + number), "shop_de", "DE", "EUR", "C1", "sale", lines)
        for number in range(20)
    ]
    with world.open_lake(tmp_path_factory.mktemp("publish") / "lake") as opened:
        world.fill(opened, orders, date(2026, 11, 1))
        yield opened


def publish_once(lake: Lake, target: Path, version: str, marts: tuple[str, ...] = MARTS, at: datetime = NOW) -> Path:
    with lake.read() as session:
        return publish(session, marts, target, version, classes=CLASSES, published_at=at, code_revision="abc123")


def read_published(target: Path) -> dict[str, int]:
    """Rows of every published table, after comparing the file, the Parquet and what `published` says."""
    folder = (target / "parquet").resolve()
    with duckdb.connect(str(target / "marts.duckdb"), read_only=True) as connection:
        said = dict(connection.execute("SELECT table_name, rows FROM published").fetchall())
        held = {name: connection.execute(f'SELECT COUNT(*) FROM "{name}"').fetchall()[0][0] for name in said}
    with duckdb.connect() as connection:
        for name in said:
            file = str(folder / f"{name}.parquet")
            rows = connection.execute("SELECT COUNT(*) FROM read_parquet(?)", [file]).fetchall()
            assert rows == [(said[name],)]
    assert held == said
    return said


def test_tables_without_schema_in_a_file_for_duckdb_1(lake: Lake, tmp_path: Path) -> None:
    target = tmp_path / "pub'lished"
    database = publish_once(lake, target, "v1")
    assert database == target / "marts.duckdb"
    assert read_published(target) == {"dim_market": 10, "rpt_sales__channel_day": 20}
    # Bytes 12 to 19 of a DuckDB file: its storage version; 64 is v1.0.0.
    assert int.from_bytes(database.read_bytes()[12:20], "little") == 64
    with duckdb.connect(str(database), read_only=True) as connection:
        assert connection.execute("SELECT DISTINCT published_at, code_revision FROM published").fetchall() == [
            (NOW.replace(tzinfo=None), "abc123")
        ]
        columns = [row[0] for row in connection.execute("DESCRIBE rpt_sales__channel_day").fetchall()]
        total = connection.execute("SELECT SUM(net_amount) FROM rpt_sales__channel_day").fetchall()
    assert columns == list(CLASSES["mart.rpt_sales__channel_day"])
    assert total == [(Decimal("200.0000"),)]
    assert sorted(path.name for path in (target / "parquet").iterdir()) == [
        "dim_market.parquet", "published.parquet", "rpt_sales__channel_day.parquet",
    ]  # fmt: skip


def test_the_same_rows_make_the_same_files(lake: Lake, tmp_path: Path) -> None:
    for name in ("one", "two"):
        publish_once(lake, tmp_path / name, "v1")
    for mart in MARTS:
        file = f"{mart.removeprefix('mart.')}.parquet"
        assert (tmp_path / "one/parquet" / file).read_bytes() == (tmp_path / "two/parquet" / file).read_bytes()


@pytest.mark.parametrize(
    "mart, said",
    [
        ("mart.rpt_sales__chanel_day", "did you mean 'mart.rpt_sales__channel_day'?"),
        ("stg.file_drop__order_line", "is no mart"),
        ("ops.quarantine", "is no mart"),
        ("mart.dim_market; DROP TABLE x", "is no mart"),
        ("mart.published", "is no mart"),
        ("mart.dim_customer", "personal data, take it off the list: customer_id (identifier)"),
        ("mart.fct_order", "referrer_url (free_text)"),
    ],
)
def test_what_may_not_be_published(lake: Lake, tmp_path: Path, mart: str, said: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        publish_once(lake, tmp_path, "v1", (*MARTS, mart))
    assert said in str(caught.value)
    assert [fault.where for fault in caught.value.faults] == [f"published_marts: {mart}"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["identifier", "contact", "free_text"])
def test_each_personal_class_is_refused(kind: str) -> None:
    check_marts(["mart.x"], {"mart.x": {"a": "none", "b": "pseudonym"}})
    with pytest.raises(Misconfigured, match=rf"b \({kind}\)"):
        check_marts(["mart.x"], {"mart.x": {"a": "none", "b": kind}})


def test_the_project_publishes_what_may_be_published() -> None:
    marts = load(INCLUDE_DIR / "config").project.published_marts
    assert len(marts) >= 3
    check_marts(marts, CLASSES)


@pytest.mark.parametrize(
    "classes, code",
    [
        ({"mart.not_there": {"a": "none"}}, "MART_MISSING"),
        ({"mart.dim_market": {"market_code": "none"}}, "COLUMN_UNCLASSED"),
        ({"mart.dim_market": {**CLASSES["mart.dim_market"], "x": "none"}}, "COLUMN_MISSING"),
    ],
)
def test_a_table_other_than_its_model(lake: Lake, tmp_path: Path, classes: Classes, code: str) -> None:
    with pytest.raises(Rejected) as caught, lake.read() as session:
        publish(session, list(classes), tmp_path, "v1", classes=classes, published_at=NOW, code_revision="x")
    assert caught.value.code == code
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("version", ["", "../up", "a/b", ".hidden"])
def test_a_version_is_a_directory_name(lake: Lake, tmp_path: Path, version: str) -> None:
    with pytest.raises(ValueError, match="cannot name a directory"):
        publish_once(lake, tmp_path, version)


def test_current_and_previous_version_are_kept(lake: Lake, tmp_path: Path) -> None:
    kept = []
    for version in ("a", "b", "b", "c"):
        publish_once(lake, tmp_path, version)
        kept.append((sorted(path.name for path in (tmp_path / ".versions").iterdir()), _current(tmp_path)))
    assert kept == [(["a"], "a"), (["a", "b"], "b"), (["b", "b-2"], "b-2"), (["b-2", "c"], "c")]


def _current(target: Path) -> str:
    assert (target / "parquet").is_symlink()
    return (target / "parquet").resolve().name


def test_a_reader_keeps_what_it_opened(lake: Lake, tmp_path: Path) -> None:
    publish_once(lake, tmp_path, "a", at=NOW - timedelta(days=1))
    folder = (tmp_path / "parquet").resolve()
    with duckdb.connect(str(tmp_path / "marts.duckdb"), read_only=True) as opened:
        publish_once(lake, tmp_path, "b")
        before = opened.execute("SELECT DISTINCT published_at FROM published").fetchall()
    assert before == [((NOW - timedelta(days=1)).replace(tzinfo=None),)]
    assert (folder / "dim_market.parquet").exists()


def test_one_publisher_at_a_time(lake: Lake, tmp_path: Path) -> None:
    publish_once(lake, tmp_path, "a")
    with open(tmp_path / ".lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(Retryable, match="another process"), lake.read() as session:
            publish(
                session, MARTS, tmp_path, "b", classes=CLASSES, published_at=NOW, code_revision="x",
                lock_wait_seconds=0.1,
            )  # fmt: skip
        assert _current(tmp_path) == "a"
    publish_once(lake, tmp_path, "b")
    assert _current(tmp_path) == "b"


PUBLISHER = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
from caravan.reporting import publish as publishing
from caravan.warehouse.lake import Lake
import test_publish as t

root, target, times, step = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]

def killing(function, ends_with):
    def wrapped(*arguments, **names):
        if str(arguments[0]).endswith(ends_with):
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **names)
    return wrapped

if step == "exported":
    publishing._build_database = killing(publishing._build_database, "")
elif step == "built":
    publishing._swap = killing(publishing._swap, "")
elif step == "renamed":
    publishing.os.replace = killing(os.replace, "marts.duckdb.part")
elif step == "database swapped":
    publishing.os.replace = killing(os.replace, "parquet.part")
elif step == "all swapped":
    publishing.shutil.rmtree = killing(publishing.shutil.rmtree, "a")
with Lake(root, read_only=True) as lake:
    for number in range(times):
        t.publish_once(lake, target, f"n{number}")
"""


def start_publisher(lake: Lake, target: Path, times: int, step: str = "none") -> subprocess.Popen[bytes]:
    code = textwrap.dedent(PUBLISHER)
    return subprocess.Popen(
        [sys.executable, "-c", code, str(lake.root), str(target), str(times), step],
        env={"PYTHONPATH": ":".join(path for path in sys.path if path)},
    )


@pytest.mark.parametrize(
    "step, is_new",
    [
        pytest.param("exported", False, marks=pytest.mark.slow),
        ("built", False),
        pytest.param("renamed", False, marks=pytest.mark.slow),
        ("database swapped", False),
        pytest.param("all swapped", True, marks=pytest.mark.slow),
    ],
)
def test_killed_at_any_step_what_is_published_stays_whole(lake: Lake, tmp_path: Path, step: str, is_new: bool) -> None:
    publish_once(lake, tmp_path, "a")
    publish_once(lake, tmp_path, "b")
    before = read_published(tmp_path)
    killed = start_publisher(lake, tmp_path, 1, step)
    assert killed.wait(timeout=60) == -signal.SIGKILL
    assert read_published(tmp_path) == before
    assert _current(tmp_path) == ("n0" if is_new else "b")
    publish_once(lake, tmp_path, "c")
    assert _current(tmp_path) == "c"
    assert len(list((tmp_path / ".versions").iterdir())) == 2
    assert not list(tmp_path.rglob("*.part*"))


@pytest.mark.slow
def test_readers_never_see_half_a_state(lake: Lake, tmp_path: Path) -> None:
    publish_once(lake, tmp_path, "first")
    expected = read_published(tmp_path)
    publishers = [start_publisher(lake, tmp_path, 15) for _ in range(2)]
    reads = 0
    while any(publisher.poll() is None for publisher in publishers):
        with duckdb.connect(str(tmp_path / "marts.duckdb"), read_only=True) as connection:
            found = dict(connection.execute("SELECT table_name, rows FROM published").fetchall())
        assert found == expected
        assert sorted(path.stem for path in (tmp_path / "parquet").resolve().iterdir()) == sorted(
            [*expected, "published"]
        )
        reads += 1
        time.sleep(0.01)
    assert [publisher.returncode for publisher in publishers] == [0, 0]
    assert reads > 20
    assert len(list((tmp_path / ".versions").iterdir())) == 2
    shutil.rmtree(tmp_path)
