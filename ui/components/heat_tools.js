// What a person draws with: point, box, two brushes, their size, undo and clear.

const TOOLS = { point: "Point", box: "Box", grey: "Paint grey", blur: "Blur" };
const HINTS = {
  point: "Point to read the values.",
  box: "Drag a box around the true object. Keys: Enter makes one, arrows move it, Shift and arrows size it.",
  grey: "Drag over the picture: what is painted turns grey for the network.",
  blur: "Drag over the picture: what is painted is blurred for the network.",
};
const CHOOSES = " A click chooses a map.";

class HeatTools {
  /** `change({...})` is called with a tool or a radius, `undo()` and `clear()` as they say. */
  constructor(change, undo, clear) {
    this.buttons = Object.entries(TOOLS).map(([tool, text]) => {
      const button = element("button", { type: "button", "data-tool": tool }, text);
      button.addEventListener("click", () => change({ tool }));
      return button;
    });
    const choice = element("span", { class: "choice", role: "group", "aria-label": "Tool" }, ...this.buttons);
    this.radius = element("input", { type: "range", step: 1 });
    this.radius.addEventListener("input", () => change({ radius: Number(this.radius.value) }));
    this.size = element("label", { class: "slider" }, element("span", { class: "quiet" }, "Brush size"), this.radius);
    const plain = (text, act) => {
      const button = element("button", { type: "button", class: "plain" }, text);
      button.addEventListener("click", act);
      return button;
    };
    this.undo = plain("Undo", undo);
    this.clear = plain("Clear", clear);
    this.hint = element("div", { class: "quiet", id: "hint" });
    this.node = element("div", { class: "bar" }, choice, this.undo, this.clear, this.size);
  }

  /** Shows the tool in use; `full` says that no further stroke is kept. */
  show({ tool, radius, past }, { most, drawn, several, full }) {
    for (const button of this.buttons) button.setAttribute("aria-pressed", String(button.dataset.tool === tool));
    const brush = tool === "grey" || tool === "blur";
    this.size.hidden = !brush;
    Object.assign(this.radius, { min: LEAST_RADIUS, max: most });
    this.radius.value = radius;
    this.radius.setAttribute("aria-valuetext", `radius ${radius} pixels`);
    this.undo.disabled = !past.length;
    this.clear.disabled = !drawn.box && !drawn.strokes.length;
    const words = HINTS[tool] + (tool === "point" && several ? CHOOSES : "");
    this.hint.textContent = brush && full ? `${MOST_STROKES} strokes are the most; undo some to go on.` : words;
  }
}
