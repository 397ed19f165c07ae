// The map view: panes under one cursor, opacity, colour bar, tooltip, table. The server hears of the pinned place only.

const KEY_PAUSE = 140;
const BESIDE_FROM = 420;
const BETWEEN = 16;
const HIGHEST = 560;
const HINT = "Point to read the map; a click pins a place.";
const HELP = "Arrow keys move the pinned place, Escape unpins it.";
const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

// How a reader looked at a view when its page was left.
const rememberedViews = new Map();

class MapView {
  constructor(root) {
    this.root = root;
    this.panes = [];
    this.hovered = null;
    this.choice = new Choice((value, click) => {
      this.send("pinned", { place: value ? value.split(",").map(Number) : null, click });
    });
    this.draw = oncePerFrame(() => this.mark());
    this.build();
    this.resizes = new ResizeObserver(() => this.layout());
    this.resizes.observe(root);
  }

  destroy() {
    this.gone = true;
    this.choice.flush();
    this.draw.cancel();
    this.resizes.disconnect();
    this.root.replaceChildren();
  }

  build() {
    this.opacity = element("input", { type: "range", min: 0, max: 1, step: 0.05 });
    this.opacity.addEventListener("input", () => this.change({ opacity: Number(this.opacity.value) }));
    const opacity = element("span", { class: "quiet" }, "Opacity of the map");
    this.smooth = element("input", { type: "checkbox" });
    this.smooth.addEventListener("change", () => this.change({ smooth: this.smooth.checked }));
    const smooth = element("label", { class: "slider" }, this.smooth, element("span", { class: "quiet" }, "Smooth"));
    this.colourBar = new ColourBar();
    const slider = element("label", { class: "slider" }, opacity, this.opacity);
    this.bar = element("div", { class: "bar" }, slider, smooth, this.colourBar.node);
    this.row = element("div", { class: "panes", tabindex: "0", role: "application", "aria-describedby": "help" });
    this.row.addEventListener("keydown", (event) => this.press(event));
    this.tip = element("div", { class: "tip numbers", hidden: "" });
    this.frame = element("div", { class: "frame" }, this.row, this.tip);
    this.live = element("div", { class: "unseen", "aria-live": "polite" });
    this.table = new MapTable();
    this.failure = element("div", { class: "failure", role: "status", hidden: "" });
    const help = element("div", { class: "unseen", id: "help" }, HELP);
    this.root.append(this.bar, this.failure, this.frame, this.table.node, help, this.live);
  }

  update(data, setStateValue) {
    this.data = data;
    this.send = setStateValue;
    this.row.setAttribute("aria-label", data.label);
    this.root.style.maxWidth = data.width ? `${data.width}px` : "";
    if (!rememberedViews.has(data.key)) rememberedViews.set(data.key, { opacity: 0.6, smooth: false });
    this.view = rememberedViews.get(data.key);
    this.choice.hear(data.place?.join() ?? "", data.click);
    const content = [data.numbers.digest, data.pictures.digest, JSON.stringify(data.panes)].join();
    if (content === this.content) {
      if (this.root.dataset.state === "ready") this.refresh();
      return;
    }
    this.content = content;
    this.root.dataset.state = "loading";
    const current = () => !this.gone && this.content === content;
    fetchPatiently([data.numbers, data.pictures], current, (reason) => this.fail(reason, "Trying again."))
      .then(([numbers, pictures]) => readContents(numbers, pictures, data.panes))
      .then(
        (contents) => current() && this.open(contents),
        (reason) => current() && this.fail(reason),
      );
  }

  fail(reason, then = "Reload the page to try again.") {
    this.failure.textContent = `The map could not be loaded. ${reason.message} ${then}`;
    this.failure.hidden = false;
    this.root.dataset.state = "failed";
  }

  open(contents) {
    this.contents = contents;
    this.failure.hidden = true;
    this.hovered = null;
    this.tip.hidden = true;
    if (this.panes.length !== contents.length) {
      this.panes = contents.map(() => new MapPane((...at) => this.point(...at), (...at) => this.pin(...at)));
      this.row.replaceChildren(...this.panes.map((pane) => pane.node));
    }
    this.panes.forEach((pane, i) => pane.show(contents[i]));
    this.table.show(contents);
    this.refresh();
    this.root.dataset.state = "ready";
  }

  change(change) {
    Object.assign(this.view, change);
    if ("smooth" in change) this.refresh();
    else this.paint();
  }

