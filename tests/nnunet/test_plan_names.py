from __future__ import annotations

from pathlib import Path

import pytest

from bundle.errors import InputError
from bundle.nnunet.plan_names import check_architecture, check_named_code
from bundle.torchvision_operators import ensure_torchvision

pytest.importorskip("nnunetv2")
ensure_torchvision()

SOURCE = Path("plans.json")
UNET = "dynamic_network_architectures.architectures.unet.PlainConvUNet"
ELSEWHERE = (
    "torch.nn.functional.torch.os.system",
    "dynamic_network_architectures.building_blocks.helper.torch.os.system",
    "dynamic_network_architectures.building_blocks.helper.torch.nn.Conv3d",
    "torch.nn.functional.importlib.import_module",
    "torch.nn.modules.conv.Conv3d.__init__",
    "torch.nn.functional.relu",
    "torch.nn.init.normal_",
    "torch.nn.Parameter",
    "torch.nn.Nothing",
    "torch.nn.",
    "torch.nnx.Conv3d",
    "torch.jit.ScriptModule",
    "os.system",
    "Conv3d",
    "",
    ["torch.nn.Conv3d"],
    7,
)


def architecture(imported=("conv_op", "nonlin"), network=UNET, **arguments) -> dict:
    layers = {"conv_op": "torch.nn.modules.conv.Conv3d", "nonlin": "torch.nn.LeakyReLU", "dropout_op": None}
    return {
        "network_class_name": network,
        "arch_kwargs": {"n_stages": 3, **layers, **arguments},
        "_kw_requires_import": list(imported),
    }


def test_names_become_those_of_the_classes_that_were_found():
    checked = check_architecture(architecture(), SOURCE)
    assert checked["network_class_name"] == UNET
    assert checked["arch_kwargs"]["conv_op"] == "torch.nn.modules.conv.Conv3d"
    assert checked["arch_kwargs"]["nonlin"] == "torch.nn.modules.activation.LeakyReLU"
    assert checked["arch_kwargs"]["dropout_op"] is None
    assert checked["arch_kwargs"]["n_stages"] == 3


def test_networks_that_moved_are_found_as_nnunet_finds_them():
    old = "dynamic_network_architectures.architectures.residual_unet.PlainConvUNet"
    assert check_architecture(architecture(network=old), SOURCE)["network_class_name"] == UNET


@pytest.mark.parametrize("name", ELSEWHERE)
def test_names_that_lead_elsewhere_are_refused(name):
    with pytest.raises(InputError, match=r"plans.json: names .*, which is not nnU-Net's"):
        check_architecture(architecture(nonlin=name), SOURCE)
    with pytest.raises(InputError, match=r"plans.json: names .*, which is not nnU-Net's"):
        check_architecture(architecture(network=name), SOURCE)


def test_layers_are_checked_that_the_plans_do_not_say_to_import():
    with pytest.raises(InputError, match=r"names os\.system"):
        check_architecture(architecture(imported=[], conv_op="os.system"), SOURCE)


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        (architecture(imported=["conv_op", "n_stages"]), "would have n_stages imported, which is no layer"),
        (architecture(imported=["norm_op"]), "describes no network"),
        (architecture(imported=[["conv_op"]]), "describes no network"),
        ({**architecture(), "_kw_requires_import": "conv_op"}, "describes no network"),
        ({**architecture(), "arch_kwargs": None}, "describes no network"),
        ({"network_class_name": UNET}, "describes no network"),
        (None, "describes no network"),
    ],
)
def test_damaged_architectures_are_refused(entries, told):
    with pytest.raises(InputError, match=f"plans.json: {told}"):
        check_architecture(entries, SOURCE)


PLANS = {"label_manager": "LabelManager"}
CONFIGURATION = {
    "preprocessor_name": "DefaultPreprocessor",
    "normalization_schemes": ["CTNormalization"],
    "resampling_fn_data": "resample_data_or_seg_to_shape",
    "resampling_fn_seg": "resample_data_or_seg_to_shape",
    "resampling_fn_probabilities": "resample_torch_fornnunet",
}


def test_nnunets_own_preprocessing_is_known():
    check_named_code(PLANS, CONFIGURATION, SOURCE)
    check_named_code({}, CONFIGURATION, SOURCE)  # plans of earlier versions name no label manager


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("preprocessor_name", "shutil"),  # imported by a module that nnU-Net searches
        ("preprocessor_name", "Nope"),
        ("normalization_schemes", ["np"]),
        ("normalization_schemes", ["ABC"]),
        ("normalization_schemes", []),
        ("normalization_schemes", None),
        ("resampling_fn_data", "nope"),
        ("resampling_fn_data", "deepcopy"),
        ("resampling_fn_seg", "OrderedDict"),
        ("resampling_fn_probabilities", None),
        ("label_manager", "nn"),
    ],
)
def test_other_code_is_refused(entry, value):
    plans = {**PLANS, entry: value} if entry in PLANS else PLANS
    configuration = {**CONFIGURATION, entry: value} if entry in CONFIGURATION else CONFIGURATION
    with pytest.raises(InputError, match=rf"plans\.json: has the {entry}"):
        check_named_code(plans, configuration, SOURCE)
