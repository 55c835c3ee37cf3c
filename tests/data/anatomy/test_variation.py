import pytest
import torch

from bundle.data.anatomy.canvas import Canvas
from bundle.data.anatomy.texture import add_textures, octave_texture, scanner_noise
from bundle.data.anatomy.tissues import MATERIALS, PHASES, TISSUES, draw_palette
from bundle.data.anatomy.variation import Draw, lattice_field
from bundle.errors import InputError


def axes(count, step, first=0.0):
    return [first + torch.arange(count) * step] * 3


def test_draws_follow_seed_and_name():
    assert Draw(1, "a").normal(0, 1) == Draw(1, "a").normal(0, 1)
    assert len({Draw(1, "a").uniform(0, 1), Draw(2, "a").uniform(0, 1), Draw(1, "b").uniform(0, 1)}) == 3
    first, second = Draw(1, "a"), Draw(1, "a")
    first.normal(0, 1)
    assert first.part("x").key() == second.part("x").key()
    assert Draw(-5, "a").key() == Draw(-5, "a").key()


def test_fields_have_unit_variance_and_do_not_depend_on_the_grid():
    field = lattice_field(axes(60, 4.0), 8.0, 7)
    assert float(field.mean()) == pytest.approx(0, abs=0.05)
    assert float(field.std()) == pytest.approx(1, abs=0.1)
    assert torch.allclose(field[::2, ::2, ::2], lattice_field(axes(30, 8.0), 8.0, 7), atol=1e-4)
    assert torch.allclose(field[20:, 20:, 20:], lattice_field(axes(40, 4.0, 80.0), 8.0, 7), atol=1e-4)
    other = lattice_field(axes(60, 4.0), 8.0, 8)
    assert abs(float((field * other).mean())) < 0.05


def test_octaves_have_a_falling_spectrum():
    texture = octave_texture(axes(64, 2.0), 2.0, (2.5, 5.0, 10.0, 20.0, 40.0), (1, 2, 3, 4, 5))
    power = torch.fft.fftn(texture).abs() ** 2
    low, high = power[2:5, 0, 0].mean(), power[20:30, 0, 0].mean()
    assert low > 50 * high


def test_textures_and_noise_fade_on_coarse_grids():
    spread = []
    for count, size in ((48, 2.0), (12, 8.0)):
        canvas = Canvas((count,) * 3, (size,) * 3)
        add_textures(canvas, Draw(3, "x"))
        spread.append((float(canvas.textures["tissue"].std()), float(scanner_noise(canvas, Draw(3, "y")).std())))
    assert spread[1][0] < spread[0][0]
    assert spread[1][1] < spread[0][1]


@pytest.mark.parametrize("phase", PHASES)
def test_palettes_keep_to_the_table(phase):
    for seed in range(40):
        palette = draw_palette(Draw(seed, "p"), phase)
        assert set(palette.paints) == {*TISSUES, *MATERIALS}
        for name, tissue in TISSUES.items():
            mean, spread = tissue.hu, tissue.between
            if phase in tissue.enhanced:
                mean, spread = tissue.enhanced[phase], tissue.enhanced_between
            assert abs(palette[name].hu - mean) < 2.6 * spread + 8
            assert tissue.limits[0] <= palette[name].hu <= tissue.limits[1]


def test_contrast_comes_in_its_order():
    hu = {phase: {name: TISSUES[name].enhanced.get(phase, TISSUES[name].hu) for name in TISSUES} for phase in PHASES}
    assert hu["arterial"]["blood"] > hu["portal"]["blood"] > hu["late"]["blood"] > hu["native"]["blood"]
    assert hu["portal"]["liver"] > hu["arterial"]["liver"] > hu["native"]["liver"]
    assert hu["arterial"]["kidney_cortex"] > hu["arterial"]["kidney_medulla"]
    assert hu["late"]["urine"] > hu["portal"]["urine"]


def test_every_tissue_names_its_source():
    assert all(tissue.source for tissue in (*TISSUES.values(), *MATERIALS.values()))


def test_unknown_phase_is_refused():
    with pytest.raises(InputError, match="phase"):
        draw_palette(Draw(0, "p"), "venous-ish")
