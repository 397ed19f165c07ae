"""What the evidence comes to, in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from interpret.heatmaps.faithfulness.evidence import Evidence
from interpret.heatmaps.making import Heatmap
from interpret.heatmaps.methods import METHODS

UNSURE = 0.05
"""Below this probability, deletion and insertion have nothing to take away."""
ALIKE, RATHER_ALIKE, SHAKY = 0.6, 0.5, 0.5
SPOT, MOST = 0.05, 0.8
"""A share of the picture that is a spot, and the share of the probability that is most of it."""
NOT_PROVEN = (
    "It does not prove that the network looks there for the right reason, nor that other places would not do as well."
)


@dataclass(frozen=True)
class Verdict:
    """One line for people.

    Attributes:
        level: "holds", "doubtful" or "fails".
        says: the line.
        besides: what else is to be noticed, a sentence each.
    """

    level: Literal["holds", "doubtful", "fails"]
    says: str
    besides: tuple[str, ...] = ()


def verdict(made: Heatmap, evidence: Evidence, label: str) -> Verdict:
    """Whether a map may be believed, by rules a person can check.

    It fails where it is peculiar in itself, is no better than any random map, or hardly changes as the network forgets
    what it learned (mean rank correlation over the cascade of 0.6 and more). It is doubtful where half of the random
    maps are as good, where that correlation is 0.5 and more, where slight noise changes it (below 0.5), or where the
    class has less than 5 % to lose.

    Args:
        made: the map.
        evidence: for it.
        label: name of its class.
    """
    if made.says:
        return Verdict("fails", made.says)
    method = next(known for known in METHODS if known.key == made.method)
    if not method.of_a_class:
        return Verdict("fails", f"{method.title} gives the same map for every class: it is no evidence for {label}.")
    gain = evidence.curves.gain
    worse = sum(one.gain < gain for one in evidence.floor)
    fails, doubts, good = [], [], []
    if made.probability < UNSURE:
        little = f"{made.probability:.1%}" if made.probability >= 0.001 else "less than 0.1%"
        doubts.append(f"the network gives {label} only {little}, too little to take away")
    elif gain <= 0 or not worse:
        fails.append("the class falls no faster without these places than without those of random maps")
    elif 2 * worse <= len(evidence.floor):
        doubts.append("most random maps find places that matter as much")
    else:
        which = "any random map" if worse == len(evidence.floor) else "most random maps"
        good.append(f"the class falls faster without these places than without those of {which}")
    if evidence.twins is not None:
        if evidence.twins.likeness >= ALIKE:
            fails.append("the map stays much the same when the network forgets what it learned")
        elif evidence.twins.likeness >= RATHER_ALIKE:
            doubts.append("the map stays rather the same when the network forgets what it learned")
        else:
            good.append("the map is another one when the network forgets what it learned")
    if evidence.stability is not None and evidence.stability < SHAKY:
        doubts.append("noise that nobody would see changes the map")
    level: Literal["holds", "doubtful", "fails"] = "fails" if fails else "doubtful" if doubts else "holds"
    start = {
        "holds": "These places matter",
        "doubtful": "Take this map with care",
        "fails": "Do not trust this map",
    }[level]
    return Verdict(level, f"{start}: {', and '.join(fails or doubts or good)}.", tuple(_spot(evidence)))


def _spot(evidence: Evidence) -> list[str]:
    """What is to be noticed beside the verdict: that a spot alone brings the class about."""
    curve = evidence.curves.insertion
    wanted = MOST * float(curve.probabilities[-1])
    for fraction, probability in zip(curve.fractions[1:], curve.probabilities[1:], strict=True):
        if fraction <= SPOT and probability >= wanted > 2 * curve.probabilities[0]:
            return [
                f"A spot decides: the strongest {fraction:.0%} of the picture, the rest blurred, give the class "
                f"{probability:.0%}. Look what is there."
            ]
    return []
