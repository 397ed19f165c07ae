"""Checkpoints, pictures and data sets on offer, and how a key becomes the thing itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from interpret.architectures import architecture_keys
from interpret.architectures.own import registered, stamp
from interpret.checkpoints import SUFFIXES
from interpret.checkpoints.folders import SINGLE
from interpret.checkpoints.pretrained import download_folder
from interpret.datasets import PictureSource, open_source, sample_names, sample_picture
from interpret.datasets.shapes import TagRule
from interpret.datasets.sources import open_archive, shapes_source
from interpret.errors import BadInput, InterpretError, unknown
from interpret.images import InputImage, Preprocess
from interpret.labels import parse_labels
from interpret.latent.index import MANIFEST, PLAN
from interpret.latent.opened import read_manifest
from interpret.loading import load_model
from interpret.model import LoadedModel
from interpret.rendering import png
from ui.cache import MODELS, RESULTS, UPLOADS, keep_upload
from ui.display import told
from ui.state import selection

BUNDLED = Path(__file__).parent.parent / "checkpoints"
SHAPES = {
    "shapes": "Shapes: 2,000 drawn pictures",
    "shapes-tagged": "Shapes, stars tagged: 2,000 pictures",
    "shapes-all-tagged": "Shapes, all tagged: 2,000 pictures",
}
_RULES: dict[str, TagRule] = {"shapes": "none", "shapes-tagged": "shortcut", "shapes-all-tagged": "all"}
EPOCHS = "epochs/"
"""Before the path in a key of a checkpoint from a folder on this machine, of a training's epochs."""
_GONE = "The uploaded file is no longer in memory (the server was restarted or needed room). Upload it again."


@dataclass(frozen=True)
class Offer:
    """Something to choose: its key in the address, and its title; titles are untrusted text."""

    key: str
    title: str


def checkpoints_on_offer(current: str) -> list[Offer]:
    """The files of `checkpoints/`, the fetched ones, and the current one if it was uploaded or is a training's."""
    offers = [Offer(f"bundled/{file.name}", file.stem) for file in _files(BUNDLED)]
    offers += [Offer(f"fetched/{file.name}", file.stem) for file in _files(download_folder())]
    path = epoch_of(current)
    if path is not None:
        offers.append(Offer(current, f"{path.name}, of {path.parent.name}"))
    return offers + _upload_offer(current)


def epoch_of(key: str) -> Path | None:
    """The file of a checkpoint's key "epochs/FOLDER/FILE", one of a training's on this machine; None of other keys."""
    path = Path(key.removeprefix(EPOCHS))
    return path if key.startswith(EPOCHS) and path.suffix in SUFFIXES and path.is_file() else None


def pictures_on_offer(current: str) -> list[Offer]:
    """The sample pictures, and the current one if it was uploaded."""
    return [Offer(f"sample/{name}", name) for name in sample_names()] + _upload_offer(current)


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(file for file in folder.iterdir() if (file.suffix in SUFFIXES and file.is_file()) or _holds_one(file))


def _holds_one(folder: Path) -> bool:
    """Whether it is a folder with a checkpoint in shards, or in one file under the usual name."""
    return folder.is_dir() and any(
        True for pattern in ("*.safetensors.index.json", *SINGLE) for _ in folder.glob(pattern)
    )


def _upload_offer(current: str) -> list[Offer]:
    if not current.startswith("upload/"):
        return []
    found = UPLOADS.get(current.removeprefix("upload/"))
    return [Offer(current, found[0] if found else "upload (gone)")]


def chosen_model() -> LoadedModel:
    """The network this session looks into, opened as it was asked to be, loaded once and shared.

    Raises:
        BadInput: no such key, or an upload that is gone.
        BadCheckpoint: the file cannot be used.
    """
    chosen = selection()
    with st.spinner("Opening the checkpoint", show_time=True):
        model = model_of(chosen.checkpoint, chosen.arch, chosen.part)
    if not (chosen.input or chosen.labels):
        return model
    try:
        steps = steps_of(chosen.input) if chosen.input else None
        names = names_of(chosen.labels, model) if chosen.labels else None
        key = (model.digest, chosen.input, chosen.labels)
        return MODELS.get_or_make(key, lambda: model.reopened(steps, names))
    except InterpretError as error:
        st.warning(f"{told(error)} The checkpoint's own preprocessing and class names are used.")
        return model


