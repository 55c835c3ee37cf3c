"""Files of the small network, made once for all tests."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from bundle.deployment.export import FORMATS, export_network
from bundle.networks import DiCE
from tests.deployment.alone import SCAN, small_network


@pytest.fixture(scope="session")
def exported(tmp_path_factory) -> Callable[[str], tuple[DiCE, Path]]:
    """Gives the small network and a file of it in a format."""
    folder = tmp_path_factory.mktemp("exported")

    @functools.cache
    def export(format: str) -> tuple[DiCE, Path]:
        network, path = small_network(), folder / f"network{FORMATS[format].SUFFIX}"
        logging.disable(logging.DEBUG)  # PyTorch logs every step of a trace, and pytest would keep it all
        try:
            assert export_network(network, SCAN, path, format, {"name": "a small one"}) == 0.0
        finally:
            logging.disable(logging.NOTSET)
        return network, path

    return export
