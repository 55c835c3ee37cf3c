from __future__ import annotations

import gc
import os
import struct

import numpy as np
import pytest

from bundle.errors import InputError
from bundle.scanners import projection_images
from bundle.scanners.counts import counts_to_attenuation, elekta_counts
from bundle.scanners.projection_images import list_projection_files, read_projection_headers, read_projection_images
from tests.scanners.vendor_files import write_his, write_hnc, write_hnd, write_mha_stack, write_tiffs, write_xim

itk = pytest.importorskip("itk", reason="needs itk-rtk")
if not hasattr(itk, "RTK"):
    pytest.skip("needs itk-rtk", allow_module_level=True)

PIXEL_MM = (0.388, 0.776)  # (v, u)
WRITERS = {
    "hnd": lambda path, image: write_hnd(path, image, PIXEL_MM),
    "hnc": lambda path, image: write_hnc(path, image, PIXEL_MM),
    "xim": lambda path, image: write_xim(path, image, PIXEL_MM, {"KVNormChamber": 7, "Note": "a text"}),
    "his": write_his,
    "mha": write_mha_stack,
    "tif": lambda path, image: write_tiffs(path.parent, image[None], [path.name]),
}


@pytest.fixture
def stack() -> np.ndarray:
    """[view, v, u] uint16 counts, different in every pixel's neighbourhood, with jumps of all sizes."""
    counts = np.random.default_rng(5).integers(100, 140, (3, 9, 14))
    counts[:, 2, 3:] += 3000
    counts[:, 6:, 11] = 65535
    counts += np.array([0, 1, 2])[:, None, None]
    counts[:, 0, 0] = (1, 2, 65535)
    return counts.clip(0, 65535).astype(np.uint16)


def write(folder, ending: str, stack: np.ndarray) -> list:
    """One file a view, in an order that sorting names as text would not give."""
    files = [folder / f"view{number}.{ending}" for number in (2, 10, 100)]
    for path, image in zip(files, stack):
        WRITERS[ending](path, image)
    return files


def rtk_reader(files) -> tuple[np.ndarray, object]:
    """[view, v, u] values and image of RTK's own reader with line integrals switched off."""
    reader = itk.RTK.ProjectionsReader[itk.Image[itk.F, 3]].New()
    reader.SetFileNames([str(path) for path in files])
    reader.SetComputeLineIntegral(False)
    reader.Update()
    return itk.array_from_image(reader.GetOutput()), reader.GetOutput()


@pytest.mark.parametrize("ending", WRITERS)
def test_values_come_back_exactly(tmp_path, stack, ending):
    write(tmp_path, ending, stack)
    (tmp_path / "Frames.xml").write_text("<x/>")
    (tmp_path / f"._view3.{ending}").write_text("left by another system")
    images = read_projection_images(tmp_path)
    assert images.values.dtype == np.float32
    np.testing.assert_array_equal(images.values, stack)
    assert images.format == {"tif": "tiff"}.get(ending, ending)
    stated = PIXEL_MM if ending in ("hnd", "hnc", "xim") else None
    assert images.pixel_mm == (stated if stated is None else pytest.approx(stated, abs=1e-12))
    assert images.first_pixel_mm is None


def test_values_outlive_the_reader(tmp_path, stack):
    """They use ITK's memory, which must not go with its image."""
    write_mha_stack(tmp_path / "a.mha", np.tile(stack, (1, 40, 30)))
    part = read_projection_images(tmp_path).values[1, :9, :14]
    gc.collect()
    read_projection_images(tmp_path).values.copy().fill(7.0)
    np.testing.assert_array_equal(part, stack[1])


@pytest.mark.parametrize("ending", ["hnd", "hnc", "xim", "mha", "tif"])
def test_agrees_with_rtk_reader(tmp_path, stack, ending):
    """RTK turns no axis: its row index, which grows with v, is the file's; hence its values are ours, in place."""
    files = write(tmp_path, ending, stack)
    theirs, image = rtk_reader(files)
    ours = read_projection_images(files)
    np.testing.assert_array_equal(ours.values, theirs)
    if ours.pixel_mm:
        assert ours.pixel_mm == pytest.approx(tuple(image.GetSpacing())[1::-1])
        assert tuple(image.GetOrigin())[:2] == pytest.approx((-6.5 * PIXEL_MM[1], -4 * PIXEL_MM[0]))  # assumed centre


