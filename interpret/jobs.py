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
