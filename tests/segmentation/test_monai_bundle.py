from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.inferers import SimpleInferer, SlidingWindowInferer
from monai.utils.misc import get_seed

from bundle.checksums import file_sha256
from bundle.errors import InputError
from bundle.segmentation.monai_bundle import MonaiBundleSegmenter
from bundle.segmentation.segmenter import Segmenter
from tests.datasets.formats import reoriented
from tests.segmentation.volumes import FRAMES, boxes, lps_affine
from tests.segmentation.zoo_bundle import configuration, metadata, write_bundle

SHAPE = (40, 34, 22)
AFFINE = lps_affine((3.0, 2.5, 4.0))
DARK, BRIGHT = (slice(6, 19), slice(8, 28), slice(5, 17)), (slice(25, 34), slice(12, 22), slice(3, 9))


def volume() -> np.ndarray:
    return boxes(SHAPE, (DARK, -850.0), (BRIGHT, 600.0), background=40.0)


def expected() -> np.ndarray:
    return boxes(SHAPE, (DARK, 1), (BRIGHT, 2), background=0).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "toy_ct_segmentation")


def segmenter(folder: Path, **options) -> MonaiBundleSegmenter:
    return MonaiBundleSegmenter(str(folder), device="cpu", **options)


def changed(folder: Path, change) -> Path:
    config = configuration()
    change(config)
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("axcodes", FRAMES)
def test_labels_come_back_in_the_frame_of_the_volume(folder, axcodes, capsys):
    made = segmenter(folder)
    hu, affine = reoriented(volume(), AFFINE, axcodes)
    found = made(hu, affine)
    truth, _ = reoriented(expected(), AFFINE, axcodes)
    assert isinstance(made, Segmenter)
    assert found.dtype == np.uint8
    assert found.shape == hu.shape
    for label in (1, 2):  # the bundle works on another grid, so that edges move by less than a voxel
        overlap = ((found == label) & (truth == label)).sum()
        assert 2 * overlap / ((found == label).sum() + (truth == label).sum()) > 0.93
    assert "error" not in capsys.readouterr().err.lower()
    assert not (folder / "eval").exists()


def test_says_what_it_is(folder):
    made = segmenter(folder, overrides={"inferer#overlap": 0.5})
    assert made.structures == {1: "dark part left", 2: "bright part"}
    told = made.describe()
    assert (told["bundle"], told["bundle_version"]) == ("toy_ct_segmentation", "0.3.1")
    assert told["weights_sha256"] == file_sha256(folder / "models" / "model.pt")
    assert told["overrides"] == '{"inferer#overlap": 0.5}'


def test_yaml_older_run_names_and_one_channel_for_each_label(folder):
    def as_before(config):
        config["evaluating"] = config.pop("run")
        loader = config.pop("checkpointloader")
        config["handlers"].insert(0, loader)
        config["initialize"].pop()
        config["postprocessing"]["transforms"][2] = {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5}

    config = configuration()
    as_before(config)
    (folder / "configs" / "inference.json").unlink()
    ConfigParser.export_config_file(config, str(folder / "configs" / "inference.yaml"), fmt="yaml")
    found = segmenter(folder)(volume(), AFFINE)
    assert found[12, 18, 10] == 1
    assert found[29, 17, 6] == 2
    assert found[2, 2, 2] == 0


def test_leaves_no_trace(folder):
    scripts = folder / "scripts"
    scripts.mkdir()
    (scripts / "__init__.py").write_text("")
    (scripts / "step.py").write_text("def unchanged(data):\n    return data\n")
    changed(
        folder,
        lambda config: config["preprocessing"]["transforms"].insert(
            1, {"_target_": "Lambdad", "keys": "image", "func": "$unchanged"}
        ),
    )
    config = json.loads((folder / "configs" / "inference.json").read_text())
    config["imports"].append("$from scripts.step import unchanged")
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    before = list(sys.path), set(sys.modules), torch.backends.cudnn.deterministic
    seed = get_seed()
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    drawn = random.random(), np.random.rand(), torch.rand(1)
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    assert segmenter(folder)(volume(), AFFINE)[12, 18, 10] == 1
    assert (random.random(), np.random.rand(), torch.rand(1)) == drawn
    assert list(sys.path) == before[0]
    assert not [name for name in set(sys.modules) - before[1] if name.startswith("scripts")]
    assert torch.backends.cudnn.deterministic == before[2]
    assert get_seed() == seed != 123  # which the bundle sets
    assert not list(folder.rglob("__pycache__"))


