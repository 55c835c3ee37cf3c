"""Preparing a whole data set: at scale, resumable, and with a report."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bundle import __version__
from bundle.errors import InputError
from bundle.json_files import write_json
from bundle.optional import require
from bundle.preparation.case_queue import work_through
from bundle.preparation.dask_cluster import DaskCluster
from bundle.preparation.executors import Executor
from bundle.preparation.job import FAILED, Job, Outcome, failed
from bundle.preparation.local_processes import LocalProcesses, default_workers
from bundle.preparation.output_folder import check_folders, claim, is_own_split, locked
from bundle.preparation.report import LEFT_OUT, Summary, datalist, refuse_shared_items, report_rows, summarise
from bundle.preparation.split_files import read_patients, read_split
from bundle.preparation.splits import make_split
from bundle.tables import write_rows

__all__ = ["prepare_cases", "prepare_dataset"]


def prepare_dataset(
    dataset: str,
    source: str | os.PathLike,
    output: str | os.PathLike,
    settings: Any,
    workers: int | None = None,
    scheduler: str | None = None,
    split: str | os.PathLike | None = None,
    patients: str | os.PathLike | None = None,
    seed: int = 0,
) -> Summary:
    """Prepares a raw data set; see :func:`prepare_cases` for what that means.

    Args:
        dataset: its name, one of bundle.datasets.DATASETS.
        source: folder of the raw data set.
        output: folder of the prepared set.
        settings: PrepareSettings.
        workers: processes on this machine; as many as processors and memory allow if None.
        scheduler: address of a Dask scheduler to use its workers instead.
        split: the user's own split; see :func:`bundle.preparation.split_files.read_split`.
        patients: table of the cases' patients; see :func:`bundle.preparation.split_files.read_patients`.
        seed: seed of the split.

    Raises:
        InputError: when source, output, split or cluster cannot be used. Cases that fail are in the summary.
    """
    from bundle.datasets import DATASETS, find_cases
    from bundle.preparation.case import needs_labels, prepare_case, source_paths

    check_folders(Path(source).resolve(), Path(output).resolve())
    cases = find_cases(dataset, Path(source).resolve(), needs_labels(dataset, settings))
    return prepare_cases(
        cases,
        dataset,
        source,
        output,
        settings,
        work=prepare_case,
        sources=source_paths,
        counts=DATASETS[dataset].counts,
        fractions=DATASETS[dataset].fractions,
        workers=workers,
        scheduler=scheduler,
        split=split,
        patients=patients,
        seed=seed,
    )


def prepare_cases(
    cases: Sequence[Any],
    name: str,
    source: str | os.PathLike,
    output: str | os.PathLike,
    settings: Any,
    *,
    work: Callable[[Any, Any, Path], dict[str, Any]],
    sources: Callable[[Any, Any], list[Path]],
    counts: Mapping[str, int] | None,
    fractions: Mapping[str, float] | None,
    workers: int | None = None,
    scheduler: str | None = None,
    split: str | os.PathLike | None = None,
    patients: str | os.PathLike | None = None,
    seed: int = 0,
) -> Summary:
    """Prepares cases in parallel and writes prepare.json, split.json, report.csv and dataset.json.

    It may be killed at any point and run again: finished cases are verified by their checksums and skipped, all others
    are done anew. Several runs may work on one output at the same time. A case that fails does not stop the others.

    Args:
        cases: RawCases; those with a problem fail by it, and those that stand for no case are in no split.
        name: name of the data set.
        source: folder of the raw data set.
        output: folder of the prepared set.
        settings: PrepareSettings.
        work: what prepares one case, as :func:`bundle.preparation.case.prepare_case`; importable by its name.
        sources: what tells the files of a case, as :func:`bundle.preparation.case.source_paths`; importable, too.
        counts: published size of each section, if there is one.
        fractions: share of each section, where there are no counts.
        workers: processes on this machine; as many as processors and memory allow if None.
        scheduler: address of a Dask scheduler to use its workers instead.
        split: file with the user's own split.
        patients: CSV table of the cases' patients.
        seed: seed of the split.

    Raises:
        InputError: when source, output, split or cluster cannot be used. Cases that fail are in the summary.
    """
    source, output = Path(source).resolve(), Path(output).resolve()
    if workers is not None and scheduler is not None:
        raise InputError("workers", "has no effect with a scheduler.", "Leave it out; the cluster has its own.")
    check_folders(source, output)
    cases = _with_patients(cases, patients)
    patient_of = {case.name: case.patient for case in cases if _is_case(case)}
    if split is None:
        sections = make_split(patient_of, counts, fractions, seed)
    else:
        sections = read_split(split, patient_of, keep_missing=is_own_split(split, output))
    job = Job(source, output, settings, work, sources)
    known = _known_outcomes(cases, sections.section_by_case())
    ready = [case for number, case in enumerate(cases) if number not in known]
    output.mkdir(parents=True, exist_ok=True)
    with _executor(workers, scheduler, job) as executor:
        claim(output, {**job.plain_settings, "bundle_version": __version__}, sections)
        outcomes = _work_with_progress(job, ready, executor, list(known.values()))
    every = refuse_shared_items(
        [known[number] if number in known else outcomes[case.name] for number, case in enumerate(cases)]
    )
    contents = datalist(name, every, patient_of, sections)
    with locked(output):
        write_rows(report_rows(every, [case.patient for case in cases], sections), output / "report.csv")
        write_json(contents, output / "dataset.json")
    return summarise(output, every, contents)


def _work_with_progress(
    job: Job, cases: Sequence[Any], executor: Executor, known: Sequence[Outcome]
) -> dict[str, Outcome]:
    tqdm = require("tqdm", "tqdm", "preparing data sets").tqdm
    outcomes: dict[str, Outcome] = {}
    failures = [outcome for outcome in known if outcome.status == FAILED]
    with tqdm(total=len(cases), desc="preparing", unit="case", file=sys.stderr) as bar:

        def tell(outcome: Outcome) -> None:
            outcomes[outcome.case] = outcome
            if outcome.status == FAILED:
                failures.append(outcome)
                bar.write(f"{outcome.case}: {outcome.error}", file=sys.stderr)
            bar.set_postfix(failed=len(failures), refresh=False)
            bar.update()

        bar.set_postfix(failed=len(failures))
        work_through(job, cases, executor, tell)
    return outcomes


def _with_patients(cases: Sequence[Any], patients: str | os.PathLike | None) -> list[Any]:
    """The cases with the patients that a table says, where it has them."""
    if patients is None:
        return list(cases)
    table = read_patients(patients)
    if not table.keys() & {case.name for case in cases}:
        raise InputError(
            patients,
            "has none of the cases that were found.",
            f"Name them as they are found, such as {', '.join(case.name for case in cases[:3])}.",
        )
    return [replace(case, patient=table.get(case.name, case.patient)) for case in cases]


def _is_case(case: Any) -> bool:
    """Whether it is a case, and not what may hold cases but cannot be read."""
    return getattr(case, "is_case", True)


def _known_outcomes(cases: Sequence[Any], listed: Mapping[str, str]) -> dict[int, Outcome]:
    """Outcomes of the cases that need no work, by their places."""
    times = Counter(case.name for case in cases if _is_case(case))
    known: dict[int, Outcome] = {}
    for number, case in enumerate(cases):
        if case.name not in listed and _is_case(case):
            known[number] = Outcome(case.name, LEFT_OUT, error="not in the split")
        elif case.problem is not None:
            known[number] = failed(case.name, case.problem)
        elif times[case.name] > 1:
            known[number] = failed(case.name, f"{times[case.name]} cases have this name. Rename all but one.")
    return known


def _executor(workers: int | None, scheduler: str | None, job: Job) -> Executor:
    if scheduler is not None:
        return DaskCluster(scheduler, (job.source, job.output))
    return LocalProcesses(default_workers() if workers is None else workers)
