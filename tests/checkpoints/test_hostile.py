"""Files made to hurt: each is refused or opens harmlessly, quickly, with bounded memory, and disturbs nobody."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from interpret.checkpoints import helper_process, read_checkpoint, sandbox
from interpret.errors import BadCheckpoint, BadInput, InterpretError
from tests.checkpoints.hostile import (
    CASES,
    GOOD,
    Case,
    beside,
    call,
    in_zip,
    look_up,
    number,
    program,
    text,
    torch_bytes,
)
from tests.conftest import REPOSITORY

SECONDS = 5
"""Of processor time. The clock gets more: the machine may be busy with others."""
MEMORY = 1.8 * 2**30
"""Of a child, with half a GiB that it shares with the process it was forked from."""

pytestmark = pytest.mark.skipif(not sandbox.FORKS, reason="readings are not forked here")


@pytest.fixture(scope="module", autouse=True)
def warm() -> None:
    read_checkpoint(torch_bytes(GOOD))


def private_folder() -> Path:
    assert sandbox._current is not None
    return sandbox._current.folder()


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[helper_process.Ended]:
    """How every child ended."""
    seen: list[helper_process.Ended] = []
    run = helper_process.Helper.run

    def noting(self: helper_process.Helper, request: dict[str, Any], seconds: float) -> helper_process.Ended:
        ended = run(self, request, seconds)
        seen.append(ended)
        return ended

    monkeypatch.setattr(helper_process.Helper, "run", noting)
    return seen


def assert_clean(sentence: str) -> None:
    """One line for a user: no traceback, nothing of torch's advice, no private path."""
    assert sentence and len(sentence) < 600 and sentence.isprintable()
    for never in ("weights_only", "Traceback", 'File "', "loupe-reading-", "add_safe_globals", "torch.load("):
        assert never not in sentence
    assert sentence.endswith((".", ")", "pull")), sentence


@pytest.mark.filterwarnings("ignore")  # of torch, about what is done here on purpose
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_hostile_files(case: Case, tmp_path: Path, ends: list[helper_process.Ended]) -> None:
    marker, folder = tmp_path / "marker", tmp_path / "files"
    folder.mkdir()
    path = case.build(marker, folder)
    outcome: InterpretError | None = None
    started = time.monotonic()
    try:
        found = read_checkpoint(path)
    except InterpretError as error:
        outcome = error
    seconds = time.monotonic() - started
    assert not marker.exists(), "its code ran"
    assert seconds < 4 * SECONDS and ends[0].seconds < SECONDS
    assert list(private_folder().iterdir()) == []
    assert len(ends) == 1 and ends[0].signal in (0, signal.SIGXCPU)
    assert ends[0].peak < MEMORY
    if case.says:
        assert isinstance(outcome, BadCheckpoint), "it opened"
        assert_clean(str(outcome))
        assert re.search(case.says, str(outcome)), str(outcome)
    else:
        assert outcome is None, str(outcome)
        assert tuple(found.tensors) == case.names
        assert all(type(one) is torch.Tensor and one.is_contiguous() for one in found.tensors.values())


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 200 and len({case.name for case in CASES}) == len(CASES)


def slow_file(folder: Path) -> Path:
    """A small file that keeps a reader busy until its processor time is up: tuples made and thrown away."""
    path = folder / "slow.pth"
    path.write_bytes(in_zip(program((b"(" + b"N" * 50 + b"t0") * 250_000 + b"}")))
    return path


def test_good_files_are_served_while_hostile_ones_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOUPE_READ_SECONDS", "2")
    bomb = tmp_path / "bomb.pth"
    bomb.write_bytes(in_zip(program(beside(call(look_up("builtins", "bytearray"), number(2**29))))))
    files = [slow_file(tmp_path), bomb, slow_file(tmp_path)]
    outcomes: list[str] = []
    stop = threading.Event()

    def attack(path: Path) -> None:
        while not stop.is_set():
            with contextlib.suppress(BadCheckpoint):
                read_checkpoint(path)
            outcomes.append(path.name)

    attackers = [threading.Thread(target=attack, args=(path,)) for path in files]
    for thread in attackers:
        thread.start()
    try:
        time.sleep(0.3)
        good = torch_bytes(GOOD)
        for _ in range(5):
            started = time.monotonic()
            found = read_checkpoint(good)
            assert time.monotonic() - started < 3
            assert torch.equal(found.tensors["conv.weight"], GOOD["conv.weight"])
    finally:
        stop.set()
        for thread in attackers:
            thread.join()
    assert len(outcomes) >= 3
    assert list(private_folder().iterdir()) == []


