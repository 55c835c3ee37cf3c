"""Running configuration files from scripts."""

from __future__ import annotations

import logging
import warnings
from typing import Any

__all__ = ["quieten", "run"]


def quieten() -> None:
    """Leaves out warnings, and the log of what MONAI loads; call it after imports, which set levels of their own."""
    warnings.filterwarnings("ignore")
    for name in ("monai.bundle.workflows", "monai.data.nvimgcodec_pydicom_plugin"):
        logging.getLogger(name).setLevel(logging.ERROR)


def run(files: list[str], run_id: str, logged: bool = False, **changes: Any) -> None:
    """Runs configuration files, as ``python -m monai.bundle run`` does.

    Args:
        files: the configuration files.
        run_id: what to run of them.
        logged: log as configs/logging.conf says; otherwise less.
        changes: settings that differ from theirs.
    """
    from monai.bundle import ConfigWorkflow

    workflow = ConfigWorkflow(config_file=files, run_id=run_id, logging_file=None if logged else False, **changes)
    workflow.initialize()
    workflow.run()
    workflow.finalize()
