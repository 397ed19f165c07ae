// The grid's numbers as a table, built when it is first opened.

class GridTable {
  /** `choose(channel)` is called when a reader picks a channel in the table. */
  constructor(choose) {
    this.choose = choose;
    this.frame = element("div", { class: "table" });
    this.node = element("details", {}, element("summary", {}, "Table"), this.frame);
    this.node.addEventListener("toggle", () => this.fill());
  }

  /** Height while it is folded. */
  get foldedHeight() {
    return this.node.firstChild.offsetHeight;
  }

  /** Shows these channels in this order; `sort` adds a column where it is a similarity. */
  show(maps, label, channels, sort) {
    const similar = sort[0] === "~" && sortValues(maps, sort) ? sort : "";
    if (maps !== this.maps || similar !== this.similar || label !== this.label) this.frame.replaceChildren();
    Object.assign(this, { maps, label, channels, similar });
    this.fill();
  }

  mark(channel) {
    this.marked = channel;
    this.frame.querySelector("[aria-current]")?.removeAttribute("aria-current");
    this.rows?.get(channel)?.setAttribute("aria-current", "true");
  }

  fill() {
    if (!this.node.open || !this.maps) return;
    if (!this.frame.firstChild) this.build();
    const rows = this.channels.map((channel) => {
      if (!this.rows.has(channel)) this.rows.set(channel, this.row(channel));
      return this.rows.get(channel);
    });
    this.body.replaceChildren(...rows);
    this.mark(this.marked);
  }

  build() {
    const { maps, similar } = this;
    const own = [["Min", maps.low], ["Max", maps.high], ["Mean", maps.mean]];
    const further = maps.titles.map((title, i) => [title, maps.statistics[i]]);
    if (similar) further.push([sortTitle(similar), sortValues(maps, similar)]);
    this.columns = [...own.filter(([title]) => !maps.titles.includes(title)), ...further];
    this.marks = maps.marks.some(Boolean);
    this.rows = new Map();
    const titles = ["Channel", ...this.columns.map(([title]) => title), ...(this.marks ? ["Mark"] : [])];
    const head = element("tr", {}, ...titles.map((title) => element("th", { scope: "col" }, title)));
    this.body = element("tbody");
    const caption = element("caption", { class: "unseen" }, this.label);
    this.frame.append(element("table", {}, caption, element("thead", {}, head), this.body));
  }

  row(channel) {
    const pick = element("button", { type: "button", class: "link" }, String(channel));
    pick.addEventListener("click", () => this.choose(channel));
    const texts = this.columns.map(([, numbers]) => formatNumber(numbers[channel]));
    if (this.marks) texts.push(MARKS[this.maps.marks[channel]].name);
    const cells = texts.map((text) => element("td", {}, text));
    return element("tr", {}, element("th", { scope: "row" }, pick), ...cells);
  }
}
