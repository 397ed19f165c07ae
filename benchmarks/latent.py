"""Maps: how well Loupe's UMAP keeps neighbours and how long it takes, beside umap-learn and openTSNE."""

from __future__ import annotations

import gzip
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.tasks import BUNDLED, ROOT, in_a_process, network
from benchmarks.timing import Row, interleaved
from interpret import complete, embed, load_model, project
from interpret.datasets import open_source, sample_picture
from interpret.latent import Neighbours, ProjectionParams, nearest, place
from interpret.latent.embedding import embed_picture

Table = NDArray[np.float32]
Labels = NDArray[np.int64]
FASHION = ROOT.parent / "shared" / "data" / "fashion-mnist"
NEAR = 15
SEEDS = (0, 1, 2)
_PART = 50_000


def tasks(quick: bool) -> dict[str, Callable[[], Iterator[Row]]]:
    """The tasks by name; `quick`: one seed, few rows."""
    from benchmarks import aligned  # which makes its maps with what is below

    seeds, rows = (SEEDS[:1], 500) if quick else (SEEDS, 10_000)
    return {
        "latent digits": lambda: quality("digits", *digits(), seeds),
        "latent fashion": lambda: fashion_quality(seeds),
        "latent shapes": lambda: quality("Shapes at the default layer", *shapes(100 if quick else 2000), seeds),
        "latent fresh": lambda: fresh(500 if quick else 2000),
        "latent aligned": lambda: aligned.several(200 if quick else 1000),
        "latent speed": lambda: speed(rows),
        "latent placing": lambda: placing(rows),
        "latent engines": lambda: engines((500,) if quick else (500, 5000, 30_000, 70_000)),
        "latent large": lambda: large(2000 if quick else 70_000),
        "latent device": lambda: on_a_device((2000,) if quick else (70_000, 1_000_000)),
        "latent memory": lambda: memory(2000 if quick else 70_000),
    }


def digits() -> tuple[Table, Labels]:
    """scikit-learn's digits: 1,797 x 64 and ten classes."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return found.data.astype(np.float32), found.target.astype(np.int64)


def fashion(count: int = 5000) -> tuple[Table, Labels] | None:
    """The first pictures of Fashion-MNIST's test set, pixels from 0 to 1; None where they are not at hand."""
    files = [FASHION / f"t10k-{part}.gz" for part in ("images-idx3-ubyte", "labels-idx1-ubyte")]
    if not all(file.is_file() for file in files):
        return None
    pixels, labels = (np.frombuffer(gzip.decompress(file.read_bytes()), np.uint8) for file in files)
    pictures = pixels[16:].reshape(-1, 784)[:count].astype(np.float32) / 255
    return pictures, labels[8 : 8 + count].astype(np.int64)


def shapes(count: int) -> tuple[Table, Labels]:
    """Drawn Shapes as the bundled network sees them."""
    embedded = complete(embed(load_model(BUNDLED), open_source(f"shapes:{count}")))
    return embedded.vectors, embedded.labels


def crowd(count: int, width: int = 512) -> Table:
    """Points around a curved sheet of four dimensions and ten centres, as embeddings lie: float32 [count, width]."""
    rng = np.random.default_rng(0)
    inner = rng.standard_normal((count, 4)) + 1.5 * rng.standard_normal((10, 4))[np.arange(count) % 10]
    bent = np.tanh(inner @ rng.standard_normal((4, 64)) / 2) @ rng.standard_normal((64, width)) / 8
    return (np.maximum(bent, 0) + 0.05 * rng.standard_normal((count, width))).astype(np.float32)


def loupe(vectors: Table, seed: int = 0) -> Table:
    """A map by Loupe, with 15 neighbours."""
    return complete(project(vectors, "umap", ProjectionParams(neighbors=NEAR, seed=seed))).points


