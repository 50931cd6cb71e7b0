"""The launcher `./caravan`, run for real with interpreters that only play their part."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from caravan import PROJECT_ROOT

# Plays `python`: answers the launcher's probe, makes environments, installs, runs. Each start is a line in $CALLS.
FAKE_PYTHON = r"""#!/bin/sh
printf '%s\n' "python $*" >>"$CALLS"
case "$*" in
    *"import sys"*) printf '%s\n%s\n' VERSION "$0"; exit FITS ;;
    "-m venv "*) mkdir -p "$3/bin" && : >"$3/pyvenv.cfg" && ln -s "$0" "$3/bin/python" ;;
    "-m pip --version"*) ;;
    "-m pip install"*) sleep "${INSTALL_SECONDS:-0}"; exit "${INSTALL_CODE:-0}" ;;
    "-P -m caravan"*) shift 3; printf 'PYTHONPATH=%s\n' "$PYTHONPATH"; printf '[%s]\n' "$@" ;;
    *) exit 64 ;;
esac
"""
FAKE_UV = r"""#!/bin/sh
printf '%s\n' "uv $*" >>"$CALLS"
case "$1 $2" in
    "--version ") exit UV_CODE ;;
    "venv "*) for last; do :; done; mkdir -p "$last/bin" && : >"$last/pyvenv.cfg" && ln -s "$5" "$last/bin/python" ;;
    "pip install") ;;
    *) exit 64 ;;
