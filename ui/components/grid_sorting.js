// The part of the grid's toolbar that sorts and filters channels.

const STEPS = 200;

/** Puts [value, text] pairs into a select, unless they are there already. */
function offer(select, pairs, value) {
  const before = Array.from(select.options, (option) => [option.value, option.textContent]);
  if (JSON.stringify(before) !== JSON.stringify(pairs)) {
    select.replaceChildren(...pairs.map(([own, text]) => element("option", { value: own }, text)));
  }
  select.value = value;
}

class GridSorting {
  /** `sorted({...})` is called with a new sort or down, `filtered({...})` with a new only or least. */
  constructor(sorted, filtered) {
    const labelled = (text, ...nodes) => {
      return element("label", { class: "slider" }, element("span", { class: "quiet" }, text), ...nodes);
    };
    this.sort = element("select");
    this.sort.addEventListener("change", () => {
      sorted({ sort: this.sort.value, down: this.sort.value !== BY_NUMBER });
    });
    this.direction = element("button", { type: "button", class: "plain", title: "Turn the order round" });
    this.direction.addEventListener("click", () => sorted({ down: !this.down }));
    this.only = element("select");
    this.only.addEventListener("change", () => filtered({ only: this.only.value }));
    this.least = element("input", { type: "range", min: 0, max: STEPS, step: 1 });
    this.least.addEventListener("input", () => filtered({ least: this.leastAt(Number(this.least.value)) }));
    this.number = element("span", { class: "numbers number" });
    const sorts = element("span", { class: "slider" }, labelled("Sort", this.sort), this.direction);
    this.filters = labelled("Filter", this.only);
    this.threshold = labelled("At least", this.least, this.number);
    this.node = element("div", { class: "bar", hidden: "" }, sorts, this.filters, this.threshold);
  }

  leastAt(step) {
    const [low, high] = this.reach;
    return step === 0 ? null : step === STEPS ? high : low + (step / STEPS) * (high - low);
  }

  /** `order` is what `arrange` made of the leading grid's `marks`, `filter` that grid's. */
  show(maps, view, filter, order, marks, selected) {
    this.node.hidden = !maps.titles.length && !maps.marks.some(Boolean);
    this.filters.hidden = !marks.some(Boolean);
    const similar = new Set([`~${selected}`, ...(view.sort[0] === "~" ? [view.sort] : [])]);
    const sorts = [BY_NUMBER, ...maps.titles.map((title) => `=${title}`), ...similar];
    offer(this.sort, sorts.map((sort) => [sort, sortTitle(sort)]), sorts.includes(view.sort) ? view.sort : BY_NUMBER);
    this.down = view.down;
    this.direction.textContent = view.down ? "Largest first" : "Smallest first";
    const filters = [["all", "All channels"], ["alive", "Hide dead"], ["marked", "Only marked"]];
    offer(this.only, filters, filter.only);
    this.reach = order.values ? reachOf(order.values) : [NaN, NaN];
    const [low, high] = this.reach;
    this.threshold.hidden = !(low < high);
    const step = filter.least === null ? 0 : Math.round(((filter.least - low) / (high - low)) * STEPS);
    this.least.value = step;
    this.number.textContent = formatNumber(filter.least ?? low);
    this.least.setAttribute("aria-valuetext", this.number.textContent);
  }
}
