// The point map: toolbar, legend, two stacked canvases (points; marks), and the state they all show.
// The server hears of the chosen region, the chosen point and the frame at hand, nothing else.

const HELP =
  "Arrow keys go from point to point, Enter chooses one. Shift and an arrow key move the map, plus and minus zoom, " +
  "0 shows all, Escape clears the selection.";
const DENSITY_KEY = "Lines around 10, 30, 50, 70 and 90 % of the points shown";

class PointMap {
  constructor(root) {
    this.root = root;
    this.hovered = -1;
    this.clicked = -1;
    this.region = null;
    this.legend = new Legend(() => this.filterChanged());
    this.frames = new Frames({
      changed: () => this.frameChanged(),
      moved: () => this.painter.moved(),
      rested: () => {
        const { layout, asked } = this.data;
        this.send("frame", { layout, asked, frame: this.frames.frame });
      },
    });
    this.density = new Density();
    this.tip = new PointTip();
    this.painter = new Painter(this);
    this.toolbar = new MapToolbar(this);
    this.build();
    this.gestures = new Gestures(this.stage, this);
    this.setMode("pan");
    this.resizes = new ResizeObserver(() => this.painter.layout());
    this.resizes.observe(this.stage);
  }

  /** The points of the frame at hand, once they are here. */
  get points() {
    return this.layouts?.[this.frames.frame];
  }

  destroy() {
    this.gone = true;
    this.frames.cancel();
    this.tip.hide();
    this.resizes.disconnect();
    this.painter.destroy();
    this.root.replaceChildren();
  }

  build() {
    const { canvas, marks } = this.painter;
    this.stage = element("div", { class: "stage", tabindex: "0", role: "application", "aria-describedby": "help" });
    this.key = element("div", { class: "key quiet", hidden: "" }, DENSITY_KEY);
    this.stage.append(canvas, marks, this.key, this.tip.node);
    this.failure = element("div", { class: "failure", role: "status", hidden: "" });
    this.live = element("div", { class: "unseen", "aria-live": "polite" });
    const help = element("div", { class: "unseen", id: "help" }, HELP);
    const side = element("div", { class: "side" }, this.toolbar.node, this.stage, this.frames.node);
    this.panes = element("div", { class: "panes" }, this.legend.node, side);
    this.root.append(this.failure, this.panes, this.legend.details, help, this.live);
  }

  update(data, setStateValue) {
    const before = this.data;
    this.data = data;
    this.send = setStateValue;
    if (!this.painter.renderer.gl) {
      this.fail("This browser cannot draw this map: it has no WebGL2.");
      if (!before) setStateValue("unsupported", true);
      return;
    }
    this.stage.setAttribute("aria-label", data.label);
    this.panes.style.height = `${data.height - 28}px`;
    this.legend.update(data);
    const anew = before?.layout !== data.layout;
    if (anew) {
      // Another map: its own selection and frame, and the camera it was left with.
      this.region = data.polygon && { points: data.polygon, frame: data.frame_of_region };
      this.clicked = data.clicked ?? -1;
      this.aimed = false;
    }
    if (!anew && before.digest === data.digest) {
      this.frames.update(data.frames);
      if (this.layouts) this.refresh();
      if (before.asked !== data.asked) this.go(data.asked);
      return;
    }
    this.layouts = null;
    this.frames.update(data.frames, anew || before.asked !== data.asked ? data.frame : undefined);
    this.root.dataset.state = "loading";
    this.toolbar.say("Loading the points");
    const current = () => !this.gone && this.data.digest === data.digest && this.data.layout === data.layout;
    const failed = ({ message }) => this.fail(`The points could not be loaded. ${message} Trying again.`);
    fetchPatiently([data], current, failed).then(([buffer]) => current() && this.open(buffer));
  }

  /** To the frame the server asks for; at once while its points are not here yet. */
  go(frame) {
    if (this.layouts) this.frames.go(frame);
    else this.frames.update(this.data.frames, frame);
  }

  fail(sentence) {
    this.failure.textContent = sentence;
    this.failure.hidden = false;
    this.panes.hidden = this.legend.details.hidden = true;
    this.root.dataset.state = "failed";
  }

  open(buffer) {
    const { count, category_bytes: wide, caption_bytes: captionBytes, low, step, frames } = this.data;
    const several = Math.max(1, frames.length);
    const after = 16 + 4 * count * several;
    const categories = new (wide === 1 ? Uint8Array : Uint16Array)(buffer, after, count);
    const captions = new Uint8Array(buffer, after + wide * count, captionBytes);
    let lines;
    this.caption = (i) => (lines ??= captionBytes ? new TextDecoder().decode(captions).split("\n") : [])[i] ?? "";
    this.layouts = Array.from({ length: several }, (_, frame) => {
      return new PointIndex(new Uint16Array(buffer, 16 + 4 * count * frame, 2 * count), categories, low, step);
    });
    this.failure.hidden = true;
    this.panes.hidden = this.legend.details.hidden = false;
    this.hovered = -1;
    this.tip.hide();
    this.opened = true;
    this.loadPoints();
  }

  loadPoints() {
    const { renderer } = this.painter;
    if (!this.layouts || !renderer.works) return;
    renderer.load(this.layouts.map(({ places }) => places), this.points.categories);
    this.density.forget();
    this.chosenBasis = this.colorBasis = null;
    this.refresh();
  }

