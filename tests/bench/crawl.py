"""Pages that one crawl asks for and reads in a second of a processor, in full; the night after; its peak memory.

    python tests/bench/crawl.py [--folder /usr/share/doc/postgresql-doc-15/html] [--copies 1] [--dir DIR]
                                [--runs 3] [--peers [ENVIRONMENT]]

nginx on loopback serves a folder of real pages (Debian's postgresql-doc-15 unless told otherwise), `--copies` times,
each below a path of its own, without any delay and without TLS. Two crawls of it, each in a process of its own with
all of its threads: one from nothing, one with the validators of the first, of which nothing has changed. What is
counted is processor time, user and system, of the crawling process alone, less what the same command takes for a site
of one page: the start of an interpreter and of its libraries. `page` has to be what nginx logged. All of it `--runs`
times; told is the run of the median processor time, and the range, which is as wide as the machine is busy with others.

`--peers`: the same site by advertools and by bare Scrapy (crawl_peer.py), measured alike, each in a process of its own.
They are installed from crawl_peers.txt into a virtual environment at ENVIRONMENT, or one that is removed in the end.
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
import venv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests"))

import nginx_server  # noqa: E402  (beside the tests that use it)

PAGES, FLOOR, GOAL = "/usr/share/doc/postgresql-doc-15/html", 250, 500
NIGHT_GOAL, WALL_GOAL, PEER_GOAL = 2000, 300, 8
PEERS = ("advertools", "scrapy")
BESIDE = ("/robots.txt", "/sitemap.xml", "/missing-")
"""What a crawl asks for beside pages."""


@dataclass(frozen=True)
class Run:
    """`asked`: addresses that its own tables say were asked for."""

    pages: int
    asked: int
    cpu_seconds: float
    wall_seconds: float
    peak_mb: float
    body_bytes: int

    def less(self, start: Run) -> Run:
        """Without the start of its process."""
        cpu, wall = self.cpu_seconds - start.cpu_seconds, self.wall_seconds - start.wall_seconds
        return Run(self.pages, self.asked, cpu, wall, self.peak_mb, self.body_bytes)


def lay_out(www: Path, source: Path, copies: int) -> None:
    www.mkdir()
    links = "".join(f'<li><a href="/copy{number}/index.html">copy {number}</a></li>' for number in range(copies))
    (www / "index.html").write_text(f"<!doctype html><title>Copies</title><ul>{links}</ul>")
    (www / "one").mkdir()
    (www / "one/index.html").write_text("<!doctype html><title>One</title><p>One page")
    for number in range(copies):
        (www / f"copy{number}").symlink_to(source)


def measured(command: Sequence[str], environ: dict[str, str]) -> tuple[str, float, float]:
    """What it says, its processor and wall seconds."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.stdout, cpu, time.monotonic() - began


def crawl(home: Path, url: str) -> Run:
    """Into a folder of its own below the home, so that the second crawl finds the first; with what ./caravan sets."""
    environ = {**os.environ, "CARAVAN_HOME": str(home), "PYTHONPATH": str(ROOT / "plugins")}
    environ |= {"MALLOC_ARENA_MAX": "2", "ARROW_DEFAULT_MEMORY_POOL": "system", "OPENBLAS_NUM_THREADS": "1"}
    said, cpu, wall = measured([sys.executable, "-P", str(Path(__file__)), "--crawl", url], environ)
    found, peak = said.split()[-2:]
    with duckdb.connect() as tables:
        pages, asked, size = tables.execute(
            "SELECT COUNT(*) FILTER (WHERE is_html), COUNT(*) FILTER (WHERE attempt_count > 0), "
            "COALESCE(SUM(wire_bytes), 0) FROM read_parquet($1)",
            [f"{found}/page/*.parquet"],
        ).fetchall()[0]
    return Run(int(pages), int(asked), cpu, wall, int(peak) / 1024, int(size))


