// What the panes show: pictures with what was painted on them, and maps enlarged over them.

const COARSER = 14;

/** Pictures and maps from the bytes of both; `data` is what Python says of them. */
async function readHeats(numbers, files, data) {
  let [at, fileAt] = [16, 16];
  const decode = async ({ bytes }) => {
    fileAt += bytes;
    return createImageBitmap(new Blob([new Uint8Array(files, fileAt - bytes, bytes)], { type: "image/png" }));
  };
  const pictures = await Promise.all(
    data.laidOut.map(async ({ width, height, whole, ...seen }) => {
      const decoded = [decode(seen), whole && decode(whole)];
      const [bitmap, wholeBitmap] = await Promise.all(decoded);
      return new SeenPicture({ width, height, bitmap, whole: whole && { ...whole, bitmap: wholeBitmap } });
    }),
  );
  const contents = data.panes.map(({ picture, ...pane }) => {
    const values = new Float32Array(numbers, at, pane.rows * pane.columns);
    at += 4 * values.length;
    return new HeatContent({ ...pane, values, picture: pictures[picture] });
  });
  return { pictures, contents };
}

function sheetOf(width, height) {
  return Object.assign(document.createElement("canvas"), { width, height });
}

/** What the network saw; `painted` is that with strokes on it. */
class SeenPicture {
  constructor(parts) {
    Object.assign(this, parts);
    this.painted = sheetOf(this.width, this.height);
    this.paint([]);
  }

  paint(strokes) {
    const context = this.painted.getContext("2d");
    context.drawImage(this.bitmap, 0, 0);
    Object.assign(context, { lineCap: "round", lineJoin: "round" });
    for (const { kind, radius, points } of strokes) {
      context.lineWidth = 2 * radius;
      context.strokeStyle = kind === "blur" ? this.blurred(context) : "rgb(128, 128, 128)";
      context.beginPath();
      context.moveTo(points[0][0] - 0.01, points[0][1]); // a line of no length draws no dot
      for (const [x, y] of points) context.lineTo(x, y);
      context.stroke();
    }
  }

  /** The picture made small and large again, as something to paint with. */
  blurred(context) {
    if (!this.pattern) {
      const small = sheetOf(Math.ceil(this.width / COARSER), Math.ceil(this.height / COARSER));
      const large = sheetOf(this.width, this.height);
      const sheets = [[small, this.bitmap], [large, small]];
      for (const [onto, from] of sheets) {
        const drawing = onto.getContext("2d");
        drawing.imageSmoothingQuality = "high";
        drawing.drawImage(from, 0, 0, onto.width, onto.height);
      }
      this.pattern = context.createPattern(large, "no-repeat");
    }
    return this.pattern;
  }

  /** What a pane shows, as left, top, width and height in pixels of what the network saw. */
  extent(whole) {
    if (!whole || !this.whole) return { left: 0, top: 0, width: this.width, height: this.height };
    const [left, top, right, bottom] = this.wholeEdges;
    const [x, y] = [Math.min(left, 0), Math.min(top, 0)];
    return { left: x, top: y, width: Math.max(right, this.width) - x, height: Math.max(bottom, this.height) - y };
  }

  /** Edges of the upload in pixels of what the network saw. */
  get wholeEdges() {
    const [left, top, right, bottom] = this.whole.crop;
    const [x, y] = [this.width / (right - left), this.height / (bottom - top)];
    return [-left * x, -top * y, (this.whole.width - left) * x, (this.whole.height - top) * y];
  }
}

class HeatContent extends PaneContent {
  constructor(parts) {
    super(parts);
    const finite = this.values.filter(Number.isFinite);
    this.finite = finite.length === this.values.length;
    this.largest = finite.reduce((most, value) => Math.max(most, value), -Infinity);
  }

  /** "largest 1.23 at row 3, column 4 of 7 × 7", for those who do not see it. */
  get peakWords() {
    const size = `${this.rows} × ${this.columns}`;
    if (this.largest === -Infinity) return `no finite value in ${size} places`;
    const at = this.values.indexOf(this.largest);
    const place = `row ${Math.floor(at / this.columns)}, column ${at % this.columns}`;
    return `largest ${formatNumber(this.largest)} at ${place} of ${size}`;
  }

  /** The map at the middles of so many pixels: float32, NaN where its place is not finite. Kept until asked anew. */
  field(width, height, smooth) {
    const asked = [width, height, smooth].join();
    if (this.asked !== asked) {
      const { values, rows, columns } = this;
      const plain = smooth && this.finite;
      this.kept = plain ? enlarged(values, rows, columns, width, height) : this.sampled(width, height, smooth);
      this.asked = asked;
    }
    return this.kept;
  }

  sampled(width, height, smooth) {
    const field = new Float32Array(width * height);
    const across = Int32Array.from({ length: width }, (_, x) => Math.floor(((x + 0.5) * this.columns) / width));
    for (let y = 0, pixel = 0; y < height; y += 1) {
      const down = (y + 0.5) / height;
      const row = Math.floor(down * this.rows);
      for (let x = 0; x < width; x += 1, pixel += 1) {
        const value = this.value(row, across[x]);
        if (!Number.isFinite(value)) field[pixel] = NaN;
        else field[pixel] = smooth ? this.between((x + 0.5) / width, down) : value;
      }
    }
    return field;
  }

  /**
   * The map's own box at a threshold, null where that is 0, a value is not finite or none is positive: as box_of in
   * localisation.py, around the largest part that reaches this share of the maximum of the enlarged positive values.
   */
  boxAt(threshold) {
    if (!threshold || !this.finite || !(this.largest > 0)) return null;
    const { width, height } = this.picture;
    if (!this.fine) {
      const positive = this.values.map((value) => Math.max(value, 0));
      this.fine = enlarged(positive, this.rows, this.columns, width, height);
      this.highest = this.fine.reduce((most, value) => Math.max(most, value), 0);
    }
    if (this.boxed?.threshold !== threshold) {
      this.boxed = { threshold, box: largestBox(this.fine, width, height, threshold * this.highest) };
    }
    return this.boxed.box;
  }
}

/** Bilinear at the middles of so many pixels, as `between`, of finite values. */
function enlarged(values, rows, columns, width, height) {
  const [across, down] = [steps(width, columns), steps(height, rows)];
  const field = new Float32Array(width * height);
  for (let y = 0, pixel = 0; y < height; y += 1) {
    const [above, below, low] = [down.before[y] * columns, down.after[y] * columns, down.share[y]];
    for (let x = 0; x < width; x += 1, pixel += 1) {
      const [left, right, share] = [across.before[x], across.after[x], across.share[x]];
      const upper = values[above + left] * (1 - share) + values[above + right] * share;
      const lower = values[below + left] * (1 - share) + values[below + right] * share;
      field[pixel] = upper * (1 - low) + lower * low;
    }
  }
  return field;
}

/** For each of so many pixels the places before and after its middle, and how far it has come to the latter. */
function steps(pixels, places) {
  const within = (place) => Math.min(Math.max(place, 0), places - 1);
  const at = Float64Array.from({ length: pixels }, (_, i) => ((i + 0.5) * places) / pixels - 0.5);
  return {
    before: Int32Array.from(at, (place) => within(Math.floor(place))),
    after: Int32Array.from(at, (place) => within(Math.floor(place) + 1)),
    share: at.map((place) => place - Math.floor(place)),
  };
}
