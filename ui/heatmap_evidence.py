"""What speaks for and against a heatmap: the verdict, the curves, the random twins, and the box."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np
import streamlit as st

from interpret.heatmaps import Heatmap
from interpret.heatmaps.faithfulness import NOT_PROVEN, Evidence, Verdict, evidence_job, verdict
from interpret.heatmaps.localisation import BOX_THRESHOLD, Box, localised
from ui.charts import COOL, GREY, WARM, Line, chart
from ui.controls import result_of
from ui.display import Table, download_tables, number, percent, plain
from ui.heatmap_maps import Wanted

_COLOURS = {"holds": "#3b8f5a", "doubtful": "#c98a1b", "fails": "#c0504d"}
_WORDS = {"holds": "Holds", "doubtful": "Doubtful", "fails": "Fails"}


def evidence_of(wanted: Wanted, made: Heatmap) -> Evidence | None:
    """The evidence for a map; None until it is there, whose progress is shown. Slow maps are not made again for it."""
    remade = not wanted.method.slow or st.session_state.get("heatmaps.remade", False)
    key = ("evidence", *wanted.key, remade)
    return result_of(
        "evidence",
        key,
        f"Evidence for {plain(wanted.title)}",
        lambda: evidence_job(wanted.model, wanted.image, made, remade=remade),
        compact=not wanted.method.slow,
    )


def show_verdict(wanted: Wanted, made: Heatmap, evidence: Evidence) -> Verdict:
    """The verdict in a line, what is to be noticed, and what it does not prove."""
    found = verdict(made, evidence, wanted.model.labels[made.target])
    st.html(
        f'<div role="status" style="border-left:4px solid {_COLOURS[found.level]};padding:2px 0 2px 12px">'
        f'<span style="color:{_COLOURS[found.level]};font-weight:600">{_WORDS[found.level]}.</span> '
        f"{html.escape(found.says)}</div>"
    )
    for sentence in found.besides:
        st.markdown(f"**{plain(sentence)}**")
    st.caption(NOT_PROVEN)
    return found


def show_evidence(wanted: Wanted, evidence: Evidence, boxes: Sequence[Box], made: Heatmap) -> None:
    """The strip of curves, twins and numbers, and with true boxes whether the map finds the object."""
    columns = st.columns(3, gap="medium")
    with columns[0]:
        st.markdown("###### Places deleted and inserted")
        _show_curves(evidence)
    with columns[1]:
        st.markdown("###### The network forgets")
        _show_twins(wanted, evidence)
    with columns[2]:
        st.markdown("###### In numbers")
        _show_numbers(evidence)
    if boxes:
        show_box(wanted, boxes, made)


def _show_curves(evidence: Evidence) -> None:
    own, floor = evidence.curves, evidence.floor
    x = own.deletion.fractions
    lines = [Line("", x, curve.probabilities, GREY, "thin") for one in floor for curve in (one.deletion, one.insertion)]
    lines += [
        Line("deleted", x, own.deletion.probabilities, COOL),
        Line("inserted", x, own.insertion.probabilities, WARM),
    ]
    chart(lines, "share of the picture", "probability", "heatmaps.curves", between=(-0.02, 1.02), percent=True)
    reached = [one.gain for one in floor]
    st.caption(
        f"Strongest places first; thin grey lines: random maps. Area under insertion less that under deletion: "
        f"**{number(own.gain)}**; random maps "
        f"{number(min(reached))} to {number(max(reached))}."
    )


def _show_twins(wanted: Wanted, evidence: Evidence) -> None:
    twins = evidence.twins
    if twins is None:
        st.caption("Making this slow map again for noisy pictures and random networks takes many times its time.")
        if st.button("Do it", key="heatmaps.again"):
            st.session_state["heatmaps.remade"] = True
            st.rerun()
        return
    parts = [one.parts[-1].replace(" ", "<br>") for one in twins.cascading]
    chart(
        [
            Line("head down to", parts, [one.similarity for one in twins.cascading], COOL, "bars"),
            Line("alone", parts, [one.similarity for one in twins.independent], WARM, "dots"),
        ],
        "weights made random",
        "likeness of the map",
        "heatmaps.twins",
        between=(-1.05, 1.05),
    )
    st.caption(
        f"Rank correlation with the map of a network some of whose weights are random. Mean of the bars: "
        f"**{number(twins.likeness, 2)}**; near 0 is good, near 1 means the map does not show what was learned."
    )


def _rows(evidence: Evidence) -> list[tuple[str, str, str]]:
    """What, value, and what it means."""
    rows = [
        ("Deletion, area", number(evidence.curves.deletion.area), "small is good"),
        ("Insertion, area", number(evidence.curves.insertion.area), "large is good"),
        ("ROAD", number(evidence.road), "−0.5 to 0.5, large is good: nothing gives away where places were removed"),
        ("Drop, seen through the map", percent(evidence.drop), "small is good, and easy for a map that shows all"),
        ("Rises, seen through the map", "yes" if evidence.rises else "no", "yes is good"),
    ]
    if evidence.stability is not None:
        rows.append(("Likeness under noise", number(evidence.stability), "1 is a steady map"))
    return rows


def _show_numbers(evidence: Evidence) -> None:
    lines = "".join(
        f'<tr><td style="padding:2px 8px 2px 0">{html.escape(what)}<div style="font-size:0.72rem;opacity:0.7">'
        f'{html.escape(means)}</div></td><td style="text-align:right;white-space:nowrap;vertical-align:top">'
        f"{html.escape(value)}</td></tr>"
        for what, value, means in _rows(evidence)
    )
    st.html(f'<table style="width:100%;font-size:0.85rem;border-collapse:collapse">{lines}</table>')
    tables: dict[str, Table] = {
        "curves": (
            ("share", "deletion", "insertion"),
            list(
                zip(
                    *(
                        map(float, numbers)
                        for numbers in (
                            evidence.curves.deletion.fractions,
                            evidence.curves.deletion.probabilities,
                            evidence.curves.insertion.probabilities,
                        )
                    ),
                    strict=True,
                )
            ),
        ),
        "numbers": (("what", "value", "meaning"), _rows(evidence)),
    }
    if evidence.twins is not None:
        tables["twins"] = (
            ("way", "random", "likeness"),
            [
                (way, " + ".join(one.parts), one.similarity)
                for way, found in (
                    ("cascading", evidence.twins.cascading),
                    ("independent", evidence.twins.independent),
                )
                for one in found
            ],
        )
    download_tables("Download the evidence (.csv)", tables, "evidence", {}, key="heatmaps.evidence")


def show_box(wanted: Wanted, boxes: Sequence[Box], made: Heatmap) -> None:
    """Whether the map finds the object of true boxes, in pixels of what the network saw."""
    size = wanted.model.preprocess.size
    found = localised(made.values, size, boxes)
    left, right = st.columns([1, 2], gap="medium")
    with left:
        st.markdown("###### The box")
        chart(
            [Line("", found.curve.thresholds, found.curve.ious, COOL)],
            "threshold, share of the maximum",
            "IoU",
            "heatmaps.iou",
            between=(-0.02, 1.02),
            marks=[BOX_THRESHOLD],
            percent=True,
        )
    with right:
        st.markdown("###### Does the map find the object?")
        st.markdown(
            f"- Pointing game: the strongest place lies **{'inside' if found.points else 'outside'}** the true box.\n"
            f"- Energy: **{percent(found.energy)}** of the map lies inside it; the box covers "
            f"{percent(_share(boxes, size))} of the picture.\n"
            f"- Intersection over union of the map's own box at {BOX_THRESHOLD:.0%} of the maximum: "
            f"**{number(found.iou, 2)}**.\n"
            f"- At the best threshold, {found.curve.best_threshold:.0%}: **{number(found.curve.best, 2)}** "
            f"({'counts' if found.curve.best >= 0.5 else 'does not count'} for MaxBoxAcc, which asks for 0.5)."
        )
        st.caption("Move the threshold above the picture: the dashed box is the map's own.")


def _share(boxes: Sequence[Box], size: tuple[int, int]) -> float:
    covered = np.zeros(size, bool)
    for box in boxes:
        covered[round(box.top) : round(box.bottom), round(box.left) : round(box.right)] = True
    return float(covered.mean())
