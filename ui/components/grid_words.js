// What the grid says about a channel: in the tooltip, in the caption, to screen readers.

function rangeWords(maps, channel) {
  if (!maps.finite(channel)) return "no finite value";
  const [low, high, mean] = [maps.low, maps.high, maps.mean].map((of) => formatNumber(of[channel]));
  return `min ${low}, max ${high}, mean ${mean}`;
}

/** "Criterion: number", or nothing where there is none or the range's words say it. */
function sortedWords(maps, channel, sort) {
  const values = sortValues(maps, sort);
  if (!values) return "";
  const [title, number] = [sortTitle(sort), formatNumber(values[channel])];
  return rangeWords(maps, channel).split(", ").includes(`${title.toLowerCase()} ${number}`) ? "" : `${title}: ${number}`;
}

function markWords(maps, channel) {
  const { name, means } = MARKS[maps.marks[channel]];
  return name && `${name} (${means})`;
}

function channelWords(maps, channel, sort) {
  const facts = [rangeWords(maps, channel), sortedWords(maps, channel, sort), markWords(maps, channel)];
  return `Channel ${channel} of ${wholeNumber.format(maps.channels)}: ${facts.filter(Boolean).join("; ")}`;
}

function placeWords(maps, channel, row, column) {
  if (!maps.finite(channel)) return `Channel ${channel}`;
  const value = maps.value(channel, row, column);
  const said = Number.isNaN(value) ? "not finite" : formatNumber(value);
  return `Channel ${channel}, row ${row}, column ${column}: ${said}`;
}

function scaleWords(maps, scale) {
  if (scale === "layer") return "All channels on one scale.";
  if (scale === "shared") return "One scale for all grids.";
  return `Each channel on its own scale, ${maps.signed(scale) ? "symmetric about 0" : "from its min to its max"}.`;
}

/** The line under the grid, and the same for screen readers. */
class GridCaption {
  constructor() {
    this.chosen = element("span");
    this.count = element("span", { class: "count" });
    this.scale = element("span", { class: "quiet" });
    this.node = element("div", { class: "caption numbers" }, this.chosen, this.count, this.scale);
    this.option = element("span", { class: "unseen", role: "option", id: "option", "aria-selected": "true" });
    this.live = element("div", { class: "unseen", "aria-live": "polite" });
  }

  show(maps, sort, scale, order, channel) {
    const place = order.places[channel];
    const text = channelWords(maps, channel, sort) + (place < 0 ? "; hidden by the filter" : "");
    const [shown, all] = [order.channels.length, maps.channels];
    this.chosen.textContent = text;
    this.count.textContent = shown < all ? `${wholeNumber.format(shown)} of ${wholeNumber.format(all)} shown` : "";
    this.scale.textContent = scaleWords(maps, scale);
    this.option.textContent = text;
    this.option.setAttribute("aria-setsize", shown);
    this.option.setAttribute("aria-posinset", place + 1);
    if (this.live.textContent !== text) this.live.textContent = text;
  }
}

/** The tooltip: lines of text beside a point of a frame. */
class GridTip {
  constructor(frame) {
    this.frame = frame;
    this.title = element("div");
    this.lines = Array.from({ length: 3 }, () => element("div", { class: "quiet" }));
    this.node = element("div", { class: "tip numbers", hidden: "" }, this.title, ...this.lines);
    frame.append(this.node);
  }

  show(title, texts, x, y) {
    this.title.textContent = title;
    this.lines.forEach((line, i) => {
      line.textContent = texts[i];
      line.hidden = !texts[i];
    });
    this.node.hidden = false;
    placeTip(this.node, this.frame, x, y);
  }

  hide() {
    this.node.hidden = true;
  }
}
