"""What `caravan doctor` asks of the Airflow that runs in this home, through its REST API."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import requests

from caravan.cli.finding import Finding, guarded
from caravan.cli.server import ADMIN, Places, Server, find_running
from caravan.config.settings import Settings
from caravan.core.errors import CaravanError

TIMEOUT_SECONDS = 20.0
PAGE = 100
_Json = dict[str, Any]


@dataclass(frozen=True)
class Api:
    """The REST API of one server, logged in."""

    url: str
    session: requests.Session

    def one(self, path: str, **params: str | int) -> _Json:
        try:
            answer = self.session.get(f"{self.url}/api/v2/{path}", params=params, timeout=TIMEOUT_SECONDS)
            answer.raise_for_status()
            found: _Json = answer.json()
        except (requests.RequestException, ValueError) as error:
            raise CaravanError(f"the server at {self.url} does not tell {path}: {type(error).__name__}") from error
        return found

    def all(self, path: str, name: str, **params: str | int) -> Iterator[_Json]:
        """Every entry of a collection, page by page."""
        offset = 0
        while True:
            page = self.one(path, limit=PAGE, offset=offset, **params)
            yield from page[name]
            offset += PAGE
            if offset >= page["total_entries"]:
                return


def log_in(server: Server, places: Places) -> Api:
    session = requests.Session()
    session.trust_env = False  # a proxy is not asked for loopback
    try:
        passwords = json.loads(places.passwords.read_text(encoding="utf-8"))
        given = {"username": ADMIN, "password": passwords[ADMIN]}
        answer = session.post(f"{server.url}/auth/token", json=given, timeout=TIMEOUT_SECONDS)
        answer.raise_for_status()
        session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    except (OSError, ValueError, KeyError) as error:  # requests' errors are OSErrors
        told = f"the server at {server.url} does not let us in with {places.passwords} ({type(error).__name__})"
        raise CaravanError(f"{told}; `./caravan down` and `up` start it anew") from error
    return Api(server.url, session)


def open_api(settings: Settings) -> Api | None:
    """None when no server runs in this home."""
    places = Places.of(settings)
    server = find_running(places)
    return log_in(server, places) if server else None


def examine_airflow(api: Api) -> list[Finding]:
    """Each finding says what to do; one that fails does not hide the others."""

    def of_dags() -> Iterator[Finding]:
        paused = {dag["dag_id"]: bool(dag["is_paused"]) for dag in api.all("dags", "dags")}
        yield Finding("DAGs", "ok", f"{len(paused)}, of which {sum(paused.values())} are paused")
        yield from guarded("pools", lambda: pools(api, paused))
        yield from guarded("assets", lambda: paused_consumers(api, paused))
        yield from guarded("backfills", lambda: stuck_backfills(api, paused))

    return [
        *guarded("Airflow", lambda: health(api)),
        *guarded("DAG files", lambda: import_errors(api)),
        *guarded("DAGs", of_dags),
    ]


def health(api: Api) -> Iterator[Finding]:
    parts = api.one("monitor/health")
    ill = sorted(name for name, part in parts.items() if part and part.get("status") not in (None, "healthy"))
    if ill:
        told = f"{api.url}: {', '.join(ill)} not healthy: `./caravan down`, then `./caravan up`; its log says why"
        yield Finding("Airflow", "failed", told)
    else:
        yield Finding("Airflow", "ok", f"{api.url} is healthy")


def import_errors(api: Api) -> Iterator[Finding]:
    broken = list(api.all("importErrors", "import_errors"))
    for error in broken:
        last = error["stack_trace"].strip().splitlines()[-1:]
        told = f"{error['filename']} cannot be loaded: {''.join(last)}; its runs stop until the file is mended"
        yield Finding("DAG files", "failed", told)
    if not broken:
        yield Finding("DAG files", "ok", "all can be loaded")


def pools(api: Api, paused: Mapping[str, bool]) -> Iterator[Finding]:
    """A task whose pool does not exist is never started, and nothing says so."""
    there = {pool["name"] for pool in api.all("pools", "pools")}
    users: defaultdict[str, list[str]] = defaultdict(list)
    for dag_id in paused:
        for task in api.one(f"dags/{dag_id}/tasks")["tasks"]:
            users[task["pool"]].append(f"{dag_id}.{task['task_id']}")
    for name in sorted(users.keys() - there):
        told = (
            f"'{name}' does not exist, so {', '.join(users[name][:3])} never start: start the server anew, which makes "
        )
        yield Finding("pools", "failed", f"{told}those of pools.yml, or `./caravan airflow pools set {name} 3 missing`")
    if users.keys() <= there:
        yield Finding("pools", "ok", f"{', '.join(sorted(users)) or 'none'}: all that tasks name")


def paused_consumers(api: Api, paused: Mapping[str, bool]) -> Iterator[Finding]:
    """An event that comes while its consumer is paused is lost to it."""
    waiting: defaultdict[str, list[str]] = defaultdict(list)
    for asset in api.all("assets", "assets"):
        producers = {task["dag_id"] for task in asset["producing_tasks"]}
        if not all(paused.get(dag_id, True) for dag_id in producers):
            for consumer in asset["scheduled_dags"]:
                if paused.get(consumer["dag_id"]):
                    waiting[consumer["dag_id"]].append(asset["name"])
    for dag_id, names in sorted(waiting.items()):
        told = (
            f"{dag_id} is paused and loses the events of {', '.join(sorted(names))}: `./caravan airflow dags unpause "
        )
        yield Finding("assets", "failed", f"{told}{dag_id}`, then trigger it once")
    if not waiting:
        yield Finding("assets", "ok", "no paused DAG waits for a running one's assets")


def stuck_backfills(api: Api, paused: Mapping[str, bool]) -> Iterator[Finding]:
    """A backfill of a paused DAG stays queued without an error."""
    stuck = [
        backfill
        for dag_id, is_paused in sorted(paused.items())
        if is_paused
        for backfill in api.all("backfills", "backfills", dag_id=dag_id)
        if backfill["completed_at"] is None
    ]
    for backfill in stuck:
        days = f"{backfill['from_date'][:10]} to {backfill['to_date'][:10]}"
        told = f"backfill {backfill['id']} of {backfill['dag_id']} ({days}) waits for ever, because the DAG is paused: "
        to_do = f"`./caravan airflow dags unpause {backfill['dag_id']}`, or cancel it on the DAG's page"
        yield Finding("backfills", "failed", told + to_do)
    if not stuck:
        yield Finding("backfills", "ok", "none waits for a paused DAG")


def connection_ids(api: Api) -> set[str]:
    """Those kept in Airflow's own database."""
    return {connection["connection_id"] for connection in api.all("connections", "connections")}
