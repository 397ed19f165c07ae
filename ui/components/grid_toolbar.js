// The toolbar of the grid: scale, contrast, tile size, colours, and the colour bar with its numbers.

class GridToolbar {
  /** `change({...})` is called with what a reader has set: scale, lift, tile or palette. */
  constructor(change) {
    const button = (text, scale) => {
      const node = element("button", { type: "button", "aria-pressed": "false" }, text);
      node.addEventListener("click", () => change({ scale }));
      return node;
    };
    const texts = { channel: "Each channel", layer: "Whole layer", shared: "Shared" };
    this.scales = Object.fromEntries(Object.entries(texts).map(([scale, text]) => [scale, button(text, scale)]));
    this.scales.shared.hidden = true;
    const choice = element("span", { class: "choice", role: "group", "aria-label": "Colour scale" });
    choice.append(...Object.values(this.scales));

    const slider = (name, range, text, atRest) => {
      const input = element("input", { type: "range", title: "Double click: back to where it was", ...range });
      input.addEventListener("input", () => change({ [name]: Number(input.value) }));
      input.addEventListener("dblclick", () => change({ [name]: atRest }));
      this[name] = input;
      return element("label", { class: "slider" }, element("span", { class: "quiet" }, text), input);
    };
    const lift = slider("lift", { min: -2, max: 2, step: 0.1 }, "Lift weak values", 0);
    const tile = slider("tile", { min: SMALLEST_TILE, max: LARGEST_TILE, step: 1 }, "Tile size", null);
    this.palettes = element("select", { "aria-label": "Colours" });
    this.palettes.addEventListener("change", () => change({ palette: this.palettes.value }));

    this.colourBar = new ColourBar();
    this.node = element("div", { class: "bar" }, choice, lift, tile, this.palettes, this.colourBar.node);
  }

  /** Shows a view with the scale in use; returns the name of the palette it asks for. */
  show(view, scale, palettes, maps) {
    for (const [name, button] of Object.entries(this.scales)) {
      button.setAttribute("aria-pressed", String(name === scale));
    }
    this.scales.shared.hidden = !maps.shared;
    this.lift.value = view.lift;
    const further = Object.keys(palettes).filter((name) => name !== "sequential" && name !== "diverging");
    if (this.palettes.options.length !== further.length + 1) {
      const option = (name) => element("option", { value: name }, name || "Automatic");
      this.palettes.replaceChildren(...["", ...further].map(option));
    }
    this.palettes.hidden = further.length === 0;
    this.palettes.value = further.includes(view.palette) ? view.palette : "";
    return this.palettes.value || (maps.signed(scale) ? "diverging" : "sequential");
  }
}
