"""Object localization: one network that says what is in the picture and where, as two outputs of a dict.

Loupe finds the output with the class scores and lists the other.
"""

from torch import nn
from torchvision.models import resnet18


class ClassAndBox(nn.Module):
    def __init__(self, num_classes, channels):
        super().__init__()
        backbone = resnet18(weights=None)
        backbone.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
        self.features = nn.Sequential(*list(backbone.children())[:-1])
        self.box = nn.Linear(512, 4)
        self.label = nn.Linear(512, num_classes)

    def forward(self, x):
        features = self.features(x).flatten(1)
        return {"box": self.box(features).sigmoid(), "label": self.label(features)}


def build(num_classes, channels=3):
    return ClassAndBox(num_classes, channels)
