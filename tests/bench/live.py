"""A live Airflow for benches, and the places it tells its troubles to: a mail server that can die, a webhook."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import requests
from aiosmtpd.controller import Controller

from caravan import PROJECT_ROOT
from caravan.core.errors import CaravanError


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Mailbox:
    """A mail server that can die."""

    def __init__(self) -> None:
        self.port = free_port()
        self.messages: list[tuple[str, str]] = []  # Message-ID and subject
        self._server: Controller | None = None

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        message = message_from_bytes(envelope.content, policy=policy.default)
        self.messages.append((str(message["Message-ID"]), str(message["Subject"])))
        return "250 OK"

    def start(self) -> None:
        self._server = Controller(self, hostname="127.0.0.1", port=self.port)
        self._server.start()

    def stop(self) -> None:
        if self._server:
            self._server.stop()
            self._server = None


class Hook:
    """A chat's webhook."""

    def __init__(self) -> None:
        messages: list[tuple[str, str]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                messages.append((self.headers["Idempotency-Key"], body["subject"]))
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.messages = messages
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()


class Airflow:
    """The live server, by its REST API and its processes."""

    def __init__(self, home: Path, port: int, environ: dict[str, str]) -> None:
        self.home, self.port, self.environ = home, port, environ
        self._web = requests.Session()
        self._web.trust_env = False

    def caravan(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "caravan", *arguments],
            env=self.environ,
            cwd=PROJECT_ROOT,
            check=check,
            capture_output=True,
            text=True,
        )

    def up(self) -> None:
        self.caravan("up", "--port", str(self.port))
        password = json.loads((self.home / "airflow" / "passwords.json").read_text())["admin"]
        answer = self._web.post(self._url("/auth/token"), json={"username": "admin", "password": password}, timeout=30)
        self._web.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def down(self) -> None:
        self.caravan("down", check=False)

    def ask(self, method: str, path: str, **options: Any) -> Any:
        for attempt in range(6):
            with contextlib.suppress(requests.ConnectionError, requests.Timeout):
                answer = self._web.request(method, self._url(f"/api/v2{path}"), timeout=60, **options)
                if answer.status_code < 500:
                    answer.raise_for_status()
                    return answer.json()
            time.sleep(2 * attempt + 1)
        raise CaravanError(f"{method} {path}: no answer")

    def unpause(self, dag_id: str) -> None:
        self.ask("PATCH", f"/dags/{dag_id}", json={"is_paused": False})

    def trigger(self, dag_id: str, **conf: Any) -> str:
        return str(self.ask("POST", f"/dags/{dag_id}/dagRuns", json={"logical_date": None, "conf": conf})["dag_run_id"])

    def state(self, dag_id: str, run_id: str) -> str:
        return str(self.ask("GET", f"/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def wait(self, dag_id: str, run_id: str, limit_s: float = 900) -> str:
        began = time.monotonic()
        while (state := self.state(dag_id, run_id)) not in ("success", "failed"):
            if time.monotonic() - began > limit_s:
                raise CaravanError(f"{dag_id} {run_id} is still {state} after {limit_s:.0f} s")
            time.sleep(0.5)
        return state

    def tasks(self, dag_id: str, run_id: str) -> list[tuple[str, str]]:
        found = self.ask("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
        return [(each["task_id"], each["state"] or "none") for each in found]

    def idle(self, dag_ids: Sequence[str], limit_s: float = 600) -> None:
        """Wait until nothing runs or waits to run."""
        began = time.monotonic()
        quiet_since = began
        while time.monotonic() - quiet_since < 2:
            states = [
                run["state"]
                for dag_id in dag_ids
                for run in self.ask("GET", f"/dags/{dag_id}/dagRuns?order_by=-run_after&limit=5")["dag_runs"]
            ]
            if set(states) & {"running", "queued"}:
                quiet_since = time.monotonic()
            if time.monotonic() - began > limit_s:
                raise CaravanError(f"runs are still under way after {limit_s:.0f} s: {Counter(states)}")
            time.sleep(0.5)

    def processes(self, *words: str) -> list[psutil.Process]:
        pid = json.loads((self.home / "airflow" / "server.json").read_text())["pid"]
        found = []
        for process in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                title = " ".join(process.cmdline())
                if all(word in title for word in words):
                    found.append(process)
        return found

    def kill(self, *words: str) -> int:
        """KILL the processes whose command line has all the words, with their children; how many they were."""
        victims = self.processes(*words)
        for process in [each for victim in victims for each in (*victim.children(recursive=True), victim)]:
            with contextlib.suppress(psutil.Error):
                process.kill()
        return len(victims)

    def kill_task(self, dag_id: str, run_id: str, task_id: str) -> bool:
        """KILL the process a task runs in, as the system does that is out of memory; whether there was one."""
        pid = self.ask("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}")["pid"]
        with contextlib.suppress(psutil.Error):
            psutil.Process(pid).kill()
            return True
        return False

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"


def phases_told(messages: list[tuple[str, str]], incident_id: str) -> list[str]:
    """The phases of an incident that a target was told, as often as it was told."""
    return [
        phase
        for message_id, _ in messages
        for phase in ("opened", "closed")
        if incident_id in message_id and phase in message_id
    ]
