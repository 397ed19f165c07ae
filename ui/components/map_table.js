// The maps' values as tables, built when they are first opened.

const TABLE_AT_MOST = 56;

class MapTable {
  constructor() {
    this.frame = element("div");
    this.node = element("details", {}, element("summary", {}, "Table"), this.frame);
    this.node.addEventListener("toggle", () => this.fill());
  }

  show(contents) {
    this.contents = contents;
    this.frame.replaceChildren();
    this.fill();
  }

  fill() {
    if (!this.node.open || !this.contents || this.frame.firstChild) return;
    for (const content of this.contents) {
      this.frame.append(element("div", { class: "quiet" }, content.title), this.table(content));
    }
  }

  table(content) {
    const { rows, columns, title } = content;
    if (Math.max(rows, columns) > TABLE_AT_MOST) {
      return element("p", {}, `${rows} × ${columns} places are too many for a table here; the download has them.`);
    }
    const count = (length) => Array.from({ length }, (_, i) => i);
    const head = (text, scope) => element("th", { scope }, String(text));
    const line = (row) => {
      const cells = count(columns).map((column) => element("td", {}, content.valueWords({ row, column })));
      return element("tr", {}, head(row, "row"), ...cells);
    };
    const caption = element("caption", { class: "unseen" }, title);
    const top = element("tr", {}, head("Row", "col"), ...count(columns).map((column) => head(column, "col")));
    const table = element("table", {}, caption, element("thead", {}, top));
    table.append(element("tbody", {}, ...count(rows).map(line)));
    return element("div", { class: "table" }, table);
  }
}
