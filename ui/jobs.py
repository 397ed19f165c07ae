"""Long jobs in the background: a bounded queue in front of one worker, shared fairly, with progress and Cancel.

The worker advances the jobs it has open in turn, one `Progress` at a time, so a long job of one person does not hold
up a short one of another. A job belongs to the sessions that asked for it; it is closed when the last of them cancels,
asks for something newer, or closes the tab. Workers never call Streamlit's `st`.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from interpret.errors import InterpretError, Unavailable
from interpret.jobs import Job, Progress
from ui.cache import RESULTS, BoundedStore

OPEN_AT_ONCE = 4
MAX_WAITING = 64
_GIVE_WAY_SECONDS = 0.5
_TAB_CHECK_SECONDS = 2.0
_TAB_GRACE_SECONDS = 8.0
_log = logging.getLogger("loupe")

State = Literal["waiting", "running", "done", "failed", "cancelled"]


@dataclass(eq=False)
class BackgroundJob:
    """One piece of work and what is known of it. Read it freely; only the runner changes it.

    Attributes:
        key: of the result in the store.
        title: what it is, for people.
        make: starts the generator.
        owners: (session, purpose) pairs that want it.
        state, progress, error: where it is; `error` is a sentence.
        started, ended: seconds on the monotonic clock, 0 before.
    """

    key: Hashable
    title: str
    make: Callable[[], Job[Any]]
    owners: set[tuple[str, str]]
    state: State = "waiting"
    progress: Progress = field(default_factory=lambda: Progress(0, None, "waiting"))
    preview: object | None = None
    error: str = ""
    started: float = 0.0
    ended: float = 0.0

    @property
    def active(self) -> bool:
        return self.state in ("waiting", "running")

    @property
    def fraction(self) -> float | None:
        total = self.progress.total
        return min(1.0, self.progress.step / total) if total else None

    def seconds(self) -> tuple[float, float | None]:
        """(elapsed, remaining) in seconds; remaining is None where it cannot be told yet."""
        if not self.started:
            return 0.0, None
        elapsed = (self.ended or time.monotonic()) - self.started
        share = self.fraction
        return elapsed, elapsed * (1 - share) / share if share and share > 0.02 else None


class JobRunner:
    """The queue and its worker.

    Args:
        store: where results go.
        is_open: whether a session's tab is still open.
    """

    def __init__(self, store: BoundedStore, is_open: Callable[[str], bool]) -> None:
        self._store, self._is_open = store, is_open
        self._jobs: dict[Hashable, BackgroundJob] = {}
        self._latest: dict[tuple[str, str], Hashable] = {}
        self._left: dict[tuple[str, str], BackgroundJob] = {}
        self._gone_since: dict[str, float] = {}
        self._changed = threading.Condition()
        self._worker: threading.Thread | None = None
        self._answering = 0

    @contextmanager
    def giving_way(self) -> Iterator[None]:
        """While a page is being answered: jobs wait before their next step, at most half a second each."""
        with self._changed:
            self._answering += 1
        try:
            yield
        finally:
            with self._changed:
                self._answering -= 1
                self._changed.notify_all()

    def submit(
        self, session: str, purpose: str, key: Hashable, title: str, make: Callable[[], Job[Any]]
    ) -> BackgroundJob:
        """The job of a key, started if nobody has; what the session wanted for the same purpose before is given up.

        A job that failed or was cancelled is returned as it is: `retry` starts it again.

        Raises:
            Unavailable: too many jobs are waiting.
        """
        owner = (session, purpose)
        with self._changed:
            if self._latest.get(owner) != key:
                self._give_up(owner)
            self._latest[owner] = key
            if owner in self._left:
                return self._left[owner]
            job = self._jobs.get(key)
            if job is not None and (job.active or owner in job.owners):
                job.owners.add(owner)
                return job
            if sum(other.state == "waiting" for other in self._jobs.values()) >= MAX_WAITING:
                raise Unavailable("Loupe is busy: too many jobs are waiting. Try again in a minute.")
            return self._start(BackgroundJob(key, title, make, {owner}))

    def _start(self, job: BackgroundJob) -> BackgroundJob:
        self._jobs[job.key] = job
        if self._worker is None or not self._worker.is_alive():
            self._worker = threading.Thread(target=self._work, name="loupe-worker", daemon=True)
            self._worker.start()
        self._changed.notify_all()
        return job

    def retry(self, session: str, key: Hashable, make: Callable[[], Job[Any]] | None = None) -> None:
        """Forgets that a job failed or was cancelled, so that the next `submit` starts it.

        With `make`, it is started at once in this way instead, and shows its last preview until there is a newer one.
        """
        with self._changed:
            left = [owner for owner, job in self._left.items() if owner[0] == session and job.key == key]
            for owner in left:
                del self._left[owner]
            job = self._jobs.get(key)
            if job is not None and not job.active:
                del self._jobs[key]
                if make is not None:
                    self._start(BackgroundJob(key, job.title, make, job.owners, preview=job.preview))

    def cancel(self, session: str, key: Hashable) -> None:
        """Takes a session's wish for a job back; the job ends at its next step when nobody else wants it.

        Where others do, it goes on for them, and the session is left with the job as it is now.
        """
        with self._changed:
            job = self._jobs.get(key)
            if job is not None:
                own = {owner for owner in job.owners if owner[0] == session}
                if own != job.owners:
                    stopped = replace(job, owners=own, state="cancelled", ended=time.monotonic())
                    self._left.update(dict.fromkeys(own, stopped))
                    job.owners = job.owners - own
                elif job.active:
                    job.state = "cancelled"
                    job.ended = time.monotonic()

    def of(self, session: str) -> list[BackgroundJob]:
        """The jobs a session is waiting for, oldest first."""
        with self._changed:
            return [j for j in self._jobs.values() if j.active and any(owner[0] == session for owner in j.owners)]

    def _give_up(self, owner: tuple[str, str]) -> None:
        previous = self._latest.pop(owner, None)
        self._left.pop(owner, None)
        job = self._jobs.get(previous) if previous is not None else None
        if job is not None:
            job.owners.discard(owner)
            if not job.owners:
                if job.active:
                    job.state, job.ended = "cancelled", time.monotonic()
                self._jobs.pop(job.key, None)

    def _work(self) -> None:
        running: list[tuple[BackgroundJob, Job[Any]]] = []
        checked = 0.0
        while True:
            with self._changed:
                while not running and not any(job.state == "waiting" for job in self._jobs.values()):
                    self._changed.wait()
                waiting = (job for job in self._jobs.values() if job.state == "waiting")
                for job in itertools.islice(waiting, max(0, OPEN_AT_ONCE - len(running))):
                    job.state, job.started = "running", time.monotonic()
                    running.append((job, _begin(job)))
            for entry in list(running):
                if not self._advance(*entry):
                    running.remove(entry)
            if time.monotonic() - checked > _TAB_CHECK_SECONDS:
                checked = time.monotonic()
                self._drop_closed_tabs()

    def _advance(self, job: BackgroundJob, work: Job[Any]) -> bool:
        """One step of a job; False when it is over."""
        with self._changed:
            self._changed.wait_for(lambda: not self._answering, _GIVE_WAY_SECONDS)
        if job.state != "running":
            self._close(job, work)
            return False
        try:
            progress = next(work)
        except StopIteration as stop:
            self._store.put(job.key, stop.value)
            self._end(job, "done")
        except InterpretError as error:
            self._end(job, "failed", str(error))
        except Exception as error:
            reference = f"{abs(hash((job.title, time.time_ns()))) % 16**6:06x}"
            _log.exception("job %r failed, reference %s", job.title, reference)
            self._end(job, "failed", f"Something went wrong in Loupe ({type(error).__name__}, reference {reference}).")
        else:
            job.progress = progress
            if progress.preview is not None:
                job.preview = progress.preview
            return True
        return False

    def _close(self, job: BackgroundJob, work: Job[Any]) -> None:
        try:
            work.close()
        except Exception:
            _log.exception("job %r could not be closed", job.title)

    def _end(self, job: BackgroundJob, state: State, error: str = "") -> None:
        with self._changed:
            if job.active:
                job.state, job.error, job.ended = state, error, time.monotonic()
            if state == "done" and self._jobs.get(job.key) is job:
                del self._jobs[job.key]

    def _drop_closed_tabs(self) -> None:
        now = time.monotonic()
        with self._changed:
            sessions = {owner[0] for job in self._jobs.values() for owner in job.owners} | {o[0] for o in self._left}
            for session in sessions:
                if self._is_open(session):
                    self._gone_since.pop(session, None)
                elif now - self._gone_since.setdefault(session, now) > _TAB_GRACE_SECONDS:
                    self._gone_since.pop(session, None)
                    for owner in [owner for owner in self._latest if owner[0] == session]:
                        self._give_up(owner)


def _begin(job: BackgroundJob) -> Job[Any]:
    """The job's generator; `make` itself runs at its first step, where its errors are caught."""
    return (yield from job.make())


def _tab_is_open(session: str) -> bool:
    from streamlit.runtime import exists, get_instance

    return not exists() or get_instance().is_active_session(session)


RUNNER = JobRunner(RESULTS, _tab_is_open)
"""The one runner of this process."""


def session_id() -> str:
    """The id of the session this script runs for."""
    from streamlit.runtime.scriptrunner import get_script_run_ctx

    context = get_script_run_ctx()
    return context.session_id if context else "script"
