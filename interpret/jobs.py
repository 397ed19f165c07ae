"""Long work as generators: they yield `Progress` and return their result, and know nothing of who drives them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Progress:
    """How far a job is.

    Attributes:
        step: steps done so far, from 0.
        total: steps in all, or None where that is not known.
        note: what is being done, as a short clause.
        preview: an unfinished result to show meanwhile, of the kind the job returns, or None.
    """

    step: int
    total: int | None
    note: str
    preview: object | None = None


Job = Generator[Progress, None, T]
"""A generator of `Progress` whose return value is the result. Closing it cancels the work."""


def complete(job: Job[T], report: Callable[[Progress], None] | None = None) -> T:
    """The result of a job, run to its end in this thread.

    Args:
        job: the generator.
        report: called with every `Progress`. If it raises, the job is closed first.
    """
    try:
        while True:
            progress = next(job)
            if report is not None:
                report(progress)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        job.close()


def stretch(job: Job[T], start: int, end: int, total: int, tell: Callable[[str], str] = str) -> Job[T]:
    """A job as a part of a longer one: its progress runs from `start` to `end` of `total`.

    Args:
        job: the part; closed with the whole.
        start, end, total: in steps of the whole.
        tell: makes the whole's note from the part's.
    """
    try:
        while True:
            progress = next(job)
            share = progress.step / progress.total if progress.total else 0.0
            yield Progress(start + round(share * (end - start)), total, tell(progress.note))
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        job.close()
