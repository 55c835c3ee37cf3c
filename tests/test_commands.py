from __future__ import annotations

import json
import sys

import nibabel as nib
import numpy as np
import pytest
import torch

from bundle.__main__ import main
from bundle.checkpoint import save_checkpoint
from bundle.data.projection_file import read_projections
from bundle.networks import DiCE
from bundle.presets import load_preset
from bundle.tables import read_rows
from tests.conftest import SMALL


def call(monkeypatch, *arguments) -> None:
    monkeypatch.setattr(sys, "argv", ["bundle", *map(str, arguments)])
    main()


def simulate(monkeypatch, ct, output, *more) -> None:
    call(
        monkeypatch,
        "simulate",
        "--source",
        ct,
        "--output",
        output,
        "--detector_shape",
        "[24,32]",
        "--volume_shape",
        "[20,18,16]",
        *more,
    )


def reconstruct(monkeypatch, source, output, model, *more) -> None:
    places = ("--source", source, "--output", output, "--checkpoint", model)
    call(monkeypatch, "reconstruct", *places, "--device", "cpu", *more)


def test_simulate_then_reconstruct(tmp_path, monkeypatch, ct, model):
    simulate(monkeypatch, ct, tmp_path / "scan.npz", "--num_views", 5)
    assert read_projections(tmp_path / "scan.npz").projections.shape == (5, 24, 32)
    for source, name, more in ((tmp_path / "scan.npz", "a", ()), (ct, "b", ("--num_views", 5))):
        reconstruct(monkeypatch, source, tmp_path / f"{name}.nii.gz", model, *more)
    from_file, from_ct = (nib.load(tmp_path / f"{name}.nii.gz") for name in "ab")
    # The CT is scanned with the preset's detector, whose pixels are averaged to the network's.
    assert np.abs(from_file.get_fdata() - from_ct.get_fdata()).mean() < 0.02 * np.ptp(from_ct.get_fdata())
    np.testing.assert_allclose(from_file.affine, from_ct.affine, atol=1e-3)


def test_dicom_output_is_the_nifti_output(tmp_path, monkeypatch, ct, model):
    """From the network and without one."""
    from monai.transforms import Orientation

    from bundle.data.ct_volume import read_ct

    simulate(monkeypatch, ct, tmp_path / "scan.npz", "--num_views", 5)
    for method, more in (("deepsparse", ("--checkpoint", model)), ("sart", ("--options", "{iterations: 2}"))):
        for output_format, name in (("nifti", f"{method}.nii.gz"), ("dicom", method)):
            places = ("--source", tmp_path / "scan.npz", "--output", tmp_path / name, "--output_format", output_format)
            call(monkeypatch, "reconstruct", "--method", method, *places, *more, "--device", "cpu")
        volumes = [
            Orientation("LPS", labels=None)(read_ct(tmp_path / name, check_hu=False))
            for name in (method, f"{method}.nii.gz")
        ]
        np.testing.assert_array_equal(*(np.asarray(volume) for volume in volumes))
        np.testing.assert_allclose(*(np.asarray(volume.affine) for volume in volumes), atol=1e-3)