def test_code_of_one_bundle_is_not_that_of_the_next(tmp_path):
    """Both have modules of the same name, in folders that are no packages."""
    found = []
    for number, step in enumerate(("data", "data | {'pred': data['pred'] * 0}")):
        config = configuration()
        config["imports"].append("$from helpers.deep.step import change")
        config["postprocessing"]["transforms"].append({"_target_": "Lambda", "func": "$change"})
        folder = write_bundle(tmp_path / f"bundle{number}", config)
        (folder / "helpers" / "deep").mkdir(parents=True)
        (folder / "helpers" / "deep" / "step.py").write_text(f"def change(data):\n    return {step}\n")
        found.append(segmenter(folder)(volume(), AFFINE).max())
        assert not [name for name in sys.modules if name.startswith("helpers")]
    assert found == [2, 0]


def test_refuses_what_is_no_bundle(tmp_path, folder):
    with pytest.raises(InputError, match=r"is no folder.*download --name lungs_ct"):
        segmenter(tmp_path / "lungs_ct")
    with pytest.raises(InputError, match=r"configs/inference\.json"):
        segmenter(tmp_path)
    (folder / "configs" / "metadata.json").unlink()
    with pytest.raises(InputError, match=r"metadata\.json: is missing"):
        segmenter(folder)


def test_says_how_to_get_missing_weights(folder):
    (folder / "models" / "model.pt").unlink()
    with pytest.raises(InputError, match=r"models/model\.pt.*monai\.bundle download --name toy_ct_segmentation"):
        segmenter(folder)


def test_refuses_configurations_it_cannot_run(folder):
    with pytest.raises(InputError, match="no entry evaluator"):
        segmenter(changed(folder, lambda config: config.pop("evaluator")))
    with pytest.raises(InputError, match="no entry run"):
        segmenter(changed(folder, lambda config: config.pop("run")))
    (folder / "configs" / "inference.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        segmenter(folder)


def test_refuses_metadata_that_do_not_name_the_labels(folder):
    def told(change):
        record = metadata()
        change(record["network_data_format"])
        (folder / "configs" / "metadata.json").write_text(json.dumps(record))
        return folder

    with pytest.raises(InputError, match=r"does not name each label.*segmenter_options\.structures"):
        segmenter(told(lambda formats: formats["outputs"]["pred"].pop("channel_def")))
    assert segmenter(folder, structures={"1": "a", "2": "b"}).structures == {1: "a", 2: "b"}
    with pytest.raises(InputError, match="'tumour' where the background should be"):
        segmenter(told(lambda formats: formats["outputs"]["pred"].update(channel_def={"0": "tumour", "1": "lung"})))
    with pytest.raises(InputError, match="more than one CT image"):
        segmenter(told(lambda formats: formats["inputs"]["image"].update(num_channels=4)))
    with pytest.raises(InputError, match="a network for MR images"):
        segmenter(told(lambda formats: formats["inputs"]["image"].update(modality="MR")))
    for inputs in ([], {"image": "CT"}, None, {}):
        with pytest.raises(InputError, match=r"metadata\.json: does not describe a network that takes one image"):
            segmenter(told(lambda formats, inputs=inputs: formats.update(inputs=inputs)))
    for labels in (None, ["background", "lung"], {"0": "background"}):
        with pytest.raises(InputError, match=r"metadata\.json: does not name each label"):
            segmenter(told(lambda formats, labels=labels: formats["outputs"]["pred"].update(channel_def=labels)))
    (folder / "configs" / "metadata.json").write_text(json.dumps({**metadata(), "network_data_format": None}))
    with pytest.raises(InputError, match="takes one image"):
        segmenter(folder)


@pytest.mark.parametrize("structures", [{1: None}, {1: ""}, {0: "x"}, {"a": "x"}, {True: "x"}, {1: "a", "1": "b"}, {}])
def test_refuses_structures_that_are_no_names_by_label(folder, structures):
    with pytest.raises(InputError, match=r"segmenter_options\.structures: (has|does)"):
        segmenter(folder, structures=structures)


def test_names_missing_packages(folder):
    changed(folder, lambda config: config["imports"].append("$import no_such_package"))
    changed(folder, lambda config: config["network_def"].update(_target_="no_such_package.Network"))
    with pytest.raises(InputError, match=r"toy_ct_segmentation: cannot be used .*no_such_package"):
        segmenter(folder)


def by_handler(config):
    config["handlers"].insert(0, config.pop("checkpointloader"))
    config["initialize"].pop()


@pytest.mark.parametrize("change", [lambda config: None, by_handler])
def test_refuses_other_weights_before_any_volume(folder, change, capsys):
    changed(folder, change)
    weights = folder / "models" / "model.pt"
    content = weights.read_bytes()
    torch.save({"weight": torch.zeros(1)}, weights)
    with pytest.raises(InputError, match=r"toy_ct_segmentation: cannot be used \(.*Missing key.*bias"):
        segmenter(folder)
    weights.write_bytes(content[:300])
    with pytest.raises(InputError, match=r"models/model\.pt: cannot be read"):
        segmenter(folder)
    torch.save({"weight": Path("anything")}, weights)
    with pytest.raises(InputError, match=r"models/model\.pt: is not a checkpoint of plain tensors"):
        segmenter(folder)
    assert capsys.readouterr() == ("", "")


def test_weights_that_were_saved_on_a_gpu_serve_without_one(folder, monkeypatch):
    weights = folder / "models" / "model.pt"
    state = torch.load(weights, weights_only=True)
    with monkeypatch.context() as patch:
        patch.setattr("torch.serialization.location_tag", lambda storage: "cuda:0")
        torch.save(state, weights)
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="CUDA"):  # as a loader without map_location would
            torch.load(weights, weights_only=True)
    for change in (lambda config: None, by_handler):
        assert segmenter(changed(folder, change))(volume(), AFFINE)[12, 18, 10] == 1


