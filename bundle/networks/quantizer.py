"""Vector quantisation of 3D features, with a codebook that stays alive."""

# Annotations stay real types here (no ``from __future__ import annotations``): TorchScript evaluates those of the
# methods that it does not compile.
from typing import Any, Final

import torch
from monai.networks.layers.vector_quantizer import EMAQuantizer
from torch import nn

__all__ = ["FeatureQuantizer"]


class _StraightThrough(torch.autograd.Function):
    """The codes, with the gradient passed on to the vectors that they stand for."""

    @staticmethod
    def forward(ctx: Any, vectors: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        return codes.view_as(codes)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradient, None


class _Codebook(EMAQuantizer):
    """MONAI's EMA codebook without what is of the size vectors x codes.

    The arithmetic is MONAI's; counts and sums are added up by index instead of multiplied by one-hot rows.
    """

    products_at_once: Final[int] = 2**23  # of vectors and codes

    # Without MONAI's loss; TorchScript takes a longer comment on the line itself for types.
    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]
        """Gives the nearest codes [B, C, r, r, r] of vectors, straight-through, and their indices [B, r, r, r]."""
        vectors = inputs.permute(0, 2, 3, 4, 1)
        flat = vectors.detach().reshape(-1, self.embedding_dim)
        flat_indices = self.nearest(flat)
        indices = flat_indices.view(vectors.shape[:-1])
        codes = self.embedding(indices)
        if self.training:
            self.follow(flat, flat_indices)
        if torch.jit.is_scripting():
            codes = vectors + (codes - vectors).detach()
        else:
            codes = _StraightThrough.apply(vectors, codes)
        return codes.permute(0, 4, 1, 2, 3), indices

    def nearest(self, vectors: torch.Tensor) -> torch.Tensor:
        """Indices of the codes nearest to vectors [N, C] in L2."""
        codes = self.embedding.weight.detach()
        half_squares = -0.5 * codes.square().sum(dim=1)
        nearest: list[torch.Tensor] = []
        for part in vectors.split(max(1, self.products_at_once // codes.shape[0])):
            # |x - e|^2 is least where x e - |e|^2 / 2 is largest.
            nearest.append(torch.addmm(half_squares, part, codes.t()).max(dim=1)[1])
        return torch.cat(nearest)

    @torch.jit.unused
    @torch.no_grad()
    def follow(self, vectors: torch.Tensor, indices: torch.Tensor) -> None:
        """Moves the codes towards the vectors [N, C] that chose them."""
        counts = torch.zeros_like(self.ema_cluster_size)
        counts.index_add_(0, indices, counts.new_ones(1).expand(len(indices)))
        sums = torch.zeros_like(self.ema_w).index_add_(0, indices, vectors)
        self.distributed_synchronization(counts, sums)
        self.ema_cluster_size.mul_(self.decay).add_(counts, alpha=1 - self.decay)
        total = self.ema_cluster_size.sum()
        smoothed = (self.ema_cluster_size + self.epsilon) / (total + self.num_embeddings * self.epsilon) * total
        self.ema_w.mul_(self.decay).add_(sums, alpha=1 - self.decay)
        self.embedding.weight.copy_(self.ema_w / smoothed.unsqueeze(1))

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
        # A number: federated clients subtract weights, which truth values do not allow.
        self.started: torch.Tensor
        self.register_buffer("started", torch.tensor(int(not data_start), dtype=torch.uint8))
        self._surely_started = False  # what the host knows without asking the device at every step

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
            codes, indices = self.codebook(latent)
        else:
            # The search, and above all the moving sums, would suffer from reduced precision.
            with torch.autocast(latent.device.type, enabled=False):
                codes, indices = self.codebook(latent.to(self.codebook.embedding.weight.dtype))
        if self.training:
            self._restart(latent)
        return self.post(codes), latent, codes, indices

    def stay_out_of_graphs(self) -> None:
        """Keeps starts and restarts out of torch.compile's graphs, which would draw other random numbers."""
        # Not a decorator of these methods: that would load the compiler, and all that it wants, with the package.
        for name in ("_start", "_restart"):
            setattr(self, name, torch.compiler.disable(getattr(self, name)))

    @torch.jit.unused
    @torch.no_grad()
    def _start(self, latent: torch.Tensor) -> None:
        if self._surely_started:
            return
        if not bool(self.started):
            everything = torch.ones(self.codebook.num_embeddings, dtype=torch.bool, device=latent.device)
            self._replace(everything, latent, count=1.0)
            self.started.fill_(1)
        self._surely_started = True

    @torch.jit.unused
    @torch.no_grad()
    def _restart(self, latent: torch.Tensor) -> None:
        if self.restart_below > 0:
            dead = self.codebook.ema_cluster_size < self.restart_below
            self._replace(dead, latent, count=max(1.0, self.restart_below))

    def _replace(self, which: torch.Tensor, latent: torch.Tensor, count: float) -> None:
        """Sets the codes that which [codes] marks to random vectors of latent [B, C, r, r, r].

        Vectors are drawn for all codes, so that the host need not know how many there are to replace.
        """
        vectors = latent.movedim(1, -1).flatten(0, -2)
        chosen = vectors[torch.randint(len(vectors), which.shape, device=vectors.device)]
        chosen = chosen.to(self.codebook.embedding.weight.dtype)
        if torch.distributed.is_initialized():
            torch.distributed.broadcast(chosen, src=0)
        column = which.unsqueeze(1)
        self.codebook.embedding.weight.copy_(torch.where(column, chosen, self.codebook.embedding.weight))
        self.codebook.ema_cluster_size.masked_fill_(which, count)
        self.codebook.ema_w.copy_(torch.where(column, chosen * count, self.codebook.ema_w))

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        self._surely_started = False
