// The network as a strip of blocks, the layers of the chosen block beneath it, and a search over all layers.

const TALLEST = 44;
const LOWEST = 12;
const KEY_PAUSE = 180;

class NetworkStrip {
  constructor(root) {
    this.root = root;
    this.choice = new Choice((name, click) => this.send("layer", { name, click }));
    this.strip = element("div", { class: "strip", role: "listbox", tabindex: "0", "aria-orientation": "horizontal" });
    this.search = new Search((name) => this.choose(name));
    this.layers = element("div", { class: "layers", role: "group", "aria-label": "Layers of the block" });
    this.block = element("span", { class: "block" });
    this.legend = element("span", { class: "legend quiet" });
    this.facts = element("div", { class: "facts quiet numbers", "aria-live": "polite" });
    this.failure = element("div", { class: "failure", role: "status", hidden: "" });
    const line = element("div", { class: "line" }, this.block, this.legend);
    const below = element("div", { class: "below" }, this.search.node, this.layers);
    root.append(this.failure, this.strip, line, below, this.facts);
    this.strip.addEventListener("keydown", (event) => this.press(event));
  }

  destroy() {
    this.gone = true;
    this.choice.flush();
    this.root.replaceChildren();
  }

  update(data, setStateValue) {
    this.send = setStateValue;
    this.strip.setAttribute("aria-label", data.label);
    this.choice.hear(data.selected, data.click);
    const same = this.digest === data.digest;
    this.digest = data.digest;
    if (same) {
      if (this.blocks) this.show();
      return;
    }
    const current = () => !this.gone && this.digest === data.digest;
    fetchPatiently([data], current, (reason) => this.fail(reason)).then(([buffer]) => {
      if (current()) this.open(JSON.parse(new TextDecoder().decode(buffer.slice(16))));
    });
  }

  fail(reason) {
    this.failure.textContent = `The layers could not be loaded. ${reason.message} Trying again.`;
    this.failure.hidden = false;
  }

  open(blocks) {
    this.blocks = blocks;
    this.failure.hidden = true;
    this.names = blocks.flatMap((block) => block.layers.map((layer) => layer.name));
    this.search.offer(blocks.flatMap((block) => block.layers));
    const largest = Math.max(...blocks.map((block) => block.rows));
    const height = (block) => LOWEST + (TALLEST - LOWEST) * (largest > 1 ? Math.log(block.rows) / Math.log(largest) : 1);
    this.marks = blocks.map((block, index) => {
      const mark = element("div", { class: "mark", role: "option", id: `block-${index}`, title: `${block.name}: ${block.title}` });
      mark.style.setProperty("--kind", block.colour);
      mark.style.height = `${Math.round(height(block))}px`;
      mark.style.flexGrow = Math.log2(block.channels + 1).toFixed(2);
      mark.setAttribute("aria-label", [block.name, block.title, block.changed].filter(Boolean).join(", "));
      if (block.changed) {
        mark.classList.add("changed");
        mark.title += `\n${block.changed}`;
      }
      if (block.layers.length) mark.addEventListener("click", () => this.choose(block.layers.at(-1).name));
      else mark.setAttribute("aria-disabled", "true");
      return mark;
    });
    const parts = [];
    blocks.forEach((block, index) => {
      if (!index || blocks[index - 1].part !== block.part) parts.push({ name: block.part, marks: [] });
      parts.at(-1).marks.push(this.marks[index]);
    });
    const drawn = parts.map(({ name, marks }) => {
      const row = element("div", { class: "marks" }, ...marks);
      const part = element("div", { class: "part", role: "group", "aria-label": name }, row, element("div", { class: "quiet" }, name));
      part.style.flexGrow = marks.reduce((sum, mark) => sum + Number(mark.style.flexGrow), 0).toFixed(2);
      return part;
    });
    this.strip.replaceChildren(...drawn);
    const kinds = new Map(blocks.map((block) => [block.legend, block.colour]));
    const entry = ([name, colour]) => {
      const swatch = element("i", { "aria-hidden": "true" });
      swatch.style.setProperty("--kind", colour);
      return element("span", {}, swatch, name);
    };
    this.legend.replaceChildren(...Array.from(kinds, entry));
    this.show();
    this.root.dataset.state = "ready";
  }

  /** Everything that depends on the choice. */
  show() {
    const chosen = this.choice.value;
    const at = Math.max(0, this.blocks.findIndex((block) => block.layers.some((layer) => layer.name === chosen)));
    const block = this.blocks[at];
    this.marks.forEach((mark, index) => mark.setAttribute("aria-selected", String(index === at)));
    this.strip.setAttribute("aria-activedescendant", `block-${at}`);
    this.marks[at].scrollIntoView({ block: "nearest", inline: "nearest" });
    this.block.textContent = `${block.name}: ${block.title}`;
    if (this.shown !== block) {
      this.shown = block;
      const buttons = block.layers.map((layer) => {
        const inner = layer.name.startsWith(`${block.name}.`) ? layer.name.slice(block.name.length + 1) : layer.name;
        const button = element("button", { type: "button", class: "plain", title: `${layer.name}: ${layer.facts}` }, inner);
        button.dataset.layer = layer.name;
        button.addEventListener("click", () => this.choose(layer.name));
        return button;
      });
      this.layers.replaceChildren(...buttons);
    }
    for (const button of this.layers.children) {
      const pressed = button.dataset.layer === chosen;
      button.setAttribute("aria-pressed", String(pressed));
      if (pressed) this.layers.scrollTop = button.offsetTop - this.layers.offsetTop - 4;
    }
    const facts = block.layers.find((layer) => layer.name === chosen)?.facts ?? "";
    const text = `${chosen}   ·   ${facts}`;
    if (this.facts.textContent !== text) this.facts.textContent = text;
    this.root.dataset.selected = chosen;
  }

  choose(name, pause = 0) {
    this.choice.choose(name, pause);
    this.show();
  }

  /** Left and right: the blocks; up and down: the layers, in the order of execution. */
  press(event) {
    if (!this.blocks || event.altKey || event.ctrlKey || event.metaKey) return;
    const usable = this.blocks.filter((block) => block.layers.length);
    const at = usable.findIndex((block) => block.layers.some((layer) => layer.name === this.choice.value));
    const place = this.names.indexOf(this.choice.value);
    const end = usable.length - 1;
    const block = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: end }[event.key];
    const layer = { ArrowUp: place - 1, ArrowDown: place + 1 }[event.key];
    if (block === undefined && layer === undefined) return;
    event.preventDefault();
    const name = block === undefined ? this.names[layer] : usable[block]?.layers.at(-1).name;
    if (name) this.choose(name, KEY_PAUSE);
  }
}

export default mounted(NetworkStrip);
