"""The tasks: each returns rows for the table. Networks have random weights where real ones would have to be fetched."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torchvision import models
from torchvision.models.feature_extraction import create_feature_extractor

from benchmarks.timing import Row, interleaved
from interpret import InputImage, LoadedModel, complete, embed, load_model
from interpret.batches import decoded_batches
from interpret.datasets import PictureSource, open_source
from interpret.decoding import small_jpeg
from interpret.latent.embedder import Embedder, batches_of
from interpret.latent.embedding import batch_of
from interpret.runtime import choose_runtime
from interpret.units import collect_units

ROOT = Path(__file__).parent.parent
BUNDLED = ROOT / "checkpoints" / "shapes-clean.safetensors"


def resident() -> int:
    """Bytes of memory this process holds."""
    memory = choose_runtime("cpu").memory()
    return memory.used if memory else 0


def random_picture(side: int = 256) -> InputImage:
    """A picture of smooth random colours, always the same."""
    small = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    pixels = torch.nn.functional.interpolate(small, (side, side), mode="bicubic").clamp(0, 1)
    return InputImage.from_array((pixels[0].permute(1, 2, 0) * 255).round().byte().numpy(), "random")


def network(key: str) -> tuple[LoadedModel, torch.nn.Module]:
    """An architecture with random weights, as Loupe loads it and as torchvision builds it, on the same device."""
    torch.manual_seed(0)
    plain = models.get_model(key, weights=None).eval()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{key}.safetensors"
        save_file({name: tensor.contiguous() for name, tensor in plain.state_dict().items()}, path)
        loaded = load_model(path)
    return loaded, plain.to(loaded.runtime.device)


def record_activations(rounds: int) -> list[Row]:
    """Recording every convolution of ResNet-50 in one pass, and one early layer alone."""
    loaded, plain = network("resnet50")
    batch = loaded.preprocess.to_batch(random_picture()).to(loaded.runtime.device)
    names = [layer.name for layer in loaded.layers if layer.kind == "Conv2d"]
    extractor = create_feature_extractor(plain, names)

    def forward() -> None:
        with torch.no_grad():
            plain(batch)

    def extract() -> None:
        with torch.no_grad():
            extractor(batch)

    return interleaved(
        "resnet50, activations",
        {
            "plain forward pass": forward,
            "Loupe, all 53 convolutions": lambda: loaded.observe(batch, names, until="scores"),
            "torchvision's extractor, all 53": extract,
            "Loupe, layer1 alone": lambda: loaded.observe(batch, ["layer1"]),
        },
        rounds,
    )


def _jpegs(folder: Path, pictures: int) -> PictureSource:
    """Smooth random pictures of 500 x 375 as JPEG files; beyond a thousand they come again."""
    generator = np.random.default_rng(0)
    for index in range(pictures):
        file = folder / f"{index:05}.jpg"
        if index >= 1000:
            shutil.copy(folder / f"{index - 1000:05}.jpg", file)
            continue
        small = Image.fromarray(generator.integers(0, 256, (24, 32, 3), np.uint8))
        small.resize((500, 375), Image.Resampling.BICUBIC).save(file, quality=90)
    return open_source(folder)


class _Files(torch.utils.data.Dataset[torch.Tensor]):
    """JPEG files, prepared as torchvision prepares them for ImageNet networks."""

    def __init__(self, files: list[Path], model: LoadedModel) -> None:
        from torchvision import transforms

        self.files = files
        self.steps = transforms.Compose(
            [
                transforms.Resize(256),
                transforms.CenterCrop(224),
                transforms.ToTensor(),
                transforms.Normalize(model.preprocess.mean, model.preprocess.std),
            ]
        )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> torch.Tensor:
        prepared: torch.Tensor = self.steps(Image.open(self.files[index]).convert("RGB"))
        return prepared


def embedding(pictures: int) -> list[Row]:
    """Pictures per second from JPEG files to vectors, and what decoding alone would allow.

    Against a DataLoader (already started) of two workers, for a graphics card of one for each core and 16 times as many
    pictures, before torchvision's extractor, in batches of 32. Loupe also makes thumbnails, predictions and, each time
    anew, the copy of the network with its BatchNorms folded and, for a graphics card, the processes that decode.
    """
    loaded, plain = network("resnet18")
    device = loaded.runtime.device
    extractor = create_feature_extractor(plain, ["avgpool"])
    on_a_card, workers, rounds, embed_batch = device.type == "cuda", 2, 5, batch_of(loaded)
    if on_a_card:
        pictures, workers, rounds = 16 * pictures, min(16, os.cpu_count() or 2), 2
    with tempfile.TemporaryDirectory() as folder:
        source = _jpegs(Path(folder), pictures)
        files = _Files(sorted(Path(folder).glob("*.jpg")), loaded)
        loader = torch.utils.data.DataLoader(files, 32, num_workers=workers, persistent_workers=True)
        embedder = Embedder(loaded, source, ["layer4"], "mean", "float32")

        def loop() -> None:
            with torch.no_grad():
                for batch in loader:
                    extractor(batch.to(device))["avgpool"].flatten(1).cpu()

        def loupe() -> None:
            complete(embed(loaded, source, "layer4"))

        task = f"resnet18, embedding {pictures} JPEGs of 500 x 375"
        rows = interleaved(
            task,
            {
                f"DataLoader of {workers} workers and torchvision's extractor, batch 32": loop,
                "Loupe": loupe,
                **{
                    f"Loupe, in batches of {size}": lambda size=size: list(  # type: ignore[misc]
                        embedder.parts(batches_of(range(pictures), size))
                    )
                    for size in (() if on_a_card else (4, 16, 32))
                },
                "decoding alone, DataLoader": lambda: list(loader),
                "decoding alone, Loupe with thumbnails": lambda: list(
                    decoded_batches(loaded, source, range(pictures), embed_batch, small_jpeg)
                ),
            },
            rounds,
            1,
        )
        spent = [_processor_seconds(way) / pictures * 1000 for way in (loop, loupe)]
    base = rows[0].value
    return [
        *(
            Row(
                row.task,
                row.way,
                pictures / row.value * 1000,
                "pictures/s",
                base / row.value if number else None,
                rounds,
            )
            for number, row in enumerate(rows)
        ),
        Row(task, "DataLoader and extractor, processor time a picture", spent[0], "ms", None, 1),
        Row(task, "Loupe, processor time a picture", spent[1], "ms", spent[1] / spent[0], 1),
    ]


def _processor_seconds(work: Callable[[], object]) -> float:
    """Seconds of all cores that this process and its children spend on something: other programs do not count."""
    import psutil  # type: ignore[import-untyped]

    def spent() -> float:
        own = psutil.Process()
        return sum(sum(process.cpu_times()[:2]) for process in (own, *own.children()))

    before = spent()
    work()
    return spent() - before


def unit_pass(pictures: int) -> list[Row]:
    """Statistics of every channel from JPEG files, for one layer and for four, against embedding the same pictures."""
    loaded, _ = network("resnet18")
    with tempfile.TemporaryDirectory() as name:
        source = _jpegs(Path(name), pictures)

        def collect(*layers: str) -> None:
            with tempfile.TemporaryDirectory() as empty:  # so that nothing is read back
                complete(collect_units(loaded, source, layers, folder=Path(empty)))

        return interleaved(
            f"resnet18, units over {pictures} JPEGs of 500 x 375",
            {
                "Loupe, embedding at layer4": lambda: complete(embed(loaded, source, "layer4")),
                "Loupe, units of layer4": lambda: collect("layer4"),
                "Loupe, units of layer1 to layer4": lambda: collect("layer1", "layer2", "layer3", "layer4"),
            },
            5,
            1,
        )


def first_map(pictures: int = 500) -> list[Row]:
    """Seconds from nothing to a UMAP of drawn Shapes, in fresh processes: embedding and layout."""
    loaded = load_model(BUNDLED)
    from interpret import project

    started = time.perf_counter()
    embedded = complete(embed(loaded, open_source(f"shapes:{pictures}"), "layer3"))
    between = time.perf_counter()
    complete(project(embedded.vectors))
    ended = time.perf_counter()
    task = f"{pictures} Shapes"
    return [
        Row(task, "Loupe, embedding", between - started, "s", None, 1),
        Row(task, "Loupe, UMAP", ended - between, "s", None, 1),
    ]


def opening(rounds: int) -> list[Row]:
    """Opening a 100 MB ResNet-50 again and again in one process, and what memory it takes at most."""
    torch.manual_seed(0)
    plain = models.get_model("resnet50", weights=None)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tensors = {key: tensor.contiguous() for key, tensor in plain.state_dict().items()}
        torch.save({"state_dict": {f"module.{key}": tensor for key, tensor in tensors.items()}}, folder / "a.pth")
        torch.save(tensors, folder / "old.pth", _use_new_zipfile_serialization=False)
        save_file(tensors, folder / "a.safetensors")
        ways: dict[str, Callable[[], object]] = {
            f"Loupe, {file}": lambda path=folder / file: load_model(path)  # type: ignore[misc]
            for file in ("a.pth", "old.pth", "a.safetensors")
        }
        ways["torch.load and load_state_dict alone"] = lambda: models.get_model("resnet50").load_state_dict(
            torch.load(folder / "old.pth", weights_only=True)
        )
        rows = interleaved("opening ResNet-50, 102 MB", ways, rounds)
        said = in_a_process(_MEMORY_OF_OPENING, str(folder / "a.pth"))
        file, app, child = (int(number) for number in said.split()[-3:])
    task = "opening ResNet-50, memory over the file's size"
    return [
        *rows,
        Row(task, "the app's process (warm), peak above what it had before", app / file, "x", None, 1),
        Row(task, "the reading process, peak above that of a tiny file", child / file, "x", None, 1),
    ]


_MEMORY_OF_OPENING = """
import os, sys, tempfile, torch
from pathlib import Path
from interpret import load_model
from interpret.checkpoints.sandbox import read_in_child
from interpret.limits import limits