def test_rtk_reader_inverts_and_crops_elekta(tmp_path):
    stored = np.random.default_rng(1).integers(2, 65535, (2, 20, 20)).astype(np.uint16)
    stored[:, 9, 5:8] = (0, 1, 65535)
    files = [tmp_path / "1.his", tmp_path / "2.his"]
    for path, image in zip(files, stored):
        write_his(path, image)
    theirs, image = rtk_reader(files)
    np.testing.assert_array_equal(read_projection_images(files).values, stored)
    np.testing.assert_array_equal(theirs, elekta_counts(stored)[:, 4:-4, 4:-4])
    assert tuple(image.GetLargestPossibleRegion().GetIndex()) == (4, 4, 0)
    assert tuple(image.GetSpacing())[:2] == (409.6 / 20, 409.6 / 20)


def test_line_integrals_agree_with_rtk(tmp_path, stack):
    """RTK's ln((I0 - dark) / (counts - dark)) of the same file."""
    write_mha_stack(tmp_path / "a.mha", stack)
    reader = itk.RTK.ProjectionsReader[itk.Image[itk.F, 3]].New()
    reader.SetFileNames([str(tmp_path / "a.mha")])
    reader.SetI0(65535)
    reader.SetIDark(10)
    reader.Update()
    theirs = itk.array_from_image(reader.GetOutput())
    counted = stack > 20
    ours = counts_to_attenuation(stack, i0=65535, dark=10)
    assert counted.mean() > 0.98
    np.testing.assert_allclose(ours[counted], theirs[counted], atol=1e-5)


@pytest.mark.parametrize("shape", [(9, 14), (14, 9)])
def test_his_that_is_not_square(tmp_path, shape):
    """RTK swaps the sides."""
    stored = np.arange(9 * 14, dtype=np.uint16).reshape(shape)
    write_his(tmp_path / "1.his", stored)
    np.testing.assert_array_equal(read_projection_images(tmp_path / "1.his").values, stored[None])
    theirs = itk.imread(str(tmp_path / "1.his"), itk.F, imageio=itk.RTK.HisImageIO.New())
    assert itk.array_from_image(theirs).shape == shape[::-1]


@pytest.mark.parametrize(("ending", "shape"), [("hnd", (9, 14)), ("xim", (9, 14)), ("hnd", (4, 7)), ("xim", (4, 7))])
def test_compression_with_counts_beyond_16_bits(tmp_path, ending, shape):
    """The last group of differences is full for one of the shapes, and one short for the other."""
    image = np.random.default_rng(2).integers(0, 2**24, shape)
    image[1:3, 2:5] = 17
    image[-1, -1] = 123456
    WRITERS[ending](tmp_path / f"1.{ending}", image)
    np.testing.assert_array_equal(read_projection_images(tmp_path / f"1.{ending}").values, image[None])


@pytest.mark.parametrize("ending", ["hnd", "xim"])
def test_negative_counts_are_refused(tmp_path, stack, ending):
    """Decoded as unsigned they would be about 4.29e9."""
    files = write(tmp_path, ending, stack)
    WRITERS[ending](files[1], stack[1].astype(np.int64) - 120)
    with pytest.raises(InputError, match=f"view10.{ending}: holds negative counts"):
        read_projection_images(files)


def test_list_keeps_its_order_and_folder_sorts_by_number(tmp_path, stack):
    files = write(tmp_path, "hnc", stack)
    assert list_projection_files(tmp_path) == ("hnc", files)
    turned = read_projection_images(files[::-1])
    np.testing.assert_array_equal(turned.values, stack[::-1])


def test_upper_case_ending(tmp_path, stack):
    write_his(tmp_path / "A.HIS", stack[0])
    np.testing.assert_array_equal(read_projection_images(tmp_path).values, stack[:1])


def test_xim_entries_of_all_types(tmp_path, stack):
    extra = {"PixelHeightNote": "none", "Axes": np.array([1.5, 2.5]), "Counts": np.array([1, 2], dtype=np.int32)}
    write_xim(tmp_path / "1.xim", stack[0], PIXEL_MM, extra)
    assert read_projection_images(tmp_path).pixel_mm == pytest.approx(PIXEL_MM)


def test_varian_files_without_pixel_size_are_refused(tmp_path, stack):
    write_xim(tmp_path / "1.xim", stack[0], None, {"KVSourceRtn": 12.5})
    write_hnd(tmp_path / "1.hnd", stack[0], (0.0, 0.0))
    for name in ("1.xim", "1.hnd"):
        with pytest.raises(InputError, match=f"{name}: states no pixel size"):
            read_projection_images(tmp_path / name)


