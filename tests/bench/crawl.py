"""Pages that one crawl asks for and reads in a second of a processor, in full; the night after; its peak memory.

    python tests/bench/crawl.py [--folder /usr/share/doc/postgresql-doc-15/html] [--copies 1] [--port 18800] [--dir DIR]

nginx on loopback serves a folder of real pages (Debian's postgresql-doc-15 unless told otherwise), `--copies` times,
each below a path of its own, without any delay and without TLS. Two crawls of it, each in a process of its own with
all of its threads: one from nothing, one with the validators of the first, of which nothing has changed. What is
counted is processor time, user and system, of the crawling process alone, less what the same command takes for a site
of one page: the start of an interpreter and of its libraries. `page` has to be what nginx logged.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import duckdb

ROOT = Path(__file__).resolve().parents[2]
PAGES, FLOOR, GOAL = "/usr/share/doc/postgresql-doc-15/html", 250, 500
NIGHT_GOAL, WALL_GOAL = 2000, 300
BESIDE = ("/robots.txt", "/sitemap.xml", "/missing-")
"""What a crawl asks for beside pages."""
CONFIG = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 256; }}
http {{
    types {{ text/html html; text/css css; image/svg+xml svg; image/png png; }}
    access_log {folder}/access.log combined; keepalive_requests 100000;
    client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
    uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
    server {{ listen 127.0.0.1:{port}; charset utf-8; root {folder}/www; }}
}}
"""


@dataclass(frozen=True)
class Run:
    pages: int
    asked: int
    cpu_seconds: float
    wall_seconds: float
    peak_mb: float
    body_bytes: int


def serve(folder: Path, source: Path, copies: int, port: int) -> subprocess.Popen[bytes]:
    www = folder / "www"
    www.mkdir()
    links = "".join(f'<li><a href="/copy{number}/index.html">copy {number}</a></li>' for number in range(copies))
    (www / "index.html").write_text(f"<!doctype html><title>Copies</title><ul>{links}</ul>")
    (www / "one").mkdir()
    (www / "one/index.html").write_text("<!doctype html><title>One</title><p>One page")
    for number in range(copies):
        (www / f"copy{number}").symlink_to(source)
    (folder / "nginx.conf").write_text(CONFIG.format(folder=folder, port=port))
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    server = subprocess.Popen([nginx, "-c", str(folder / "nginx.conf"), "-p", str(folder)], stderr=subprocess.DEVNULL)
    time.sleep(1)
    if server.poll() is not None:
        raise SystemExit(f"nginx did not start: {(folder / 'error.log').read_text()}")
    return server


def crawl(folder: Path, url: str) -> Run:
    """Into a folder of its own below the home, so that the second crawl finds the first."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-P", str(Path(__file__)), "--crawl", url]
    environ = {**os.environ, "CARAVAN_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT / "plugins")}
    environ |= {"MALLOC_ARENA_MAX": "2"}  # as ./caravan has it
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found, peak = done.stdout.split()[-2:]
    with duckdb.connect() as tables:
        pages, asked, size = tables.execute(
            "SELECT COUNT(*) FILTER (WHERE is_html), COUNT(*) FILTER (WHERE attempt_count > 0), "
            "COALESCE(SUM(wire_bytes), 0) FROM read_parquet($1)",
            [f"{found}/page/*.parquet"],
        ).fetchall()[0]
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(int(pages), int(asked), cpu, time.monotonic() - began, int(peak) / 1024, int(size))


def crawl_here(url: str) -> None:
    """The command's crawl, without its audit: prints where it is, and the peak memory in kB."""
    from caravan.assembly import site
    from caravan.config.settings import Settings

    settings = Settings.from_environment()
    plan = site.plan_of_address(url, rate=100_000, private=True)
    folder, last = site.choose_folders(plan, site.crawls_root(settings, url.split("/")[3] or "all"))
    site.crawl(plan, folder, settings, last=last)
    print(folder, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def logged(folder: Path) -> Counter[str]:
    lines = (folder / "access.log").read_text().splitlines()
    return Counter(line.split('"')[1].split()[1] for line in lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(PAGES))
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--port", type=int, default=18800)
    parser.add_argument("--dir", type=Path)
    parser.add_argument("--crawl", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.crawl:
        crawl_here(given.crawl)
        return 0
    if not given.folder.is_dir():
        raise SystemExit(f"{given.folder} is not there: apt install postgresql-doc-15 nginx-light, or give --folder")
    folder = Path(tempfile.mkdtemp(prefix="caravan-crawl-", dir=given.dir))
    folder.chmod(0o755)  # nginx's worker is somebody else
    server = serve(folder, given.folder, given.copies, given.port)
    try:
        base = f"http://127.0.0.1:{given.port}"
        start = crawl(folder, f"{base}/one/index.html")
        (folder / "access.log").write_text("")
        runs = {"from nothing": crawl(folder, f"{base}/"), "unchanged": crawl(folder, f"{base}/")}
        asked = {path: count for path, count in logged(folder).items() if not path.startswith(BESIDE)}
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"start of the process alone: {start.cpu_seconds:.1f} CPU s, {start.peak_mb:.0f} MB")
    words = ("pages", "CPU s", "wall s", "pages/CPU s", "pages/s", "peak MB", "bodies MB")
    print(" ".join([f"{'':<14}", *(f"{word:>11}" for word in words)]))
    speeds = {}
    for name, run in runs.items():
        cpu, wall = run.cpu_seconds - start.cpu_seconds, run.wall_seconds - start.wall_seconds
        speeds[name] = run.pages / cpu
        told = (run.pages, f"{cpu:.2f}", f"{wall:.1f}", f"{speeds[name]:.0f}", f"{run.pages / wall:.0f}")
        told += (f"{run.peak_mb:.0f}", f"{run.body_bytes / 1e6:.1f}")
        print(" ".join([f"{name:<14}", *(f"{value:>11}" for value in told)]))
    print(f"goals: {GOAL} (floor {FLOOR}) and {NIGHT_GOAL} pages per CPU s, {WALL_GOAL} pages/s; no bodies unchanged")
    twice = sum(count == 2 for count in asked.values())
    print(f"nginx logged {len(asked)} addresses, {twice} of them twice")
    return 0 if speeds["from nothing"] >= FLOOR and twice == len(asked) == runs["unchanged"].asked else 1


if __name__ == "__main__":
    sys.exit(main())