def test_many_threads_get_what_one_gets() -> None:
    files = [torch_bytes({f"w{index}": torch.full((100,), float(index))}) for index in range(12)]
    found: dict[int, Any] = {}

    def read(index: int) -> None:
        found[index] = read_checkpoint(files[index]).tensors

    threads = [threading.Thread(target=read, args=(index,)) for index in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(12))
    assert all(found[index][f"w{index}"].eq(index).all() for index in range(12))


# ---- the process ----------------------------------------------------------------------------------------------------


def children_of(process: int) -> set[int]:
    listed = Path(f"/proc/{process}/task/{process}/children")
    return {int(one) for one in listed.read_text().split()} if listed.exists() else set()


def until(condition: Any, seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def alive(process: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


def reading_in_thread(path: Path) -> tuple[threading.Thread, list[Any]]:
    outcome: list[Any] = []

    def read() -> None:
        try:
            outcome.append(read_checkpoint(path))
        except InterpretError as error:
            outcome.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    return thread, outcome


linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")


@linux
def test_a_killed_child_is_a_sentence_and_the_next_reading_works(tmp_path: Path) -> None:
    assert sandbox._current is not None
    server = sandbox._current.process.pid
    thread, outcome = reading_in_thread(slow_file(tmp_path))
    assert until(lambda: children_of(server))
    for child in children_of(server):
        os.kill(child, signal.SIGKILL)
    thread.join(10)
    (error,) = outcome
    assert isinstance(error, BadCheckpoint) and "reading was stopped" in str(error)
    assert_clean(str(error))
    assert read_checkpoint(torch_bytes(GOOD)).tensors.keys() == GOOD.keys()
    assert sandbox._current.process.pid == server


@linux
@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT])
def test_a_crashed_child_is_a_sentence(tmp_path: Path, number: signal.Signals) -> None:
    assert sandbox._current is not None
    server = sandbox._current.process.pid
    thread, outcome = reading_in_thread(slow_file(tmp_path))
    assert until(lambda: children_of(server))
    for child in children_of(server):
        os.kill(child, number)
    thread.join(10)
    assert isinstance(outcome[0], BadCheckpoint) and "crashed the process that read it" in str(outcome[0])


@linux
def test_a_killed_helper_is_started_again_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOUPE_READ_SECONDS", "2")
    assert sandbox._current is not None
    server, folder = sandbox._current.process.pid, private_folder()
    thread, outcome = reading_in_thread(slow_file(tmp_path))
    assert until(lambda: children_of(server))
    children = children_of(server)
    os.kill(server, signal.SIGKILL)
    assert until(lambda: not any(map(alive, children)) and not folder.exists())
    assert read_checkpoint(torch_bytes(GOOD)).tensors.keys() == GOOD.keys()
    assert sandbox._current.process.pid != server
    thread.join(30)  # it was read again by the new helper
    assert len(outcome) == 1 and isinstance(outcome[0], BadCheckpoint)


def test_a_reading_that_takes_too_long_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOUPE_READ_SECONDS", "1")
    with pytest.raises(BadCheckpoint, match="took too long to read, so reading was stopped"):
        read_checkpoint(slow_file(tmp_path))
    monkeypatch.setattr(helper_process.Future, "result", _impatient(helper_process.Future.result))
    monkeypatch.delenv("LOUPE_READ_SECONDS")
    with pytest.raises(BadCheckpoint, match="took too long to read, so reading was stopped"):
        read_checkpoint(slow_file(tmp_path))
    assert list(private_folder().iterdir()) == []


def _impatient(result: Any) -> Any:
    return lambda self, timeout=None: result(self, 0.3 if timeout and timeout > 150 else timeout)


