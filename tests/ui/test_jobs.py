"""The background runner: results, sharing, latest wins, cancel, closed tabs, failures."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from interpret.errors import BadInput
from interpret.jobs import Job, Progress
from ui.cache import BoundedStore
from ui.jobs import JobRunner


class Work:
    """A job that counts its steps, waits for permission to go on, and notes how it ended."""

    def __init__(self, steps: int = 1000, free: bool = True, error: Exception | None = None) -> None:
        self.steps, self.error, self.ended = steps, error, ""
        self.go = threading.Event()
        if free:
            self.go.set()

    def __call__(self) -> Job[str]:
        try:
            for step in range(self.steps):
                self.go.wait(5)
                time.sleep(0.002)
                yield Progress(step, self.steps, f"step {step}", preview=step)
            if self.error:
                raise self.error
            self.ended = "finished"
            return "result"
        finally:
            self.ended = self.ended or "closed"


def until(condition: Callable[[], Any], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


@pytest.fixture
def store() -> BoundedStore:
    return BoundedStore(100, 10**6)


@pytest.fixture
def runner(store: BoundedStore) -> JobRunner:
    return JobRunner(store, lambda session: True)


def test_a_finished_job_leaves_its_result_in_the_store(runner: JobRunner, store: BoundedStore) -> None:
    job = runner.submit("anna", "page", "key", "Work", Work(5))
    until(lambda: job.state == "done")
    assert store.get("key") == "result"
    assert job.preview == 4
    assert runner.of("anna") == []


def test_two_sessions_share_one_job_and_it_ends_when_both_gave_it_up(runner: JobRunner) -> None:
    work = Work()
    job = runner.submit("anna", "page", "key", "Work", work)
    assert runner.submit("ben", "page", "key", "Work", Work()) is job
    runner.cancel("anna", "key")
    time.sleep(0.05)
    assert job.active
    runner.cancel("ben", "key")
    until(lambda: work.ended == "closed")
    assert job.state == "cancelled"


def test_cancel_takes_effect_at_the_next_step_and_keeps_the_preview(runner: JobRunner) -> None:
    work = Work()
    job = runner.submit("anna", "page", "key", "Work", work)
    until(lambda: job.preview is not None)
    runner.cancel("anna", "key")
    until(lambda: work.ended == "closed", 0.5)
    assert job.preview is not None
    assert runner.submit("anna", "page", "key", "Work", Work()) is job, "a rerun must not start it again"
    runner.retry("anna", "key")
    assert runner.submit("anna", "page", "key", "Work", Work(1)) is not job


def test_a_cancelled_job_goes_on_from_its_preview(runner: JobRunner, store: BoundedStore) -> None:
    first = runner.submit("anna", "page", "key", "Work", Work())
    until(lambda: first.preview is not None)
    runner.cancel("anna", "key")
    rest = Work(3, free=False)
    runner.retry("anna", "key", rest)
    second = runner.submit("anna", "page", "key", "Work", Work())
    assert second is not first and second.active
    assert second.preview == first.preview, "the screen would be empty until the next preview"
    rest.go.set()
    until(lambda: rest.ended == "finished" and store.get("key") == "result")


def test_cancel_is_seen_by_who_cancelled_while_the_job_goes_on_for_others(runner: JobRunner) -> None:
    job = runner.submit("anna", "page", "key", "Work", Work(100_000))
    runner.submit("ben", "page", "key", "Work", Work())
    until(lambda: job.preview is not None)
    runner.cancel("anna", "key")
    left = runner.submit("anna", "page", "key", "Work", Work())
    assert left.state == "cancelled" and left.preview is not None
    assert job.active and runner.of("anna") == [] and runner.of("ben") == [job]
    runner.retry("anna", "key", Work())
    assert runner.submit("anna", "page", "key", "Work", Work()) is job, "it joins those for whom it went on"
    runner.cancel("anna", "key")
    runner.cancel("ben", "key")
    until(lambda: job.state == "cancelled")


def test_the_latest_wish_of_a_session_replaces_the_one_before(runner: JobRunner, store: BoundedStore) -> None:
    first, other_purpose = Work(), Work()
    old = runner.submit("anna", "page", "one", "Work", first)
    until(lambda: old.preview is not None)
    kept = runner.submit("anna", "other", "two", "Work", other_purpose)
    new = runner.submit("anna", "page", "three", "Work", Work(2))
    until(lambda: first.ended == "closed" and new.state == "done")
    assert old.state == "cancelled"
    assert kept.active
    assert store.get("one") is None


def test_jobs_of_several_people_advance_in_turn(runner: JobRunner) -> None:
    long = runner.submit("anna", "page", "long", "Long", Work(100_000))
    until(lambda: long.state == "running")
    short = runner.submit("ben", "page", "short", "Short", Work(5))
    until(lambda: short.state == "done", 2)
    assert long.active


def test_a_closed_tab_cancels_its_jobs(store: BoundedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ui.jobs._TAB_CHECK_SECONDS", 0.02)
    monkeypatch.setattr("ui.jobs._TAB_GRACE_SECONDS", 0.1)
    open_tabs = {"anna", "ben"}
    runner = JobRunner(store, lambda session: session in open_tabs)
    works = {name: Work() for name in open_tabs}
    for name, work in works.items():
        runner.submit(name, "page", name, "Work", work)
    time.sleep(0.3)
    assert all(runner.of(name) for name in works)
    open_tabs.remove("anna")
    until(lambda: works["anna"].ended == "closed")
    assert runner.of("ben")


@pytest.mark.parametrize(
    ("error", "said"),
    [(BadInput("The picture is upside down."), "The picture is upside down."), (ZeroDivisionError(), "reference")],
)
def test_a_failure_becomes_a_sentence_and_the_worker_goes_on(runner: JobRunner, error: Exception, said: str) -> None:
    job = runner.submit("anna", "page", "key", "Work", Work(2, error=error))
    until(lambda: job.state == "failed")
    assert said in job.error
    assert "Traceback" not in job.error
    after = runner.submit("anna", "page", "next", "Work", Work(2))
    until(lambda: after.state == "done")


def test_a_job_that_fails_to_start_is_a_failure_too(runner: JobRunner) -> None:
    def make() -> Job[str]:
        raise BadInput("No such folder.")

    job = runner.submit("anna", "page", "key", "Work", make)
    until(lambda: job.state == "failed")
    assert job.error == "No such folder."


def test_time_left_follows_from_the_share_done(runner: JobRunner) -> None:
    work = Work(10_000)
    job = runner.submit("anna", "page", "key", "Work", work)
    until(lambda: (job.fraction or 0) > 0.03)
    elapsed, remaining = job.seconds()
    assert remaining is not None
    assert remaining == pytest.approx(elapsed * (1 - 0.03) / 0.03, rel=0.8)
    runner.cancel("anna", "key")


def test_jobs_wait_while_a_page_is_answered_but_not_for_ever(runner: JobRunner) -> None:
    work = Work(100_000)
    job = runner.submit("anna", "page", "key", "Work", work)
    until(lambda: job.preview is not None)
    with runner.giving_way(), runner.giving_way():
        time.sleep(0.05)  # the step that had begun
        before = job.progress.step
        time.sleep(0.2)
        assert job.progress.step <= before + 1, "it went on while a page was answered"
        time.sleep(0.6)
        assert before < job.progress.step <= before + 4, "a page that takes long stops all jobs"
    after = job.progress.step
    until(lambda: job.progress.step > after + 20)
