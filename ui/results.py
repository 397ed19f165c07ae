"""Results several pages show, each computed once, under the same keys."""

from __future__ import annotations

from interpret.activations import ActivationMaps, ChannelStatistics, activations, channel_statistics
from interpret.answers import Prediction
from interpret.datasets import sample_names, sample_picture
from interpret.heatmaps import Heatmap, heatmap
from interpret.images import InputImage
from interpret.layers import LayerInfo
from interpret.model import LoadedModel
from ui.cache import MODELS, RESULTS


def maps_of(model: LoadedModel, image: InputImage, layer: LayerInfo) -> ActivationMaps:
    """What a layer answers to a picture."""
    key = ("activations", model.digest, image.digest, layer.name)
    return RESULTS.get_or_make(key, lambda: activations(model, image, [layer.name])[0])


def statistics_of(maps: ActivationMaps, model_digest: str) -> ChannelStatistics:
    """What is to be said of each of its channels."""
    key = ("channel statistics", model_digest, maps.image_digest, maps.layer.name)
    return RESULTS.get_or_make(key, lambda: channel_statistics(maps))


def prediction_of(model: LoadedModel, image: InputImage) -> Prediction:
    """What the network says of a picture."""
    return RESULTS.get_or_make(("predict", model.digest, image.digest), lambda: model.predict([image])[0])


def untrained_twin(model: LoadedModel) -> LoadedModel:
    """The same architecture before any training, its BatchNorms adjusted to the sample pictures."""
    samples = [sample_picture(name) for name in sample_names()]
    return MODELS.get_or_make(("untrained", model.digest), lambda: model.untrained(samples))


def heatmap_of(model: LoadedModel, image: InputImage, target: int) -> Heatmap:
    """Grad-CAM of a class at the default layer, kept."""
    key = ("heatmap", model.digest, image.digest, "grad-cam", model.default_layer.name, target)
    return RESULTS.get_or_make(key, lambda: heatmap(model, image, target=target))