def kilobytes(what):
    return int(Path("/proc/self/status").read_text().split(what + ":")[1].split()[0])

tiny = Path(tempfile.mkdtemp()) / "tiny.pth"
torch.save({"a": torch.zeros(2)}, tiny)
peak = lambda path: read_in_child(str(path), str(path), "x", None, None, limits()).ended.peak
file = sys.argv[1]
child = peak(file) - peak(tiny)
load_model("checkpoints/shapes-clean.safetensors")
import torchvision  # 140 MB of its own, once a process
Path("/proc/self/clear_refs").write_text("5")  # forgets the highest mark so far
before = kilobytes("VmRSS")
model = load_model(file)
print(os.path.getsize(file), 1024 * (kilobytes("VmHWM") - before), child)
"""


def in_a_process(code: str, *arguments: str) -> str:
    """What Python code printed that was run in a fresh process from the repository's root."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, check=True, capture_output=True, text=True, env=environment
    )
    return done.stdout


def peak_memory() -> list[Row]:
    """Peak resident memory of a process that loads ResNet-50 and makes a heatmap."""
    code = (
        "import resource; from benchmarks.tasks import network, random_picture; from interpret import heatmap;"
        "heatmap(network('resnet50')[0], random_picture());"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    kilobytes = int(in_a_process(code).split()[-1])
    return [Row("resnet50, one heatmap", "peak resident memory", kilobytes / 1024, "MiB", None, 1)]
