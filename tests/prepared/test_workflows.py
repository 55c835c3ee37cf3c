"""The configurations train on a prepared data set and evaluate with it, without being told that it is one."""

from __future__ import annotations

import pytest
import torch

from bundle.data.datalist import split_checksum
from bundle.data.load_ct import LoadCTd
from bundle.presets import load_preset
from bundle.tables import read_rows
from tests.prepared.sets import write_set
from tests.workflows import DEMO, TRAIN, refused, run, small, workflow

SECTIONS = {"training": ["a", "b"], "validation": ["c"], "test": ["d"]}


@pytest.fixture
def prepared(tmp_path):
    scan = load_preset("luna16", detector_shape=(16, 16), volume_shape=(16, 16, 16))
    return write_set(tmp_path / "set", scan, SECTIONS)


@pytest.fixture
def no_ct(monkeypatch):
    """Nothing may be read as a CT."""

    def fail(*_):
        raise AssertionError("a CT was read")

    monkeypatch.setattr(LoadCTd, "__call__", fail)


@pytest.mark.usefixtures("no_ct")
@pytest.mark.parametrize("changes", [{}, {"prepared_projections": False, "own_voxels": True}, {"hold_out_every": 4}])
def test_trains(tmp_path, prepared, changes):
    done = run([TRAIN, DEMO], **small(tmp_path, dataset_dir=str(prepared), cases_repeated=1, **changes))
    assert done.trainer.state.iteration == 1
    settings = done.parser.get_parsed_content("run_settings").settings
    assert settings["split"] == split_checksum(prepared)
    assert settings["cases"] == ["a", "b"]


@pytest.mark.usefixtures("no_ct")
def test_stored_and_simulated_projections_train_alike(tmp_path, prepared):
    """Beside the 16 bits of storage, it makes no difference where the projections come from.

    The network's inputs are compared, not its loss: where two codes are nearly as close, the 16 bits choose.
    """
    inputs = []
    for stored in (True, False):
        changes = {
            "dataset_dir": str(prepared),
            "cases_repeated": 1,
            "prepared_projections": stored,
            "own_voxels": True,
        }
        done = workflow([TRAIN, DEMO], **small(tmp_path / str(stored), **changes))
        inputs.append(keep_inputs(done.trainer))
        done.run()
        done.finalize()
    [(stored, target, _, arguments)], [(simulated, same_target, _, same_arguments)] = inputs
    torch.testing.assert_close(stored, simulated, rtol=0, atol=float(simulated.max()) / 65535)
    torch.testing.assert_close([target, *arguments.values()], [same_target, *same_arguments.values()])


def keep_inputs(trainer) -> list:
    """What a trainer's steps will be given: projections, target, and further arguments."""
    steps, prepare_batch = [], trainer.prepare_batch

    def prepare_and_keep(*args, **kwargs):
        steps.append(prepare_batch(*args, **kwargs))
        return steps[-1]

    trainer.prepare_batch = prepare_and_keep
    return steps


@pytest.mark.usefixtures("no_ct")
def test_evaluates_with_the_splits_checksum_in_every_row(tmp_path, prepared):
    settings = small(tmp_path, dataset_dir=str(prepared), cases_repeated=1)
    run([TRAIN, DEMO], **settings)
    evaluate = [TRAIN, "configs/evaluate.json", DEMO]
    run(evaluate, "evaluating", checkpoint=f"{settings['models_dir']}/pretrain.pt", denoise_blocks=0, **settings)
    for name in ("metrics.csv", "residuals.csv"):
        rows = read_rows(tmp_path / "out" / name)
        assert {row["case"] for row in rows} == {"d"}
        assert {row["split"] for row in rows} == {split_checksum(prepared)}
    assert (tmp_path / "out" / "d" / "d_6views.nii.gz").is_file()


def test_jitter_needs_projections_on_the_fly(tmp_path, prepared):
    jitter = {"_target_": "bundle.sampling.jitter.ScanJitter", "angle_deg": 1.0}
    changes = {"dataset_dir": str(prepared), "cases_repeated": 1, "jitter": jitter}
    with refused("jitter: is set, but case . has its projections already"):
        run([TRAIN, DEMO], **small(tmp_path / "a", **changes))
    run([TRAIN, DEMO], **small(tmp_path / "b", prepared_projections=False, own_voxels=True, **changes))


def test_another_preset_is_refused(tmp_path, prepared):
    prepared_for = workflow([TRAIN, DEMO], **small(tmp_path, dataset_dir=str(prepared), preset="knee"))
    with refused(r"was prepared with voxel_mm .* preset knee has"):
        prepared_for.run()