def umap_learn(vectors: Table, seed: int = 0) -> Table:
    """The same by umap-learn as it comes: with a seed it runs on one thread."""
    import umap

    return np.asarray(umap.UMAP(n_neighbors=NEAR, random_state=seed, n_jobs=1).fit_transform(vectors), np.float32)


def open_tsne(vectors: Table, seed: int = 0) -> Table:
    """A t-SNE map by openTSNE as it comes."""
    from openTSNE import TSNE

    return np.asarray(TSNE(random_state=seed, n_jobs=2).fit(vectors), np.float32)


def torch_dr(vectors: Table, seed: int = 0) -> Table:
    """A UMAP by TorchDR on the CPU, its neighbours by torch (faiss is not installed)."""
    import torchdr

    made = torchdr.UMAP(n_neighbors=NEAR, backend=None, device="cpu", random_state=seed).fit_transform(vectors)
    return np.asarray(made, np.float32)


def ways() -> dict[str, Callable[[Table, int], Table]]:
    """Who makes maps here, with versions."""
    found: dict[str, Callable[[Table, int], Table]] = {f"umap-learn {version('umap-learn')}": umap_learn}
    found["Loupe"] = loupe
    for name, make in (("openTSNE", open_tsne), ("torchdr", torch_dr)):
        try:
            found[f"{name} {version(name)}"] = make
        except PackageNotFoundError:
            print(f"  {name} is not installed; see benchmarks/requirements.txt")
    return found


def others(points: Table) -> NDArray[np.int64]:
    """The 15 nearest other points of each: int64 [n, 15]."""
    indices = nearest(points, points, NEAR + 1)[0]
    own = indices == np.arange(len(points))[:, None]
    own[~own.any(1), -1] = True  # among many equal points a point need not find itself
    return indices[~own].reshape(len(points), NEAR)


def measures(vectors: Table, points: Table, labels: Labels) -> dict[str, float]:
    """How well a map keeps neighbours, in percent but for the last.

    Trustworthiness (Venna, Kaski 2001) with 15 neighbours; the share of 15 nearest neighbours kept; how often the
    majority of 15 neighbours on the map has the point's label; the largest distance from the median point by the 99th
    percentile.
    """
    from sklearn.manifold import trustworthiness

    before, after = others(vectors), others(points)
    votes = np.stack([(labels[after] == label).sum(1) for label in np.unique(labels)], 1)
    radius = np.linalg.norm(points - np.median(points, 0), axis=1)
    return {
        "trustworthiness": 100 * float(trustworthiness(vectors, points, n_neighbors=NEAR)),
        "neighbours kept": 100 * float(np.mean([np.isin(a, b).mean() for a, b in zip(before, after, strict=True)])),
        "label of neighbours right": 100 * float((np.unique(labels)[votes.argmax(1)] == labels).mean()),
        "largest radius by 99th percentile": float(radius.max() / np.percentile(radius, 99)),
    }


def quality(name: str, vectors: Table, labels: Labels, seeds: tuple[int, ...]) -> Iterator[Row]:
    """Means over seeds of each measure; the last, of radii, is the worst."""
    found = {way: [measures(vectors, make(vectors, seed), labels) for seed in seeds] for way, make in ways().items()}
    task = f"map of {name}, {len(vectors):,} x {vectors.shape[1]}"
    for measure in next(iter(found.values()))[0]:
        worst = measure.startswith("largest")
        means = {
            way: (max if worst else statistics.mean)([one[measure] for one in several])
            for way, several in found.items()
        }
        base = next(iter(means.values()))
        for index, (way, mean) in enumerate(means.items()):
            yield Row(
                f"{task}: {measure}", way, mean, "x" if worst else "%", mean / base if index else None, len(seeds)
            )


def fashion_quality(seeds: tuple[int, ...]) -> Iterator[Row]:
    """Fashion-MNIST, where it is at hand."""
    found = fashion(500 if len(seeds) < len(SEEDS) else 5000)
    if found is None:
        print(f"  no Fashion-MNIST in {FASHION}")
        return
    yield from quality("Fashion-MNIST", *found, seeds)


