"""Jobs: generators that are run, watched and closed."""

from __future__ import annotations

import pytest

from interpret.jobs import Job, Progress, complete, stretch


def counting(log: list[str], steps: int = 3, fail_at: int | None = None) -> Job[str]:
    try:
        for step in range(steps):
            if step == fail_at:
                raise ValueError("in the middle")
            yield Progress(step, steps, f"step {step}")
        return "done"
    finally:
        log.append("cleaned up")


def test_complete_returns_the_result_and_reports_every_step() -> None:
    log: list[str] = []
    seen: list[Progress] = []
    assert complete(counting(log), seen.append) == "done"
    assert [(p.step, p.total, p.note, p.preview) for p in seen] == [(n, 3, f"step {n}", None) for n in range(3)]
    assert log == ["cleaned up"]


def test_a_job_without_steps() -> None:
    assert complete(counting([], 0)) == "done"


def test_an_error_inside_comes_out_once_cleaned_up() -> None:
    log: list[str] = []
    seen: list[Progress] = []
    with pytest.raises(ValueError, match="in the middle"):
        complete(counting(log, fail_at=1), seen.append)
    assert log == ["cleaned up"] and len(seen) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_report_that_raises_closes_the_job_first(error: type[BaseException]) -> None:
    log: list[str] = []
    job = counting(log)

    def report(progress: Progress) -> None:
        if progress.step == 1:
            raise error

    with pytest.raises(error):
        complete(job, report)
    assert log == ["cleaned up"]
    assert next(job, "over") == "over"


def test_closing_cancels() -> None:
    log: list[str] = []
    job = counting(log)
    next(job)
    job.close()
    assert log == ["cleaned up"] and next(job, "over") == "over"


def test_a_stretch_of_a_longer_job_counts_on_returns_and_is_closed_with_it() -> None:
    log: list[str] = []
    seen: list[Progress] = []
    assert complete(stretch(counting(log, 4), 20, 60, 100, "map: ".__add__), seen.append) == "done"
    assert [(p.step, p.total, p.note) for p in seen] == [(20 + 10 * n, 100, f"map: step {n}") for n in range(4)]
    part = stretch(counting(log), 0, 10, 10)
    next(part)
    part.close()
    assert log == ["cleaned up", "cleaned up"]
    with pytest.raises(ValueError, match="in the middle"):
        complete(stretch(counting(log, fail_at=1), 0, 10, 10))
