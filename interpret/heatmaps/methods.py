"""The methods there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from interpret.heatmaps.ablation_cam import ablation_cam
from interpret.heatmaps.eigen_cam import eigen_cam
from interpret.heatmaps.finer_cam import finer_cam
from interpret.heatmaps.grad_cam import grad_cam
from interpret.heatmaps.grad_cam_plus_plus import grad_cam_plus_plus
from interpret.heatmaps.guided_backprop import guided_backprop
from interpret.heatmaps.guided_grad_cam import guided_grad_cam
from interpret.heatmaps.hires_cam import hires_cam
from interpret.heatmaps.integrated_gradients import integrated_gradients
from interpret.heatmaps.layer_cam import layer_cam
from interpret.heatmaps.occlusion import occlusion
from interpret.heatmaps.question import Maps, Question, at_once
from interpret.heatmaps.random_cam import random_cam
from interpret.heatmaps.rise import rise
from interpret.heatmaps.score_cam import score_cam
from interpret.heatmaps.smoothgrad import smoothgrad
from interpret.heatmaps.xgrad_cam import xgrad_cam
from interpret.jobs import Job


@dataclass(frozen=True)
class HeatmapMethod:
    """A method.

    Attributes:
        key, title: for machines and for people.
        source: the paper.
        about: one sentence for people.
        job: from a `Question` to signed maps and scores.
        of_a_class: whether the map depends on the class.
        slow: whether it needs many passes.
        unit: of its values; "" where they are in units of the aim.
        of_pixels: whether it looks at the pixels, so that no layer plays a part in it.
        warning: what is known to speak against it, in a sentence for people; "" where nothing is.
    """

    key: str
    title: str
    source: str
    about: str
    job: Callable[[Question], Job[Maps]]
    of_a_class: bool = True
    slow: bool = False
    unit: str = ""
    of_pixels: bool = False
    warning: str = ""


FAILS = (
    "It fails sanity checks: it draws the picture's edges whatever the network has learned (Adebayo et al. 2018, arXiv "
    "1810.03292). Do not take it for evidence."
)

METHODS: tuple[HeatmapMethod, ...] = (
    HeatmapMethod(
        "grad-cam",
        "Grad-CAM",
        "Selvaraju et al. 2017, arXiv 1610.02391",
        "Channels weighted by their mean gradient: quick and well tried; at earlier layers it may light places that "
        "the score does not use.",
        at_once(grad_cam),
    ),
    HeatmapMethod(
        "grad-cam++",
        "Grad-CAM++",
        "Chattopadhyay et al. 2018, arXiv 1710.11063",
        "Grad-CAM in which small and large occurrences of an object count alike.",
        at_once(grad_cam_plus_plus),
    ),
    HeatmapMethod(
        "hires-cam",
        "HiResCAM",
        "Draelos and Carin 2020, arXiv 2011.08891",
        "Every place by its own gradient: at the last layer before pooling the places sum to the score.",
        at_once(hires_cam),
    ),
    HeatmapMethod(
        "layer-cam",
        "LayerCAM",
        "Jiang et al. 2021, doi 10.1109/TIP.2021.3089943",
        "Every place by its own gradient where that is positive: finer maps, made for early layers too.",
        at_once(layer_cam),
    ),
    HeatmapMethod(
        "xgrad-cam",
        "XGrad-CAM",
        "Fu et al. 2020, arXiv 2008.02312",
        "Grad-CAM whose gradients count where the channel is active.",
        at_once(xgrad_cam),
    ),
    HeatmapMethod(
        "finer-cam",
        "Finer-CAM",
        "Zhang et al. 2025, arXiv 2501.11309",
        "Grad-CAM of what tells the class from its three nearest rivals: what they share goes dark.",
        at_once(finer_cam),
    ),
    HeatmapMethod(
        "score-cam",
        "Score-CAM",
        "Wang et al. 2020, arXiv 1910.01279",
        "Channels weighted by what the class is given for the picture seen through each: no gradient, a pass for every "
        "channel.",
        score_cam,
        slow=True,
        unit="weighted activation",
    ),
    HeatmapMethod(
        "ablation-cam",
        "Ablation-CAM",
        "Desai and Ramaswamy 2020, doi 10.1109/WACV45572.2020.9093360",
        "Channels weighted by what the class loses without each: no gradient, but a pass behind the layer for every "
        "channel.",
        ablation_cam,
        slow=True,
        unit="weighted activation",
    ),
    HeatmapMethod(
        "occlusion",
        "Occlusion",
        "Zeiler and Fergus 2014, arXiv 1311.2901",
        "What the class loses when a grey square covers a place: simple, and coarse.",
        occlusion,
        slow=True,
        of_pixels=True,
    ),
    HeatmapMethod(
        "rise",
        "RISE",
        "Petsiuk et al. 2018, arXiv 1806.07421",
        "Random masks weighted by what the class is given through each: nothing about the inside is assumed.",
        rise,
        slow=True,
        of_pixels=True,
    ),
    HeatmapMethod(
        "integrated-gradients",
        "Integrated Gradients",
        "Sundararajan et al. 2017, arXiv 1703.01365",
        "What each pixel adds on the way from a grey picture to this one: all of them sum to the gain.",
        integrated_gradients,
        slow=True,
        of_pixels=True,
        warning="It multiplies the gradient by the picture: the picture's outlines show even where the network has "
        "learned nothing (Adebayo et al. 2018, arXiv 1810.03292).",
    ),
    HeatmapMethod(
        "smoothgrad",
        "SmoothGrad",
        "Smilkov et al. 2017, arXiv 1706.03825",
        "How much the class hangs on each pixel, averaged over noisy copies; it cannot tell for from against.",
        smoothgrad,
        slow=True,
        unit="size of the gradient",
        of_pixels=True,
    ),
    HeatmapMethod(
        "guided-backprop",
        "Guided backprop",
        "Springenberg et al. 2015, arXiv 1412.6806",
        "The gradient by the pixels, of which every ReLU lets only what is positive through: sharp lines.",
        at_once(guided_backprop),
        unit="guided gradient",
        of_pixels=True,
        warning=FAILS,
    ),
    HeatmapMethod(
        "guided-grad-cam",
        "Guided Grad-CAM",
        "Selvaraju et al. 2017, arXiv 1610.02391",
        "Guided backprop where Grad-CAM lies: sharp lines at the places of the class.",
        at_once(guided_grad_cam),
        unit="guided gradient × Grad-CAM",
        warning=FAILS,
    ),
    HeatmapMethod(
        "eigen-cam",
        "Eigen-CAM",
        "Muhammad and Yeasin 2020, arXiv 2008.00299",
        "What varies most in the layer's answer, whatever the class: it cannot tell one class from another.",
        at_once(eigen_cam),
        of_a_class=False,
        unit="activation along the component",
    ),
    HeatmapMethod(
        "random-cam",
        "RandomCAM",
        "Gildenblat et al. 2021, pytorch-grad-cam; compare arXiv 1810.03292",
        "Channels weighted by lots: a map no better than this one says nothing about the class.",
        at_once(random_cam),
        of_a_class=False,
        unit="activation weighted by lots",
    ),
)
DEFAULT_METHOD = METHODS[0].key
