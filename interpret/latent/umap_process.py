"""umap-learn in a process of its own: `python umap_process.py FOLDER PARENT` reads and writes there.

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

import numpy as np


def main(folder: Path) -> None:
    """Fits the map of `vectors.npy` with `params.json` and writes `projection.npy` float32 [n, 2] by renaming."""
    import umap

    params = json.loads((folder / "params.json").read_text())
    vectors = np.load(folder / "vectors.npy")
    indices, distances = np.load(folder / "indices.npy"), np.load(folder / "distances.npy")
    fit = umap.UMAP(
        n_neighbors=params["neighbors"],
        min_dist=params["min_dist"],
        metric=params["metric"],
        random_state=params["seed"],
        precomputed_knn=(indices, distances),
        n_jobs=1,
    )
    points = np.asarray(fit.fit_transform(vectors), np.float32)
    unfinished = folder / "unfinished.npy"
    np.save(unfinished, points)
    unfinished.rename(folder / "projection.npy")


def end_with_parent(folder: Path, parent: int) -> None:
    """Waits until the parent process is gone, then leaves nothing behind."""
    while os.getppid() == parent:
        time.sleep(0.5)
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=end_with_parent, args=(Path(sys.argv[1]), int(sys.argv[2])), daemon=True).start()
    main(Path(sys.argv[1]))
