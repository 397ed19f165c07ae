"""The small residual network for 32-pixel pictures, with shortcuts that have no parameters."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

from interpret.errors import BadInput

DEPTHS = (20, 32, 44, 56, 110)
WIDTHS = (16, 32, 64)


class PadShortcut(nn.Module):
    """A shortcut without parameters: every second row and column, new channels filled with zeros.

    The zero channels are split equally in front of the old ones and behind them.

    Source: He et al. 2016, Deep Residual Learning for Image Recognition, section 4.2, option A,
        arXiv 1512.03385.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        added = channels_out - channels_in
        self.stride = stride
        self.front = added // 2
        self.behind = added - self.front

    def forward(self, x: Tensor) -> Tensor:
        """The thinned and padded input [n, channels_out, rows/stride, columns/stride]."""
        kept = x[:, :, :: self.stride, :: self.stride]
        return functional.pad(kept, (0, 0, 0, 0, self.front, self.behind))

    def extra_repr(self) -> str:
        """The settings shown when the network is printed."""
        return f"stride={self.stride}, front={self.front}, behind={self.behind}"


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with BatchNorm, whose output is added to the shortcut's."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.shortcut = PadShortcut(channels_in, channels_out, stride)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """The block's answer [n, channels_out, rows/stride, columns/stride]."""
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        out: Tensor = self.relu2(y + self.shortcut(x))
        return out


class CifarResNet(nn.Module):
    """A stem, three stages of blocks (16, 32, 64 channels), global average pooling and one linear layer."""

    def __init__(self, blocks: int, classes: int, channels: int, generator: torch.Generator | None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, WIDTHS[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.relu = nn.ReLU()
        self.layer1 = _stage(WIDTHS[0], WIDTHS[0], blocks, stride=1)
        self.layer2 = _stage(WIDTHS[0], WIDTHS[1], blocks, stride=2)
        self.layer3 = _stage(WIDTHS[1], WIDTHS[2], blocks, stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.linear = nn.Linear(WIDTHS[2], classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight, generator=generator)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Scores before softmax [n, classes] of pictures [n, channels, rows, columns] of any size."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        out: Tensor = self.linear(self.flatten(self.avgpool(x)))
        return out


def _stage(channels_in: int, channels_out: int, blocks: int, stride: int) -> nn.Sequential:
    first = BasicBlock(channels_in, channels_out, stride)
    rest = [BasicBlock(channels_out, channels_out, 1) for _ in range(blocks - 1)]
    return nn.Sequential(OrderedDict((str(i), block) for i, block in enumerate([first, *rest])))


def cifar_resnet(
    depth: int, classes: int = 10, channels: int = 3, generator: torch.Generator | None = None
) -> nn.Module:
    """A CIFAR ResNet with random weights, in training mode.

    Args:
        depth: layers with weights, one of 20, 32, 44, 56, 110; a stage has (depth - 2) / 6 blocks.
        classes: number of scores.
        channels: channels of the pictures.
        generator: where the weights are drawn from; torch's global generator if None.

    Raises:
        BadInput: for any other depth.

    Source: He et al. 2016, Deep Residual Learning for Image Recognition, section 4.2, arXiv 1512.03385.
        Weights are drawn as in He et al. 2015, Delving Deep into Rectifiers, arXiv 1502.01852.
    """
    if depth not in DEPTHS:
        known = ", ".join(str(d) for d in DEPTHS)
        raise BadInput(f"A CIFAR ResNet of depth {depth} was asked for. The known depths are {known}.")
    return CifarResNet((depth - 2) // 6, classes, channels, generator)
