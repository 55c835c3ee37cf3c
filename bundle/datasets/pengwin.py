"""PENGWIN: CT of broken pelves with labels of their bones, in zip archives or unpacked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from bundle.data.ct_formats import case_name
from bundle.datasets.archives import archive_members
from bundle.datasets.labels import with_label
from bundle.datasets.raw_case import RawCase, RawFile
from bundle.datasets.source_tree import outside_problem, search, unusable
from bundle.errors import InputError
from bundle.paths import is_inside

__all__ = ["LAYOUT", "find"]

LAYOUT = (
    "zip archives or folders of .mha files such as PENGWIN_CT_train_images_part1.zip and PENGWIN_CT_train_labels.zip"
)


def find(source: Path) -> list[RawCase]:
    """One case per image, with the label of its name; and one, with its problem, per archive that cannot be used."""
    tree = search(source)
    files = [(RawFile(path), path.relative_to(source).parts[:-1]) for path in tree.files(".mha")]
    cases = list(tree.problems)
    for archive in tree.files(".zip"):
        place = archive.relative_to(source)
        try:
            # Before it is opened: what lies elsewhere is none of ours.
            if not is_inside(archive, source):
                raise outside_problem(archive)
            members = archive_members(archive, ".mha")
        except InputError as problem:
            cases.append(unusable(archive, problem))
            continue
        parts = (*place.parts[:-1], place.stem)
        files += [(RawFile(archive, member), (*parts, *PurePosixPath(member).parts[:-1])) for member in members]
    images: list[RawCase] = []
    labels: dict[str, list[RawFile]] = {}
    for file, folders in files:
        name = case_name(file.member or file.path)
        role = _role(folders)
        if role == "label":
            labels.setdefault(name, []).append(file)
        elif role == "image":
            images.append(RawCase(name, name, file))
        else:
            unclear = InputError(
                file, "may be an image or a label.", "Put it into a folder or archive named images or labels."
            )
            cases.append(RawCase(name, name, file, problem=unclear))
    return cases + [with_label(case, labels.get(case.name, []), needed=True) for case in images]


def _role(folders: Sequence[str]) -> str | None:
    """What the nearest telling folder or archive says that its files are."""
    for folder in reversed(folders):
        for role in ("label", "image"):
            if role in folder.lower():
                return role
    return None
