// How the maps are looked at: hidden or not, opacity, threshold, colours, scale, smoothing, whole picture, colour bar.

const THRESHOLD_HELP =
  "Only places of at least this share of the scale's maximum keep their colour. The dashed box is each map's own: " +
  "around the largest part of at least this share of that map's maximum.";

class HeatToolbar {
  /** `change({...})` is called with what a reader has set: hidden, opacity, threshold, palette, own, smooth, whole. */
  constructor(change) {
    this.hide = element("button", { type: "button", class: "plain", "aria-pressed": "false" }, "Hide map (H)");
    this.hide.addEventListener("click", () => change({ hidden: this.hide.getAttribute("aria-pressed") === "false" }));
    const quiet = (text) => element("span", { class: "quiet" }, text);
    const slider = (name, text, title) => {
      this[name] = element("input", { type: "range", min: 0, max: 1, step: name === "opacity" ? 0.05 : 0.01 });
      this[name].addEventListener("input", () => change({ [name]: Number(this[name].value) }));
      const number = element("span", { class: "number numbers", "aria-hidden": "true" });
      this[`${name}Number`] = number;
      return element("label", { class: "slider", title }, quiet(text), this[name], number);
    };
    const tick = (name, text) => {
      this[name] = element("input", { type: "checkbox" });
      this[name].addEventListener("change", () => change({ [name]: this[name].checked }));
      return element("label", { class: "slider" }, this[name], quiet(text));
    };
    this.palette = element("select", { "aria-label": "Colours" });
    this.palette.addEventListener("change", () => change({ palette: this.palette.value }));
    const scales = [["", "One scale for all"], ["own", "Each its own"]];
    const options = scales.map(([value, text]) => element("option", { value }, text));
    this.own = element("select", { "aria-label": "Scale" }, ...options);
    this.own.addEventListener("change", () => change({ own: this.own.value === "own" }));
    const sliders = [slider("opacity", "Opacity"), slider("threshold", "Threshold", THRESHOLD_HELP)];
    const smooth = tick("smooth", "Smooth");
    this.wholeTick = tick("whole", "Whole picture");
    this.bar = new ColourBar();
    this.node = element("div", { class: "bar" }, this.hide, ...sliders, this.palette, this.own);
    this.node.append(smooth, this.wholeTick);
  }

  /** Shows what is set: the palette of those `names`; `several` maps can have scales of their own. */
  show(look, { names, palette, several, whole }) {
    this.hide.setAttribute("aria-pressed", String(look.hidden));
    for (const name of ["opacity", "threshold"]) {
      const share = `${Math.round(100 * look[name])} %`;
      this[name].value = look[name];
      this[name].setAttribute("aria-valuetext", share);
      this[`${name}Number`].textContent = share;
    }
    if ([...this.palette.options].map(({ value }) => value).join() !== names.join()) {
      this.palette.replaceChildren(...names.map((name) => element("option", { value: name }, name)));
    }
    this.palette.value = palette;
    this.palette.hidden = names.length < 2;
    this.own.value = look.own ? "own" : "";
    this.own.hidden = !several;
    this.bar.node.hidden = several && look.own;
    this.smooth.checked = look.smooth;
    this.whole.checked = look.whole;
    this.wholeTick.hidden = !whole;
  }
}
