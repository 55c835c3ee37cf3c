"""The weights that are shipped: recorded, and better than classical methods on a chest that they never saw."""

from __future__ import annotations

import hashlib
import json

import torch
from monai.bundle import ConfigParser

from bundle.checkpoint import load_network
from bundle.checksums import file_sha256
from bundle.classical import FDK, SART, DataConsistency
from bundle.geometry_rows import unpack_geometry
from bundle.metrics import psnr
from bundle.physics.attenuation import normalised_to_unit_integral
from tests.conftest import ROOT

MARGIN_DB = 2.5
"""Over SART; less than was measured (docs/evaluation.md), since processors round differently."""


def known_then(cases: list[dict]) -> list[dict]:
    """The cases that were listed when the weights were trained."""
    return [case for case in cases if "since" not in case]


def test_record_is_of_these_files():
    record = json.loads((ROOT / "docs" / "training.json").read_text())
    for name, about in record["weights"].items():
        path = ROOT / "models" / name
        assert (path.stat().st_size, file_sha256(path)) == (about["bytes"], about["sha256"]), name
    listing = json.loads((ROOT / "docs" / "real_cts.json").read_text())
    then = {**listing, "cases": known_then(listing["cases"])}
    digest = hashlib.sha256(json.dumps(then, indent=1).encode()).hexdigest()
    assert record["real_cts"]["sha256"] == digest
    assert list(record["stages"]) == ["pretrain", "finetune_step1", "finetune_step2"]


def test_sample_and_test_cases_were_not_trained_on():
    """No real CT of a training stage is one that is measured with."""
    stages = json.loads((ROOT / "docs" / "training.json").read_text())["stages"].values()
    trained = {case for stage in stages for case in stage["settings"]["cases"]}
    cases = json.loads((ROOT / "docs" / "real_cts.json").read_text())["cases"]

    def names(listed: list[dict], section: str) -> set[str]:
        return {case["image"].split("/")[-1].removesuffix(".nii.gz") for case in listed if case["section"] == section}

    assert names(known_then(cases), "training") <= trained
    by_section = {section: names(cases, section) for section in ("training", "validation", "test")}
    assert not trained & (by_section["validation"] | by_section["test"])
    assert "chest_lidc0001" in by_section["test"]  # which the sample is made of


def test_reconstructs_an_unseen_chest_better_than_classical_methods():
    parser = ConfigParser()
    parser.read_config(str(ROOT / "configs" / "inference.json"))
    parser.update({"bundle_root": str(ROOT), "num_views": 6, "device": torch.device("cpu")})
    transform = parser.get_parsed_content("reader")
    source = parser.get_parsed_content("source")
    item = transform({"image": source})
    truth = transform.ct_transforms({"image": source})["image"][0].numpy()
    network = load_network(parser.get_parsed_content("network_def"), parser.get_parsed_content("checkpoint")).eval()
    projections = normalised_to_unit_integral(item["image"])[None]
    geometry = unpack_geometry(item["geometry"]).with_volume(truth.shape)
    volume = parser.get_parsed_content("inferer")(item["image"][None], network, item["matrices"][None])
    reconstructions = {
        "network": volume,
        "refined": DataConsistency()(projections, geometry, volume),
        "sart": SART(iterations=10)(projections, geometry),
        "fdk": FDK(hann_cut=0.5)(projections, geometry),
        "prior": network.prior(item["image"][None], item["matrices"][None], None),
    }
    found = {name: psnr(made[0, 0].clamp(0, 1).numpy(), truth, 1.0) for name, made in reconstructions.items()}
    assert found["network"] > found["sart"] + MARGIN_DB
    assert found["network"] > found["fdk"] + 5
    assert found["network"] > found["prior"]
    assert found["refined"] > found["network"]
