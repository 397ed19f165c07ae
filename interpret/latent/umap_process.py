"""umap-learn, or scikit-learn's t-SNE, in a process of its own: `python umap_process.py FOLDER PARENT`.

A fit cannot be interrupted from within, and two fits in one process can abort it. A process can be ended at any time.
It ends by itself, and takes its folder with it, when the process that started it is gone.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np


def main(folder: Path) -> None:
    """Fits the map of `vectors.npy` with `params.json` and writes `projection.npy` float32 [n, dimensions] by renaming.

    `indices.npy` and `distances.npy` are the neighbours, for UMAP; `labels.npy` classes to hold together, -1 unknown.
    """
    params = json.loads((folder / "params.json").read_text())
    vectors = np.load(folder / "vectors.npy")
    points = t_sne(vectors, params) if params["fit"] == "t-sne" else umap_learn(vectors, params, folder)
    unfinished = folder / "unfinished.npy"
    np.save(unfinished, np.asarray(points, np.float32))
    unfinished.rename(folder / "projection.npy")


def umap_learn(vectors: Any, params: dict[str, Any], folder: Path) -> Any:
    """UMAP, densMAP, or UMAP that knows the labels, over the neighbours given."""
    import umap

    fit = umap.UMAP(
        n_neighbors=params["neighbors"],
        n_components=params["dimensions"],
        min_dist=params["min_dist"],
        metric=params["metric"],
        random_state=params["seed"],
        precomputed_knn=(np.load(folder / "indices.npy"), np.load(folder / "distances.npy")),
        densmap=params["fit"] == "densmap",
        n_jobs=1,
    )
    labels = folder / "labels.npy"
    return fit.fit_transform(vectors, np.load(labels) if labels.exists() else None)


def t_sne(vectors: Any, params: dict[str, Any]) -> Any:
    """Barnes-Hut t-SNE from a PCA start, with the neighbours as its perplexity, at most a third of the vectors."""
    from sklearn.manifold import TSNE

    return TSNE(
        params["dimensions"],
        perplexity=min(params["neighbors"], (len(vectors) - 1) / 3),
        metric=params["metric"],
        init="pca",
        random_state=params["seed"],
    ).fit_transform(vectors)


def end_with_parent(folder: Path, parent: int) -> None:
    """Waits until the parent process is gone, then leaves nothing behind."""
    while os.getppid() == parent:
        time.sleep(0.5)
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=end_with_parent, args=(Path(sys.argv[1]), int(sys.argv[2])), daemon=True).start()
    main(Path(sys.argv[1]))
