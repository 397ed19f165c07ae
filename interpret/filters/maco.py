"""Pictures whose magnitudes are those of natural pictures, so that ascent can only move the phases."""

from __future__ import annotations

import torch

from interpret.filters.fourier import colour_matrix


def natural_magnitude(pictures: torch.Tensor) -> torch.Tensor:
    """Mean magnitude of the decorrelated spectra of pictures: float32 [planes, height, width // 2 + 1].

    The pictures' logits are what the sigmoid of `with_phase` is undone by; their colours are decorrelated and their
    mean is taken off before the transform.

    Args:
        pictures: [m, planes, height, width] in 0..1.

    Source: Fel et al. 2023, "Unlocking Feature Visualization for Deeper Networks with MAgnitude Constrained
        Optimization", section 3.2, arXiv 2306.06805.
    Differs: the magnitudes come from the pictures given here, not from ImageNet.
    """
    logits = pictures.clamp(0.02, 0.98).logit()
    planes = torch.einsum("cd,ndhw->nchw", torch.linalg.inv(colour_matrix(pictures.shape[1])), logits)
    planes = planes - planes.mean((2, 3), keepdim=True)
    magnitude: torch.Tensor = torch.fft.rfft2(planes).abs().mean(0)
    return magnitude


def new_phase(generators: list[torch.Generator], magnitude: torch.Tensor) -> torch.Tensor:
    """Random phases in radians to start from, a generator each: float32 [n, planes, height, width // 2 + 1], sd 1."""
    return torch.stack([torch.randn(magnitude.shape, generator=generator) for generator in generators])


def with_phase(phase: torch.Tensor, magnitude: torch.Tensor, colours: torch.Tensor, width: int) -> torch.Tensor:
    """Pictures in 0..1 from phases: [n, planes, height, width // 2 + 1] -> [n, planes, height, width].

    picture = sigmoid(colours * z(irfft2(magnitude * exp(i z(phase)))))     z: mean 0 and standard deviation 1

    Source: Fel et al. 2023, section 3.2, arXiv 2306.06805, and their library Horama.
    """
    coefficients = torch.polar(magnitude.expand_as(phase), _standardised(phase))
    planes = _standardised(torch.fft.irfft2(coefficients, s=(phase.shape[2], width)))
    return torch.einsum("dc,nchw->ndhw", colours, planes).sigmoid()


def _standardised(values: torch.Tensor) -> torch.Tensor:
    """Each picture's numbers with mean 0 and standard deviation 1."""
    axes = tuple(range(1, values.ndim))
    centred = values - values.mean(axes, keepdim=True)
    return centred / (centred.std(axes, keepdim=True) + 1e-4)
