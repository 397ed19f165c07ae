"""All that is known of a loaded network, for programs and for people."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from interpret.model import LoadedModel


def inspected(model: LoadedModel) -> tuple[dict[str, Any], str]:
    """(everything as JSON-ready values, the same in a few lines and one line a layer)."""
    report, steps = model.report, model.preprocess
    answer = {
        "checkpoint": model.name,
        "digest": model.digest,
        "architecture": model.architecture.key,
        "title": model.architecture.title,
        "library": model.architecture.library,
        "classes": len(model.labels),
        "labels": list(model.labels),
        "parameters": model.parameters,
        "default_layer": model.default_layer.name,
        "input": asdict(steps),
        "outputs": [
            {"name": output.name, "shape": list(output.shape), "classes": number == model.head}
            for number, output in enumerate(model.outputs)
        ],
        "layers": [
            {
                "name": layer.name,
                "kind": layer.kind,
                "shape": list(layer.shape),
                "parameters": layer.parameters,
                "stride": layer.stride,
                "spatial": layer.is_spatial,
                "multiply_adds": layer.multiply_adds,
                "receptive_field": list(layer.reach.size) if layer.reach else None,
            }
            for layer in model.layers
        ],
        "blocks": [
            {"name": block.name, "part": block.part, "kind": block.title, "layers": list(block.layers)}
            for block in model.blocks
        ],
        "report": {
            **asdict(report),
            "candidates": [{"architecture": key, "differences": count} for key, count in report.candidates],
            "seconds": round(report.seconds, 3),
        },
    }
    lines = [
        f"{model.name}: {model.architecture.title} ({model.architecture.key}, {model.architecture.library})",
        f"{len(model.labels):,} classes, {model.parameters:,} parameters",
        f"input: {steps.described}",
        f"{report.matched:,} tensors matched, {len(report.missing)} missing, {len(report.unexpected)} left over, "
        f"{len(report.reshaped)} reshaped" + (f"; prefixes {', '.join(report.prefixes)}" if report.prefixes else ""),
    ]
    equal = [key for key, count in report.candidates if count == 0 and key != model.architecture.key]
    if equal:
        lines.append(f"fits as well: {', '.join(equal)} (choose with --arch)")
    if report.parts:
        lines.append(f"also in the file: {', '.join(report.parts)} (choose with --part)")
    if report.not_finite:
        lines.append(f"NaN or infinity in: {', '.join(report.not_finite)}")
    if len(model.outputs) > 1:
        told = ", ".join(f"{output.name} {list(output.shape)}" for output in model.outputs)
        lines.append(f"outputs: {told}; classes come from {model.outputs[model.head].name}")
    wide = max(len(layer.name) for layer in model.layers)
    lines.append(f"\n{'':<{wide}}  {'':<24} {'output':<18} {'field, px':>10} {'parameters':>12} {'multiply-adds':>16}")
    for block in model.blocks:
        lines.append(f"{block.part}: {block.name}, {block.title}")
        for layer in map(model.layer, block.layers):
            shape = " x ".join(str(side) for side in layer.shape)
            field = "x".join(str(side) for side in dict.fromkeys(layer.reach.size)) if layer.reach else ""
            numbers = f"{field:>10} {layer.parameters:>12,} {layer.multiply_adds:>16,}"
            lines.append(f"{layer.name:<{wide}}  {layer.kind:<24} {shape:<18} {numbers}")
    return answer, "\n".join(lines)