  /** Everything that depends on data, theme, filter or selection. */
  refresh() {
    const { painter } = this;
    if (!painter.renderer.works) return;
    this.theme = {
      text: themeColor(this.root, "--st-text-color", "#31333f"),
      ground: themeColor(this.root, "--st-background-color", "#ffffff"),
      accent: themeColor(this.root, "--st-primary-color", "#3b6fd4"),
      font: themeColor(this.root, "--st-font", "sans-serif"),
    };
    const colors = JSON.stringify([this.data.colors, this.legend.shown]);
    if (colors !== this.colorBasis) {
      this.colorBasis = colors;
      painter.stale = true;
      painter.renderer.setColors(this.data.colors, this.legend.shown);
    }
    this.markChosen();
    painter.aim(!this.aimed);
    this.aimed = true;
    painter.layout();
    this.say();
  }

  /** Which points are chosen, worked out again only when region, filter or points changed. */
  markChosen() {
    const { region, legend, layouts } = this;
    const basis = JSON.stringify([this.data.digest, this.data.layout, region, region && legend.shown]);
    if (basis === this.chosenBasis) return;
    this.chosenBasis = basis;
    this.painter.stale = true;
    const chosen = region && layouts[region.frame].inside(region.points, legend.shown, this.data.names.length);
    this.chosenCount = chosen ? chosen.count : 0;
    this.painter.renderer.choose(chosen ? chosen.marks : null);
    legend.tell(chosen ? chosen.perCategory : null);
  }

  filterChanged() {
    if (!this.points) return;
    if (this.hovered >= 0 && !this.legend.shown[this.points.categories[this.hovered]]) this.highlight(-1);
    if (this.region) this.sendPolygon();
    this.legend.tell(this.legend.chosen);
    this.refresh();
  }

  frameChanged() {
    if (!this.points) return;
    this.highlight(-1);
    this.say();
  }

  say() {
    const { region, frames } = this;
    const elsewhere = region && region.frame !== frames.frame ? ` at ${frames.names[region.frame]}` : "";
    const chosen = region ? `${wholeNumber.format(this.chosenCount)} chosen${elsewhere} \u00b7 ` : "";
    this.toolbar.say(chosen + this.legend.sentence(this.data.count));
    this.toolbar.clear.disabled = !region && this.clicked < 0;
  }

  /** The painter has drawn the points. */
  painted() {
    if (!this.opened) return;
    this.opened = false;
    this.root.dataset.state = "ready";
    this.root.dataset.digest = this.data.digest;
    performance.mark("loupe-map-painted");
  }

  // ---- moving -------------------------------------------------------------------------------------------------

  fit() {
    if (!this.points) return;
    this.painter.camera.centre();
    this.painter.cameraMoved();
  }

  zoom(factor, x, y) {
    if (!this.points) return;
    const { camera } = this.painter;
    camera.zoomAt(factor, x ?? camera.width / 2, y ?? camera.height / 2);
    this.painter.cameraMoved();
  }

  pan(x, y) {
    this.painter.camera.pan(x, y);
    this.painter.cameraMoved();
  }

  drawMarks() {
    this.painter.drawMarks();
  }

  toggleDensity() {
    this.density.on = !this.density.on;
    this.toolbar.density.setAttribute("aria-pressed", String(this.density.on));
    this.key.hidden = !this.density.on;
    this.drawMarks();
  }

  // ---- pointing -----------------------------------------------------------------------------------------------

  setMode(mode) {
    this.gestures.mode = this.stage.dataset.mode = mode;
    this.toolbar.showMode(mode);
  }

  pointAt(x, y) {
    const { camera, pointSize } = this.painter;
    const radius = Math.max(8, pointSize / 2 + 3) / camera.scale;
    return this.points.nearest(...camera.toData(x, y), radius, this.legend.shown);
  }

  /** Highlights a point and shows its tooltip beside a place on the stage; -1 takes both away. */
  highlight(i, at) {
    if (i !== this.hovered) {
      this.hovered = i;
      this.drawMarks();
      if (i < 0) this.tip.hide();
      else this.tip.show(i, this.data.names[this.points.categories[i]] ?? "", this.caption(i), this.data.thumbnails);
    }
    if (i >= 0) placeTip(this.tip.node, this.stage, ...(at ?? this.painter.onStage(i)));
  }

  /** From the highlighted point, or the middle of the stage, to the next one in a direction. */
  step(directionX, directionY) {
    const { points } = this;
    const { camera } = this.painter;
    const from = this.hovered >= 0 ? this.hovered : this.clicked;
    const [x, y] = from >= 0 ? [points.x(from), points.y(from)] : [camera.x, camera.y];
    const next = points.ahead(x, y, directionX, directionY, from, this.legend.shown);
    if (next < 0) return;
    const [screenX, screenY] = this.painter.onStage(next);
    if (camera.atRim(screenX, screenY)) this.pan(camera.width / 2 - screenX, camera.height / 2 - screenY);
    this.highlight(next);
    this.live.textContent = this.tip.text;
  }

  // ---- choosing -----------------------------------------------------------------------------------------------

  click(i) {
    if (i === this.clicked) return;
    this.clicked = i;
    this.send("clicked", { layout: this.data.layout, index: i < 0 ? null : i });
    this.say();
    this.drawMarks();
  }

  /** Chooses a region given by its corners on the stage. */
  choose(corners) {
    const finest = Math.min(...this.data.step);
    const digits = Math.min(15, Math.max(0, 1 - Math.floor(Math.log10(finest))));
    const place = ([x, y]) => this.painter.camera.toData(x, y).map((value) => Number(value.toFixed(digits)));
    this.region = { points: corners.map(place), frame: this.frames.frame };
    this.sendPolygon();
    this.refresh();
  }

  sendPolygon() {
    const { points = null, frame = 0 } = this.region ?? {};
    this.send("polygon", { layout: this.data.layout, points, frame, hidden: points ? this.legend.hidden : [] });
  }

  clearSelection() {
    this.click(-1);
    if (!this.region) return;
    this.region = null;
    this.sendPolygon();
    if (this.points) this.refresh();
  }
}

export default mounted(PointMap);
