"""Maps of several layers: Loupe's aligned ones, beside separate ones turned by Procrustes, and umap-learn's."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from importlib.metadata import version
from itertools import pairwise

import numpy as np

from benchmarks.latent import NEAR, Table, digits, loupe
from benchmarks.tasks import BUNDLED
from benchmarks.timing import Row
from interpret import align, complete, embed, load_model
from interpret.datasets import open_source
from interpret.latent import ProjectionParams, map_quality, movement


def layered(count: int) -> dict[str, list[Table]]:
    """The same pictures at several layers: digits, 20 and 8 components of them, with noise of 2 and 4; Shapes."""
    from sklearn.decomposition import PCA

    pixels = digits()[0][:count]
    few = [np.asarray(PCA(width, random_state=0).fit_transform(pixels), np.float32) for width in (20, 8)]
    noise = np.random.default_rng(0).standard_normal(pixels.shape).astype(np.float32)
    stages = ("relu", "layer1.2", "layer2.2", "layer3")
    embedded = complete(embed(load_model(BUNDLED), open_source(f"shapes:{count}"), layers=stages))
    return {
        "digits, their components, with noise": [pixels, *few, pixels + 2 * noise, pixels + 4 * noise],
        "Shapes after each stage": [one.vectors for one in embedded],
    }


def several(count: int) -> Iterator[Row]:
    """How far points move between adjacent maps, and how far each map may be trusted."""
    ways = {
        "Loupe, separate maps turned by Procrustes": turned,
        "Loupe, aligned": lambda layers: [one.points for one in complete(align(layers, ProjectionParams(NEAR)))],
        f"umap-learn {version('umap-learn')}, AlignedUMAP": aligned_umap_learn,
    }
    for name, layers in layered(count).items():
        aligned_umap_learn([layer[:100] for layer in layers])  # compiles
        found = {}
        for way, make in ways.items():
            started = time.perf_counter()
            maps = make(layers)
            found[way] = {"seconds": time.perf_counter() - started}
            far = [movement(*pair) for pair in pairwise(maps)]
            found[way] |= {"moved, median": float(np.median(far)), "moved, mean": float(np.mean(far))}
            trusted = [
                complete(map_quality(layer, one, neighbors=NEAR)).trustworthiness
                for layer, one in zip(layers, maps, strict=True)
            ]
            found[way] |= {"trustworthiness, mean": 100 * statistics.mean(trusted)}
            found[way] |= {"trustworthiness, worst layer": 100 * min(trusted)}
        units = {"seconds": "s", "moved, median": "radii", "moved, mean": "radii"}
        base = next(iter(found.values()))
        for measure in base:
            for index, (way, measured) in enumerate(found.items()):
                ratio = measured[measure] / base[measure] if index else None
                task = f"maps of {len(layers)} layers, {count:,} {name}: {measure}"
                yield Row(task, way, measured[measure], units.get(measure, "%"), ratio, 1)


def turned(layers: list[Table]) -> list[Table]:
    """Separate maps, each centred and then turned, mirrored and scaled onto the one before."""
    from scipy.linalg import orthogonal_procrustes

    maps: list[Table] = []
    for points in (loupe(layer) for layer in layers):
        centred = points - points.mean(0)
        if maps:
            turn, scale = orthogonal_procrustes(centred, maps[-1])
            centred = (centred @ turn * scale / np.square(centred).sum()).astype(np.float32)
        maps.append(centred)
    return maps


def aligned_umap_learn(layers: list[Table]) -> list[Table]:
    """The same by umap-learn as it comes."""
    import umap

    same = dict(enumerate(range(len(layers[0]))))
    mapper = umap.AlignedUMAP(n_neighbors=NEAR, random_state=0)
    return [np.asarray(one) for one in mapper.fit_transform(layers, relations=[same] * (len(layers) - 1))]
