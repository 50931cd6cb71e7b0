"""nginx on loopback for tests and benches: one port a site, each with an access log of its own."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 10
_CONFIG = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 256; }}
http {{
    types {{
        text/html html; text/css css; text/javascript js; text/plain txt; image/svg+xml svg; image/png png;
        image/gif gif; image/jpeg jpg; application/pdf pdf; application/gzip gz; application/epub+zip epub;
    }}
    default_type application/octet-stream; keepalive_requests 100000;
    client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
    uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
    {servers}
}}
"""


@dataclass(frozen=True)
class Logged:
    """One line of an access log. `target`: path and query as they were asked for."""

    method: str
    target: str
    status_code: int
    body_bytes: int


def program() -> str | None:
    """Debian puts it where only root looks."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


@contextmanager
def serve(folder: Path, sites: Mapping[int, str]) -> Iterator[None]:
    """`folder`: for logs and what nginx keeps. `sites`: port to the directives of its server block."""
    servers = "\n    ".join(
        f"server {{ listen 127.0.0.1:{port}; access_log {folder}/{port}.log combined; {directives} }}"
        for port, directives in sites.items()
    )
    (folder / "nginx.conf").write_text(_CONFIG.format(folder=folder, servers=servers), encoding="utf-8")
    command = [program() or "nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder)]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        _wait(server, folder, list(sites))
        yield
    finally:
        server.terminate()
        server.wait()


def _wait(server: subprocess.Popen[bytes], folder: Path, ports: list[int]) -> None:
    until = time.monotonic() + START_SECONDS
    for port in ports:
        while True:
            if server.poll() is not None:
                raise RuntimeError(f"nginx did not start: {(folder / 'error.log').read_text(encoding='utf-8')}")
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if time.monotonic() > until:
                    raise RuntimeError(f"nginx does not listen on {port} after {START_SECONDS} seconds") from None
                time.sleep(0.02)


def logged(folder: Path, port: int) -> list[Logged]:
    """All that was asked for until now."""
    found = []
    for line in (folder / f"{port}.log").read_text(encoding="utf-8").splitlines():
        _, request, after = line.split('"', 3)[:3]
        method, target, _ = request.split(" ")
        status_code, body_bytes = after.split()
        found.append(Logged(method, target, int(status_code), int(body_bytes)))
    return found
