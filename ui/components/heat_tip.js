// The raw values of all maps at the same relative place, beside the pointer.

class HeatTip {
  constructor(frame) {
    this.frame = frame;
    this.node = element("div", { class: "tip numbers", hidden: "" });
    frame.append(this.node);
  }

  hide() {
    this.node.hidden = true;
  }

  /** `at` is a relative position in what the network saw, `position` the pointer's in the pane. */
  show(pane, position, at, contents) {
    const { row, column } = pane.content.placeAt(at);
    const lines = contents.flatMap((content) => {
      const name = content === pane.content ? "title here" : "quiet title";
      const value = content.valueWords(content.placeAt(at));
      return [element("span", { class: name }, content.title), element("span", {}, value)];
    });
    const head = element("div", { class: "quiet" }, `Row ${row}, column ${column}`);
    this.node.replaceChildren(head, element("div", { class: "values" }, ...lines));
    this.node.hidden = false;
    const { offsetLeft, offsetTop } = pane.stage;
    placeTip(this.node, this.frame, offsetLeft + position.x * pane.width, offsetTop + position.y * pane.height);
  }
}
