"""The command that writes prepared sets for nnU-Net."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["nnunet_export"]


def nnunet_export(
    source: str,
    output: str,
    dataset_id: int = 501,
    name: str = "DeepSparse",
    structures: Mapping[str, Any] | str | None = None,
    overwrite: bool = False,
) -> None:
    """Writes a prepared set with labels as an nnU-Net raw data set; docs/nnunet.md tells how to train on it.

    Args:
        source: folder that python -m bundle prepare --keep_labels true wrote.
        output: the folder that nnUNet_raw names; DatasetXXX_Name is made there.
        dataset_id: 1 to 999.
        name: of the data set: letters, digits, - and _.
        structures: names and values of the labels, as "{right lung: [12,13,14], left lung: [10,11]}": each becomes a
            class, in this order, and all other values background. If not given, every value but 0 is a class of its
            own, in ascending order, named "structure 5" after the value.
        overwrite: replace an earlier export.
    """
    from bundle.atomic import check_apart
    from bundle.nnunet.export import export_dataset

    check_apart(output, [source])
    print(export_dataset(Path(source), Path(output), dataset_id, name, structures, overwrite))
