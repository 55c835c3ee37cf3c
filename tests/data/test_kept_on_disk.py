from __future__ import annotations

import numpy as np
import pytest
import torch

from bundle.atomic import PARTIAL_PREFIX
from bundle.data.kept_on_disk import KeptOnDisk
from tests.scanners.vendor_files import write_mha_stack


class Maker:
    def __init__(self):
        self.made = []

    def __call__(self, item):
        self.made.append(item["case"])
        generator = torch.Generator().manual_seed(item["seed"])
        return {**item, "image": torch.rand(1, 20, 20, 20, generator=generator), "views": torch.arange(5)}


def test_items_are_made_once_and_are_the_same_when_read(tmp_path):
    maker = Maker()
    kept = KeptOnDisk(maker, tmp_path / "kept")
    made = kept({"case": "knee/1", "seed": 1})
    again = KeptOnDisk(maker, tmp_path / "kept")({"case": "knee/1", "seed": 1})
    alone = KeptOnDisk(Maker(), None)({"case": "knee/1", "seed": 1})
    assert maker.made == ["knee/1"]
    for other in (again, alone):
        assert other.keys() == made.keys()
        torch.testing.assert_close(other["image"], made["image"], atol=0, rtol=0)
    assert made["image"].dtype == torch.float16
    assert made["views"].tolist() == list(range(5))


def test_damaged_files_are_made_anew(tmp_path):
    maker = Maker()
    kept = KeptOnDisk(maker, tmp_path)
    kept({"case": "a", "seed": 1})
    (file,) = kept.folder.iterdir()
    file.write_bytes(b"damaged")
    assert kept({"case": "a", "seed": 1})["image"].shape == (1, 20, 20, 20)
    assert maker.made == ["a", "a"]


def test_the_oldest_make_room(tmp_path):
    kept = KeptOnDisk(Maker(), tmp_path, at_most=2)
    for number in range(4):
        kept({"case": f"case{number}", "seed": number})
    assert sorted(file.name.partition("-")[0] for file in kept.folder.iterdir()) == ["case2", "case3"]


def test_other_settings_make_items_of_their_own(tmp_path):
    makers = [Maker(), Maker(), Maker()]
    for maker, settings in zip(makers, ([6, None], [4, None], [6, None])):
        KeptOnDisk(maker, tmp_path, made_with=settings)({"case": "a", "seed": 1})
    assert [maker.made for maker in makers] == [["a"], ["a"], []]


def test_other_contents_make_items_of_their_own(tmp_path):
    """Another data set's CT of the same name, and a corrected one."""
    maker = Maker()
    for folder, content in (("one", "a"), ("other", "b"), ("one", "a"), ("one", "corrected"), ("copy", "a")):
        (tmp_path / folder).mkdir(exist_ok=True)
        path = tmp_path / folder / "ct.nii.gz"
        path.write_text(content)
        KeptOnDisk(maker, tmp_path / "kept")({"case": "ct-1", "seed": 1, "image": str(path)})
    assert len(maker.made) == 3


@pytest.mark.parametrize("kind", ["mhd", "dicom"])
def test_contents_are_those_of_all_files_of_a_volume(tmp_path, kind):
    """Also of the one that a header names, and of the slices of a series, wherever they lie."""
    maker = Maker()

    def make(folder: str, *changed: int) -> None:
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        values = np.zeros((2, 3, 4), np.uint16)
        values.flat[list(changed)] = 1
        if kind == "mhd":
            write_mha_stack(place / "ct.mhd", values)
        for number, image in enumerate(values) if kind == "dicom" else ():
            (place / f"{number}.dcm").write_bytes(image.tobytes())
        image = place / "ct.mhd" if kind == "mhd" else place
        KeptOnDisk(maker, tmp_path / "kept")({"case": "ct", "seed": 1, "image": str(image)})

    for folder, *changed in (("one",), ("one",), ("moved",), ("one", 5), ("one", 20)):
        make(folder, *changed)
    assert len(maker.made) == 3


def test_items_that_are_made_lie_where_those_that_are_read_do(tmp_path, monkeypatch):
    """On the CPU: one of each in a batch on a GPU would not fit together."""
    moved = []
    monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: moved.append(tensor.shape) or tensor)
    KeptOnDisk(Maker(), tmp_path)({"case": "a", "seed": 1})
    assert sorted(moved) == [(1, 20, 20, 20), (5,)]


def test_what_another_process_is_writing_is_left_alone(tmp_path):
    kept = KeptOnDisk(Maker(), tmp_path, at_most=1)
    kept({"case": "a", "seed": 1})
    partial = kept.folder / f"{PARTIAL_PREFIX}1-b.pt"
    partial.write_bytes(b"")
    kept({"case": "c", "seed": 1})
    assert sorted(file.name.partition("-")[0] for file in kept.folder.glob("[!.]*")) == ["c"]
    assert partial.is_file()
