// The feature grid: toolbar, scrolled canvas, tooltip, table. Selection is the only thing the server hears of.

const KEY_PAUSE = 140;
const ORDER_TOLD = 64;

class FeatureGrid {
  constructor(root) {
    this.root = root;
    this.choice = new Choice((channel, click) => {
      this.send("selected", { channel, click, opened: this.opening });
      this.opening = false;
    });
    this.hovered = null;
    this.draw = oncePerFrame(() => this.paint());
    this.build();
    this.resizes = new ResizeObserver(() => this.layout());
    this.resizes.observe(root);
  }

  destroy() {
    this.gone = true;
    this.choice.flush();
    this.leave();
    partGrids(this);
    this.draw.cancel();
    this.resizes.disconnect();
    this.root.replaceChildren();
  }

  build() {
    const filtered = (change) => this.filter(change);
    this.sorting = new GridSorting((change) => this.sort(change), filtered);
    this.toolbar = new GridToolbar((change) => this.change(change));
    this.bars = element("div", { class: "bars" }, this.toolbar.node, this.sorting.node);
    this.legend = new MarkLegend();
    this.table = new GridTable((channel) => {
      this.select(channel, 0);
      this.reveal();
    });
    this.caption = new GridCaption();
    this.canvas = element("canvas", { "aria-hidden": "true" });
    this.sheet = element("div", { class: "sheet" }, this.canvas);
    this.scroller = element("div", { class: "scroller", role: "listbox", tabindex: "0" });
    this.scroller.append(this.caption.option, this.sheet);
    this.scroller.setAttribute("aria-activedescendant", "option");
    const all = element("button", { type: "button", class: "plain" }, "Show all");
    all.addEventListener("click", () => filtered({ only: "all", least: null }));
    this.none = element("div", { class: "failure", hidden: "" }, "No channel passes the filter. ", all);
    this.frame = element("div", { class: "frame" }, this.scroller);
    this.tip = new GridTip(this.frame);
    this.failure = element("div", { class: "failure", role: "status", hidden: "" });
    const below = [this.caption.node, this.legend.node, this.table.node, this.caption.live];
    this.root.append(this.bars, this.failure, this.none, this.frame, ...below);

    this.scroller.addEventListener("scroll", () => this.scrolled());
    this.canvas.addEventListener("click", (event) => {
      const spot = this.spotAt(event);
      if (!spot) return;
      this.select(spot.channel, 0, this.data.opens);
    });
    this.canvas.addEventListener("pointermove", (event) => this.hover(event));
    this.canvas.addEventListener("pointerleave", () => this.leave());
    this.scroller.addEventListener("keydown", (event) => this.press(event));
  }

  get local() {
    return Math.min(this.choice.value, this.maps.channels - 1);
  }

  update(data, setStateValue) {
    const before = this.data;
    this.data = data;
    this.send = setStateValue;
    this.scroller.setAttribute("aria-label", data.label);
    joinGrids(this);
    this.choice.hear(data.selected, data.click);
    if (before?.digest === data.digest) {
      if (this.shown !== data.digest) return;
      this.maps.adopt(data);
      this.refreshAll();
      return;
    }
    this.root.dataset.state = "loading";
    const current = () => !this.gone && this.data.digest === data.digest;
    fetchPatiently([data], current, (reason) => this.fail(reason)).then(([buffer]) => {
      if (current()) this.open(new LayerMaps(buffer, this.data));
    });
  }

  fail(reason) {
    this.failure.textContent = `The channels could not be loaded. ${reason.message} Trying again.`;
    this.failure.hidden = false;
    this.root.dataset.state = "failed";
  }

  open(maps) {
    const sameShape = this.maps && this.maps.channels === maps.channels && this.maps.rows === maps.rows;
    this.maps = maps;
    this.shown = this.data.digest;
    this.painter = new Painter(maps);
    this.failure.hidden = true;
    if (!sameShape) this.scroller.scrollTop = 0;
    this.opened = true;
    this.refreshAll();
    if (!sameShape) this.reveal();
  }

  change(change) {
    Object.assign(this.view, change);
    this.refreshAll();
  }

  /** A new order is looked at from its beginning. */
  sort(change) {
    if ("sort" in change) Object.values(this.view.filters).forEach((filter) => (filter.least = null));
    this.change(change);
    this.scroller.scrollTop = 0;
  }

  filter(change) {
    Object.assign(filterOf(this), change);
    this.change({});
  }

  refreshAll() {
    for (const grid of gridsLinked(this)) grid.refresh();
  }

