// The feature grid: toolbar, scrolled canvas, tooltip, table. Selection is the only thing the server hears of.

const SCROLLED_TILE = 48;
const GAP = 4;
const MARGIN = 4;
const KEY_PAUSE = 140;

// What a reader set by hand stays when a page is left and opened again.
const rememberedViews = new Map();

class FeatureGrid {
  constructor(root) {
    this.root = root;
    this.local = 0;
    this.clicks = 0;
    this.hovered = null;
    this.timer = 0;
    this.draw = oncePerFrame(() => this.paint());
    this.build();
    this.resizes = new ResizeObserver(() => this.layout());
    this.resizes.observe(root);
  }

  destroy() {
    this.flush();
    this.draw.cancel();
    this.resizes.disconnect();
    this.root.replaceChildren();
  }

  build() {
    this.toolbar = new GridToolbar((change) => this.change(change));
    this.table = new GridTable((channel) => {
      this.select(channel, 0);
      this.reveal();
    });
    this.scaleNote = element("span", { class: "quiet" });
    this.chosenNote = element("span");
    this.caption = element("div", { class: "caption numbers" }, this.chosenNote, this.scaleNote);
    this.canvas = element("canvas", { "aria-hidden": "true" });
    this.option = element("span", { class: "unseen", role: "option", id: "option", "aria-selected": "true" });
    this.sheet = element("div", { class: "sheet" }, this.canvas);
    this.scroller = element("div", { class: "scroller", role: "listbox", tabindex: "0" }, this.option, this.sheet);
    this.scroller.setAttribute("aria-activedescendant", "option");
    this.tip = element("div", { class: "tip numbers", hidden: "" });
    this.tipTitle = element("div");
    this.tipNumbers = element("div", { class: "quiet" });
    this.tip.append(this.tipTitle, this.tipNumbers);
    this.frame = element("div", { class: "frame" }, this.scroller, this.tip);
    this.live = element("div", { class: "unseen", "aria-live": "polite" });
    this.failure = element("div", { class: "failure", role: "status", hidden: "" });
    this.root.append(this.toolbar.node, this.failure, this.frame, this.caption, this.table.node, this.live);

    this.scroller.addEventListener("scroll", () => {
      this.leave();
      this.draw();
    });
    this.canvas.addEventListener("click", (event) => {
      const channel = this.channelAt(event);
      if (channel !== null) this.select(channel, 0);
    });
    this.canvas.addEventListener("pointermove", (event) => this.hover(event));
    this.canvas.addEventListener("pointerleave", () => this.leave());
    this.scroller.addEventListener("keydown", (event) => this.press(event));
  }

  update(data, setStateValue) {
    const before = this.data;
    this.data = data;
    this.send = setStateValue;
    this.scroller.setAttribute("aria-label", data.label);
    if (!before || before.key !== data.key || before.scale !== data.scale) {
      const remembered = rememberedViews.get(data.key);
      const kept = !before && remembered && remembered.passed === data.scale;
      this.view = kept ? remembered : { lift: 0, tile: null, palette: "", ...this.view, scale: data.scale };
      this.view.passed = data.scale;
    }
    // The server's word counts once it has heard of the newest click.
    if (!before || data.click === this.clicks) {
      if (!before) this.clicks = data.click;
      this.local = data.selected;
    }
    if (before && before.digest === data.digest && this.maps) {
      this.refresh();
      return;
    }
    this.root.dataset.state = "loading";
    fetchBytes(data.url, data.digest).then(
      (buffer) => this.data.digest === data.digest && this.open(new LayerMaps(buffer, data)),
      (reason) => this.data.digest === data.digest && this.fail(reason),
    );
  }

  fail(reason) {
    this.failure.textContent = `The channels could not be loaded. ${reason.message} Reload the page to try again.`;
    this.failure.hidden = false;
    this.root.dataset.state = "failed";
  }

  open(maps) {
    const sameShape = this.maps && this.maps.channels === maps.channels && this.maps.rows === maps.rows;
    this.maps = maps;
    this.painter = new Painter(maps);
    this.local = Math.min(this.local, maps.channels - 1);
    this.failure.hidden = true;
    if (!sameShape) this.scroller.scrollTop = 0;
    this.opened = true;
    this.refresh();
    if (!sameShape) this.reveal();
    this.table.show(maps, this.data.label);
  }

  change(change) {
    Object.assign(this.view, change);
    rememberedViews.set(this.data.key, this.view);
    this.refresh();
  }

