// The point map: toolbar, legend, two stacked canvases (points; marks), and the state they all show.
// The server hears of the chosen region and the chosen point, nothing else.

const MOVING_MILLISECONDS = 20;
const HELP =
  "Arrow keys go from point to point, Enter chooses one. Shift and an arrow key move the map, plus and minus zoom, " +
  "0 shows all, Escape clears the selection.";

// Where the camera stood when a page was left.
const rememberedCameras = new Map();

class PointMap {
  constructor(root) {
    this.root = root;
    this.hovered = -1;
    this.clicked = -1;
    this.polygon = null;
    this.camera = new Camera();
    this.legend = new Legend(() => this.filterChanged());
    this.tip = new PointTip();
    this.draw = oncePerFrame(() => this.paint());
    this.drawMarks = oncePerFrame(() => this.paintMarks());
    this.build();
    this.gestures = new Gestures(this.stage, this);
    this.setMode("pan");
    this.surviveContextLoss();
    this.renderer = new PointRenderer(this.canvas);
    if (this.renderer.works) this.renderer.prepare();
    this.resizes = new ResizeObserver(() => this.layout());
    this.resizes.observe(this.stage);
  }

  destroy() {
    this.gone = true;
    this.draw.cancel();
    this.drawMarks.cancel();
    clearTimeout(this.timer);
    this.tip.hide();
    this.resizes.disconnect();
    this.renderer.release();
    this.root.replaceChildren();
  }

