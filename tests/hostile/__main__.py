"""Runs all hostile inputs and prints what became of them: ``python -m tests.hostile [--only TEXT] [--every N]``."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.hostile.cases import all_cases
from tests.hostile.judge import Judge
from tests.hostile.sandbox import warm_up
from tests.hostile.sound import COMMANDS, make_sound

COLUMNS = ("accepted", "refused", "wrong", "traceback", "message", "left files", "hang", "memory", "crash")


def main() -> int:
    """Gives the exit status: 1 if anything is to be mended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="cases whose reader or name has this text")
    parser.add_argument("--every", type=int, default=1, help="one in so many cases")
    parser.add_argument("--verbose", action="store_true", help="print every message")
    options = parser.parse_args()
    warm_up()
    counts: dict[str, Counter] = {reader: Counter() for reader in COMMANDS}
    with tempfile.TemporaryDirectory() as work:
        sound = Path(work) / "sound"
        make_sound(sound)
        judge = Judge(sound, Path(work))
        cases = [case for case in all_cases(sound) if options.only in f"{case.reader} {case.name}"][:: options.every]
        for reader in dict.fromkeys(case.reader for case in cases):
            judge.sound_result(reader)
        for case in cases:
            judged = judge.run(case)
            counts[case.reader][judged.verdict] += 1
            if not judged.right or options.verbose:
                last = judged.outcome.messages or judged.outcome.output.strip().splitlines()[-1:]
                print(f"{judged.verdict}: {case.reader}: {case.name}: {' '.join(last)[:300]}", flush=True)
    print(table(counts))
    bad = sum(n for found in counts.values() for verdict, n in found.items() if verdict not in ("accepted", "refused"))
    print(f"{sum(sum(found.values()) for found in counts.values())} inputs, {bad} to be mended")
    return int(bad > 0)


def table(counts: dict[str, Counter]) -> str:
    """Verdicts by reader as Markdown."""
    lines = [f"| input | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 1) + "|"]
    total: Counter = Counter()
    for reader, found in counts.items():
        if found:
            lines.append(f"| {reader} | {' | '.join(str(found[column] or '') for column in COLUMNS)} |")
            total += found
    return "\n".join([*lines, f"| all | {' | '.join(str(total[column] or '') for column in COLUMNS)} |"])


if __name__ == "__main__":
    sys.exit(main())
