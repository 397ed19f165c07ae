// The row of buttons over the map, and what it says of the points.

const DENSITY_TITLE =
  "Lines around the densest places: the innermost hold 10 % of the points shown, the next 30, 50, 70 and 90 %.";

class MapToolbar {
  /** `map` answers setMode, zoom, fit, clearSelection and toggleDensity. */
  constructor(map) {
    const button = (text, attributes, act) => {
      const node = element("button", { type: "button", ...attributes }, text);
      node.addEventListener("click", act);
      return node;
    };
    const group = (label, ...buttons) => {
      return element("span", { class: "choice", role: "group", "aria-label": label }, ...buttons);
    };
    this.modes = {};
    for (const [mode, text] of [["pan", "Move"], ["lasso", "Lasso"], ["box", "Box"]]) {
      this.modes[mode] = button(text, {}, () => map.setMode(mode));
    }
    const zooms = group(
      "Zoom",
      button("\u2212", { "aria-label": "Zoom out" }, () => map.zoom(1 / 1.5)),
      button("+", { "aria-label": "Zoom in" }, () => map.zoom(1.5)),
      button("Fit", { "aria-label": "Zoom to all points" }, () => map.fit()),
    );
    this.density = button("Density", { class: "plain", title: DENSITY_TITLE }, () => map.toggleDensity());
    this.clear = button("Clear selection", { class: "plain", disabled: "" }, () => map.clearSelection());
    this.status = element("span", { class: "status quiet numbers", "aria-live": "polite" });
    const modes = group("What dragging does", ...Object.values(this.modes));
    this.node = element("div", { class: "bar" }, modes, zooms, this.density, this.clear, this.status);
  }

  showMode(mode) {
    for (const [name, button] of Object.entries(this.modes)) button.setAttribute("aria-pressed", String(name === mode));
  }

  say(sentence) {
    if (this.status.textContent !== sentence) this.status.textContent = sentence;
  }
}
