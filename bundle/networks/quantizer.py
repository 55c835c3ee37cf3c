"""Vector quantisation of 3D features, with a codebook that stays alive."""

# Annotations stay real types here (no ``from __future__ import annotations``): TorchScript evaluates those of the
# methods that it does not compile.
import torch
from monai.networks.layers.vector_quantizer import EMAQuantizer
from torch import nn

__all__ = ["FeatureQuantizer"]


class _Codebook(EMAQuantizer):
    """MONAI's EMA codebook; its collective call is hidden from TorchScript, which never trains."""

    @torch.jit.unused
    def distributed_synchronization(self, encodings_sum: torch.Tensor, dw: torch.Tensor) -> None:
        """Sums the code statistics over all processes."""
        super().distributed_synchronization(encodings_sum, dw)


class FeatureQuantizer(nn.Module):
    """Q = post o VQ o pre of DeepSparse (equation 3), with 1 x 1 x 1 convolutions around the codebook.

    The codebook follows the features by exponential moving averages, never by the optimiser. In training it starts
    from the first batch's features, and codes that fall out of use restart from current ones; both choices are made
    on the first process and shared.

    Args:
        channels: feature channels, also the codes' dimension.
        codes: number of codes.
        decay: decay of the moving averages.
        epsilon: Laplace smoothing of the code counts.
        data_start: start from data on the first training batch; otherwise codes are as initialised or loaded.
        restart_below: restart codes whose averaged count falls below this; 0 never restarts.
    """

    def __init__(
        self,
        channels: int,
        codes: int = 512,
        decay: float = 0.99,
        epsilon: float = 1e-5,
        data_start: bool = True,
        restart_below: float = 0.5,
    ) -> None:
        super().__init__()
        self.pre = nn.Conv3d(channels, channels, kernel_size=1)
        self.codebook = _Codebook(3, codes, channels, commitment_cost=1.0, decay=decay, epsilon=epsilon)
        self.post = nn.Conv3d(channels, channels, kernel_size=1)
        self.restart_below = restart_below
        self.register_buffer("started", torch.tensor(not data_start))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Quantises features.

        Args:
            x: [B, C, r, r, r].

        Returns:
            The quantised features after post, the features before quantisation, their codes (straight-through), all
            [B, C, r, r, r], and the code indices [B, r, r, r].
        """
        latent = self.pre(x)
        if self.training:
            self._start(latent)
        if torch.jit.is_scripting():
            codes, _, indices = self.codebook(latent)
        else:
            # MONAI keeps the search in float32 but not the moving sums, which reduced precision would corrupt.
            with torch.autocast(latent.device.type, enabled=False):
                codes, _, indices = self.codebook(latent.float())
        if self.training:
            self._restart(latent)
        return self.post(codes), latent, codes, indices

    @torch.jit.unused
    @torch.no_grad()
    def _start(self, latent: torch.Tensor) -> None:
        if bool(self.started):
            return
        everything = torch.ones(self.codebook.num_embeddings, dtype=torch.bool, device=latent.device)
        self._replace(everything, latent, count=1.0)
        self.started.fill_(True)

    @torch.jit.unused
    @torch.no_grad()
    def _restart(self, latent: torch.Tensor) -> None:
        if self.restart_below > 0:
            dead = self.codebook.ema_cluster_size < self.restart_below
            if bool(dead.any()):
                self._replace(dead, latent, count=max(1.0, self.restart_below))

    def _replace(self, which: torch.Tensor, latent: torch.Tensor, count: float) -> None:
        """Sets the codes that which [codes] marks to random vectors of latent [B, C, r, r, r]."""
        vectors = latent.float().movedim(1, -1).flatten(0, -2)
        choice = torch.randint(len(vectors), (int(which.sum()),), device=vectors.device)
        chosen = vectors[choice]
        if torch.distributed.is_initialized():
            torch.distributed.broadcast(chosen, src=0)
        self.codebook.embedding.weight[which] = chosen
        self.codebook.ema_cluster_size[which] = count
        self.codebook.ema_w[which] = chosen * count