def fresh(count: int) -> Iterator[Row]:
    """Seconds from the start of a process to a map, everything imported and compiled anew."""
    times: dict[str, list[float]] = {}
    names = {"umap_learn": "umap-learn", "loupe": "Loupe", "open_tsne": "openTSNE", "torch_dr": "torchdr"}
    here = " ".join(ways())
    programs = {
        "umap_learn": "import umap; umap.UMAP(n_neighbors=15, random_state=0, n_jobs=1).fit_transform(vectors)",
        "loupe": "from interpret import complete, project; complete(project(vectors))",
        "open_tsne": "from openTSNE import TSNE; TSNE(random_state=0, n_jobs=2).fit(vectors)",
        "torch_dr": "import torchdr; torchdr.UMAP(n_neighbors=15, backend=None, device='cpu').fit_transform(vectors)",
    }
    with in_a_file(crowd(count)) as file:
        for _ in range(3):
            for way, program in programs.items():
                if names[way] in here:
                    started = time.perf_counter()
                    in_a_process(f"import numpy; vectors = numpy.load({str(file)!r}); {program}")
                    times.setdefault(names[way], []).append(time.perf_counter() - started)
    yield from seconds(f"map of {count:,} x 512, from a fresh process", times)


def speed(count: int) -> Iterator[Row]:
    """A map in a process that has made one before, everything compiled."""
    vectors = crowd(count)
    makers: dict[str, Callable[[], object]] = {
        way: lambda make=make: make(vectors, 0)  # type: ignore[misc]
        for way, make in ways().items()
    }
    for make in ways().values():
        make(vectors[:500], 0)
    umap_learn(vectors)  # beyond 4,096 rows it compiles more
    yield from interleaved(f"map of {count:,} x 512, warm", makers, 3, 0)


def placing(count: int) -> Iterator[Row]:
    """Placing a new picture in a map: ResNet-18's pass over it, and its neighbours among the vectors."""
    import torch

    loaded, _ = network("resnet18")
    vectors = crowd(count)
    projection = complete(project(vectors, "pca"))
    ready = Neighbours.of(vectors)
    image = sample_picture("flower.jpg")

    def placed() -> None:
        place(ready, projection, embed_picture(loaded, image, ["layer4"])[0][None])

    ways: dict[str, Callable[[], object]] = {
        "Loupe, from the picture": placed,
        "Loupe, from its vector": lambda: place(ready, projection, vectors[:1]),
        "a bare pass of the network": lambda: loaded.observe(torch.zeros(1, 3, 224, 224)),
    }
    yield from interleaved(f"placing a picture among {count:,} x 512", ways, 15, 2)


def engines(counts: tuple[int, ...]) -> Iterator[Row]:
    """A map as the app makes it, neighbours exact, by either UMAP: umap-learn's in a process that it starts anew."""
    for count in counts:
        vectors = crowd(count, 16)
        times: dict[str, list[float]] = {}
        for method in ("umap-learn", "umap"):
            started = time.perf_counter()
            complete(project(vectors, method))
            times[f'Loupe, method "{method}"'] = [time.perf_counter() - started]
        yield from seconds(f"map of {count:,} x 16, as the app makes it", times)


def memory(count: int) -> Iterator[Row]:
    """What a process takes at most while it makes a large map, over what it held with the vectors read."""
    with in_a_file(crowd(count)) as file:
        said = in_a_process(_MEMORY, str(file)).split()
    task = f"map of {count:,} x 512"
    yield Row(task, "Loupe, peak memory over the vectors", int(said[-2]) / 1024, "MiB", None, 1)
    yield Row(task, "Loupe, seconds", float(said[-1]), "s", None, 1)


