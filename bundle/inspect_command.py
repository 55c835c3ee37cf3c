"""The command that shows a prepared data set to a person."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bundle.atomic import check_apart
from bundle.errors import InputError

__all__ = ["inspect"]


def inspect(
    source: str, output: str | None = None, cases: str | Sequence[str] | None = None, overwrite: bool = False
) -> None:
    """Prints a table of a prepared data set, and draws a contact sheet of every case.

    Args:
        source: folder that python -m bundle prepare wrote.
        output: folder for table.csv, a PNG per case and overview.png; inspection in the source if not given.
        cases: names of the cases to look at, as "[first,second]"; all if not given.
        overwrite: replace an earlier inspection.

    Raises:
        InputError: after all cases are shown, naming those with a problem.
    """
    from bundle.inspection.listing import list_cases
    from bundle.inspection.run import inspect_dataset
    from bundle.inspection.summary import COLUMNS, printed
    from bundle.tables import printable

    if cases is not None and not cases:
        raise InputError("cases", "names none.", "Leave it out to look at all.")
    names = [cases] if isinstance(cases, str) else cases
    folder = Path(source)
    target = folder / "inspection" if output is None else Path(output)
    check_apart(target, [folder])
    listed = list_cases(folder, names)
    widths = {name: max(len(heading), 7) for name, heading in COLUMNS.items()}
    widths.update(voxels=15, voxel_mm=18, projection_min=10, checksums=9, problem=0)
    for name, texts in (("case", (c.name for c in listed)), ("patient", (c.patient for c in listed))):
        widths[name] = max(widths[name], *(len(text) for text in texts))
    widths["section"] = max(len(case.section) for case in listed)

    def line(texts: dict[str, str]) -> str:
        return printable("  ".join(text.ljust(widths[name]) for name, text in texts.items()).rstrip())

    def show(row: dict[str, Any]) -> None:
        print(line(printed(row)), flush=True)

    print(line(COLUMNS))
    rows = inspect_dataset(folder, target, names, overwrite, show)
    troubled = [str(row["case"]) for row in rows if row["problem"]]
    print(f"{len(rows)} cases, {len(troubled)} with a problem; look at the sheets in {target}")
    if troubled:
        shown = ", ".join(troubled[:5]) + (f" and {len(troubled) - 5} more" if len(troubled) > 5 else "")
        raise InputError(source, f"has problems with {shown}.", "See the table, and prepare what is wrong again.")