  /** Everything that depends on data, theme or toolbar. */
  refresh() {
    if (!this.maps) return;
    const { view, data, painter, maps } = this;
    this.scale = view.scale === "shared" && !maps.shared ? "channel" : view.scale;
    const name = this.toolbar.show(view, this.scale, data.palettes, maps);
    painter.scale = this.scale;
    painter.setColors(paletteColors(data.palettes[name]), Math.pow(2, -view.lift));
    this.toolbar.colourBar.paint((fraction) => painter.color(fraction));
    this.order = arrange(leaderOf(this).maps, view, filterOf(this));
    this.ground = themeColor(this.root, "--st-background-color", "#ffffff");
    this.accent = themeColor(this.root, "--st-primary-color", "#3b6fd4");
    this.legend.show(maps.marks);
    this.describe();
    this.layout();
    this.table.show(maps, data.label, this.order.channels, view.sort);
  }

  /** Tile side and number of columns for the room there is. */
  layout() {
    if (!this.order || !this.root.isConnected) return;
    const width = this.scroller.clientWidth || this.root.clientWidth;
    const around = [this.bars, this.caption.node, this.legend.node].map((node) => node.offsetHeight);
    const taken = around.reduce((a, b) => a + b) + this.table.foldedHeight + 24;
    const room = Math.max(160, this.data.height - taken);
    const leader = leaderOf(this);
    const theirs = leader === this ? undefined : leader.tiles?.side;
    // Not reckoned again when a longer caption takes some of the room.
    const fitted = [width, this.data.height, this.maps.channels, this.maps.rows, this.maps.columns].join();
    if (this.fitted !== fitted) Object.assign(this, { fitted, fitting: fittingTile(this.maps, width, room) });
    const side = this.view.tile || theirs || this.fitting;
    const moved = this.tiles?.side !== side;
    const shown = this.order.channels.length;
    this.tiles = new GridLayout(this.maps, shown, side, width, room);
    this.toolbar.tile.value = side;
    this.none.hidden = shown > 0;
    this.frame.hidden = shown === 0;
    this.sheet.style.height = `${this.tiles.total}px`;
    this.scroller.style.height = `${this.tiles.visible}px`;
    const ratio = window.devicePixelRatio || 1;
    const [pixelWidth, pixelHeight] = [Math.round(width * ratio), Math.round(this.tiles.visible * ratio)];
    if (this.canvas.width !== pixelWidth || this.canvas.height !== pixelHeight) {
      this.canvas.width = pixelWidth;
      this.canvas.height = pixelHeight;
      this.canvas.style.height = `${this.tiles.visible}px`;
      this.image = null;
    }
    const { across, pitchX } = this.tiles;
    const order = this.order.channels.slice(0, ORDER_TOLD).join(" ");
    Object.assign(this.root.dataset, { columns: across, tile: side, pitch: pitchX.toFixed(3), shown, order });
    this.paint();
    if (moved && leader === this) twinsOf(this).forEach((twin) => twin !== this && twin.layout());
  }

  paint() {
    if (!this.tiles || !this.canvas.width || !this.canvas.height) return;
    this.draw.cancel();
    const ratio = window.devicePixelRatio || 1;
    const { width, height } = this.canvas;
    const context = this.canvas.getContext("2d");
    this.image ??= context.createImageData(width, height);
    const pixels = new Uint32Array(this.image.data.buffer);
    pixels.fill(0);
    const top = this.scroller.scrollTop;
    const [tileWidth, tileHeight] = [Math.round(this.tiles.side * ratio), Math.round(this.tiles.high * ratio)];
    const corner = (channel) => {
      const [x, y] = this.tiles.corner(this.order.places[channel]);
      return [Math.round(x * ratio), Math.round((y - top) * ratio)];
    };
    const seen = this.order.channels.slice(...this.tiles.between(top, top + height / ratio));
    for (const channel of seen) {
      const [x, y] = corner(channel);
      const shown = Math.min(tileWidth, width - x);
      if (y < height && y + tileHeight > 0 && shown > 0) {
        this.painter.paint(channel, pixels, width, height, x, y, shown, tileHeight);
      }
    }
    context.putImageData(this.image, 0, 0);
    for (const channel of seen) {
      const mark = this.maps.marks[channel];
      if (mark) drawMark(context, mark, ...corner(channel), tileWidth, tileHeight, ratio);
    }
    this.outline(context, this.hovered, corner, tileWidth, tileHeight, "rgb(128 128 128 / 80%)", 1.5 * ratio);
    this.outline(context, this.local, corner, tileWidth, tileHeight, this.accent, 3 * ratio);
    // A line of the page's ground inside the chosen tile, so that its outline shows on any colours.
    this.outline(context, this.local, corner, tileWidth, tileHeight, this.ground, -1.5 * ratio);
    if (this.opened) {
      this.opened = false;
      this.root.dataset.state = "ready";
      this.root.dataset.digest = this.data.digest;
      performance.mark("loupe-grid-painted");
    }
  }

