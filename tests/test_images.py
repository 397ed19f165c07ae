"""Pictures as people bring them, and pictures as networks see them."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from interpret.errors import BadInput, UnknownName
from interpret.images import InputImage, Preprocess
from tests.conftest import encoded, noise_picture

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def read(data: bytes, name: str = "it.png") -> InputImage:
    return InputImage.from_bytes(data, name)


def ramp(height: int = 20, width: int = 30) -> np.ndarray:
    """A smooth picture, so that lossy formats stay near it: uint8 [height, width, 3]."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 200 // height + 20, columns * 200 // width + 20, 255 - rows * 6], 2).astype(np.uint8)


def quadrants() -> np.ndarray:
    """Four corners of four colours, wider than high: uint8 [16, 32, 3]."""
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:8, :16], pixels[:8, 16:], pixels[8:, :16] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    return pixels


# ---- what can be read ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "TIFF", "PPM"])
def test_lossless_formats_come_back_bit_for_bit(kind: str) -> None:
    image = read(encoded(quadrants(), kind))
    assert np.array_equal(image.pixels, quadrants())
    assert (image.height, image.width) == (16, 32)


@pytest.mark.parametrize(("kind", "options"), [("JPEG", {"quality": 95}), ("WEBP", {"lossless": True})])
def test_jpeg_and_webp_come_back_as_pillow_decodes_them(kind: str, options: dict[str, object]) -> None:
    data = encoded(ramp(), kind, **options)
    assert np.array_equal(read(data).pixels, np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
    assert np.abs(read(data).pixels.astype(int) - ramp()).max() < 25


def test_the_digest_is_of_the_bytes_and_pixels_are_read_only() -> None:
    data = encoded(ramp())
    image = read(data, "a name")
    assert image.digest == hashlib.sha256(data).hexdigest() and image.name == "a name"
    with pytest.raises(ValueError, match="read-only"):
        image.pixels[0, 0, 0] = 1


def test_from_array_copies_and_tells_shapes_apart() -> None:
    pixels = ramp()
    image = InputImage.from_array(pixels, "array")
    pixels[:] = 0
    assert image.pixels.any() and not image.pixels.flags.writeable
    flat = np.zeros((2, 8, 3), np.uint8)
    assert InputImage.from_array(flat, "").digest != InputImage.from_array(flat.reshape(4, 4, 3), "").digest
    for wrong in (np.zeros((2, 2), np.uint8), np.zeros((2, 2, 4), np.uint8), np.zeros((2, 2, 3), np.float32)):
        with pytest.raises(BadInput, match=r"must be uint8 \[height, width, 3\]; found"):
            InputImage.from_array(wrong, "wrong")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright(orientation: int) -> None:
    """The camera's note (EXIF orientation) is obeyed: stored so, every orientation shows the same picture."""
    turn = {
        1: [], 2: [Image.Transpose.FLIP_LEFT_RIGHT], 3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM], 5: [Image.Transpose.TRANSPOSE], 6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE], 8: [Image.Transpose.ROTATE_270],
    }  # fmt: skip
    stored = Image.fromarray(quadrants())
    for step in turn[orientation]:
        stored = stored.transpose(step)
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(read(encoded(stored, exif=exif)).pixels, quadrants())


def test_transparency_is_laid_over_white() -> None:
    rgba = np.zeros((3, 2, 4), np.uint8)
    rgba[..., 0] = 200
    rgba[0, :, 3], rgba[1, :, 3], rgba[2, :, 3] = 0, 128, 255
    pixels = read(encoded(rgba)).pixels
    assert (pixels[0] == 255).all()
    assert np.abs(pixels[1, 0].astype(int) - (227, 127, 127)).max() <= 1
    assert (pixels[2] == (200, 0, 0)).all()


def test_transparent_palettes_and_grey_with_alpha_are_laid_over_white() -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putdata([0, 1])
    pixels = read(encoded(palette, transparency=0)).pixels
    assert pixels[0].tolist() == [[255, 255, 255], [40, 50, 60]]
    grey = Image.fromarray(np.array([[[100, 0], [100, 255]]], np.uint8), "LA")
    assert read(encoded(grey)).pixels[0].tolist() == [[255] * 3, [100] * 3]


