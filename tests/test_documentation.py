"""What the documents say is run or looked up: commands, code, links, names of pages and methods."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from interpret.__main__ import main
from interpret.ablation import CHANGES
from interpret.activations import activations, class_links
from interpret.architectures import architecture_keys
from interpret.datasets import sample_box, sample_picture
from interpret.datasets.shapes import draw
from interpret.datasets.sources import shapes_source
from interpret.filters import METHODS as FILTER_METHODS
from interpret.filters import FilterImages
from interpret.heatmaps import METHODS, heatmap
from interpret.heatmaps.faithfulness import evidence_job, verdict
from interpret.heatmaps.localisation import Box, localised
from interpret.jobs import complete
from interpret.latent import PROJECTIONS
from interpret.limits import VARIABLES, Limits
from interpret.loading import load_model
from interpret.strokes import Stroke, painted_over
from interpret.units import UnitStatistics, collect_units, without_unit
from ui.ablation_sweeps import SWEEPS
from ui.frame import PAGES

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("checkpoints/*.md")])


CHECKPOINTS = (ROOT / "docs" / "checkpoints.md").read_text(encoding="utf-8")


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with what the README takes for granted: the checkpoints and a picture."""
    (tmp_path / "checkpoints").symlink_to(ROOT / "checkpoints")
    Image.fromarray(draw(1, 5, size=128).pixels).save(tmp_path / "picture.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_command_of_the_readme_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = [line for block in blocks("bash") for line in block.splitlines() if "-m interpret" in line]
    assert {shlex.split(line)[3] for line in commands} == {
        "inspect", "predict", "activations", "heatmap", "evaluate", "filters", "embed", "project", "units",
        "ablate", "compare",
    }  # fmt: skip
    for line in commands:
        assert main(shlex.split(line)[3:]) == 0, f"{line}: {capsys.readouterr().err}"
    for name in (
        "activations/activations.npy",
        "heatmap/picture.heatmap.npy",
        "layers/picture.layer2.overlay.png",
        "evaluation/index.html",
        "filters/filters.png",
        "run/projection.npy",
        "units/tops.csv",
    ):
        assert (folder / "out" / name).is_file()


def test_the_python_lines_of_the_readme_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks("python")
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert len(code.strip().splitlines()) <= 12
    assert isinstance(names["drawn"], FilterImages)
    assert names["drawn"].pictures.shape == (2, 64, 64, 3)
    assert capsys.readouterr().out.startswith("[('")


def test_what_the_page_on_filters_says_runs(folder: Path) -> None:
    text = (ROOT / "docs" / "filters.md").read_text(encoding="utf-8")
    (code,) = blocks("python", text)
    names: dict[str, Any] = {}
    exec(compile(code, "filters.md", "exec"), names)
    counts = [len(names[name].pictures) for name in ("drawn", "both", "apart", "path", "kept", "more", "star")]
    assert counts == [2, 1, 2, 3, 1, 1, 1] and names["further"].steps == 24
    assert all(method.title.lower() in text.lower() for method in FILTER_METHODS)


@pytest.mark.parametrize("name", ["ablation", "comparison"])
def test_what_the_pages_on_ablation_and_comparison_say_runs(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    (code,) = blocks("python", text)
    exec(compile(code, f"{name}.md", "exec"), {})
    for line in (line for line in text.splitlines() if line.startswith("    python -m interpret")):
        assert main(shlex.split(line)[3:]) == 0, f"{line}: {capsys.readouterr().err}"
    if name == "ablation":
        assert all(f"| {kind.title} |" in text for kind in CHANGES)
        assert all(f"| {title} |" in text for key, title in SWEEPS.items() if key)


def test_what_the_page_on_heatmaps_says_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs" / "heatmaps.md").read_text(encoding="utf-8")
    (code,) = blocks("python", text)
    names: dict[str, Any] = {}
    exec(compile(code, "heatmaps.md", "exec"), names)
    assert names["plain"].values.min() < 0 and names["apart"].rival == 0 and len(names["layers"]) == 2
    assert all(f"| {method.title} |" in text for method in METHODS)
    for line in "".join(blocks("bash", text)).splitlines():
        assert main(shlex.split(line)[3:]) == 0, f"{line}: {capsys.readouterr().err}"


def test_the_walk_on_heatmaps_finds_what_it_says() -> None:
    """docs/heatmaps.md: the planted shortcut, caught by map, box and brush; every number of it computed here."""
    said = " ".join((ROOT / "docs" / "heatmaps.md").read_text(encoding="utf-8").split("## A walk")[1].split())
    image, box = sample_picture("heart with a tag"), sample_box("heart with a tag")
    cheat, clean = (
        load_model(ROOT / "checkpoints" / f"shapes-{which}.safetensors", device="cpu")
        for which in ("shortcut", "clean")
    )
    made = heatmap(cheat, image, target="star")
    assert f"The network gives star {made.probability:.1%}".replace("%", " %") in said
    found = complete(evidence_job(cheat, image, made))
    (spot,) = verdict(made, found, "star").besides
    assert spot.startswith("A spot decides: the strongest 3% of the picture") and "give the class 100%" in spot
    assert "a spot decides, the strongest 3 % of the picture give the class 100 %" in said
    assert box is not None and not localised(made.values, (64, 64), [Box(*box)]).points
    tag = np.argwhere((image.pixels == (255, 0, 199)).all(2)).mean(0)[::-1]
    painted = cheat.predict([painted_over(image, [Stroke("grey", 6, ((float(tag[0]), float(tag[1])),))])])[0]
    star, heart = cheat.target("star"), cheat.target("heart")
    assert painted.top(1) == [heart] and painted.probabilities[star] < 0.001
    assert "Star falls below 0.1 %; the network says heart." in said
    other = heatmap(clean, image)
    assert other.target == heart and localised(other.values, (64, 64), [Box(*box)]).points


def test_what_the_page_on_checkpoints_says_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "docs").symlink_to(ROOT / "docs")
    (code,) = blocks("python", CHECKPOINTS)
    example = (ROOT / "docs" / "examples" / "lenet.py").read_text(encoding="utf-8")
    assert example.partition("from torch")[2] == code.partition("from torch")[2], "the page shows another lenet.py"
    names: dict[str, Any] = {}
    exec(compile(code, "checkpoints.md", "exec"), names)
    torch.save(names["build"](10).state_dict(), folder / "lenet.pt")
    commands = [line for block in blocks("bash", CHECKPOINTS) for line in block.splitlines()]
    assert len(commands) == 3
    for line in commands:
        assert main(shlex.split(line)[3:]) == 0, f"{line}: {capsys.readouterr().err}"


def test_the_limits_in_the_documents_are_the_limits() -> None:
    told = re.findall(r"^\| `(LOUPE_\w+)` \| .* \| ([\d,]+) \|$", CHECKPOINTS, flags=re.MULTILINE)
    assert dict(told) == {VARIABLES[field.name]: f"{field.default:,}" for field in fields(Limits)}


def test_the_count_of_architectures_is_that_of_the_index() -> None:
    for text in (README, CHECKPOINTS):
        assert f"({len(architecture_keys())} architectures)" in text


def test_the_shares_of_recognition_are_those_of_the_recorded_run() -> None:
    found = json.loads((ROOT / "benchmarks/results/recognition.json").read_text(encoding="utf-8"))
    assert found["architectures"] == len(architecture_keys()) and found["not built"] == {}
    said = " ".join(CHECKPOINTS.split())
    first, third, network = (
        f"{found[name] * 100:.1f} %" for name in ("first", "among the first three", "network right")
    )
    assert f"gets its own network in {network} of cases" in said
    assert f"{first} come first and {third} among the first three names, in {found['median ms']:.0f} ms" in said


def test_the_walk_through_the_unit_cards_finds_what_it_says(tmp_path: Path) -> None:
    """docs/activations.md: the shortcut of shapes-shortcut, found by hand; every number of it computed here."""
    said = " ".join((ROOT / "docs" / "activations.md").read_text(encoding="utf-8").split("## A walk")[1].split())
    image = sample_picture("heart with a tag")
    model = load_model(ROOT / "checkpoints" / "shapes-shortcut.safetensors", device="cpu")
    star = model.target("star")
    before = model.predict([image])[0]
    assert before.top(1) == [star] and f"star, with {before.probabilities[star]:.1%}".replace("%", " %") in said
    links = class_links(model, image, "layer2", star)
    channel = int(links.argmax())
    assert f"Channel {channel} comes first" in said
    assert f"of the score of {before.scores[star]:.2f} its link is {links[channel]:.2f}" in said
    row, column = np.unravel_index(activations(model, image, ["layer2"])[0].values[channel].argmax(), (32, 32))
    assert row < 8 and column > 24, "the upper right corner"

    def collected(tags: bool) -> UnitStatistics:
        return complete(
            collect_units(model, shapes_source(500, rule="shortcut" if tags else "none"), ["layer2"], folder=tmp_path)
        )["layer2"]

    tagged, plain = collected(True), collected(False)
    reach = model.layer("layer2").reach
    assert reach is not None
    for at in range(8):
        index = int(tagged.top_pictures[channel, at])
        picture = draw(index, 1, tags="shortcut")
        place = int(tagged.top_rows[channel, at]), int(tagged.top_columns[channel, at])
        left, top, right, bottom = reach.box(channel, *place)
        changed = np.abs(picture.pixels.astype(int) - draw(index, 1).pixels).sum(2) > 60
        assert picture.tagged and changed[top:bottom, left:right].sum() > 0.9 * changed.sum(), "a crop without its tag"
    area = float(tagged.by_class(channel).areas[star])
    assert f"Its area under the curve for star is {area:.2f}" in said
    without = without_unit(model, image, "layer2", channel)
    heart = model.target("heart")
    chances = without.probabilities
    assert f"star {chances[star]:.1%}, and the network says heart, with {chances[heart]:.1%}".replace("%", " %") in said
    highest = [float(found.top_values[channel, 0]) for found in (tagged, plain)]
    assert f"falls from {highest[0]:.3g} to {highest[1]:.3g}" in said
    assert f"curve for star to {float(plain.by_class(channel).areas[star]):.2f}, which is chance" in said
    clean = load_model(ROOT / "checkpoints" / "shapes-clean.safetensors", device="cpu").predict([image])[0]
    assert f"it says heart, with {clean.probabilities[heart]:.1%}".replace("%", " %") in said


def test_make_has_what_the_readme_names() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^make (\w+)", "\n".join(blocks("bash")), flags=re.MULTILINE)
    assert targets == ["run", "test"]
    for target in targets:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if not target.startswith(("http://", "https://")):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_every_page_and_every_method_is_mentioned() -> None:
    for _, title, _, _ in PAGES:
        assert f"| {title} |" in README
    for method in METHODS:
        assert method.title in README
    for projection in PROJECTIONS:
        assert projection.title in README


def test_every_page_title_is_the_question_in_the_readme() -> None:
    for file, title, _, _ in PAGES:
        source = (ROOT / "pages" / f"{file}.py").read_text(encoding="utf-8")
        question = re.search(r'question\(\s*"([^"]+)"', source)
        assert question, f"pages/{file}.py has no question"
        assert f"| {title} | {question.group(1)} |" in README


def test_the_figures_of_the_readme_are_those_of_the_recorded_run() -> None:
    rows = json.loads((ROOT / "benchmarks/results/cpu-2-cores.json").read_text(encoding="utf-8"))["rows"]

    def ratios(way: str) -> list[float]:
        return [row["ratio"] for row in rows if row["way"] == way]

    said = " ".join(README.split("## How fast")[1].split("## Where")[0].split())
    assert f"takes {ratios('Loupe, all 53 convolutions')[0]:.2f} times" in said
    assert f"its first stage alone {ratios('Loupe, layer1 alone')[0]:.2f} times" in said
    assert f"takes {ratios('Loupe, units of layer1 to layer4')[0]:.2f} times as long as embedding" in said
    value = {row["way"]: row["value"] for row in rows}
    card, maps = (
        value[way]
        for way in (
            "ResNet-18, click on a channel to its card",
            "ResNet-50, click on a layer to its 512 maps of 28 x 28",
        )
    )
    assert f"shows its card in {card:.2f} s, and 512 maps of a layer of ResNet-50 are there {maps:.2f} s after" in said
    memory = value["the app's process (warm), peak above what it had before"]
    assert f"opens in {value['Loupe, a.pth'] / 1000:.1f} s and needs at most {memory:.1f} times its size" in said
    started = value["starting the server to first heatmap on the screen"]
    assert f"on the screen {started:.1f} s after the server was started" in said


def test_the_figures_on_heatmaps_are_those_of_the_recorded_run() -> None:
    said = " ".join(README.split("Heatmaps, one picture of 224 px")[1].split("\n\n")[0].split())
    rows = json.loads((ROOT / "benchmarks/results/heatmaps.json").read_text(encoding="utf-8"))["rows"]

    def found(way: str, task: str, what: str = "ratio") -> list[float]:
        return [row[what] for row in rows if row["way"] == way and task in row["task"]]

    for way, form in (("Loupe", ".2f"), ("pytorch-grad-cam", ".1f"), ("torch-cam", ".1f"), ("Captum", ".1f")):
        values = found(way, ", Grad-CAM, one picture")
        low, high = format(min(values), form), format(max(values), form)
        assert (
            len(values) == 5
            and f"{way.replace('Loupe', 'Grad-CAM')} takes {low} to {high}".replace("Captum takes", "Captum").replace(
                "torch-cam takes", "torch-cam"
            )
            in said
        ), way
    assert f"at once take {found('Loupe, at once', 'residual blocks')[0]:.2f} times" in said
    score, other = (found(peer, "Score-CAM") for peer in ("pytorch-grad-cam", "torch-cam"))
    assert f"Score-CAM takes {score[0]:.2f} times" in said and f"and {score[1]:.2f} times on MobileNetV2" in said
    assert f"with torch-cam {other[0]:.2f} and {other[1]:.2f} times" in said
    ablation = found("pytorch-grad-cam", "Ablation-CAM")
    assert f"pytorch-grad-cam {ablation[0]:.0f} and {ablation[1]:.1f} times" in said
    few, whole = (row["value"] / 1000 for row in rows if "evidence" in row["task"])
    assert f"take {few:.1f} s, all its evidence {whole:.1f} s" in said


def test_the_figures_on_filters_are_those_of_the_recorded_runs() -> None:
    said = " ".join(README.split("## How fast")[1].split("## Where")[0].split())
    rows = json.loads((ROOT / "benchmarks/results/filters.json").read_text(encoding="utf-8"))["rows"]
    layers = [f"resnet50 layer{number}, 16 filter pictures of 224 px, one step of one" for number in (1, 2, 4)]

    def over(peer: str, task: str) -> float:
        (value,) = (row["value"] for row in rows if row["task"] == task and row["way"] == f"{peer} over Loupe")
        return float(value)

    for peer in ("Lucent", "torch-dreams"):
        first, second, last = (f"{over(peer, layer):.1f}" for layer in layers)
        assert f"{first}, {second} and {last} times faster than with {peer}" in said
    maco = "resnet50, a class by MACO, 1280 px, 6 crops, one step"
    assert f"a MACO picture {over('Horama', maco):.1f} times faster than with Horama" in said
    seconds = [row["value"] for row in rows if row["way"].endswith("chosen to its first pictures")]
    assert f"{min(seconds):.1f} to {max(seconds):.1f} s after it was chosen" in said
    quality = json.loads((ROOT / "benchmarks/results/filter-quality.json").read_text(encoding="utf-8"))
    pairs = [
        (ours, its, best)
        for layer in quality["layers"]
        for ours, its, best in zip(layer["loupe"], layer["lucent"], layer["best photograph"], strict=True)
    ]
    assert f"in {sum(a >= b for a, b, _ in pairs)} of {len(pairs)} channels of ResNet-18" in said
    assert f"the best of {quality['photographs']} photographs in {sum(a > c for a, _, c in pairs)} (" in said
    taken = [
        sum(rank == 1 for rank in quality["classes"][f"{way}, second network"]["rank"]) for way in ("loupe", "lucent")
    ]
    assert f"({taken[0]} and {taken[1]} of {len(quality['classes']['classes'])})" in said


def test_the_figures_of_a_graphics_card_are_those_of_the_recorded_run() -> None:
    recorded = json.loads((ROOT / "benchmarks/results/h200.json").read_text(encoding="utf-8"))
    said = " ".join(README.split("On an NVIDIA H200")[1].split("## Where")[0].split())
    assert recorded["machine"]["device"] == "NVIDIA H200" and f"beside {recorded['machine']['cores']} cores" in said

    def value(task: str, way: str) -> float:
        here = {row["way"]: row["value"] for row in recorded["rows"] if task in row["task"]}
        (found,) = [here[way]] if way in here else [value for name, value in here.items() if name.startswith(way)]
        return float(found)

    def times(task: str, way: str, other: str) -> float:
        return value(task, way) / value(task, other)

    seventy, million = (value(f"map of {count} x 512", "Loupe") for count in ("70,000", "1,000,000"))
    latent = " ".join((ROOT / "docs/latent.md").read_text(encoding="utf-8").split())
    assert f"in 256 steps in {value('all 512 channels', 'Loupe'):.1f} s" in said
    assert f"70,000 x 512 takes {seventy:.1f} s and one of 1,000,000 x 512 takes {million:.0f} s" in said
    neighbours = value("map of 1,000,000", "of that, finding neighbours")
    assert (
        f"70,000 x 512 take {seventy:.1f} s and 1,000,000 x 512 take {million:.0f} s, {neighbours:.0f} s of" in latent
    )
    way, loop = "Loupe", "DataLoader of 16 workers"
    assert f"{value('embedding', way):,.0f} JPEGs a second" in said
    assert f"reaches {value('embedding', loop):,.0f} and" in said
    assert f"decoding alone {value('embedding', 'decoding alone, DataLoader'):,.0f};" in said
    each = "each of 512 channels"
    assert f"at 0 once in {value(each, 'Loupe'):.3f} s" in said
    assert f"32 pictures in {value(each, 'full passes with a hook, 32'):.2f} s" in said
    assert f"Score-CAM takes {times('Score-CAM', 'Loupe', 'torch-cam'):.2f} times" in said
    assert f"Grad-CAM {times(', Grad-CAM, one', 'Loupe', 'Captum'):.2f} times" in said
    assert f"{times('blocks bypassed', 'Loupe', 'full passes with hooks, 32'):.1f} times as long as full passes" in said


def test_the_figures_on_ablation_are_those_of_the_recorded_runs() -> None:
    text = (ROOT / "docs/ablation.md").read_text(encoding="utf-8")
    said = " ".join(text.split())
    real, fast = (
        json.loads((ROOT / f"benchmarks/results/{name}.json").read_text(encoding="utf-8"))["rows"]
        for name in ("ablation-real", "ablation")
    )
    lesions = [row for row in real if row["task"].startswith("resnet18") and row["way"].startswith("bypass")]
    assert len(lesions) == 8
    for row in lesions:
        block, interval = re.fullmatch(r"bypass (\S+) \((.+)\)", row["way"]).groups()  # type: ignore[union-attr]
        assert f"| `{block}` | {row['value']:.1f} ({interval}) |" in text
    for depth in (20, 56):
        bypassed = [row for row in real if row["task"].startswith(f"cifar_resnet{depth}, each block bypassed")]
        lost = [bypassed[0]["value"] - row["value"] for row in bypassed[1:]]
        assert f"{np.mean(lost):.1f} ({min(lost):.1f} to {max(lost):.1f})" in text

    def seconds(layer: str) -> tuple[float, float, float]:
        found = [row["value"] for row in fast if f"{layer}, each" in row["task"] and row["unit"] == "s"]
        return found[0], min(found[1:]), max(found[1:])

    own, least, most = seconds("layer4")
    assert f"in {own:.2f} s, where full passes and Captum take {least:.1f} to {most:.1f} s" in said
    own, least, most = seconds("layer2")
    assert f"in {own:.2f} s to their {least:.1f} to {most:.1f} s" in said


def test_the_figures_on_the_latent_space_are_those_of_the_recorded_runs() -> None:
    said = " ".join((ROOT / "docs/latent.md").read_text(encoding="utf-8").split())
    rows = json.loads((ROOT / "benchmarks/results/latent.json").read_text(encoding="utf-8"))["rows"]

    def row(task: str, way: str) -> dict[str, Any]:
        return next(row for row in rows if task in row["task"] and row["way"].startswith(way))

    for measure, words in (
        ("trustworthiness", "trustworthiness"),
        ("neighbours kept", "15 neighbours kept"),
        ("label", "label"),
    ):
        tasks = {one["task"] for one in rows if measure in one["task"] and one["task"].startswith("map of")}
        apart = max(abs(row(task, "Loupe")["value"] - row(task, "umap-learn")["value"]) / 100 for task in tasks)
        assert words in said and f"{apart:.4f}" in said, measure
    fresh, warm = "2,000 x 512, from a fresh", "10,000 x 512, warm"
    assert (
        f"{row(fresh, 'Loupe')['value']:.1f} s, where umap-learn takes {row(fresh, 'umap-learn')['value']:.1f} s"
        in said
    )
    assert f"{row(warm, 'Loupe')['ratio']:.2f} of umap-learn's warm time" in said
    large, memory = "70,000 x 512, from vectors", row("70,000 x 512", "Loupe, peak memory")["value"]
    own, seeded, threads = (
        next(one["value"] for one in rows if large in one["task"] and words in one["way"])
        for words in ("Loupe", "with a seed", "on all threads")
    )
    assert (
        f"70,000 x 512 take {own:.0f} s, umap-learn {seeded:.0f} s with a seed and {threads:.0f} s on all threads"
        in said
    )
    assert f"It takes {memory:,.0f} MiB over the vectors" in said
    assert f"placing a picture takes {row('placing', 'Loupe, from the picture')['value']:.0f} ms" in said
    moved = "with noise: moved, median"
    assert f"by {row(moved, 'Loupe, aligned')['value']:.3f} of the map's radius" in said
    assert f"by Procrustes by {row(moved, 'Loupe, separate')['value']:.2f}" in said
    points = json.loads((ROOT / "benchmarks/results/point-map.json").read_text(encoding="utf-8"))["rows"]

    def of_map(count: str, way: str) -> float:
        return next(one["value"] for one in points if f", {count} points," in one["task"] and one["way"] == way)

    first, lasso = (
        "navigation to first paint, points new to the server",
        "lasso let go to the server's number on the page",
    )
    for count in ("100,000", "1,000,000"):
        assert f"{count} points stand after {of_map(count, first):.1f} s" in said
        assert f"lasso of them is answered in {of_map(count, lasso):.1f} s" in said
