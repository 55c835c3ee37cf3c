"""Items: functions of a recipe and a number, in a folder that survives what can happen to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bundle.checksums import file_sha256
from bundle.errors import InputError
from bundle.items import ItemFolder, ItemRecipe, StoredItems, TrainingItem, make_items
from bundle.items.make import ItemMaker
from bundle.tables import read_rows
from tests.conftest import write_nifti

RECIPE = ItemRecipe(volume_shape=(16, 16, 16), detector_shape=(24, 24), tv={"iterations": 3}, seed=4)


def silent(_: str) -> None:
    """Tells nothing."""


@pytest.fixture
def folder(tmp_path) -> Path:
    make_items(RECIPE, tmp_path / "items", 3, progress=silent)
    return tmp_path / "items"


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*.npz"))}


def test_plans_follow_from_the_number():
    plans = [RECIPE.plan(number) for number in range(400)]
    assert plans[:20] == [RECIPE.plan(number) for number in range(20)]
    assert plans[0] != replace(RECIPE, seed=5).plan(0)
    few = [plan for plan in plans if plan.views <= 10]
    assert {plan.views for plan in few} == {6, 7, 8, 9, 10}
    many = [plan.views for plan in plans if plan.views > 10]
    assert 12 <= min(many) < 20 < 52 < max(many) <= 60
    assert 0.05 < len(many) / len(plans) < 0.16
    noisy = [plan.photons for plan in plans if plan.photons is not None]
    assert 3e4 <= min(noisy) < 4e4
    assert 8e5 < max(noisy) <= 1e6
    assert 0.8 < len(noisy) / len(plans) < 0.97
    cut = [plan.truncation for plan in plans if plan.truncation < 1]
    assert 0.05 < len(cut) / len(plans) < 0.16
    assert min(cut) >= 0.75


def test_a_folder_has_what_its_list_says(folder):
    rows = read_rows(folder / "items.csv")
    assert [row["number"] for row in rows] == ["0", "1", "2"]
    store = ItemFolder(folder, RECIPE)
    for number, row in enumerate(rows):
        plan, item = RECIPE.plan(number), store.read_scan(number)
        assert item.truth.shape == (16, 16, 16)
        assert item.truth.dtype == item.projections.dtype == torch.float16
        assert item.projections.shape == (plan.views, 24, 24)
        assert int(row["views"]) == plan.views == item.geometry.num_views
        assert item.geometry.volume_shape == (16, 16, 16)
        assert item.photons == plan.photons
        assert item.scanned_from == row["scanned_from"] == "32x32x32 voxels; 2x2 rays a pixel"
        volume = store.read_tv(number)
        error = (volume.float() - item.truth.float()).square().mean()
        assert error < item.truth.float().var()


def test_making_is_repeatable_and_goes_on(folder, tmp_path):
    before = files_of(folder)
    summary = make_items(RECIPE, folder, 4, progress=silent)
    assert (summary.items, summary.made) == (4, 1)
    make_items(RECIPE, tmp_path / "again", 4, progress=silent)
    assert files_of(folder) == files_of(tmp_path / "again")
    assert before.items() <= files_of(folder).items()


@pytest.mark.parametrize("part", ["scans", "tv"])
def test_torn_files_are_made_again(folder, part):
    sound = files_of(folder)
    path = folder / part / "000001.npz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"000001\.npz: is damaged .*python -m bundle items"):
        getattr(ItemFolder(folder, RECIPE), "read_scan" if part == "scans" else "read_tv")(1)
    summary = make_items(RECIPE, folder, 3, progress=silent)
    assert (summary.made, summary.mended) == (1, 1)
    assert "in place of damaged files" in str(summary)
    assert files_of(folder) == sound


def test_a_flipped_bit_is_found_when_it_is_read_or_asked_for(folder):
    sound = files_of(folder)
    path = folder / "scans" / "000002.npz"
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 4
    path.write_bytes(damaged)
    with pytest.raises(InputError, match="is damaged"):
        ItemFolder(folder, RECIPE).read_scan(2)
    assert make_items(RECIPE, folder, 3, progress=silent).made == 0
    assert make_items(RECIPE, folder, 3, check=True, progress=silent).mended == 1
    assert files_of(folder) == sound


def test_a_reconstruction_of_another_scan_is_refused(folder):
    store = ItemFolder(folder, RECIPE)
    store.write_tv(0, store.read_tv(0), file_sha256(store.path("scans", 1)))
    with pytest.raises(InputError, match=r"tv/000000\.npz: is of another scan\."):
        store.read_tv(0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 5}, r"items of another recipe: seed"),
        ({"volume_shape": (8, 8, 8)}, r"items of another recipe: .*volume_shape"),
        ({"tv": {"iterations": 4}}, r"tv: was made with other options of total variation: .*3.*, not .*4"),
    ],
)
def test_another_recipe_is_refused(folder, change, message):
    before = files_of(folder)
    with pytest.raises(InputError, match=message):
        make_items(replace(RECIPE, **change), folder, 3, progress=silent)
    assert files_of(folder) == before


def test_folders_of_something_else_and_bad_numbers_are_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds no items: it has notes\.txt"):
        make_items(RECIPE, tmp_path, 1, progress=silent)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    for count, minutes in ((0, None), (1, 0.0)):
        with pytest.raises(InputError, match="Give a positive number"):
            make_items(RECIPE, tmp_path / "new", count, minutes, progress=silent)
    for change, message in (
        ({"many_share": 1.5}, "many_share: is 1.5"),
        ({"views": (0, 4)}, r"views: is \[0, 4\]"),
        ({"photons": (1e6, 1e4)}, "photons"),
    ):
        with pytest.raises(InputError, match=message):
            replace(RECIPE, **change)


def test_a_second_run_says_so_and_ends(folder):
    with ItemFolder(folder, RECIPE).locked(), pytest.raises(InputError, match="is being written by another run"):
        make_items(RECIPE, folder, 4, progress=silent)


def test_a_full_disk_leaves_what_is_there(folder, monkeypatch):
    sound = files_of(folder)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match=r"000003\.npz: could not be written: the disk is full"):
        make_items(RECIPE, folder, 4, progress=silent)
    monkeypatch.undo()
    assert files_of(folder) == sound
    assert make_items(RECIPE, folder, 4, progress=silent).items == 4


_PROGRAM = """
import torch
torch.set_num_threads(1)
from tests.items.test_items import RECIPE
from bundle.items import make_items
make_items(RECIPE, {folder!r}, 4, progress=lambda line: print(line, flush=True))
"""


def test_killed_runs_leave_a_sound_folder(tmp_path, in_root):
    """Killed at moments that nobody chose; what is left is made by the next run, and all is as if nothing happened."""
    folder = tmp_path / "items"
    rng = np.random.default_rng(0)
    for _ in range(2):
        command = [sys.executable, "-c", _PROGRAM.format(folder=str(folder))]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=in_root)
        process.stdout.readline()  # of its first item
        time.sleep(rng.uniform(0.0, 0.5))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    make_items(RECIPE, folder, 4, progress=silent)
    make_items(RECIPE, tmp_path / "whole", 4, progress=silent)
    assert files_of(folder) == files_of(tmp_path / "whole")
    assert not list(folder.rglob(".partial-*"))
    assert make_items(RECIPE, folder, 4, check=True, progress=silent).made == 0


def test_patients_of_other_sections_never_occur(tmp_path, scan, phantom):
    sections = {name: [{"image": f"{name}.nii.gz", "group": "g"}] for name in ("training", "validation", "test")}
    for name in sections:
        write_nifti(tmp_path / f"{name}.nii.gz", phantom, scan.voxel_mm, "RAS")
    (tmp_path / "dataset.json").write_text(json.dumps(sections))
    for section in sections:
        recipe = replace(RECIPE, dataset_dir=str(tmp_path), section=section, real_share=1.0)
        cases = {recipe.plan(number).anatomy["case"].rsplit("-", 1)[0] for number in range(30)}
        assert cases == {section}
        assert list(recipe.as_dict()["real"]) == [section]
    summary = make_items(recipe, tmp_path / "items", 1, progress=silent)
    assert summary.items == 1


def test_a_corrected_ct_is_another_recipe(tmp_path, scan, phantom):
    (tmp_path / "dataset.json").write_text('{"training": [{"image": "a.nii.gz"}]}')
    write_nifti(tmp_path / "a.nii.gz", phantom, scan.voxel_mm, "RAS")
    recipe = replace(RECIPE, dataset_dir=str(tmp_path))
    first = recipe.digest
    write_nifti(tmp_path / "a.nii.gz", 0.9 * phantom, scan.voxel_mm, "RAS")
    assert replace(recipe).digest != first


class TestTraining:
    """Items as a training takes them."""

    def items(self, **options) -> list[dict]:
        data = StoredItems(RECIPE, most_views=10, count=8)
        give = TrainingItem(RECIPE, RECIPE.scan.resized(detector_shape=(12, 12)), views=10, **options)
        return [give(data[index]) for index in range(2)]

    def test_read_or_made_makes_no_difference(self, tmp_path):
        make_items(RECIPE, tmp_path, 8, progress=silent)
        for read, made in zip(self.items(folder=tmp_path), self.items()):
            assert set(read) == set(made)
            for key, value in read.items():
                assert torch.equal(value, made[key]) if isinstance(value, torch.Tensor) else value == made[key]
            assert read["projections"].shape == (10, 12, 12)
            assert read["prior"].shape == read["image"].shape == (1, 16, 16, 16)
            views = RECIPE.plan(read["number"]).views
            assert torch.equal(read["projections"][views:], read["projections"][: 10 - views])

    def test_what_a_folder_lacks_is_made(self, tmp_path, caplog):
        make_items(RECIPE, tmp_path, 2, progress=silent)
        (tmp_path / "tv" / "000001.npz").write_bytes(b"torn")
        for read, made in zip(self.items(folder=tmp_path), self.items()):
            assert torch.equal(read["prior"], made["prior"])
        assert "000001.npz: is damaged" in caplog.text

    def test_items_of_many_views_are_passed_over(self):
        numbers = [StoredItems(RECIPE, most_views=10)[index]["number"] for index in range(40)]
        assert all(RECIPE.plan(number).views <= 10 for number in numbers)
        assert any(RECIPE.plan(number).views > 10 for number in range(max(numbers)))
        again = StoredItems(RECIPE, most_views=10, count=8)
        assert [again[index]["number"] for index in (0, 1)] == numbers[:2]
        kept = sum(RECIPE.plan(number).views <= 10 for number in range(8))
        assert again[kept] == again[0]

    def test_another_grid_or_recipe_is_refused(self, tmp_path):
        with pytest.raises(InputError, match=r"has items of \[16, 16, 16\] voxels, the network's are \[8, 8, 8\]"):
            TrainingItem(RECIPE, RECIPE.scan.resized(volume_shape=(8, 8, 8)))
        with pytest.raises(InputError, match=r"holds no items: it has no recipe\.json"):
            TrainingItem(RECIPE, RECIPE.scan, tmp_path)
        make_items(RECIPE, tmp_path / "items", 1, progress=silent)
        with pytest.raises(InputError, match="items of another recipe: seed"):
            TrainingItem(replace(RECIPE, seed=9), RECIPE.scan, tmp_path / "items")
        with pytest.raises(InputError, match="num_sparse: is at most 4"):
            StoredItems(RECIPE, most_views=4)


def test_projections_are_of_the_truth():
    """An item's scan is that of its own truth: projections are near to the truth's, not to its mirror image's."""
    from bundle.physics.attenuation import normalised_to_unit_integral
    from bundle.projector import ConeBeamProjector

    recipe = replace(RECIPE, volume_shape=(32, 32, 32), exact_share=1.0, truncated_share=0.0)
    item = ItemMaker(recipe).scan(recipe.plan(0))
    project = ConeBeamProjector(item.geometry)
    measured = normalised_to_unit_integral(item.projections.float())

    def distance(volume: torch.Tensor) -> float:
        return float((project(volume.float()[None, None])[0] - measured).norm() / measured.norm())

    assert distance(item.truth) < 0.06
    for axis in range(3):
        assert distance(item.truth.flip(axis)) > 2 * distance(item.truth)
