"""Locks, requirements and image agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from caravan import PROJECT_ROOT

VERSIONS = ("3.11", "3.12", "3.13")


def requirements(name: str) -> list[Requirement]:
    """What a requirements file names, hashes and options left out."""
    lines = (PROJECT_ROOT / name).read_text(encoding="utf-8").splitlines()
    named = [line.removesuffix("\\").strip() for line in lines if line[:1].isalnum()]
    assert named, f"{name} names nothing"
    return [Requirement(line.split(" #")[0]) for line in named]


def pins(name: str, python: str) -> dict[str, str]:
    """Package to version for one Python on Linux."""
    environment = {"python_version": python, "python_full_version": f"{python}.9", "sys_platform": "linux"}
    found: dict[str, str] = {}
    for requirement in requirements(name):
        if requirement.marker is None or requirement.marker.evaluate(environment):
            (specifier,) = requirement.specifier
            assert specifier.operator == "==", f"{requirement} in {name} is no pin"
            assert canonicalize_name(requirement.name) not in found, f"{requirement.name} is pinned twice for {python}"
            found[canonicalize_name(requirement.name)] = specifier.version
    return found


@pytest.mark.parametrize("python", VERSIONS)
@pytest.mark.parametrize(
    ("wanted", "lock"), [("requirements.in", "requirements.txt"), ("requirements-dev.in", "requirements-dev.txt")]
)
def test_every_requirement_is_locked_as_asked(wanted: str, lock: str, python: str) -> None:
    locked = pins(lock, python)
    for requirement in requirements(wanted):
        version = locked.get(canonicalize_name(requirement.name))
        assert version, f"{requirement.name} is not in {lock}: run `make lock`"
        assert requirement.specifier.contains(version, prereleases=True), f"{lock} has {requirement.name} {version}"


@pytest.mark.parametrize("python", VERSIONS)
def test_tests_run_on_the_versions_that_are_shipped(python: str) -> None:
    runtime, development = pins("requirements.txt", python), pins("requirements-dev.txt", python)
    assert {name: development.get(name) for name in runtime} == runtime


@pytest.mark.parametrize("lock", ["requirements.txt", "requirements-dev.txt"])
def test_every_pin_has_hashes(lock: str) -> None:
    text = (PROJECT_ROOT / lock).read_text(encoding="utf-8")
    pinned = re.findall(r"^[A-Za-z0-9][^\n]*==[^\n]*", text, flags=re.M)
    hashed = re.findall(r"^[A-Za-z0-9][^\n]*==[^\n]*\\\n    --hash=sha256:[0-9a-f]{64}", text, flags=re.M)
    assert len(pinned) > 50
    assert len(hashed) == len(pinned)


def test_image_holds_the_runtime_set_only() -> None:
    dockerfile = Path(PROJECT_ROOT / "Dockerfile").read_text(encoding="utf-8")
    base = re.search(r"^ARG BASE_IMAGE=python:(\d+\.\d+)-", dockerfile, flags=re.M)
    assert base, "the Dockerfile has no ARG BASE_IMAGE=python:..."
    assert base[1] in VERSIONS
    assert "./caravan setup\n" in dockerfile
    assert "--dev" not in dockerfile
    copied = set(re.findall(r"^COPY (.+) \S+$", dockerfile, flags=re.M))
    assert copied == {"caravan requirements.txt", "dags", "include", "plugins"}
    sent = set((PROJECT_ROOT / ".dockerignore").read_text(encoding="utf-8").split())
    assert {f"!{name}" for line in copied for name in line.split()} <= sent
    assert "requirements-dev.txt" not in dockerfile
    assert re.search(r"^USER (?!root)", dockerfile, flags=re.M)
    assert "HEALTHCHECK" in dockerfile