def test_an_output_is_never_the_source(tmp_path, monkeypatch, capsys, ct):
    """By whatever spelling or link."""
    simulate(monkeypatch, ct, tmp_path / "scan.npz")
    (tmp_path / "soft.npz").symlink_to("scan.npz")
    (tmp_path / "hard.npz").hardlink_to(tmp_path / "scan.npz")
    (tmp_path / "slices").mkdir()
    (tmp_path / "slices" / "1.dcm").write_bytes(b"")
    before = {path: path.stat().st_size for path in tmp_path.rglob("*")}
    slices, fdk = tmp_path / "slices", ("reconstruct", "--method", "fdk", "--overwrite", "true")
    dicom = (*fdk, "--output_format", "dicom", "--output", slices)
    for words in (
        ("simulate", "--source", tmp_path / "soft.npz", "--output", tmp_path / "hard.npz", "--overwrite", "true"),
        ("simulate", "--source", ct, "--output", f"{tmp_path}/../{tmp_path.name}/ct.nii.gz", "--overwrite", "true"),
        (*fdk, "--source", ct, "--output", ct),
        (*dicom, "--source", slices),
        (*dicom, "--source", slices / "1.dcm"),
        ("export-scan", "--source", tmp_path / "scan.npz", "--geometry", tmp_path / "hard.npz", "--overwrite"),
        ("pack-training", "--source", slices, "--output", f"{slices}/."),
    ):
        with pytest.raises(SystemExit) as caught:
            call(monkeypatch, *words)
        assert caught.value.code == 1
        told = capsys.readouterr().err.strip()
        assert "is to be made of" in told or "Let it end in .npz" in told
    assert {path: path.stat().st_size for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("name", ["SCAN.NPZ", "scan#2.npz", "2021_0401.Npz", "[a].npz"])
def test_names_are_those_that_are_typed(tmp_path, monkeypatch, ct, name):
    monkeypatch.chdir(tmp_path)
    simulate(monkeypatch, ct, name)
    call(monkeypatch, "reconstruct", "--method", "fdk", "--source", name, "--output", f"{name}.NII.GZ")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["ct.nii.gz", name, f"{name}.NII.GZ"])
    assert nib.load(f"{name}.NII.GZ").shape == (20, 18, 16)


@pytest.mark.parametrize("through_file", [True, False])
@pytest.mark.parametrize("shape", [(20, 18, 16), (40, 36, 32)])
def test_reconstruction_lies_where_the_ct_lay(tmp_path, monkeypatch, phantom, ct, model, through_file, shape):
    """With an oracle for a network, the output shows the CT's values at the CT's places in the patient."""
    from bundle.networks.feature_sampling import sample_volume

    truth = torch.from_numpy(phantom)[None, None] * (2000 / 2024)  # 1000 HU in the preset's window
    monkeypatch.setattr(DiCE, "decode", lambda self, f, v, m, points, mask: sample_volume(truth, points, False))
    (tmp_path / "points.json").write_text('{"inferer_backend": "points"}')
    source = ct
    if through_file:
        simulate(monkeypatch, ct, tmp_path / "scan.npz")
        source = tmp_path / "scan.npz"
    options = ("--output_shape", list(shape), "--config", tmp_path / "points.json")
    reconstruct(monkeypatch, source, tmp_path / "out.nii.gz", model, *options)
    out, original = nib.load(tmp_path / "out.nii.gz"), nib.load(ct)
    assert out.shape == shape
    voxels = np.random.RandomState(0).randint(2, np.array(original.shape) - 2, (400, 3))
    world = nib.affines.apply_affine(original.affine, voxels)
    index = nib.affines.apply_affine(np.linalg.inv(out.affine), world)
    from scipy.ndimage import map_coordinates

    found = map_coordinates(out.get_fdata(), index.T, order=1, mode="nearest")
    expected = original.get_fdata()[tuple(voxels.T)]
    if shape == tuple(phantom.shape):
        assert np.abs(found - expected).max() < 12  # HU; a finer grid interpolates between voxels
    assert np.abs(found - expected).mean() < 40
    assert np.corrcoef(found, expected)[0, 1] > 0.98


def test_noise_is_an_option(tmp_path, monkeypatch, ct):
    for name, more in (("clean", ()), ("noisy", ("--photons", "1e4")), ("again", ("--photons", "1e4"))):
        simulate(monkeypatch, ct, tmp_path / f"{name}.npz", *more)
    clean, noisy, again = (read_projections(tmp_path / f"{n}.npz").projections for n in ("clean", "noisy", "again"))
    assert not np.array_equal(clean, noisy)
    np.testing.assert_array_equal(noisy, again)


def test_convert_command(tmp_path, monkeypatch, capsys):
    from tests.test_convert import published

    save_checkpoint(published("finetune"), tmp_path / "published.pth")
    call(monkeypatch, "convert", "--source", tmp_path / "published.pth", "--output", tmp_path / "converted.pt")
    assert "converted.json" in capsys.readouterr().out
    assert (tmp_path / "converted.pt").is_file()


