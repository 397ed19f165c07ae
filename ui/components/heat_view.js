// The heat view: a grid of heatmaps, how one looks at them, and what is drawn. The server hears of the latter and of
// the chosen pane only.

const TELL_PAUSE = 150;
const GAP = 16;
const LEAST_PANE = 190;
const MOST_PANE = 448;
const RECOLOURED = ["threshold", "palette", "own", "smooth"];
const TYPED_IN = "textarea, select, input:not([type=range], [type=checkbox]), [contenteditable]:not([contenteditable=false])";

class HeatView {
  constructor(root) {
    this.root = root;
    this.panes = [];
    this.hovered = null;
    this.redraw = oncePerFrame(() => this.mark());
    this.choice = new Choice((value, click) => this.send("drawn", { drawn: JSON.parse(value), click }));
    this.drawing = new HeatDrawing(this);
    this.build();
    this.resizes = new ResizeObserver(() => this.layout());
    this.resizes.observe(root);
    this.hear = (event) => this.press(event);
    document.addEventListener("keydown", this.hear);
  }

  destroy() {
    this.gone = true;
    this.choice.flush();
    this.redraw.cancel();
    this.resizes.disconnect();
    document.removeEventListener("keydown", this.hear);
    this.root.replaceChildren();
  }

  build() {
    this.toolbar = new HeatToolbar((change) => this.change(change));
    this.tools = new HeatTools(
      (change) => this.change(change),
      () => this.undo(),
      () => this.draw({ box: null, strokes: [] }),
    );
    this.grid = element("div", { class: "panes", role: "group", "aria-describedby": "hint" });
    this.frame = element("div", { class: "frame" }, this.grid);
    this.tip = new HeatTip(this.frame);
    this.frame.addEventListener("pointerenter", () => (this.over = true));
    this.frame.addEventListener("pointerleave", () => (this.over = false));
    this.live = element("div", { class: "unseen", "aria-live": "polite" });
    this.table = new MapTable();
    this.failure = element("div", { class: "failure", role: "status", hidden: "" });
    this.bars = element("div", { class: "bars", hidden: "" }, this.toolbar.node, this.tools.node, this.tools.hint);
    this.root.append(this.bars, this.failure, this.frame, this.table.node, this.live);
  }

  update(data, setStateValue) {
    this.asked = data;
    this.send = setStateValue;
    this.grid.setAttribute("aria-label", data.label);
    this.look = lookOf(data.key, data.own);
    this.choice.hear(this.valueOf(data.drawn), data.click);
    this.drawn = JSON.parse(this.choice.value);
    const told = JSON.stringify([this.drawn.box, this.drawn.strokes]);
    if (told !== this.look.told) Object.assign(this.look, { told, past: [] });
    const content = JSON.stringify([data.numbers.digest, data.pictures.digest, data.panes, data.laidOut]);
    if (content === this.content) {
      if (this.root.dataset.state !== "ready") return;
      this.data = data;
      this.refresh();
      return;
    }
    this.content = content;
    this.root.dataset.state = "loading";
    const current = () => !this.gone && this.content === content;
    fetchPatiently([data.numbers, data.pictures], current, (reason) => this.fail(reason, "Trying again."))
      .then(([numbers, files]) => readHeats(numbers, files, data))
      .then(
        (read) => current() && this.open(read),
        (reason) => current() && this.fail(reason),
      );
  }

  fail(reason, then = "Reload the page to try again.") {
    this.failure.textContent = `The heatmaps could not be loaded. ${reason.message} ${then}`;
    this.failure.hidden = false;
    this.root.dataset.state = "failed";
  }

  open({ pictures, contents }) {
    // Until now the panes went with what was told before.
    Object.assign(this, { pictures, contents, hovered: null, data: this.asked });
    this.failure.hidden = true;
    this.bars.hidden = false;
    this.tip.hide();
    if (this.panes.length !== contents.length) {
      this.drawing.drop();
      this.panes = contents.map(() => this.newPane());
      this.grid.replaceChildren(...this.panes.map((pane) => pane.node));
      this.grid.classList.toggle("several", this.several);
    }
    this.panes.forEach((pane, i) => pane.show(contents[i]));
    this.table.show(contents);
    this.refresh();
    this.root.dataset.state = "ready";
  }

  newPane() {
    const choose = (pane) => this.choose(pane);
    const pane = new HeatPane((...at) => this.point(...at), (pane) => this.tool === "point" && choose(pane), choose);
    this.drawing.watch(pane);
    return pane;
  }

  get several() {
    return this.panes.length > 1;
  }

  get tool() {
    return this.data.tools ? this.look.tool : "point";
  }

  get radius() {
    return this.look.radius;
  }

  drawable(pane) {
    return this.data.tools && pane.content.picture === this.pictures[0];
  }

  change(change) {
    const { palette, ...rest } = change;
    if (palette) this.look.palettes[this.data.palettes[0][0]] = palette;
    Object.assign(this.look, rest);
    if ("whole" in change) this.refresh();
    else if (RECOLOURED.some((name) => name in change)) this.color();
    this.paint();
  }

  /** Everything that depends on data, theme or the size of the panes. */
  refresh() {
    const side = Math.min(this.pictures[0].width, this.pictures[0].height);
    this.mostRadius = Math.max(LEAST_RADIUS + 1, Math.round(side / 4));
    const radius = this.look.radius ?? Math.round(side / 14);
    this.look.radius = Math.min(Math.max(radius, LEAST_RADIUS), this.mostRadius);
    this.tools.node.hidden = this.tools.hint.hidden = !this.data.tools;
    (this.data.tools ? this.tools : this.toolbar).node.append(this.toolbar.bar.node);
    this.lineColors = [["primary", "#3b6fd4"], ["background", "#ffffff"]].map(([name, otherwise]) => {
      return themeColor(this.root, `--st-${name}-color`, otherwise);
    });
    this.laidOut = 0;
    this.stale = true;
    this.layout();
  }