def test_cmyk_becomes_rgb() -> None:
    data = encoded(Image.fromarray(ramp()).convert("CMYK"), "JPEG", quality=95)
    assert Image.open(io.BytesIO(data)).mode == "CMYK"
    assert np.abs(read(data).pixels.astype(int) - ramp()).mean() < 5


@pytest.mark.parametrize("largest", [65535, 4000, 200])
def test_sixteen_bit_grey_keeps_its_top_eight_bits(largest: int) -> None:
    values = np.linspace(0, largest, 64).round().astype(np.uint16).reshape(8, 8)
    data = encoded(Image.fromarray(values))
    assert Image.open(io.BytesIO(data)).mode.startswith("I")
    expected = (values / 65535 * 255).round().astype(np.uint8)
    assert np.array_equal(read(data).pixels, np.repeat(expected[..., None], 3, 2))


@pytest.mark.parametrize("white", [1.0, 255.0, 65535.0])
def test_floating_point_pictures_are_not_black(white: float) -> None:
    values = np.linspace(0, white, 64, dtype=np.float32).reshape(8, 8)
    found = read(encoded(Image.fromarray(values), "TIFF")).pixels[..., 0]
    np.testing.assert_allclose(found, values / white * 255, atol=0.51)


def test_grey_and_black_and_white_become_rgb() -> None:
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    assert np.array_equal(read(encoded(grey)).pixels, np.repeat(grey[..., None], 3, 2))
    assert np.array_equal(read(encoded(Image.fromarray(grey > 20))).pixels[..., 0], (grey > 20) * np.uint8(255))


def test_the_first_frame_of_an_animation_is_taken() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "lime", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert Image.open(io.BytesIO(data)).n_frames == 3
    assert (read(data).pixels == (255, 0, 0)).all()


def test_a_broken_colour_profile_is_no_reason_to_refuse() -> None:
    assert np.array_equal(read(encoded(ramp(), icc_profile=b"not a profile")).pixels, ramp())


def swapped_profile() -> bytes:
    """An sRGB profile with the red and the green primary exchanged."""
    from PIL import ImageCms

    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack_from(">I", profile, 128)[0]
    places = {bytes(profile[at : at + 4]): at for at in range(132, 132 + 12 * count, 12)}
    red, green = places[b"rXYZ"], places[b"gXYZ"]
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    at, length = struct.unpack_from(">II", profile, places[b"desc"] + 4)
    profile[at : at + length] = bytes(profile[at : at + length]).replace(b"\0s\0R\0G\0B", b"\0o\0t\0h\0e")
    return bytes(profile)


def test_other_colour_spaces_are_converted_to_srgb() -> None:
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[..., 0] = 255
    found = read(encoded(pixels, icc_profile=swapped_profile())).pixels
    assert np.abs(found.astype(int) - (0, 255, 0)).max() <= 3


# ---- what cannot --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty \\(0 bytes\\)"),
        (b"once upon a time", "is not a picture Loupe can read. Use PNG, JPEG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is not a picture Loupe can read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not a picture Loupe can read"),
        (encoded(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))[:900], "is damaged or incomplete"),
        (encoded(ramp(64, 64), "JPEG")[:-200], "is damaged or incomplete"),
        (encoded(ramp(64, 64), "JPEG")[:30], "is (damaged|not a picture)"),
        (encoded(ramp(), "GIF")[:40], "is (damaged|not a picture)"),
    ],
    ids=["empty", "text", "SVG", "EPS", "PNG cut off", "JPEG cut off", "JPEG header", "GIF cut off"],
)
def test_files_that_are_no_pictures_are_refused_in_a_sentence(data: bytes, says: str) -> None:
    with pytest.raises(BadInput, match=f'"x.png" {says}') as caught:
        read(data, "x.png")
    assert "\n" not in str(caught.value)


