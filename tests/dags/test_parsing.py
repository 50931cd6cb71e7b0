"""Reading a DAG file wires tasks and does nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import json, runpy, socket, sqlite3, sys
import airflow.sdk, airflow.timetables.interval, airflow.providers.standard.decorators.python

def refuse(what):
    def refused(*arguments, **named):
        raise AssertionError(f"{what} while a DAG file is read")
    return refused

socket.socket.connect = refuse("a connection")
socket.getaddrinfo = refuse("a name look-up")
sqlite3.connect = refuse("a database")
airflow.sdk.Variable.get = refuse("Variable.get")
airflow.sdk.Connection.get = refuse("Connection.get")
before = set(sys.modules)
for path in sys.argv[1:]:
    runpy.run_path(path)
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def parse(home: Path, *files: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CARAVAN_")}
    environment.update(AIRFLOW_HOME=str(home), PYTHONPATH=str(ROOT / "plugins"), PYTHONWARNINGS="ignore")
    command = [sys.executable, "-c", SCRIPT, *map(str, files)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_no_dag_file_reads_network_database_variables_or_heavy_libraries(tmp_path):
    files = sorted((ROOT / "dags").glob("*.py"))
    assert files
    done = parse(tmp_path, *files)
    assert done.returncode == 0, done.stderr
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}
    assert "caravan" in loaded
    assert loaded & {"duckdb", "pandas", "pyarrow", "sqlglot", "great_expectations", "altair", "psycopg"} == set()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("import socket; socket.create_connection(('127.0.0.1', 9))", "a name look-up while"),
        ("from airflow.sdk import Variable; Variable.get('channels')", "Variable.get while"),
        ("import sqlite3; sqlite3.connect('x.db')", "a database while"),
    ],
)
@pytest.mark.slow
def test_a_dag_file_that_does_is_caught(tmp_path, line, message):
    path = tmp_path / "greedy.py"
    path.write_text(line)
    done = parse(tmp_path, path)
    assert done.returncode != 0
    assert message in done.stderr


def test_a_step_is_given_its_arguments_by_name_or_its_file_is_refused():
    """A step called by place would be wired, and fail in every run."""
    from airflow.sdk import DAG

    from caravan.orchestration.steps import step

    @step()
    def crawl(run_id: str, site_code: str) -> None: ...

    with DAG("by_name"):
        crawl(site_code="shop")
        with pytest.raises(TypeError, match="too many positional arguments"):
            crawl("shop")
