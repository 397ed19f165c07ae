"""Filters: what is each filter looking for?"""

from __future__ import annotations

import streamlit as st

from interpret.filters import first_view
from ui.controls import pick_layer
from ui.display import plain, question
from ui.filter_across import show_across
from ui.filter_classes import show_class_pictures
from ui.filter_gallery import show_gallery
from ui.filter_inversion import show_inversion
from ui.filter_settings import Asked, pick_drawing
from ui.library import chosen_model, picture_of
from ui.state import choose, selection

VIEWS = {"": "One layer", "across": "Across layers", "classes": "Classes", "picture": "Your picture"}

chosen = selection()
model, image = chosen_model(), picture_of(chosen.picture)

question(
    "What is each filter looking for?",
    "**One layer.** Each picture was grown from noise until it excites one channel as much as it can: it shows what "
    "the channel looks for, not what it saw. The bar under it compares what it reaches with natural pictures; "
    "a channel's number shows it large, with the evidence. **Example:** stripes in one direction for an early filter, "
    "feathers or eyes for a late one; a picture that stays grey says the ascent found nothing.\n\n"
    "**Across layers.** One row per layer, from the first to the last: edges, then textures, then parts, then objects. "
    "Two checkpoints of one architecture may stand side by side, or the same one before its training: what changed was "
    "learned in between. A channel's number shows it in its layer.\n\n"
    "**Classes.** The same for a class's score: what the network would take for the most of a class. A high score is "
    "no proof that a person would recognise it.\n\n"
    "**Your picture.** Drawn back from what each stage answers to it: what the drawing no longer shows, that stage has "
    "let go. Below it the same exaggerated: what the stage takes your picture for.",
)


def pick_view() -> str:
    """The view chosen, kept in the address."""
    current = selection().view if selection().view in VIEWS else ""
    if st.session_state.get("filters.view.of") != current or "filters.view" not in st.session_state:
        st.session_state["filters.view"] = current
    view: str = st.segmented_control(
        "View",
        list(VIEWS),
        format_func=lambda view: VIEWS[view],
        key="filters.view",
        required=True,
        label_visibility="collapsed",
    )
    st.session_state["filters.view.of"] = view
    if view != selection().view:
        choose(view=view)
    return view


def say_what_is_spared(layer: str, asked: Asked) -> None:
    """Says that a slow network starts with less, as long as it does."""
    first, own = first_view(model, layer), min(model.preprocess.size)
    if first.channels < 16 and asked.which == f"strongest-{first.channels}" and asked.params.side == first.side:
        smaller = f", drawn at {first.side} instead of {own} pixels" if first.side else ""
        st.caption(
            f"{plain(model.architecture.title)} takes its time on a CPU, so this starts with {first.channels} "
            f"channels{smaller}. There is more under Channels and Size."
        )


view = pick_view()
if view:
    layer = model.layers[-1]
    asked = pick_drawing(model, layer, with_channels=False)
    if view == "across":
        show_across(model, asked)
    elif view == "picture":
        show_inversion(model, image, asked.params)
    else:
        show_class_pictures(model, image, layer.name, asked)
else:
    controls = st.container()
    layer = pick_layer(model, lambda layer: layer.layout != "other", "has no channels to draw.")
    with controls:
        asked = pick_drawing(model, layer, with_channels=True)
    say_what_is_spared(layer.name, asked)
    show_gallery(model, image, layer, asked)
