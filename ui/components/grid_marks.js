// Channels that are dead or saturated: their words, and a shape for each that shows on any colours.

const DEAD = 1;
const MARKS = [
  { name: "", means: "" },
  { name: "dead", means: "nothing but zero" },
  { name: "saturated", means: "mostly at its ceiling" },
];

/** A cross or a triangle, white with a black rim, in the upper right of a tile. */
function drawMark(context, mark, x, y, width, height, ratio) {
  const side = Math.min(width, height, Math.max(12 * ratio, 0.3 * Math.min(width, height)));
  const [left, right] = [x + width - 0.8 * side, x + width - 0.25 * side];
  const [top, bottom] = [y + 0.25 * side, y + 0.8 * side];
  const cross = `M${left},${top}L${right},${bottom}M${right},${top}L${left},${bottom}`;
  const triangle = `M${left},${bottom}H${right}L${(left + right) / 2},${top}Z`;
  const path = new Path2D(mark === DEAD ? cross : triangle);
  for (const [color, thick] of [["#000000", 5], ["#ffffff", 2]]) {
    context.strokeStyle = color;
    context.lineWidth = thick * ratio;
    context.stroke(path);
  }
  context.fillStyle = "#ffffff";
  context.fill(path);
}

/** What the marks of a layer mean and how many there are; hidden if there are none. */
class MarkLegend {
  constructor() {
    this.node = element("div", { class: "legend quiet numbers", hidden: "" });
  }

  show(marks) {
    const ratio = window.devicePixelRatio || 1;
    const entries = MARKS.map((mark, kind) => [mark, kind, marks.filter((each) => each === kind).length]).slice(1);
    const found = entries.filter(([, , count]) => count > 0);
    this.node.hidden = found.length === 0;
    this.node.replaceChildren(
      ...found.map(([{ name, means }, kind, count], index) => {
        const glyph = element("canvas", { width: 16 * ratio, height: 16 * ratio, "aria-hidden": "true" });
        drawMark(glyph.getContext("2d"), kind, 0, 0, 16 * ratio, 16 * ratio, ratio);
        const comma = index < found.length - 1 ? ", " : "";
        return element("span", {}, glyph, `${wholeNumber.format(count)} ${name} (${means})${comma}`);
      }),
    );
  }
}
