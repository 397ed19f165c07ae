"""What is changed of the network: chosen here, kept in the address."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import streamlit as st

from interpret.ablation import CHANGES, Change, Usual, branches_of, changed, check, kind_of, kinds_for, usual
from interpret.channels import channel_numbers
from interpret.datasets import PictureSource
from interpret.errors import BadInput, InterpretError
from interpret.images import MAX_BYTES, SUFFIXES, InputImage
from interpret.layers import LayerInfo
from interpret.model import LoadedModel
from interpret.rendering import shrunk
from ui.cache import MODELS
from ui.controls import result_of
from ui.display import plain, told
from ui.library import keep_picture, picture_of, pictures_on_offer
from ui.state import choose, selection

MOST = 8
MOST_NAMES = 5000
_OF_USUAL = ("mean", "noise")


@dataclass(frozen=True, eq=False)
class Ablated:
    """What the page looks at.

    Attributes:
        model, image: the network as it is, and the picture.
        source: the data set; `data` names its results.
        changes: what is changed of the network.
        usual, donor, images: what changes are made with; see `interpret.ablation.changed`.
    """

    model: LoadedModel
    image: InputImage
    source: PictureSource
    data: tuple[Hashable, ...]
    changes: tuple[Change, ...]
    usual: Mapping[str, Usual] = field(default_factory=dict)
    donor: InputImage | None = None
    images: tuple[InputImage, ...] = ()

    @property
    def key(self) -> tuple[Hashable, ...]:
        """Names results of the network, the data set and what changes are made with."""
        return (self.model.digest, *self.data, self.donor.digest if self.donor else "")

    def changed(self) -> LoadedModel:
        """The network with the changes; kept."""
        of_data = any(kind_of(change).needs in ("usual", "images") for change in self.changes)
        key = ("changed", self.key if of_data else (self.model.digest, self.key[-1]), self.changes)
        return MODELS.get_or_make(
            key, lambda: changed(self.model, self.changes, usual=self.usual, donor=self.donor, images=self.images)
        )


def written(changes: Sequence[Change]) -> str:
    """Changes as an address holds them: "zero/layer2/3.7/0,bypass/layer2.1//0"."""
    return ",".join(f"{one.how}/{one.layer}/{'.'.join(map(str, one.channels))}/{one.seed}" for one in changes)


def read(text: str) -> tuple[Change, ...]:
    """The changes of an address.

    Raises:
        BadInput: it says none that Loupe can read.
    """
    found = []
    for part in filter(None, text.split(",")):
        try:
            how, layer, channels, seed = part.split("/")
            numbers = tuple(int(number) for number in channels.split(".") if number)
            found.append(Change(how, layer, numbers, int(seed)))
        except ValueError:
            raise BadInput("The address describes changes in a way Loupe cannot read.") from None
    return tuple(found)


def changes_of(model: LoadedModel) -> tuple[Change, ...]:
    """The changes the address asks for; those that cannot be made are named and left out."""
    try:
        asked = read(selection().changes)
    except InterpretError as error:
        st.warning(told(error))
        return ()
    found = []
    for change in asked[:MOST]:
        try:
            check(model, change)
            found.append(change)
        except InterpretError as error:
            st.warning(told(error))
    return tuple(found)


def ask(model: LoadedModel, layer: LayerInfo, changes: Sequence[Change]) -> None:
    """Controls to add a change to a part of the network, and to take changes back."""
    block = model.block(layer.name)
    parts = {layer.name: layer.name} | ({block.output: f"{block.name}: {block.title}"} if block.output else {})
    parts |= {name: f"{title} of {block.name}" for name, title in branches_of(model, block)}
    across = st.columns([1.5, 1.5, 1.2, 0.8], vertical_alignment="bottom")
    part = across[0].selectbox("Part", list(parts), format_func=parts.__getitem__, key=f"ablation.part.{layer.name}")
    kinds = {kind.key: kind.title for kind in kinds_for(model, part)}
    if not kinds:
        across[1].caption("Nothing can be changed there.")
        return
    how = across[1].selectbox("What to do", list(kinds), format_func=kinds.__getitem__, key=f"ablation.how.{part}")
    channels = across[2].text_input(
        "Channels",
        placeholder=f"all {model.layer(part).channels}",
        key=f"ablation.channels.{part}",
        help="Such as 3, 7-9.",
    )
    if across[3].button("Change it", key="ablation.add", width="stretch", disabled=len(changes) >= MOST):
        try:
            which = channel_numbers(channels, model.layer(part).channels) if channels.strip() else ()
            new = Change(how, part, which)
            check(model, new)
        except InterpretError as error:
            st.error(told(error))
        else:
            choose(changes=written((*changes, new)))
            st.rerun()
    if not changes:
        return
    with st.container(horizontal=True):
        for number, change in enumerate(changes):
            if st.button(
                plain(change.title),
                icon=":material/close:",
                key=f"ablation.undo.{number}",
                help="Take this change back.",
            ):
                choose(changes=written([*changes[:number], *changes[number + 1 :]]))
                st.rerun()
        if len(changes) > 1 and st.button("Take all back", type="tertiary", key="ablation.undo"):
            choose(changes="")
            st.rerun()


def donor_of(changes: Sequence[Change], image: InputImage, source: PictureSource) -> InputImage | None:
    """The other picture, where a change takes answers from one: a sample, an upload or one of the data set."""
    if not any(change.how == "donor" for change in changes):
        return None
    offers, asked = dict[str, str](), selection().donor
    for offer in pictures_on_offer(asked):
        try:
            if picture_of(offer.key).digest != image.digest:
                offers[offer.key] = offer.title
        except InterpretError as error:  # an upload that is gone
            st.warning(told(error))
    asked = asked if asked in offers else next(iter(offers))
    row = st.container(horizontal=True, vertical_alignment="bottom")
    key = row.selectbox(
        "The other picture",
        list(offers),
        list(offers).index(asked),
        format_func=offers.__getitem__,
        key=f"ablation.donor.{asked}.{image.digest}",
    )
    if key != asked:
        choose(donor=key)
        st.rerun()
    with row.popover("Another picture", width="content"):
        _fetch_donor(source)
    found = picture_of(key)
    row.image(shrunk(found.pixels, 96), width=64)
    return found


def _fetch_donor(source: PictureSource) -> None:
    kinds = [suffix.lstrip(".") for suffix in SUFFIXES]
    file = st.file_uploader(
        "Upload the other picture", type=kinds, key="ablation.donor.file", max_upload_size=MAX_BYTES >> 20
    )
    names = source.names[:MOST_NAMES]
    place = st.selectbox(
        "Or one of the data set",
        range(len(names)),
        None,
        format_func=lambda at: plain(names[at]),
        key=f"ablation.donor.place.{source.digest}",
        placeholder="by its name",
    )
    try:
        if file is not None and st.session_state.get("ablation.donor.seen") != file.file_id:
            st.session_state["ablation.donor.seen"] = file.file_id
            taken = InputImage.from_bytes(file.getvalue(), file.name)
        elif place is not None and st.session_state.get("ablation.donor.seen") != (source.digest, place):
            st.session_state["ablation.donor.seen"] = (source.digest, place)
            taken = source.read(place)
        else:
            return
    except InterpretError as error:
        st.error(told(error))
        return
    choose(donor=keep_picture(taken, taken.name))
    st.rerun()


def usual_of(
    model: LoadedModel, source: PictureSource, data: tuple[Hashable, ...], changes: Sequence[Change]
) -> Mapping[str, Usual] | None:
    """How the layers of some changes usually answer; None until it is known, whose progress is shown."""
    layers = tuple(sorted({change.layer for change in changes if change.how in _OF_USUAL}))
    if not layers:
        return {}
    return result_of(
        "usual",
        ("usual", model.digest, *data, layers),
        "How the layers usually answer",
        lambda: usual(model, source, layers),
    )


def kinds_title(how: str) -> str:
    """Of a kind of change."""
    return next(kind.title for kind in CHANGES if kind.key == how)
