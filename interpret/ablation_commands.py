"""The command `ablate`: what becomes of a data set's predictions when parts of a network are changed."""

from __future__ import annotations

import argparse
from pathlib import Path

from interpret.ablation import (
    CHANGES,
    Change,
    ablate,
    as_csv,
    as_latex,
    cascade,
    combinations,
    export,
    forgotten,
    lesions,
    some_images,
    usual,
)
from interpret.ablation import check as check_change
from interpret.channels import channel_numbers
from interpret.commands import Answer, driven, finish, model_of, output_folder
from interpret.datasets import open_source, sample_names, sample_picture
from interpret.errors import BadInput
from interpret.images import InputImage
from interpret.model import LoadedModel
from interpret.store import write_whole

_SWEEPS = {"lesions": lesions, "forgotten": forgotten, "cascade": cascade}


def add_ablate_options(parser: argparse.ArgumentParser) -> None:
    """What `ablate` can be told."""
    parser.add_argument("data", metavar="DATA", help='folder, .zip, list, "shapes:500", ..., as for embed')
    parser.add_argument(
        "--change",
        nargs="+",
        action="append",
        default=[],
        metavar="WHAT",
        help=f"how, the layer, and channels if not all: zero layer3 3,7-9; {', '.join(kind.key for kind in CHANGES)}",
    )
    parser.add_argument("--sweep", choices=tuple(_SWEEPS), help="each block in turn, instead of changes")
    parser.add_argument("--seed", type=int, default=0, help="of changes that draw lots (0)")
    parser.add_argument(
        "--donor", metavar="PICTURE", help=f"for donor: a picture file, or a sample: {', '.join(sample_names())}"
    )
    parser.add_argument("--export", metavar="FILE", help="also write the network with all changes, .safetensors")
    parser.add_argument("--out", required=True, metavar="DIR")


def _picture(name: str) -> InputImage:
    return sample_picture(name) if name in sample_names() else InputImage.from_path(name)


def save_ablation(options: argparse.Namespace) -> Answer:
    """`ablation.csv`, `ablation.tex` and `manifest.json`: the changes, and of several all their combinations."""
    model, source = model_of(options), open_source(options.data)
    changes = [_change(model, words, options.seed) for words in options.change]
    if bool(changes) == bool(options.sweep):
        raise BadInput("Give changes or a sweep: --change zero layer3, or --sweep lesions.")
    if options.sweep:
        variants = _SWEEPS[options.sweep](model)
        if not variants:
            raise BadInput(f"No block of {model.architecture.title} can be left out.")
    elif len(changes) == 1:
        variants = {changes[0].title: (changes[0],)}
    else:
        variants = combinations(changes)
    needing = sorted({change.layer for change in changes if change.how in ("mean", "noise")})
    known = driven(usual(model, source, needing), options) if needing else {}
    images = some_images(source)
    donor = _picture(options.donor) if options.donor else None
    if options.export:  # first: what cannot be exported is said before the work
        export(model, changes, Path(options.export), images=images)
    table = driven(ablate(model, source, variants, usual=known, donor=donor, images=images), options)
    folder = output_folder(options.out)
    write_whole(folder / "ablation.csv", as_csv(table).encode("utf-8", "backslashreplace"))
    write_whole(folder / "ablation.tex", as_latex(table).encode("utf-8", "backslashreplace"))
    interval, difference = table.interval(), table.difference()
    answer = finish(
        folder,
        model,
        command="ablate",
        data=source.title,
        data_digest=source.digest,
        pictures=len(table),
        compared_with=table.compared_with,
        skipped=[{"image": name, "reason": reason} for name, reason in table.skipped],
        variants=[
            {
                "name": name,
                "changes": [change.title for change in variants.get(name, ())],
                "accuracy": float(table.accuracy[at]),
                "interval": interval[at].tolist(),
                "difference": difference[at].tolist(),
                "predictions_changed": int(table.flips[at]),
            }
            for at, name in enumerate(table.names)
        ],
        exported=options.export or "",
    )
    lines = [
        f"{row['accuracy']:6.1%}  ({row['interval'][0]:.1%} to {row['interval'][1]:.1%})  {row['name']}"
        for row in answer["variants"]
    ]
    return answer, "\n".join([f"{len(table):,} pictures, compared with their {table.compared_with}", *lines])


def _change(model: LoadedModel, words: list[str], seed: int) -> Change:
    if not 2 <= len(words) <= 3:
        raise BadInput(f'"{" ".join(words)}" should say how, which layer and maybe which channels: zero layer3 3,7-9.')
    how, layer = words[:2]
    channels = channel_numbers(words[2], model.layer(layer).channels) if len(words) == 3 else ()
    change = Change(how, layer, channels, seed)
    check_change(model, change)
    return change