def test_export_network_command(tmp_path, monkeypatch, capsys, model):
    """The weights and the configuration beside them, as the commands use them."""
    output = ("--output", tmp_path / "network.ts", "--checkpoint", model)
    call(monkeypatch, "export-network", *output)
    assert "network.ts: read back, 0.0% of its voxels differ" in capsys.readouterr().out
    network = DiCE(load_preset("luna16", (24, 32), (20, 18, 16)), **SMALL, quantizer={"codes": 16}).eval()
    network.load_state_dict(torch.load(model, weights_only=True))
    projections, files = torch.rand(1, 5, 24, 32), {"metadata.json": ""}
    with torch.no_grad():
        exported = torch.jit.load(tmp_path / "network.ts", _extra_files=files)
        torch.testing.assert_close(exported(projections), network(projections), atol=1e-5, rtol=0)
    metadata = json.loads(files["metadata.json"])
    assert metadata["scan"]["preset"] == "luna16"
    assert "not a medical device" in metadata["intended_use"]
    with pytest.raises(SystemExit):
        call(monkeypatch, "export-network", *output)
    assert "network.ts: exists already" in capsys.readouterr().err
    call(monkeypatch, "export-network", *output, "--overwrite", "true")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("simulate", "--source", "none.nii.gz", "--output", "{out}.npz"), "none.nii.gz: does not exist"),
        (("simulate", "--source", "{ct}", "--output", "{out}.npz", "--preset", "x"), "preset 'x': is not in"),
        (("simulate", "--source", "{ct}", "--output", "{out}.npz", "--num_views", "201"), "201"),
        (
            ("reconstruct", "--source", "{ct}", "--output", "{ct}", "--checkpoint", "{model}"),
            "which it is to be made of",
        ),
        (("simulate", "--source", "{ct}", "--output", "/dev/null/x.npz"), "/dev/null: cannot be made"),
        (("reconstruct", "--source", "{ct}", "--output", "{out}.nii.gz", "--checkpoint", "no.pt"), "no.pt: does not"),
        (
            ("reconstruct", "--source", "{ct}", "--output", "{out}.mha", "--checkpoint", "{model}"),
            "cannot be written",
        ),
        (("reconstruct", "--source", "{ct}", "--output", "{out}.nii.gz", "--config", "no.json"), "config no.json"),
        (("simulate", "--source", "{ct}", "--output", "{out}.npy"), "cannot be written"),
        (("convert", "--source", "{ct}", "--output", "{out}.pt"), "ct.nii.gz: "),
        (("export-network", "--output", "{out}.onnx", "--checkpoint", "{model}"), "Let it end in .ts"),
        (("export-network", "--output", "{out}.ts", "--format", "mnn"), "Use one of torchscript, onnx, pt2"),
        (("export-network", "--output", "{out}.ts", "--checkpoint", "no.pt"), "no.pt: does not exist"),
        (("export-network", "--output", "{model}", "--checkpoint", "{model}"), "Let it end in .ts"),
    ],
)
def test_bad_input_ends_with_one_message(tmp_path, monkeypatch, capsys, ct, model, arguments, message):
    before = sorted(path.name for path in tmp_path.iterdir())
    filled = [a.format(ct=ct, model=model, out=tmp_path / "out") for a in arguments]
    with pytest.raises(SystemExit) as caught:
        call(monkeypatch, *filled)
    assert caught.value.code == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_configuration_beside_the_default_weights_is_used(tmp_path, monkeypatch, ct, model):
    """README: convert to models/model.pt, then reconstruct without further arguments."""
    import shutil

    import bundle.commands
    import bundle.inference_files

    root = tmp_path / "root"
    shutil.copytree(bundle.commands.ROOT / "configs", root / "configs")
    (root / "models").mkdir()
    for suffix in (".pt", ".json"):
        shutil.copy(model.with_suffix(suffix), root / "models" / f"model{suffix}")
    monkeypatch.setattr(bundle.commands, "ROOT", root)
    monkeypatch.setattr(bundle.inference_files, "ROOT", root)
    call(monkeypatch, "reconstruct", "--source", ct, "--output", tmp_path / "out.nii.gz", "--device", "cpu")
    assert nib.load(tmp_path / "out.nii.gz").shape == (20, 18, 16)


