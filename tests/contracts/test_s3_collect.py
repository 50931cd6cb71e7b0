"""A channel whose files lie in a bucket, through the command line: listed, loaded once, never a part of a file."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path

import pytest
from object_store import Answer, ObjectStore

from caravan import INCLUDE_DIR
from caravan.assembly import sales
from caravan.assembly.warehouse import open_warehouse
from caravan.cli import main as cli
from caravan.clients.storage import objects
from caravan.config.settings import Settings
from caravan.core.errors import Misconfigured, Retryable
from caravan.core.scope import RunScope
from caravan.core.window import Window

HEADER = (
    "Bestellnummer;Position;Bestelldatum;Geändert am;Status;Lieferland;Währung;Kundennummer;Artikelnummer;"
    "Bezeichnung;Menge;Einzelpreis\n"
)
COLLECT = ["sales", "collect", "--channel", "shop_de"]


def content(*orders: int) -> bytes:
    line = "{};1;01.11.2026 10:00:00;01.11.2026 10:00:00;bezahlt;Deutschland;EUR;7;MUG;Becher;2;9,50\n"
    return (HEADER + "".join(line.format(order) for order in orders)).encode("windows-1252")


def others(folder: str, names: list[str]) -> list[str]:
    """One channel and its market are enough, and quicker to read."""
    kept = {"channels": {"shop_de.yml"}, "markets": {"de.yml", "zz.yml"}}.get(Path(folder).name, set(names))
    return [name for name in names if name not in kept]


def collect() -> dict[str, int]:
    window = Window.of_days(date(2026, 11, 1), date(2026, 11, 2))
    return sales.collect(RunScope("test__1", "sales_orders_daily", window), "shop_de")


@pytest.fixture
def home(tmp_path: Path, object_store: ObjectStore, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    config = tmp_path / "config"
    shutil.copytree(INCLUDE_DIR / "config", config, ignore=others)
    file = config / "channels/shop_de.yml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("folder: incoming/shop_de", f"folder: s3://{bucket}/in"), encoding="utf-8")
    assert f"s3://{bucket}" in file.read_text(encoding="utf-8")
    connection = object_store.connection()
    given = {"conn_type": "aws", "login": connection.login, "password": connection.password, "extra": connection.extra}
    monkeypatch.setenv("AIRFLOW_CONN_S3_DEFAULT", json.dumps(given))
    monkeypatch.setenv("CARAVAN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CARAVAN_CONFIG", str(config))
    monkeypatch.delenv("CARAVAN_WAREHOUSE", raising=False)
    object_store.put(bucket, "in/bestellungen_1.csv", content(1, 2, 3), age_seconds=7200)
    return tmp_path / "home"


def orders() -> list[str]:
    with open_warehouse(Settings.from_environment(), read_only=True) as warehouse, warehouse.read() as session:
        rows = session.rows("SELECT order_id FROM raw.file_drop__order_line WHERE change = 'row' ORDER BY 1")
    return [row[0] for row in rows]


def test_listed_then_loaded_once_and_then_no_more(
    home: Path, object_store: ObjectStore, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    object_store.put(bucket, "in/bestellungen_2.csv", b"young", age_seconds=1)
    assert cli.main([*COLLECT, "--dry-run"]) == 0
    shown = capsys.readouterr()
    assert "would load bestellungen_1.csv" in shown.out
    assert "bestellungen_2.csv is not read" in shown.err
    assert not (home / "seen-objects.sqlite").exists(), "a dry run leaves nothing behind"

    assert collect()["loaded"] == 3
    loaded = len(object_store.downloads())
    assert collect()["deliveries"] == 0
    assert (orders(), len(object_store.downloads())) == (["1", "2", "3"], loaded)

    object_store.put(bucket, "in/bestellungen_2.csv", content(1, 2, 3, 4), age_seconds=3600)
    assert collect()["loaded"] == 1
    assert (orders(), len(object_store.downloads())) == (["1", "2", "3", "4"], loaded + 1)
    assert not list((home / "staging").glob("*/*")), "no copy is left"


@pytest.mark.slow
def test_what_never_arrives_whole_is_loaded_by_the_next_run(
    home: Path, object_store: ObjectStore, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(answer: Answer) -> None:
        if answer.path.endswith(".csv"):
            answer.body = answer.body[:-40] if not answer.range else b""

    monkeypatch.setattr(objects, "RESUMPTIONS", 0)
    object_store.faults.append(cut)
    with pytest.raises(Retryable, match="then it broke off"):
        collect()
    object_store.faults.clear()
    assert collect()["loaded"] == 3
    assert orders() == ["1", "2", "3"]


def test_no_connection_is_told_with_what_to_set(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_S3_DEFAULT")
    with pytest.raises(Misconfigured, match="set AIRFLOW_CONN_S3_DEFAULT, or add it in Airflow; see docs/connections"):
        collect()


def test_a_folder_of_files_that_no_pattern_matches_is_told_where_deliveries_are(
    home: Path, object_store: ObjectStore, bucket: str
) -> None:
    object_store.client.delete_object(Bucket=bucket, Key="in/bestellungen_1.csv")
    object_store.put(bucket, "in/bestellungen_2.CSV", content(1), age_seconds=3600)
    assert collect()["deliveries"] == 0
    with open_warehouse(Settings.from_environment(), read_only=True) as warehouse, warehouse.read() as session:
        ((state, message),) = session.rows("SELECT state, message FROM ops.load WHERE channel_code = 'shop_de'")
    assert state == "missing"
    assert message.startswith("bestellungen_2.CSV is not read: it matches no pattern (bestellungen_*.csv)")
