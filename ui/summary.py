"""A network and its load report as rows for a table."""

from __future__ import annotations

from interpret.model import LoadedModel
from ui.display import plain


def layer_table(model: LoadedModel) -> list[dict[str, str | int]]:
    """One row per layer, in the order of execution."""
    blocks = {name: block for block in model.blocks for name in block.layers}
    return [
        {
            "part": blocks[layer.name].part,
            "block": blocks[layer.name].title,
            "layer": layer.name,
            "kind": layer.kind,
            "output": " × ".join(f"{side:,}" for side in layer.shape),
            "stride": f"{layer.stride} px" if layer.stride else "",
            "field": " × ".join(f"{side:,}" for side in layer.reach.size) + " px" if layer.reach else "",
            "parameters": layer.parameters,
            "multiply-adds": layer.multiply_adds,
        }
        for layer in model.layers
    ]


def load_sentence(model: LoadedModel) -> str:
    """The load report in one sentence, as Markdown."""
    report = model.report
    extras = [
        f"{len(names):,} {word}"
        for names, word in (
            (report.missing, "missing"),
            (report.unexpected, "left over"),
            (report.reshaped, "of another shape"),
            (report.not_finite, "with values that are not numbers"),
        )
        if names
    ]
    rest = ", ".join(extras) or "nothing missing, nothing left over"
    return f"{plain(model.name)}: {report.matched:,} tensors matched, {rest}"


def report_table(model: LoadedModel) -> list[dict[str, str]]:
    """The whole load report, what and value."""
    report, steps = model.report, model.preprocess
    fewest = report.candidates[0][1]
    alike = [key for key, count in report.candidates if count == fewest and key != model.architecture.key]
    others = [f"{key} ({count:,} tensors differ)" for key, count in report.candidates if count != fewest]
    outputs = [
        f"{output.name or 'scores'} {' × '.join(map(str, output.shape))}" + (" (classes)" if i == model.head else "")
        for i, output in enumerate(model.outputs)
    ]
    rows = {
        "file": model.name,
        "architecture": f"{model.architecture.key} ({model.architecture.library})",
        "the file calls it": report.named or "nothing",
        "fit as well": ", ".join(alike) or "none",
        "nearest others": ", ".join(others) or "none",
        "tensors matched": f"{report.matched:,}",
        "missing": ", ".join(report.missing) or "none",
        "left over": ", ".join(report.unexpected) or "none",
        "of another shape": ", ".join(report.reshaped) or "none",
        "with NaN or infinity": ", ".join(report.not_finite) or "none",
        "taken out of": report.wrapper or "the top level",
        "prefixes taken off": ", ".join(report.prefixes) or "none",
        "also in the file": ", ".join(report.parts) or "nothing",
        "numbers": ", ".join(report.precisions),
        "input": steps.described,
        "outputs": ", ".join(outputs),
        "loaded in": f"{report.seconds:.2f} s",
    }
    return [{"what": what, "value": value} for what, value in rows.items()]
