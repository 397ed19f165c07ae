"""A network strip, chosen by the query parameters; what Python received is written below it."""

from __future__ import annotations

import time

import streamlit as st

from tests.ui.component_apps.example_data import COLORS, HOSTILE_NAME
from ui.components.network_strip import StripBlock, StripLayer, network_strip

HOSTILE_FACTS = "**bold** [link](http://example.invalid/) $x^2$ :red[no] <b>not bold</b>"


def example_blocks(case: str = "plain") -> list[StripBlock]:
    """A network in blocks: "plain" of six; "hostile" with names from a file; "long" of 80 blocks in five parts."""

    def block(name: str, part: str, channels: int, rows: int, layers: dict[str, str], kind: int = 1) -> StripBlock:
        title, legend = ("convolution", "plain") if kind == 0 else ("residual block", "residual")
        offered = tuple(StripLayer(name, facts) for name, facts in layers.items())
        return StripBlock(name, title, COLORS[kind], legend, part, channels, rows, offered)

    if case == "long":
        stages = [(f"stage {stage}", stage, number) for stage in range(5) for number in range(16)]
        return [
            block(
                f"layer{stage}.{number}",
                part,
                64 * 2**stage,
                112 >> stage,
                {f"layer{stage}.{number}.{name}": f"Conv2d · {64 * 2**stage} channels" for name in ("conv1", "conv2")},
            )
            for part, stage, number in stages
        ]
    if case == "hostile":
        return [
            block("stem", "stem", 64, 56, {"stem.conv": "Conv2d"}, 0),
            block(HOSTILE_NAME, HOSTILE_NAME, 64, 28, {f"{HOSTILE_NAME}.conv": HOSTILE_FACTS}),
        ]
    return [
        block("stem", "stem", 64, 56, {"stem.conv": "Conv2d · 64 × 56 × 56", "stem.relu": "ReLU · 64 × 56 × 56"}, 0),
        block(
            "layer1.0",
            "stage 1",
            64,
            28,
            {
                "layer1.0.conv1": "Conv2d · 64 × 28 × 28 · stride 2 px",
                "layer1.0.bn1": "BatchNorm2d · 64 × 28 × 28",
                "layer1.0": "BasicBlock · 64 × 28 × 28",
            },
        ),
        block("layer1.1", "stage 1", 64, 28, {}),
        block(
            "layer2.0",
            "stage 2",
            128,
            14,
            {"layer2.0.conv1": "Conv2d · 128 × 14 × 14", "layer2.0": "BasicBlock · 128 × 14 × 14", "layer2": "Stage"},
        ),
        block("flatten", "head", 128, 1, {}, 0),
        block("fc", "head", 1000, 1, {"fc": "Linear · 1,000 scores"}, 0),
    ]


def show() -> None:
    """The app."""
    st.set_page_config(layout="wide")
    query = st.query_params
    case = query.get("case", "plain")
    blocks = example_blocks(case)
    wanted = "stem.conv" if st.button("Choose stem.conv") else st.session_state.get("chosen")
    time.sleep(float(query.get("slow", "0")))
    with st.container(width=int(query.get("width", "0")) or "stretch"):
        chosen = network_strip(
            blocks,
            key=f"strip.{case}",
            selected=wanted or blocks[0].layers[0].name,
            label=f"The {case} network, {len(blocks)} blocks",
        )
    st.session_state["chosen"] = chosen
    st.session_state["runs"] = st.session_state.get("runs", 0) + 1
    st.text(f"Python has {chosen} in run {st.session_state['runs']}")


if __name__ == "__main__":
    show()
