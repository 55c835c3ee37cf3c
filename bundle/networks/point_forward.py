"""DiCE as training sees it: projections and points in, everything that the losses need out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.autograd.profiler import record_function

from bundle.networks.dice import DiCE

__all__ = ["PointForward"]


class PointForward(nn.Module):
    """Calls DiCE's parts in one forward pass, so that distributed wrappers and torch.compile see a single call.

    Its state dict is the network's, so that weights have the same names in training and evaluation, as federated
    learning needs. Profilers see the labels "encoder", "back_projection", "quantiser", "decoder_3d" and "points".

    Args:
        network: the network.
        freeze: parts of it to take out of training, see DiCE.freeze.
    """

    def __init__(self, network: DiCE, freeze: Sequence[str] = ()) -> None:
        super().__init__()
        self.network = network
        network.freeze(freeze)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """The network's own."""
        return self.network.state_dict(*args, **kwargs)

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Loads the network's own."""
        return self.network.load_state_dict(*args, **kwargs)

    def forward(
        self,
        projections: torch.Tensor,
        matrices: torch.Tensor,
        points: torch.Tensor,
        sparse_mask: torch.Tensor | None = None,
        prior: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor | list[torch.Tensor]]:
        """Predicts points.

        Args:
            projections: [B, views, V, U], the sparse views first.
            matrices: [B, views, 3, 4].
            points: [B, points, 3] in the unit cube.
            sparse_mask: [B, m], true for the sparse views among the first m; None if all are.
            prior: the sparse views' classical reconstruction, see DiCE; made of the projections if None.

        Returns:
            "points" [B, 1, points], and per scale "latents", "codes", "denoised" and "dense" (see Embedding).
        """
        with record_function("encoder"):
            features = self.network.encode(projections)
        if prior is None:
            prior = self.network.prior(projections, matrices, sparse_mask)
        embedding = self.network.embed(features, matrices, sparse_mask, prior)
        with record_function("points"):
            predicted = self.network.decode(features, embedding.volume, matrices, points, sparse_mask, embedding.prior)
        return {
            "points": predicted,
            "latents": embedding.latents,
            "codes": embedding.codes,
            "denoised": embedding.denoised,
            "dense": embedding.dense,
        }