def test_failures_are_told_once(folder, capfd):
    def failing(config):
        config["preprocessing"]["transforms"].append(
            {"_target_": "Lambdad", "keys": "image", "func": "$lambda x: 1 / 0"}
        )

    made = segmenter(changed(folder, failing))
    with pytest.raises(InputError, match=r"toy_ct_segmentation: failed \(division by zero\)"):
        made(volume(), AFFINE)
    assert capfd.readouterr() == ("", "")


def test_nothing_is_saved_wherever_the_saver_stands(folder):
    saver = {"_target_": "monai.transforms.SaveImaged", "keys": "pred", "output_dir": "$@bundle_root + '/eval'"}

    def referenced(config):
        config["saver"] = saver
        config["postprocessing"]["transforms"][3] = "@saver"

    def handler(config):
        config["postprocessing"]["transforms"].pop(3)
        config["saver"] = {"_target_": "SegmentationSaver", "output_dir": "$@bundle_root + '/eval'"}
        config["handlers"].append("@saver")

    def alone(config):
        config["save"] = saver
        config["postprocessing"]["transforms"][3] = {"_target_": "Lambda", "func": "$lambda data: @save(data)"}

    files = sorted(folder.rglob("*"))
    for change in (referenced, handler, alone):
        assert segmenter(changed(folder, change))(volume(), AFFINE)[12, 18, 10] == 1
        assert sorted(folder.rglob("*")) == files


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (
            {"datasett": 3},
            r"datasett: leads to nothing: .*\.json has no 'datasett'\. It has imports, bundle_root",
        ),
        (
            {"inferer#overlapp": 0.3},
            "overlapp: leads to nothing: .* has no 'overlapp' in inferer.*It has _target_",
        ),
        ({"postprocessing#transforms#9": 0}, "has no '9' in postprocessing#transforms"),
        ({"bundle_root": "."}, r"bundle_root: cannot be replaced\. Use segmenter_options\.folder"),
        ({"device": "cpu"}, r"device: cannot be replaced\. Use segmenter_options\.device"),
        ({"evaluator#amp": True}, "evaluator#amp: cannot be replaced. Mixed precision needs a GPU"),
        ({"dataset::data": []}, "dataset#data: cannot be replaced"),
        ({"dataloader#num_workers": 3}, "dataloader#num_workers: cannot be replaced"),
        ({"postprocessing#transforms#3#output_dir": "/x"}, "output_dir: cannot be replaced"),
        ({"inferer": {"_target_": "SlidingWindowInferer", "nothing": 1}}, "cannot be used .*nothing"),
        ({"inferer": SimpleInferer()}, "inferer: holds a SimpleInferer, no plain value. Give JSON text"),
        ({"inferer#roi_size": [32, np.float64(3)]}, "roi_size: holds a float64"),
        ("{'inferer#overlap': 0.3}", "no valid JSON"),
        ("[1]", r"is \[1\]"),
        ({1: 2}, "is {1: 2}"),
    ],
)
def test_overrides_that_would_do_nothing_are_refused(folder, overrides, told):
    with pytest.raises(InputError, match=told):
        segmenter(folder, overrides=overrides)