  build() {
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
      this.modes[mode] = button(text, {}, () => this.setMode(mode));
    }
    const zooms = group(
      "Zoom",
      button("\u2212", { "aria-label": "Zoom out" }, () => this.zoom(1 / 1.5)),
      button("+", { "aria-label": "Zoom in" }, () => this.zoom(1.5)),
      button("Fit", { "aria-label": "Zoom to all points" }, () => this.fit()),
    );
    this.clear = button("Clear selection", { class: "plain", disabled: "" }, () => this.clearSelection());
    this.status = element("span", { class: "status quiet numbers", "aria-live": "polite" });
    const modes = group("What dragging does", ...Object.values(this.modes));
    const bar = element("div", { class: "bar" }, modes, zooms, this.clear, this.status);
    this.canvas = element("canvas", { "aria-hidden": "true" });
    this.marks = element("canvas", { "aria-hidden": "true" });
    this.stage = element("div", { class: "stage", tabindex: "0", role: "application", "aria-describedby": "help" });
    this.stage.append(this.canvas, this.marks, this.tip.node);
    this.failure = element("div", { class: "failure", role: "status", hidden: "" });
    this.live = element("div", { class: "unseen", "aria-live": "polite" });
    const help = element("div", { class: "unseen", id: "help" }, HELP);
    const side = element("div", { class: "side" }, bar, this.stage);
    this.panes = element("div", { class: "panes" }, this.legend.node, side);
    this.root.append(this.failure, this.panes, this.legend.details, help, this.live);
  }

  surviveContextLoss() {
    this.canvas.addEventListener("webglcontextlost", (event) => {
      event.preventDefault();
      if (!this.gone) this.status.textContent = "The graphics context was lost; waiting for the browser to restore it.";
    });
    this.canvas.addEventListener("webglcontextrestored", () => {
      if (this.gone) return;
      this.renderer.prepare();
      this.loadPoints();
    });
  }

  update(data, setStateValue) {
    const before = this.data;
    this.data = data;
    this.send = setStateValue;
    if (!this.renderer.gl) {
      this.fail("This browser cannot draw this map: it has no WebGL2.");
      if (!before) setStateValue("unsupported", true);
      return;
    }
    this.stage.setAttribute("aria-label", data.label);
    this.panes.style.height = `${data.height - 28}px`;
    this.legend.update(data);
    if (before?.layout !== data.layout) {
      // Another map: its own selection, and the camera it was left with.
      this.polygon = data.polygon;
      this.clicked = data.clicked ?? -1;
      this.placed = false;
    }
    if (this.points && before.digest === data.digest) {
      this.refresh();
      return;
    }
    this.points = null;
    this.root.dataset.state = "loading";
    this.status.textContent = "Loading the points";
    const current = () => !this.gone && this.data.digest === data.digest;
    fetchBytes(data.url, data.digest).then(
      (buffer) => current() && this.open(buffer),
      ({ message }) => current() && this.fail(`The points could not be loaded. ${message} Reload the page.`),
    );
  }

  fail(sentence) {
    this.failure.textContent = sentence;
    this.failure.hidden = false;
    this.panes.hidden = this.legend.details.hidden = true;
    this.root.dataset.state = "failed";
  }

  open(buffer) {
    const { count, category_bytes: wide, caption_bytes: captionBytes, low, step } = this.data;
    const places = new Uint16Array(buffer, 16, 2 * count);
    const categories = new (wide === 1 ? Uint8Array : Uint16Array)(buffer, 16 + 4 * count, count);
    const captions = new Uint8Array(buffer, 16 + (4 + wide) * count, captionBytes);
    let lines;
    this.caption = (i) => (lines ??= captionBytes ? new TextDecoder().decode(captions).split("\n") : [])[i] ?? "";
    this.points = new PointIndex(places, categories, low, step);
    this.failure.hidden = true;
    this.panes.hidden = this.legend.details.hidden = false;
    this.hovered = -1;
    this.tip.hide();
    this.opened = true;
    this.loadPoints();
  }

  loadPoints() {
    if (!this.points || !this.renderer.works) return;
    this.renderer.load(this.points.places, this.points.categories);
    this.chosenBasis = this.colorBasis = null;
    this.refresh();
  }

  /** Everything that depends on data, theme, filter or selection. */
  refresh() {
    if (!this.renderer.works) return;
    this.theme = {
      text: themeColor(this.root, "--st-text-color", "#31333f"),
      ground: themeColor(this.root, "--st-background-color", "#ffffff"),
      accent: themeColor(this.root, "--st-primary-color", "#3b6fd4"),
      font: themeColor(this.root, "--st-font", "sans-serif"),
    };
    const colors = JSON.stringify([this.data.colors, this.legend.shown]);
    if (colors !== this.colorBasis) {
      this.colorBasis = colors;
      this.stale = true;
      this.renderer.setColors(this.data.colors, this.legend.shown);
    }
    this.markChosen();
    const bounds = this.bounds();
    this.stale ||= bounds.some((end, i) => end !== this.camera.bounds[i]);
    this.camera.bounds = bounds;
    if (!this.placed) {
      this.placed = this.stale = true;
      this.camera.centre();
      const known = rememberedCameras.get(this.data.key);
      if (known?.layout === this.data.layout) Object.assign(this.camera, known.camera);
    }
    this.layout();
    this.say();
  }

  /** Which points are chosen, worked out again only when region, filter or points changed. */
  markChosen() {
    const { polygon, legend, points } = this;
    const basis = JSON.stringify([this.data.digest, polygon, polygon && legend.shown]);
    if (basis === this.chosenBasis) return;
    this.chosenBasis = basis;
    this.stale = true;
    const region = polygon && points.inside(polygon, legend.shown);
    this.chosenCount = region ? region.count : 0;
    this.renderer.choose(region ? region.marks : null);
    const perCategory = region && new Array(this.data.names.length).fill(0);
    region?.marks.forEach((mark, i) => {
      if (mark) perCategory[points.categories[i]] += 1;
    });
    legend.tell(perCategory);
  }

  filterChanged() {
    if (!this.points) return;
    if (this.hovered >= 0 && !this.legend.shown[this.points.categories[this.hovered]]) this.highlight(-1);
    if (this.polygon) this.sendPolygon();
    this.legend.tell(this.legend.chosen);
    this.refresh();
  }

  say() {
    const { all, shown } = this.legend.points;
    const parts = [];
    if (this.polygon) parts.push(`${wholeNumber.format(this.chosenCount)} chosen`);
    if (shown < all) parts.push(`${wholeNumber.format(shown)} of ${wholeNumber.format(all)} points shown`);
    else parts.push(`${wholeNumber.format(all)} ${all === 1 ? "point" : "points"}`);
    if (all < this.data.count) parts.push(`${wholeNumber.format(this.data.count - all)} without a place`);
    const sentence = parts.join(" \u00b7 ");
    if (this.status.textContent !== sentence) this.status.textContent = sentence;
    this.clear.disabled = !this.polygon && this.clicked < 0;
  }

  // ---- drawing ------------------------------------------------------------------------------------------------

  /** The rectangle that holds all points and the ring. */
  bounds() {
    const { low, step, ring } = this.data;
    const [left, bottom] = ring ? [Math.min(low[0], ring[0]), Math.min(low[1], ring[1])] : low;
    const [right, top] = [low[0] + 65535 * step[0], low[1] + 65535 * step[1]];
    return ring ? [left, bottom, Math.max(right, ring[0]), Math.max(top, ring[1])] : [left, bottom, right, top];
  }

  layout() {
    const { stage, camera } = this;
    camera.width = stage.clientWidth;
    camera.height = stage.clientHeight;
    if (!this.points || !camera.width || !this.renderer.works) return;
    this.ratio = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(camera.width * this.ratio), Math.round(camera.height * this.ratio)];
    for (const canvas of [this.canvas, this.marks]) {
      if (canvas.width === width && canvas.height === height) continue;
      canvas.width = width;
      canvas.height = height;
      this.stale = true;
    }
    // A new run of the script that changes nothing here must not cost a picture of a million points.
    if (this.stale) this.paint();
    else this.paintMarks();
  }

  get pointSize() {
    const still = Math.min(9, Math.max(1.6, 13 - 2 * Math.log10(Math.max(1, this.points.count))));
    return Math.min(18, still * Math.pow(Math.max(1, this.camera.zoom), 0.4));
  }

  /** Thinner where there are many, so that crowded places stay darker than sparse ones. */
  get opacity() {
    return Math.min(0.85, Math.max(0.35, 0.85 - 0.22 * Math.log10(Math.max(1, this.points.count / 10000))));
  }

  paint() {
    this.draw.cancel();
    const { camera, points, renderer } = this;
    if (!points || !camera.width) return;
    if (this.ratio !== (window.devicePixelRatio || 1)) {
      this.layout();
      return;
    }
    this.stale = false;
    if (renderer.works) {
      // While the map moves, a device that is too slow for all points draws as many as it can in time.
      const share = this.moving ? Math.min(1, MOVING_MILLISECONDS / Math.max(renderer.cost ?? 0, 0.1)) : 1;
      renderer.draw({
        ...camera.forPlaces(points.low, points.step),
        size: Math.max(1, this.pointSize * this.ratio),
        opacity: this.opacity,
        faint: 0.12,
        atMost: Math.max(20000, Math.ceil(points.count * share)),
      });
    }
    this.paintMarks();
    if (this.opened) {
      this.opened = false;
      this.root.dataset.state = "ready";
      this.root.dataset.digest = this.data.digest;
      performance.mark("loupe-map-painted");
    }
  }

  paintMarks() {
    const { camera, points, theme, data } = this;
    if (!points || !camera.width) return;
    const context = this.marks.getContext("2d");
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, camera.width, camera.height);
    paintRegion(context, theme, this.gestures.stroke ?? this.polygon?.map(([x, y]) => camera.toScreen(x, y)));
    for (const [i, color] of [[this.clicked, theme.accent], [this.hovered, theme.text]]) {
      if (i >= 0) paintCircle(context, theme, this.onStage(i), this.pointSize / 2 + 3, color, 2);
    }
    if (data.ring) paintRing(context, theme, camera.toScreen(...data.ring), data.ring_label, camera.width);
  }

  onStage(i) {
    return this.camera.toScreen(this.points.x(i), this.points.y(i));
  }

  /** After the camera changed: draw, remember, and draw all points once it rests. */
  moved() {
    const { x, y, zoom } = this.camera;
    rememberedCameras.set(this.data.key, { layout: this.data.layout, camera: { x, y, zoom } });
    this.moving = true;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.moving = false;
      this.draw();
    }, 160);
    this.draw();
  }

  fit() {
    if (!this.points) return;
    this.camera.centre();
    this.moved();
  }

  zoom(factor, x = this.camera.width / 2, y = this.camera.height / 2) {
    if (!this.points) return;
    this.camera.zoomAt(factor, x, y);
    this.moved();
  }

  pan(x, y) {
    this.camera.pan(x, y);
    this.moved();
  }

  // ---- pointing -----------------------------------------------------------------------------------------------

  setMode(mode) {
    this.gestures.mode = mode;
    for (const [name, button] of Object.entries(this.modes)) button.setAttribute("aria-pressed", String(name === mode));
    this.stage.dataset.mode = mode;
  }

  pointAt(x, y) {
    const radius = Math.max(8, this.pointSize / 2 + 3) / this.camera.scale;
    return this.points.nearest(...this.camera.toData(x, y), radius, this.legend.shown);
  }

  /** Highlights a point and shows its tooltip beside a place on the stage; -1 takes both away. */
  highlight(i, at) {
    if (i !== this.hovered) {
      this.hovered = i;
      this.drawMarks();
      if (i < 0) this.tip.hide();
      else this.tip.show(i, this.data.names[this.points.categories[i]] ?? "", this.caption(i), this.data.thumbnails);
    }
    if (i >= 0) placeTip(this.tip.node, this.stage, ...(at ?? this.onStage(i)));
  }

  /** From the highlighted point, or the middle of the stage, to the next one in a direction. */
  step(directionX, directionY) {
    const { camera, points } = this;
    const from = this.hovered >= 0 ? this.hovered : this.clicked;
    const [x, y] = from >= 0 ? [points.x(from), points.y(from)] : [camera.x, camera.y];
    const [left, bottom, right, top] = camera.bounds;
    const most = Math.max(right - left, top - bottom);
    let next = -1;
    for (let reach = most / 64; next < 0 && reach <= 2 * most; reach *= 4) {
      next = points.ahead(x, y, directionX, directionY, reach, from, this.legend.shown);
    }
    if (next < 0) return;
    const [screenX, screenY] = this.onStage(next);
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
    this.polygon = corners.map(([x, y]) => this.camera.toData(x, y).map((value) => Number(value.toFixed(digits))));
    this.sendPolygon();
    this.refresh();
  }

  sendPolygon() {
    const hidden = this.polygon ? this.legend.hidden : [];
    this.send("polygon", { layout: this.data.layout, points: this.polygon, hidden });
  }

  clearSelection() {
    this.click(-1);
    if (!this.polygon) return;
    this.polygon = null;
    this.sendPolygon();
    if (this.points) this.refresh();
  }
}

export default mounted(PointMap);