  /** As many columns as fit, and no more than fill the rows evenly. */
  layout() {
    const width = this.root.clientWidth;
    if (!this.contents || !width || width === this.laidOut) return;
    this.laidOut = width;
    const count = this.panes.length;
    const most = Math.max(1, Math.floor((width + GAP) / (LEAST_PANE + GAP)));
    const columns = Math.ceil(count / Math.ceil(count / most));
    const room = Math.min(MOST_PANE, Math.floor((width - GAP * (columns - 1)) / columns));
    this.grid.style.gridTemplateColumns = `repeat(${columns}, ${room}px)`;
    for (const pane of this.panes) pane.resize(room, this.look.whole);
    this.color();
    this.paint();
  }

  color() {
    const { palettes, shared, unit } = this.data;
    const { look, several } = this;
    const { names, palette, colors } = chosenPalette(palettes, look);
    showScale(this.toolbar.bar, colors, shared, look.threshold, unit);
    this.panes.forEach((pane, i) => {
      const own = look.own && several;
      const scale = own ? this.contents[i].scale : shared;
      pane.bar.node.hidden = !own;
      if (own) showScale(pane.bar, colors, scale, look.threshold, "");
      pane.color({ colors, scale, least: leastColoured(scale, look.threshold), smooth: look.smooth });
    });
    const whole = this.pictures.some((picture) => picture.whole);
    this.toolbar.names = { names, palette, several, whole };
    this.root.dataset.palette = palette;
  }

  paint() {
    if (!this.contents) return;
    const { look, tool } = this;
    this.toolbar.show(look, this.toolbar.names);
    if (this.stale) this.pictures[0].paint(this.drawing.shown.strokes);
    this.stale = false;
    for (const pane of this.panes) pane.paint(look.hidden ? 0 : look.opacity);
    const { opacity, threshold, hidden, smooth, whole } = look;
    const scale = look.own && this.several ? "own" : "shared";
    Object.assign(this.root.dataset, { opacity, threshold, hidden, smooth, whole, scale, tool });
    this.grid.dataset.tool = tool;
    this.mark();
  }

  /** Strokes changed. */
  repaint() {
    this.stale = true;
    this.redraw();
  }

  /** Boxes, cursors and what the tools show. */
  mark() {
    if (!this.contents) return;
    this.redraw.cancel();
    if (this.stale) {
      this.paint();
      return;
    }
    const { look, drawn, data, hovered } = this;
    const { box, strokes } = this.drawing.shown;
    this.panes.forEach((pane, i) => {
      const { picture } = data.panes[i];
      const { brush } = this.drawing;
      pane.mark({
        truth: picture === 0 && box ? [box] : data.boxes[picture],
        own: look.hidden ? null : pane.content.boxAt(look.threshold),
        position: this.tool === "point" ? hovered : null,
        brush: brush?.pane === pane ? brush : null,
        colors: this.lineColors,
      });
      pane.tell(this.several, i === drawn.pane);
      pane.node.classList.toggle("drawable", this.drawable(pane));
    });
    this.tools.show(look, { most: this.mostRadius, drawn, several: this.several, full: strokes.length >= MOST_STROKES });
    const boxes = this.panes.map((pane) => pane.stage.dataset.own).join(";");
    const hover = hovered ? this.panes[0].stage.dataset.cursor : "";
    const told = { box: box?.join() ?? "", strokes: strokes.length, pane: drawn.pane, boxes, hover };
    Object.assign(this.root.dataset, told);
  }

  point(pane, position) {
    const at = this.tool === "point" && position ? pane.within(position) : null;
    this.hovered = at && pane.content.middleOf(pane.content.placeAt(at));
    this.redraw();
    if (at) this.tip.show(pane, position, this.hovered, this.contents);
    else this.tip.hide();
  }

  press(event) {
    if (event.key?.toLowerCase() !== "h" || event.altKey || event.ctrlKey || event.metaKey || event.repeat) return;
    const path = event.composedPath();
    if (!this.contents || (!this.over && !path.includes(this.root)) || path[0].closest?.(TYPED_IN)) return;
    event.preventDefault();
    this.change({ hidden: !this.look.hidden });
  }

  valueOf({ box, strokes, pane }) {
    return JSON.stringify({ box, strokes, pane });
  }

  choose(pane) {
    if (this.several) this.tell({ pane: this.panes.indexOf(pane) }, 0);
  }

  /** Draws something else. Key presses in a row are one step for `undo`. */
  draw(change, byKey = false) {
    const { box, strokes } = this.drawn;
    if (!(byKey && this.byKey)) this.look.past.push({ box, strokes });
    this.byKey = byKey;
    this.tell(change, TELL_PAUSE);
  }

  undo() {
    this.byKey = false;
    this.tell(this.look.past.pop(), TELL_PAUSE);
  }

  tell(change, pause) {
    this.drawn = { ...this.drawn, ...change };
    this.look.told = JSON.stringify([this.drawn.box, this.drawn.strokes]);
    this.choice.choose(this.valueOf(this.drawn), pause);
    const { box, strokes, pane } = this.drawn;
    const [left, top, right, bottom] = (box ?? []).map(Math.round);
    const sized = box ? `Box ${right - left} × ${bottom - top} px at ${left}, ${top}` : "No box";
    const chosen = this.several ? `, map ${this.contents[pane]?.title} chosen` : "";
    this.live.textContent = `${sized}, ${strokes.length} strokes${chosen}`;
    this.stale = true;
    this.paint();
  }
}

export default mounted(HeatView);