def test_overrides_pass_through_another_configuration_as_text(folder):
    """Components would be made by the configuration that holds them, and references be looked up in it."""
    given = {
        "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [32, 32, 32], "overlap": "$0.25 + 0.25"},
        "network_def#out_channels": "$len(@channels)",
        "datalist": ["@dataset_dir"],
    }
    changed(folder, lambda config: config.update(channels=["background", "dark", "bright"]))
    options = {"folder": str(folder), "device": "cpu", "overrides": json.dumps(given)}
    target = "bundle.segmentation.catalogue.make_segmenter"
    parser = ConfigParser(
        {"options": options, "made": {"_target_": target, "name": "monai_bundle", "options": "@options"}}
    )
    made = parser.get_parsed_content("made")
    assert json.loads(made.describe()["overrides"]) == given
    assert made(volume(), AFFINE)[12, 18, 10] == 1


def test_the_inferer_keeps_its_own_device(folder):
    def on(device):
        return changed(folder, lambda config: config["inferer"].update(device=device))

    used = []

    class Noting(SlidingWindowInferer):
        def __init__(self, *args, device=None, **options):
            used.append(str(device))
            super().__init__(*args, device="cpu", **options)

    config_target = f"{__name__}.Noting"
    globals()["Noting"] = Noting
    overrides = {"inferer#_target_": config_target}
    for device in ("$torch.device('cuda:0')", "cuda:1", "cpu", "@device", None):
        segmenter(on(device), overrides=overrides)
    segmenter(on("cuda:1"), overrides={**overrides, "inferer#device": "cuda:7"})
    assert used == ["cpu", "cpu", "cpu", "cpu", "None", "cuda:7"]


def test_identity_covers_all_that_may_change_the_labels(folder):
    (folder / "docs").mkdir()
    (folder / "scripts").mkdir()
    (folder / "scripts" / "step.py").write_text("# one\n")
    known = [segmenter(folder).describe()]
    (folder / "docs" / "README.md").write_text("changed")
    assert segmenter(folder).describe() == known[0]
    for name, text in (
        ("scripts/step.py", "# two\n"),
        ("models/other.pt", "weights"),
        ("configs/other.json", "{}"),
        ("configs/metadata.json", json.dumps({**metadata(), "changelog": {}})),
    ):
        (folder / name).write_text(text)
        known.append(segmenter(folder).describe())
    assert len({told["bundle_sha256"] for told in known}) == len(known)


def test_refuses_labels_on_another_grid_and_unknown_ones(folder):
    made = segmenter(folder, structures={1: "dark part"})
    with pytest.raises(InputError, match="unknown classes 2"):
        made(volume(), AFFINE)
    changed(folder, lambda config: config["postprocessing"]["transforms"].pop(1))
    with pytest.raises(InputError, match=r"not on the volume's grid \(40, 34, 22\).*Invertd"):
        segmenter(folder)(volume(), AFFINE)


def test_refuses_what_is_no_hu(folder):
    with pytest.raises(InputError, match="not HU"):
        segmenter(folder)(volume() / 1000, AFFINE)