@linux
def test_an_interrupt_ends_the_reading(tmp_path: Path) -> None:
    assert sandbox._current is not None
    server = sandbox._current.process.pid
    timer = threading.Timer(0.5, lambda: signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        read_checkpoint(slow_file(tmp_path))
    assert until(lambda: not children_of(server))
    assert list(private_folder().iterdir()) == []


PROGRAM = """
import sys, os
from interpret.checkpoints import read_checkpoint, sandbox
read_checkpoint(sys.argv[1])
print(sandbox._current.process.pid, sandbox._current.folder(), flush=True)
if len(sys.argv) > 2:
    read_checkpoint(sys.argv[2])
"""


def started(arguments: list[str], **more: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments], cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more
    )


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.pth"
    path.write_bytes(torch_bytes(GOOD))
    return path


@linux
def test_a_killed_parent_leaves_no_process_and_no_folder(tmp_path: Path, good: Path) -> None:
    with started(["-c", PROGRAM, str(good), str(slow_file(tmp_path))]) as parent:
        assert parent.stdout is not None
        server, folder = parent.stdout.readline().split()
        assert until(lambda: children_of(int(server)))
        everyone = {int(server), *children_of(int(server))}
        parent.kill()
        parent.wait()
    assert until(lambda: not any(map(alive, everyone)), 5)
    assert not Path(folder).exists()


FORKING = """
pid = os.fork()
read_checkpoint(sys.argv[1])
print(sandbox._current.process.pid, flush=True)
if pid:
    os.waitpid(pid, 0)
"""


def test_it_works_from_a_script_without_a_guard_even_when_it_forks(tmp_path: Path, good: Path) -> None:
    """A helper that imported the caller's main program again would start over without end."""
    script = tmp_path / "script.py"
    script.write_text(PROGRAM + FORKING)
    with started([str(script), str(good)], env={**os.environ, "PYTHONPATH": str(REPOSITORY)}) as process:
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    first, *after = output.splitlines()
    server, folder = first.split()
    assert len(after) == 2 and server in after and len(set(after)) == 2
    assert not Path(folder).exists()


def test_it_works_from_standard_input(good: Path) -> None:
    with started(["-", str(good)], stdin=subprocess.PIPE) as process:
        output, errors = process.communicate(PROGRAM, timeout=60)
    assert process.returncode == 0, errors
    assert len(output.splitlines()) == 1
    assert not Path(output.split()[1]).exists()


def test_it_works_from_the_command_line(good: Path) -> None:
    with started(["-m", "interpret", "inspect", str(good)]) as process:
        _, errors = process.communicate(timeout=60)
    assert "in any network Loupe knows" in errors and process.returncode == 2


def test_without_forks_every_reading_has_a_process_of_its_own(
    good: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "FORKS", False)
    place = tmp_path_factory.mktemp("readings")
    monkeypatch.setattr(tempfile, "tempdir", str(place))  # here
    monkeypatch.setenv("TMPDIR", str(place))  # and in the processes
    assert read_checkpoint(good).tensors.keys() == GOOD.keys()
    with pytest.raises(BadCheckpoint, match="posix.system"):
        read_checkpoint(program(call(look_up("posix", "system"), text("true"))))
    assert list(place.iterdir()) == []


CONFINED = """
import importlib.util, json, os, socket, sys, threading
found = importlib.util.spec_from_file_location("server", sys.argv[1])
server = importlib.util.module_from_spec(found)
found.loader.exec_module(server)
server._alone()
from interpret.checkpoints.confinement import confine
from interpret.limits import Limits
deeds = {
    "fork": os.fork, "start a program": lambda: os.execv(sys.executable, [sys.executable, "-c", ""]),
    "reach the network": socket.socket, "kill": lambda: os.kill(os.getppid(), 0),
    "take memory": lambda: bytearray(2**31), "write much": lambda: open(sys.argv[2], "wb").write(bytes(2**27)),
    "write": lambda: open(sys.argv[2], "wb").write(b"x"),
}
confine(1000, Limits())
done = []
for deed, do in deeds.items():
    try:
        do()
        done.append(deed)
    except (OSError, MemoryError):
        pass
print(json.dumps(done), flush=True)
os._exit(0)
"""


