"""The clinical evaluation: reconstruct, segment, compare, report."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from bundle.arguments import is_true
from bundle.atomic import check_output
from bundle.byte_ranges import is_url
from bundle.data.datalist import check_view_counts
from bundle.errors import InputError
from bundle.evaluation.labels import LabelStructures, labels_by_case
from bundle.evaluation.listing import list_reconstructions
from bundle.evaluation.perturbations import UNPERTURBED, list_perturbations
from bundle.evaluation.problems import MISSING_POLICY, labels_left_out, missing_structures, own_voxel_scans
from bundle.evaluation.reconstruct import parse_evaluation, planned_methods, reconstruct_all
from bundle.evaluation.reconstruction import Reconstruction
from bundle.evaluation.score import Score, Scorer
from bundle.evaluation.settings import check_method, chosen_window, merged_settings, package_versions
from bundle.evaluation.summary import agree, compare, summarise
from bundle.optional import require
from bundle.report.findings import Findings, Picture
from bundle.report.write import REPORT, write_report
from bundle.segmentation.segmenter import Segmenter
from bundle.simulation import SCANNED_FROM
from bundle.tables import read_rows

__all__ = ["SegmentationEvaluation"]


class SegmentationEvaluation:
    """Do reconstructions segment like the truth?

    Reconstructs the cases of the bundle's evaluation from every number of views, or takes volumes that are there;
    segments reconstruction and truth with the same segmenter; compares them with each other, and with given labels;
    and writes a report. A killed run goes on where it stopped.

    Args:
        segmenter: segments volumes.
        output_dir: folder for report.html, tables, label maps and reconstructions.
        configs: configuration files of the evaluation that reconstructs.
        settings: its settings that differ; None leaves one as it is.
        changes: further ones, as they are; also as YAML text.
        volumes: reconstructions that are there (see :func:`list_reconstructions`); None reconstructs.
        dataset_dir: the data set, for the label maps of its cases and what they mean.
        section: its section, for the label maps of volumes that are there.
        label_structures: values of label maps by structure; None takes the data set's own names. All must be structures
            of the segmenter's.
        perturbations: levels of the robustness suite by name; none if empty.
        method: the method in focus, which the others are compared with; the network's if None.
        hu_window: HU at 0 and 1 of the image quality's scale; None takes the scan's.
        resample: bring volumes on other grids to the truth's, instead of refusing them.
        check_hu: refuse truths and given volumes that cannot be HU.
        title: heading of the report.
        max_pictures: most cases that are drawn.
        overwrite: replace an earlier report, and reconstructions with other settings.

    Raises:
        InputError: when a setting cannot be used.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        output_dir: str | Path,
        configs: Sequence[str],
        settings: Mapping[str, Any] | None = None,
        changes: Mapping[str, Any] | str | None = None,
        volumes: str | None = None,
        dataset_dir: str | None = None,
        section: str = "test",
        label_structures: Mapping[str, Sequence[int]] | str | None = None,
        perturbations: Mapping[str, Sequence[float]] | None = None,
        method: str | None = None,
        hu_window: Sequence[float] | None = None,
        resample: bool = False,
        check_hu: bool = True,
        title: str = "Segmentation of reconstructions",
        max_pictures: int = 12,
        overwrite: bool = False,
    ) -> None:
        self.segmenter = segmenter
        self.output_dir = Path(output_dir)
        self.configs = [configs] if isinstance(configs, str) else list(configs)
        self.changes = merged_settings(settings, changes)
        self.volumes = volumes
        self.dataset_dir = dataset_dir
        self.section = section
        self.label_structures = LabelStructures.of(dataset_dir, label_structures)
        self.resample = is_true(resample, "resample")
        self.check_hu = is_true(check_hu, "check_hu")
        self.title = title
        self.max_pictures = max_pictures
        self.overwrite = is_true(overwrite, "overwrite")
        if isinstance(max_pictures, bool) or not isinstance(max_pictures, int) or max_pictures < 0:
            raise InputError("max_pictures", f"is {max_pictures!r}.", "Give how many, from 0.")
        parser = parse_evaluation(self.configs, self.changes)
        self.network_method = parser["method"]
        self.method = method or self.network_method
        physics = parser.get_parsed_content("acquisition") if perturbations else None
        self.perturbations = list_perturbations(perturbations or {}, physics)
        self.hu_window = chosen_window(hu_window, parser, volumes, self.changes)
        self._check(label_structures, parser)

    def run(self) -> Findings:
        """Evaluates and writes the report.

        Raises:
            InputError: when the report exists already and may not be replaced, or a volume cannot be used.
        """
        log = logging.getLogger(__name__)
        progress = require("tqdm", "tqdm", "progress").tqdm
        check_output(self.output_dir / REPORT, self.overwrite)
        reconstructions = self._reconstructions()
        check_method(self.method, [one.method for one in reconstructions])
        scorer = Scorer(
            self.segmenter, self.output_dir, self.hu_window, self.label_structures, self.resample, self.check_hu
        )
        ordered = sorted(reconstructions, key=lambda one: str(one.truth))  # a truth is read once; order is stable
        scores = {id(one): scorer(one) for one in progress(ordered, desc="segmenting and comparing", unit="volume")}
        findings = self._findings(reconstructions, [scores[id(one)] for one in reconstructions], scorer.masks.identity)
        write_report(findings, self.output_dir, overwrite=True, max_pictures=self.max_pictures)
        for problem in findings.problems:
            log.warning(problem)
        log.info("Wrote %s", self.output_dir / REPORT)
        return findings

    def _check(self, given: object, parser: ConfigParser) -> None:
        """Refuses what would otherwise be found out after hours of work."""
        labelled = [] if self.label_structures is None else list(self.label_structures.names.values())
        strange = [name for name in labelled if name not in self.segmenter.structures.values()]
        if given and strange:
            raise InputError(
                "label_structures",
                f"names {', '.join(strange)}.",
                f"Name some of the segmenter's: {', '.join(self.segmenter.structures.values())}.",
            )
        if self.volumes is not None:
            if len(self.perturbations) > 1:
                raise InputError("perturbations", "need scans to perturb.", "Leave volumes out, so that they are made.")
            return
        check_method(self.method, planned_methods(parser))
        counts = parser.get_parsed_content("view_counts")
        check_view_counts(counts)
        fewest = min(counts)
        if any(one.changes.get("missing_views", 0) >= fewest for one in self.perturbations):
            raise InputError("perturbations.missing_views", f"leaves none of {fewest} views.", "Let fewer be missing.")
        if self.label_structures is None or not self.dataset_dir:
            return
        for case, source in labels_by_case(self.dataset_dir, self.section).items():
            if source is not None and not is_url(source) and not Path(source).exists():
                raise InputError(source, f"does not exist; it is the label map of {case}.", "Correct dataset.json.")

    def _labels_left_out(self, reconstructions: Sequence[Reconstruction]) -> list[str]:
        names = None if self.label_structures is None else list(self.label_structures.names.values())
        labelled = {one.case: one.labels is not None for one in reconstructions}
        return labels_left_out(labelled, names, list(self.segmenter.structures.values()))

    def _reconstructions(self) -> list[Reconstruction]:
        if self.volumes is not None:
            listed = list_reconstructions(self.volumes, self.network_method)
            labels = labels_by_case(self.dataset_dir, self.section) if self.dataset_dir else {}
            return [replace(one, labels=one.labels or labels.get(one.case)) for one in listed]
        return [
            one
            for perturbation in self.perturbations
            for one in reconstruct_all(
                self.configs,
                self.changes,
                self._folder(perturbation.folder),
                perturbation,
                self.overwrite,
            )
        ]

    def _folder(self, perturbation: str) -> Path:
        return self.output_dir / "reconstructions" / perturbation

    def _findings(
        self, reconstructions: Sequence[Reconstruction], scores: Sequence[Score], segmenter: Mapping[str, str]
    ) -> Findings:
        quality = [score.quality for score in scores]
        structures = [row for score in scores for row in score.structures]
        others = [name for name in dict.fromkeys(one.method for one in reconstructions) if name != self.method]
        pictures = [
            Picture(
                **one.keys,
                volume=score.volume,
                truth=one.truth,
                mask=score.mask,
                reference_mask=score.reference_masks["segmented"],
                hu_window=self.hu_window,
                structures=self.segmenter.structures,
                caption="Both masks are the segmenter's: of the truth, and of the reconstruction.",
            )
            for one, score in zip(reconstructions, scores)
        ]
        return Findings(
            title=self.title,
            method=self.method,
            settings=self._settings(quality, segmenter),
            versions=package_versions(),
            policy=MISSING_POLICY,
            quality=quality,
            structures=structures,
            summary=summarise(quality, structures),
            comparisons=compare(quality, structures, self.method, others),
            agreement=agree(structures),
            residuals=read_rows(self._residuals()),
            pictures=pictures,
            problems=own_voxel_scans(quality) + missing_structures(structures) + self._labels_left_out(reconstructions),
        )

    def _residuals(self) -> Path:
        """The table of projection residuals beside the volumes, if there is one."""
        folder = self._folder(UNPERTURBED.folder) if self.volumes is None else Path(self.volumes)
        return folder / "residuals.csv"

    def _settings(self, quality: Sequence[Mapping[str, Any]], segmenter: Mapping[str, str]) -> dict[str, Any]:
        def seen(name: str) -> list[str]:
            return sorted({str(row[name]) for row in quality if row.get(name)})

        return {
            "segmenter": dict(segmenter),
            "HU window": "{:g} to {:g}".format(*self.hu_window),
            "data range": 1.0,
            "created": datetime.date.today().isoformat(),
            "volumes": self.volumes or "reconstructed",
            **(
                {}
                if self.volumes
                else {"configurations": self.configs, "changes": {k: str(v) for k, v in self.changes.items()}}
            ),
            **{
                name: seen(name)
                for name in ("preset", "geometry", "weights", "acquisition", SCANNED_FROM, "split", "shape", "dtype")
            },
            "truths (SHA-256)": {row["case"]: row["truth_sha256"] for row in quality},
            "resampled to the truth's grid": self.resample,
        }
