"""A release asked about before it leaves: its links and its page to unsubscribe, on servers of this machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from release_world import ReleaseWorld
from test_notify import free_port
from typer.testing import CliRunner

from caravan.assembly import feedback
from caravan.assembly.check import check
from caravan.cli.main import app
from caravan.clients.http.probe import Probe, without_tracking
from caravan.clients.mail.tokens import Keys, Links
from caravan.clients.mail.unsubscribing import trials

LINKS = Links("https://www.example.com/unsubscribe", Keys("k1", {"k1": b"0123456789abcdef"}))


class Shop(ThreadingHTTPServer):
    """`asked`: methods and paths. By path: how it answers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.asked: list[tuple[str, str]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Answering(BaseHTTPRequestHandler):
    server: Shop

    def answer(self) -> None:
        self.server.asked.append((self.command, self.path))
        path = self.path.partition("?")[0]
        where = {"/old": "/pots", "/away": f"http://localhost:{self.server.server_port}/pots", "/round": "/round",
                 "/file": "ftp://x.example/", "/nowhere": "http://[::1/"}.get(path)  # fmt: skip
        refused = {"/gone": 404, "/broken": 500, "/no_head": 405 if self.command == "HEAD" else 200}.get(path, 200)
        self.send_response(302 if where else refused)
        if where:
            self.send_header("Location", where)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_POST = answer

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def shop() -> Iterator[Shop]:
    with Shop() as shop:
        thread = threading.Thread(target=shop.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield shop
        shop.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("path", "status", "problem", "asked"),
    [
        ("/pots", 200, "", ["HEAD /pots"]),
        ("/pots?utm_source=mail&id=7&UTM_medium=x#top", 200, "", ["HEAD /pots?id=7"]),
        ("/no_head", 200, "", ["HEAD /no_head", "GET /no_head"]),
        ("/gone", 404, "", ["HEAD /gone", "GET /gone"]),
        ("/broken", 500, "", ["HEAD /broken", "GET /broken"]),
        ("/old", 200, "", ["HEAD /old", "HEAD /pots"]),
        ("/file", None, "leads to what is no web address", ["HEAD /file", "GET /file"]),
        ("/nowhere", None, "does not answer as HTTP does", ["HEAD /nowhere", "GET /nowhere"]),
        ("/round", None, "leads on and on, more than 5 times", ["HEAD /round"] * 6 + ["GET /round"] * 6),
    ],
)
def test_a_link_is_followed_as_nobody(shop, path, status, problem, asked):
    with Probe() as probe:
        answer = probe.follow(shop.url + path)
    assert (answer.status, answer.problem) == (status, problem)
    assert [" ".join(each) for each in shop.asked] == asked


def test_where_nobody_answers_is_said_without_the_address():
    with Probe((0.2, 0.2)) as probe:
        assert probe.follow(f"http://127.0.0.1:{free_port()}/secret").problem == "cannot be reached"
        assert probe.follow("http://[::1/").problem == "is no web address"


def test_tracking_is_left_out_and_nothing_else():
    assert without_tracking("https://x.example/a?b=%20&utm_id=1&c&gclid=x") == "https://x.example/a?b=%20&c"
    assert without_tracking("https://x.example/a?futm_x=1") == "https://x.example/a?futm_x=1"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReleaseWorld]:
    world = ReleaseWorld(tmp_path, monkeypatch)
    (world.config / "releases.yml").write_text("link_schemes: [http, https]\nstaging_hosts: []\n")
    world.people()
    yield world
    world.controller.stop()


def text(world: ReleaseWorld, locale: str, *links: str) -> None:
    body = "".join(f"See [{number}]({link}).\n" for number, link in enumerate(links))
    (world.folder / f"{locale}.md").write_text(f"---\ntitle: Pots\nsummary: New.\n---\n{body}")


def unsubscribe_at(world: ReleaseWorld, url: str) -> None:
    path = world.config / "outlets" / "letter.yml"
    path.write_text(path.read_text().replace("https://www.example.com/unsubscribe", url))


def test_a_sound_release_is_all_answers(world, shop):
    text(world, "en-GB", f"{shop.url}/pots", f"{shop.url}/away")
    text(world, "de-DE", f"{shop.url}/pots", f"{shop.url}/old")
    with feedback.served(0) as address:
        unsubscribe_at(world, address)
        found, faults = check("autumn")
        ran = CliRunner().invoke(app, ["release", "check", "autumn"])
    assert [str(fault) for fault in faults] == []
    assert [(each.what.removeprefix(shop.url), each.answer) for each in found[:3]] == [
        ("/pots", "200"), ("/old", "200"), ("/away", "200")
    ]  # fmt: skip
    assert [bool(each.leads_to) for each in found[:3]] == [False, False, True]
    assert [each.answer for each in found[3:]] == ["200", "404", "200"]
    assert ran.exit_code == 0 and ran.output.endswith("6 asked, nothing wrong\n")
    assert world.box.mails == [] and not (world.home / "site").exists()
    with world.desk() as desk:
        assert desk.outbox.find() == [] and desk.contacts.consent(desk.subject_of("anna@example.com")) == []


def test_what_is_wrong_is_told_with_file_and_line(world, shop):
    text(world, "en-GB", f"{shop.url}/pots", f"{shop.url}/gone")
    text(world, "de-DE", f"http://127.0.0.1:{free_port()}/x")
    unsubscribe_at(world, f"{shop.url}/catch-all")
    _, faults = check("autumn")
    page = f"letter: {shop.url}/catch-all"
    assert [str(fault).replace(shop.url, "SHOP") for fault in faults if "catch-all" not in str(fault)] == [
        f"releases/autumn/de-DE.md:5: the link {next(iter(_links(world)))} gives no answer",
        "releases/autumn/en-GB.md:6: the link SHOP/gone answers 404",
    ]
    assert [str(fault) for fault in faults if "catch-all" in str(fault)] == [
        f"{page} refuses a link that nobody signed: answers 200 instead of 404",
        f"{page} shows its page: shows no button that unsubscribes",
    ]
    assert CliRunner().invoke(app, ["release", "check", "autumn"]).exit_code == 1


def _links(world: ReleaseWorld) -> list[str]:
    return [(world.folder / "de-DE.md").read_text().partition("(")[2].partition(")")[0]]


class Dead:
    status, problem, text = None, "cannot be reached", ""

    def ask(self, method: str, url: str, **rest: object) -> Dead:
        return self


def test_a_page_that_is_not_there_is_three_faults_and_no_link_is_shown():
    found = list(trials(LINKS, "letter", "en", Dead()))
    assert [each.problem for each in found] == ["cannot be reached"] * 3
    assert "1.k1." not in str(found)


def test_what_outlets_say_is_told_as_well(world, shop, monkeypatch):
    text(world, "en-GB", f"{shop.url}/pots")
    text(world, "de-DE", f"{shop.url}/pots")
    monkeypatch.delenv("AIRFLOW_CONN_SMTP_LETTER")
    with feedback.served(0) as address:
        unsubscribe_at(world, address)
        _, faults = check("autumn")
    assert ["smtp_letter" in str(fault) for fault in faults] == [True]