@linux
@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="no calls are forbidden here")
def test_a_confined_process_can_read_and_write_and_nothing_else(tmp_path: Path) -> None:
    server = Path(sandbox.__file__).with_name("server.py")
    done = subprocess.run(
        [sys.executable, "-P", "-c", CONFINED, str(server), str(tmp_path / "written")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert json.loads(done.stdout) == ["write"], done.stderr


# ---- the limits -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("LOUPE_MAX_CHECKPOINT_BYTES", "100", "is larger than 100 bytes, the largest Loupe opens"),
        ("LOUPE_MAX_TENSORS", "1", "holds 2 tensors; Loupe opens up to 1"),
        ("LOUPE_MAX_PARAMETERS", "25", "holds 26 parameters; Loupe opens up to 25"),
    ],
)
def test_limits_are_settings(variable: str, value: str, says: str, good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    for source in (good, good.read_bytes()):
        with pytest.raises(BadCheckpoint, match=says):
            read_checkpoint(source)
    monkeypatch.setenv(variable, "many")
    with pytest.raises(BadInput, match=f'{variable} is "many"; set it to a whole number above 0'):
        read_checkpoint(good)


def test_memory_is_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.pth"
    path.write_bytes(in_zip(program(beside(call(look_up("builtins", "bytearray"), number(200 * 2**20))))))
    assert read_checkpoint(path).tensors.keys() == {"w"}
    monkeypatch.setenv("LOUPE_READ_MEMORY_BYTES", str(100 * 2**20))
    with pytest.raises(BadCheckpoint, match="more memory than its size explains"):
        read_checkpoint(path)


# ---- a child that cannot be trusted ---------------------------------------------------------------------------------


def honest(folder: Path) -> dict[str, Any]:
    """Writes what a child writes, and returns its answer."""
    from interpret.checkpoints.tensor_file import Stored, write_all, write_tensors

    stored = [Stored("F32", (1,), 4, lambda target: write_all(target, bytes(4)))]
    write_tensors(str(folder / "tensors.safetensors"), stored)
    return {"digest": "0" * 64, "wrapper": "", "parts": [["", 1, 1]], "names": ["w"], "metadata": {"arch": "x"}}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"digest": 3},
        {"digest": "../" * 20 + "abcd"},
        {"wrapper": None},
        {"parts": []},
        {"parts": [["", "1", 1]]},
        {"parts": [["", 1, 1]] * 101},
        {"names": ["w", "v"]},
        {"names": []},
        {"names": [3]},
        {"names": ["w" * 600]},
        {"metadata": {"arch": {"a": 1}}},
        {"metadata": []},
        {"error": "OSError", "sentence": "x"},
        {"error": "BadCheckpoint", "sentence": {"a": 1}},
    ],
    ids=str,
)
def test_what_a_child_writes_is_checked(change: dict[str, Any], tmp_path: Path) -> None:
    from interpret.checkpoints.answers import read_answer
    from interpret.limits import Limits

    (tmp_path / "answer.json").write_text(json.dumps({**honest(tmp_path), **change}))
    if not change:
        answer, tensors = read_answer(tmp_path, "a.pth", Limits())
        assert answer["names"] == ["w"] and tensors[0].tolist() == [0.0]
        assert not (tmp_path / "tensors.safetensors").exists()
        return
    with pytest.raises(BadCheckpoint, match="gave no answer that makes sense"):
        read_answer(tmp_path, "a.pth", Limits())


@pytest.mark.parametrize("text_written", [b"", b"{", b"[]", b"[" * 200_000, b" " * (64 * 2**20 + 1)], ids=range(5))
def test_answers_that_are_none(text_written: bytes, tmp_path: Path) -> None:
    from interpret.checkpoints.answers import read_answer
    from interpret.limits import Limits

    honest(tmp_path)
    (tmp_path / "answer.json").write_bytes(text_written)
    with pytest.raises(BadCheckpoint, match="gave no answer that makes sense"):
        read_answer(tmp_path, "a.pth", Limits())
