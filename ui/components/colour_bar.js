// Colours of values, as 0xAABBGGRR, and the bar that shows them with numbers.

/** The 256 colours of a palette given as hexadecimal digits, red, green, blue. */
function paletteColors(digits) {
  return Uint32Array.from(digits.match(/.{6}/g), (color) => {
    const [red, green, blue] = color.match(/../g).map((pair) => parseInt(pair, 16));
    return (0xff000000 | (blue << 16) | (green << 8) | red) >>> 0;
  });
}

/** Grey hatch for places that are NaN or infinite: its colour at a pixel. */
function hatch(x, y) {
  return (x + y) % 6 < 2 ? 0xffb4b4b4 : 0xff8c8c8c;
}

class ColourBar {
  constructor() {
    this.ramp = element("canvas", { width: 256, height: 1, "aria-hidden": "true" });
    this.numbers = Array.from({ length: 3 }, () => element("span"));
    const ends = element("span", { class: "ends quiet numbers" }, ...this.numbers);
    this.node = element("span", { class: "colourbar" }, this.ramp, ends);
  }

  /** `color` gives the colour at a fraction of the scale. */
  paint(color) {
    const context = this.ramp.getContext("2d");
    const image = context.createImageData(256, 1);
    const pixels = new Uint32Array(image.data.buffer);
    for (let x = 0; x < 256; x += 1) pixels[x] = color(x / 255);
    context.putImageData(image, 0, 0);
  }

  label(low, middle, high) {
    [formatNumber(low), middle, formatNumber(high)].forEach((text, i) => (this.numbers[i].textContent = text));
  }
}