def huge_png(width: int, height: int) -> bytes:
    """A small file that claims many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((width + 7) // 8 + 1) * min(height, 5000 if width < 8000 else 1))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [(8000, 5000), (9000, 9000), (20_000, 20_000), (500_000, 500_000)])
def test_forty_megapixels_or_more_are_refused_with_the_reason(side: tuple[int, int]) -> None:
    data = huge_png(*side)
    with pytest.raises(BadInput, match=r"megapixels; pictures must have fewer than 40. Scale it down first"):
        read(data)


def test_just_under_forty_megapixels_are_read() -> None:
    assert read(huge_png(7999, 5000)).pixels.shape == (5000, 7999, 3)


def test_files_of_64_mib_are_refused_before_they_are_read(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="64 MiB; pictures must be under 64 MiB"):
        read(bytes(64 * 2**20))
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(10 * 2**30)
    with pytest.raises(BadInput, match="10240 MiB; pictures must be under 64 MiB"):
        InputImage.from_path(tmp_path / "large.png")


def test_paths_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "none.png", tmp_path):
        with pytest.raises(BadInput, match="could not be read"):
            InputImage.from_path(path)
    (tmp_path / "here.png").write_bytes(encoded(ramp()))
    assert InputImage.from_path(str(tmp_path / "here.png")).name == "here.png"


# ---- what the network sees ----------------------------------------------------------------------------------------

SIZES = [(256, 256), (257, 400), (400, 257), (225, 225), (224, 301), (37, 91), (300, 33), (500, 375), (64, 65), (3, 5)]


@pytest.mark.parametrize("side", SIZES)
@pytest.mark.parametrize(
    ("resize", "crop", "interpolation"),
    [
        (256, 224, "bilinear"),
        (232, 224, "bicubic"),
        (256, 225, "bilinear"),
        (32, 32, "lanczos"),
        (71, 64, "nearest"),
        (100, 107, "bilinear"),
        (100, 105, "bilinear"),
        (50, 97, "bicubic"),
    ],
)
def test_it_equals_torchvision(side: tuple[int, int], resize: int, crop: int, interpolation: str) -> None:
    """Bit for bit what Resize, CenterCrop, ToTensor and Normalize make of the same PIL picture."""
    image = noise_picture(side[0], *side)
    filters = {
        "bilinear": InterpolationMode.BILINEAR, "bicubic": InterpolationMode.BICUBIC,
        "lanczos": InterpolationMode.LANCZOS, "nearest": InterpolationMode.NEAREST,
    }  # fmt: skip
    cut = transforms.Compose([transforms.Resize(resize, filters[interpolation]), transforms.CenterCrop(crop)])
    seen = cut(Image.fromarray(image.pixels))
    expected = transforms.Normalize(MEAN, STD)(transforms.ToTensor()(seen))
    steps = Preprocess((crop, crop), resize, interpolation)  # type: ignore[arg-type]
    assert np.array_equal(steps.seen(image), np.asarray(seen))
    batch = steps.to_batch(image)
    assert batch.shape == (1, 3, crop, crop) and batch.dtype == torch.float32
    assert torch.equal(batch[0], expected)


def test_without_a_resize_the_whole_picture_is_squashed() -> None:
    image = noise_picture(0, 50, 80)
    expected = np.asarray(Image.fromarray(image.pixels).resize((40, 30), Image.Resampling.BILINEAR))
    steps = Preprocess((30, 40), None)
    assert np.array_equal(steps.seen(image), expected)
    assert steps.crop_box(image) == (0, 0, 80, 50)


def test_a_picture_of_the_right_size_is_not_touched() -> None:
    image = noise_picture(0, 32, 32)
    assert np.array_equal(Preprocess((32, 32), 32).seen(image), image.pixels)


@pytest.mark.parametrize("side", SIZES[:8])
def test_the_crop_box_is_where_the_network_looks(side: tuple[int, int]) -> None:
    """A dot at a known place of the crop must lie in the box at the same fraction of it."""
    steps = Preprocess((64, 48), 80)
    height, width = side
    left, top, right, bottom = steps.crop_box(noise_picture(0, height, width))
    scale = min(height, width) / 80
    assert right - left == pytest.approx(48 * scale, rel=0.02) and bottom - top == pytest.approx(64 * scale, rel=0.02)
    assert (left + right) / 2 == pytest.approx(width / 2, abs=scale)
    assert (top + bottom) / 2 == pytest.approx(height / 2, abs=scale)
    rows, columns = np.mgrid[:height, :width]
    for across, values, low, high, extent in ((1, columns, left, right, width), (0, rows, top, bottom, height)):
        pixels = np.repeat((values / extent * 255)[..., None], 3, 2).astype(np.uint8)
        seen = steps.seen(InputImage.from_array(pixels, "ramp"))[..., 0].mean(1 - across)
        middle = (low + (high - low) * (np.arange(len(seen)) + 0.5) / len(seen)) / extent * 255
        np.testing.assert_allclose(seen[2:-2], middle[2:-2], atol=255 / extent + 2)


@pytest.mark.parametrize(
    ("channels", "reverse", "value_range"), [(1, False, 1), (3, True, 255), (3, False, 1), (5, True, 2)]
)
def test_planes_are_normalised_one_by_one_and_three_turned_round_for_bgr(
    channels: int, reverse: bool, value_range: float
) -> None:
    mean, std = tuple(0.1 * plane for plane in range(channels)), tuple(1.0 + plane for plane in range(channels))
    steps = Preprocess(
        (4, 6), 4, mean=mean, std=std, channels=channels, value_range=value_range, reverse_channels=reverse
    )
    planes = torch.rand(2, channels, 4, 6, generator=torch.Generator().manual_seed(0)).requires_grad_()
    found = steps.from_planes(planes)
    for plane in range(channels):
        source = channels - 1 - plane if reverse and channels == 3 else plane
        expected = (planes[:, source] * value_range - mean[plane]) / std[plane]
        torch.testing.assert_close(found[:, plane], expected)
    found.sum().backward()
    assert planes.grad is not None and (planes.grad > 0).all()
    if channels == 3:
        torch.testing.assert_close(steps.normalise(planes), found)


def test_normalise_is_the_last_step_of_to_batch_and_differentiable() -> None:
    image = noise_picture(3, 40, 60)
    for steps in (
        Preprocess((32, 32), 36),
        Preprocess((32, 32), 36, value_range=255.0, mean=(104.0, 117.0, 123.0), std=(1.0, 1.0, 1.0)),
        Preprocess((32, 32), 36, reverse_channels=True),
        Preprocess((32, 32), 36, channels=1, mean=(0.5,), std=(0.25,)),
    ):
        unit = torch.from_numpy(steps.seen(image).copy()).permute(2, 0, 1)[None].float() / 255
        assert torch.equal(steps.normalise(unit), steps.to_batch(image))
        unit.requires_grad_()
        steps.normalise(unit).sum().backward()
        assert unit.grad is not None and (unit.grad != 0).all()


def test_value_range_and_channel_order() -> None:
    red = InputImage.from_array(np.full((8, 8, 3), (255, 0, 0), np.uint8), "red")
    caffe = Preprocess((8, 8), 8, mean=(104.0, 117.0, 123.0), std=(1.0,) * 3, value_range=255.0, reverse_channels=True)
    assert caffe.to_batch(red)[0, :, 0, 0].tolist() == [-104.0, -117.0, 132.0]


def test_grey_networks_get_luma() -> None:
    image = noise_picture(5, 20, 20)
    steps = Preprocess((20, 20), 20, channels=1, mean=(0.0,), std=(1.0,))
    luma = np.asarray(Image.fromarray(image.pixels).convert("L"))
    assert steps.to_batch(image).shape == (1, 1, 20, 20)
    np.testing.assert_allclose(steps.to_batch(image)[0, 0] * 255, luma, atol=1e-3)
    assert np.array_equal(steps.seen(image), np.repeat(luma[..., None], 3, 2))


def test_very_long_pictures_do_not_eat_the_memory() -> None:
    for side in ((1, 30_000), (30_000, 1)):
        with pytest.raises(BadInput, match="too long and narrow"):
            Preprocess((224, 224), 256).to_batch(InputImage.from_array(np.zeros((*side, 3), np.uint8), "line"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": (0, 5)},
        {"size": (5000, 5)},
        {"resize": 0},
        {"resize": 10**9},
        {"mean": (0.5,)},
        {"std": (1.0, 1.0, 0.0)},
        {"std": (1.0, 1.0, float("nan"))},
        {"mean": (float("inf"), 0.0, 0.0)},
        {"interpolation": "psychic"},
    ],
)
def test_preprocessing_that_cannot_be(wrong: dict[str, object]) -> None:
    with pytest.raises((BadInput, UnknownName)):
        Preprocess(**({"size": (32, 32), "resize": 32} | wrong))  # type: ignore[arg-type]
