"""Numbers to uint8 RGB: the only home of colour maps and of scaling."""

from __future__ import annotations

import io
import math
from base64 import b85decode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from zlib import decompress

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from interpret.errors import unknown

Pixels = NDArray[np.uint8]
MISSING = (128, 128, 128)
"""The grey of values that are not numbers."""

_TABLES = {
    "viridis": (
        "c-jE~1ONO)0aQc+Rz(C?MFm+#2U<o5Tt*6AMhjj?4PZwOVMh>SM-gO46J<ygXGj)kNEc~H7-~owY)BhzNE~iR9dAe<a7Z9=N"
        "Fj4bBXme4bx0+4NG5kkD0oOIc}FUGM=W|rEqg~Ud`B;RMlgOxGJZxge?~NbMKys%H-SYsf<!rkL^^{+JA^|$ghM`sLO+E<K!"
        "!p=hCxDyK}3f@MTkH~h(AY&KS+r_Nr^s6i9Sq<Jxz)|PKrEFiabz@J5h@}Qj0oMi#k+{IaQ1~R*X1Uj5t}0H(HE0Ta7kcjW%"
        "74HC~N1UyU?ijWl76Gh&T1V~sLojxuGAF=mc2XO1ywjxcGCFlvr3YmP5$jxKGEE^dx4Z;mZ+jxBMHEOCx3a*ix>jw^JID|L="
        "4c8)4{jw*PLDS3`5dX6c3jwpPND1DA6evT)9jwgVQCV`G7f{rGFjwOSRC4`P8g^nbKjwFYUBZ!V8iH;+RjUtPUB8-h9jg29W"
        "jUkVXA&`wBk&Gacj3APXAd`$Al#CyhiyxMYAD4?Cn2R5oiXWPa9-E3DoQWQti65ScAD@UHpokx#h##ScAEJjKqlO@)h9RYeA"
        "*O{Qr-dS@gd?egB&vfYtAZu0f+nqjC#``fu7D}8e=4wlEU|tqvVAVId@r<oF|~U#wt6(Sc{R6rH@J8>xpz9cc00RuJ-l>3ym"
        "LUkazegwM89xGz;8&wZc4#zOu}qV!)s8)YEs2%RK;jk#%EZ^Wm?E&T*zZy$zov2U}MW)Wy@Y?%v@>BTWrl*Zq8V6&sTHMR&~"
        "%+chOUN(NTQTP=C`-fzwTd)JuldNr}}+i`GVt)<uxlLzCA*mDoU-*gl)tJe}D)pxQa2+Bc=!HmKV)s@yWI+%T}+FS6Y&wcab"
        "Z-YL4?D81h%z~3dp-y_A~A;{n$%Hbc);T_Q79Ma+&)#4i1;u+fG8QtR;-{TnK<QV1T8Rz5~>g5{j<s0wi9P#BH^yVJ+<{<dy"
        "A^Ybe{pTeY=t_D"
    ),
    "cividis": (
        "c-jE~1ONO0B2EA!PXHuQ03}lZB~$<=Rsbhh04P}iC|dw2T>vUy04iYsD`EgFWB@E?04-<$E@}WSYydB905ER=FmM1dZ~!rJ0"
        "Wxs~GjRwra11nX4>fQSHE<L*a27Xk7&mVkIBy&|Zyq{tAUba$J8mO9ZX`TzCOvK^K5i*LZYn=*D?n{6L2WKUZ7)J?F+*)KLv"
        "1reZ8Sw}HAQSTMr=4oY&l45I!J6gNo+hyY&}YBK1*yrOl&|*Y(Y(ILQZT$PHaR^Y(-FPMp0}>QEW(3Y)MmWN>gl0RBTLDY)w"
        "^cPF8GBS8PyMY*AQkQdw<NT5VKXZB<)sRa|XWTy0lfZCGAySzc~hUv67qZd_q*U14rsVs2hzZ(n0?U}SG$Wp83-Z)0X~WM^<"
        "?XmDj{aAs+6XKHb1YH?|6acXRFYi)9DZE|dGa&2#NZf|pMaC2~Rb8&KXa&mNXb98fbb#!!fb#--ic6N7nc6WDoczAbtd3Snx"
        "czb$ye0z9(e0Y9*cz%6&e|~s?e|Uj^c!Gd=gMoR3f_a64d4_{|hlF^Dg?NdDc#4L2i-&lOh<J^Nc#es9kBWGZi+GWXc#@2Gl"
        "8tzij(C)gca@KKmXLRsk$0GqcbSrRnv-^$ly;nzcAb@Wo|bl>mvx|+b)lJcqM3E0nslU_bfuhhrkr%AopY$3bE%(ms-SbLpm"
        "MCCa;>6ruA_0Uq;asNaj~Uvv!-ygr*E~WZ?>s#x2bNps&2WfZMv*&yRB`!u57)oY`(8+zp!h-v1-AxYQnQ=!?S6`v}nb(XvV"
        "f@$G2z5xMs<@Wy`r`%(`UFyJOD0W6!-}(7s~PzhTnAVAH@~)WKiX!d}+HUDw21*~MJi##`IRTHMH4-N;zp$yndYSK!N5;mlR"
        "y%~a&hQ{~T6=Fm~+(NO5pPwCT6>eEc?)JyHvO77N4@7GB1*hcZ$Me^E2^V>r8+(Gu;Klk1~_}@JF;5z%^IQ-%^{o^$L<TU=}"
        "HU8!{{^&SQKx63"
    ),
    "blue-red": (
        "c-jE~1ONOxOu#%&!aY#KK2gO#Q^r75$U;}iLs-j1TFgaU&PHC(NMF%OVbV%t(@SL4OlH<jXxL9_*-&fRQEl5(Z{1XI-c@qnR"
        "&(H3b>Ufe<63y+TYBYPeCA$#=U;#5VS(vlg6d<0>tu!OW{2%(i0){L?`n+jYmM-1kMVAh@^6y!aFg_MmGpC#^>vu`cA55fn)"
        "i8}_<EiAd!PAzp!t5H`hcVQfu#F_ru&4a{Dr9ehN}FCtNn?r{fn*rjIaKUu>Oy+{*bc%lC=Jlwf~g1|CYD^m$?6!x&NBG|C_"
        "x3oxT5_zW<-U|DnMDqQU>8!v3Yh{-(tKr^WuM#{R0u{jA9St;zka$^5X&{ISdYvdsIl&HJ^^`nJycx6k>x(D}O2_`A{gywdl"
        "+)Aqm9_Q2Hj!PNA_)%3*H^TpQk#@F%3*YU~N@XFZl%h>MB+3n5Q?9STj(Aw(J+Ue5U=+oQh)Z6CO+vV2W<k#He*xcgT+~L~X"
        ";M?8a+}+*X+}z&W+uz*T;M>^Z+ScRR)#TaJ<k`~Y*wN<L&*#_9=+?~X*30VE$?Md}>(j>U)5Y!5!|l<+?$E&R&%f`^z3|Sv@"
        "y)vN%((K)xAMxh^U1XH$g=duvGm5T^u?|9#H{ths`bIC_Q0q1zoz!Sr1rg{_q?I^x}W#Cp7*$%_qUt(wVC&{m-n-l_py}su#"
        "@+%k@u~S_pFZhtBm)li}$FB_oj&UrH1ySh4!L@_Mn0FpMdq9e)XJv^qPD0nR@h>c=MHa^OSY+l63Nra`BIG@r`fri*E3WZ10"
        "F`?uKdZglO%9X6%7w?0;kHePZf-VCs5b>3Ch}c3kIlTjp|E<#1T#ZdT-NRpV<^;%QRhXHno~Pv2us-eFDMUrXFwO50mW*;z-"
        "}Rz}xUMb=V8)lfpzPC?U5K+#D)&__MbMLf<zJIp{j%RV^DJ2%KVHpezK#xyj<F*3t0F~KV^z$h=iB`&=pExaBqx*99F7Adz8"
        "D76bGv;-#RF9>M"
    ),
}
PALETTES = ("viridis", "cividis", "grey", "blue-red", "jet")


