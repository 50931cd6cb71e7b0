"""A release through Airflow: planned and sent by its DAGs, once, whatever is run again; approved by a person."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "contracts"))
from release_world import ReleaseWorld, agreed

import caravan.assembly
from caravan.assembly import consistency, sending
from caravan.assembly.releases import hashes
from caravan.assembly.shelf import read_shelf
from caravan.cli import run as runner
from caravan.cli.run import RunResult
from caravan.clients.http import links
from caravan.clients.site import outlet as site_outlet
from caravan.clients.site.consistency import read_back
from caravan.core.errors import Rejected, Retryable

PLAN, SEND, APPROVE = "release_plan_hourly", "release_send_minutely", "release_approve_manual"
FEEDBACK = "release_feedback_hourly"
MAILED = ["anna@example.com", "ben@example.com"]
SENT = dict.fromkeys(["de-DE", "en-GB", *MAILED], "accepted") | {"dora@example.com": "skipped"}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReleaseWorld]:
    told = ModuleType("caravan.assembly.incidents")
    told.task_failed = told.run_ended = lambda *arguments: None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, told.__name__, told)
    monkeypatch.setattr(caravan.assembly, "incidents", told, raising=False)
    monkeypatch.setattr(runner, "LONGEST_RETRY_DELAY", timedelta(0))
    world = ReleaseWorld(tmp_path, monkeypatch)
    world.people(*agreed("anna"), *agreed("ben", "GB"), "dora@example.com,DE,,,,,Dora")
    yield world
    world.controller.stop()


@pytest.fixture(scope="module")
def dags(airflow_database: None) -> Any:
    """Of this file alone: a run shortens their retry delays."""
    return runner.load_dags()


def run(dags: Any, dag_id: str, **conf: Any) -> tuple[RunResult, str]:
    said: list[str] = []
    return runner.execute(dags, dag_id, conf, False, said.append), "\n".join(said)


def tasks(said: str) -> list[str]:
    """The mapped tasks that ran; a run in one process takes them in any order."""
    return sorted(line.strip() for line in said.splitlines() if line.endswith("]"))


def test_planned_twice_and_sent_three_times_each_leaves_once_and_cleared_none_more(world, dags):
    world.approve()
    for _ in range(2):
        result, said = run(dags, PLAN)
        assert result, said
        assert tasks(said) == ["plan [autumn]"]
    assert world.box.mails == [] and not (world.home / "site").exists(), "planning sends nothing"
    sent = []
    for _ in range(3):
        result, said = run(dags, SEND)
        assert result, said
        sent.append(tasks(said))
    assert sent == [["send [letter]", "send [site]"], [], []]
    assert (world.received(), world.states()) == (MAILED, SENT)
    assert "Teekannen" in (world.home / "site/de-DE/autumn/index.html").read_text()

    assert (run_again(dags, PLAN, "plan"), run_again(dags, SEND, "send")) == (["success"], ["success"] * 2)
    assert (world.received(), world.states()) == (MAILED, SENT)


def run_again(dags: Any, dag_id: str, task_id: str) -> list[str]:
    """Clear the mapped tasks of the newest run that had any, and run them again; their states."""
    from airflow.models.taskinstance import TaskInstance, clear_task_instances
    from airflow.sdk.definitions.dag import _run_task
    from airflow.utils.session import create_session
    from sqlalchemy import select

    of_task = TaskInstance.dag_id == dag_id, TaskInstance.task_id == task_id, TaskInstance.map_index >= 0
    with create_session() as session:
        newest = session.scalar(select(TaskInstance.run_id).where(*of_task).order_by(TaskInstance.start_date.desc()))
        instances = select(TaskInstance).where(*of_task, TaskInstance.run_id == newest)
        clear_task_instances(list(session.scalars(instances)), session)
        session.commit()
        found = list(session.scalars(instances))
        for each in found:
            assert each.state is None
            each.try_number += 1
            session.commit()
            _run_task(ti=each, task=dags.dags[dag_id].task_dict[task_id])
        return [each.state.value for each in found]


def test_what_differs_from_what_has_left_keeps_the_run_red(world, dags, monkeypatch):
    def unreached(url: str, store: Any = None) -> Any:
        if store is None:
            raise Retryable("nobody is asked here")
        return read_back(url, store)

    monkeypatch.setattr(consistency, "utc_now", lambda: world.now)
    monkeypatch.setattr(site_outlet, "read_back", unreached)
    monkeypatch.setattr(links, "status", lambda url: 200)
    world.approve()
    world.plan()
    sending.send("site")
    world.now += timedelta(hours=1)
    page = world.home / "site/de-DE/autumn/index.html"
    page.write_text(page.read_text().replace("Teekannen im Herbst</title>", "Sale!</title>"))
    result, said = run(dags, FEEDBACK)
    assert not result and tasks(said) == ["check_outlet [site]", "collect [letter]"], said
    assert "RELEASE_DIFFERS" in said and "autumn on site, de-DE: text: lacks its title" in said, said


def test_what_nobody_has_approved_waits_and_is_no_failure(world, dags):
    for dag_id in (PLAN, SEND):
        result, said = run(dags, dag_id)
        assert result, said
    assert (world.states(), world.box.mails) == ({}, [])


def test_an_outlet_with_a_fault_fails_and_stops_no_other(world, dags):
    world.approve()
    assert run(dags, PLAN)[0]
    path = world.config / "outlets/letter.yml"
    sound = path.read_text()
    path.write_text(sound.replace("sender:", "sendr:"))
    result, said = run(dags, SEND)
    assert sorted(result.failures) == ["send [letter]", "verdict"], said
    assert "outlets/letter.yml:5 sendr: unknown key 'sendr'" in result.failures["send [letter]"]
    assert world.states()["en-GB"] == "accepted" and world.box.mails == []
    path.write_text(sound)
    result, said = run(dags, SEND)
    assert result, said
    assert (world.received(), world.states()) == (MAILED, SENT)


def test_a_release_with_a_fault_or_that_its_list_refuses_stops_no_other(world, dags):
    for name, spoilt in (("spring", "list: letters\nkindd: news\n"), ("winter", "list: gone\n")):
        other = world.folder.with_name(name)
        other.mkdir()
        for path in world.folder.iterdir():
            text = path.read_text().replace("id: autumn", f"id: {name}").replace("list: letters\n", spoilt)
            (other / path.name).write_text(text)
    world.approve()
    result, said = run(dags, PLAN)
    assert tasks(said) == ["plan [autumn]", "plan [winter]"], "a file's fault is told by the first task's log"
    assert sorted(result.failures) == ["plan [winter]", "verdict"], said
    assert "there is no list 'gone'" in result.failures["plan [winter]"]
    assert set(world.states()) == set(SENT)


@pytest.mark.parametrize("dag_id", [PLAN, SEND, APPROVE])
def test_no_backfill_plans_sends_or_asks(world, dags, dag_id):
    from airflow.exceptions import DagRunTypeNotAllowed
    from airflow.models.backfill import ReprocessBehavior, _create_backfill

    days = {"from_date": datetime(2026, 11, 24, tzinfo=UTC), "to_date": datetime(2026, 11, 25, tzinfo=UTC)}
    how = {"max_active_runs": 1, "reverse": False, "dag_run_conf": None, "triggering_user_name": "test"}
    sync(dags)
    with pytest.raises(DagRunTypeNotAllowed, match="does not allow backfill runs"):
        _create_backfill(dag_id=dag_id, **days, **how, reprocess_behavior=ReprocessBehavior.NONE)


def sync(dags: Any) -> None:
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import sync_bag_to_db

    DagBundlesManager().sync_bundles_to_db()
    sync_bag_to_db(dags, "dags-folder", None)


@pytest.fixture(scope="module")
def server(airflow_database: None) -> Iterator[Any]:
    """Airflow's API server."""
    from airflow.api_fastapi.app import create_app, purge_cached_app

    yield create_app(apps="core")
    purge_cached_app()


