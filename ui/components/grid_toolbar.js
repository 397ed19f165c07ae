// The toolbar of the grid: scale, contrast, tile size, colours, and the colour bar with its numbers.

const SMALLEST_TILE = 34;
const LARGEST_TILE = 112;

class GridToolbar {
  /** `change({...})` is called with what a reader has set: scale, lift, tile or palette. */
  constructor(change) {
    const button = (text, scale) => {
      const node = element("button", { type: "button", "aria-pressed": "false" }, text);
      node.addEventListener("click", () => change({ scale }));
      return node;
    };
    this.scales = { channel: button("Each channel", "channel"), layer: button("Whole layer", "layer") };
    const choice = element("span", { class: "choice", role: "group", "aria-label": "Colour scale" });
    choice.append(this.scales.channel, this.scales.layer);

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

    this.ramp = element("canvas", { width: 256, height: 1, "aria-hidden": "true" });
    this.low = element("span");
    this.middle = element("span");
    this.high = element("span");
    const ends = element("span", { class: "ends quiet numbers" }, this.low, this.middle, this.high);
    const colourBar = element("span", { class: "colourbar" }, this.ramp, ends);
    this.node = element("div", { class: "bar" }, choice, lift, tile, this.palettes, colourBar);
  }

  /** Shows a view; returns the name of the palette it asks for. */
  show(view, palettes, signed) {
    for (const [scale, button] of Object.entries(this.scales)) {
      button.setAttribute("aria-pressed", String(scale === view.scale));
    }
    this.lift.value = view.lift;
    const further = Object.keys(palettes).filter((name) => name !== "sequential" && name !== "diverging");
    if (this.palettes.options.length !== further.length + 1) {
      const option = (name) => element("option", { value: name }, name || "Automatic");
      this.palettes.replaceChildren(...["", ...further].map(option));
    }
    this.palettes.hidden = further.length === 0;
    this.palettes.value = further.includes(view.palette) ? view.palette : "";
    return this.palettes.value || (signed ? "diverging" : "sequential");
  }

  /** Draws the colour bar; `color` gives the colour at a fraction of the scale. */
  paint(color) {
    const context = this.ramp.getContext("2d");
    const image = context.createImageData(256, 1);
    const pixels = new Uint32Array(image.data.buffer);
    for (let x = 0; x < 256; x += 1) pixels[x] = color(x / 255);
    context.putImageData(image, 0, 0);
  }

  label(low, middle, high) {
    this.low.textContent = formatNumber(low);
    this.middle.textContent = middle;
    this.high.textContent = formatNumber(high);
  }
}
