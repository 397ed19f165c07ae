"""Tiny VGG, the network of CNN Explainer (Wang et al. 2020, arXiv 2004.15004): four convolutions of ten channels."""

from torch import nn

preprocess = {"input_size": 64, "mean": [0, 0, 0], "std": [1, 1, 1]}


class TinyVGG(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        layers = []
        for channels in (3, 10):
            layers += [nn.Conv2d(channels, 10, 3), nn.ReLU(), nn.Conv2d(10, 10, 3), nn.ReLU(), nn.MaxPool2d(2)]
        self.features = nn.Sequential(*layers)
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(10 * 13 * 13, num_classes)

    def forward(self, x):
        return self.classifier(self.flatten(self.features(x)))


def build(num_classes):
    return TinyVGG(num_classes)
