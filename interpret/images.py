"""Pictures as people bring them, and pictures as a network sees them."""

from __future__ import annotations

import hashlib
import io
import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from interpret.errors import BadInput, unknown
from interpret.limits import Limits, limits

if TYPE_CHECKING:  # processes that decode pictures do without torch
    import torch

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
MAX_PIXELS = Limits.pixels
MAX_BYTES = 64 * 2**20

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]
_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True, eq=False)
class InputImage:
    """A picture: upright, sRGB, opaque (transparency is laid over white), never changed.

    Attributes:
        name: the file's name, for people; it is untrusted text.
        digest: SHA-256 of the bytes it was read from, in hex.
        pixels: uint8 [height, width, 3], read-only.
    """

    name: str
    digest: str
    pixels: NDArray[np.uint8]

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @staticmethod
    def from_bytes(data: bytes, name: str) -> InputImage:
        """The picture in the bytes of a PNG, JPEG, WebP, BMP, GIF (first frame), TIFF or PPM file.

        Raises:
            BadInput: empty, no picture, truncated, 64 MiB or more, or as many pixels as `Limits.pixels`.
        """
        if not data:
            raise BadInput(f'"{name}" is empty (0 bytes). Choose another picture.')
        if len(data) >= MAX_BYTES:
            raise BadInput(f'"{name}" has {len(data) / 2**20:.0f} MiB; pictures must be under 64 MiB.')
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
                    width, height = picture.size
                    if width * height >= limits().pixels:
                        raise BadInput(
                            f'"{name}" has {width} x {height} = {round(width * height / 1e6, 1):,g} megapixels; '
                            f"pictures must have fewer than {limits().pixels / 1e6:,g}. Scale it down first."
                        )
                    picture.load()
                    pixels = np.asarray(_upright_srgb(picture)).copy()
        except BadInput:
            raise
        except Image.DecompressionBombError:  # Pillow's own limit, met before the size can be asked for
            raise BadInput(
                f'"{name}" has over a hundred megapixels; pictures must have fewer than {limits().pixels / 1e6:,g}. '
                "Scale it down first."
            ) from None
        except UnidentifiedImageError:
            raise BadInput(f'"{name}" is not a picture Loupe can read. Use {", ".join(FORMATS)}.') from None
        except Exception as error:  # Pillow's decoders raise many kinds on broken data
            raise BadInput(f'"{name}" is damaged or incomplete and could not be decoded.') from error
        pixels.flags.writeable = False
        return InputImage(name, hashlib.sha256(data).hexdigest(), pixels)

    @staticmethod
    def from_path(path: str | Path) -> InputImage:
        """The picture in a file.

        Raises:
            BadInput: the file cannot be read or is no usable picture.
        """
        return InputImage.from_bytes(*picture_file(Path(path)))

    @staticmethod
    def from_array(pixels: NDArray[np.uint8], name: str) -> InputImage:
        """A picture from uint8 [height, width, 3]; its digest is that of the shape and the pixels."""
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
            raise BadInput(f"Pixels must be uint8 [height, width, 3]; found {pixels.dtype} {list(pixels.shape)}.")
        fixed = np.ascontiguousarray(pixels).copy()
        fixed.flags.writeable = False
        digest = hashlib.sha256(repr(fixed.shape).encode() + fixed.tobytes()).hexdigest()
        return InputImage(name, digest, fixed)


def picture_file(path: Path) -> tuple[bytes, str]:
    """The bytes and the name of a file that may hold a picture.

    Raises:
        BadInput: the file cannot be read, or is too large for a picture.
    """
    try:
        if path.stat().st_size >= MAX_BYTES:
            raise BadInput(f'"{path.name}" has {path.stat().st_size / 2**20:.0f} MiB; pictures must be under 64 MiB.')
        return path.read_bytes(), path.name
    except OSError as error:
        raise BadInput(f'Picture "{path}" could not be read: {error.strerror or error}.') from None


