"""pytorch-grad-cam's own maps and metrics, for `python -m benchmarks imagenet`."""

from __future__ import annotations

import numpy as np
import torch

from interpret.checkpoints.reading import Checkpoint
from interpret.heatmaps.faithfulness.masked import Masked
from interpret.model import LoadedModel


class Peer:
    """pytorch-grad-cam's Grad-CAM and metrics, on an ordinary network with the weights of a checkpoint."""

    def __init__(self, model: LoadedModel, checkpoint: Checkpoint, layer: str) -> None:
        from pytorch_grad_cam import GradCAM

        self.plain = model.architecture.build(len(model.labels), model.preprocess.channels, False).eval()
        # Some checkpoints leave out BatchNorm's statistics; then they are 0 and 1, which is what a new network has.
        tensors = {name: tensor.float() for name, tensor in checkpoint.tensors.items()}
        left = self.plain.load_state_dict(tensors, strict=False)
        wanting = [
            name
            for name in left.missing_keys
            if not name.endswith(("num_batches_tracked", "running_mean", "running_var"))
        ]
        if wanting:
            raise SystemExit(f"{checkpoint.name} does not hold {wanting[0]} under that name; use --no-peer.")
        self.plain.to(model.runtime.device)
        self.cam = GradCAM(self.plain, [self.plain.get_submodule(layer)])

    def measure(self, batch: torch.Tensor, classes: torch.Tensor) -> Masked:
        """Its metrics of its maps, for the classes int64 [n] of normalised pictures."""
        from pytorch_grad_cam.metrics.arcc import Coherency, Complexity
        from pytorch_grad_cam.metrics.cam_mult_image import DropInConfidence, IncreaseInConfidence
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputReST, ClassifierOutputSoftmaxTarget

        targets = [ClassifierOutputReST(int(target)) for target in classes]
        probability = [ClassifierOutputSoftmaxTarget(int(target)) for target in classes]
        maps = self.cam(batch, targets)
        with torch.no_grad():
            before = self.plain(batch).softmax(1).gather(1, classes[:, None])[:, 0].cpu().numpy()
        drop = DropInConfidence()(batch, maps, probability, self.plain) / before
        coherency, crowd = Coherency()(batch, maps, targets, self.plain, self.cam), Complexity()(maps)
        found = (
            drop,
            IncreaseInConfidence()(batch, maps, probability, self.plain),
            DropInConfidence()(batch, 1 - maps, probability, self.plain) / before,
            crowd,
            coherency,
            3 / (1 / coherency + 1 / (1 - crowd) + 1 / (1 - drop)),
        )
        return Masked(*(torch.from_numpy(np.float32(values)) for values in found))
