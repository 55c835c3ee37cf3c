"""Reconstructing for the evaluation: by the bundle's configurations, once, and perturbed."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from bundle.checkpoint import save_checkpoint
from bundle.commands import simulate
from bundle.errors import InputError
from bundle.evaluation.origin import case_origin
from bundle.evaluation.perturbations import UNPERTURBED, list_perturbations
from bundle.evaluation.reconstruct import reconstruct_all
from bundle.physics.acquisition import Acquisition
from bundle.physics.noise import DetectorNoise
from bundle.physics.scatter import SmoothScatter
from bundle.tables import read_rows
from tests.conftest import ROOT
from tests.workflows import DEMO, TRAIN, refused, small, workflow

CONFIGS = [str(ROOT / name) for name in (TRAIN, "configs/evaluate.json", DEMO)]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Weights of a small untrained network."""
    folder = tmp_path_factory.mktemp("models")
    parsed = workflow(CONFIGS, "evaluating", **small(folder)).parser
    (folder / "models").mkdir()
    save_checkpoint({"network": parsed.get_parsed_content("network_def").state_dict()}, folder / "models" / "model.pt")
    return folder / "models"


@pytest.fixture
def changes(models, tmp_path):
    values = small(
        tmp_path, models_dir=str(models), view_counts=[4, 6], methods={"fdk": {"_target_": "bundle.classical.FDK"}}
    )
    return {**values, "refinements": {}}


def volumes(found) -> dict[tuple, np.ndarray]:
    return {(one.method, one.views): nib.load(one.volume).get_fdata() for one in found}


def test_reconstructs_every_case_and_keeps_what_is_there(changes, tmp_path):
    found = reconstruct_all(CONFIGS, {**changes, "view_counts": [4]}, tmp_path / "r", UNPERTURBED)
    assert [(one.case, one.method, one.views) for one in found] == [("chest", "deepsparse", 4), ("chest", "fdk", 4)]
    assert all(one.volume.is_file() and one.truth.is_file() for one in found)
    assert found[0].labels == str(ROOT / "sample_data" / "chest_lungs.nii.gz")
    assert found[1].quality["method"] == "fdk"
    made = {one.volume: one.volume.stat().st_mtime_ns for one in found}

    more = reconstruct_all(CONFIGS, changes, tmp_path / "r", UNPERTURBED)
    assert [(one.method, one.views) for one in more] == [("deepsparse", 4), ("fdk", 4), ("deepsparse", 6), ("fdk", 6)]
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert {row["views"] for row in read_rows(tmp_path / "r" / "residuals.csv")} == {"4", "6"}
    assert float(more[2].quality["psnr_db"]) > 0

    more[3].volume.unlink()  # as a killed run leaves it
    again = reconstruct_all(CONFIGS, changes, tmp_path / "r", UNPERTURBED)
    assert again[3].volume.is_file()
    assert {path: path.stat().st_mtime_ns for path in made} == made


def test_volumes_of_other_settings_are_not_taken(changes, tmp_path):
    reconstruct_all(CONFIGS, {**changes, "view_counts": [4]}, tmp_path / "r", UNPERTURBED)
    other = {**changes, "view_counts": [4], "seed": 1}
    with pytest.raises(
        InputError, match=r"holds reconstructions with other settings: seed '0' \(now '1'\). Choose another"
    ):
        reconstruct_all(CONFIGS, other, tmp_path / "r", UNPERTURBED)
    assert len(reconstruct_all(CONFIGS, other, tmp_path / "r", UNPERTURBED, overwrite=True)) == 2
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="holds files that no evaluation made"):
        reconstruct_all(CONFIGS, other, tmp_path / "mine", UNPERTURBED, overwrite=True)


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("noise", 1e3),
        ("metal", 20),
        ("angle_jitter", 5),
        ("detector_shift", 60),
        ("missing_views", 2),
        ("truncation", 0.4),
    ],
)
def test_perturbed_scans(changes, tmp_path, name, level):
    """Every perturbation changes what is reconstructed, is worse, and is the same every time."""
    one = {**changes, "view_counts": [6]}
    clean = reconstruct_all(CONFIGS, one, tmp_path / "clean", UNPERTURBED)
    perturbation = list_perturbations({name: [level]})[1]
    first, second = (reconstruct_all(CONFIGS, one, tmp_path / folder, perturbation) for folder in ("first", "second"))
    assert [one.views for one in first] == [6, 6]  # the number that was planned
    assert first[1].keys["perturbation"] == name
    for method in ("deepsparse", "fdk"):
        assert not np.array_equal(volumes(clean)[method, 6], volumes(first)[method, 6])
        np.testing.assert_array_equal(volumes(first)[method, 6], volumes(second)[method, 6])
    np.testing.assert_array_equal(nib.load(clean[0].truth).get_fdata(), nib.load(first[0].truth).get_fdata())
    assert float(first[1].quality["psnr_db"]) < float(clean[1].quality["psnr_db"])


