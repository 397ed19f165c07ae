// Lines of equal density: a histogram of the shown points, blurred, and for each share of them the line around the
// densest places that hold it.

const DENSITY_CELLS = 256;
const DENSITY_SHARES = [0.1, 0.3, 0.5, 0.7, 0.9];
// Standard deviations of the blur to choose from, in cells.
const BANDWIDTHS = [1, 1.5, 2.2, 3.3, 5, 7.5, 11];
// The least density of a cell, in points: one far from all others must not decide the blur.
const LEAST_DENSITY = 1e-4;
// From which edge of a square to which (0 lower, 1 right, 2 upper, 3 left) a line goes with the denser side on its
// right, by which corners are dense (1 lower left, 2 lower right, 4 upper right, 8 upper left).
const JOINED_EDGES = ["", "30", "01", "31", "12", "3012", "02", "32", "23", "20", "0123", "21", "13", "10", "03", ""];

/** A blur along one axis; `next` is the distance from one value of a row to its next. */
function blurRows(values, rows, columns, row, next, kernel) {
  const reach = (kernel.length - 1) / 2;
  const blurred = new Float64Array(values.length);
  for (let r = 0; r < rows; r += 1) {
    for (let c = 0; c < columns; c += 1) {
      const value = values[r * row + c * next];
      if (!value) continue;
      const end = Math.min(columns - 1, c + reach);
      for (let to = Math.max(0, c - reach); to <= end; to += 1) {
        blurred[r * row + to * next] += value * kernel[to - c + reach];
      }
    }
  }
  return blurred;
}

/** Points per cell, blurred by a Gaussian; and how likely each point is where only the others are known. */
function blur(counts, rows, columns, sigma) {
  const reach = Math.ceil(3 * sigma);
  const kernel = Float64Array.from({ length: 2 * reach + 1 }, (_, i) => Math.exp(-0.5 * ((i - reach) / sigma) ** 2));
  const sum = kernel.reduce((total, weight) => total + weight, 0);
  for (let i = 0; i < kernel.length; i += 1) kernel[i] /= sum;
  const across = blurRows(counts, rows, columns, columns, 1, kernel);
  const density = blurRows(across, columns, rows, 1, columns, kernel);
  const own = kernel[reach] ** 2;
  let likelihood = 0;
  for (let cell = 0; cell < counts.length; cell += 1) {
    if (counts[cell]) likelihood += counts[cell] * Math.log(Math.max(LEAST_DENSITY, density[cell] - own));
  }
  return { density, likelihood };
}

/** The blur under which points are likeliest when left out in turn (Duin, 1976). */
function likeliest(counts, rows, columns) {
  let best = blur(counts, rows, columns, BANDWIDTHS[0]);
  for (const sigma of BANDWIDTHS.slice(1)) {
    const wider = blur(counts, rows, columns, sigma);
    if (wider.likelihood <= best.likelihood) break;
    best = wider;
  }
  return best.density;
}

/** For each share, the density at the line around the densest cells that hold it of all points. */
function levelsOf(counts, density, total, shares) {
  const cells = Uint32Array.from(counts.keys()).filter((cell) => counts[cell]);
  cells.sort((a, b) => density[b] - density[a]);
  let [at, held] = [0, 0];
  return shares.map((share) => {
    while (at < cells.length - 1 && held + counts[cells[at]] < share * total) held += counts[cells[at++]];
    return density[cells[at]];
  });
}

/** Marching squares: the closed lines at a level, each a list of corners [x, y] in cells. */
function linesAt(density, columns, rows, level) {
  // An edge is known by twice the number of its lower left end, plus one where it goes up.
  const next = new Map();
  for (let r = 0; r < rows - 1; r += 1) {
    for (let c = 0; c < columns - 1; c += 1) {
      const at = r * columns + c;
      const corners = [at, at + 1, at + columns + 1, at + columns];
      const joined = JOINED_EDGES[corners.reduce((sum, corner, bit) => sum + ((density[corner] >= level) << bit), 0)];
      const edges = [2 * at, 2 * at + 3, 2 * (at + columns), 2 * at + 1];
      for (let i = 0; i < joined.length; i += 2) next.set(edges[joined[i]], edges[joined[i + 1]]);
    }
  }
  const crossing = (edge) => {
    const [at, up] = [edge >> 1, edge & 1];
    const share = (level - density[at]) / (density[at + (up ? columns : 1)] - density[at]);
    return [(at % columns) + (up ? 0 : share), Math.floor(at / columns) + (up ? share : 0)];
  };
  const lines = [];
  for (const start of next.keys()) {
    const line = [];
    for (let edge = start; next.has(edge); ) {
      line.push(crossing(edge));
      const to = next.get(edge);
      next.delete(edge);
      edge = to;
    }
    lines.push(line);
  }
  return lines;
}

/**
 * The lines that enclose these shares of the shown points of a PointIndex, in cells, and how a cell becomes a data
 * coordinate: low + side * cell.
 */
function densityLines({ places, categories, low, step }, shown, shares = DENSITY_SHARES) {
  const side = (65536 * Math.max(...step)) / DENSITY_CELLS;
  const sizes = step.map((size) => size / side);
  const picked = (i) => shown[categories[i]] === true;
  const margin = Math.ceil(3 * BANDWIDTHS.at(-1)) + 2;
  const [columns, rows] = sizes.map((size) => Math.ceil(65536 * size) + 2 * margin);
  const counts = new Float64Array(columns * rows);
  let count = 0;
  for (let i = 0; i < categories.length; i += 1) {
    if (!picked(i)) continue;
    const [column, row] = [places[2 * i] * sizes[0], places[2 * i + 1] * sizes[1]];
    counts[(Math.floor(row) + margin) * columns + Math.floor(column) + margin] += 1;
    count += 1;
  }
  if (!count) return { low, side, levels: [] };
  const density = likeliest(counts, rows, columns);
  const levels = levelsOf(counts, density, count, shares).map((level) => linesAt(density, columns, rows, level));
  return { low: low.map((least) => least + (0.5 - margin) * side), side, levels };
}

/** The lines for canvas, worked out once for each frame and filter. */
class Density {
  constructor() {
    this.on = false;
    this.forget();
  }

  forget() {
    this.known = new Map();
  }

  of(points, shown) {
    const filter = shown.join();
    if (this.filter !== filter) this.forget();
    this.filter = filter;
    if (!this.known.has(points)) this.known.set(points, this.pathOf(densityLines(points, shown)));
    return this.known.get(points);
  }

  pathOf({ low, side, levels }) {
    const path = new Path2D();
    for (const line of levels.flat()) {
      line.forEach(([x, y], i) => (i ? path.lineTo(x, y) : path.moveTo(x, y)));
      path.closePath();
    }
    return { low, side, path };
  }

  /** Draws the lines over the points. */
  paint(context, { text, ground }, points, shown, camera) {
    const { low, side, path } = this.of(points, shown);
    const [x, y] = camera.toScreen(...low);
    const onStage = new Path2D();
    onStage.addPath(path, new DOMMatrix([side * camera.scale, 0, 0, -side * camera.scale, x, y]));
    context.lineJoin = "round";
    for (const [color, width, alpha] of [[ground, 3.25, 0.55], [text, 1.25, 0.9]]) {
      context.strokeStyle = color;
      context.lineWidth = width;
      context.globalAlpha = alpha;
      context.stroke(onStage);
    }
    context.globalAlpha = 1;
  }
}
