// The tooltip of a point: its picture, its category, its caption.

const PICTURE_PAUSE = 60;

class PointTip {
  constructor() {
    this.picture = element("img", { width: 112, height: 112, decoding: "async", draggable: "false" });
    this.note = element("div", { class: "note quiet" });
    this.frame = element("div", { class: "picture" }, this.picture, this.note);
    this.title = element("div", { class: "title" });
    this.caption = element("div", { class: "quiet" });
    this.node = element("div", { class: "tip numbers", hidden: "" }, this.frame, this.title, this.caption);
    this.picture.addEventListener("load", () => this.say(""));
    this.picture.addEventListener("error", () => this.say("No picture"));
  }

  /** `template`: address with "{index}", or null where points have no pictures. */
  show(i, name, caption, template) {
    clearTimeout(this.timer);
    this.node.hidden = false;
    this.title.textContent = name;
    const number = wholeNumber.format(i);
    this.caption.textContent = caption ? `${caption} \u00b7 ${number}` : `Point ${number}`;
    this.frame.hidden = !template;
    if (!template) return;
    this.picture.removeAttribute("src");
    this.picture.alt = `${name}, ${caption || `picture ${i}`}`;
    this.say("Loading");
    // A pointer that only passes over a point asks for nothing.
    this.timer = setTimeout(() => {
      this.picture.src = appUrl(template.replaceAll("{index}", String(i)));
    }, PICTURE_PAUSE);
  }

  hide() {
    clearTimeout(this.timer);
    this.node.hidden = true;
  }

  say(note) {
    this.note.textContent = note;
    this.note.hidden = !note;
    this.frame.dataset.picture = note ? note.toLowerCase() : "ready";
  }

  get text() {
    return `${this.title.textContent}, ${this.caption.textContent}`;
  }
}