class Person(threading.Thread):
    """Waits for the question, looks at it, and answers as `user` over the REST API, as the page does."""

    def __init__(self, server: Any, user: str, choice: str, before: Any = None) -> None:
        super().__init__(daemon=True)
        self.server, self.user, self.choice, self.before = server, user, choice, before
        self.asked: dict[str, Any] = {}
        self.status = 0

    def run(self) -> None:
        from airflow.api_fastapi.app import get_auth_manager
        from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
        from fastapi.testclient import TestClient

        token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=self.user, role="op"))
        client = TestClient(self.server, headers={"Authorization": f"Bearer {token}"})
        ends = time.monotonic() + 30
        while (run_id := waiting()) is None:
            if time.monotonic() > ends:
                return
            time.sleep(0.2)
        asked = f"/api/v2/dags/{APPROVE}/dagRuns/{run_id}/taskInstances/ask_approver/-1/hitlDetails"
        self.asked = client.get(asked).json()
        if self.before:
            self.before()
        self.status = client.patch(asked, json={"chosen_options": [self.choice]}).status_code


def waiting() -> str | None:
    """The run whose question waits for an answer."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        mine = TaskInstance.dag_id == APPROVE, TaskInstance.state == "awaiting_input"
        return session.scalar(select(TaskInstance.run_id).where(*mine))


def ask(dags: Any, person: Person) -> dict[str, str]:
    """Run the DAG to its end; the states of its tasks."""
    for task in dags.dags[APPROVE].tasks:
        task.retries = 0  # nothing here waits for a second try
    person.start()
    done = dags.dags[APPROVE].test(run_conf={"release_id": "autumn"})
    person.join()
    assert person.status == 200
    return {each.task_id: str(each.state) for each in done.get_task_instances()} | {"run": str(done.state)}


def approvals(world: ReleaseWorld) -> list[tuple[str, str, str]]:
    with world.desk() as desk:
        return [(each.approver, each.source, each.content_hash) for each in desk.releases.approvals("autumn")]


def events() -> int:
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import func, select

    of_asset = select(func.count()).select_from(AssetEvent).join(AssetModel, AssetModel.id == AssetEvent.asset_id)
    with create_session() as session:
        return session.scalar(of_asset.where(AssetModel.name == "release_approvals"))


def test_who_answers_in_airflow_has_approved_and_it_is_planned(world, dags, server):
    (content,) = hashes(read_shelf(world.config)).values()
    person, before = Person(server, "omar", "Approve"), events()
    states = ask(dags, person)
    assert set(states.values()) == {"success"}
    assert approvals(world) == [("omar", "airflow", content)]
    assert events() == before + 1, "planning is woken"
    assert person.asked["subject"] == "Approve autumn, revision 1: Autumn teapots"
    assert person.asked["assigned_users"] == []
    for part in (content, "Teekannen im Herbst", "[unsere Kannen](https://www.example.com/pots)", "approved by 0 of 1"):
        assert part in person.asked["body"]
    assert world.states() == {}, "it plans nothing itself"
    assert run(dags, PLAN)[0] and run(dags, SEND)[0]
    assert (world.received(), world.states()) == (MAILED, SENT)


@pytest.mark.parametrize(
    ("user", "choice", "edited", "written"),
    [("omar", "Reject", False, "skipped"), ("maria", "Approve", False, "failed"), ("omar", "Approve", True, "failed")],
)
def test_a_no_an_author_or_files_changed_meanwhile_approve_nothing(world, dags, server, user, choice, edited, written):
    def edit() -> None:
        text = world.folder / "de-DE.md"
        text.write_text(text.read_text().replace("unsere", "andere"))

    before = events()
    states = ask(dags, Person(server, user, choice, edit if edited else None))
    ended = "success" if written == "skipped" else "failed"
    assert (states["ask_approver"], states["write_approval"], states["verdict"]) == ("success", written, ended)
    assert (states["run"], approvals(world), events()) == (ended, [], before)


def test_nobody_is_asked_for_what_cannot_go_out_or_by_a_run_by_command(world, dags):
    result, _ = run(dags, APPROVE, release_id="autumm")
    assert "there is no release 'autumm'; did you mean 'autumn'?" in result.failures["show_release"]
    result, _ = run(dags, APPROVE, release_id="autumn")
    assert result.failures["ask_approver"].startswith("NOBODY_TO_ASK: a run by command has no page")
    assert result.not_run == ("write_approval",)


def test_without_an_answer_in_time_nothing_is_approved_and_it_is_not_tried_again(dags):
    asked = dags.dags[APPROVE].get_task("ask_approver")
    with pytest.raises(Rejected, match=r"NOT_ANSWERED: nobody answered within 3 days, 0:00:00"):
        asked.execute_complete({}, {"error": "late", "error_type": "timeout"})
    assert type(asked.retry_policy).__name__ == "RetryByError"
