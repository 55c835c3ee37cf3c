from __future__ import annotations

import subprocess
import sys

import pytest

from bundle.optional import require


def test_says_what_to_install():
    with pytest.raises(ImportError, match=r"drawing: needs the package nosuchpackage.*pip install nosuchpackage"):
        require("nosuchpackage.core", "nosuchpackage", "drawing")


def test_names_the_package_that_is_missing_itself(tmp_path, monkeypatch):
    (tmp_path / "present.py").write_text("import nosuchpackage.core\n")
    (tmp_path / "drawn.py").write_text("import yaml.nosuchmodule\n")
    (tmp_path / "broken.py").write_text("from json import nothing\n")
    monkeypatch.syspath_prepend(tmp_path)
    told = (
        r"drawing: needs the package nosuchpackage, which present imports\. Install it with: pip install nosuchpackage$"
    )
    with pytest.raises(ImportError, match=told):
        require("present", "present", "drawing")
    with pytest.raises(ImportError, match=r"needs the package pyyaml, which drawn imports.*pip install pyyaml$"):
        require("drawn", "drawn", "drawing")
    with pytest.raises(ImportError, match=r"needs the package broken \(it cannot be imported: cannot import name"):
        require("broken", "broken", "drawing")


def test_package_imports_with_the_required_packages_alone(in_root):
    """Everything optional is imported where it is used."""
    optional = ["scipy", "skimage", "matplotlib", "tensorboard", "tqdm", "itk", "pydicom", "lungmask", "nnunetv2"]
    optional += ["torchmetrics", "torchvision", "SimpleITK"]
    modules = [
        "networks",
        "losses",
        "engines",
        "handlers",
        "inferer",
        "metrics",
        "projector",
        "convert",
        "commands",
        "visual",
        "data.load_ct",
        "data.load_projections",
        "data.simulate",
        "data.sample_views",
        "data.sample_points",
        "data.datalist",
        "data.reconstruction_input",
        "simulation",
        "phantoms",
        "evaluation.run",
        "nnunet.segmenter",
        "report.write",
        "segmentation.catalogue",
        "segmentation.lungmask",
        "segmentation.monai_bundle",
        "segmentation.threshold_lungs",
        "torchvision_operators",
    ]
    code = (
        "import sys\n"
        "class Block:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] in {optional}: raise ImportError(name)\n"
        "sys.meta_path.insert(0, Block())\n"
        "import importlib\n"
        f"for m in {modules}: importlib.import_module('bundle.' + m)\n"
        "print('ok')"
    )
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)
    assert run.stdout.strip().endswith("ok"), run.stderr