def _upright_srgb(picture: Image.Image) -> Image.Image:
    upright = ImageOps.exif_transpose(picture)
    if upright.mode.startswith(("I", "F")):
        values = np.asarray(upright, dtype=np.float64)
        largest = values.max(initial=0.0)
        if upright.mode.startswith("I;16") or largest > 255:
            limit = 65535.0
        else:
            limit = 1.0 if upright.mode == "F" and largest <= 1 else 255.0
        upright = Image.fromarray((np.clip(values / limit, 0, 1) * 255).round().astype(np.uint8))
    profile = picture.info.get("icc_profile")
    if profile and upright.mode in ("RGB", "RGBA", "CMYK", "L"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "srgb" not in ImageCms.getProfileDescription(source).lower():
                to_mode = "RGBA" if upright.mode == "RGBA" else "RGB"
                converted = ImageCms.profileToProfile(
                    upright, source, ImageCms.createProfile("sRGB"), outputMode=to_mode
                )
                upright = converted or upright
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass  # a broken profile is no reason to refuse the picture
    if upright.has_transparency_data:
        rgba = upright.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        upright = Image.alpha_composite(white, rgba)
    return upright.convert("RGB")


@dataclass(frozen=True)
class Preprocess:
    """How a picture becomes a network's input.

    value = (pixel / 255 * value_range - mean) / std, per channel, after the shortest side was resized to `resize`
    and the middle `size` was cut out (the order and rounding of torchvision's Resize and CenterCrop on PIL pictures).

    Attributes:
        size: what the network gets: (height, width) in pixels.
        resize: length of the shortest side before the crop, in pixels; None squashes the whole picture to `size`.
        interpolation: the resampling filter, PIL's, with antialiasing.
        mean, std: one number per channel, in units of the value range.
        channels: 3 for RGB, 1 for grey (ITU-R 601 luma); other counts repeat grey.
        value_range: what white (255) becomes before mean and std, mostly 1.
        reverse_channels: True for networks trained on BGR.
    """

    size: tuple[int, int]
    resize: int | None
    interpolation: Interpolation = "bilinear"
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    channels: int = 3
    value_range: float = 1.0
    reverse_channels: bool = False

    def __post_init__(self) -> None:
        if len(self.size) != 2 or min(self.size) < 1 or max(self.size) > 4096:
            raise BadInput(f"An input size of {self.size} pixels cannot be used; sides go from 1 to 4096.")
        if self.resize is not None and not 1 <= self.resize <= 4096:
            raise BadInput(f"Pictures cannot be resized to {self.resize} pixels; sides go from 1 to 4096.")
        if self.interpolation not in _RESAMPLING:
            raise unknown("Interpolation", self.interpolation, "the resampling filters", _RESAMPLING)
        finite = all(math.isfinite(number) for number in (*self.mean, *self.std, self.value_range))
        if not (len(self.mean) == len(self.std) == self.channels) or not finite or min(self.std) <= 0:
            raise BadInput(
                f"mean and std must hold {self.channels} numbers, std above zero; found {self.mean} and {self.std}."
            )
        if self.value_range <= 0:
            raise BadInput(f"White cannot become {self.value_range}; it must be above zero, mostly 1 or 255.")

    @property
    def described(self) -> str:
        """It all in one line for people."""
        height, width = self.size
        if self.resize is None:
            cut = f"squashed to {width} × {height} px"
        else:
            cut = f"the middle {width} × {height} px after the shortest side became {self.resize} px"
        order = {1: "grey", 3: "BGR" if self.reverse_channels else "RGB"}.get(
            self.channels, f"{self.channels} channels"
        )
        mean, std = (" ".join(f"{number:.4g}" for number in numbers) for numbers in (self.mean, self.std))
        white = "" if self.value_range == 1 else f", white = {self.value_range:g}"
        return f"{cut} ({self.interpolation}), {order}{white}, mean {mean}, standard deviation {std}"

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        if self.resize is None:
            return self.size
        long = int(self.resize * max(height, width) / min(height, width))
        if self.resize * long >= limits().pixels:
            raise BadInput(
                f"A picture of {width} x {height} pixels is too long and narrow to be resized to {self.resize} pixels "
                "across. Cut a part out of it first."
            )
        return (self.resize, long) if height <= width else (long, self.resize)

    def _corner(self, height: int, width: int) -> tuple[int, int]:
        """(top, left) of the crop in the resized picture; below zero where black is added around it."""

        def start(has: int, wanted: int) -> int:
            return round((has - wanted) / 2.0) if has >= wanted else -((wanted - has) // 2)

        return start(height, self.size[0]), start(width, self.size[1])

    def crop_box(self, image: InputImage) -> tuple[float, float, float, float]:
        """Where the network looks: (left, top, right, bottom) in pixels of the picture; may reach beyond its rim."""
        height, width = self._resized(image.height, image.width)
        top, left = self._corner(height, width)
        x, y = image.width / width, image.height / height
        return left * x, top * y, (left + self.size[1]) * x, (top + self.size[0]) * y

    def seen(self, image: InputImage) -> NDArray[np.uint8]:
        """The crop the network sees, before normalisation: uint8 [height, width, 3]."""
        height, width = self._resized(image.height, image.width)
        picture = Image.fromarray(image.pixels)
        if (picture.height, picture.width) != (height, width):
            picture = picture.resize((width, height), _RESAMPLING[self.interpolation])
        top, left = self._corner(height, width)
        if (top, left) != (0, 0) or (height, width) != self.size:
            picture = picture.crop((left, top, left + self.size[1], top + self.size[0]))
        if self.channels != 3:
            picture = picture.convert("L").convert("RGB")
        return np.asarray(picture)

    def to_batch(self, image: InputImage) -> torch.Tensor:
        """The network's input: float32 [1, channels, height, width], normalised, on the CPU."""
        import torch

        return self.normalise(torch.from_numpy(self.seen(image).copy()).permute(2, 0, 1)[None].float() / 255)

    def normalise(self, pictures: torch.Tensor) -> torch.Tensor:
        """Input from RGB pictures in 0..1, differentiable: [n, 3, height, width] -> [n, channels, height, width]."""
        if self.channels != 3:
            luma = pictures.new_tensor((0.299, 0.587, 0.114)).view(1, 3, 1, 1)
            pictures = (pictures * luma).sum(1, keepdim=True).expand(-1, self.channels, -1, -1)
        return self.from_planes(pictures)

    def from_planes(self, planes: torch.Tensor) -> torch.Tensor:
        """Input from the network's own planes in 0..1, differentiable: [n, channels, height, width]; three are RGB."""
        if self.reverse_channels and self.channels == 3:
            planes = planes.flip(1)
        mean = planes.new_tensor(self.mean).view(1, -1, 1, 1)
        std = planes.new_tensor(self.std).view(1, -1, 1, 1)
        return (planes * self.value_range - mean) / std
