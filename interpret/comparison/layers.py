"""How alike two networks are, layer by layer: whether they order the same pictures in the same way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from interpret.datasets.sources import PictureSource
from interpret.errors import BadInput
from interpret.jobs import Job, stretch
from interpret.latent.distances import Floats
from interpret.latent.embedding import Embedding, embed
from interpret.latent.similarity import CAUTION, cka_between, cka_matrix, overlap_between, overlap_matrix
from interpret.model import LoadedModel

NEIGHBORS = 15
MOST = 2000
_STEPS = 1000


@dataclass(frozen=True, eq=False)
class LayerSimilarity:
    """How alike each layer of one network and each of another are over the same pictures.

    Attributes:
        rows, columns: names of the layers of the one and of the other network.
        cka: float32 [rows, columns], read-only: linear CKA, debiased; 1 where one layer is the other turned or scaled,
            about 0 where they have nothing in common; NaN beside a layer that says the same of all pictures.
        overlap: float32 [rows, columns], read-only: the share of a picture's nearest that both layers have in common.
        says: the two in words.
        pictures: how many were compared.
        neighbors: how many nearest; by chance layers share neighbors / (pictures - 1) of them.
        skipped: (name, reason) of pictures that could not be read.
        model_digests, source_digest: of what; the source's of the pictures taken.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cka: Floats
    overlap: Floats
    says: str
    pictures: int
    neighbors: int
    skipped: tuple[tuple[str, str], ...]
    model_digests: tuple[str, str]
    source_digest: str


def block_outputs(model: LoadedModel) -> tuple[str, ...]:
    """Names of the layers that give what each block answers, those with channels, in the order of execution."""
    outputs = dict.fromkeys(block.output for block in model.blocks)
    return tuple(name for name in outputs if model.layer(name).layout != "other")


def layer_similarity(
    one: LoadedModel,
    other: LoadedModel,
    source: PictureSource,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    most: int = MOST,
) -> Job[LayerSimilarity]:
    """How alike the layers of two networks are, or those of one network among themselves.

    Each network takes the pictures once; maps are averaged over their places. Then all the vectors are in memory: of
    2,000 pictures 8 KB for each channel of the layers compared, 120 MB for the blocks of a ResNet-50, and no network
    may take more than `interpret.latent.embedding.MAX_BYTES`. That is why the HSIC of all pictures at once is taken,
    which is exact, and not summed over minibatches, which Nguyen et al. do because flattened maps of many layers would
    not fit.

    Args:
        one, other: the networks; where they are the same (equal digests) it takes the pictures only once.
        source: the pictures; broken ones are skipped.
        rows: names of layers of the one; the outputs of its blocks if None.
        columns: the same of the other.
        most: how many pictures at most, spread evenly over the source.

    Yields:
        Progress in thousandths: pictures first, then pairs of layers, then neighbourhoods.

    Raises:
        UnknownName: no such layer.
        BadInput: no layer, a layer without channels or named twice; fewer than 4 pictures; or too much memory.

    Source: see `cka_matrix` and `overlap_matrix`; for minibatches T. Nguyen, M. Raghu, S. Kornblith 2021, arXiv
        2010.15327, section 3.
    """
    rows = block_outputs(one) if rows is None else tuple(rows)
    columns = block_outputs(other) if columns is None else tuple(columns)
    if not rows or not columns:
        raise BadInput(f'Name at least one layer of "{one.name}" and one of "{other.name}" to compare.')
    taken = source.first(most)
    device = one.runtime.device
    skipped: tuple[tuple[str, str], ...]
    if one.digest == other.digest:
        layers = tuple(dict.fromkeys((*rows, *columns)))
        found = yield from stretch(embedded(one, taken, layers), 0, 800, _STEPS)
        at = dict(zip(layers, found, strict=True))
        mine, its = ([at[name] for name in part] for part in (rows, columns))
    else:
        mine = yield from stretch(embedded(one, taken, rows), 0, 400, _STEPS)
        its = yield from stretch(embedded(other, taken, columns), 400, 800, _STEPS)
    x, y = _aligned(mine, its)
    if one.digest == other.digest and rows == columns:
        cka = yield from stretch(cka_matrix(x, device=device), 800, 900, _STEPS)
        overlap = yield from stretch(overlap_matrix(x, NEIGHBORS, most=most, device=device), 900, _STEPS, _STEPS)
    else:
        cka = yield from stretch(cka_between(x, y, device=device), 800, 900, _STEPS)
        overlap = yield from stretch(overlap_between(x, y, NEIGHBORS, most=most, device=device), 900, _STEPS, _STEPS)
    pictures = len(x[0])
    neighbors = min(NEIGHBORS, pictures - 1)
    skipped = tuple(dict.fromkeys((*mine[0].skipped, *its[0].skipped)))
    return LayerSimilarity(
        rows=rows,
        columns=columns,
        cka=cka,
        overlap=overlap,
        says=_said(cka, overlap, pictures, neighbors),
        pictures=pictures,
        neighbors=neighbors,
        skipped=tuple((taken.names[int(index)], reason) for index, reason in skipped),
        model_digests=(one.digest, other.digest),
        source_digest=taken.digest,
    )


def embedded(model: LoadedModel, source: PictureSource, layers: Sequence[str]) -> Job[list[Embedding]]:
    """The embeddings at some layers, in which a picture is named by its place in the source."""
    numbered = replace(source, names=tuple(str(index) for index in range(len(source))))
    return embed(model, numbered, layers=layers)


def _aligned(mine: Sequence[Embedding], its: Sequence[Embedding]) -> tuple[list[Floats], list[Floats]]:
    """The vectors of the pictures that both networks could be given, by their names, at each layer of both.

    A picture may be too narrow for one network's preprocessing alone.
    """
    if mine[0].names == its[0].names:
        return [one.vectors for one in mine], [one.vectors for one in its]
    both = set(mine[0].names) & set(its[0].names)
    kept = [[at for at, name in enumerate(found[0].names) if name in both] for found in (mine, its)]
    return [one.vectors[kept[0]] for one in mine], [one.vectors[kept[1]] for one in its]


def _said(cka: Floats, overlap: Floats, pictures: int, neighbors: int) -> str:
    """For each row its most alike column: how alike, and whether neighbours name the same one."""
    speaks = np.isfinite(cka).any(1)
    if not speaks.any():
        return f"Over {pictures:,} pictures no two layers can be compared: each says the same of all of them."
    best = np.where(np.isfinite(cka), cka, -np.inf).argmax(1)[speaks]
    across = np.arange(len(cka))[speaks]
    alike, shared = cka[across, best], overlap[across, best]
    apart = int((best != overlap.argmax(1)[speaks]).sum())
    said = (
        f"Over {pictures:,} pictures the most alike layer of the other network has a CKA of {alike.min():.2f} to "
        f"{alike.max():.2f} and shares {100 * shared.min():.0f} to {100 * shared.max():.0f} % of a picture's "
        f"{neighbors} nearest (by chance {100 * neighbors / (pictures - 1):.1f} %)."
    )
    if not apart:
        return said
    return f"{said} For {apart:,} of {len(across):,} layers the neighbours name another one than CKA. {CAUTION}"