  /** Everything that depends on data, theme or toolbar. */
  refresh() {
    if (!this.maps) return;
    const { view, data, painter, maps } = this;
    const name = this.toolbar.show(view, data.palettes, maps.signed);
    painter.scale = view.scale;
    painter.setColors(data.palettes[name].match(/../g).map((pair) => parseInt(pair, 16)), Math.pow(2, -view.lift));
    this.toolbar.paint((fraction) => painter.color(fraction));
    this.ground = themeColor(this.root, "--st-background-color", "#ffffff");
    this.accent = themeColor(this.root, "--st-primary-color", "#3b6fd4");
    this.describe();
    this.layout();
  }

  /** Tile side and number of columns for the room there is. */
  layout() {
    if (!this.maps || !this.root.isConnected) return;
    const { channels, rows, columns } = this.maps;
    const width = this.scroller.clientWidth || this.root.clientWidth;
    const around = this.toolbar.node.offsetHeight + this.caption.offsetHeight + this.table.foldedHeight + 24;
    const room = Math.max(160, this.data.height - around);
    const fits = (side, across) => {
      const high = Math.round((side * rows) / columns);
      return Math.ceil(channels / across) * (high + GAP) + 2 * MARGIN <= room;
    };
    const across = (side) => Math.max(1, Math.floor((width - 2 * MARGIN + GAP) / (side + GAP)));
    let side = this.view.tile;
    if (!side) {
      side = LARGEST_TILE;
      while (side > SMALLEST_TILE && !fits(side, across(side))) side -= 1;
      if (!fits(side, across(side))) side = SCROLLED_TILE;
      // Whole multiples of the map keep its places equally wide.
      const multiple = Math.floor(side / columns) * columns;
      if (multiple >= SMALLEST_TILE && multiple >= side * 0.8) side = multiple;
    }
    this.toolbar.tile.value = side;
    this.across = across(side);
    // A layer that fills several rows uses the whole width.
    this.pitchX = channels > this.across ? (width - 2 * MARGIN + GAP) / this.across : side + GAP;
    this.tileWidth = side;
    this.tileHeight = Math.max(4, Math.round((side * rows) / columns));
    this.pitchY = this.tileHeight + GAP;
    const lines = Math.ceil(channels / this.across);
    const total = lines * this.pitchY - GAP + 2 * MARGIN;
    const view = Math.min(total, room);
    this.sheet.style.height = `${total}px`;
    this.scroller.style.height = `${view}px`;
    const ratio = window.devicePixelRatio || 1;
    const [pixelWidth, pixelHeight] = [Math.round(width * ratio), Math.round(view * ratio)];
    if (this.canvas.width !== pixelWidth || this.canvas.height !== pixelHeight) {
      this.canvas.width = pixelWidth;
      this.canvas.height = pixelHeight;
      this.canvas.style.height = `${view}px`;
      this.image = null;
    }
    Object.assign(this.root.dataset, { columns: this.across, tile: this.tileWidth, pitch: this.pitchX.toFixed(3) });
    this.paint();
  }

  corner(channel) {
    const column = channel % this.across;
    return [MARGIN + column * this.pitchX, MARGIN + Math.floor(channel / this.across) * this.pitchY];
  }

  paint() {
    if (!this.maps || !this.canvas.width) return;
    this.draw.cancel();
    const ratio = window.devicePixelRatio || 1;
    const { width, height } = this.canvas;
    const context = this.canvas.getContext("2d");
    this.image ??= context.createImageData(width, height);
    const pixels = new Uint32Array(this.image.data.buffer);
    pixels.fill(0);
    const top = this.scroller.scrollTop;
    const first = Math.max(0, Math.floor((top - MARGIN) / this.pitchY) * this.across);
    const last = Math.min(this.maps.channels, Math.ceil((top + height / ratio) / this.pitchY + 1) * this.across);
    const [tileWidth, tileHeight] = [Math.round(this.tileWidth * ratio), Math.round(this.tileHeight * ratio)];
    const place = (channel) => {
      const [x, y] = this.corner(channel);
      return [Math.round(x * ratio), Math.round((y - top) * ratio)];
    };
    for (let channel = first; channel < last; channel += 1) {
      const [x, y] = place(channel);
      const shown = Math.min(tileWidth, width - x);
      if (y < height && y + tileHeight > 0 && shown > 0) {
        this.painter.paint(channel, pixels, width, height, x, y, shown, tileHeight);
      }
    }
    context.putImageData(this.image, 0, 0);
    const outline = (channel, color, thick) => {
      const [x, y] = place(channel);
      const half = (thick * ratio) / 2;
      context.strokeStyle = color;
      context.lineWidth = thick * ratio;
      context.strokeRect(x - half, y - half, tileWidth + 2 * half, tileHeight + 2 * half);
    };
    if (this.hovered !== null) outline(this.hovered, "rgb(128 128 128 / 80%)", 1.5);
    outline(this.local, this.accent, 3);
    this.rim(context, place(this.local), tileWidth, tileHeight, ratio);
    if (this.opened) {
      this.opened = false;
      this.root.dataset.state = "ready";
      this.root.dataset.digest = this.data.digest;
      performance.mark("loupe-grid-painted");
    }
  }

