"""`caravan up` and `down`: Airflow on this machine, on loopback, in its own process group."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

import psutil

from caravan import PROJECT_ROOT
from caravan.config.settings import Settings
from caravan.core.errors import CaravanError, Rejected

LOOPBACK = "127.0.0.1"
DEFAULT_PORT = 8080
ADMIN = "admin"


# Airflow takes over every public name of this module; it has none.
LOCAL_SETTINGS = "import caravan.orchestration.sqlite_metadata  # noqa: F401\n\n__all__: list[str] = []\n"


@dataclass(frozen=True)
class Server:
    """A server that runs. `created`: when its first process began, so that a reused pid is not taken for it."""

    pid: int
    port: int
    created: float

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"


@dataclass(frozen=True)
class Places:
    """The files of one server, all below its AIRFLOW_HOME."""

    airflow_home: Path

    @classmethod
    def of(cls, settings: Settings) -> Places:
        return cls(settings.home / "airflow")

    @property
    def pid_file(self) -> Path:
        return self.airflow_home / "server.json"

    @property
    def passwords(self) -> Path:
        return self.airflow_home / "passwords.json"

    @property
    def secrets(self) -> Path:
        return self.airflow_home / "secrets.json"

    @property
    def local_settings(self) -> Path:
        """What Airflow imports before anything else."""
        return self.airflow_home / "config" / "airflow_local_settings.py"

    @property
    def log(self) -> Path:
        return self.airflow_home / "server.log"


def ports_of(port: int) -> tuple[int, int, int]:
    """The page, the task log server, the trigger log server. Airflow binds the last two on every interface."""
    return port, port + 1, port + 2


def environment(
    settings: Settings, port: int, keys: Mapping[str, str], *, paused: bool, host: str = LOOPBACK
) -> dict[str, str]:
    """The whole environment of `airflow standalone`.

    What makes the server safe and findable is set whatever the caller's environment says; the rest is a
    default that an AIRFLOW__* variable of the caller replaces.
    """
    places = Places.of(settings)
    page, task_logs, trigger_logs = ports_of(port)
    defaults = {
        "AIRFLOW__CORE__PARALLELISM": "11",  # one more than the slots of pools.yml
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",  # 1 by default: a chain of tasks takes thrice as long
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "60",  # 300 by default: after `down`, tasks hang as long
        "AIRFLOW__CORE__TASK_SUCCESS_OVERTIME": "120",  # 20 by default: too short to record and tell a failure
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",  # 300 by default: a new DAG file stays unseen for 5 minutes
        "GX_ANALYTICS_ENABLED": "false",
        # Scheduler, tasks and the command line share one SQLite file: wait for one another longer than 5 s.
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{places.airflow_home / 'airflow.db'}?timeout=60",
    }
    fixed = {
        "AIRFLOW_HOME": str(places.airflow_home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT_ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT_ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": str(paused),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(places.passwords),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://{LOOPBACK}:{page}/execution/",
        "AIRFLOW__CORE__FERNET_KEY": keys["fernet_key"],
        "AIRFLOW__API__HOST": host,
        "AIRFLOW__API__PORT": str(page),
        "AIRFLOW__API__BASE_URL": f"http://{LOOPBACK}:{page}",
        "AIRFLOW__API__SECRET_KEY": keys["api_secret"],
        "AIRFLOW__API_AUTH__JWT_SECRET": keys["jwt_secret"],
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(task_logs),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(trigger_logs),
        "CARAVAN_HOME": str(settings.home),
        "CARAVAN_CONFIG": str(settings.config_dir),
        "CARAVAN_WAREHOUSE": settings.warehouse,
        "PYTHONPATH": str(PROJECT_ROOT / "plugins"),
        # `airflow standalone` starts its parts as `airflow ...`: they must be those of this environment.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        # Tasks report over loopback: a proxy must not be asked for that.
        "NO_PROXY": ",".join(filter(None, [os.environ.get("NO_PROXY"), LOOPBACK, "localhost"])),
        "no_proxy": ",".join(filter(None, [os.environ.get("no_proxy"), LOOPBACK, "localhost"])),
    }
    return {**defaults, **os.environ, **fixed}


def write_private(path: Path, content: Mapping[str, object]) -> None:
    """Write JSON that nobody else may read, whole or not at all."""
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
        file.write("\n")
    part.replace(path)


def prepare(places: Places) -> tuple[dict[str, str], str | None]:
    """Make secrets and the admin's password where they are missing.

    Returns the secrets, and the password when it is new: it is shown once, then only the file knows it.
    """
    places.airflow_home.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not places.secrets.exists():
        write_private(
            places.secrets,
            {
                "jwt_secret": secrets.token_urlsafe(96),  # SHA-512 wants 64 bytes or more
                "api_secret": secrets.token_urlsafe(48),
                "fernet_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            },
        )
    places.local_settings.parent.mkdir(exist_ok=True)
    places.local_settings.write_text(LOCAL_SETTINGS)
    password = None
    if not places.passwords.exists():
        password = secrets.token_urlsafe(15)
        write_private(places.passwords, {ADMIN: password})
    keys: dict[str, str] = json.loads(places.secrets.read_text(encoding="utf-8"))
    return keys, password


def find_running(places: Places) -> Server | None:
    """The server that runs with these files. Removes a pid file whose server has gone."""
    try:
        server = Server(**json.loads(places.pid_file.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, TypeError) as error:
        raise CaravanError(f"{places.pid_file} cannot be read ({error}); delete it if no server runs") from error
    if _members(server):
        return server
    places.pid_file.unlink(missing_ok=True)
    return None


def start(
    settings: Settings, port: int, *, paused: bool, timeout_s: float, progress: Callable[[str], None]
) -> tuple[Server, str | None, bool]:
    """Start the server and wait until it answers.

    Returns the server, the admin's password if it was made now, and whether the server was started now.
    Raises CaravanError when a port is taken, when Airflow ends early or does not answer within `timeout_s` seconds.
    """
    places = Places.of(settings)
    places.airflow_home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _alone(places):
        running = find_running(places)
        if running and _alive({process for process in [_first_process(running)] if process}):
            return running, None, False
        if running:
            stop(places, progress=progress)  # its first process was killed; what is left serves nobody
        check_ports(port)
        keys, password = prepare(places)
        with places.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "airflow", "standalone"],
                env=environment(settings, port, keys, paused=paused),
                cwd=PROJECT_ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # its own group; it lives on when the terminal closes
            )
        server = Server(process.pid, port, psutil.Process(process.pid).create_time())
        write_private(places.pid_file, asdict(server))
        try:
            _wait_until_it_answers(server, process, places, timeout_s, progress)
        except BaseException:
            stop(places, progress=progress)
            raise
    return server, password, True


def run_in_foreground(settings: Settings, port: int, *, paused: bool, host: str) -> None:
    """Become `airflow standalone`, for a container or a service manager. Does not return."""
    keys, password = prepare(Places.of(settings))
    if password:
        print(f"user {ADMIN}, password {password} (shown once)", flush=True)
    os.chdir(PROJECT_ROOT)
    env = environment(settings, port, keys, paused=paused, host=host)
    os.execve(sys.executable, [sys.executable, "-m", "airflow", "standalone"], env)


def run_airflow(settings: Settings, arguments: Sequence[str]) -> NoReturn:
    """Become `airflow ARGUMENTS` in the environment of the server that runs in this home."""
    places = Places.of(settings)
    running = find_running(places)
    if running is None:
        raise CaravanError("no server runs in this home: start it with `caravan up`")
    keys, _ = prepare(places)
    command = [sys.executable, "-P", "-m", "airflow", *arguments]
    os.execve(sys.executable, command, environment(settings, running.port, keys, paused=True))


def stop(
    places: Places, *, patience_s: float = 30.0, progress: Callable[[str], None] = lambda message: None
) -> tuple[Server, int] | None:
    """TERM the server's processes, after `patience_s` KILL what is left.

    Returns the server and how many processes had to be killed; None when no server runs.
    """
    server = find_running(places)
    if server is None:
        return None
    # Group and descendants: a child may have made a group of its own.
    members = _members(server)
    progress(f"stopping {len(members)} processes")
    left = _end(server, members, signal.SIGTERM, patience_s)
    if survivors := _end(server, left, signal.SIGKILL, 5.0):
        raise CaravanError(f"processes {', '.join(str(process.pid) for process in survivors)} survived KILL")
    places.pid_file.unlink(missing_ok=True)
    return server, len(left)


def check_ports(port: int) -> None:
    """Rejected("PORT_TAKEN") with the next free port, when one of the three ports is in use."""
    taken = [number for number in ports_of(port) if not _is_free(number)]
    if not taken:
        return
    free = next((p for p in range(port + 10, port + 1000, 10) if p < 65500 and all(map(_is_free, ports_of(p)))), None)
    hint = f"; try `caravan up --port {free}`" if free else ""
    raise Rejected("PORT_TAKEN", f"something else uses port {taken[0]} of this machine{hint}")


def answers(server: Server) -> bool:
    """Whether the API answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{server.url}/api/v2/version", timeout=5) as response:
            return bool(response.status == 200)
    except (OSError, http.client.HTTPException):  # URLError is an OSError
        return False


