"""The command that prepares raw data sets."""

from __future__ import annotations

from collections.abc import Sequence

from bundle.errors import InputError

__all__ = ["prepare"]

_FAILURES_TOLD = 3


def prepare(
    dataset: str,
    source: str,
    output: str,
    preset: str | None = None,
    split: str | None = None,
    patients: str | None = None,
    seed: int = 0,
    candidate_projections: bool = True,
    photons: float | None = None,
    precision: str = "uint16",
    interpolation: str = "linear",
    keep_labels: bool = False,
    volume_shape: Sequence[int] | None = None,
    detector_shape: Sequence[int] | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    check_hu: bool = True,
    own_voxels: bool = False,
) -> None:
    """Prepares a raw data set for training; may be killed and run again; docs/data.md explains every step.

    Args:
        dataset: luna16, toothfairy, panorama, pengwin, knee, abdomenatlas, or folder for any folder of CT.
        source: folder of the data set as downloaded; only read.
        output: folder of the prepared set: new, empty, or of an earlier run with the same settings.
        preset: scan, one of configs/presets; the data set's own if not given.
        split: the user's own split: JSON with lists training, validation and test, or CSV with columns case, split.
        patients: CSV with columns case and patient, where the names of cases do not tell whose they are.
        seed: seed of the split and of the noise.
        candidate_projections: store projections of all candidate views; without them training simulates its own.
        photons: incident photons per pixel of the stored projections' noise; no noise if not given.
        precision: how values are stored, such as uint16 or float16.
        interpolation: linear or cubic.
        keep_labels: store the labels, too, where there are any.
        volume_shape: voxels, as "[128,128,128]"; the preset's if not given.
        detector_shape: rows and columns, as "[128,128]"; the preset's if not given.
        workers: processes on this machine; as many as processors and memory allow if not given.
        scheduler: address of a Dask scheduler, to use its workers instead.
        check_hu: refuse CT intensities that cannot be HU.
        own_voxels: project the volume's own voxels, as published code does and much faster; a scan is simulated of
            voxels at least twice as fine if not given.
    """
    from bundle.datasets import DATASETS
    from bundle.preparation.run import prepare_dataset
    from bundle.preparation.settings import PrepareSettings

    if dataset not in DATASETS:
        raise InputError("dataset", f"is {dataset!r}.", f"Use one of {', '.join(DATASETS)}.")
    settings = PrepareSettings(
        dataset=dataset,
        preset=preset or DATASETS[dataset].preset,
        detector_shape=detector_shape,
        volume_shape=volume_shape,
        precision=precision,
        interpolation=interpolation,
        candidate_projections=candidate_projections,
        photons=photons,
        seed=seed,
        keep_labels=keep_labels,
        check_hu=check_hu,
        own_voxels=own_voxels,
    )
    _ = settings.scan  # refuses an unknown preset before anything is written
    summary = prepare_dataset(dataset, source, output, settings, workers, scheduler, split, patients, seed)
    print(summary)
    if summary.failures:
        total = sum(summary.counts.values()) - summary.counts["left out"]
        first = "; ".join(f"{case}: {error}" for case, error in summary.failures[:_FAILURES_TOLD])
        raise InputError(
            summary.report,
            f"{len(summary.failures)} of {total} cases could not be prepared. {first}",
            "Mend them and repeat; dataset.json lists the finished cases, which are kept.",
        )