def test_help_texts(monkeypatch, capsys):
    for verb in ("reconstruct", "simulate", "convert"):
        with pytest.raises(SystemExit) as caught:
            call(monkeypatch, verb, "--help")
        assert caught.value.code == 0
    assert "projection file" in capsys.readouterr().err


@pytest.mark.parametrize("method", ["fdk", "sart", "cgls", "tv"])
@pytest.mark.parametrize("through_file", [True, False])
def test_classical_reconstruction_lies_where_the_ct_lay(tmp_path, monkeypatch, ct, method, through_file):
    """Right HU at the right place in the patient, from a CT stored in another axis order."""
    from scipy.ndimage import map_coordinates

    shapes = tmp_path / "shapes.json"
    shapes.write_text(json.dumps({"detector_shape": [36, 40], "volume_shape": [20, 18, 16]}))
    quick = ["--options", "{iterations: 60}"] if method == "tv" else []
    places = [
        *quick,
        "--method",
        method,
        "--output",
        tmp_path / "out.nii.gz",
        "--residuals",
        tmp_path / "residuals.csv",
    ]
    if through_file:
        call(
            monkeypatch, "simulate", "--source", ct, "--output", tmp_path / "scan.npz", "--num_views", 60,
            "--detector_shape", "[36,40]", "--volume_shape", "[20,18,16]",
        )  # fmt: skip
        call(monkeypatch, "reconstruct", "--source", tmp_path / "scan.npz", *places)
    else:
        call(monkeypatch, "reconstruct", "--source", ct, "--num_views", 60, "--config", shapes, *places)
    out, original = nib.load(tmp_path / "out.nii.gz"), nib.load(ct)
    voxels = np.random.RandomState(0).randint(2, np.array(original.shape) - 2, (400, 3))
    index = nib.affines.apply_affine(np.linalg.inv(out.affine) @ original.affine, voxels)
    found = map_coordinates(out.get_fdata(), index.T, order=1, mode="nearest")
    expected = original.get_fdata()[tuple(voxels.T)]
    assert np.corrcoef(found, expected)[0, 1] > 0.93
    assert abs(np.mean(found - expected)) < 30  # HU
    mirrored = map_coordinates(out.get_fdata()[::-1], index.T, order=1, mode="nearest")
    assert np.abs(mirrored - expected).mean() > 1.3 * np.abs(found - expected).mean()
    rows = read_rows(tmp_path / "residuals.csv")
    assert [int(row["view"]) for row in rows] == list(range(60))
    assert max(float(row["relative"]) for row in rows) < 0.2


def test_measured_attenuation_is_reconstructed_in_hu(tmp_path, monkeypatch):
    """Water at the file's own attenuation is zero HU, whatever the preset."""
    from bundle.data.projection_file import ProjectionSet, write_projections
    from bundle.geometry import circular
    from bundle.phantoms import Ellipsoid, line_integrals

    angles = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    geometry = circular(angles, 800, 1200, (30, 60), (14.0, 7.0), (30, 28, 12), (8.0, 8.0, 12.0))
    water = [Ellipsoid((0.0, 0.0, 0.0), (90.0, 80.0, 900.0), 0.019)]
    data = ProjectionSet(
        line_integrals(water, geometry).astype(np.float32), geometry, "attenuation", mu_water_per_mm=0.019
    )
    write_projections(data, tmp_path / "scan.npz")
    call(
        monkeypatch, "reconstruct", "--source", tmp_path / "scan.npz", "--output", tmp_path / "out.nii.gz",
        "--method", "fdk", "--options", "{hann_cut: 0.9}",
    )  # fmt: skip
    hu = nib.load(tmp_path / "out.nii.gz").get_fdata()
    assert hu[12:18, 11:17, 4:8].mean() == pytest.approx(0, abs=15)
    assert hu[:2, :2].mean() == pytest.approx(-1000, abs=80)


