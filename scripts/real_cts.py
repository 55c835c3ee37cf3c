"""Makes a data set of the real CTs that docs/real_cts.json lists, from a folder that holds them.

    python scripts/real_cts.py --source FOLDER --output runs/real_cts
    python scripts/real_cts.py --source FOLDER --output runs/real_limbs --group limb

Checks every file against its checksum, and writes a dataset.json that names them where they are, sorted into training,
validation and test by patient. CTs that are not there are left out and told; changed ones are refused.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bundle.checksums import file_sha256  # noqa: E402
from bundle.errors import InputError, install_command_line_hook  # noqa: E402
from bundle.json_files import write_json  # noqa: E402

LISTING = ROOT / "docs" / "real_cts.json"


def main() -> None:
    """Writes the data set."""
    install_command_line_hook()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, required=True, help="folder with the CTs")
    parser.add_argument("--output", type=Path, default=ROOT / "runs" / "real_cts", help="folder of the data set")
    parser.add_argument("--group", help="take the cases of one group alone, such as limb")
    options = parser.parse_args()
    listing = json.loads(LISTING.read_text(encoding="utf-8"))
    if options.group is not None:
        groups = sorted({case["group"] for case in listing["cases"]})
        if options.group not in groups:
            raise InputError("group", f"is {options.group!r}.", f"Choose one of {', '.join(groups)}.")
        listing["cases"] = [case for case in listing["cases"] if case["group"] == options.group]
    sections, missing = data_set(options.source, listing)
    write_json({"name": "real CTs", **sections}, options.output / "dataset.json")
    counts = ", ".join(f"{len(cases)} {section}" for section, cases in sections.items())
    print(f"wrote {options.output / 'dataset.json'}: {counts}")
    if missing:
        print(f"not there: {', '.join(missing)}")


def data_set(source: Path, listing: dict[str, Any]) -> tuple[dict[str, list[dict[str, str]]], list[str]]:
    """The sections of a dataset.json for the CTs of a folder, and what it lacks.

    Raises:
        InputError: when a file is not what is listed, or none is there.
    """
    sections: dict[str, list[dict[str, str]]] = {"training": [], "validation": [], "test": []}
    missing = []
    for case in listing["cases"]:
        path = source / case["image"]
        if not path.is_file():
            missing.append(case["image"])
            continue
        if file_sha256(path) != case["sha256"]:
            raise InputError(path, "is not the file that docs/real_cts.json lists.", "Get it from its origin again.")
        # Named as in the listing, so that the split's checksum is the same wherever the files are.
        entry = {"image": str(path.resolve()), "case": case["image"], "group": case["group"]}
        sections[case["section"]].append(entry)
    if not any(sections.values()):
        raise InputError(source, "has none of the CTs of docs/real_cts.json.", "Give the folder that holds them.")
    return sections, missing


if __name__ == "__main__":
    main()