@pytest.mark.parametrize("ending", ["mha", "mhd"])
@pytest.mark.parametrize("kind", ["u1", "u2", "i2", "u4", "f4", "f8"])
def test_stack(tmp_path, stack, kind, ending):
    values = (stack % 120).astype(kind) - (60 if kind in ("i2", "f4", "f8") else 0) * np.ones(1, kind)
    path = tmp_path / f"stack.{ending}"
    write_mha_stack(path, values, ElementSpacing="0.4 0.3 1", Offset="-3.5 2.25 0", TransformMatrix="1 0 0 0 1 0 0 0 1")
    images = read_projection_images(path)
    np.testing.assert_array_equal(images.values, values)
    assert (images.pixel_mm, images.first_pixel_mm) == ((0.3, 0.4), (2.25, -3.5))


@pytest.mark.parametrize("where", ["../secret.raw", "{}/secret.raw", "LIST"])
def test_headers_that_lead_out_of_their_folder_are_refused(tmp_path, stack, where):
    folder = tmp_path / "scan"
    folder.mkdir()
    write_mha_stack(folder / "a.mhd", stack)
    (folder / "a.raw").rename(tmp_path / "secret.raw")
    text = (folder / "a.mhd").read_text()
    (folder / "a.mhd").write_text(text.replace("a.raw", where.format(tmp_path)))
    told = "in several files" if where == "LIST" else "outside its folder"
    for read in (read_projection_images, read_projection_headers):
        with pytest.raises(InputError, match=rf"a\.mhd: .*{told}"):
            read(folder)


def test_stack_that_itk_wrote(tmp_path, stack):
    image = itk.image_from_array(stack)
    image.SetSpacing([0.5, 0.25, 1.0])
    image.SetOrigin([1.0, 2.0, 0.0])
    itk.imwrite(image, str(tmp_path / "stack.mha"), compression=True)
    images = read_projection_images(tmp_path)
    np.testing.assert_array_equal(images.values, stack)
    assert (images.pixel_mm, images.first_pixel_mm) == ((0.25, 0.5), (2.0, 1.0))


def test_turned_stack_is_refused(tmp_path, stack):
    write_mha_stack(tmp_path / "a.mha", stack, TransformMatrix="1 0 0 0 -1 0 0 0 1")
    with pytest.raises(InputError, match=r"a.mha: turns its axes .*identity"):
        read_projection_images(tmp_path)


@pytest.mark.parametrize(
    ("resolution", "unit", "pixel_mm"),
    [
        ((1 / 0.0127, 1 / 0.0254), "CENTIMETER", (0.254, 0.127)),
        ((25.4 / 0.2, 25.4 / 0.4), "INCH", (0.4, 0.2)),
        ((72, 72), "INCH", None),
        ((28.346457, 28.346457), "CENTIMETER", None),  # 72 dpi
        ((5, 7), "NONE", None),
    ],
)
def test_tiff_resolution(tmp_path, stack, resolution, unit, pixel_mm):
    files = write_tiffs(tmp_path, stack, ["a.tif", "b.tif", "c.tif"], resolution=resolution, resolutionunit=unit)
    images = read_projection_images(files)
    np.testing.assert_array_equal(images.values, stack)
    assert images.pixel_mm == (None if pixel_mm is None else pytest.approx(pixel_mm, rel=1e-6))


@pytest.mark.parametrize(
    "options",
    [
        {"bigtiff": True},
        {"byteorder": ">"},
        {"compression": "zlib"},
        {"photometric": "miniswhite"},
        {"rowsperstrip": 2},
    ],
    ids=str,
)
def test_tiff_of_many_pages_and_kinds(tmp_path, stack, options):
    (path,) = write_tiffs(tmp_path, stack[None], ["stack.tiff"], **({"photometric": "minisblack"} | options))
    images = read_projection_images(path)
    np.testing.assert_array_equal(images.values, stack)
    assert images.format == "tiff"


@pytest.mark.parametrize("kind", ["u1", "i2", "u4", "i4", "f4"])
def test_tiff_number_types(tmp_path, stack, kind):
    values = (stack % 101).astype(kind)
    files = write_tiffs(tmp_path, values, ["a.tif", "b.tif", "c.tif"])
    np.testing.assert_array_equal(read_projection_images(files).values, values)