def test_network_volume_is_refined_and_its_residuals_reported(tmp_path, monkeypatch, ct, model):
    reconstruct(monkeypatch, ct, tmp_path / "a.nii.gz", model, "--residuals", tmp_path / "a.csv")
    for name, more in (("b", ()), ("c", ("--photons", 1e5))):
        places = ("--residuals", tmp_path / f"{name}.csv", "--refine", "sart")
        reconstruct(monkeypatch, ct, tmp_path / f"{name}.nii.gz", model, *places, *more)
    plain, refined, stopped = (read_rows(tmp_path / f"{name}.csv") for name in "abc")
    means = [np.mean([float(row["relative"]) for row in rows]) for rows in (plain, refined, stopped)]
    assert means[1] < 0.5 * means[0]
    assert plain[0]["noise_ratio"] == refined[0]["noise_ratio"] == ""
    assert float(stopped[0]["noise_ratio"]) > 0
    volumes = [nib.load(tmp_path / f"{name}.nii.gz").get_fdata() for name in "ab"]
    assert volumes[1].min() >= -1000
    assert not np.array_equal(*volumes)


@pytest.mark.parametrize("method", ["deepsparse", "sart"])
def test_names_of_files_run_nothing(tmp_path, monkeypatch, ct, model, method):
    """What looks like an expression, a reference or a macro is a name."""
    monkeypatch.chdir(tmp_path)
    source = "$open('ran','w').nii.gz"
    (tmp_path / source).write_bytes(ct.read_bytes())
    weights = model.rename(tmp_path / "@ran%#1.pt")
    model.with_suffix(".json").rename(weights.with_suffix(".json"))
    output, residuals = tmp_path / "%out@1.nii.gz", tmp_path / "$1#.csv"
    places = ("--source", source, "--output", output.name, "--residuals", residuals.name, "--method", method)
    own = ("--checkpoint", weights.name) if method == "deepsparse" else ("--options", "{iterations: 1}")
    call(monkeypatch, "reconstruct", *places, *own, "--num_views", 5, "--preset", "luna16", "--device", "cpu")
    assert output.is_file()
    assert residuals.is_file()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--method", "art"), "method: is 'art'"),
        (("--method", "fdk", "--checkpoint", "x.pt"), "checkpoint: has no effect on fdk"),
        (("--method", "fdk", "--refine", "sart"), "refine: has no effect on fdk"),
        (("--engine", "rtk"), "engine: has no effect on deepsparse"),
        (("--photons", "1e5"), "photons: has no effect by itself"),
        (("--method", "sart", "--iterations", "5"), "--iterations: is no option of reconstruct"),
        (("--method", "sart", "--options", "{iterations: 2.5}"), "method sart iterations: is 2.5"),
        (("--method", "sart", "--options", "5"), "options: is 5"),
        (("--method", "sart", "--num_views", "six"), "num_views: is 'six'"),
        (("--method", "sart", "--device", "gpu"), "'gpu' is not available"),
        (("--method", "sart", "--options", "{steps: 3}"), "has no option steps"),
        (("--method", "sart", "--residuals", "x.txt"), "x.txt"),
        (("--method", "sart", "--num_views", "500"), "500"),
    ],
)
def test_options_without_effect_are_refused(tmp_path, monkeypatch, capsys, ct, more, message):
    with pytest.raises(SystemExit):
        call(monkeypatch, "reconstruct", "--source", ct, "--output", tmp_path / "out.nii.gz", *more)
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out.nii.gz").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"prior": {"_target_": "os.mkdir", "path": "ran"}}', "has an expression or a component as prior"),
        ("{\"preset\": \"$open('ran', 'w')\"}", "has an expression or a component as preset"),
        ("{\"run\": [\"$open('ran', 'w')\"]}", "sets run, which does not describe a network"),
        ('{"low_res": 8}', "sets low_res, which does not describe a network (is low_resolution meant?)"),
        ("[]", "is not a JSON object"),
        ("[" * 100_000, "is nested too deeply"),
    ],
)
def test_what_lies_beside_weights_runs_nothing(tmp_path, monkeypatch, capsys, ct, model, text, message):
    monkeypatch.chdir(tmp_path)
    model.with_suffix(".json").write_text(text)
    with pytest.raises(SystemExit):
        call(monkeypatch, "reconstruct", "--source", ct, "--output", "out.nii.gz", "--checkpoint", model)
    assert f"error: {model.with_suffix('.json')}: {message}" in capsys.readouterr().err
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "out.nii.gz").exists()
