// The camera of the map: which data coordinates are in the middle, and how many CSS pixels a unit takes.

const EDGE = 24;
const MOST_ZOOM = 500;
const LEAST_ZOOM = 0.25;

class Camera {
  constructor() {
    this.width = 0;
    this.height = 0;
    this.bounds = [0, 0, 1, 1];
    this.centre();
  }

  /** Shows everything. */
  centre() {
    const [left, bottom, right, top] = this.bounds;
    this.x = (left + right) / 2;
    this.y = (bottom + top) / 2;
    this.zoom = 1;
  }

  /** Pixels per unit, the same along both axes. */
  get scale() {
    const [left, bottom, right, top] = this.bounds;
    const [width, height] = [this.width - 2 * EDGE, this.height - 2 * EDGE];
    return Math.max(1e-12, Math.min(width / (right - left), height / (top - bottom))) * this.zoom;
  }

  toScreen(x, y) {
    return [this.width / 2 + (x - this.x) * this.scale, this.height / 2 - (y - this.y) * this.scale];
  }

  toData(x, y) {
    return [this.x + (x - this.width / 2) / this.scale, this.y - (y - this.height / 2) / this.scale];
  }

  /** Zooms by a factor about a place on the stage, which stays where it is. */
  zoomAt(factor, x, y) {
    const [dataX, dataY] = this.toData(x, y);
    this.zoom = Math.min(MOST_ZOOM, Math.max(LEAST_ZOOM, this.zoom * factor));
    this.x = dataX - (x - this.width / 2) / this.scale;
    this.y = dataY + (y - this.height / 2) / this.scale;
  }

  /** Moves the picture by so many pixels. */
  pan(x, y) {
    this.x -= x / this.scale;
    this.y += y / this.scale;
  }

  /** Whether a place on the stage is at its rim or beyond. */
  atRim(x, y) {
    return x < EDGE || y < EDGE || x > this.width - EDGE || y > this.height - EDGE;
  }

  /** Scale and shift from places (0..65535 per axis) to clip space. */
  forPlaces(low, step) {
    const [across, up] = [(2 * this.scale) / this.width, (2 * this.scale) / this.height];
    return {
      scale: [step[0] * across, step[1] * up],
      shift: [(low[0] - this.x) * across, (low[1] - this.y) * up],
    };
  }
}