def crawl_here(url: str) -> None:
    """The command's crawl, without its audit: prints where it is, and the peak memory in kB."""
    from caravan.assembly import site
    from caravan.clients.crawl.frames import leave_out_pandas
    from caravan.config.settings import Settings

    leave_out_pandas()
    settings = Settings.from_environment()
    plan = site.plan_of_address(url, rate=100_000, private=True)
    folder, last = site.choose_folders(plan, site.crawls_root(settings, url.split("/")[3] or "all"))
    site.crawl(plan, folder, settings, last=last)
    print(folder, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def install_peers(folder: Path) -> Path | str:
    """Their Python, or why there is none. What is there already is only brought up to date."""
    python = folder / "bin/python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    wanted = str(Path(__file__).with_name("crawl_peers.txt"))
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", wanted]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
    return python if not done.returncode else f"pip could not install {wanted}: {lines[-1] if lines else 'no reason'}"


def crawl_by(peer: str, python: Path, folder: Path, port: int, path: str) -> Run:
    """`pages`: as nginx has logged them, since peers do not tell what they did not write."""
    output = folder / f"{peer}{path.count('/')}.jl"
    output.unlink(missing_ok=True)  # advertools would add to it
    before = len(nginx_server.logged(folder, port))
    command = [str(python), str(Path(__file__).with_name("crawl_peer.py")), peer, f"http://127.0.0.1:{port}{path}"]
    said, cpu, wall = measured([*command, str(output)], dict(os.environ))
    answers = [each for each in nginx_server.logged(folder, port)[before:] if not each.target.startswith(BESIDE)]
    pages = {each.target for each in answers if each.status_code == 200 and each.target.endswith(("/", ".html"))}
    rows = sum(1 for _ in output.open("rb"))
    if rows < len(pages):
        raise SystemExit(f"{peer} asked for {len(pages)} pages and wrote {rows}: its crawl failed")
    return Run(len(pages), len(answers), cpu, wall, int(said.split()[-1]) / 1024, sum(a.body_bytes for a in answers))


def median(runs: Sequence[Run]) -> Run:
    """The run of the median processor time, the later of two; with the peak memory of all."""
    middle = sorted(runs, key=lambda run: run.cpu_seconds)[len(runs) // 2]
    return replace(middle, peak_mb=max(run.peak_mb for run in runs))


def show(measurements: dict[str, Sequence[Run]]) -> None:
    words = ("pages", "CPU s", "wall s", "pages/CPU s", "pages/s", "peak MB", "bodies MB", "of all runs")
    print(" ".join([f"{'':<14}", *(f"{word:>11}" for word in words)]))
    for name, runs in measurements.items():
        run, speeds = median(runs), sorted(map(speed, runs))
        told = (run.pages, f"{run.cpu_seconds:.2f}", f"{run.wall_seconds:.1f}", f"{speed(run):.0f}")
        told += (f"{run.pages / run.wall_seconds:.0f}", f"{run.peak_mb:.0f}", f"{run.body_bytes / 1e6:.1f}")
        told += (f"{speeds[0]:.0f}-{speeds[-1]:.0f}",)
        print(" ".join([f"{name:<14}", *(f"{value:>11}" for value in told)]))


def speed(run: Run) -> float:
    """Pages in a second of a processor."""
    return run.pages / run.cpu_seconds


def working_folder(below: Path | None) -> Path:
    """A new one, in the system's place for such unless told; `below` is made where there is none."""
    if below is not None:
        below.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="caravan-crawl-", dir=below))
    folder.chmod(0o755)  # nginx's worker is somebody else
    return folder


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(PAGES))
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--dir", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--peers", type=Path, nargs="?", const=Path(), metavar="ENVIRONMENT")
    parser.add_argument("--crawl", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.crawl:
        crawl_here(given.crawl)
        return 0
    if not given.folder.is_dir() or nginx_server.program() is None:
        raise SystemExit(f"no {given.folder} or no nginx: apt install postgresql-doc-15 nginx-light, or give --folder")
    folder = working_folder(given.dir)
    try:
        return measure(folder, given)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure(folder: Path, given: argparse.Namespace) -> int:
    lay_out(folder / "www", given.folder, given.copies)
    peers = None
    if given.peers is not None:
        peers = install_peers(folder / "peers" if given.peers == Path() else given.peers.absolute())
        if isinstance(peers, str):
            print(f"Caravan alone: {peers}")
    (port,) = nginx_server.free_ports(1)
    starts: dict[str, list[Run]] = {}
    runs: dict[str, list[Run]] = {}
    is_whole = True
    with nginx_server.serve(folder, {port: f"charset utf-8; root {folder}/www;"}):
        for _ in range(given.runs):
            is_whole &= run_ours(folder, port, starts, runs)
            if isinstance(peers, Path):
                for peer in PEERS:
                    start = crawl_by(peer, peers, folder, port, "/one/index.html")
                    starts.setdefault(peer, []).append(start)
                    runs.setdefault(peer, []).append(crawl_by(peer, peers, folder, port, "/").less(start))
    for name, each in starts.items():
        start = median(each)
        print(f"start of {name} alone, taken off below: {start.cpu_seconds:.1f} CPU s, {start.peak_mb:.0f} MB")
    show(runs)
    print(f"goals: {GOAL} (floor {FLOOR}) and {NIGHT_GOAL} pages per CPU s, {WALL_GOAL} pages/s; no bodies unchanged")
    ours = speed(median(runs["from nothing"]))
    for peer in [each for each in PEERS if each in runs]:
        goal = f", goal {PEER_GOAL}" if peer == "advertools" else ""
        print(f"pages per CPU s, from nothing: {ours / speed(median(runs[peer])):.1f} times {peer}{goal}")
    return 0 if ours >= FLOOR and is_whole else 1


def run_ours(folder: Path, port: int, starts: dict[str, list[Run]], runs: dict[str, list[Run]]) -> bool:
    """Both crawls, once more; whether all that they asked for is what nginx logged, each address once a crawl."""
    home, base = folder / "home", f"http://127.0.0.1:{port}"
    start = crawl(home, f"{base}/one/index.html")
    known = len(nginx_server.logged(folder, port))
    crawls = {name: crawl(home, f"{base}/") for name in ("from nothing", "unchanged")}
    shutil.rmtree(home)
    starts.setdefault("Caravan", []).append(start)
    for name, run in crawls.items():
        runs.setdefault(name, []).append(run.less(start))
    logged = nginx_server.logged(folder, port)[known:]
    asked = Counter(each.target for each in logged if not each.target.startswith(BESIDE))
    twice = sum(count == 2 for count in asked.values())
    print(f"nginx logged {len(asked)} addresses, {twice} of them twice")
    return twice == len(asked) == crawls["from nothing"].asked == crawls["unchanged"].asked


if __name__ == "__main__":
    sys.exit(main())
