"""Fetching published weights, only when asked to, and keeping them as safetensors that say what they are."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass
from pathlib import Path

from interpret.architectures.catalogue import Architecture, architecture
from interpret.checkpoints.reading import read_checkpoint
from interpret.errors import Unavailable
from interpret.jobs import Job, Progress
from interpret.limits import limits

_BLOCK = 256 * 1024
_TIMEOUT_SECONDS = 20


@dataclass(frozen=True)
class PublishedWeights:
    """Where an architecture's weights lie.

    Attributes:
        url: of the file.
        sha256: the first hex digits of its digest, or "" where the publisher gives none.
    """

    url: str
    sha256: str


def download_folder() -> Path:
    """Where fetched weights are kept: `$LOUPE_HOME/checkpoints`, else `~/.cache/loupe/checkpoints`."""
    home = os.environ.get("LOUPE_HOME")
    return Path(home) / "checkpoints" if home else Path.home() / ".cache" / "loupe" / "checkpoints"


def published_weights(key: str) -> PublishedWeights:
    """Where the weights of a torchvision or timm architecture are published.

    Raises:
        UnknownName: no such architecture.
        Unavailable: nobody published weights for it.
    """
    known = architecture(key)
    url = ""
    if known.library == "torchvision":
        from torchvision.models import get_model_weights

        weights = get_model_weights(key)
        usual = next((w for w in weights if w.name == "IMAGENET1K_V1"), next(iter(weights)))
        url = usual.url
    elif known.library == "timm":
        import timm

        config = timm.get_pretrained_cfg(key.removeprefix("timm/"))
        if config and config.hf_hub_id:
            url = f"https://huggingface.co/{config.hf_hub_id}/resolve/main/model.safetensors"
        elif config and config.url:
            url = config.url
    if not url:
        raise Unavailable(f"No weights are published for {known.title}. Bring a checkpoint of your own.")
    digest = re.search(r"-([0-9a-f]{8,64})\.", url.rsplit("/", 1)[-1])
    return PublishedWeights(url, digest.group(1) if digest else "")


def fetch_pretrained(key: str, folder: Path | None = None, weights: PublishedWeights | None = None) -> Job[Path]:
    """A safetensors file with an architecture's published weights and their preprocessing in its metadata.

    It is written under a temporary name and renamed when complete; a file already there is returned at once.

    Args:
        key: of a torchvision or timm architecture.
        folder: where to keep it; `download_folder()` if None.
        weights: where to fetch it from; the publisher's address if None.

    Yields:
        Progress in bytes.

    Raises:
        Unavailable: no network, a broken answer, or a digest that differs.
    """
    known = architecture(key)
    folder = folder or download_folder()
    target = folder / f"{key.replace('/', '-')}.safetensors"
    if target.exists():
        return target
    weights = weights or published_weights(key)
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{target.name}.{uuid.uuid4().hex}.part"
    try:
        yield from _receive(weights, partial, known)
        yield Progress(0, None, "reading the weights")
        _convert(known, partial, target, weights.url)
    finally:
        partial.unlink(missing_ok=True)
    return target


def _receive(weights: PublishedWeights, partial: Path, known: Architecture) -> Job[None]:
    host = weights.url.split("/")[2]
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(weights.url, timeout=_TIMEOUT_SECONDS) as answer, partial.open("wb") as file:
            total = int(answer.headers.get("Content-Length") or 0) or None
            if total and total > limits().checkpoint_bytes:
                raise Unavailable(f"The weights of {known.title} are larger than Loupe opens.")
            done = 0
            while block := answer.read(_BLOCK):
                file.write(block)
                digest.update(block)
                done += len(block)
                of = f" of {total / 2**20:.0f}" if total else ""
                yield Progress(done, total, f"{done / 2**20:.0f}{of} MiB from {host}")
            if total and done != total:
                raise Unavailable(f"{host} sent only {done:,} of {total:,} bytes. Try again.")
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        reason = " ".join(str(getattr(error, "reason", error)).split())[:200]
        raise Unavailable(
            f"The weights of {known.title} could not be fetched from {host} ({reason}). "
            "Without a network, upload a checkpoint file or put one into the folder checkpoints/."
        ) from None
    if weights.sha256 and not digest.hexdigest().startswith(weights.sha256):
        raise Unavailable(f"The file from {host} is not the published one (its SHA-256 differs). It was thrown away.")


def _convert(known: Architecture, partial: Path, target: Path, url: str) -> None:
    from safetensors.torch import save_file

    checkpoint = read_checkpoint(partial, url.rsplit("/", 1)[-1])
    steps = known.preprocess()
    metadata = {
        "arch": known.key.removeprefix("timm/"),
        "library": known.library,
        "source": url,
        "input_size": str(steps.size[0]),
        "resize": str(steps.resize or steps.size[0]),
        "interpolation": steps.interpolation,
        "mean": json.dumps(steps.mean),
        "std": json.dumps(steps.std),
    }
    tensors = {name: tensor.contiguous().clone() for name, tensor in checkpoint.tensors.items()}
    unfinished = partial.with_suffix(".tmp")
    try:
        save_file(tensors, unfinished, metadata)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
