// Drawing on a pane, by pointer and by key: a box or strokes in pixels of what the network saw.

const MOST_STROKES = 40;
const MOST_POINTS = 400;
const LEAST_RADIUS = 2;
const LEAST_BOX = 2;
const NUDGES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

class HeatDrawing {
  /** `view` has the tool and radius in use, what is `drawn`, and answers draw(change, byKey), redraw() and repaint(). */
  constructor(view) {
    this.view = view;
    this.brush = this.start = this.box = null;
    this.strokes = [];
  }

  /** Listens to a pane. */
  watch(pane) {
    const on = (name, act) => pane.marks.addEventListener(name, (event) => act.call(this, event, pane));
    on("pointerdown", this.down);
    on("pointermove", this.move);
    on("pointerup", this.up);
    on("pointercancel", this.drop);
    on("pointerleave", () => this.hover(null));
    pane.stage.addEventListener("keydown", (event) => this.press(event, pane));
  }

  /** What is drawn with what is being drawn. */
  get shown() {
    const { box, strokes } = this.view.drawn;
    return { box: this.box ?? box, strokes: [...strokes, ...this.strokes] };
  }

  get brushes() {
    return this.view.tool === "grey" || this.view.tool === "blur";
  }

  /** Forgets what is being drawn. */
  drop() {
    this.start = this.box = null;
    this.strokes = [];
    this.view.repaint();
  }

  placeOf(event, pane) {
    return pane.seenAt({ x: event.offsetX / pane.width, y: event.offsetY / pane.height });
  }

  down(event, pane) {
    if (this.view.tool === "point" || !this.view.drawable(pane) || event.button !== 0) return;
    pane.marks.setPointerCapture(event.pointerId);
    this.start = this.placeOf(event, pane);
    if (this.brushes) this.extend(this.start, pane.content.picture);
    this.view.repaint();
  }

  move(event, pane) {
    const at = this.placeOf(event, pane);
    this.hover(this.brushes && this.view.drawable(pane) ? { pane, at, radius: this.view.radius } : null);
    if (!this.start) return;
    const { picture } = pane.content;
    if (this.brushes) this.extend(at, picture);
    else this.box = boxBetween(this.start, at, picture);
    this.view.repaint();
  }

  up() {
    if (!this.start) return;
    const { box, strokes } = this;
    const kept = this.view.drawn.strokes;
    this.start = this.box = null;
    this.strokes = [];
    if (strokes.length) this.view.draw({ strokes: [...kept, ...strokes] });
    else if (box && box[2] - box[0] >= LEAST_BOX && box[3] - box[1] >= LEAST_BOX) this.view.draw({ box });
    this.view.repaint();
  }

  /** Goes on with the stroke, unless it has hardly moved; a long one is continued as another. */
  extend([x, y], { width, height }) {
    const at = [tenths(Math.min(Math.max(x, 0), width)), tenths(Math.min(Math.max(y, 0), height))];
    const { tool, radius } = this.view;
    const points = this.strokes.at(-1)?.points;
    const last = points?.at(-1);
    if (last && Math.hypot(at[0] - last[0], at[1] - last[1]) < radius / 3) return;
    if (points && points.length < MOST_POINTS) points.push(at);
    else if (this.shown.strokes.length < MOST_STROKES) {
      this.strokes.push({ kind: tool, radius, points: last ? [last, at] : [at] });
    }
  }

  hover(brush) {
    const changed = brush || this.brush;
    this.brush = brush;
    if (changed) this.view.redraw();
  }

  /** Keys on a pane while the box tool is in use. */
  press(event, pane) {
    if (event.altKey || event.ctrlKey || event.metaKey || this.view.tool === "point") return;
    const { picture } = pane.content;
    const { box } = this.view.drawn;
    if (event.key === "Escape") {
      const drawing = this.start;
      this.drop();
      if (!drawing && box && this.view.tool === "box") this.view.draw({ box: null });
    } else if (this.view.tool !== "box" || !this.view.drawable(pane)) return;
    else if (event.key === "Enter" && !box) {
      const { width, height } = picture;
      this.view.draw({ box: boxBetween([width / 4, height / 4], [(3 * width) / 4, (3 * height) / 4], picture) });
    } else if (event.key in NUDGES) {
      if (box) this.view.draw({ box: this.nudged(box, event, picture) }, true);
    } else return;
    event.preventDefault();
  }

  nudged(box, { key, shiftKey }, picture) {
    const step = Math.max(1, Math.round(Math.min(picture.width, picture.height) / 56));
    const [across, down] = NUDGES[key].map((way) => way * step);
    if (!shiftKey) return moved(box, across, down, picture);
    const [left, top, right, bottom] = box;
    const least = [left + LEAST_BOX, top + LEAST_BOX];
    return boxBetween([left, top], [Math.max(right + across, least[0]), Math.max(bottom + down, least[1])], picture);
  }
}
