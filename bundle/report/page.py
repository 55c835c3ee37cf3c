"""The page that a person reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bundle.optional import require
from bundle.report.agreement_plots import agreement_plots
from bundle.report.box_plots import quality_plots, structure_plots
from bundle.report.case_pictures import case_pictures
from bundle.report.findings import Findings, printable_findings
from bundle.report.headlines import headlines
from bundle.report.numbers import plain, told_reference
from bundle.report.paired_tables import agreement_table, comparison_tables
from bundle.report.residual_plots import residual_plots
from bundle.report.robustness import change_table, experiments
from bundle.report.robustness_plots import robustness_plots
from bundle.report.selection import MOST_STRUCTURES, Selection, is_unperturbed
from bundle.report.tables import result_tables
from bundle.report.vector_drawing import method_styles

__all__ = ["render_page"]

_MOST_PROBLEMS = 8  # that are open to the reader; the others unfold
_MOST_OTHER_PLOTS = 36  # of volumes with the methods that are not in focus


def render_page(findings: Findings, max_pictures: int) -> str:
    """Renders the report as one HTML document that needs no other file.

    Args:
        findings: what it tells.
        max_pictures: reconstructions that are drawn at most.

    Returns:
        The document, the same for the same findings.

    Raises:
        InputError: when a picture's files cannot be read.
        ImportError: when jinja2 or matplotlib is missing.
    """
    jinja2 = require("jinja2", "jinja2", "writing the report")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    findings = printable_findings(findings)
    selection = Selection(findings)
    settings = plain(findings.settings)
    pictures = case_pictures(selection, max_pictures)
    return environment.get_template("template.html").render(
        title=findings.title,
        created=settings.pop("created", ""),
        headlines=headlines(selection),
        problems=findings.problems[:_MOST_PROBLEMS],
        more_problems=findings.problems[_MOST_PROBLEMS:],
        several_cases=selection.has_several_cases,
        policy=findings.policy,
        method=next(iter(selection.methods), ""),
        styles=method_styles(selection.methods),
        results=[table for views in selection.views for table in result_tables(selection, views)],
        boxes=_boxes(selection),
        volumes=_volumes(selection),
        comparisons=[table for views in selection.views for table in comparison_tables(selection, views)],
        perturbed_comparisons=any(not is_unperturbed(row) for row in findings.comparisons),
        robustness=_robustness(selection),
        first_reference=next(map(told_reference, selection.references), ""),
        pictures=pictures,
        hidden_pictures=len(findings.pictures) - len(pictures),
        residuals=residual_plots(selection),
        left_out=any(len(selection.structures(name)) > MOST_STRUCTURES for name in selection.references),
        most_structures=MOST_STRUCTURES,
        settings=_flat(settings),
        versions=findings.versions,
    )


def _boxes(selection: Selection) -> list[tuple[str, list[str]]]:
    """Headings and box plots."""
    made = [("Image quality", quality_plots(selection))]
    for name in selection.references:
        made.append((f"Structures, compared with {told_reference(name)}", structure_plots(selection, name)))
    return [(heading, plots) for heading, plots in made if plots]


def _volumes(selection: Selection) -> list[dict[str, Any]]:
    """For each reference its table, and the plots of the first method and of the others."""
    made = []
    for name in selection.references:
        first, others = selection.methods[:1], selection.methods[1:]
        most = max(1, _MOST_OTHER_PLOTS // max(1, len(others) * len(selection.views)))
        shown, few = selection.lowest_structures(name), selection.lowest_structures(name, min(most, MOST_STRUCTURES))
        part = {
            "heading": f"Compared with {told_reference(name)}",
            "table": agreement_table(selection, name),
            "plots": agreement_plots(selection, name, first, shown),
            "others": agreement_plots(selection, name, others, few),
            "few": few if len(few) < len(shown) else [],
        }
        if part["table"] or part["plots"] or part["others"]:
            made.append(part)
    return made


def _robustness(selection: Selection) -> list[dict[str, Any]]:
    """For each perturbation and number of views its plots and its table."""
    styles = method_styles(selection.methods)
    return [
        {
            "heading": experiment.heading,
            "plots": robustness_plots(experiment, styles, position),
            "table": change_table(experiment),
        }
        for position, experiment in enumerate(experiments(selection))
    ]


def _flat(settings: Mapping[str, Any], above: str = "") -> list[tuple[str, str]]:
    """Nested settings as names and texts."""
    found: list[tuple[str, str]] = []
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            found += _flat(value, f"{above}{name} / ")
        else:
            found.append((above + name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)))
    return found
