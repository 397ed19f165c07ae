// Boxes, as left, top, right and bottom edge in pixels of what the network saw.

/** Tight box around the largest part, connected by edges, of the pixels of at least `least`; null where none are. */
function largestBox(field, width, height, least) {
  const open = new Uint8Array(field.length);
  for (let pixel = 0; pixel < open.length; pixel += 1) open[pixel] = field[pixel] >= least ? 1 : 0;
  const waiting = new Int32Array(field.length);
  let most = 0;
  let found = null;
  for (let start = open.indexOf(1); start !== -1; start = open.indexOf(1, start + 1)) {
    let last = 0;
    let first = 0;
    const visit = (pixel) => {
      open[pixel] = 0;
      waiting[last] = pixel;
      last += 1;
    };
    let [left, top, right, bottom] = [width, height, 0, 0];
    for (visit(start); first < last; first += 1) {
      const pixel = waiting[first];
      const y = Math.floor(pixel / width);
      const x = pixel - y * width;
      if (x < left) left = x;
      if (x >= right) right = x + 1;
      if (y < top) top = y;
      if (y >= bottom) bottom = y + 1;
      if (x > 0 && open[pixel - 1]) visit(pixel - 1);
      if (x + 1 < width && open[pixel + 1]) visit(pixel + 1);
      if (y > 0 && open[pixel - width]) visit(pixel - width);
      if (y + 1 < height && open[pixel + width]) visit(pixel + width);
    }
    if (last > most) [most, found] = [last, [left, top, right, bottom]];
  }
  return found;
}

/** Intersection over union of two boxes. */
function overlap(one, other) {
  const area = ([left, top, right, bottom]) => Math.max(0, right - left) * Math.max(0, bottom - top);
  const shared = area(one.map((edge, i) => (i < 2 ? Math.max(edge, other[i]) : Math.min(edge, other[i]))));
  return shared / (area(one) + area(other) - shared);
}

/** The box between two corners [x, y], kept within a picture and to tenths of a pixel. */
function boxBetween(one, other, { width, height }) {
  const sides = [width, height].map((most, i) => {
    return [one[i], other[i]].map((edge) => tenths(Math.min(Math.max(edge, 0), most))).sort((a, b) => a - b);
  });
  return [sides[0][0], sides[1][0], sides[0][1], sides[1][1]];
}

/** A box moved as far as a picture allows. */
function moved([left, top, right, bottom], across, down, { width, height }) {
  const x = Math.min(Math.max(across, -left), width - right);
  const y = Math.min(Math.max(down, -top), height - bottom);
  return [left + x, top + y, right + x, bottom + y].map(tenths);
}

function tenths(number) {
  return Math.round(10 * number) / 10;
}
