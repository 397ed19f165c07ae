"""Published figures of class heatmaps on ImageNet's 50,000 validation pictures, and how they were measured."""

from __future__ import annotations

from interpret.images import Preprocess

SOURCE = "pytorch-shapley-cam, gist_avgpoolpre2.txt (Cai 2025, arXiv 2501.06261); 50,000 validation pictures, ReST"
PROTOCOL = Preprocess((224, 224), 256)
METRICS = ("average drop", "coherency", "complexity", "ADCC", "increase", "drop in deletion")
LAYERS = {"vgg16": "features.30", "efficientnet_b0": "features.8"}
"""The layer of networks that have no `layer4[-1]`; of VGG the last pooling is part of it there."""

_RESNET50 = (0.13836, 0.97075, 0.38421, 0.78644, 0.40054, 0.43825)
_RESNET18 = (0.18731, 0.97514, 0.38839, 0.77101, 0.33774, 0.51888)
_EFFICIENTNET_B0 = (0.24949, 0.96441, 0.25980, 0.80638, 0.32444, 0.37899)

PUBLISHED: dict[str, dict[str, tuple[float, ...]]] = {
    "resnet18": {
        "grad-cam": _RESNET18,
        "hires-cam": _RESNET18,
        "xgrad-cam": _RESNET18,
        "grad-cam++": (0.19859, 0.98551, 0.41843, 0.75339, 0.31302, 0.51524),
        "layer-cam": (0.19835, 0.98575, 0.41957, 0.75287, 0.31264, 0.51603),
        "random-cam": (0.71151, 0.52802, 0.20237, 0.45359, 0.06644, 0.19554),
    },
    "resnet50": {
        "grad-cam": _RESNET50,
        "hires-cam": _RESNET50,
        "xgrad-cam": _RESNET50,
        "grad-cam++": (0.14272, 0.98028, 0.41163, 0.77196, 0.38194, 0.43600),
        "layer-cam": (0.14262, 0.98063, 0.41737, 0.76874, 0.37950, 0.43589),
        "random-cam": (0.67350, 0.54287, 0.19746, 0.48773, 0.08242, 0.14357),
    },
    "vgg16": {
        "grad-cam": (0.22667, 0.89578, 0.30056, 0.78142, 0.29994, 0.38677),
        "hires-cam": (0.25071, 0.90442, 0.27897, 0.78387, 0.27716, 0.35662),
        "xgrad-cam": (0.20421, 0.90813, 0.30979, 0.78811, 0.32510, 0.40242),
        "grad-cam++": (0.22445, 0.96232, 0.31897, 0.79011, 0.26646, 0.38000),
        "layer-cam": (0.22472, 0.96154, 0.30508, 0.79600, 0.27178, 0.37649),
        "random-cam": (0.72389, 0.60938, 0.16838, 0.46402, 0.04644, 0.15069),
    },
    "efficientnet_b0": {
        "grad-cam": _EFFICIENTNET_B0,
        "hires-cam": _EFFICIENTNET_B0,
        "xgrad-cam": _EFFICIENTNET_B0,
        "grad-cam++": (0.30420, 0.97354, 0.23205, 0.79649, 0.26970, 0.34660),
        "layer-cam": (0.30579, 0.97369, 0.23233, 0.79573, 0.26794, 0.34563),
        "random-cam": (0.69128, 0.61762, 0.16699, 0.49515, 0.08422, 0.16004),
    },
}
"""Architecture -> method -> METRICS; torchvision's IMAGENET1K_V1 weights. HiResCAM and XGrad-CAM of the networks that
end in pooling and one linear layer are Grad-CAM's to the fourth digit."""
