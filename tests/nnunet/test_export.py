from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bundle.__main__ import main
from bundle.arguments import check_arguments
from bundle.data.ct_volume import write_hu
from bundle.errors import InputError
from bundle.nnunet import export
from bundle.nnunet_command import nnunet_export
from tests.nnunet.toy import AFFINE_RAS, BALL, BONE, ROD, toy_case, write_toy_case, write_toy_set

SMALL = {"training": ["a"], "test": ["b"]}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_toy_set(tmp_path / "prepared", SMALL)


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_layout_and_description_are_nnunets(exported):
    assert names(exported.raw) == [
        "dataset.json",
        "imagesTr/one_0000.nii.gz",
        "imagesTr/three_0000.nii.gz",
        "imagesTr/two_0000.nii.gz",
        "imagesTs/five_0000.nii.gz",
        "imagesTs/four_0000.nii.gz",
        "labelsTr/one.nii.gz",
        "labelsTr/three.nii.gz",
        "labelsTr/two.nii.gz",
        "labelsTs/five.nii.gz",
        "labelsTs/four.nii.gz",
        "splits_final.json",
    ]
    dataset = json.loads((exported.raw / "dataset.json").read_text())
    assert dataset["channel_names"] == {"0": "CT"}
    assert dataset["labels"] == {"background": 0, "right bone": 1, "left rod": 2}
    assert (dataset["numTraining"], dataset["file_ending"], dataset["orientation"]) == (3, ".nii.gz", "LPS")
    assert dataset["provenance"]["values"] == {"right bone": [12, 13], "left rod": [30]}
    assert dataset["provenance"]["cases"] == {"training": 2, "validation": 1, "test": 2}
    splits = json.loads((exported.raw / "splits_final.json").read_text())
    assert splits == [{"train": ["one", "two"], "val": ["three"]}]


def test_images_and_labels_lie_where_the_prepared_case_does(exported):
    image = nib.load(exported.raw / "imagesTs" / "five_0000.nii.gz")
    labels = nib.load(exported.raw / "labelsTs" / "five.nii.gz")
    volume, values = toy_case((4, -4 % 3, 0))  # the fifth case
    for file in (image, labels):
        np.testing.assert_allclose(file.affine, AFFINE_RAS, atol=1e-5)
        assert nib.aff2axcodes(file.affine) == ("L", "P", "S")
        assert (int(file.header["qform_code"]), int(file.header["sform_code"])) == (1, 1)
        np.testing.assert_allclose(file.get_qform(), AFFINE_RAS, atol=1e-5)
    np.testing.assert_array_equal(np.asarray(image.dataobj), np.rint(volume * 2000 - 1000))
    expected = np.select([np.isin(values, (BONE, BALL)), values == ROD], [1, 2])
    np.testing.assert_array_equal(np.asarray(labels.dataobj), expected)
    assert labels.get_data_dtype() == np.uint8


def test_command_line_gives_structures_as_text(source, tmp_path):
    given = {"source": str(source), "output": str(tmp_path / "raw"), "structures": "{bone: [12], rod: [30]}"}
    nnunet_export(**check_arguments(nnunet_export, given))
    dataset = json.loads((tmp_path / "raw" / "Dataset501_DeepSparse" / "dataset.json").read_text())
    assert dataset["labels"] == {"background": 0, "bone": 1, "rod": 2}


def test_command_line_does_not_lose_names_that_are_given_twice(source, tmp_path, monkeypatch, capsys):
    words = ["bundle", "nnunet-export", str(source), str(tmp_path / "raw"), "--structures", "{bone: 12, bone: 13}"]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit):
        main()
    told = capsys.readouterr().err.strip()
    assert told == "error: structures: has the name 'bone' twice. Give each structure a name of its own."
    assert not (tmp_path / "raw").exists()