@cache
def palette(name: str) -> Pixels:
    """The 256 colours of a palette, from its lowest value to its highest: uint8 [256, 3], read-only.

    "viridis" and "cividis" are perceptually uniform (Smith and van der Walt 2015; Nunez et al. 2018); "blue-red"
    diverges about its middle (Moreland 2009, "Diverging Color Maps for Scientific Visualization"); "grey"; "jet" is
    there for comparing with other tools and misleads about steps.

    Raises:
        UnknownName: no such palette.
    """
    if name in _TABLES:
        table = np.frombuffer(decompress(b85decode(_TABLES[name])), np.uint8).reshape(256, 3)
    elif name == "grey":
        table = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    elif name == "jet":
        centres = np.array([0.75, 0.5, 0.25])
        table = (
            (np.clip(1.5 - np.abs(np.linspace(0, 1, 256)[:, None] - centres) * 4, 0, 1) * 255).round().astype(np.uint8)
        )
    else:
        raise unknown("Palette", name, "the palettes", PALETTES)
    table.flags.writeable = False
    return table


@dataclass(frozen=True)
class Scale:
    """Which values get the palette's first and last colour; always shown beside the picture."""

    low: float
    high: float

    @staticmethod
    def positive(values: NDArray[np.float32]) -> Scale:
        """From 0 to the largest finite value."""
        return Scale(0.0, max(_finite(values, 1.0)[1], 0.0) or 1.0)

    @staticmethod
    def symmetric(values: NDArray[np.float32]) -> Scale:
        """As far below zero as above it, to the largest finite magnitude."""
        low, high = _finite(values, 1.0)
        reach = max(abs(low), abs(high)) or 1.0
        return Scale(-reach, reach)

    @staticmethod
    def suited(values: NDArray[np.float32]) -> Scale:
        """Symmetric where there are negative values, else from zero up."""
        return Scale.symmetric(values) if _finite(values, 0.0)[0] < 0 else Scale.positive(values)

    @property
    def diverges(self) -> bool:
        return self.low < 0 < self.high

    def fractions(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Values as 0..1 of the scale, cut off at its ends; NaN stays NaN."""
        span = self.high - self.low
        scaled = (np.asarray(values, np.float64) - self.low) / (span if span > 0 else 1.0)
        return np.clip(scaled, 0.0, 1.0).astype(np.float32)


def _finite(values: NDArray[np.float32], otherwise: float) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, otherwise)


def colour(values: NDArray[np.float32], scale: Scale, name: str = "viridis") -> Pixels:
    """Values in colours: [...] -> uint8 [..., 3]; values that are not numbers are grey."""
    fractions = scale.fractions(values)
    missing = ~np.isfinite(values) & ~np.isposinf(values) & ~np.isneginf(values)
    index = np.where(missing, 0, fractions * 255).round().astype(np.uint8)
    pixels: Pixels = palette(name)[index]
    pixels[missing] = MISSING
    return pixels


def enlarge(values: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """A map [rows, columns] at another size, bilinear: float32 [height, width]."""
    picture = Image.fromarray(np.nan_to_num(np.asarray(values, np.float32)), mode="F")
    return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR), np.float32)


def overlay(
    seen: Pixels, values: NDArray[np.float32], scale: Scale, name: str = "viridis", opacity: float = 0.55
) -> Pixels:
    """A map laid over what the network saw: uint8 [height, width, 3].

    Args:
        seen: uint8 [height, width, 3], from `Preprocess.seen`.
        values: [rows, columns]; enlarged to the picture; grey where they are not numbers.
        scale: of the values.
        opacity: 0 shows the picture, 1 the map.
    """
    height, width = seen.shape[:2]
    coloured = colour(enlarge(values, height, width), scale, name).astype(np.float32)
    coloured[enlarge(np.isnan(values).astype(np.float32), height, width) > 0.5] = MISSING
    mixed = seen.astype(np.float32) * (1 - opacity) + coloured * opacity
    return mixed.round().clip(0, 255).astype(np.uint8)


def colour_bar(name: str = "viridis", width: int = 256, height: int = 12) -> Pixels:
    """The palette from left (low) to right (high): uint8 [height, width, 3]."""
    row = palette(name)[np.linspace(0, 255, width).round().astype(int)]
    return np.broadcast_to(row, (height, width, 3)).copy()


def grid(
    pictures: Sequence[Pixels] | Pixels,
    columns: int | None = None,
    gap: int = 2,
    ground: tuple[int, int, int] = (255, 255, 255),
) -> Pixels:
    """Pictures of one size side by side on white, or on another ground: uint8 [height, width, 3]."""
    count = len(pictures)
    columns = columns or max(1, math.ceil(math.sqrt(count)))
    rows = math.ceil(count / columns)
    height, width = pictures[0].shape[:2]
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), ground, np.uint8)
    for index, picture in enumerate(pictures):
        top, left = (index // columns) * (height + gap), (index % columns) * (width + gap)
        sheet[top : top + height, left : left + width] = picture
    return sheet


def over_grey(picture: NDArray[np.float32], opacity: NDArray[np.float32]) -> NDArray[np.float32]:
    """A picture in 0..1 [height, width, 3] laid over middle grey with an opacity in 0..1 [height, width]."""
    laid: NDArray[np.float32] = 0.5 + (picture - 0.5) * opacity[..., None]
    return laid


def painted(pictures: NDArray[np.float32], opacity: NDArray[np.float32] | None = None) -> Pixels:
    """Pictures in 0..1 as bytes, over middle grey where they are transparent: uint8 [n, height, width, 3].

    Args:
        pictures: float32 [n, height, width, 3].
        opacity: float32 [n, height, width] in 0..1, None where nothing is transparent.
    """
    values = pictures if opacity is None else over_grey(pictures, opacity)
    pixels: Pixels = (values * 255).round().astype(np.uint8)
    return pixels


def kernel_picture(weights: NDArray[np.float32], reverse: bool = False) -> Pixels:
    """A first-layer kernel as a colour picture, zero as middle grey: [3, rows, columns] -> uint8 [rows, columns, 3].

    Args:
        weights: for red, green and blue; for blue, green and red with `reverse`.
    """
    reach = float(np.abs(weights).max()) or 1.0
    channels = weights[::-1] if reverse else weights
    return ((channels.transpose(1, 2, 0) / reach * 0.5 + 0.5) * 255).round().astype(np.uint8)


def outlined(pixels: Pixels, box: tuple[float, float, float, float]) -> Pixels:
    """The picture with everything outside (left, top, right, bottom) dimmed and the box outlined in white."""
    picture = Image.fromarray(pixels)
    dimmed = Image.fromarray((pixels * 0.45).astype(np.uint8))
    left, top, right, bottom = (round(edge) for edge in box)
    left, top, right, bottom = (
        max(left, 0),
        max(top, 0),
        min(right, picture.width),
        min(bottom, picture.height),
    )
    dimmed.paste(picture.crop((left, top, right, bottom)), (left, top))
    thick = max(1, round(min(picture.size) / 160))
    ImageDraw.Draw(dimmed).rectangle((left, top, right - 1, bottom - 1), outline=(255, 255, 255), width=thick)
    return np.asarray(dimmed)


CLASS_COLOURS = (
    "#4e79a7", "#e15759", "#59a14f", "#f28e2b", "#b07aa1", "#17a2a2", "#9c755f", "#d4a017",
    "#ff7fa8", "#7f8790", "#2f5fd0", "#8cba00", "#7a4fd0", "#c7522a", "#00886b", "#a03a7a",
)  # fmt: skip
"""Colours of classes, the same on every page; further classes begin again."""


def class_colour(index: int) -> str:
    """The colour of a class as "#rrggbb"; grey for -1, no class."""
    return "#9aa0a6" if index < 0 else CLASS_COLOURS[index % len(CLASS_COLOURS)]


def scatter(
    points: NDArray[np.float32],
    classes: NDArray[np.int64],
    ring: NDArray[np.float32] | None = None,
    side: int = 448,
) -> Pixels:
    """Points coloured by class on a transparent ground, both axes on one scale: uint8 [side, side, 4].

    Args:
        points: float32 [n, 2].
        classes: int64 [n]; -1 is grey.
        ring: float32 [m, 2], points to mark with a ring.
        side: in pixels.
    """
    everything = points if ring is None else np.concatenate([points, ring])
    low, span = everything.min(0), float(np.ptp(everything, axis=0).max()) or 1.0
    margin = (span - np.ptp(everything, axis=0)) / 2

    def at(point: NDArray[np.float32]) -> tuple[float, float]:
        x, y = ((point - low + margin) / span * 0.9 + 0.05) * side * 2
        return float(x), 2 * side - float(y)

    picture = Image.new("RGBA", (2 * side, 2 * side), (128, 128, 128, 0))
    pen = ImageDraw.Draw(picture)
    for point, index in zip(points, classes, strict=True):
        x, y = at(point)
        pen.ellipse((x - 9, y - 9, x + 9, y + 9), fill=class_colour(int(index)))
    for point in () if ring is None else ring:
        x, y = at(point)
        pen.ellipse((x - 26, y - 26, x + 26, y + 26), outline="#808080", width=7)
    return np.asarray(picture.resize((side, side), Image.Resampling.LANCZOS))


def bars(shares: NDArray[np.float32], chosen: int | None = None, height: int = 128) -> Pixels:
    """A thin grey bar for each value on a transparent ground, the chosen one blue: uint8 [height, at least n, 4].

    Args:
        shares: float32 [n], 0..1 of the height; values that are not numbers have no bar.
        chosen: which one to mark, or None.
        height: in pixels.
    """
    wide = max(1, round(900 / len(shares)))
    tall = (np.clip(np.nan_to_num(shares), 0, 1) * height).round().astype(int)
    picture = np.zeros((height, len(shares), 4), np.uint8)
    picture[np.arange(height)[:, None] >= height - tall] = (128, 128, 128, 200)
    if chosen is not None:
        picture[height - max(1, tall[chosen]) :, chosen] = (47, 119, 196, 255)
    return picture.repeat(wide, axis=1)


def scaled_up(pixels: Pixels, at_least: int) -> Pixels:
    """The picture enlarged by a whole number, each pixel a square, until its shorter side has `at_least` pixels."""
    factor = max(1, math.ceil(at_least / min(pixels.shape[:2])))
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)


def shrunk(pixels: Pixels, at_most: int) -> Pixels:
    """The picture scaled down until its longer side has `at_most` pixels; smaller ones as they are."""
    if max(pixels.shape[:2]) <= at_most:
        return pixels
    picture = Image.fromarray(pixels)
    picture.thumbnail((at_most, at_most), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def png(pixels: Pixels) -> bytes:
    """The bytes of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def thumbnail(pixels: Pixels, side: int = 96) -> bytes:
    """A small JPEG of a picture, its longest side at most `side` pixels."""
    picture = Image.fromarray(pixels)
    picture.thumbnail((side, side), Image.Resampling.BICUBIC)
    return jpeg(np.asarray(picture), 85)


def jpeg(pixels: Pixels, quality: int) -> bytes:
    """The bytes of a JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
