"""Projection files, weights and zips whose contents are not what they should be."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bundle.data.projection_file import _checksum
from tests.hostile.case import EITHER, REFUSED, Case
from tests.hostile.json_edits import HARD, with_leaves

__all__ = ["projection_cases", "weight_cases", "zip_cases"]


class _Code:
    """Runs a command when it is unpickled."""

    def __reduce__(self):
        return os.system, ("echo code ran > code_ran",)


def projection_cases(sound: Path) -> Iterator[Case]:
    """Projection files with a valid checksum."""
    arrays = dict(np.load(sound / "scan.npz"))

    def case(name: str, right: str = REFUSED, **changes: Any) -> Case:
        made = {key: value for key, value in {**arrays, **changes}.items() if value is not None}
        return Case("scan.npz", f"scan.npz: {name}", lambda folder: _save_npz(folder / "scan.npz", made), right)

    p = arrays["projections"]
    for value in (np.nan, np.inf, 1e20, -50.0):
        spoiled = p.copy()
        spoiled[2, 5, 7] = value
        yield case(f"a pixel of {value}", projections=spoiled)
    for name, changed in {"of whole numbers": p.astype(int), "of complex numbers": p + 1j, "of one view": p[:1],
                          "of two dimensions": p[0], "of no views": p[:0], "negative": -p, "all zero": 0 * p,
                          "of double precision": p.astype(float)}.items():  # fmt: skip
        yield case(f"projections {name}", EITHER if "double" in name else REFUSED, projections=changed)
    for name in arrays:
        yield case(f"without {name}", **{name: None})
        if arrays[name].dtype.kind == "f":
            for value in (np.nan, 1e30, 0.0):
                yield case(f"{name} all {value}", EITHER if value == 0 else REFUSED, **{name: arrays[name] * 0 + value})
    far = arrays["world_to_patient"].copy()
    far[0, 3] = 1e7
    yield case("10 km from the patient", world_to_patient=far)
    header = json.loads(str(arrays["header"]))
    for n, changed in enumerate(with_leaves(header, per_leaf=4)):
        yield case(f"header, edit {n}", EITHER, header=np.array(json.dumps(changed)))
    for name, content in HARD.items():
        if name not in ("binary", "not UTF-8"):
            yield case(f"header {name}", header=np.array(content.decode()))
    yield Case("scan.npz", "scan.npz: a pickle", lambda folder: np.savez(folder / "scan.npz", header=np.array(_Code())))
    yield Case("scan.npz", "scan.npz: claims 8 GB", lambda folder: _claims(folder / "scan.npz"))


def weight_cases() -> Iterator[Case]:
    """Weights of this package and published ones."""

    def case(reader: str, name: str, change: Callable[[dict], Any], right: str = REFUSED) -> Case:
        def edit(folder: Path) -> None:
            torch.save(change(torch.load(folder / reader)), folder / reader)

        return Case(reader, f"{reader}: {name}", edit, right)

    def all_floats(change: Callable[[torch.Tensor], Any]) -> Callable[[dict], dict]:
        def apply(state: dict) -> dict:
            return {k: change(v) if torch.is_tensor(v) and v.is_floating_point() else v for k, v in state.items()}

        return apply

    def first(change: Callable[[torch.Tensor], Any]) -> Callable[[dict], dict]:
        def apply(state: dict) -> dict:
            name = next(k for k, v in state.items() if torch.is_tensor(v) and v.ndim == 4)
            return {**state, name: change(state[name])}

        return apply

    for reader in ("model.pt", "published.pth"):
        for content in (7, [1, 2], "text", None, {}, {"a": {"b": {"c": 1}}}, torch.zeros(3), {"a": torch.zeros(3)}):
            name = type(content).__name__ if not isinstance(content, dict) else f"a mapping of {list(content)}"
            yield case(reader, f"holds {name}", lambda _, c=content: c)
        yield case(reader, "of numbers that are none", all_floats(lambda v: v * torch.nan))
        yield case(reader, "one infinite number", first(lambda v: v.index_fill(0, torch.tensor([0]), torch.inf)))
        yield case(reader, "of huge numbers", all_floats(lambda v: v + 1e30))
        yield case(reader, "all zero", all_floats(torch.zeros_like))
        yield case(reader, "of complex numbers", all_floats(lambda v: v.to(torch.complex64)))
        yield case(reader, "of whole numbers", all_floats(lambda v: v.to(torch.int8)))
        yield case(reader, "of double precision", all_floats(torch.Tensor.double), EITHER)
        yield case(reader, "a sparse tensor", first(lambda v: v.to_sparse()))
        yield case(reader, "an expanded tensor of 16 GB", first(lambda v: torch.zeros(1).expand(4_000_000_000)))
        yield case(reader, "a scalar", first(lambda v: v.sum()))
        yield case(reader, "another shape", first(lambda v: v[..., :1]))
        yield case(reader, "a number for a tensor", first(lambda v: 3.0))
        yield case(reader, "one tensor less", lambda s: dict(list(s.items())[1:]))
        yield case(reader, "an unknown tensor", lambda s: {**s, "more.weight": torch.zeros(2)})
        yield case(reader, "names that are numbers", lambda s: dict(enumerate(s.values())))
        yield Case(reader, f"{reader}: a pickle that runs code", lambda f, r=reader: torch.save({"a": _Code()}, f / r))


def zip_cases() -> Iterator[Case]:
    """Zips of published weights."""

    def case(name: str, write: Callable[[zipfile.ZipFile, bytes], None], right: str = REFUSED) -> Case:
        def make(folder: Path) -> None:
            weights = (folder / "published.pth").read_bytes()
            with zipfile.ZipFile(folder / "published.zip", "w", zipfile.ZIP_DEFLATED) as archive:
                write(archive, weights)

        return Case("published.zip", f"published.zip: {name}", make, right)

    yield case("no weights", lambda archive, _: archive.writestr("README.md", "nothing"))
    yield case("empty", lambda archive, _: None)
    yield case("two weights", lambda archive, w: [archive.writestr(f"{n}.pth", w) for n in "ab"])
    yield case("a path outside", lambda archive, w: archive.writestr("../../a.pth", w), EITHER)
    yield case("an absolute path", lambda archive, w: archive.writestr("/tmp/a.pth", w), EITHER)
    yield case("weights of zeros, 3 GB", _bomb)
    yield case("a zip in the zip", lambda archive, w: archive.writestr("a.zip", w))
    yield case("the same name twice", lambda archive, w: [archive.writestr("a.pth", part) for part in (w, w[:-9])])

    def encrypt(folder: Path) -> None:
        content = bytearray((folder / "published.zip").read_bytes())
        for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            content[content.index(signature) + offset] |= 1
        (folder / "published.zip").write_bytes(content)

    yield Case("published.zip", "published.zip: encrypted", encrypt)


def _bomb(archive: zipfile.ZipFile, weights: bytes) -> None:
    with archive.open("a.pth", "w", force_zip64=True) as file:
        for _ in range(3000):
            file.write(bytes(1_000_000))


def _save_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    if "checksum" in arrays:
        try:
            arrays = {**arrays, "checksum": np.array(_checksum({k: v for k, v in arrays.items() if k != "checksum"}))}
        except Exception:  # what it covers is missing
            arrays = dict(arrays)
    np.savez_compressed(path, **arrays)


def _claims(path: Path) -> None:
    """Writes a member whose header claims a billion views."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f4", "fortran_order": False, "shape": (4_000_000, 24, 24)})
    members["projections.npy"] = head.getvalue() + bytes(100)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
