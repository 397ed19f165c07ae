// Turns levels into coloured pixels: the numbers of a layer, its scales, and one tile at a time.

const HIGHEST_LEVEL = 254;
const NOT_FINITE = 255;
const GAMMA_STEPS = 1024;
// Grey hatch for places that are NaN or infinite, as 0xAABBGGRR.
const HATCH = [0xff8c8c8c, 0xffb4b4b4];

class LayerMaps {
  constructor(buffer, { channels, rows, columns }) {
    const start = 16;
    this.channels = channels;
    this.rows = rows;
    this.columns = columns;
    this.low = new Float32Array(buffer, start, channels);
    this.high = new Float32Array(buffer, start + channels * 4, channels);
    this.mean = new Float32Array(buffer, start + channels * 8, channels);
    this.levels = new Uint8Array(buffer, start + channels * 12, channels * rows * columns);
    this.layerLow = Infinity;
    this.layerHigh = -Infinity;
    for (let c = 0; c < channels; c += 1) {
      if (this.low[c] < this.layerLow) this.layerLow = this.low[c];
      if (this.high[c] > this.layerHigh) this.layerHigh = this.high[c];
    }
    this.signed = this.layerLow < 0;
  }

  /** Ends of the colour scale of one channel, or of the whole layer for `channel` null. */
  ends(channel) {
    let low = channel === null ? this.layerLow : this.low[channel];
    let high = channel === null ? this.layerHigh : this.high[channel];
    if (!(low <= high)) return [NaN, NaN];
    if (this.signed) {
      high = Math.max(Math.abs(low), Math.abs(high));
      low = -high;
    }
    return [low, high];
  }

  describe(channel) {
    const [low, high, mean] = [this.low[channel], this.high[channel], this.mean[channel]];
    if (!(low <= high)) return "no finite value";
    return `min ${formatNumber(low)}, max ${formatNumber(high)}, mean ${formatNumber(mean)}`;
  }
}

class Painter {
  constructor(maps) {
    this.maps = maps;
    this.scale = "channel";
    this.table = new Uint32Array(256);
    this.curve = new Uint8Array(GAMMA_STEPS + 1);
    this.colors = new Uint32Array(256);
  }

  /** `palette`: 768 bytes red, green, blue; `gamma`: the exponent on the way from value to colour. */
  setColors(palette, gamma) {
    for (let i = 0; i < 256; i += 1) {
      this.colors[i] = (0xff000000 | (palette[3 * i + 2] << 16) | (palette[3 * i + 1] << 8) | palette[3 * i]) >>> 0;
    }
    for (let i = 0; i <= GAMMA_STEPS; i += 1) {
      const t = i / GAMMA_STEPS;
      const bent = this.maps.signed
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
    const { low, high } = this.maps;
    const [from, to] = this.maps.ends(this.scale === "layer" ? null : channel);
    const span = to - from;
    const step = (high[channel] - low[channel]) / HIGHEST_LEVEL;
    const start = low[channel] - from;
    for (let level = 0; level <= HIGHEST_LEVEL; level += 1) {
      const fraction = span > 0 ? (start + level * step) / span : this.maps.signed ? 0.5 : 0;
      this.table[level] = this.color(fraction);
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
          pixels[at + x] = HATCH[(x + y) % 6 < 2 ? 1 : 0];
        } else {
          pixels[at + x] = this.table[level];
        }
      }
      painted = row;
    }
  }
}
