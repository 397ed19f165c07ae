// What a pane shows: a map's numbers, what each of its places sees, and its colours.

/** The panes' content from the bytes of the numbers and of the pictures; `told` is what Python says of each. */
async function readContents(numbers, pictures, told) {
  let [at, pictureAt] = [16, 16];
  const take = (Kind, length) => {
    at += 4 * length;
    return new Kind(numbers, at - 4 * length, length);
  };
  const contents = told.map((pane) => {
    const values = take(Float32Array, pane.rows * pane.columns);
    const [rowReach, columnReach] = pane.reach
      ? [take(Int32Array, 2 * pane.rows), take(Int32Array, 2 * pane.columns)]
      : [null, null];
    pictureAt += pane.png_bytes;
    const file = new Uint8Array(pictures, pictureAt - pane.png_bytes, pane.png_bytes);
    return { ...pane, values, rowReach, columnReach, file: new Blob([file], { type: "image/png" }) };
  });
  const bitmaps = await Promise.all(contents.map(({ file }) => createImageBitmap(file)));
  return contents.map((content, i) => new PaneContent({ ...content, picture: bitmaps[i] }));
}

class PaneContent {
  constructor(parts) {
    Object.assign(this, parts);
  }

  value(row, column) {
    return this.values[row * this.columns + column];
  }

  /** The place at a relative position {x, y}, each 0..1. */
  placeAt({ x, y }) {
    const within = (part, count) => Math.min(Math.max(Math.floor(part * count), 0), count - 1);
    return { row: within(y, this.rows), column: within(x, this.columns) };
  }

  /** Relative position of the middle of a place. */
  middleOf({ row, column }) {
    return { x: (column + 0.5) / this.columns, y: (row + 0.5) / this.rows };
  }

  /** First and last pixel of the picture, both included, that a place sees; null where that is none or not known. */
  boxOf({ row, column }) {
    if (!this.reach) return null;
    const [top, bottom] = this.rowReach.subarray(2 * row, 2 * row + 2);
    const [left, right] = this.columnReach.subarray(2 * column, 2 * column + 2);
    return top <= bottom && left <= right ? { left, top, right, bottom } : null;
  }

  valueWords({ row, column }) {
    const value = this.value(row, column);
    return Number.isFinite(value) ? formatNumber(value) : "not finite";
  }

  /** "Row 3, column 5: 1.23" and "sees 99 × 99 px". */
  words(place) {
    const box = this.boxOf(place);
    const sees = box ? `sees ${box.bottom - box.top + 1} × ${box.right - box.left + 1} px` : "";
    return [`Row ${place.row}, column ${place.column}: ${this.valueWords(place)}`, sees];
  }

  /** The map in colours, `width` by `height` pixels; `color` gives the colour of a value. */
  colored(width, height, color, smooth) {
    const image = new ImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    const across = Int32Array.from({ length: width }, (_, x) => Math.floor(((x + 0.5) * this.columns) / width));
    for (let y = 0; y < height; y += 1) {
      const down = (y + 0.5) / height;
      const row = Math.floor(down * this.rows);
      for (let x = 0; x < width; x += 1) {
        const here = this.value(row, across[x]);
        if (!Number.isFinite(here)) pixels[y * width + x] = hatch(x, y);
        else pixels[y * width + x] = color(smooth ? this.between((x + 0.5) / width, down) : here);
      }
    }
    return image;
  }

  /** Bilinear between the middles of the four places around a relative position; those not finite do not count. */
  between(x, y) {
    const [across, along] = [x * this.columns - 0.5, y * this.rows - 0.5];
    const [left, top] = [Math.floor(across), Math.floor(along)];
    let [sum, weights] = [0, 0];
    for (let row = top; row <= top + 1; row += 1) {
      for (let column = left; column <= left + 1; column += 1) {
        const [r, c] = [Math.min(Math.max(row, 0), this.rows - 1), Math.min(Math.max(column, 0), this.columns - 1)];
        const value = this.value(r, c);
        const weight = (1 - Math.abs(along - row)) * (1 - Math.abs(across - column));
        if (!Number.isFinite(value)) continue;
        sum += weight * value;
        weights += weight;
      }
    }
    return sum / weights;
  }
}
