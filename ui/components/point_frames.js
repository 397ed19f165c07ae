// The slider through the frames: which one is at hand, the way there, and a run through all of them.

const MORPH_MILLISECONDS = 400;
const SEEN_MILLISECONDS = 600;
const RESTED_MILLISECONDS = 300;

class Frames {
  /**
   * `changed()` is called when another frame is at hand, `moved()` at each step of the way there, `rested()` once the
   * slider has not moved for a while.
   */
  constructor({ changed, moved, rested }) {
    Object.assign(this, { changed, moved, rested });
    this.names = [];
    this.frame = this.place = 0;
    this.button = element("button", { type: "button", class: "plain" }, "Play");
    this.button.addEventListener("click", () => (this.playing ? this.stop() : this.play()));
    this.slider = element("input", { type: "range", min: 0, step: 1, "aria-label": "Frame" });
    this.slider.addEventListener("input", () => {
      this.stop();
      this.go(Number(this.slider.value));
    });
    this.first = element("span", { class: "quiet" });
    this.current = element("span", { class: "current numbers" });
    this.last = element("span", { class: "quiet" });
    const ends = element("div", { class: "ends" }, this.first, this.current, this.last);
    const track = element("div", { class: "track" }, this.slider, ends);
    this.node = element("div", { class: "frames", role: "group", "aria-label": "Frames" }, this.button, track);
  }

  get end() {
    return Math.max(0, this.names.length - 1);
  }

  /** The two frames between which the points are drawn, and how far from the one to the other. */
  get between() {
    const from = Math.floor(this.place);
    return { from, to: Math.ceil(this.place), mix: this.place - from };
  }

  get still() {
    return this.place === this.frame;
  }

  get name() {
    return this.names[this.frame] ?? "";
  }

  /** Takes the names; with a number, stands at that frame at once. */
  update(names, frame) {
    this.names = names;
    if (frame !== undefined) {
      this.cancel();
      this.frame = this.place = frame;
    }
    this.node.hidden = names.length < 2;
    this.slider.max = this.end;
    for (const [node, name] of [[this.first, names[0]], [this.last, names[this.end]]]) {
      node.textContent = node.title = name ?? "";
    }
    this.say();
  }

  say() {
    this.slider.value = this.frame;
    const at = `${this.frame + 1} of ${this.names.length}`;
    this.slider.setAttribute("aria-valuetext", `${this.name}, ${at}`);
    this.current.replaceChildren(element("b", {}, this.name), element("span", { class: "quiet" }, at));
    this.current.title = this.name;
    this.button.textContent = this.playing ? "Stop" : "Play";
  }

  /** The points move to a frame; all that is asked of the map refers to it from now on. */
  go(frame) {
    if (frame === this.frame) return;
    this.frame = frame;
    this.say();
    this.morph();
    this.changed();
    this.restSoon();
  }

  morph() {
    cancelAnimationFrame(this.request);
    const [start, from, to] = [performance.now(), this.place, this.frame];
    const span = matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : MORPH_MILLISECONDS;
    const step = (now) => {
      const share = span ? Math.min(1, Math.max(0, (now - start) / span)) : 1;
      this.place = share < 1 ? from + (to - from) * share * share * (3 - 2 * share) : to;
      if (share < 1) this.request = requestAnimationFrame(step);
      this.moved();
    };
    step(start);
  }

  /** Runs through all frames once. */
  play() {
    this.playing = true;
    const next = () => {
      if (this.frame === this.end) {
        this.stop();
        return;
      }
      this.go(this.frame + 1);
      this.timer = setTimeout(next, MORPH_MILLISECONDS + SEEN_MILLISECONDS);
    };
    const far = this.frame !== 0;
    this.go(0);
    this.say();
    this.timer = setTimeout(next, far ? MORPH_MILLISECONDS + SEEN_MILLISECONDS : 0);
  }

  stop() {
    if (!this.playing) return;
    clearTimeout(this.timer);
    this.playing = false;
    this.say();
    this.restSoon();
  }

  restSoon() {
    clearTimeout(this.resting);
    if (!this.playing) this.resting = setTimeout(() => this.rested(), RESTED_MILLISECONDS);
  }

  cancel() {
    cancelAnimationFrame(this.request);
    clearTimeout(this.timer);
    clearTimeout(this.resting);
    this.playing = false;
  }
}
