"""Fetching published weights: real HTTP, from a server on this machine that behaves well or badly."""

from __future__ import annotations

import hashlib
import io
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch

from interpret.architectures import architecture
from interpret.architectures.cifar_resnet import cifar_resnet
from interpret.checkpoints.pretrained import PublishedWeights, download_folder, fetch_pretrained, published_weights
from interpret.errors import InterpretError, Unavailable, UnknownName
from interpret.jobs import Progress, complete
from interpret.loading import load_model

KEY = "squeezenet1_1"


def weights_file() -> bytes:
    buffer = io.BytesIO()
    torch.manual_seed(0)
    torch.save(architecture(KEY).build(1000, 3, False).state_dict(), buffer)
    return buffer.getvalue()


WEIGHTS = weights_file()
DIGEST = hashlib.sha256(WEIGHTS).hexdigest()


class Server:
    """Serves one file, in one of several manners, and counts who asked."""

    def __init__(self) -> None:
        self.manner = "well"
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                getattr(outer, f"answer_{outer.manner}")(self)

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()

    def weights(self, digest: str = DIGEST[:8]) -> PublishedWeights:
        return PublishedWeights(f"http://127.0.0.1:{self.http.server_address[1]}/squeezenet-{digest}.pth", digest)

    def answer_well(self, to: BaseHTTPRequestHandler, body: bytes = WEIGHTS, length: int | None = len(WEIGHTS)) -> None:
        to.send_response(200)
        if length is not None:
            to.send_header("Content-Length", str(length))
        to.end_headers()
        try:
            to.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):  # a cancelled download hangs up
            pass

    def answer_without_length(self, to: BaseHTTPRequestHandler) -> None:
        self.answer_well(to, length=None)

    def answer_half(self, to: BaseHTTPRequestHandler) -> None:
        self.answer_well(to, WEIGHTS[: len(WEIGHTS) // 2])

    def answer_half_in_chunks(self, to: BaseHTTPRequestHandler) -> None:
        to.protocol_version = "HTTP/1.1"
        to.send_response(200)
        to.send_header("Transfer-Encoding", "chunked")
        to.end_headers()
        to.wfile.write(b"100000\r\n" + WEIGHTS[:0x100000] + b"\r\n100000\r\n" + WEIGHTS[:1000])
        to.close_connection = True

    def answer_other(self, to: BaseHTTPRequestHandler) -> None:
        self.answer_well(to, WEIGHTS[:-1] + b"?")

    def answer_page(self, to: BaseHTTPRequestHandler) -> None:
        page = b"<html>Please log in</html>"
        self.answer_well(to, page, len(page))

    def answer_refuse(self, to: BaseHTTPRequestHandler) -> None:
        to.send_error(403)

    def answer_missing(self, to: BaseHTTPRequestHandler) -> None:
        to.send_error(404)

    def answer_hang_up(self, to: BaseHTTPRequestHandler) -> None:
        to.connection.shutdown(socket.SHUT_RDWR)

    def answer_nonsense(self, to: BaseHTTPRequestHandler) -> None:
        to.wfile.write(b"I am no web server\r\n\r\n")

    def answer_huge(self, to: BaseHTTPRequestHandler) -> None:
        self.answer_well(to, b"x", 2**40)

    def answer_odd_length(self, to: BaseHTTPRequestHandler) -> None:
        to.send_response(200)
        to.send_header("Content-Length", "many")
        to.end_headers()
        to.wfile.write(WEIGHTS)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


def test_weights_are_fetched_with_progress_and_kept_as_safetensors(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    seen: list[Progress] = []
    path = complete(fetch_pretrained(KEY, folder, server.weights()), seen.append)
    assert path == folder / f"{KEY}.safetensors"
    assert [file.name for file in folder.iterdir()] == [path.name]
    received = [progress for progress in seen if progress.total]
    assert [progress.step for progress in received] == sorted({progress.step for progress in received})
    assert received[-1].step == received[-1].total == len(WEIGHTS) and len(received) > 5
    assert "MiB from 127.0.0.1" in received[0].note
    model = load_model(path, device="cpu")
    torch.manual_seed(0)
    plain = architecture(KEY).build(1000, 3, False).eval()
    batch = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(model.observe(batch).scores, plain(batch), atol=1e-4, rtol=1e-4)
    assert (model.architecture.key, model.preprocess) == (KEY, architecture(KEY).preprocess())
    assert model.labels[207] == "golden retriever"


def test_a_second_call_is_immediate(server: Server, tmp_path: Path) -> None:
    first = complete(fetch_pretrained(KEY, tmp_path, server.weights()))
    before = first.stat()
    steps: list[Progress] = []
    assert complete(fetch_pretrained(KEY, tmp_path, server.weights()), steps.append) == first
    assert len(server.asked) == 1 and steps == []
    assert first.stat().st_mtime_ns == before.st_mtime_ns


def test_a_server_that_does_not_tell_the_length(server: Server, tmp_path: Path) -> None:
    server.manner = "without_length"
    seen: list[Progress] = []
    assert complete(fetch_pretrained(KEY, tmp_path, server.weights()), seen.append).exists()
    assert {progress.total for progress in seen} == {None}


@pytest.mark.parametrize(
    ("manner", "says"),
    [
        ("half", r"(sent only [\d,]+ of [\d,]+ bytes|could not be fetched)"),
        ("half_in_chunks", r"could not be fetched from 127.0.0.1"),
        ("other", "is not the published one"),
        ("page", "is not the published one"),
        ("refuse", r"could not be fetched from 127.0.0.1:\d+ \(Forbidden\). Without a network, upload"),
        ("missing", r"could not be fetched from 127.0.0.1:\d+ \(Not Found\)"),
        ("hang_up", "could not be fetched"),
        ("nonsense", "could not be fetched"),
        ("huge", "larger than Loupe opens"),
        ("odd_length", "could not be fetched"),
    ],
)
def test_a_bad_answer_is_a_sentence_and_leaves_no_file(server: Server, tmp_path: Path, manner: str, says: str) -> None:
    server.manner = manner
    with pytest.raises(Unavailable, match=says) as caught:
        complete(fetch_pretrained(KEY, tmp_path, server.weights()))
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    server.manner = "well"
    assert complete(fetch_pretrained(KEY, tmp_path, server.weights())).exists()


def test_a_file_that_is_no_checkpoint_is_thrown_away(server: Server, tmp_path: Path) -> None:
    server.manner = "page"
    with pytest.raises(InterpretError, match="is a web page .* the download failed"):
        complete(fetch_pretrained(KEY, tmp_path, PublishedWeights(server.weights().url, "")))
    assert list(tmp_path.iterdir()) == []


def test_nobody_listens(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/x.pth"
    with pytest.raises(Unavailable, match="upload a checkpoint file or put one into the folder checkpoints/"):
        complete(fetch_pretrained(KEY, tmp_path, PublishedWeights(url, "")))
    assert list(tmp_path.iterdir()) == []


def test_cancelling_at_every_step_leaves_no_file(server: Server, tmp_path: Path) -> None:
    steps = len(list(fetch_pretrained(KEY, tmp_path / "whole", server.weights())))
    for stop in range(1, steps + 1):
        folder = tmp_path / str(stop)
        job = fetch_pretrained(KEY, folder, server.weights())
        for _ in range(stop):
            next(job)
        assert len(list(folder.iterdir())) == 1
        job.close()
        assert list(folder.iterdir()) == []


def test_two_at_once_do_not_spoil_each_other(server: Server, tmp_path: Path) -> None:
    """Two jobs of one process for the same file, taking turns; both end with the whole file."""
    jobs = [fetch_pretrained(KEY, tmp_path, server.weights()) for _ in range(2)]
    results: list[Path] = []
    while jobs:
        for job in list(jobs):
            try:
                next(job)
            except StopIteration as stop:
                results.append(stop.value)
                jobs.remove(job)
    assert len(results) == 2 and results[0] == results[1]
    assert [file.name for file in tmp_path.iterdir()] == [f"{KEY}.safetensors"]
    assert load_model(results[0], device="cpu").report.missing == ()


def test_where_weights_are_published() -> None:
    weights = published_weights("resnet18")
    assert weights.url.startswith("https://download.pytorch.org/models/resnet18-")
    assert weights.url.endswith(f"-{weights.sha256}.pth") and len(weights.sha256) == 8
    with pytest.raises(Unavailable, match=r"No weights are published for CIFAR ResNet-20. Bring a checkpoint"):
        published_weights("cifar_resnet20")
    with pytest.raises(UnknownName):
        published_weights("resnet19")


def test_timms_weights_are_at_hugging_face() -> None:
    pytest.importorskip("timm")
    assert published_weights("timm/resnet18").url.startswith("https://huggingface.co/timm/resnet18")


def test_where_they_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOUPE_HOME", str(tmp_path))
    assert download_folder() == tmp_path / "checkpoints"
    monkeypatch.delenv("LOUPE_HOME")
    assert download_folder().parts[-3:] == (".cache", "loupe", "checkpoints")


def test_the_stand_in_is_a_real_checkpoint() -> None:
    assert len(WEIGHTS) > 4_000_000 and cifar_resnet(20) is not None
