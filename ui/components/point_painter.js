// What the stage shows: the points in one canvas and the marks in another, seen by one camera.

const MOVING_MILLISECONDS = 20;

// Where the camera stood when a page was left.
const rememberedCameras = new Map();

class Painter {
  /** `map` has data, points, frames, theme, legend, density, region, clicked, hovered and the gestures' stroke. */
  constructor(map) {
    this.map = map;
    this.camera = new Camera();
    this.canvas = element("canvas", { "aria-hidden": "true" });
    this.marks = element("canvas", { "aria-hidden": "true" });
    this.renderer = new PointRenderer(this.canvas);
    if (this.renderer.works) this.renderer.prepare();
    this.draw = oncePerFrame(() => this.paint());
    this.drawMarks = oncePerFrame(() => this.paintMarks());
    this.surviveContextLoss();
  }

  surviveContextLoss() {
    const { canvas, map } = this;
    canvas.addEventListener("webglcontextlost", (event) => {
      event.preventDefault();
      if (map.gone) return;
      map.toolbar.say("The graphics context was lost; waiting for the browser to restore it.");
    });
    canvas.addEventListener("webglcontextrestored", () => {
      if (map.gone) return;
      this.renderer.prepare();
      map.loadPoints();
    });
  }

  destroy() {
    this.draw.cancel();
    this.drawMarks.cancel();
    clearTimeout(this.timer);
    this.renderer.release();
  }

  /** The rectangle that holds all points and rings of all frames. */
  get bounds() {
    const { low, step, rings } = this.map.data;
    const corners = [low, [low[0] + 65535 * step[0], low[1] + 65535 * step[1]], ...rings.filter(Boolean)];
    const [xs, ys] = [0, 1].map((axis) => corners.map((corner) => corner[axis]));
    return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
  }

  /** Takes the data's extent; with another layout, the camera it was left with or one that shows everything. */
  aim(anew) {
    const { bounds, camera } = this;
    this.stale ||= anew || bounds.some((end, i) => end !== camera.bounds[i]);
    camera.bounds = bounds;
    if (!anew) return;
    camera.centre();
    const known = rememberedCameras.get(this.map.data.key);
    if (known?.layout === this.map.data.layout) Object.assign(camera, known.camera);
  }

  layout() {
    const { stage, points } = this.map;
    const { camera } = this;
    camera.width = stage.clientWidth;
    camera.height = stage.clientHeight;
    if (!points || !camera.width || !this.renderer.works) return;
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
    const still = Math.min(9, Math.max(1.6, 13 - 2 * Math.log10(Math.max(1, this.map.points.count))));
    return Math.min(18, still * Math.pow(Math.max(1, this.camera.zoom), 0.4));
  }

  /** Thinner where there are many, so that crowded places stay darker than sparse ones. */
  get opacity() {
    return Math.min(0.85, Math.max(0.35, 0.85 - 0.22 * Math.log10(Math.max(1, this.map.points.count / 10000))));
  }

  paint() {
    this.draw.cancel();
    const { camera, renderer, map } = this;
    const { points } = map;
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
        ...map.frames.between,
        size: Math.max(1, this.pointSize * this.ratio),
        opacity: this.opacity,
        faint: 0.12,
        atMost: Math.max(20000, Math.ceil(points.count * share)),
      });
    }
    this.paintMarks();
    map.painted();
  }

  paintMarks() {
    const { camera, map } = this;
    const { points, theme, frames, region } = map;
    if (!points || !camera.width) return;
    const context = this.marks.getContext("2d");
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, camera.width, camera.height);
    if (map.density.on && frames.still) map.density.paint(context, theme, points, map.legend.shown, camera);
    const drawn = region && frames.still && region.frame === frames.frame ? region.points : null;
    paintRegion(context, theme, map.gestures.stroke ?? drawn?.map(([x, y]) => camera.toScreen(x, y)));
    for (const [i, color] of [[map.clicked, theme.accent], [map.hovered, theme.text]]) {
      if (i >= 0) paintCircle(context, theme, this.onStage(i), this.pointSize / 2 + 3, color, 2);
    }
    const { rings, ring_label: label } = map.data;
    const { from, to, mix } = frames.between;
    if (rings[from] && rings[to]) {
      const place = [0, 1].map((axis) => rings[from][axis] * (1 - mix) + rings[to][axis] * mix);
      paintRing(context, theme, camera.toScreen(...place), label, camera.width);
    }
  }

  /** Where a point is drawn, also on its way between frames. */
  onStage(i) {
    const { layouts, frames } = this.map;
    const { from, to, mix } = frames.between;
    const mixed = (axis) => layouts[from][axis](i) * (1 - mix) + layouts[to][axis](i) * mix;
    return this.camera.toScreen(mixed("x"), mixed("y"));
  }

  /** After the camera or the points moved: draw, and draw all points once they rest. */
  moved() {
    this.moving = true;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.moving = false;
      this.draw();
    }, 160);
    this.draw();
  }

  /** The same for the camera, which is remembered. */
  cameraMoved() {
    const { x, y, zoom } = this.camera;
    const { key, layout } = this.map.data;
    rememberedCameras.set(key, { layout, camera: { x, y, zoom } });
    this.moved();
  }
}