def test_the_home_folder_is_understood(source, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    nnunet_export("~/prepared", "~/raw")
    assert (tmp_path / "raw" / "Dataset501_DeepSparse" / "dataset.json").is_file()
    assert not (tmp_path / "~").exists()


def test_sets_too_small_for_folds_are_told(tmp_path, capsys):
    for number, (count, validation, told) in enumerate([(4, [], True), (5, [], False), (1, ["v"], False)]):
        sections = {"training": [f"t{case}" for case in range(count)], "validation": validation}
        source = write_toy_set(
            tmp_path / f"prepared{number}", {name: cases for name, cases in sections.items() if cases}
        )
        nnunet_export(str(source), str(tmp_path / f"raw{number}"))
        assert ("train with fold all" in capsys.readouterr().out) == told


def test_without_structures_values_become_consecutive(source, tmp_path, capsys):
    nnunet_export(str(source), str(tmp_path / "raw"))
    folder = tmp_path / "raw" / "Dataset501_DeepSparse"
    labels = np.asarray(nib.load(folder / "labelsTr" / "a.nii.gz").dataobj)
    values = toy_case()[1]
    for number, value in enumerate((BONE, BALL, ROD), start=1):
        assert np.array_equal(labels == number, values == value)
    assert not (folder / "splits_final.json").exists()  # nothing to validate on: nnU-Net makes its own folds
    assert "1 structure 12, 2 structure 13, 3 structure 30" in capsys.readouterr().out


def test_cases_without_labels_are_refused(source, tmp_path):
    write_toy_case(source / "cases" / "b", toy_case()[0])
    with pytest.raises(InputError, match=r"case b: has no labels.*--keep_labels true"):
        nnunet_export(str(source), str(tmp_path / "raw"))
    assert not (tmp_path / "raw").exists()


def test_labels_of_another_grid_are_refused(source, tmp_path):
    volume, labels = toy_case()
    write_toy_case(source / "cases" / "b", volume, labels=labels[:, :, 1:])
    with pytest.raises(InputError, match=r"case b: has labels \(40, 32, 23\) for a volume \(40, 32, 24\)"):
        nnunet_export(str(source), str(tmp_path / "raw"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (np.diag([-1.0, 1, 1, 1]), "runs RPS, not LPS"),
        (np.diag([1.0, 1, 1.1, 1]), "has voxels"),
        (np.array([[1.0, 0.2, 0, 0], [0, 0.96**0.5, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), "a sheared affine"),
    ],
)
def test_affines_that_nnunet_would_take_for_others_are_refused(source, tmp_path, change, told):
    volume, labels = toy_case()
    write_toy_case(source / "cases" / "a", volume, change @ AFFINE_RAS, labels=labels)
    with pytest.raises(InputError, match=f"case a: .*{told}"):
        nnunet_export(str(source), str(tmp_path / "raw"))


def test_structures_that_no_case_has_are_refused(source, tmp_path):
    with pytest.raises(InputError, match=r"structures heart: has the values \[51\].*The cases have \[0, 12, 13, 30\]"):
        nnunet_export(str(source), str(tmp_path / "raw"), structures={"heart": 51})


def test_other_folders_are_refused(tmp_path):
    (tmp_path / "ct").mkdir()
    with pytest.raises(InputError, match="is no prepared data set"):
        nnunet_export(str(tmp_path / "ct"), str(tmp_path / "raw"))


def test_cases_that_were_not_prepared_are_left_out_and_named(source, tmp_path, capsys):
    listing = json.loads((source / "dataset.json").read_text())
    (source / "dataset.json").write_text(json.dumps({**listing, "split": {"missing": ["broken"]}}))
    nnunet_export(str(source), str(tmp_path / "raw"))
    assert "left out, since they were not prepared: broken" in capsys.readouterr().out


def test_sets_without_training_cases_are_refused(tmp_path):
    source = write_toy_set(tmp_path / "prepared", {"test": ["a"]})
    with pytest.raises(InputError, match="has no case to train on"):
        nnunet_export(str(source), str(tmp_path / "raw"))


@pytest.mark.parametrize("dataset_id", [0, 1000])
def test_ids_that_nnunet_cannot_write_are_refused(source, tmp_path, dataset_id):
    with pytest.raises(InputError, match=f"dataset_id: is {dataset_id}"):
        nnunet_export(str(source), str(tmp_path / "raw"), dataset_id=dataset_id)


def test_names_that_lead_elsewhere_are_refused(source, tmp_path):
    with pytest.raises(InputError, match=r"name: is '../x'"):
        nnunet_export(str(source), str(tmp_path / "raw"), name="../x")


def test_an_id_of_another_set_is_refused(source, tmp_path):
    (tmp_path / "raw" / "Dataset501_Other").mkdir(parents=True)
    with pytest.raises(InputError, match=r"501 is that of .*Dataset501_Other"):
        nnunet_export(str(source), str(tmp_path / "raw"))


def test_an_earlier_export_is_replaced_on_request_alone(source, tmp_path):
    raw = tmp_path / "raw"
    nnunet_export(str(source), str(raw))
    with pytest.raises(InputError, match="exists already"):
        nnunet_export(str(source), str(raw), structures={"rod": 30})
    nnunet_export(str(source), str(raw), structures={"rod": 30}, overwrite=True)
    folder = raw / "Dataset501_DeepSparse"
    assert [path.name for path in raw.iterdir()] == [folder.name]
    assert json.loads((folder / "dataset.json").read_text())["labels"] == {"background": 0, "rod": 1}
    assert np.asarray(nib.load(folder / "labelsTr" / "a.nii.gz").dataobj).max() == 1


def test_a_folder_of_somebody_else_is_never_replaced(source, tmp_path):
    folder = tmp_path / "raw" / "Dataset501_DeepSparse"
    folder.mkdir(parents=True)
    (folder / "dataset.json").write_text('{"labels": {}}')
    with pytest.raises(InputError, match="was not written by nnunet-export"):
        nnunet_export(str(source), str(tmp_path / "raw"), overwrite=True)
    assert (folder / "dataset.json").is_file()


def test_an_interrupted_export_is_continued(source, tmp_path, monkeypatch):
    folder = tmp_path / "raw" / "Dataset501_DeepSparse"
    written: list[str] = []

    def fail_at_second(hu, affine, path):
        if written:
            raise OSError("the machine stops")
        written.append(path.name)
        write_hu(hu, affine, path)

    monkeypatch.setattr(export, "_WORKERS", 1)
    monkeypatch.setattr(export, "write_hu", fail_at_second)
    with pytest.raises(OSError, match="the machine stops"):
        nnunet_export(str(source), str(tmp_path / "raw"))
    assert not folder.exists()

    monkeypatch.setattr(
        export, "write_hu", lambda hu, affine, path: (written.append(path.name), write_hu(hu, affine, path))
    )
    nnunet_export(str(source), str(tmp_path / "raw"))
    assert written == ["a_0000.nii.gz", "b_0000.nii.gz"]
    assert names(folder) == [
        "dataset.json",
        "imagesTr/a_0000.nii.gz",
        "imagesTs/b_0000.nii.gz",
        "labelsTr/a.nii.gz",
        "labelsTs/b.nii.gz",
    ]


def test_an_interrupted_export_under_another_name_is_removed(source, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("the machine stops")

    raw = tmp_path / "raw"
    with monkeypatch.context() as patch:
        patch.setattr(export, "write_hu", fail)
        for number in (501, 50):
            with pytest.raises(OSError, match="the machine stops"):
                nnunet_export(str(source), str(raw), dataset_id=number, name="A")
    assert names(raw) == [".partial-Dataset050_A/dataset.json", ".partial-Dataset501_A/dataset.json"]
    nnunet_export(str(source), str(raw), name="B")
    assert sorted(path.name for path in raw.iterdir()) == [".partial-Dataset050_A", "Dataset501_B"]


def test_an_interrupted_export_of_other_classes_is_begun_anew(source, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("the machine stops")

    with monkeypatch.context() as patch:
        patch.setattr(export, "write_json", fail)
        patch.setattr(export, "_WORKERS", 1)
        three = write_toy_set(tmp_path / "three", {"training": ["a"], "validation": ["c"], "test": ["b"]})
        with pytest.raises(OSError, match="the machine stops"):  # when all cases are written
            nnunet_export(str(three), str(tmp_path / "raw"))
    nnunet_export(str(three), str(tmp_path / "raw"), structures={"rod": ROD})
    folder = tmp_path / "raw" / "Dataset501_DeepSparse"
    assert np.asarray(nib.load(folder / "labelsTr" / "c.nii.gz").dataobj).max() == 1
