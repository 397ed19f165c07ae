"""The command `filters`: pictures of a layer's channels as arrays, or of the whole network as a page."""

from __future__ import annotations

import argparse
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np

from interpret.channels import channel_numbers
from interpret.commands import Answer, driven, finish, json_number, model_of, output_folder
from interpret.datasets import open_source
from interpret.errors import BadInput
from interpret.filters import FilterParams, filter_images
from interpret.layers import LayerInfo
from interpret.microscope import draw_network
from interpret.model import LoadedModel
from interpret.rendering import grid, painted, png

_WHOLE = ("layers", "classes")


def add_options(parser: argparse.ArgumentParser) -> None:
    """What to draw, and one option for each field of `FilterParams`."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--layer", metavar="NAME", help="channels of one layer, as arrays and a sheet")
    what.add_argument("--all", action="store_true", help="the whole network, as a page that can be resumed and shared")
    parser.add_argument("--channels", metavar="LIST", help='such as "0-15" or "3,7,12-20" (0-15; with --all: all)')
    parser.add_argument(
        "--layers", metavar="LIST", help='with --all: "blocks" (what each block answers), "convolutions", or names'
    )
    parser.add_argument("--classes", metavar="LIST", help='with --all: classes to draw too, such as "0-9", or "all"')
    parser.add_argument("--data", metavar="DATA", help="pictures to compare with, and to take MACO's spectrum from")
    parser.add_argument("--out", required=True, metavar="DIR")
    settings = parser.add_argument_group("how pictures are drawn")
    for setting in fields(FilterParams):
        choices = setting.metadata.get("choices")
        kind = type(setting.default)
        settings.add_argument(
            f"--{setting.name.replace('_', '-')}",
            type=kind,
            default=setting.default,
            choices=choices,
            metavar=None if choices else "N",
            help=f"{setting.metadata['help']} ({setting.default})".replace("%", "%%"),
        )


def filters(options: argparse.Namespace) -> Answer:
    """A layer's pictures, or with --all the network's."""
    model = model_of(options)
    params = FilterParams(**{setting.name: getattr(options, setting.name) for setting in fields(FilterParams)})
    if options.all:
        return _whole_network(options, model, params)
    for name in _WHOLE:
        if getattr(options, name) is not None:
            raise BadInput(f"--{name} goes with --all only.")
    return _one_layer(options, model, params)


def _one_layer(options: argparse.Namespace, model: LoadedModel, params: FilterParams) -> Answer:
    """`filters.npy` [pictures, height, width, 3] in 0..1, `filters.png` and `manifest.json`."""
    channels = channel_numbers(options.channels or "0-15", model.layer(options.layer).channels)
    source = None if options.data is None else open_source(options.data)
    drawn = driven(filter_images(model, options.layer, channels, params, source=source), options)
    folder = output_folder(options.out)
    np.save(folder / "filters.npy", drawn.pictures)
    (folder / "filters.png").write_bytes(png(grid(painted(drawn.pictures, drawn.opacity))))
    answer = finish(
        folder,
        model,
        command="filters",
        layer=options.layer,
        channels=list(drawn.channels),
        reached=[json_number(value) for value in drawn.reached],
        axes=["pictures", "height", "width", "rgb"],
        parameters=asdict(params),
        data=options.data,
    )
    return answer, f"{len(drawn.channels)} filter pictures of {options.layer} written to {folder}"


def _whole_network(options: argparse.Namespace, model: LoadedModel, params: FilterParams) -> Answer:
    """`index.html`, a page for each layer under `layers`, and `manifest.json` when all of it is there."""
    layers = _layers(model, options.layers or "blocks")
    channels = {
        layer.name: channel_numbers(options.channels or f"0-{layer.channels - 1}", layer.channels) for layer in layers
    }
    classes = options.classes and (f"0-{len(model.labels) - 1}" if options.classes == "all" else options.classes)
    targets = channel_numbers(classes, len(model.labels), "class", "the network") if classes else ()
    source = None if options.data is None else open_source(options.data)
    folder = Path(options.out)
    job = draw_network(model, folder, channels, params, targets=targets, source=source)
    (folder / "manifest.json").unlink(missing_ok=True)
    fresh = driven(job, options)
    count = sum(map(len, channels.values())) + len(targets)
    answer = finish(
        folder,
        model,
        command="filters",
        layers={name: len(numbers) for name, numbers in channels.items()},
        classes=list(targets),
        drawn=count,
        parameters=asdict(params),
        data=options.data,
        data_digest=None if source is None else source.digest,
    )
    before = f", {count - fresh:,} of them before" if fresh < count else ""
    return answer, f"{count:,} channels and classes drawn{before}: open {folder / 'index.html'}"


def _layers(model: LoadedModel, chosen: str) -> list[LayerInfo]:
    """In the order of the network; each once."""
    if chosen == "blocks":
        names = {block.output for block in model.blocks if model.layer(block.output).is_spatial}
    elif chosen == "convolutions":
        names = {layer.name for layer in model.layers if layer.kernel is not None}
    else:
        names = {model.layer(name.strip()).name for name in chosen.split(",")}
    return [layer for layer in model.layers if layer.name in names]
