"""Volumes of prepared cases, kept on the device that simulates their projections."""

from __future__ import annotations

from collections import OrderedDict

import torch

from bundle.prepared.case import PreparedCase
from bundle.prepared.volume import LatticeVolume

__all__ = ["ResidentVolumes"]

_SHARE_OF_DEVICE = 0.5


class ResidentVolumes:
    """Gives the volumes of prepared cases, of which as many as fit stay on the device as they are stored.

    So a volume crosses to the device once, at two bytes a voxel, and not with every item. Those used least recently
    make room for others. On a CPU none are kept: there the system's page cache holds the files.

    Args:
        gigabytes: largest total size of the kept volumes; half the device's memory on CUDA if None.
    """

    def __init__(self, gigabytes: float | None = None) -> None:
        self.gigabytes = gigabytes
        self._kept: OrderedDict[tuple[str, str], tuple[LatticeVolume, torch.Tensor]] = OrderedDict()
        self._bytes = 0

    def __call__(self, folder: str, device: torch.device) -> torch.Tensor:
        """The volume [1, X, Y, Z] of a case's folder, in [0, 1], float32 on the device."""
        key = (folder, str(device))
        if key in self._kept:
            self._kept.move_to_end(key)
            volume, stored = self._kept[key]
        else:
            volume = PreparedCase.open(folder).volume
            stored = torch.from_numpy(volume.read_stored()).to(device)
            self._keep(key, volume, stored)
        return volume.decode(stored)[None]

    def _keep(self, key: tuple[str, str], volume: LatticeVolume, stored: torch.Tensor) -> None:
        most = self._most_bytes(stored.device)
        if stored.nbytes > most:
            return
        while self._bytes + stored.nbytes > most:
            self._bytes -= self._kept.popitem(last=False)[1][1].nbytes
        self._kept[key] = (volume, stored)
        self._bytes += stored.nbytes

    def _most_bytes(self, device: torch.device) -> float:
        if self.gigabytes is not None:
            return self.gigabytes * 1e9
        if device.type != "cuda":
            return 0.0
        return _SHARE_OF_DEVICE * torch.cuda.get_device_properties(device).total_memory
