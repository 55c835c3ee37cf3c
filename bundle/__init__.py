"""DeepSparse: cone-beam CT from 6 to 10 X-ray views, as a MONAI bundle."""

import sys

from bundle.errors import install_command_line_hook

__version__ = "0.6.0"

_main_spec = getattr(sys.modules.get("__main__"), "__spec__", None)
if _main_spec is not None and _main_spec.name == "monai.bundle.__main__":
    # Only as a program (``python -m monai.bundle``), never in somebody's own process.
    install_command_line_hook()
