// Pointer, wheel and keys on the stage, as what they ask of the map: move, zoom, highlight, click, choose, clear.

const CLICK_PIXELS = 4;
const MOST_CORNERS = 64;

class Gestures {
  /** `map` answers pan, zoom, fit, highlight, pointAt, step, click, choose, clearSelection, and draws `stroke`. */
  constructor(stage, map) {
    this.stage = stage;
    this.map = map;
    this.mode = "pan";
    this.pointers = new Map();
    this.stroke = null;
    const on = (name, act, options) => {
      stage.addEventListener(name, (event) => map.points && act.call(this, event), options);
    };
    on("pointerdown", this.down);
    on("pointermove", this.move);
    on("pointerup", this.up);
    on("pointercancel", this.cancel);
    on("pointerleave", () => map.highlight(-1));
    on("blur", () => map.highlight(-1));
    on("dblclick", () => map.fit());
    on("wheel", this.wheel, { passive: false });
    on("keydown", this.press);
  }

  place(event) {
    const frame = this.stage.getBoundingClientRect();
    return [event.clientX - frame.left - this.stage.clientLeft, event.clientY - frame.top - this.stage.clientTop];
  }

  down(event) {
    if (event.pointerType === "mouse" && event.button !== 0) return;
    this.stage.setPointerCapture(event.pointerId);
    this.start = this.place(event);
    this.pointers.set(event.pointerId, this.start);
    this.travelled = 0;
    this.dragging = this.pointers.size > 1 ? "pinch" : event.shiftKey ? "lasso" : this.mode;
    this.stroke = null;
  }

  move(event) {
    const place = this.place(event);
    const last = this.pointers.get(event.pointerId);
    if (!last) {
      if (event.pointerType !== "touch") this.map.highlight(this.map.pointAt(...place), place);
      return;
    }
    this.travelled += Math.hypot(place[0] - last[0], place[1] - last[1]);
    this.pointers.set(event.pointerId, place);
    if (this.dragging === "pinch") this.pinch(event.pointerId, last, place);
    else if (this.travelled >= CLICK_PIXELS) this.drag(last, place);
  }

  drag(last, place) {
    this.map.highlight(-1);
    if (this.dragging === "pan") {
      this.map.pan(place[0] - last[0], place[1] - last[1]);
      return;
    }
    const [[x0, y0], [x1, y1]] = [this.start, place];
    if (this.dragging === "box") this.stroke = [[x0, y0], [x1, y0], [x1, y1], [x0, y1]];
    else (this.stroke ??= [this.start]).push(place);
    this.map.drawMarks();
  }

  pinch(id, last, place) {
    const other = [...this.pointers].find(([pointer]) => pointer !== id)?.[1];
    if (!other) return;
    const apart = ([x, y]) => Math.hypot(x - other[0], y - other[1]);
    const factor = apart(place) / apart(last);
    const middle = [(place[0] + other[0]) / 2, (place[1] + other[1]) / 2];
    if (Number.isFinite(factor) && factor > 0) this.map.zoom(factor, ...middle);
  }

  up(event) {
    const stroke = this.release(event);
    if (stroke === undefined || this.dragging === "pinch") return;
    if (stroke && stroke.length > 2) this.map.choose(simplifyTo(stroke, MOST_CORNERS));
    else if (this.travelled < CLICK_PIXELS) this.map.click(this.map.pointAt(...this.start));
  }

  cancel(event) {
    this.release(event);
  }

  /** The line drawn until the last pointer was lifted, or null; undefined while another is still down. */
  release(event) {
    if (!this.pointers.delete(event.pointerId) || this.pointers.size) return undefined;
    const { stroke } = this;
    this.stroke = null;
    this.map.drawMarks();
    return stroke;
  }

  wheel(event) {
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode === 1 ? 33 : 1);
    this.map.zoom(Math.pow(2, Math.max(-1, Math.min(1, -pixels / 300))), ...this.place(event));
  }

  press(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const { map, stage } = this;
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const [x, y] = arrows[event.key] ?? [0, 0];
    if (event.key in arrows && event.shiftKey) map.pan(-x * 0.1 * stage.clientWidth, y * 0.1 * stage.clientHeight);
    else if (event.key in arrows) map.step(x, y);
    else if (event.key === "+" || event.key === "=") map.zoom(1.5);
    else if (event.key === "-") map.zoom(1 / 1.5);
    else if (event.key === "0" || event.key === "Home") map.fit();
    else if (event.key === "Enter" && map.hovered >= 0) map.click(map.hovered);
    else if (event.key === "Escape") map.clearSelection();
    else return;
    event.preventDefault();
  }
}