esac
"""
SHIM = "#!/bin/sh\necho 'pyenv: command not found' >&2\nexit 127\n"
TOOLS = ("sh", "dirname", "readlink", "sha256sum", "cut", "flock", "mkdir", "rm", "ln", "head", "tail", "sleep")


@dataclass
class Project:
    """A clone with the launcher and locks alone, and a PATH with nothing but the tools it needs."""

    root: Path
    path: Path
    calls_file: Path

    @property
    def venv(self) -> Path:
        return self.root / ".venv"

    @property
    def calls(self) -> list[str]:
        return self.calls_file.read_text().splitlines() if self.calls_file.exists() else []

    def add(self, name: str, text: str) -> Path:
        file = self.path / name
        file.write_text(text)
        file.chmod(0o755)
        return file

    def add_python(self, name: str, version: str) -> Path:
        fits = version in ("3.11", "3.12", "3.13")
        return self.add(name, FAKE_PYTHON.replace("VERSION", version).replace("FITS", "0" if fits else "1"))

    def start(self, *arguments: str, launcher: Path | None = None, cwd: Path | None = None, **environ: str):
        return subprocess.Popen(
            [str(launcher or self.root / "caravan"), *arguments],
            cwd=cwd or self.root,
            env={"PATH": str(self.path), "CALLS": str(self.calls_file), **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, **options)
        out, err = process.communicate(timeout=30)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def installs(self) -> list[str]:
        return [call for call in self.calls if " install " in call]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    root, path = tmp_path / "my clone", tmp_path / "bin"
    root.mkdir()
    path.mkdir()
    shutil.copy2(PROJECT_ROOT / "caravan", root)
    (root / "requirements.txt").write_text("a==1\n")
    (root / "requirements-dev.txt").write_text("b==1\n")
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found, f"the launcher needs {tool}"
        (path / tool).symlink_to(found)
    return Project(root, path, tmp_path / "calls")


@pytest.mark.parametrize(
    ("interpreters", "chosen"),
    [
        ({"python3.11": "3.11", "python3.12": "3.12", "python3.13": "3.13"}, "python3.13"),
        ({"python3.11": "3.11", "python3.12": "3.12"}, "python3.12"),
        ({"python3.13": "shim", "python3.12": "shim", "python3.11": "3.11"}, "python3.11"),
        ({"python3.13": "shim", "python3": "3.12"}, "python3"),
        ({"python3": "3.13"}, "python3"),
    ],
)
def test_first_interpreter_that_runs_and_fits(project: Project, interpreters: dict[str, str], chosen: str) -> None:
    for name, version in interpreters.items():
        project.add(name, SHIM) if version == "shim" else project.add_python(name, version)
    done = project.run("check")
    assert done.returncode == 0, done.stderr
    assert (project.venv / "bin/python").resolve() == project.path / chosen


def test_a_later_place_on_path_is_tried_after_a_broken_one(project: Project, tmp_path: Path) -> None:
    project.add("python3.11", SHIM)
    second = tmp_path / "second bin"
    second.mkdir()
    working = project.add_python("python3.11x", "3.11").rename(second / "python3.11")
    done = project.run("check", PATH=f"{project.path}:{second}")
    assert done.returncode == 0, done.stderr
    assert (project.venv / "bin/python").resolve() == working


@pytest.mark.parametrize(
    ("interpreters", "environ", "message"),
    [
        ({}, {}, "none is on PATH"),
        ({"python3": "3.10"}, {}, "python3 is Python 3.10"),
        ({"python3": "3.14"}, {}, "python3 is Python 3.14"),
        ({"python3.12": "shim"}, {}, "python3.12 does not run: pyenv: command not found"),
        ({"python3.12": "3.12", "old": "3.9"}, {"PYTHON": "old"}, "old is Python 3.9"),
        ({"python3.12": "3.12"}, {"PYTHON": "/nowhere/python"}, "/nowhere/python does not run"),
    ],
)
def test_message_when_no_interpreter_fits(
    project: Project, interpreters: dict[str, str], environ: dict[str, str], message: str
) -> None:
    for name, version in interpreters.items():
        project.add(name, SHIM) if version == "shim" else project.add_python(name, version)
    done = project.run("check", **environ)
    assert done.returncode == 1
    assert message in done.stderr
    assert "PYTHON=/path/to" in done.stderr
    assert not project.venv.exists()


def test_an_interpreter_that_cannot_make_environments_is_passed_over(project: Project) -> None:
    broken = FAKE_PYTHON.replace('"-m venv "*)', '"-m venv "*) exit 1;; never)')
    project.add("python3.13", broken.replace("VERSION", "3.13").replace("FITS", "0"))
    refused = project.run("check")
    assert "apt install python3.13-venv" in refused.stderr
    project.add_python("python3.11", "3.11")
    assert project.run("check").returncode == 0
    assert (project.venv / "bin/python").resolve().name == "python3.11"


def test_second_call_only_starts_caravan(project: Project) -> None:
    project.add_python("python3.12", "3.12")
    assert project.run("check").returncode == 0
    assert len(project.installs()) == 1
    before = len(project.calls)
    done = project.run("check")
    assert project.calls[before:] == ["python -P -m caravan check"]
    assert done.stderr == ""


def test_arguments_symlink_spaces_and_folder(project: Project, tmp_path: Path) -> None:
    project.add_python("python3.12", "3.12")
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    link, link_to_link = elsewhere / "link", elsewhere / "link to link"
    link.symlink_to(Path("..") / "my clone" / "caravan")
    link_to_link.symlink_to("link")
    done = project.run("query", "SELECT 'a  b'", "*", "", launcher=link_to_link, cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"PYTHONPATH={project.root}/plugins", "[query]", "[SELECT 'a  b']", "[*]", "[]"]
    assert project.venv.is_dir()


@pytest.mark.parametrize(
    ("uv_code", "tool"), [("0", "uv pip install"), ("1", "python -m pip install")], ids=["uv", "uv that fails"]
)
def test_uv_when_it_runs_else_pip(project: Project, uv_code: str, tool: str) -> None:
    project.add_python("python3.12", "3.12")
    project.add("uv", FAKE_UV.replace("UV_CODE", uv_code))
    done = project.run("check")
    assert done.returncode == 0, done.stderr
    assert [call[: len(tool)] for call in project.installs()] == [tool]
    assert all("--require-hashes" in call for call in project.installs())


def test_setup_installs_the_runtime_and_dev_adds_its_own(project: Project) -> None:
    project.add_python("python3.12", "3.12")
    assert project.run("setup").returncode == 0
    assert [call.split("/")[-1] for call in project.installs()] == ["requirements.txt"]
    for _ in range(2):
        assert project.run("setup", "--dev").returncode == 0
    assert [call.split("/")[-1] for call in project.installs()] == ["requirements.txt", "requirements-dev.txt"]
    assert not [call for call in project.calls if "caravan" in call.split("/")[0]], "setup runs no command"


def test_unknown_option_of_setup_is_refused(project: Project) -> None:
    done = project.run("setup", "--devel")
    assert (done.returncode, project.calls) == (1, [])
    assert "--devel" in done.stderr


def test_changed_lock_is_installed_into_the_same_environment(project: Project) -> None:
    project.add_python("python3.12", "3.12")
    project.run("check")
    (project.venv / "kept").touch()
    (project.root / "requirements.txt").write_text("a==2\n")
    assert project.run("check").returncode == 0
    assert len(project.installs()) == 2
    assert (project.venv / "kept").exists()


def test_environment_made_by_hand_is_kept(project: Project) -> None:
    fake = project.add_python("python3.12", "3.12")
    (project.venv / "bin").mkdir(parents=True)
    (project.venv / "pyvenv.cfg").touch()
    (project.venv / "bin/python").symlink_to(fake)
    (project.venv / "kept").touch()
    assert project.run("check").returncode == 0
    assert len(project.installs()) == 1
    assert (project.venv / "kept").exists()


def remove_interpreter(project: Project) -> dict[str, str]:
    (project.path / "python3.12").unlink()
    project.add_python("python3.11", "3.11")
    return {}


def move_clone(project: Project) -> dict[str, str]:
    project.root = project.root.rename(project.root.with_name("moved"))
    return {}


def ask_for_another(project: Project) -> dict[str, str]:
    project.add_python("python3.11", "3.11")
    return {"PYTHON": "python3.11"}


@pytest.mark.parametrize("change", [remove_interpreter, move_clone, ask_for_another])
def test_environment_is_made_anew_when_it_no_longer_fits(project: Project, change) -> None:
    project.add_python("python3.12", "3.12")
    project.run("check")
    (project.venv / "left over").touch()
    environ = change(project)
    done = project.run("check", **environ)
    assert done.returncode == 0, done.stderr
    assert len(project.installs()) == 2
    assert not (project.venv / "left over").exists()
    before = len(project.calls)
    project.run("check", **environ)
    assert len(project.calls) == before + 1


def test_failed_installation_is_told_and_repaired(project: Project) -> None:
    project.add_python("python3.12", "3.12")
    failed = project.run("check", INSTALL_CODE="1")
    assert failed.returncode == 1
    assert "could not be installed" in failed.stderr
    assert "-P -m caravan" not in " ".join(project.calls)
    done = project.run("check")
    assert "did not finish" in done.stderr
    assert done.returncode == 0
    assert len([call for call in project.calls if "-m venv" in call]) == 2


def test_killed_setup_is_detected_and_repaired(project: Project) -> None:
    project.add_python("python3.12", "3.12")
    process = project.start("check", INSTALL_SECONDS="30")
    wait_for(lambda: project.installs())
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=10)
    done = project.run("check")
    assert done.returncode == 0, done.stderr
    assert "did not finish" in done.stderr
    assert len(project.installs()) == 2


def test_two_at_once_install_once(project: Project) -> None:
    project.add_python("python3.12", "3.12")
    first = project.start("check", INSTALL_SECONDS="1")
    wait_for(lambda: project.installs())
    second = project.run("check", INSTALL_SECONDS="1")
    first.communicate(timeout=10)
    assert (first.returncode, second.returncode) == (0, 0)
    assert "waiting for it" in second.stderr
    assert len(project.installs()) == 1


def test_a_folder_that_is_no_environment_is_left_alone(project: Project, tmp_path: Path) -> None:
    project.add_python("python3.12", "3.12")
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "cat.jpg").touch()
    done = project.run("check", CARAVAN_VENV=str(photos))
    assert done.returncode == 1
    assert "is no virtual environment" in done.stderr
    assert [file.name for file in photos.iterdir()] == ["cat.jpg"]
    assert project.run("check", CARAVAN_VENV="other").returncode == 0
    assert (project.root / "other/bin/python").exists()


def test_plain_shell_is_enough() -> None:
    dash = shutil.which("dash")
    if dash is None:
        pytest.skip("dash is not installed")
    checked = subprocess.run([dash, "-n", str(PROJECT_ROOT / "caravan")], capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")


def wait_for(condition, timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