@pytest.mark.parametrize(
    ("kind", "options", "problem"),
    [
        ("u2", {"extratags": [(274, "H", 1, 4, True)]}, "turned orientation"),
        ("u2", {"tile": (16, 16)}, "tiles"),
        ("f2", {}, "floating numbers of another size"),
        ("f8", {}, "floating numbers of another size"),
        ("i8", {}, "another size than 8, 16 or 32"),
        ("u1", {"photometric": "palette", "colormap": np.arange(768, dtype=np.uint16).reshape(3, 256)}, "colours"),
    ],
)
def test_tiffs_that_itk_would_change_are_refused(tmp_path, stack, kind, options, problem):
    write_tiffs(tmp_path, (stack[:1] % 200).astype(kind), ["a.tif"], **options)
    with pytest.raises(InputError, match=f"a.tif: has .*{problem}.* plain grey"):
        read_projection_images(tmp_path)


def test_colours_are_refused(tmp_path, stack):
    colours = np.stack([stack] * 3, axis=-1).astype(np.uint8)
    write_tiffs(tmp_path, colours[:1], ["a.tif"], photometric="rgb")
    with pytest.raises(InputError, match="more than one channel"):
        read_projection_images(tmp_path)
    write_mha_stack(tmp_path / "b.mha", stack, ElementNumberOfChannels="3")
    with pytest.raises(InputError, match="more than one channel"):
        read_projection_images(tmp_path / "b.mha")


@pytest.mark.parametrize("ending", WRITERS)
def test_empty_file_is_refused(tmp_path, stack, ending):
    files = write(tmp_path, ending, stack)
    files[1].write_bytes(b"")
    with pytest.raises(InputError, match=f"view10.{ending}: is empty. Copy it again"):
        read_projection_images(files)


@pytest.mark.parametrize("ending", WRITERS)
@pytest.mark.parametrize("kept", [0.97, 0.5, 0.03])
def test_cut_file_is_refused(tmp_path, stack, ending, kept):
    files = write(tmp_path, ending, stack)
    content = files[1].read_bytes()
    files[1].write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(InputError, match=f"view10.{ending}: .*(Copy it|copy or download it) again"):
        read_projection_images(files)


@pytest.mark.parametrize("ending", WRITERS)
def test_nonsense_is_refused(tmp_path, stack, ending):
    files = write(tmp_path, ending, stack)
    files[2].write_bytes(np.random.default_rng(3).bytes(5000))
    with pytest.raises(InputError, match=f"view100.{ending}"):
        read_projection_images(files)


def test_damaged_compressed_stack_is_refused(tmp_path, stack):
    """ITK gives arbitrary pixels for one and says nothing."""
    path = tmp_path / "stack.mha"
    itk.imwrite(itk.image_from_array(stack), str(path), compression=True)
    content = bytearray(path.read_bytes())
    content[-100] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match="is damaged"):
        read_projection_images(path)


def test_damaged_table_is_refused(tmp_path, stack):
    """RTK would write beyond the image's memory, or decode noise."""
    write_xim(tmp_path / "1.xim", stack[0], PIXEL_MM)
    content = bytearray((tmp_path / "1.xim").read_bytes())
    content[36] = 0xFF
    (tmp_path / "1.xim").write_bytes(content)
    with pytest.raises(InputError, match="length that does not exist"):
        read_projection_images(tmp_path)
    content[32:36] = (10**6).to_bytes(4, "little")
    (tmp_path / "1.xim").write_bytes(content)
    with pytest.raises(InputError, match="a table of 1000000 bytes"):
        read_projection_images(tmp_path)


def test_kinds_of_vendor_files_that_rtk_misreads_are_refused(tmp_path, stack):
    write_xim(tmp_path / "a.xim", stack[0], PIXEL_MM, compressed=False)
    write_his(tmp_path / "b.his", stack[0], frames=2)
    write_his(tmp_path / "c.his", stack[0], numbers=128)
    write_hnd(tmp_path / "d.hnd", stack[0][:, :7][:4, :6], PIXEL_MM)
    for name, problem in (
        ("a.xim", "is not compressed"),
        ("b.his", "holds 2 frames"),
        ("c.his", "of the kind 128"),
        ("d.hnd", "groups of four"),
    ):
        with pytest.raises(InputError, match=f"{name}: .*{problem}"):
            read_projection_images(tmp_path / name)


def test_files_that_disagree_are_refused(tmp_path, stack):
    files = write(tmp_path, "hnc", stack)
    write_hnc(files[1], stack[1], (0.388, 0.388))
    with pytest.raises(InputError, match=r"view10.hnc: has pixel sizes in mm .*0.388, 0.388.*view2.hnc has"):
        read_projection_images(files)
    write_hnc(files[1], stack[1].T, PIXEL_MM)
    with pytest.raises(InputError, match=r"view10.hnc: has pixels \(v, u\) \(14, 9\) where .*view2.hnc has \(9, 14\)"):
        read_projection_images(tmp_path)


