"""Compare: what changed?"""

from __future__ import annotations

import streamlit as st

from ui.compare_answers import show_activations, show_answers, show_picture
from ui.compare_epochs import show_course
from ui.compare_layers import show_similarity, show_weights
from ui.display import question
from ui.library import chosen_model, picture_of
from ui.second import ask_data, pick_second
from ui.state import address, selection

chosen = selection()
model, image = chosen_model(), picture_of(chosen.picture)

question(
    "What changed?",
    "Two networks, the same pictures: first where they disagree, then how alike their layers are, then how far their "
    "weights moved. CKA near 1 means that two layers order the pictures alike, whatever their channels are; a few far "
    "outliers can make or break it, so the share of common neighbours stands beside it. "
    "**Example:** a network fine-tuned on new pictures keeps its first layers and changes its last.",
)
other = pick_second(model)
if other is not None:
    show_picture(model, other, image)
    with st.expander("What corresponding layers answer"):
        show_activations(model, other, image)
    source, of_data = ask_data(model, "compare")
    st.markdown("##### What they say")
    said = show_answers(model, other, source, of_data)
    st.markdown("##### How alike their layers are")
    told = show_similarity(model, other, source, of_data)
    st.markdown("##### How far the weights moved")
    show_weights(model, other)
    with st.container(horizontal=True):
        st.page_link("pages/filters.py", label="Filters side by side", query_params=address(view="across"))
        st.page_link("pages/latent_space.py", label="Both on one map", query_params=address(maps="versus"))
        st.page_link("pages/heatmaps.py", label="More heatmaps", query_params=address(axis="checkpoints"))
    # All networks of a folder are not to hold up the two that are looked at.
    show_course(source, of_data, begin=said and told)
