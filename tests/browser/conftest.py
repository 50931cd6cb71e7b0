"""A browser and a live Airflow. The browser is the system's Chromium: none is downloaded."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from live_airflow import caravan, free_port
from playwright.sync_api import Browser, expect, sync_playwright

from caravan import INCLUDE_DIR
from caravan.config.loader import load
from caravan.demo.orders import FEWEST_DAYS, generate
from caravan.demo.truth import Truth

CHANNEL = "shop_de"
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
"""It runs as root in a container, and speaks to this machine only."""
expect.set_options(timeout=30_000)  # milliseconds; a page of a server that has just started takes its time


@dataclass(frozen=True)
class Server:
    """Airflow with one channel whose files wait to be collected."""

    home: Path
    url: str
    password: str
    truth: Truth
    environ: dict[str, str]

    def caravan(self, *arguments: str) -> str:
        done = caravan(self.home, *arguments, **self.environ)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = os.environ.get("CARAVAN_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no chromium on PATH; CARAVAN_CHROMIUM may name one")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def server(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`browser`: without one nothing has to be started."""
    home = tmp_path_factory.mktemp("browser") / "home"
    config = home / "config"
    shutil.copytree(INCLUDE_DIR / "config", config, ignore=lambda folder, names: _other_channels(folder, names))
    truth = generate(home, load(config), days=FEWEST_DAYS)
    port, environ = free_port(), {"CARAVAN_CONFIG": str(config)}
    began = caravan(home, "up", "--port", str(port), **environ)
    assert began.returncode == 0, began.stdout + began.stderr
    password = json.loads((home / "airflow" / "passwords.json").read_text())["admin"]
    try:
        yield Server(home, f"http://127.0.0.1:{port}", password, truth, environ)
    finally:
        caravan(home, "down")


def _other_channels(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if name != f"{CHANNEL}.yml"} if Path(folder).name == "channels" else set()