def large(count: int) -> Iterator[Row]:
    """A large map from vectors to points, once each: by umap-learn with a seed, by all its threads, by Loupe."""
    import umap

    vectors, times = crowd(count), dict[str, list[float]]()
    umap_learn(vectors[:5000])  # compiles
    name = f"umap-learn {version('umap-learn')}"
    ways: dict[str, Callable[[], object]] = {
        f"{name}, with a seed": lambda: umap_learn(vectors),
        f"{name}, on all threads": lambda: umap.UMAP(n_neighbors=NEAR).fit_transform(vectors),
        "Loupe": lambda: loupe(vectors),
    }
    for way, make in ways.items():
        started = time.perf_counter()
        make()
        times[way] = [time.perf_counter() - started]
    yield from seconds(f"map of {count:,} x 512, from vectors to points", times)


def on_a_device(counts: tuple[int, ...]) -> Iterator[Row]:
    """Large maps on a graphics card from vectors to points, and where the time goes; warm."""
    import torch

    if not torch.cuda.is_available():
        print("  maps of a million points are made where there is a CUDA device")
        return
    for count in counts:
        vectors = large_crowd(count)
        phases(vectors[:2000])
        spent = phases(vectors)
        task = f"map of {count:,} x 512 on a graphics card"
        yield Row(task, "Loupe", sum(spent.values()), "s", None, 1)
        for phase, took in spent.items():
            yield Row(task, f"of that, {phase}", took, "s", None, 1)
        yield Row(task, "most memory of the device in use", torch.cuda.max_memory_allocated() / 2**20, "MiB", None, 1)


def large_crowd(count: int) -> Table:
    """Points as those of `crowd`, drawn in float32, a part at a time: float32 [count, 512]."""
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((4, 64), np.float32) / 2, rng.standard_normal((64, 512), np.float32) / 8
    centres = 1.5 * rng.standard_normal((10, 4), np.float32)

    def part(seed: int, rows: int) -> Table:
        own = np.random.default_rng((1, seed))
        inner = own.standard_normal((rows, 4), np.float32) + centres[np.arange(rows) % 10]
        found = np.maximum(np.tanh(inner @ first) @ second, 0)
        found += np.float32(0.05) * own.standard_normal((rows, 512), np.float32)
        return found

    with ThreadPoolExecutor() as pool:
        sizes = [min(_PART, count - at) for at in range(0, count, _PART)]
        return np.concatenate(list(pool.map(part, range(len(sizes)), sizes)))


def phases(vectors: Table) -> dict[str, float]:
    """Seconds of each phase of a map, by the notes of its progress."""
    import torch

    spent: dict[str, float] = {}
    job, note = project(vectors, params=ProjectionParams(neighbors=NEAR)), "making the vectors ready"
    while True:
        started = time.perf_counter()
        try:
            told = next(job).note
        except StopIteration:
            return spent | {note: spent.get(note, 0) + time.perf_counter() - started}
        torch.cuda.synchronize()
        spent[note] = spent.get(note, 0) + time.perf_counter() - started
        note = told


_MEMORY = """
import sys, time, numpy
from pathlib import Path
from interpret import complete, project

def kilobytes(what):
    return int(Path("/proc/self/status").read_text().split(what + ":")[1].split()[0])

vectors = numpy.load(sys.argv[1])
complete(project(vectors[:500]))
Path("/proc/self/clear_refs").write_text("5")  # forgets the highest mark so far
before, started = kilobytes("VmRSS"), time.perf_counter()
complete(project(vectors))
print(kilobytes("VmHWM") - before, time.perf_counter() - started)
"""


@contextmanager
def in_a_file(vectors: Table) -> Iterator[Path]:
    """A file to read them from, while the context lasts."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "vectors.npy"
        np.save(file, vectors)
        yield file


def seconds(task: str, times: dict[str, list[float]]) -> Iterator[Row]:
    """Medians; the first is what the ratios refer to."""
    medians = {way: statistics.median(several) for way, several in times.items()}
    base = next(iter(medians.values()))
    for index, (way, median) in enumerate(medians.items()):
        yield Row(task, way, median, "s", median / base if index else None, len(times[way]))
