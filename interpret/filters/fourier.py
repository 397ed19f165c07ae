"""Pictures as decorrelated Fourier coefficients, so that ascent moves all frequencies and colours alike."""

from __future__ import annotations

import torch

# Square root of the correlation of colours in natural pictures (Lucid), before its normalisation.
COLOUR_CORRELATION = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))


def colour_matrix(planes: int = 3) -> torch.Tensor:
    """From decorrelated planes to colours: the root of the correlation over its largest column norm, [3, 3].

    Args:
        planes: how many a picture has; other than three are no colours and stay as they are: [planes, planes] is 1.
    """
    if planes != 3:
        return torch.eye(planes)
    root = torch.tensor(COLOUR_CORRELATION)
    largest: torch.Tensor = root.norm(dim=0).max()
    return root / largest


def frequency_scale(height: int, width: int) -> torch.Tensor:
    """How much each coefficient counts: float32 [height, width // 2 + 1] = sqrt(h w) / max(f, 1 / max(h, w)).

    f is the frequency in cycles per pixel; 1/f gives the energy natural pictures have at each scale.
    """
    rows = torch.fft.fftfreq(height)[:, None]
    columns = torch.fft.rfftfreq(width)[None, :]
    frequency = (rows**2 + columns**2).sqrt()
    scale: torch.Tensor = (height * width) ** 0.5 / frequency.clamp_min(1 / max(height, width))
    return scale


def new_spectrum(generators: list[torch.Generator], height: int, width: int, planes: int = 3) -> torch.Tensor:
    """Random coefficients to start from, a generator each: float32 [n, planes, height, width // 2 + 1, 2], sd 0.01."""
    shape = (planes, height, width // 2 + 1, 2)
    return torch.stack([torch.randn(shape, generator=generator) * 0.01 for generator in generators])


def to_pictures(spectrum: torch.Tensor, scale: torch.Tensor, colours: torch.Tensor, width: int) -> torch.Tensor:
    """Pictures in 0..1 from coefficients: [n, planes, height, width // 2 + 1, 2] -> [n, planes, height, width].

    picture = sigmoid(colours * irfft2(scale * spectrum) / 4)

    Source: Olah, Mordvintsev, Schubert 2017, "Feature Visualization", Distill, doi 10.23915/distill.00007; the numbers
        are those of their library Lucid.
    """
    coefficients = torch.view_as_complex(spectrum * scale[..., None])
    planes = torch.fft.irfft2(coefficients, s=(spectrum.shape[2], width)) / 4
    return torch.einsum("dc,nchw->ndhw", colours, planes).sigmoid()
