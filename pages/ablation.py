"""Ablation: what does it need?"""

from __future__ import annotations

import streamlit as st

from interpret.ablation import some_images
from ui.ablation_asking import Ablated, ask, changes_of, donor_of, usual_of
from ui.ablation_effect import show_data, show_prediction
from ui.ablation_repair import show_repair
from ui.ablation_sweeps import pick_sweep, show_combinations, show_sweep
from ui.cache import RESULTS
from ui.controls import pick_layer
from ui.display import question
from ui.library import chosen_model, picture_of
from ui.second import ask_data
from ui.state import selection

chosen = selection()
model, image = chosen_model(), picture_of(chosen.picture)

question(
    "What does it need?",
    "Change a part of the network and see what becomes of the prediction: if nothing is lost, the part was not needed, "
    "or others do its work. The network itself stays as it is, for you and for everyone else. With a layer at 0 it is "
    "a network it was never trained to be: set it to its mean, too, before you believe it. "
    "**Example:** without the channels that see the tag, the cheating network calls tagged hearts hearts again.",
)
changes = changes_of(model)
layer = pick_layer(model, lambda layer: True, "", {one.layer: one.title for one in changes})
ask(model, layer, changes)
source, of_data = ask_data(model, "ablation")
donor = donor_of(changes, image, source)
usual = usual_of(model, source, of_data, changes)

if usual is not None:
    images = RESULTS.get_or_make(("some images", *of_data), lambda: some_images(source))
    ablated = Ablated(model, image, source, of_data, changes, usual, donor, images)
    if not changes:
        st.info("Nothing is changed yet. Choose a part above and what to do with it, or run a sweep below.")
    else:
        show_prediction(ablated, ablated.changed())
        st.markdown("##### Over the data set")
        show_data(ablated)
        if len(changes) > 1:
            show_combinations(ablated)
    st.markdown("##### What if each part went, one at a time?")
    sweep = pick_sweep()
    if sweep:
        show_sweep(ablated, sweep, layer)
    st.markdown("##### Repair")
    show_repair(ablated, layer)
