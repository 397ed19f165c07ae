// Turns levels into coloured pixels: the numbers of a layer, its scales, and one tile at a time.

const HIGHEST_LEVEL = 254;
const NOT_FINITE = 255;
const GAMMA_STEPS = 1024;

class LayerMaps {
  constructor(buffer, data) {
    const { channels, rows, columns } = data;
    let at = 16;
    const floats = () => {
      at += channels * 4;
      return new Float32Array(buffer, at - channels * 4, channels);
    };
    Object.assign(this, { channels, rows, columns, low: floats(), high: floats(), mean: floats() });
    this.statistics = data.statistics.map(() => floats());
    this.marks = new Uint8Array(buffer, at, channels);
    this.levels = new Uint8Array(buffer, at + channels, channels * rows * columns);
    this.layerLow = Infinity;
    this.layerHigh = -Infinity;
    for (let c = 0; c < channels; c += 1) {
      if (this.low[c] < this.layerLow) this.layerLow = this.low[c];
      if (this.high[c] > this.layerHigh) this.layerHigh = this.high[c];
    }
    this.adopt(data);
  }

  /** What may change without new bytes. */
  adopt({ statistics, shared }) {
    this.titles = statistics;
    this.shared = shared;
  }

  /** Whether colours on a scale ("channel", "layer", "shared") lie symmetrically about zero. */
  signed(scale) {
    return this.layerLow < 0 || (scale === "shared" && this.shared[0] < 0);
  }

  /** Ends of a scale; `channel` counts where each has its own. */
  ends(scale, channel) {
    const own = [this.low[channel], this.high[channel]];
    const [low, high] = { layer: [this.layerLow, this.layerHigh], shared: this.shared }[scale] ?? own;
    if (!(low <= high)) return [NaN, NaN];
    if (!this.signed(scale)) return [low, high];
    const reach = Math.max(Math.abs(low), Math.abs(high));
    return [-reach, reach];
  }

  /** The value at a place, to within half a level; NaN where it is not finite. */
  value(channel, row, column) {
    const level = this.levels[(channel * this.rows + row) * this.columns + column];
    return level === NOT_FINITE ? NaN : this.low[channel] + level * this.step(channel);
  }

  step(channel) {
    return (this.high[channel] - this.low[channel]) / HIGHEST_LEVEL;
  }

  finite(channel) {
    return this.low[channel] <= this.high[channel];
  }
}

class Painter {
  constructor(maps) {
    this.maps = maps;
    this.scale = "channel";
    this.table = new Uint32Array(256);
    this.curve = new Uint8Array(GAMMA_STEPS + 1);
  }

  /** `colors`: 256 as 0xAABBGGRR; `gamma`: the exponent on the way from value to colour. */
  setColors(colors, gamma) {
    this.colors = colors;
    const signed = this.maps.signed(this.scale);
    for (let i = 0; i <= GAMMA_STEPS; i += 1) {
      const t = i / GAMMA_STEPS;
      const bent = signed
        ? 0.5 + 0.5 * Math.sign(t - 0.5) * Math.pow(Math.abs(2 * t - 1), gamma)
        : Math.pow(t, gamma);
      this.curve[i] = Math.round(255 * bent);
    }
  }

  /** Colour at `fraction` 0..1 along the scale, as 0xAABBGGRR. */
  color(fraction) {
    return this.colors[this.curve[Math.round(Math.min(Math.max(fraction, 0), 1) * GAMMA_STEPS)]];
  }

  /** Fills `this.table`: the colour of every level of one channel. */
  prepare(channel) {
    const [from, to] = this.maps.ends(this.scale, channel);
    const span = to - from;
    const step = this.maps.step(channel);
    const start = this.maps.low[channel] - from;
    const flat = this.maps.signed(this.scale) ? 0.5 : 0;
    for (let level = 0; level <= HIGHEST_LEVEL; level += 1) {
      this.table[level] = this.color(span > 0 ? (start + level * step) / span : flat);
    }
  }

  /** Draws a channel into `pixels` (a Uint32 view, `stride` wide), clipped to the rows 0..`bottom`. */
  paint(channel, pixels, stride, bottom, left, top, width, height) {
    this.prepare(channel);
    const { rows, columns, levels } = this.maps;
    const offset = channel * rows * columns;
    const from = Math.max(0, -top);
    const until = Math.min(height, bottom - top);
    const across = new Int32Array(width);
    for (let x = 0; x < width; x += 1) across[x] = Math.floor(((x + 0.5) * columns) / width);
    let painted = -1;
    for (let y = from; y < until; y += 1) {
      const row = Math.floor(((y + 0.5) * rows) / height);
      const at = (top + y) * stride + left;
      if (row === painted && !this.hatched) {
        pixels.copyWithin(at, at - stride, at - stride + width);
        continue;
      }
      const line = offset + row * columns;
      this.hatched = false;
      for (let x = 0; x < width; x += 1) {
        const level = levels[line + across[x]];
        if (level === NOT_FINITE) {
          this.hatched = true;
          pixels[at + x] = hatch(x, y);
        } else {
          pixels[at + x] = this.table[level];
        }
      }
      painted = row;
    }
  }
}
