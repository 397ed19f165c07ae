"""The page of an evaluation: HTML without scripts that fetches nothing; what comes from files is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from interpret.evaluation.found import Evaluation, Totals

SHOWN, SHOWN_CLASSES = 200, 100
"""Pictures in a section, and classes in the row of their means."""
MARK = '<meta name="generator" content="Loupe evaluation">'
_POLICY = "default-src 'none'; img-src 'self' file:; style-src 'unsafe-inline'"
_STYLE = """
:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;max-width:1200px;margin:0 auto;padding:24px 20px 64px}
h1{font-size:26px;line-height:1.25;margin:0 0 4px;overflow-wrap:anywhere}
h2{font-size:17px;margin:34px 0 8px}
p,ul{max-width:85ch;margin:0 0 10px;overflow-wrap:anywhere}
.about,figcaption,th,nav{opacity:.8;font-weight:400}
a{color:inherit;text-underline-offset:3px}
nav{display:flex;flex-wrap:wrap;gap:4px 20px;margin:14px 0}
summary{cursor:pointer;margin-bottom:8px}
.row{display:flex;flex-wrap:wrap;gap:12px}
figure{margin:0;width:96px}
figure img{width:96px;height:96px;image-rendering:pixelated}
figcaption{font-size:12.5px;line-height:1.35;overflow-wrap:anywhere}
.scale{width:200px;font-size:12.5px;margin-top:8px}
.scale img{width:200px;height:10px;display:block}
.scale div{display:flex;justify-content:space-between}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:13.5px;font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:3px 8px;vertical-align:middle;border-bottom:1px solid rgba(128,128,128,.3)}
th:nth-child(-n+5),td:nth-child(-n+5){text-align:left;overflow-wrap:anywhere}
td img{display:block;width:84px;height:84px;object-fit:contain}
"""
_BOXED = ("pointing", "energy_inside", "best_iou", "iou_at_15_percent")
_COLUMNS = {
    "probability": "probability",
    "gain_above_random": "above random",
    "deletion": "deletion",
    "insertion": "insertion",
    "average_drop": "drop",
    "pointing": "pointing",
    "energy_inside": "energy",
    "best_iou": "best IoU",
    "iou_at_15_percent": "IoU at 15 %",
}
_MEANINGS = (
    "Deletion: the area under the class's probability as the map's places go, the strongest first, 0 to 1; small is "
    "good.",
    "Insertion: the same as they come back into the blurred picture; large is good (Petsiuk et al. 2018, RISE).",
    "Above random: insertion less deletion, less the same of a map of one drawing of lots (RandomCAM) at the same "
    "layer; at zero and below the map finds the places that matter no better than chance.",
    "Drop: the share of the probability that is lost on the picture seen through its map; small is good, and large "
    "maps are favoured (Chattopadhyay et al. 2018, Grad-CAM++).",
)
_BOX_MEANINGS = (
    "Pointing: whether the map's maximum lies in a true box (Zhang et al. 2016); energy: the share of its values that "
    "do.",
    "IoU: how well the map's box fits a true one, cut at 15 % of its maximum, and at the best threshold for the "
    "picture; MaxBoxAcc: the share of pictures that fit at one threshold for all (Choe et al. 2020).",
)
_NOT_PROVEN = (
    "None of this proves that the network looks at these places for the right reason, nor that other places would not "
    "do as well. Deleted and masked pictures are unlike any the network was trained on, so small differences mean "
    "little; one drawing of lots is a rough floor, and where one channel decides, lots may find its place too. A mean "
    "map shows where maps lie in the frame, not on what they lie."
)


def shown_classes(found: Evaluation) -> list[int]:
    """Places in `class_means` of the classes to show, in their order: those of the most maps."""
    counts = found.class_means[1]
    return sorted(np.argsort(-counts, kind="stable")[:SHOWN_CLASSES].tolist())


def told_totals(totals: Totals) -> list[str]:
    """The totals as short clauses, for people."""
    said = [f"{totals.pictures:,} pictures"]
    if totals.skipped:
        said.append(f"{totals.skipped:,} could not be read")
    if totals.accuracy is not None:
        rest = "" if totals.labelled == totals.pictures else f" of {totals.labelled:,} with a known class"
        said.append(f"{totals.accuracy:.1%} right{rest}".replace("%", " %"))
    for name, value in (
        ("deletion", totals.deletion),
        ("insertion", totals.insertion),
        ("above random", totals.above_random),
        ("drop", totals.average_drop),
    ):
        said.append(f"{name} {'no number' if value is None else f'{value:.3f}'}")
    if totals.better_than_random is not None:
        said.append(f"{totals.better_than_random:.1%} better than random".replace("%", " %"))
    if totals.peculiar:
        said.append(f"{totals.peculiar:,} maps that say nothing")
    if totals.pointing is not None and totals.max_box_accuracy is not None:
        said.append(f"pointing {totals.pointing:.1%}".replace("%", " %"))
        said.append(f"MaxBoxAcc {totals.max_box_accuracy:.1%}".replace("%", " %") + f" of {totals.boxed:,} with boxes")
    return said


def page(found: Evaluation) -> str:
    """The whole page."""
    where = "on the pixels" if found.layer is None else f"at {found.layer.name}"
    which = "predicted class" if found.target == "predicted" else "class that the data set says"
    sections = [
        ("wrong", "Wrong, most certain first", found.wrong, "Predictions that are not the class the data set says."),
        (
            "unfaithful",
            "Unfaithful, worst first",
            found.unfaithful,
            "Maps whose places matter least: insertion less deletion.",
        ),
        ("all", "All, in their order", np.arange(len(found)), ""),
    ]
    links = "".join(f'<a href="#{key}">{title} ({len(places):,})</a>' for key, title, places, _ in sections)
    parts = [
        f"<h1>{escape(found.data)}</h1>",
        f'<p class="about">{escape(found.network)} · {escape(found.method.title)} of the {which} {escape(where)}, '
        f"{escape(found.aim)}, {found.steps} steps, seed {found.seed}. {escape(found.method.source)}.</p>",
        f"<p>{escape('; '.join(told_totals(found.totals)))}.</p>",
    ]
    if found.matched_by == "order":
        parts.append("<p>The classes of the data set were matched to the network's by their order, not by name.</p>")
    if found.method.warning:
        parts.append(f"<p>{escape(found.method.warning)}</p>")
    meanings = (*_MEANINGS, *(_BOX_MEANINGS if found.totals.boxed else ()))
    parts += [
        f'<nav>{links}<a href="table.csv">table.csv, all pictures</a></nav>',
        "<details><summary>What the numbers mean, and what they do not prove</summary>",
        f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in meanings)}</ul>",
        f"<p>{escape(_NOT_PROVEN)}</p></details>",
        *_means(found),
    ]
    for key, title, places, about in sections:
        parts += [f'<h2 id="{key}">{title}</h2>', *_section(found, places, about)]
    if found.skipped:
        lines = "".join(f"<li>{escape(name)}: {escape(reason)}</li>" for name, reason in found.skipped[:SHOWN])
        parts.append(f"<h2>Not read ({len(found.skipped):,})</h2><ul>{lines}</ul>")
    body = "\n".join(parts)
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
{MARK}
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(found.data)} · {escape(found.network)}</title>
<style>{_STYLE}</style>
<body>
{body}
</body>
</html>
"""