def _wait_until_it_answers(
    server: Server,
    process: subprocess.Popen[bytes],
    places: Places,
    timeout_s: float,
    progress: Callable[[str], None],
) -> None:
    began = time.monotonic()
    while not answers(server):
        waited = time.monotonic() - began
        if process.poll() is not None:
            raise CaravanError(
                f"Airflow ended with code {process.returncode}; the last of {places.log}:\n{_tail(places)}"
            )
        if waited > timeout_s:
            raise CaravanError(f"no answer within {timeout_s:.0f} s; the last of {places.log}:\n{_tail(places)}")
        progress(f"starting Airflow: {waited:.0f} s (a first start takes one to two minutes)")
        time.sleep(0.5)


def _tail(places: Places, lines: int = 15) -> str:
    return "\n".join(places.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a port that only waits for its last connections to expire counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def _first_process(server: Server) -> psutil.Process | None:
    """The server's first process, ended ones that wait to be reaped included; None if its number names another."""
    try:
        process = psutil.Process(server.pid)
        # The clock that start times are counted from may be set by a second or two.
        return process if abs(process.create_time() - server.created) < 5 else None
    except psutil.NoSuchProcess:
        return None


def _members(server: Server) -> set[psutil.Process]:
    """The living processes of the server's group, and their descendants."""
    if psutil.pid_exists(server.pid) and not _first_process(server):
        return set()  # the number was given away, which only happens once the group is gone
    found: set[psutil.Process] = set()
    for process in psutil.process_iter():
        # A process may end between being listed and being looked at: then it is no member any more.
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == server.pid:
                found.add(process)
    for process in list(found):
        with contextlib.suppress(psutil.Error):
            found.update(process.children(recursive=True))
    return _alive(found)


def _alive(processes: set[psutil.Process]) -> set[psutil.Process]:
    def lives(process: psutil.Process) -> bool:
        try:
            return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
        except psutil.Error:
            return False

    return {process for process in processes if lives(process)}


def _end(server: Server, members: set[psutil.Process], what: signal.Signals, patience_s: float) -> set[psutil.Process]:
    """Signal the members, and those they start meanwhile; returns what still lives after `patience_s` seconds."""
    deadline = time.monotonic() + patience_s
    told: set[psutil.Process] = set()
    while members := _alive(members | _members(server)):
        for process in members - told:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(what)
        told |= members
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    return members


@contextlib.contextmanager
def _alone(places: Places) -> Iterator[None]:
    """One `up` at a time; the second waits and then finds the first one's server."""
    with (places.airflow_home / "up.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
