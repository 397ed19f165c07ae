// Where points are: the nearest one to a place, the ones inside a polygon, the next one in a direction.

/** Points on their grid of 65,536 steps per axis, with a coarser uniform grid of cells to search in. */
class PointIndex {
  constructor(places, categories, low, step) {
    this.places = places;
    this.categories = categories;
    this.low = low;
    this.step = step;
    this.count = categories.length;
    this.nowhere = categories.BYTES_PER_ELEMENT === 1 ? 0xff : 0xffff;
  }

  x(i) {
    return this.low[0] + this.places[2 * i] * this.step[0];
  }

  y(i) {
    return this.low[1] + this.places[2 * i + 1] * this.step[1];
  }

  /** Sorts the points into cells, once, when they are first searched. */
  sort() {
    if (this.starts) return;
    const { places, categories, count, nowhere } = this;
    this.side = Math.min(1024, Math.max(1, Math.ceil(Math.sqrt(count / 2))));
    const side = this.side;
    const starts = new Uint32Array(side * side + 1);
    const cells = new Uint32Array(count);
    for (let i = 0; i < count; i += 1) {
      if (categories[i] === nowhere) continue;
      const cell = ((places[2 * i + 1] * side) >>> 16) * side + ((places[2 * i] * side) >>> 16);
      cells[i] = cell;
      starts[cell + 1] += 1;
    }
    for (let cell = 0; cell < side * side; cell += 1) starts[cell + 1] += starts[cell];
    const next = starts.slice();
    this.order = new Uint32Array(starts[side * side]);
    for (let i = 0; i < count; i += 1) {
      if (categories[i] !== nowhere) this.order[next[cells[i]]++] = i;
    }
    this.starts = starts;
  }

  /** Calls `visit(i)` for every point in the cells that touch a rectangle in data coordinates. */
  within(left, bottom, right, top, visit) {
    this.sort();
    const cell = (value, axis) => {
      const place = ((value - this.low[axis]) / this.step[axis]) * (this.side / 65536);
      return Math.min(this.side - 1, Math.max(0, Math.floor(place)));
    };
    const [x0, x1, y0, y1] = [cell(left, 0), cell(right, 0), cell(bottom, 1), cell(top, 1)];
    for (let row = y0; row <= y1; row += 1) {
      const until = this.starts[row * this.side + x1 + 1];
      for (let at = this.starts[row * this.side + x0]; at < until; at += 1) visit(this.order[at]);
    }
  }

  /** Nearest point to (x, y) within `radius`, among categories that are shown; -1 if there is none. */
  nearest(x, y, radius, shown) {
    let best = -1;
    let least = radius * radius;
    this.within(x - radius, y - radius, x + radius, y + radius, (i) => {
      const [dx, dy] = [this.x(i) - x, this.y(i) - y];
      const distance = dx * dx + dy * dy;
      if (distance <= least && shown[this.categories[i]]) {
        least = distance;
        best = i;
      }
    });
    return best;
  }

  /** Next point from (x, y) in a direction, preferring what lies straight ahead; -1 if there is none. */
  ahead(x, y, directionX, directionY, except, shown) {
    const most = 65535 * Math.max(...this.step);
    let best = -1;
    let least = Infinity;
    const weigh = (i) => {
      const [dx, dy] = [this.x(i) - x, this.y(i) - y];
      const along = dx * directionX + dy * directionY;
      const aside = Math.abs(dx * directionY - dy * directionX);
      const cost = along + 2 * aside;
      if (along > 0 && aside <= along && cost < least && i !== except && shown[this.categories[i]]) {
        least = cost;
        best = i;
      }
    };
    for (let reach = most / 64; best < 0 && reach <= 4 * most; reach *= 4) {
      this.within(x - reach, y - reach, x + reach, y + reach, weigh);
    }
    return best;
  }

  /** Marks the shown points inside a polygon: one byte each, and how many, also of each of `kinds` categories. */
  inside(polygon, shown, kinds) {
    const marks = new Uint8Array(this.count);
    const perCategory = new Array(kinds).fill(0);
    let count = 0;
    const [xs, ys] = [polygon.map((corner) => corner[0]), polygon.map((corner) => corner[1])];
    const [left, right, bottom, top] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    this.within(left, bottom, right, top, (i) => {
      if (!shown[this.categories[i]]) return;
      const [x, y] = [this.x(i), this.y(i)];
      if (x < left || x > right || y < bottom || y > top) return;
      let odd = 0;
      for (let a = 0, b = polygon.length - 1; a < polygon.length; b = a, a += 1) {
        if (ys[a] > y !== ys[b] > y && x < ((xs[b] - xs[a]) * (y - ys[a])) / (ys[b] - ys[a]) + xs[a]) odd ^= 1;
      }
      marks[i] = odd;
      count += odd;
      perCategory[this.categories[i]] += odd;
    });
    return { marks, count, perCategory };
  }
}

/** A drawn line with fewer corners: the ones that lie `tolerance` or more off the line between their neighbours. */
function simplify(line, tolerance) {
  const kept = new Uint8Array(line.length);
  kept[0] = kept[line.length - 1] = 1;
  const spans = [[0, line.length - 1]];
  while (spans.length) {
    const [from, to] = spans.pop();
    const [[x0, y0], [x1, y1]] = [line[from], line[to]];
    const [dx, dy] = [x1 - x0, y1 - y0];
    const length = Math.hypot(dx, dy);
    let furthest = -1;
    let most = tolerance;
    for (let i = from + 1; i < to; i += 1) {
      const [x, y] = line[i];
      const off = length > 0 ? Math.abs(dx * (y - y0) - dy * (x - x0)) / length : Math.hypot(x - x0, y - y0);
      if (off >= most) {
        most = off;
        furthest = i;
      }
    }
    if (furthest > 0) {
      kept[furthest] = 1;
      spans.push([from, furthest], [furthest, to]);
    }
  }
  return line.filter((_, i) => kept[i]);
}

/** The same with at most `corners` corners. */
function simplifyTo(line, corners) {
  let tolerance = 1;
  let simple = simplify(line, tolerance);
  while (simple.length > corners) {
    tolerance *= 1.5;
    simple = simplify(line, tolerance);
  }
  return simple;
}