def test_some_scans_alone(changes, tmp_path):
    """By their numbers in the whole list, also where some of them are there already."""
    only = {**changes, "only_scans": [1]}
    (found,) = [one for one in reconstruct_all(CONFIGS, only, tmp_path / "r", UNPERTURBED) if one.method == "fdk"]
    assert found.views == 6
    assert found.volume.is_file()
    every = reconstruct_all(CONFIGS, changes, tmp_path / "r", UNPERTURBED)
    assert [one.views for one in every if one.method == "fdk"] == [4, 6]
    assert all(one.volume.is_file() for one in every)


def test_an_image_is_another_when_the_file_of_its_voxels_is(tmp_path):
    (tmp_path / "a.mhd").write_text("NDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\nElementDataFile = a.raw\n")
    (tmp_path / "a.raw").write_bytes(bytes(8))
    before = case_origin({"image": str(tmp_path / "a.mhd")})
    assert case_origin({"image": str(tmp_path / "a.mhd")}) == before
    (tmp_path / "a.raw").write_bytes(bytes([1] * 8))
    assert case_origin({"image": str(tmp_path / "a.mhd")}) != before


@pytest.mark.parametrize("counts", [6, [6, 6], [6.5], [0], [], "6"])
def test_numbers_of_views_that_are_refused(changes, tmp_path, counts):
    with refused("view_counts: is"):
        reconstruct_all(CONFIGS, {**changes, "view_counts": counts}, tmp_path / "r", UNPERTURBED)


def test_stored_projections_cannot_be_misaligned(changes, tmp_path):
    perturbation = list_perturbations({"angle_jitter": [1]})[1]
    stored = {**perturbation.changes, "cache_projections": True}
    with refused("cache_projections"):
        reconstruct_all(CONFIGS, changes, tmp_path / "r", replace(perturbation, changes=stored))


@pytest.mark.parametrize(("name", "level"), [("noise", 1e3), ("detector_shift", 20.0)])
def test_perturbed_scans_are_simulated_though_projections_are_stored(changes, tmp_path, name, level):
    """They are those of the same data set without stored projections."""
    sizes = {key: changes[key] for key in ("detector_shape", "volume_shape")}
    listed = {"image": "chest.nii.gz"}
    for folder, entry in (("plain", listed), ("stored", {**listed, "projections": "chest.npz"})):
        (tmp_path / folder).mkdir()
        shutil.copy(ROOT / "sample_data" / "chest.nii.gz", tmp_path / folder)
        (tmp_path / folder / "dataset.json").write_text(json.dumps({"test": [entry]}))
    source = str(tmp_path / "stored" / "chest.nii.gz")
    simulate(source, source.replace(".nii.gz", ".npz"), num_views=24, **sizes)
    found = {}
    for folder in ("plain", "stored"):
        one = {**changes, "view_counts": [6], "dataset_dir": str(tmp_path / folder)}
        for perturbation in list_perturbations({name: [level]}):
            output = tmp_path / "out" / folder / perturbation.folder
            found[folder, perturbation.name] = volumes(reconstruct_all(CONFIGS, one, output, perturbation))["fdk", 6]
    for kind in (UNPERTURBED.name, name):
        np.testing.assert_array_equal(found["stored", kind], found["plain", kind])
    assert not np.array_equal(found["stored", name], found["stored", UNPERTURBED.name])


