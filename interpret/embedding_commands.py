"""The commands `embed` and `project`: a data set in a run folder, and a map of it."""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import asdict
from pathlib import Path

import numpy as np

from interpret.commands import Answer, driven, model_of, versions
from interpret.datasets import open_source
from interpret.errors import BadInput
from interpret.latent import ProjectionParams, align, open_run, project
from interpret.latent.embedder import POOLS, PRECISIONS
from interpret.latent.index import INDEX, put_points, renamed
from interpret.latent.opened import read_manifest, run_vectors
from interpret.latent.runs import embed_run


def add_embed_options(parser: argparse.ArgumentParser) -> None:
    """What `embed` can be told."""
    parser.add_argument(
        "data",
        metavar="DATA",
        help='folder, .zip, .csv or .parquet of paths, IDX file, "torchvision:CIFAR10:FOLDER", "digits", "shapes:500"',
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--layer", metavar="NAME", help="the last spatial layer before pooling if not given")
    where.add_argument("--layers", metavar="A,B", help="several, in one pass")
    parser.add_argument("--pool", default="mean", choices=POOLS, help="how a map becomes a vector (mean)")
    parser.add_argument("--precision", default="float32", choices=PRECISIONS, help="of the vectors kept (float32)")
    parser.add_argument("--shard", default="1/1", metavar="I/K", help="only the I-th of K shares, for several machines")
    parser.add_argument("--out", required=True, metavar="RUN", help="a new folder, or that of a run to go on with")


def add_project_options(parser: argparse.ArgumentParser) -> None:
    """What `project` can be told."""
    parser.add_argument("run_folder", metavar="RUN")
    parser.add_argument("--layer", metavar="NAME", help="the run's first if not given")
    parser.add_argument("--method", default="umap", metavar="KEY")
    parser.add_argument("--neighbors", type=int, default=15)
    parser.add_argument("--min-dist", type=float, default=0.1)
    parser.add_argument("--metric", default="euclidean", choices=("euclidean", "cosine"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dimensions", type=int, default=2, choices=(2, 3))
    parser.add_argument("--aligned", action="store_true", help="all layers of the run, laid out together")


def save_embedding(options: argparse.Namespace) -> Answer:
    """A run folder, or a share of one; see `embed_run`."""
    share = re.fullmatch("([0-9]{1,6})/([0-9]{1,6})", options.shard)
    if share is None:
        raise BadInput(f'"{options.shard}" should be a share such as 3/8: the third of eight.')
    names = (options.layers or options.layer or "").split(",")
    model = model_of(options)
    source = open_source(options.data)
    folder = Path(options.out)
    left = driven(
        embed_run(
            model,
            source,
            folder,
            layers=[name.strip() for name in names if name.strip()],
            pool=options.pool,
            precision=options.precision,
            share=(int(share[1]), int(share[2])),
            about={"data": options.data, "versions": versions()},
        ),
        options,
    )
    if left:
        answer = {"command": "embed", "out": str(folder), "share": options.shard, "shards_left": left}
        return (
            answer,
            f"Share {options.shard} is done; the run is finished when {left:,} more shards are there: {folder}",
        )
    manifest = read_manifest(folder)
    layers = " and ".join(told["name"] for told in manifest["layers"])
    broken = f", {len(manifest['skipped'])} broken ones skipped" if manifest["skipped"] else ""
    warnings = "".join(f"\n{told['warning']}" for told in manifest["layers"] if told["warning"])
    said = f"{manifest['pictures']:,} pictures embedded at {layers}{broken}: {folder}{warnings}"
    return {**manifest, "out": str(folder)}, said


def save_projection(options: argparse.Namespace) -> Answer:
    """`projection.npy` in the order of the run's index, x and y in that, and `projection.json`.

    The file is [pictures, 2 or 3], with --aligned [layers, pictures, 2 or 3].
    """
    folder = Path(options.run_folder)
    known = [told["name"] for told in read_manifest(folder).get("layers", ())]
    layer = options.layer or read_manifest(folder).get("layer")
    params = ProjectionParams(options.neighbors, options.min_dist, options.metric, options.seed, options.dimensions)
    if options.aligned and (options.layer or options.method != "umap"):
        raise BadInput("Aligned maps are UMAP of all layers of the run: leave --layer and --method out.")
    if options.aligned:
        tables = [np.asarray(run_vectors(folder, name), np.float32) for name in known]
        found = driven(align(tables, params), options)
        maps = dict(zip(known, (one.points for one in found), strict=True))
        method, points = "aligned umap", np.stack(list(maps.values()))
    else:
        vectors = np.asarray(run_vectors(folder, options.layer), np.float32)
        labels = open_run(folder)[0].labels if (folder / INDEX).is_file() else None
        one = driven(project(vectors, options.method, params, labels), options)
        maps, method, points = {"": one.points}, one.method, one.points
    with renamed(folder / "projection.npy") as stream:
        np.save(stream, points)
    if (folder / INDEX).is_file():
        put_points(folder / INDEX, maps)
    answer = {
        "command": "project",
        **({"layers": known} if options.aligned else {"layer": layer}),
        "method": method,
        "parameters": asdict(params),
        "axes": [*(["layers"] if options.aligned else []), "pictures", "xyz"[: params.dimensions]],
        "shape": list(points.shape),
        "versions": versions(),
    }
    (folder / "projection.json").write_text(json.dumps(answer, indent=2), encoding="utf-8")
    return {**answer, "out": str(folder)}, f"{method} of {points.shape[-2]:,} pictures written to {folder}"
