"""The command that makes training items."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["items"]


def items(
    output: str,
    count: int,
    dataset_dir: str | None = None,
    section: str = "training",
    preset: str = "abdomenatlas",
    volume_shape: Sequence[int] = (128, 128, 128),
    seed: int = 0,
    real_share: float = 0.5,
    minutes: float | None = None,
    check: bool = False,
    threads: int = 1,
    nice: int = 15,
) -> None:
    """Makes items to train on: truths, honest scans and their total variation; may be killed and run again.

    Args:
        output: folder of the items: new, empty, or of an earlier run with the same settings.
        count: items that it is to have.
        dataset_dir: data set whose real CTs are warped, too.
        section: its section that they come from.
        preset: scan, one of configs/presets.
        volume_shape: voxels, as "[128,128,128]".
        seed: seed.
        real_share: share of warped real CTs, where there are any.
        minutes: begin no further item after so long; no bound if not given.
        check: read every file of earlier runs first, and make damaged ones again.
        threads: of the computations; 1 leaves the other cores to others.
        nice: how far other programs come first, from 0 to 19.
    """
    import os

    import torch

    from bundle.atomic import check_apart
    from bundle.items import ItemRecipe, make_items

    check_apart(output, [dataset_dir])
    os.nice(nice)
    torch.set_num_threads(threads)
    recipe = ItemRecipe(
        preset=preset,
        volume_shape=tuple(volume_shape),
        seed=seed,
        dataset_dir=dataset_dir,
        section=section,
        real_share=real_share,
    )
    print(make_items(recipe, output, count, minutes, check))
