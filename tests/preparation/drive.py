"""Runs a preparation in a process of its own: python -m tests.preparation.drive SOURCE OUTPUT JOURNAL PAUSE_S."""

import signal
import sys
from pathlib import Path

if __name__ == "__main__":  # workers import this module, too
    from tests.preparation.fake_case import FakeSettings, find
    from tests.preparation.runs import run

    # A shell that runs the tests in the background has all its children ignore interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    source, output, journal, pause_s = sys.argv[1:]
    print(run(find(Path(source)), Path(source), Path(output), FakeSettings(journal, pause_s=float(pause_s))).counts)