  /** Everything that depends on data, theme or toolbar. */
  refresh() {
    const { low, high, palette, unit } = this.data;
    const colors = paletteColors(palette);
    this.colorAt = (fraction) => colors[Math.round(Math.min(Math.max(fraction, 0), 1) * 255)];
    this.color = (value) => this.colorAt(high > low ? (value - low) / (high - low) : low < 0 ? 0.5 : 0);
    this.colourBar.paint(this.colorAt);
    this.colourBar.label(low, low < 0 ? `0 · ${unit}` : unit, high);
    this.smooth.checked = this.view.smooth;
    this.pinColors = [["primary", "#3b6fd4"], ["background", "#ffffff"]].map(([name, otherwise]) => {
      return themeColor(this.root, `--st-${name}-color`, otherwise);
    });
    this.laidOut = 0;
    this.layout();
  }

  layout() {
    const width = this.root.clientWidth;
    if (!this.contents || !width || width === this.laidOut) return;
    this.laidOut = width;
    const beside = this.panes.length === 2 && width >= BESIDE_FROM;
    this.row.classList.toggle("beside", beside);
    for (const pane of this.panes) {
      pane.resize(beside ? (width - BETWEEN) / 2 : width, HIGHEST);
      pane.color(this.color, this.view.smooth);
    }
    this.paint();
    this.mark();
  }

  paint() {
    this.opacity.value = this.view.opacity;
    this.opacity.setAttribute("aria-valuetext", `${Math.round(100 * this.view.opacity)} percent`);
    for (const pane of this.panes) pane.paint(this.view.opacity);
    this.root.dataset.opacity = this.view.opacity;
  }

  /** The pinned place of the first map, or null. */
  get pinned() {
    if (!this.choice.value) return null;
    const [row, column] = this.choice.value.split(",").map(Number);
    const { rows, columns } = this.contents[0];
    return { row: Math.min(row, rows - 1), column: Math.min(column, columns - 1) };
  }

  /** Cursors in all panes, and what they say. */
  mark() {
    if (!this.contents) return;
    this.draw.cancel();
    const { pinned, hovered, contents } = this;
    const kept = pinned && contents[0].middleOf(pinned);
    this.panes.forEach((pane, i) => {
      const [own, pointed] = [kept, hovered].map((position) => position && contents[i].placeAt(position));
      pane.mark(own, pointed, this.pinColors);
    });
    const told = ({ row, column }) => `${row},${column}`;
    this.root.dataset.place = pinned ? told(pinned) : "";
    this.root.dataset.hover = hovered ? told(contents[0].placeAt(hovered)) : "";
    if (!kept) this.panes[0].note.append(element("span", { class: "quiet" }, HINT));
    const words = kept ? this.words(kept).map((lines) => lines.filter(Boolean).join(", ")).join("; ") : "";
    if (this.live.textContent !== words) this.live.textContent = words;
  }

  /** For each pane: its title if there are two, place and value, and what the place sees. */
  words(position) {
    return this.contents.map((content) => {
      return [this.contents.length > 1 ? content.title : "", ...content.words(content.placeAt(position))];
    });
  }

  point(pane, position) {
    const place = position && pane.content.placeAt(position);
    this.hovered = place && pane.content.middleOf(place);
    this.draw();
    this.tip.hidden = !place;
    if (!place) return;
    const lines = this.words(this.hovered).flatMap(([title, value, sees]) => {
      return [[title, "quiet title"], [value, ""], [sees, "quiet"]].filter(([text]) => text);
    });
    this.tip.replaceChildren(...lines.map(([text, name]) => element("div", { class: name }, text)));
    const { offsetLeft, offsetTop } = pane.stage;
    placeTip(this.tip, this.frame, offsetLeft + position.x * pane.width, offsetTop + position.y * pane.height);
  }

  pin(pane, position) {
    const { row, column } = this.contents[0].placeAt(pane.content.middleOf(pane.content.placeAt(position)));
    const value = `${row},${column}`;
    this.choose(value === this.choice.value ? "" : value, 0);
  }

  press(event) {
    if (!this.contents || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key !== "Escape" && !(event.key in STEPS)) return;
    event.preventDefault();
    if (event.key === "Escape") {
      this.choose("", 0);
      return;
    }
    const [first] = this.contents;
    const [down, right] = STEPS[event.key];
    // The first key press pins the place under the pointer, or the one in the middle.
    const at = this.pinned ?? first.placeAt(this.hovered ?? { x: 0.5, y: 0.5 });
    const [row, column] = this.pinned ? [at.row + down, at.column + right] : [at.row, at.column];
    const within = first.placeAt(first.middleOf({ row, column }));
    this.choose(`${within.row},${within.column}`, KEY_PAUSE);
  }

  choose(value, pause) {
    if (this.choice.choose(value, pause)) this.mark();
  }
}

export default mounted(MapView);
