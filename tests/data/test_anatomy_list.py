from __future__ import annotations

import json
from collections import Counter

import pytest

from bundle.data.anatomy_list import AnatomyItems, anatomy_items
from bundle.errors import InputError

REAL = [
    {"case": "thorax", "image": "/a.nii", "group": "chest", "label": "/a_labels.nii"},
    *({"case": f"limb{n}", "image": f"/limb{n}.nii", "group": "limb", "weight": 1 + (n == 0)} for n in range(9)),
]
BOTH = {"chest": 3, "abdomen": 1, "pelvis": 0}


def test_items_do_not_depend_on_the_count():
    long, short = (anatomy_items(n, 5, BOTH, REAL) for n in (40, 10))
    assert long[:10] == short
    assert AnatomyItems(5, BOTH, REAL)[39] == long[39]
    assert anatomy_items(10, 6, BOTH, REAL) != short
    assert len({item["case"] for item in long}) == 40
    json.dumps(long)


def test_shares_weights_and_groups():
    items = anatomy_items(3000, 0, BOTH, REAL, real_share=0.4)
    sources = Counter(item["source"] for item in items)
    assert sources["real"] == pytest.approx(1200, rel=0.1)
    anatomies = Counter(item["anatomy"] for item in items if item["source"] == "procedural")
    assert set(anatomies) == {"chest", "abdomen"}
    assert anatomies["chest"] / anatomies["abdomen"] == pytest.approx(3, rel=0.2)
    images = Counter(item["image"] for item in items if item["source"] == "real")
    assert images["/a.nii"] == pytest.approx(600, rel=0.15)  # alone in its group
    assert images["/limb0.nii"] == pytest.approx(120, rel=0.35)  # twice the weight of eight others
    labelled = [item for item in items if item.get("image") == "/a.nii"]
    assert all(item["label"] == "/a_labels.nii" for item in labelled)
    assert all("label" not in item for item in items if item not in labelled)


def test_without_real_cases_all_are_procedural():
    assert {item["source"] for item in anatomy_items(20, 0, BOTH, real_share=0.5)} == {"procedural"}
    assert {item["source"] for item in anatomy_items(20, 0, {}, REAL, real_share=1.0)} == {"real"}


def test_names_tell_what_is_drawn():
    assert AnatomyItems(0, BOTH, REAL[:2]).names == ["chest: 3", "abdomen: 1", "thorax", "limb0"]


def test_a_data_sets_section(tmp_path, ct_file):
    listing = {"training": [{"image": ct_file.name, "group": "g", "weight": 2}], "test": []}
    (ct_file.parent / "dataset.json").write_text(json.dumps(listing))
    items = AnatomyItems(0, {}, dataset_dir=str(ct_file.parent), real_share=1.0)
    assert items[3]["image"] == str(ct_file)
    assert list(items.groups) == ["g"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"anatomies": {"tail": 1}}, "tail"),
        ({"anatomies": {"chest": -1}}, "weights of at least zero"),
        ({"anatomies": {}}, "no weight above zero"),
        ({"real_share": 1.5}, "share from 0 to 1"),
        ({"real": [{"image": "/a.nii", "weight": "x"}]}, "has the weight 'x'"),
        ({"real": [{"image": "/a.nii", "weight": 0}]}, "weight of zero"),
        ({"real": [{"case": "b"}]}, "without an image"),
    ],
)
def test_refusals(changes, message):
    with pytest.raises(InputError, match=message):
        AnatomyItems(**{"seed": 0, "anatomies": BOTH, **changes})