def test_several_stacks_are_refused(tmp_path, stack):
    write_mha_stack(tmp_path / "a.mha", stack)
    write_mha_stack(tmp_path / "b.mha", stack)
    with pytest.raises(InputError, match=r"a.mha: holds 3 views. Give one stack alone"):
        read_projection_images(tmp_path)


def test_what_is_not_there_is_refused(tmp_path, stack):
    with pytest.raises(InputError, match=r"gone.hnd: does not exist"):
        read_projection_images(tmp_path / "gone.hnd")
    with pytest.raises(InputError, match=r"has no projection images. Give a folder with files that end in .hnd"):
        read_projection_images(tmp_path)
    with pytest.raises(InputError, match=r"projections: has no projection images. Name at least one"):
        read_projection_images([])
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(InputError, match=r"a.png: is of no supported format"):
        read_projection_images(tmp_path / "a.png")
    write(tmp_path, "hnc", stack)
    write(tmp_path, "his", stack)
    with pytest.raises(InputError, match="several formats: his, hnc"):
        read_projection_images(tmp_path)


def test_missing_rtk_is_named(tmp_path, stack, monkeypatch):
    write_his(tmp_path / "1.his", stack[0])
    monkeypatch.setattr(projection_images, "require", lambda module, package, purpose: _only_itk(module, package))
    with pytest.raises(ImportError, match="itk-rtk"):
        read_projection_images(tmp_path)


def _only_itk(module: str, package: str):
    if module == "itk":
        return object()
    raise ImportError(f"pip install {package}")


def set_tag(path, tag: int, number: int) -> None:
    """Changes the number in every entry of a tag (of 16 or 32 bits, alone in its entry)."""
    content = bytearray(path.read_bytes())
    (start,) = struct.unpack_from("<I", content, 4)
    while start:
        (count,) = struct.unpack_from("<H", content, start)
        for position in range(start + 2, start + 2 + 12 * count, 12):
            if struct.unpack_from("<H", content, position)[0] == tag:
                struct.pack_into("<HI", content, position + 2, 4, 1)
                struct.pack_into("<I", content, position + 8, number)
        (start,) = struct.unpack_from("<I", content, start + 2 + 12 * count)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("tag", "number", "problem"),
    [
        (257, 10, "252 bytes where 280 are needed"),
        (258, 32, "252 bytes where 504 are needed"),
        (273, 10**6, r"\d+ bytes where 1000252 are needed"),
        (279, 251, "251 bytes where 252 are needed"),
        (273, 2**32 - 1, "are needed"),
    ],
    ids=["more rows", "wider numbers", "pixels beyond the end", "fewer bytes", "far beyond"],
)
def test_tiffs_whose_sizes_disagree_are_refused(tmp_path, stack, tag, number, problem):
    write_tiffs(tmp_path, stack[:1], ["a.tif"])
    set_tag(tmp_path / "a.tif", tag, number)
    with pytest.raises(InputError, match=f"a.tif: is damaged or no tiff image .*{problem}"):
        read_projection_images(tmp_path)


def test_pixels_that_would_fill_the_memory_are_refused(tmp_path, stack):
    write_tiffs(tmp_path, stack[:1], ["a.tif"], compression="zlib")
    for tag in (256, 257):
        set_tag(tmp_path / "a.tif", tag, 50_000)
    with pytest.raises(InputError, match=r"a.tif: .* announces 5 GB of pixels in \d+ bytes"):
        read_projection_headers(tmp_path)
    path = tmp_path / "b.mha"
    itk.imwrite(itk.image_from_array(stack), str(path), compression=True)
    path.write_bytes(path.read_bytes().replace(b"DimSize = 14 9 3", b"DimSize = 14000 90000 3"))
    with pytest.raises(InputError, match=r"b.mha: .* announces 7.56 GB of pixels in \d+ bytes"):
        read_projection_headers(path)


def test_devices_and_pipes_are_refused(tmp_path):
    os.mkfifo(tmp_path / "a.tif")
    (tmp_path / "b.tif").symlink_to("/dev/zero")
    for path in (tmp_path / "a.tif", tmp_path / "b.tif"):
        with pytest.raises(InputError, match="does not exist, or is no file"):
            read_projection_images(path)
    with pytest.raises(InputError, match="has no projection images"):
        read_projection_images(tmp_path)


def test_views_named_by_their_angles_come_in_order(tmp_path, stack):
    write_tiffs(tmp_path, stack, ["angle_-180.0.tif", "angle_-30.0.tif", "angle_0.25.tif"])
    np.testing.assert_array_equal(read_projection_images(tmp_path).values, stack)
