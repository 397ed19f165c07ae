"""The pages: HTML without scripts that fetches nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from interpret.microscope.record import Record

FIRST = 8
"""Pictures of a layer on the first page."""
_POLICY = "default-src 'none'; img-src 'self' file:; style-src 'unsafe-inline'"
_STYLE = """
:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;max-width:1200px;margin:0 auto;padding:24px 20px 64px}
h1{font-size:26px;line-height:1.25;margin:0 0 4px;overflow-wrap:anywhere}
h2{font-size:17px;margin:34px 0 8px;overflow-wrap:anywhere}
h2 small,.about,figcaption,nav{opacity:.78;font-weight:400}
.about{margin:0 0 10px;max-width:80ch}
a{color:inherit;text-underline-offset:3px}
nav{display:flex;flex-wrap:wrap;gap:4px 20px;margin:0 0 18px}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(128px,1fr));gap:18px 12px}
.row{grid-template-columns:repeat(auto-fill,minmax(112px,1fr))}
@media(min-width:900px){.row{grid-template-columns:repeat(8,1fr)}}
figure{margin:0;min-width:0;scroll-margin:40px}
figure:target{outline:2px solid Highlight;outline-offset:5px}
.starts{display:flex;gap:3px}
.starts a{flex:1;min-width:0}
img{display:block;width:100%;height:auto;border-radius:3px}
.small{image-rendering:pixelated}
.natural{margin-top:3px}
figcaption{font-size:12.5px;line-height:1.35;margin-top:3px;overflow-wrap:anywhere}
"""


@dataclass(frozen=True)
class Sheet:
    """One folder of the page.

    Attributes:
        title: the layer's name, or "Classes".
        about: what else is known of it, in a few words.
        place: the folder, relative to the first page, with slashes.
        numbers: the channels or classes wanted, in order.
        names: class names by number; empty for channels.
        record: what lies there.
    """

    title: str
    about: str
    place: str
    numbers: tuple[int, ...]
    names: Mapping[int, str]
    record: Record

    @property
    def missing(self) -> list[int]:
        """What is not drawn yet."""
        return [number for number in self.numbers if number not in self.record.drawn]


@dataclass(frozen=True)
class About:
    """What the pages say of all their pictures.

    Attributes:
        network: file name and architecture.
        method: how pictures were drawn, in a sentence or two.
        side: of the pictures, in pixels.
        data: title and count of the data set beside them; "" for none.
        up: whether pictures drive activations up.
    """

    network: str
    method: str
    side: int
    data: str
    up: bool


def first_page(about: About, sheets: Sequence[Sheet]) -> str:
    """The page that leads to all others: the first pictures of each layer in the order of the network."""
    parts = [f"<h1>{escape(about.network)}</h1>", f'<p class="about">{_what(about)}</p>']
    for sheet in sheets:
        left = len(sheet.missing)
        count = len(sheet.numbers)
        far = f"{count - left:,} of {count:,} drawn" if left else f"{count:,} drawn"
        link = f'<a href="{sheet.place}/index.html">{escape(sheet.title)}</a>'
        parts.append(f"<h2>{link} <small>{escape(sheet.about)} · {far}</small></h2>")
        shown = [number for number in sheet.numbers if number in sheet.record.drawn][:FIRST]
        cells = [_cell(about, sheet, number, f"{sheet.place}/") for number in shown]
        parts.append(f'<div class="grid row">{"".join(cells)}</div>')
    return _page(about.network, parts)


def sheet_page(about: About, sheets: Sequence[Sheet], at: int) -> str:
    """All pictures of one layer, or of the classes, with what natural pictures reach."""
    sheet = sheets[at]
    links = ['<a href="../../index.html">All layers</a>']
    for word, other in (("Before", at - 1), ("After", at + 1)):
        if 0 <= other < len(sheets):
            links.append(f'{word}: <a href="../../{sheets[other].place}/index.html">{escape(sheets[other].title)}</a>')
    cells = [_cell(about, sheet, number, "") for number in sheet.numbers if number in sheet.record.drawn]
    parts = [
        f"<nav>{'<span>'.join(['', *(f'{link}</span>' for link in links)])}</nav>",
        f"<h1>{escape(sheet.title)}</h1>",
        f'<p class="about">{escape(sheet.about)} · {escape(about.network)}</p>',
        f'<p class="about">{_what(about)}{_beside(about, sheet)}</p>',
        f'<div class="grid">{"".join(cells)}</div>',
    ]
    if sheet.missing:
        parts.append(f'<p class="about">{len(sheet.missing):,} more are not drawn yet.</p>')
    return _page(f"{sheet.title} · {about.network}", parts)


def _what(about: About) -> str:
    does = "excite" if about.up else "silence"
    return f"Pictures grown from noise to {does} one channel each. {escape(about.method)}"


def _beside(about: About, sheet: Sheet) -> str:
    if sheet.names:
        return " The number is the score before softmax that the picture reaches."
    words = " Reaches: the channel’s mean activation on the finished picture."
    if not about.data:
        return words
    far, which = ("highest", "99.9th") if about.up else ("lowest", "0.1th")
    crops = " The crops below a picture excite the channel most." if about.up else ""
    return (
        f"{words} Natural: the {far} mean activation of any of {escape(about.data)}; their {which} percentile is shown "
        f"where the pointer rests on it.{crops} A drawing that falls short of natural pictures is not to be relied on."
    )


def _cell(about: About, sheet: Sheet, number: int, place: str) -> str:
    """A channel's or class's pictures with what they reach; on the first page without natural pictures."""
    entry = sheet.record.drawn[number]
    name = sheet.names.get(number, f"channel {number} of {sheet.title}")
    small = ' class="small"' if about.side <= 96 else ""
    pictures = "".join(
        f'<a href="{place}{file}"><img{small} src="{place}{file}" alt="Picture for {escape(name)}" '
        f'width="{about.side}" height="{about.side}" loading="lazy"></a>'
        for file in entry.files
    )
    reached = ", ".join(
        "no number" if value is None else f"{value:.3g}{', stays grey' if grey else ''}"
        for value, grey in zip(entry.reached, entry.grey, strict=True)
    )
    label = escape(sheet.names.get(number, str(number)))
    said = f"{label}: {reached}" if sheet.names else f"{label} reaches {reached}"
    if place:
        href = f"{place}index.html#c{number}"
        return (
            f'<figure><div class="starts">{pictures}</div><figcaption><a href="{href}">{said}</a></figcaption></figure>'
        )
    natural = sheet.record.natural.get(number)
    crops = ""
    if natural is not None:
        best, high = ("no number" if value is None else f"{value:.3g}" for value in (natural.best, natural.high))
        which = "99.9th" if about.up else "0.1th"
        said += f'<br><span title="{which} percentile {high}">natural {best}</span>'
        crops = "".join(
            f'<img class="natural" src="{file}" alt="Natural crops that excite {escape(name)}" loading="lazy">'
            for file in natural.files
        )
    return f'<figure id="c{number}"><div class="starts">{pictures}</div>{crops}<figcaption>{said}</figcaption></figure>'


def _page(title: str, parts: Sequence[str]) -> str:
    body = "\n".join(parts)
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
<body>
{body}
</body>
</html>
"""
