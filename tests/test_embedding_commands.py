"""The commands `embed` and `project`: run folders, shares of them, and maps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from interpret import LoadedModel, complete, embed
from interpret.datasets import open_source
from interpret.errors import BadInput
from interpret.latent import open_run, run_maps
from tests.latent.test_embedding import folder_of_pictures
from tests.test_command_line import Capture, answered, manifest, refused, said


def test_embed_and_project(capsys: Capture, cifar_checkpoint: Path, cifar: LoadedModel, tmp_path: Path) -> None:
    from pyarrow import parquet

    data, run = folder_of_pictures(tmp_path / "data", 24), tmp_path / "run"
    (data / "left" / "zz.png").write_bytes(b"broken")
    answer = answered(capsys, "embed", cifar_checkpoint, data, "--layer", "layer2", "--out", run)
    vectors = np.load(run / "embedding.npy")
    expected = complete(embed(cifar, open_source(data), "layer2"))
    assert vectors.dtype == np.float32 and vectors.shape == (24, 32)
    np.testing.assert_allclose(vectors, expected.vectors, atol=1e-5)
    index = parquet.read_table(run / "index.parquet").to_pydict()
    assert index["path"] == list(expected.names) and len(index["path"]) == 24
    assert index["label"] == [name.split("/")[0] for name in expected.names]
    assert index["predicted_label"] == [cifar.labels[i] for i in index["prediction"]]
    found = manifest(run)
    assert (found["pictures"], found["layer"], found["shape"]) == (24, "layer2", [24, 32])
    assert [row["image"] for row in found["skipped"]] == ["left/zz.png"] and found["data_digest"]
    assert answer["out"] == str(run)

    mapped = answered(capsys, "project", run, "--neighbors", 6, "--min-dist", 0.3, "--seed", 2)
    points = np.load(run / "projection.npy")
    assert points.dtype == np.float32 and points.shape == (24, 2) and np.isfinite(points).all()
    assert (mapped["method"], mapped["shape"]) == ("umap", [24, 2])
    assert mapped["parameters"] == {"neighbors": 6, "min_dist": 0.3, "metric": "euclidean", "seed": 2, "dimensions": 2}

    assert "pca of 24 pictures" in said(capsys, "project", run, "--method", "pca")
    assert not np.array_equal(np.load(run / "projection.npy"), points)
    assert json.loads((run / "projection.json").read_text())["method"] == "pca"


def test_embedding_shapes_by_name(capsys: Capture, cifar_checkpoint: Path, tmp_path: Path) -> None:
    answer = answered(capsys, "embed", cifar_checkpoint, "shapes:10", "--out", tmp_path)
    assert (answer["pictures"], len(answer["classes"]), answer["shape"]) == (10, 8, [10, 64])


def test_layers_pools_precisions_and_shares(
    capsys: Capture, cifar_checkpoint: Path, cifar: LoadedModel, tmp_path: Path
) -> None:
    from pyarrow import parquet

    folder_of_pictures(tmp_path / "data", 24)
    lines = [
        f"{'left' if index % 3 else 'right'}/{index:03}.png,{'ant' if index % 2 else 'hen'}" for index in range(24)
    ]
    (tmp_path / "data" / "list.csv").write_text("\n".join(["path,label", *lines, "left/none.png,hen"]))
    run, data = tmp_path / "run", tmp_path / "data" / "list.csv"
    options = ("--layers", "layer2,linear", "--pool", "max", "--precision", "float16", "--out", run)
    first = answered(capsys, "embed", cifar_checkpoint, data, *options, "--shard", "2/2")  # of one shard: nothing
    assert first == {"command": "embed", "out": str(run), "share": "2/2", "shards_left": 1}
    assert "is no finished run folder. The run is not finished: give its command again" in refused(
        capsys, "project", run
    )
    assert "Share 2/2 is done" in said(capsys, "embed", cifar_checkpoint, data, *options, "--shard", "2/2")
    answer = answered(capsys, "embed", cifar_checkpoint, data, *options, "--shard", "1/2")
    assert [layer["shape"] for layer in answer["layers"]] == [[24, 32], [24, 8]] and answer["data"] == str(data)
    assert "24 pictures embedded at layer2 and linear, 1 broken ones skipped" in said(
        capsys, "embed", cifar_checkpoint, data, *options
    )
    expected = complete(embed(cifar, open_source(data), layers=["layer2", "linear"], pool="max", precision="float16"))
    for one, other in zip(open_run(run), expected, strict=True):
        np.testing.assert_allclose(one.vectors, other.vectors, rtol=1e-2)
        assert one.loss.tolist() == pytest.approx(other.loss.tolist(), rel=1e-4) and not np.isnan(one.loss).any()

    assert answered(capsys, "project", run, "--method", "pca", "--layer", "linear")["layer"] == "linear"
    index = parquet.read_table(run / "index.parquet").to_pydict()
    assert np.array_equal(np.load(run / "projection.npy"), np.stack([index["x"], index["y"]], 1).astype(np.float32))
    at_linear = index["x"]
    aligned = answered(capsys, "project", run, "--aligned", "--neighbors", 5, "--dimensions", 3)
    assert (aligned["shape"], aligned["axes"]) == ([2, 24, 3], ["layers", "pictures", "xyz"])
    assert aligned["layers"] == ["layer2", "linear"]
    index, both = parquet.read_table(run / "index.parquet").to_pydict(), np.load(run / "projection.npy")
    assert np.array_equal(both[1], np.stack([index[f"{axis}.linear"] for axis in "xyz"], 1).astype(np.float32))
    own = run_maps(run)
    assert list(own) == ["layer2", "linear"] and own["linear"].method == "aligned umap"
    assert np.array_equal(own["linear"].points, both[1]) and own["layer2"].params.neighbors == 5
    np.save(run / "projection.npy", both[:, :9])
    with pytest.raises(BadInput, match="is of other pictures"):
        run_maps(run)
    (run / "projection.json").write_text("{}")
    with pytest.raises(BadInput, match="is damaged"):
        run_maps(run)
    (run / "projection.json").unlink()
    assert run_maps(run) == {}
    assert "x" not in index and "leave --layer and --method out" in refused(
        capsys, "project", run, "--aligned", "--layer", "linear"
    )
    options = ("--method", "supervised-umap", "--neighbors", 100)
    assert "needs more than 100 pictures" in refused(capsys, "project", run, *options)  # the classes were found
    said(capsys, "project", run, "--method", "pca")
    again = parquet.read_table(run / "index.parquet").to_pydict()
    assert list(again) == ["path", "label", "prediction", "predicted_label", "confidence", "loss", "x", "y"]
    assert again["x"] != at_linear and again["label"] == index["label"] and open_run(run)[0].names == expected[0].names
    assert 'Layer "layer9" is not in the run' in refused(capsys, "project", run, "--layer", "layer9")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--shard", "0/8"), "Share 0 of 8 does not exist"),
        (("--shard", "three"), '"three" should be a share such as 3/8'),
        (("--layer", "layer1", "--layers", "layer1"), "not allowed with argument"),
        (("--pool", "sum"), "invalid choice: 'sum'"),
        (("--layers", "layer1,layer9"), 'Layer "layer9" is not in CIFAR ResNet-20'),
    ],
)
def test_what_embed_refuses(
    capsys: Capture, cifar_checkpoint: Path, tmp_path: Path, options: tuple[str, ...], says: str
) -> None:
    assert says in refused(capsys, "embed", cifar_checkpoint, "shapes:3", *options, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_another_run_is_not_written_over(capsys: Capture, cifar_checkpoint: Path, tmp_path: Path) -> None:
    said(capsys, "embed", cifar_checkpoint, "shapes:5", "--layer", "layer1", "--out", tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    said(capsys, "embed", cifar_checkpoint, "shapes:5", "--layer", "layer1", "--out", tmp_path)  # there already
    sentence = refused(capsys, "embed", cifar_checkpoint, "shapes:6", "--layer", "layer2", "--out", tmp_path)
    assert "was begun with another data set" in sentence and "layers" in sentence
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
