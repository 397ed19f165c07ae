"""The command line: `python -m interpret COMMAND`, a thin layer over the package's functions."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from interpret.errors import BadInput, InterpretError


class _Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one sentence."""

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message[:1].upper()}{message[1:]}. Try {self.prog} --help.")


def numbers(text: str) -> tuple[float, ...]:
    """Numbers separated by commas."""
    return tuple(float(number) for number in text.split(","))


def parser() -> argparse.ArgumentParser:
    """The parser of all commands, whose `run` default is the command's function."""
    from interpret import (
        ablation_commands,
        commands,
        comparison_commands,
        embedding_commands,
        filter_commands,
        heatmap_commands,
        unit_commands,
    )

    everything = _Parser(add_help=False)
    everything.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    network = _Parser(add_help=False, parents=[everything])
    network.add_argument("checkpoint", metavar="CKPT", help=".safetensors, .pt, .pth, .th, .bin, .ckpt or .tar")
    network.add_argument(
        "--arch", metavar="KEY", help="the architecture, or a Python file that builds it, where it is not recognised"
    )
    network.add_argument("--part", metavar="PATH", help="which network of a file that holds several")
    network.add_argument("--labels", metavar="FILE", help="class names: one a line, or JSON")
    network.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    pictures = network.add_argument_group("how pictures are prepared, where the checkpoint's own way is wrong")
    pictures.add_argument("--input-size", type=int, metavar="N", help="side of what the network gets, in pixels")
    pictures.add_argument("--resize", type=int, metavar="N", help="the shortest side before the crop; 0 squashes")
    pictures.add_argument("--mean", type=numbers, metavar="A,B,C", help="subtracted from pixels of 0 to 1")
    pictures.add_argument("--std", type=numbers, metavar="A,B,C", help="what the difference is divided by")
    pictures.add_argument("--bgr", action="store_true", help="the network was trained on blue, green, red")

    root = _Parser(prog="python -m interpret", description="See inside any CNN.")
    found = root.add_subparsers(title="commands", required=True, metavar="COMMAND", parser_class=_Parser)

    def command(name: str, help_text: str, parent: _Parser, run: Any) -> _Parser:
        made = found.add_parser(name, help=help_text, description=help_text, parents=[parent])
        made.set_defaults(run=run)
        return made

    command("inspect", "architecture, classes, layers and load report", network, commands.inspect)
    predict = command("predict", "the most probable classes of pictures", network, commands.predict)
    predict.add_argument("images", metavar="IMAGE", nargs="+")
    predict.add_argument("--top", type=int, default=5, help="how many classes (5)")

    maps = command("activations", "all channels of a layer for a picture", network, commands.save_activations)
    maps.add_argument("image", metavar="IMAGE")
    maps.add_argument("--layer", required=True, metavar="NAME")
    maps.add_argument("--out", required=True, metavar="DIR")

    heat = command("heatmap", "which places spoke for a class", network, heatmap_commands.save_heatmaps)
    heat.add_argument("images", metavar="IMAGE", nargs="+")
    heatmap_commands.add_heatmap_options(heat)

    evaluate = command(
        "evaluate", "heatmaps of a data set: where they are not to be trusted", network, heatmap_commands.evaluate
    )
    heatmap_commands.add_evaluate_options(evaluate)

    compare = command("compare", "what changed between two checkpoints", network, comparison_commands.compare)
    comparison_commands.add_compare_options(compare)

    ablate = command("ablate", "what is lost when parts are changed", network, ablation_commands.save_ablation)
    ablation_commands.add_ablate_options(ablate)

    filters = command("filters", "pictures that excite channels, by gradient ascent", network, filter_commands.filters)
    filter_commands.add_options(filters)

    embed = command("embed", "the vectors of a data set at some layers", network, embedding_commands.save_embedding)
    embedding_commands.add_embed_options(embed)

    units = command("units", "what a data set excites in each channel of a layer", network, unit_commands.save_units)
    units.add_argument("data", metavar="DATA", help='folder, .zip, "shapes" or "shapes:500"')
    units.add_argument("--layer", required=True, metavar="NAME")
    units.add_argument("--channels", default="0-15", metavar="LIST", help="whose crops are drawn (0-15)")
    units.add_argument("--out", required=True, metavar="DIR")

    project = command("project", "a map of an embedded data set", everything, embedding_commands.save_projection)
    embedding_commands.add_project_options(project)
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command. The exit code is 0; 2 after an error, said in one sentence; 130 when interrupted."""
    try:
        options = parser().parse_args(arguments)
        answer, text = options.run(options)
        print(json.dumps(answer, allow_nan=False) if options.json else _printable(text))
        return 0
    except InterpretError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        where = f" {Path(error.filename)}" if error.filename else ""
        print(f"The file system refused{where}: {error.strerror or error}.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130


def _printable(text: str) -> str:
    """The text with what this terminal's encoding has not, as file names and labels may hold, written as escapes."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


if __name__ == "__main__":
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # stderr is for one sentence
    sys.exit(main())