  /** A line so thick around a channel's tile, inside it where negative. */
  outline(context, channel, corner, width, height, color, thick) {
    if (channel === null || this.order.places[channel] < 0) return;
    const [x, y] = corner(channel);
    context.strokeStyle = color;
    context.lineWidth = Math.abs(thick);
    context.strokeRect(x - thick / 2, y - thick / 2, width + thick, height + thick);
  }

  spotAt(event) {
    const spot = this.tiles?.at(event.offsetX, event.offsetY + this.scroller.scrollTop);
    return spot ? { ...spot, channel: this.order.channels[spot.place] } : null;
  }

  hover(event) {
    const spot = this.spotAt(event);
    if (spot) twinsOf(this).forEach((twin) => twin.point(spot));
    else this.leave();
  }

  /** Shows what lies at a spot, here or at the same one of a twin. */
  point({ channel, right, down }) {
    const place = this.order.places[channel];
    if (place < 0) return;
    const { maps, tiles, view } = this;
    if (channel !== this.hovered) {
      this.hovered = channel;
      this.root.dataset.hovered = channel;
      this.draw();
    }
    const [left, top] = tiles.corner(place);
    const y = top + down * tiles.high - this.scroller.scrollTop;
    if (y < 0 || y > tiles.visible) return;
    const title = placeWords(maps, channel, Math.floor(down * maps.rows), Math.floor(right * maps.columns));
    const mark = markWords(maps, channel);
    const texts = [rangeWords(maps, channel), sortedWords(maps, channel, view.sort), mark && `Marked: ${mark}`];
    this.tip.show(title, texts, left + right * tiles.side, y);
  }

  leave() {
    if (this.hovered === null) return;
    for (const twin of twinsOf(this)) {
      twin.hovered = null;
      delete twin.root.dataset.hovered;
      twin.tip.hide();
      twin.draw();
    }
  }

  /** Twins scroll along; one that cannot go as far does not pull this one back. */
  scrolled() {
    this.leave();
    this.draw();
    if (this.led || !this.maps) {
      this.led = false;
      return;
    }
    for (const twin of twinsOf(this).slice(1)) {
      const before = twin.scroller.scrollTop;
      twin.scroller.scrollTop = this.scroller.scrollTop;
      twin.led = twin.scroller.scrollTop !== before;
    }
  }

  press(event) {
    if (!this.tiles || event.altKey || event.ctrlKey || event.metaKey) return;
    const { across, pitchY } = this.tiles;
    if (event.key === "Enter" && this.data.opens) this.select(this.local, 0, true);
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / pitchY)) * across;
    const last = this.order.channels.length - 1;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across };
    Object.assign(steps, { PageUp: -page, PageDown: page, Home: -Infinity, End: Infinity });
    if (!(event.key in steps)) return;
    event.preventDefault();
    const from = this.order.places[this.local];
    const place = from < 0 && event.key !== "End" ? 0 : from + steps[event.key];
    this.select(this.order.channels[Math.min(Math.max(place, 0), last)], KEY_PAUSE);
    this.reveal();
  }

  /**
   * Shows the choice at once and tells the server after `pause` milliseconds without a further one; `opened` asks for
   * all that is known of the channel.
   */
  select(channel, pause, opened = false) {
    this.opening = opened;
    if (!this.choice.choose(channel, pause, opened)) return;
    this.describe();
    this.draw();
  }

  reveal() {
    const place = this.order.places[this.local];
    if (place >= 0) {
      const [, y] = this.tiles.corner(place);
      const { scrollTop, clientHeight } = this.scroller;
      const { pitchY } = this.tiles;
      if (y - MARGIN < scrollTop) this.scroller.scrollTop = y - MARGIN;
      else if (y + pitchY > scrollTop + clientHeight) this.scroller.scrollTop = y + pitchY - clientHeight;
    }
    this.draw();
  }

  describe() {
    const { maps, view, scale, local, order } = this;
    const [low, high] = maps.ends(scale, local);
    this.toolbar.colourBar.label(low, maps.signed(scale) ? "0" : scale === "channel" ? `channel ${local}` : "", high);
    this.sorting.show(maps, view, filterOf(this), order, leaderOf(this).maps.marks, local);
    this.caption.show(maps, view.sort, scale, order, local);
    this.root.dataset.selected = local;
    this.table.mark(local);
  }
}

export default mounted(FeatureGrid);
