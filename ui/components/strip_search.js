// A box to find one of many names by typing: what holds all the words, walked through with the arrow keys.

const FOUND_AT_MOST = 40;

class Search {
  /** `choose(name)` is called with the name picked. */
  constructor(choose) {
    this.choose = choose;
    this.input = element("input", {
      type: "search",
      role: "combobox",
      "aria-expanded": "false",
      "aria-autocomplete": "list",
      "aria-label": "Find a layer",
      placeholder: "Find a layer",
      autocomplete: "off",
      spellcheck: "false",
    });
    this.list = element("div", { class: "found", role: "listbox", hidden: "" });
    this.node = element("div", { class: "search" }, this.input, this.list);
    this.input.addEventListener("input", () => this.find());
    this.input.addEventListener("keydown", (event) => this.press(event));
    this.input.addEventListener("blur", () => setTimeout(() => this.close(), 150));
  }

  /** What there is to find: [{name, facts}]. */
  offer(entries) {
    this.entries = entries.map((entry) => ({ ...entry, text: `${entry.name} ${entry.facts}`.toLowerCase() }));
  }

  find() {
    const words = this.input.value.toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.length) {
      this.close();
      return;
    }
    const all = this.entries.filter((entry) => words.every((word) => entry.text.includes(word)));
    // Names that begin with what was typed come first.
    const rank = (entry) => (entry.name.toLowerCase().startsWith(words[0]) ? 0 : entry.name.toLowerCase().includes(words[0]) ? 1 : 2);
    this.found = all.sort((a, b) => rank(a) - rank(b)).slice(0, FOUND_AT_MOST);
    this.at = 0;
    const rows = this.found.map((entry, index) => {
      const row = element("div", { role: "option", id: `found-${index}` });
      row.append(element("span", {}, entry.name), element("span", { class: "quiet" }, entry.facts));
      row.addEventListener("pointerdown", (event) => {
        event.preventDefault();
        this.pick(index);
      });
      return row;
    });
    if (!rows.length) rows.push(element("div", { class: "quiet none" }, "No layer of this page has all these words."));
    this.list.replaceChildren(...rows);
    this.list.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
    this.mark();
  }

  mark() {
    Array.from(this.list.children).forEach((row, index) => row.setAttribute("aria-selected", String(index === this.at)));
    if (!this.found.length) return;
    this.input.setAttribute("aria-activedescendant", `found-${this.at}`);
    const row = this.list.children[this.at];
    const { offsetTop, offsetHeight } = row;
    if (offsetTop < this.list.scrollTop) this.list.scrollTop = offsetTop;
    const below = offsetTop + offsetHeight - this.list.clientHeight;
    if (below > this.list.scrollTop) this.list.scrollTop = below;
  }

  press(event) {
    event.stopPropagation();
    if (event.key === "Escape") this.close();
    if (this.list.hidden || !this.found.length) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      const step = event.key === "ArrowDown" ? 1 : -1;
      this.at = (this.at + step + this.found.length) % this.found.length;
      this.mark();
    } else if (event.key === "Enter") {
      event.preventDefault();
      this.pick(this.at);
    }
  }

  pick(index) {
    const { name } = this.found[index];
    this.close();
    this.choose(name);
  }

  close() {
    this.list.hidden = true;
    this.input.value = "";
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
    this.found = [];
  }
}
