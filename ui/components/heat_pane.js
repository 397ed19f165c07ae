// One pane: a picture under its heatmap; on a second canvas the boxes, the place under the pointer and the brush.

const PIXELS_SHOWN_FROM = 4;
const OUTSIDE = 0.3;
const LABEL_PIXELS = 11;

class HeatPane extends MapPane {
  /** Further than a map's pane: `choose(pane)` is called where a reader chooses it by key. */
  constructor(point, press, choose) {
    super(point, press);
    this.warning = element("div", { class: "warning" });
    this.bar = new ColourBar();
    this.note.after(this.warning, this.bar.node);
    this.stage.tabIndex = 0;
    this.stage.addEventListener("keydown", (event) => {
      if (event.target !== this.stage || (event.key !== "Enter" && event.key !== " ") || event.defaultPrevented) return;
      event.preventDefault();
      choose(this);
    });
  }

  show(content) {
    super.show(content);
    this.title.title = content.title;
    this.warning.textContent = content.warning;
    this.warning.hidden = !content.warning;
    this.words = [content.title, content.note, content.warning, content.peakWords].filter(Boolean).join(", ");
  }

  /** How it is told to those who do not see it, and whether it is the chosen one of several. */
  tell(several, chosen) {
    this.stage.setAttribute("role", several ? "button" : "img");
    this.stage.setAttribute("aria-label", this.words);
    if (several) this.stage.setAttribute("aria-pressed", String(chosen));
    this.node.classList.toggle("chosen", several && chosen);
  }

  /** Gives the pane so much room; `whole` shows the upload around what the network saw. */
  resize(room, whole) {
    this.whole = whole && Boolean(this.content.picture.whole);
    this.extent = this.content.picture.extent(whole);
    super.resize(room, room, this.extent);
    this.node.style.width = "";
    const [left, top, right, bottom] = this.edges([0, 0, this.content.picture.width, this.content.picture.height]);
    this.seen = [left, top, right - left, bottom - top];
  }

  /** Edges in pixels of what the network saw, as pixels of the canvas. */
  edges(box) {
    const { left, top, width, height } = this.extent;
    const [x, y] = [this.canvas.width / width, this.canvas.height / height];
    return box.map((edge, i) => (i % 2 ? (edge - top) * y : (edge - left) * x));
  }

  /** [x, y] in pixels of what the network saw, of a relative position in the pane. */
  seenAt({ x, y }) {
    return [this.extent.left + x * this.extent.width, this.extent.top + y * this.extent.height];
  }

  /** Relative position in what the network saw of one in the pane, null outside. */
  within(position) {
    const { width, height } = this.content.picture;
    const [x, y] = this.seenAt(position);
    return x >= 0 && y >= 0 && x < width && y < height ? { x: x / width, y: y / height } : null;
  }

  /** Lays the map's colours out, none for values below `least`. */
  color({ colors, scale: [low, high], least, smooth }) {
    const [width, height] = this.seen.slice(2).map((side) => Math.max(1, Math.round(side)));
    if (this.image?.width !== width || this.image.height !== height) {
      this.image = new ImageData(width, height);
      this.sheet = sheetOf(width, height);
    }
    const pixels = new Uint32Array(this.image.data.buffer);
    const field = this.content.field(width, height, smooth);
    const levels = high > low ? 255 / (high - low) : 0;
    for (let i = 0; i < field.length; i += 1) {
      const value = field[i];
      if (value >= least) {
        const level = (value - low) * levels + 0.5;
        pixels[i] = colors[level < 0 ? 0 : level > 255 ? 255 : level | 0];
      } else pixels[i] = Number.isNaN(value) ? hatch(i % width, Math.floor(i / width)) : 0;
    }
    this.sheet.getContext("2d").putImageData(this.image, 0, 0);
  }

  /** The picture, and over it the map at an opacity. */
  paint(opacity) {
    const { picture } = this.content;
    const { width, height } = this.canvas;
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    context.imageSmoothingQuality = "high";
    context.imageSmoothingEnabled = this.seen[2] < PIXELS_SHOWN_FROM * picture.width;
    if (this.whole) {
      const [left, top, right, bottom] = this.edges(picture.wholeEdges);
      context.globalAlpha = OUTSIDE;
      context.drawImage(picture.whole.bitmap, left, top, right - left, bottom - top);
    }
    context.globalAlpha = 1;
    context.drawImage(picture.painted, ...this.seen);
    context.globalAlpha = opacity;
    context.drawImage(this.sheet, ...this.seen);
  }

  /** Draws true boxes, the map's own (either may be missing), the place at a relative position, and the brush. */
  mark({ truth, own, position, brush, colors: [accent, ground] }) {
    const context = this.marks.getContext("2d");
    context.clearRect(0, 0, this.marks.width, this.marks.height);
    const { picture, rows, columns } = this.content;
    if (own) this.outline(context, this.edges(own), accent, ground, [6 * this.ratio, 4 * this.ratio]);
    for (const box of truth) {
      this.outline(context, this.edges(box), "#ffffff", "#000000");
      this.write(context, "true", this.edges(box));
    }
    const place = position && this.content.placeAt(position);
    if (place) {
      const [x, y] = [picture.width / columns, picture.height / rows];
      const box = [place.column * x, place.row * y, (place.column + 1) * x, (place.row + 1) * y];
      this.outline(context, this.atLeast(this.edges(box)), "#ffffff", "#000000");
    }
    if (brush) this.circle(context, brush);
    const fits = own && truth.length ? Math.max(...truth.map((box) => overlap(box, own))) : null;
    const told = fits === null ? "" : `IoU ${fits.toFixed(2)}`;
    this.note.textContent = [this.content.note, told].filter(Boolean).join(" \u00b7 ");
    Object.assign(this.stage.dataset, { cursor: place ? `${place.row},${place.column}` : "", own: own?.join() ?? "" });
    Object.assign(this.stage.dataset, { true: truth.join(";"), iou: fits ?? "" });
  }

  /** On whole pixels, where a line is sharp. */
  outline(context, edges, ...rest) {
    super.outline(context, edges.map(Math.round), ...rest);
  }

  atLeast([left, top, right, bottom]) {
    const beside = Math.max(0, LEAST_OUTLINE * this.ratio - (right - left)) / 2;
    const above = Math.max(0, LEAST_OUTLINE * this.ratio - (bottom - top)) / 2;
    return [left - beside, top - above, right + beside, bottom + above];
  }

  /** A word on the upper edge of a box, inside it. */
  write(context, word, [left, top]) {
    const side = LABEL_PIXELS * this.ratio;
    context.font = `600 ${side}px sans-serif`;
    const [x, y] = [Math.max(left, 0), Math.max(top, 0)].map((edge) => edge + this.ratio);
    context.fillStyle = "#ffffff";
    context.fillRect(x, y, context.measureText(word).width + 0.8 * side, 1.4 * side);
    context.fillStyle = "#000000";
    context.fillText(word, x + 0.4 * side, y + 1.05 * side);
  }

  circle(context, { at, radius }) {
    const [x, y, end] = this.edges([...at, at[0] + radius, 0]);
    const lines = [["#000000", 3], ["#ffffff", 1.5]];
    for (const [stroke, thick] of lines) {
      Object.assign(context, { strokeStyle: stroke, lineWidth: thick * this.ratio });
      context.setLineDash([]);
      context.beginPath();
      context.arc(x, y, Math.max(end - x, 1), 0, 2 * Math.PI);
      context.stroke();
    }
  }
}
