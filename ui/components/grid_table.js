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

  show(maps, label) {
    Object.assign(this, { maps, label });
    this.frame.replaceChildren();
    this.fill();
  }

  mark(channel) {
    this.marked = channel;
    this.frame.querySelector("[aria-current]")?.removeAttribute("aria-current");
    this.rows?.[channel]?.setAttribute("aria-current", "true");
  }

  fill() {
    if (!this.node.open || !this.maps || this.frame.firstChild) return;
    const column = (text) => element("th", { scope: "col" }, text);
    const head = element("tr", {}, ...["Channel", "Min", "Max", "Mean"].map(column));
    this.rows = Array.from({ length: this.maps.channels }, (_, channel) => {
      const pick = element("button", { type: "button", class: "link" }, String(channel));
      pick.addEventListener("click", () => this.choose(channel));
      const numbers = [this.maps.low, this.maps.high, this.maps.mean].map((of) => formatNumber(of[channel]));
      const cells = numbers.map((text) => element("td", {}, text));
      return element("tr", {}, element("th", { scope: "row" }, pick), ...cells);
    });
    const caption = element("caption", { class: "unseen" }, this.label);
    const body = element("tbody", {}, ...this.rows);
    this.frame.append(element("table", {}, caption, element("thead", {}, head), body));
    this.mark(this.marked);
  }
}
