"""3D decoder: back-projected features of every scale to one low-resolution embedding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.autograd.profiler import record_function

from bundle.networks.blocks import ResidualStack
from bundle.networks.quantizer import FeatureQuantizer

__all__ = ["CrossScaleEmbedding"]


class CrossScaleEmbedding(nn.Module):
    """Quantises, denoises and decodes features scale by scale, coarsest first (DeepSparse, equations 2 to 4 and 11).

    Args:
        channels: channels of the scales, coarsest first.
        width: channels of the decoder.
        blocks: residual blocks per scale of the decoder.
        denoise_blocks: residual blocks per scale of the denoising layers; 0 for none.
        quantizer: further arguments of FeatureQuantizer.
        prior_channels: channels of a prior that the coarsest scale is joined with before it is decoded.
    """

    def __init__(
        self,
        channels: Sequence[int],
        width: int,
        blocks: int,
        denoise_blocks: int,
        quantizer: dict | None = None,
        prior_channels: int = 0,
    ) -> None:
        super().__init__()
        self.denoises = denoise_blocks > 0
        # PyTorch types none of their parts.
        self.quantizers: Any = nn.ModuleList(FeatureQuantizer(c, **(quantizer or {})) for c in channels)
        self.denoisers = nn.ModuleList(
            ResidualStack(3, c, c, denoise_blocks) if self.denoises else nn.Identity() for c in channels
        )
        self.decoders = nn.ModuleList(
            ResidualStack(3, c + (width if k > 0 else prior_channels), width, blocks) for k, c in enumerate(channels)
        )

    def quantize(
        self, features: list[torch.Tensor]
    ) -> tuple[list[torch.Tensor], list[torch.Tensor], list[torch.Tensor], list[torch.Tensor]]:
        """Quantises every scale.

        Args:
            features: one [B, C_k, r, r, r] per scale, coarsest first.

        Returns:
            Per scale: quantised features, features before quantisation, their codes, and code indices.
        """
        quantized: list[torch.Tensor] = []
        latents: list[torch.Tensor] = []
        codes: list[torch.Tensor] = []
        indices: list[torch.Tensor] = []
        with record_function("quantiser"):
            for k, quantizer in enumerate(self.quantizers):
                out, latent, code, index = quantizer(features[k])
                quantized.append(out)
                latents.append(latent)
                codes.append(code)
                indices.append(index)
        return quantized, latents, codes, indices

    def denoise(self, quantized: list[torch.Tensor]) -> list[torch.Tensor]:
        """Passes every scale through its denoising layers, if the network has them."""
        with record_function("decoder_3d"):
            return [denoiser(quantized[k]) for k, denoiser in enumerate(self.denoisers)]

    def decode(self, features: list[torch.Tensor]) -> torch.Tensor:
        """Decodes the scales, coarsest first, to the embedding [B, width, r, r, r]."""
        with record_function("decoder_3d"):
            x = features[0]
            for k, decoder in enumerate(self.decoders):
                x = decoder(x if k == 0 else torch.cat([features[k], x], dim=1))
            return x
