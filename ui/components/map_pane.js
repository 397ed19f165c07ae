// One pane: the picture with the map over it, and on a second canvas the places and what they see.

const LEAST_OUTLINE = 6;

class MapPane {
  /** `point(pane, position)` is called as the pointer moves, null as it leaves; `press(pane, position)` on a click. */
  constructor(point, press) {
    this.canvas = element("canvas", { "aria-hidden": "true" });
    this.marks = element("canvas", { class: "marks", "aria-hidden": "true" });
    this.stage = element("div", { class: "stage" }, this.canvas, this.marks);
    this.title = element("div", { class: "quiet title" });
    this.note = element("div", { class: "note numbers" });
    this.node = element("div", { class: "pane" }, this.stage, this.title, this.note);
    const position = ({ offsetX, offsetY }) => ({ x: offsetX / this.width, y: offsetY / this.height });
    this.marks.addEventListener("pointermove", (event) => point(this, position(event)));
    this.marks.addEventListener("pointerleave", () => point(this, null));
    this.marks.addEventListener("click", (event) => press(this, position(event)));
  }

  show(content) {
    this.content = content;
    this.title.textContent = content.title;
  }

  /** Gives what is shown, the picture, so much width in CSS pixels; its pixels stay squares. */
  resize(width, most, shown = this.content) {
    this.width = Math.max(1, Math.floor(Math.min(width, (most * shown.width) / shown.height)));
    this.height = Math.max(1, Math.round((this.width * shown.height) / shown.width));
    this.ratio = window.devicePixelRatio || 1;
    this.stage.style.width = this.node.style.width = `${this.width}px`;
    this.stage.style.height = `${this.height}px`;
    for (const canvas of [this.canvas, this.marks]) {
      canvas.width = Math.round(this.width * this.ratio);
      canvas.height = Math.round(this.height * this.ratio);
    }
  }

  /** Lays the map's colours out; `color` gives the colour of a value. */
  color(color, smooth) {
    const { width, height } = this.canvas;
    this.sheet ??= document.createElement("canvas");
    Object.assign(this.sheet, { width, height });
    this.sheet.getContext("2d").putImageData(this.content.colored(width, height, color, smooth), 0, 0);
  }

  paint(opacity) {
    const { width, height } = this.canvas;
    const context = this.canvas.getContext("2d");
    context.globalAlpha = 1;
    context.imageSmoothingEnabled = width < this.content.width;
    context.drawImage(this.content.picture, 0, 0, width, height);
    context.globalAlpha = opacity;
    context.drawImage(this.sheet, 0, 0);
  }

  /** Marks the pinned place and the one under the pointer, either null, and what the latter, or else the former, sees. */
  mark(pinned, pointed, [accent, ground]) {
    const context = this.marks.getContext("2d");
    context.clearRect(0, 0, this.marks.width, this.marks.height);
    const { content } = this;
    const place = pointed ?? pinned;
    const box = place && content.boxOf(place);
    if (box) this.outline(context, this.boxEdges(box), "#ffffff", "#000000", [5 * this.ratio, 4 * this.ratio]);
    if (pinned) this.outline(context, this.placeEdges(pinned), accent, ground);
    if (pointed) this.outline(context, this.placeEdges(pointed), "#ffffff", "#000000");
    this.note.textContent = pinned ? content.words(pinned).filter(Boolean).join(", ") : "";
    this.stage.dataset.cursor = place ? `${place.row},${place.column}` : "";
    this.stage.dataset.box = box ? [box.left, box.top, box.right, box.bottom].join() : "";
  }

  boxEdges({ left, top, right, bottom }) {
    const [x, y] = [this.marks.width / this.content.width, this.marks.height / this.content.height];
    return [left * x, top * y, (right + 1) * x, (bottom + 1) * y];
  }

  placeEdges({ row, column }) {
    const [x, y] = [this.marks.width / this.content.columns, this.marks.height / this.content.rows];
    const missing = (side) => Math.max(0, LEAST_OUTLINE * this.ratio - side) / 2;
    const [beside, above] = [missing(x), missing(y)];
    return [column * x - beside, row * y - above, (column + 1) * x + beside, (row + 1) * y + above];
  }

  /** A line on a wider one around edges, which shows on any picture; kept whole inside the canvas. */
  outline(context, edges, color, under, dashes = []) {
    const inset = 2 * this.ratio;
    const { width, height } = this.marks;
    const [left, top, right, bottom] = edges.map((edge, i) => {
      return Math.min(Math.max(edge, inset), (i % 2 ? height : width) - inset);
    });
    const lines = [[under, 4, []], [color, 2, dashes]];
    for (const [stroke, thick, dash] of lines) {
      context.strokeStyle = stroke;
      context.lineWidth = thick * this.ratio;
      context.setLineDash(dash);
      context.strokeRect(left, top, right - left, bottom - top);
    }
  }
}
