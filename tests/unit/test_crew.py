"""Threads that ask: as many as jobs and the processor wait for, and no more jobs than the one that reads can take."""

import threading
import time

import pytest

from caravan.clients.crawl.crew import Crew


class Clock:
    """`now`: seconds; `spent`: those of a processor."""

    now = spent = 100.0


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def crew(clock):
    made = Crew(5, lambda: clock.now, lambda: clock.spent)
    yield made
    made.end()


def test_a_server_that_answers_at_once_needs_one_thread(crew):
    done = []
    for number in range(20):
        crew.give(lambda number=number: number, done.append)
        crew.take(5.0)
    assert (done, len(crew._threads)) == (list(range(20)), 1)


@pytest.mark.parametrize(
    ("spent", "threads"),
    [(0.0, [2, 4, 5]), (0.19, [2, 4, 5]), (0.21, [2, 2, 2]), (0.5, [2, 2, 2])],
)
def test_a_slow_server_gets_as_many_as_there_may_be_unless_the_processor_has_no_time(crew, clock, spent, threads):
    done, answer, seen = [], threading.Event(), []
    for number in range(9):
        crew.give(lambda number=number: answer.wait(5.0) and number, done.append)
    for _ in threads:
        crew.take(0.0)
        seen.append(len(crew._threads))
        clock.now += 0.26
        clock.spent += spent
    assert (seen, crew.under_way, crew.has_room) == (threads, 9, True)
    answer.set()
    while crew.under_way:
        crew.take(5.0)
    assert sorted(done) == list(range(9))


def test_results_that_nobody_takes_hold_up_the_next_jobs(crew):
    read, given = [], 0
    while crew.has_room:
        crew.give(lambda: "page", read.append)
        given += 1
        while crew._results.qsize() < given:
            time.sleep(0.001)
        assert given < 9, "more than anybody can read"
    crew.take(5.0)
    assert (read, crew.has_room) == (["page"], True)


def test_what_a_job_raises_comes_out_where_it_is_taken(crew):
    crew.give(lambda: 1 // 0, print)
    with pytest.raises(ZeroDivisionError):
        crew.take(5.0)
    assert crew.under_way == 0


def test_jobs_that_nobody_began_are_forgotten(crew):
    done, answer = [], threading.Event()
    for _ in range(7):
        crew.give(lambda: answer.wait(5.0), done.append)
    while crew._jobs.qsize() > 5:  # two have begun
        time.sleep(0.001)
    threading.Timer(0.05, answer.set).start()
    crew.finish()
    assert (len(done), crew.under_way) == (2, 0)