def _means(found: Evaluation) -> list[str]:
    """The mean map of each class, on one scale."""
    present, counts, means = found.class_means
    cells = []
    for at in shown_classes(found):
        name = escape(found.classes[present[at]])
        cells.append(
            f'<figure><img src="pictures/class-{present[at]}.png" alt="Mean heatmap of {name}" loading="lazy">'
            f"<figcaption>{name}<br>{counts[at]:,} {'map' if counts[at] == 1 else 'maps'}</figcaption></figure>"
        )
    cut = f" The {len(cells):,} classes of the most maps of {len(present):,}." if len(cells) < len(present) else ""
    return [
        "<h2>Where the maps of each class lie</h2>",
        f'<p class="about">The mean over its maps, each over its own maximum, in the frame the network sees.{cut}</p>',
        f'<div class="row">{"".join(cells)}</div>',
        '<div class="scale"><img src="pictures/scale.png" alt="Colour scale"><div><span>0</span>'
        f"<span>{float(means.max()):.3g}</span></div>mean share of the maximum</div>",
    ]


def _section(found: Evaluation, places: Sequence[int] | np.ndarray[Any, Any], about: str) -> list[str]:
    if not len(places):
        return ["<p>There are none.</p>" if (found.labels >= 0).any() else "<p>No true class is known.</p>"]
    cut = f" The first {SHOWN:,} of {len(places):,}; table.csv has all." if len(places) > SHOWN else ""
    columns = {name: head for name, head in _COLUMNS.items() if found.totals.boxed or name not in _BOXED}
    heads = "".join(f"<th>{head}</th>" for head in ("seen", "map", "picture", "class", "prediction", *columns.values()))
    rows = "".join(_row(found, int(place), list(columns)) for place in places[:SHOWN])
    return [
        *([f'<p class="about">{about}{cut}</p>'] if about or cut else []),
        f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>',
    ]


def _row(found: Evaluation, place: int, columns: Sequence[str]) -> str:
    row = found.row(place)
    name = escape(row["picture"])
    said = f"<br>{escape(row['peculiar'])}" if row["peculiar"] else ""
    other = f"<br>map of {escape(row['map_of'])}" if row["map_of"] != row["prediction"] else ""
    cells = "".join(f"<td>{_cell(row[column])}</td>" for column in columns)
    return (
        f'<tr><td><img src="pictures/{place}.jpg" alt="What the network sees of {name}" loading="lazy"></td>'
        f'<td><img src="pictures/{place}-map.jpg" alt="Heatmap of {name}" loading="lazy"></td>'
        f"<td>{name}{said}</td><td>{escape(row['class'] or 'not known')}</td>"
        f"<td>{escape(row['prediction'])}{other}</td>{cells}</tr>"
    )


def _cell(value: bool | float | None) -> str:
    if isinstance(value, bool):
        return "hit" if value else "miss"
    return "–" if value is None else f"{value:.3f}"