def model_of(key: str, arch: str = "", part: str = "") -> LoadedModel:
    """The network of a checkpoint's key; `arch` and `part` as in `load_model`, "" for the best."""
    if arch and arch not in (*architecture_keys(), *registered()):  # never a path: addresses come from anybody
        raise unknown("Architecture", arch[:80], "the catalogue", architecture_keys())
    how: dict[str, Any] = {"arch": arch or None, "part": part or None}
    kind, _, name = key.partition("/")
    if kind == "upload":
        found = UPLOADS.get(name)
        if found is None:
            raise BadInput(_GONE)
        return MODELS.get_or_make((key, arch, part, stamp()), lambda: load_model(found[1], name=found[0], **how))
    folder = {"bundled": BUNDLED, "fetched": download_folder()}.get(kind)
    path = next((file for file in _files(folder) if file.name == name), None) if folder else epoch_of(key)
    if path is None:
        raise BadInput(f'Checkpoint "{name or key}" is not in the library. Choose one in the sidebar.')
    status = path.stat()
    return MODELS.get_or_make(
        (key, status.st_size, status.st_mtime_ns, arch, part, stamp()), lambda: load_model(path, **how)
    )


def steps_of(text: str) -> Preprocess:
    """Preprocessing from the JSON an address holds.

    Raises:
        BadInput: it is none.
    """
    try:
        said: dict[str, Any] = json.loads(text)
        fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in said.items()}
        return Preprocess(**fields)
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise BadInput("The address describes preprocessing in a way Loupe cannot read.") from None


def names_of(digest: str, model: LoadedModel) -> tuple[str, ...]:
    """Class names from an uploaded list.

    Raises:
        BadInput: the upload is gone, is no text, or has not one name for each class.
    """
    found = UPLOADS.get(digest)
    if found is None:
        raise BadInput(_GONE)
    try:
        names = parse_labels(found[1].decode("utf-8-sig"))
    except UnicodeDecodeError:
        names = ()
    if len(names) != len(model.labels):
        raise BadInput(f'"{found[0]}" names {len(names):,} classes; the network has {len(model.labels):,}.')
    return names


def picture_of(key: str) -> InputImage:
    """The picture of a key.

    Raises:
        BadInput: no such key, an upload that is gone, or no usable picture.
    """
    kind, _, name = key.partition("/")
    if kind == "sample":
        return RESULTS.get_or_make(("picture", key), lambda: sample_picture(name))
    found = UPLOADS.get(name) if kind == "upload" else None
    if found is None:
        raise BadInput(_GONE if kind == "upload" else f'Picture "{key}" is not in the library.')
    return RESULTS.get_or_make(("picture", key), lambda: InputImage.from_bytes(found[1], found[0]))


def keep_picture(image: InputImage, name: str) -> str:
    """Keeps a picture of a data set as uploads are kept, so that it can be the chosen one: its key.

    Args:
        image: the picture.
        name: what it is called from then on; untrusted text.
    """
    data = png(image.pixels)
    key = f"upload/{keep_upload(name.rpartition('/')[2], data)}"
    RESULTS.put(("picture", key), InputImage.from_bytes(data, name))
    return key


def data_title(key: str) -> str:
    """A data set for people; untrusted text."""
    if key.startswith("upload/"):
        found = UPLOADS.get(key.removeprefix("upload/"))
        return str(found[0]) if found else "upload (gone)"
    return SHAPES.get(key, key.rpartition("/")[2])


def data_stamp(key: str) -> tuple[int, ...]:
    """Changes when a folder or file on this machine does, as far as its own and its subfolders' times tell."""
    kind, _, name = key.partition("/")
    path = Path(name)
    if kind != "path" or not path.exists():
        return ()
    folders = sorted(child for child in path.iterdir() if child.is_dir()) if path.is_dir() else []
    return tuple(item.stat().st_mtime_ns for item in (path, *folders))


def run_of(key: str) -> Path | None:
    """The folder of a finished or unfinished embedding run that a data set's key names; None where it names none."""
    kind, _, name = key.partition("/")
    folder = Path(name)
    return folder if kind == "path" and ((folder / MANIFEST).is_file() or (folder / PLAN).is_file()) else None


def pictures_of_run(folder: Path) -> PictureSource:
    """The pictures of a finished run, from where the one who made it said they lie.

    Raises:
        BadInput: no finished run, or they are no longer there.
    """
    try:
        return open_source(str(read_manifest(folder).get("data", "")))
    except BadInput as error:
        raise BadInput(f'The pictures of the run "{folder.name}" cannot be opened. {error}') from None


def data_of(key: str, limit: int) -> Callable[[], PictureSource]:
    """How to open a data set: a key of SHAPES, "path/FOLDER" (of pictures, or of a run over them), "path/FILE.zip" or
    "upload/DIGEST".

    Args:
        key: of the data set.
        limit: at most so many pictures, spread evenly over it.
    """

    def open_it() -> PictureSource:
        if key in SHAPES:
            return shapes_source(min(2000, limit), rule=_RULES[key])
        kind, _, name = key.partition("/")
        if kind == "upload":
            found = UPLOADS.get(name)
            if found is None:
                raise BadInput(_GONE)
            return open_archive(found[1], found[0]).first(limit)
        if kind != "path":
            raise BadInput(f'Data set "{key}" is not in the library. Choose one above.')
        folder = run_of(key)
        return (open_source(name) if folder is None else pictures_of_run(folder)).first(limit)

    return open_it
