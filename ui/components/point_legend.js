// The legend that filters, and the table that says the same in words.

const SEARCH_FROM = 20;

class Legend {
  /** `changed()` is called when a reader has shown or hidden categories. */
  constructor(changed) {
    this.changed = changed;
    this.shown = [];
    this.names = [];
    const link = (text, decide) => {
      const node = element("button", { type: "button", class: "link" }, text);
      node.addEventListener("click", () => this.show(decide));
      return node;
    };
    this.total = element("span", { class: "quiet numbers" });
    const links = element("span", { class: "links" }, link("Show all", () => true), link("Hide all", () => false));
    this.search = element("input", { type: "search", placeholder: "Find a category", "aria-label": "Find a category" });
    this.search.addEventListener("input", () => this.filter());
    this.list = element("div", { class: "list", role: "group", "aria-label": "Categories shown" });
    const head = element("div", { class: "head" }, this.total, links);
    this.node = element("div", { class: "legend" }, head, this.search, this.list);
    this.table = element("div", { class: "table" });
    this.details = element("details", {}, element("summary", {}, "Table"), this.table);
    this.details.addEventListener("toggle", () => this.fillTable());
  }

  /** Takes names, colours and counts; the filter stays while the number of categories does. */
  update({ names, colors, counts, hidden, label }) {
    this.label = label;
    const basis = JSON.stringify([names, colors, counts]);
    if (basis === this.basis) return;
    this.basis = basis;
    if (names.length !== this.names.length) this.shown = names.map((_, category) => !hidden.includes(category));
    Object.assign(this, { names, counts });
    this.entries = names.map((name, category) => {
      const swatch = element("span", { class: "swatch" });
      swatch.style.setProperty("--own", colors[category]);
      const count = element("span", { class: "quiet" }, wholeNumber.format(counts[category]));
      const parts = [swatch, element("span", { class: "name" }, name), count];
      const entry = element("button", { type: "button", title: `${name}\nDouble click: this one only` }, ...parts);
      entry.addEventListener("click", () => this.show((shown, i) => (i === category ? !shown : shown)));
      entry.addEventListener("dblclick", () => this.show((_, i) => i === category));
      return entry;
    });
    this.list.replaceChildren(...this.entries);
    this.total.textContent = `${wholeNumber.format(names.length)} ${names.length === 1 ? "category" : "categories"}`;
    this.search.hidden = names.length < SEARCH_FROM;
    this.table.replaceChildren();
    this.press();
    this.filter();
    this.fillTable();
  }

  get hidden() {
    return this.shown.flatMap((shown, category) => (shown ? [] : [category]));
  }

  /** How many points are shown, how many of `count` cannot be. */
  sentence(count) {
    const sum = (decide) => this.counts.reduce((total, each, category) => total + (decide(category) ? each : 0), 0);
    const [all, shown] = [sum(() => true), sum((category) => this.shown[category])];
    const points = `${wholeNumber.format(all)} ${all === 1 ? "point" : "points"}`;
    const part = shown < all ? `${wholeNumber.format(shown)} of ${points} shown` : points;
    return all < count ? `${part} \u00b7 ${wholeNumber.format(count - all)} without a place` : part;
  }

  show(decide) {
    this.shown = this.shown.map(decide);
    this.press();
    this.changed();
  }

  press() {
    this.entries.forEach((entry, category) => entry.setAttribute("aria-pressed", String(this.shown[category])));
  }

  filter() {
    const wanted = this.search.hidden ? "" : this.search.value.trim().toLowerCase();
    this.entries.forEach((entry, category) => {
      entry.hidden = !this.names[category].toLowerCase().includes(wanted);
    });
  }

  fillTable() {
    if (!this.details.open || this.table.firstChild) return;
    const column = (text) => element("th", { scope: "col" }, text);
    const head = element("tr", {}, ...["Category", "Points", "Shown", "In selection"].map(column));
    this.rows = this.names.map((name, category) => {
      const cells = [wholeNumber.format(this.counts[category]), "", ""].map((text) => element("td", {}, text));
      return element("tr", {}, element("th", { scope: "row" }, name), ...cells);
    });
    const caption = element("caption", { class: "unseen" }, this.label);
    this.table.append(element("table", {}, caption, element("thead", {}, head), element("tbody", {}, ...this.rows)));
    this.tell(this.chosen);
  }

  /** Writes how many points of each category are chosen; null where there is no selection. */
  tell(chosen) {
    this.chosen = chosen;
    if (!this.table.firstChild) return;
    this.rows.forEach((row, category) => {
      row.children[2].textContent = this.shown[category] ? "yes" : "no";
      row.children[3].textContent = chosen ? wholeNumber.format(chosen[category]) : "";
    });
  }
}