  /** A line of the page's ground inside the chosen tile, so that its outline shows on any colours. */
  rim(context, [x, y], width, height, ratio) {
    context.strokeStyle = this.ground;
    context.lineWidth = 1.5 * ratio;
    const half = context.lineWidth / 2;
    context.strokeRect(x + half, y + half, width - 2 * half, height - 2 * half);
  }

  channelAt(event) {
    if (!this.maps) return null;
    const x = event.offsetX - MARGIN;
    const y = event.offsetY + this.scroller.scrollTop - MARGIN;
    const column = Math.floor(x / this.pitchX);
    const line = Math.floor(y / this.pitchY);
    const channel = line * this.across + column;
    const inside = x >= 0 && y >= 0 && column < this.across && x - column * this.pitchX < this.tileWidth + GAP / 2;
    return inside && channel < this.maps.channels ? channel : null;
  }

  hover(event) {
    const channel = this.channelAt(event);
    if (channel === null) {
      this.leave();
      return;
    }
    if (channel !== this.hovered) {
      this.hovered = channel;
      this.tipTitle.textContent = `Channel ${channel}`;
      this.tipNumbers.textContent = this.maps.describe(channel);
      this.draw();
    }
    this.tip.hidden = false;
    placeTip(this.tip, this.frame, event.offsetX, event.offsetY);
  }

  leave() {
    if (this.hovered === null) return;
    this.hovered = null;
    this.tip.hidden = true;
    this.draw();
  }

  press(event) {
    if (!this.maps || event.altKey || event.ctrlKey || event.metaKey) return;
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / this.pitchY)) * this.across;
    const last = this.maps.channels - 1;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.across, ArrowDown: this.across };
    Object.assign(steps, { PageUp: -page, PageDown: page, Home: -last, End: last });
    if (!(event.key in steps)) return;
    event.preventDefault();
    this.select(Math.min(Math.max(this.local + steps[event.key], 0), last), KEY_PAUSE);
    this.reveal();
  }

  /** Shows the choice at once and tells the server after `pause` milliseconds without a further one. */
  select(channel, pause) {
    clearTimeout(this.timer);
    this.timer = 0;
    if (channel !== this.local) {
      this.local = channel;
      this.clicks += 1;
      this.pending = true;
      this.describe();
      this.draw();
    }
    if (!this.pending) return;
    if (pause) this.timer = setTimeout(() => this.flush(), pause);
    else this.flush();
  }

  flush() {
    clearTimeout(this.timer);
    if (!this.pending) return;
    this.pending = false;
    this.send("selected", { channel: this.local, click: this.clicks });
  }

  reveal() {
    const [, y] = this.corner(this.local);
    const { scrollTop, clientHeight } = this.scroller;
    if (y - MARGIN < scrollTop) this.scroller.scrollTop = y - MARGIN;
    else if (y + this.pitchY > scrollTop + clientHeight) this.scroller.scrollTop = y + this.pitchY - clientHeight;
    this.draw();
  }

  describe() {
    const whole = this.view.scale === "layer";
    const [low, high] = this.maps.ends(whole ? null : this.local);
    this.toolbar.label(low, this.maps.signed ? "0" : whole ? "" : `channel ${this.local}`, high);
    const span = this.maps.signed ? "symmetric about 0" : "from its min to its max";
    const scale = whole ? "All channels on one scale" : `Each channel on its own scale, ${span}`;
    const numbers = this.maps.describe(this.local);
    const text = `Channel ${this.local} of ${wholeNumber.format(this.maps.channels)}: ${numbers}`;
    this.scaleNote.textContent = `${scale}.`;
    this.chosenNote.textContent = text;
    this.option.textContent = text;
    this.option.setAttribute("aria-setsize", this.maps.channels);
    this.option.setAttribute("aria-posinset", this.local + 1);
    this.root.dataset.selected = this.local;
    if (this.live.textContent !== text) this.live.textContent = text;
    this.table.mark(this.local);
  }
}

export default mounted(FeatureGrid);
