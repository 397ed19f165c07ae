"""The frame around every page: navigation, the sidebar, the address bar, and what happens when something fails."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from interpret.architectures import architecture_keys
from interpret.architectures.own import registered
from interpret.checkpoints import SUFFIXES as CHECKPOINT_SUFFIXES
from interpret.checkpoints.pretrained import fetch_pretrained
from interpret.errors import BadCheckpoint, InterpretError
from interpret.images import MAX_BYTES, SUFFIXES, InputImage
from interpret.limits import limits
from interpret.runtime import choose_runtime
from ui.cache import RESULTS, keep_upload
from ui.components.delivery import keep_delivered
from ui.components.paste import pasted_picture
from ui.controls import POLL_SECONDS, result_of
from ui.display import picture, told
from ui.jobs import RUNNER, session_id
from ui.library import Offer, checkpoints_on_offer, model_of, picture_of, pictures_on_offer
from ui.state import address, choose, selection, write_address

PAGES = (
    ("overview", "Overview", "", ":material/visibility:"),
    ("activations", "Activations", "activation-maps", ":material/grid_view:"),
    ("filters", "Filters", "filter-pictures", ":material/texture:"),
    ("heatmaps", "Heatmaps", "class-heatmaps", ":material/local_fire_department:"),
    ("latent_space", "Latent space", "latent-space", ":material/scatter_plot:"),
    ("ablation", "Ablation", "ablate", ":material/content_cut:"),
    ("compare", "Compare", "compare-checkpoints", ":material/compare_arrows:"),
)
"""(file in pages/, title, path in the address, icon). A path differs from its file's stem on purpose: a page whose path
equals it would run without this frame when its address is opened directly."""

ICON = Path(__file__).with_name("icon.png")
STYLE = """<style>
.stMainBlockContainer { padding: 2.2rem 2.5rem 2rem }
.stSidebar [data-testid="stSidebarUserContent"] { padding-bottom: 1rem }
h1 { font-size: 1.5rem !important; padding: 0 !important }
h3 { font-size: 1.05rem !important; padding: 0.2rem 0 !important }
[data-testid="stElementToolbar"] button[aria-label="Download as CSV"] { display: none }  /* it brings no manifest */
</style>"""

_log = logging.getLogger("loupe")


def show() -> None:
    """Draws the frame and runs the page inside it."""
    keep_delivered()
    st.set_page_config("Loupe", layout="wide", page_icon=str(ICON))
    st.html(STYLE)
    st.logo(str(ICON), size="large")
    selection()
    pages = [
        st.Page(f"pages/{file}.py", title=title, url_path=path, icon=icon, default=not path)
        for file, title, path, icon in PAGES
    ]
    page = st.navigation(pages, position="hidden")
    with st.sidebar:
        links = st.container(gap="xsmall")
        st.divider()
        guarded(_sidebar)
    with RUNNER.giving_way():
        guarded(page.run)
    write_address()
    # Drawn last, with what the page has chosen; a link with its query is one step of the browser's history, not two.
    for target in pages:
        links.page_link(target, query_params=address(), width="stretch")


def guarded(run: Callable[[], Any]) -> None:
    """Runs a part of the screen; an `InterpretError` becomes its sentence, anything else a reference to the log."""
    try:
        run()
    except InterpretError as error:
        st.error(told(error))
        if isinstance(error, BadCheckpoint) and error.considered:
            with st.expander("The nearest architectures, and what differs"):
                st.dataframe([dict(row) for row in error.considered], hide_index=True)
    except Exception as error:  # the last line of defence: a page must not show a traceback
        if type(error).__module__.startswith("streamlit"):
            raise
        reference = uuid.uuid4().hex[:6]
        _log.exception("page failed, reference %s", reference)
        st.error(f"Something went wrong in Loupe. The server's log has the details under the reference {reference}.")


def _sidebar() -> None:
    _pick("Checkpoint", "checkpoint", checkpoints_on_offer(selection().checkpoint))
    with st.expander("Bring another checkpoint"):
        _upload_checkpoint()
        _fetch()
    _pick("Picture", "picture", pictures_on_offer(selection().picture))
    _upload_picture()
    try:
        current = picture_of(selection().picture)
        picture(current.pixels, "", f"The chosen picture, {current.name}", width=112)
    except InterpretError as error:
        st.error(told(error))
    _jobs()


def _pick(title: str, what: str, offers: list[Offer]) -> None:
    keys = [offer.key for offer in offers]
    titles = {offer.key: offer.title for offer in offers}
    current = getattr(selection(), what)
    if current not in keys:
        keys.append(current)
        titles[current] = f"{current.rpartition('/')[2][:40]} (not found)"
    widget = f"sidebar.{what}"
    if widget not in st.session_state or st.session_state.get(f"{widget}.of") != current:
        st.session_state[widget] = current
    st.session_state[f"{widget}.of"] = current
    chosen = st.selectbox(title, keys, format_func=lambda key: titles.get(key, key), key=widget)
    if chosen != current:
        choose(**{what: chosen})
        st.session_state[f"{widget}.of"] = chosen


def _upload_checkpoint() -> None:
    kinds = [suffix.lstrip(".") for suffix in CHECKPOINT_SUFFIXES]
    file = st.file_uploader(
        "Upload a checkpoint",
        type=kinds,
        key="upload.checkpoint",
        max_upload_size=max(1, limits().checkpoint_bytes >> 20),
    )
    architecture_key = st.selectbox(
        "Architecture",
        ["", *registered(), *architecture_keys()],
        format_func=lambda key: key or "recognise it from the tensors",
        help="Only needed where a file is not recognised.",
    )
    if file is None or st.session_state.get("upload.checkpoint.seen") == (file.file_id, architecture_key):
        return
    st.session_state["upload.checkpoint.seen"] = (file.file_id, architecture_key)
    key = f"upload/{keep_upload(file.name, file.getvalue())}"
    with st.spinner("Opening the checkpoint", show_time=True):
        model_of(key, architecture_key)
    choose(checkpoint=key, arch=architecture_key)
    st.rerun()


def _fetch() -> None:
    names = [key for key in architecture_keys() if not key.startswith("cifar_")]
    asked = st.selectbox(
        "Or fetch published weights",
        names,
        index=names.index("resnet18"),
        accept_new_options=True,
        key="fetch.name",
        help="A network of torchvision, or one of timm written as timm/NAME, such as timm/seresnet50.",
    )
    if st.button("Download", key="fetch.go", help="Fetched from the publisher and kept on this machine."):
        st.session_state["fetch.asked"] = asked
    wanted = st.session_state.get("fetch.asked")
    if wanted:
        path = result_of("fetch", ("fetch", wanted), f"Fetching {wanted}", lambda: fetch_pretrained(wanted))
        if path is not None:
            del st.session_state["fetch.asked"]
            choose(checkpoint=f"fetched/{path.name}")
            st.rerun()


def _upload_picture() -> None:
    kinds = [suffix.lstrip(".") for suffix in SUFFIXES]
    file = st.file_uploader("Upload a picture", type=kinds, key="upload.picture", max_upload_size=MAX_BYTES >> 20)
    pasted = pasted_picture("paste.picture")
    if pasted is not None:
        _use_picture(pasted.name, pasted.data)
    elif file is not None and st.session_state.get("upload.picture.seen") != file.file_id:
        st.session_state["upload.picture.seen"] = file.file_id
        _use_picture(file.name, file.getvalue())


def _use_picture(name: str, data: bytes) -> None:
    image = InputImage.from_bytes(data, name)
    key = f"upload/{keep_upload(name, data)}"
    RESULTS.put(("picture", key), image)
    choose(picture=key)
    st.rerun()


def _jobs() -> None:
    running = RUNNER.of(session_id())

    @st.fragment(run_every=POLL_SECONDS * 2 if running else None)
    def watch() -> None:
        for job in RUNNER.of(session_id()):
            share = job.fraction
            text, button = st.columns([4, 1], vertical_alignment="center")
            text.progress(share or 0.0, text=f"{job.title}" + (f" · {share:.0%}" if share is not None else " · ..."))
            if button.button("", icon=":material/close:", key=f"stop.{hash(job.key)}", help=f"Cancel: {job.title}"):
                RUNNER.cancel(session_id(), job.key)
        runtime = choose_runtime()
        memory = runtime.memory()
        used = f" · {memory.used / 2**30:.1f} of {memory.total / 2**30:.0f} GiB" if memory else ""
        st.caption(f"{runtime.title}{used}")

    st.divider()
    watch()