def test_names_and_notes_of_a_data_set_run_nothing(changes, tmp_path, monkeypatch):
    """What looks like an expression or a component of a configuration stays text."""
    monkeypatch.chdir(tmp_path)
    name = "$open('ran_by_name','w').nii.gz"
    shutil.copy(ROOT / "sample_data" / "chest.nii.gz", tmp_path / name)
    note = {"note": "$__import__('pathlib').Path('ran_by_note').touch()"}
    note["component"] = {"_target_": "os.mkdir", "path": "made"}
    (tmp_path / "dataset.json").write_text(json.dumps({"test": [{"image": name, **note}]}))
    one = {**changes, "dataset_dir": str(tmp_path), "view_counts": [4]}
    found = reconstruct_all(CONFIGS, one, tmp_path / "r", UNPERTURBED)
    assert found[0].case == name.removesuffix(".nii.gz")
    assert found[0].volume.is_file()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(("ran_by", "made"))]


def test_volumes_of_another_image_of_the_same_name_are_not_taken(changes, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    image = nib.load(ROOT / "sample_data" / "chest.nii.gz")
    nib.save(image, data / "chest.nii.gz")
    (data / "dataset.json").write_text(json.dumps({"test": [{"image": "chest.nii.gz"}]}))
    one = {**changes, "dataset_dir": str(data), "view_counts": [4]}
    first = volumes(reconstruct_all(CONFIGS, one, tmp_path / "r", UNPERTURBED))
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj)[::-1], image.affine), data / "chest.nii.gz")
    with pytest.raises(InputError, match=r"was reconstructed from another image than .*chest.nii.gz"):
        reconstruct_all(CONFIGS, one, tmp_path / "r", UNPERTURBED)
    second = volumes(reconstruct_all(CONFIGS, one, tmp_path / "r", UNPERTURBED, overwrite=True))
    assert not np.array_equal(first["fdk", 4], second["fdk", 4])


def test_a_run_that_failed_before_it_reconstructed_can_be_repeated_with_other_settings(changes, tmp_path):
    one = {**changes, "view_counts": [4]}
    with refused("nothing.pt: does not exist"):
        reconstruct_all(CONFIGS, {**one, "checkpoint": "nothing.pt"}, tmp_path / "r", UNPERTURBED)
    assert len(reconstruct_all(CONFIGS, one, tmp_path / "r", UNPERTURBED)) == 2


def test_a_run_killed_while_it_throws_away_can_be_repeated(changes, tmp_path):
    one = {**changes, "view_counts": [4]}
    reconstruct_all(CONFIGS, one, tmp_path / "r", UNPERTURBED)
    (tmp_path / "r" / "metrics.csv").unlink()
    (tmp_path / "r" / "chest").rename(tmp_path / "r" / ".discarded")
    assert len(reconstruct_all(CONFIGS, {**one, "seed": 1}, tmp_path / "r", UNPERTURBED, overwrite=True)) == 2
    assert not (tmp_path / "r" / ".discarded").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"volume_shap": [8, 8, 8]}, "changes.volume_shap: is no setting of the evaluation"),
        ({"method": "fdk"}, "changes.method: is 'fdk', a compared method's name"),
        ({"methods": {"fdk": "null"}}, "methods.fdk: is 'null'. Give its class"),
    ],
)
def test_settings_that_are_refused(changes, tmp_path, more, message):
    with refused(message):
        reconstruct_all(CONFIGS, {**changes, **more}, tmp_path / "r", UNPERTURBED)


def test_perturbations_add_to_the_physics_of_the_scan():
    base = Acquisition(scatter=SmoothScatter(0.3, 50.0), noise=DetectorNoise(2e4))
    noise, metal = list_perturbations({"noise": [1e3], "metal": [2]}, base)[1:]
    assert noise.changes["acquisition"] == Acquisition(scatter=base.scatter, noise=DetectorNoise(1e3))
    assert metal.changes["acquisition"].noise == base.noise
    assert metal.changes["acquisition"].scatter == base.scatter
    # The scan that they are compared with is simulated as they are, though projections may be stored.
    alone, compared = list_perturbations({})[0], list_perturbations({"noise": [1e3]})[0]
    assert alone.changes == {}
    assert compared.changes == {"prepared_projections": False, "cache_projections": False}


def test_a_missing_configuration_is_named(changes, tmp_path):
    with pytest.raises(InputError, match=r"configs nothing.json: does not exist"):
        reconstruct_all(["nothing.json"], changes, tmp_path / "r", UNPERTURBED)
