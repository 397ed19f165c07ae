// What a reader has chosen in a component: shown at once, told to the server, and not moved back by its late answers.
// The other half is clicks.py.

class Choice {
  /** `tell(value, click)` is called with what the server should hear. Values are compared with ===. */
  constructor(tell) {
    this.tell = tell;
    this.pending = false;
  }

  /** The server's word counts once it has heard of the newest click. */
  hear(value, click) {
    this.clicks ??= click;
    if (click === this.clicks) this.value = value;
  }

  /**
   * Tells the server after `pause` milliseconds without a further choice; true if the value is a new one, or `again`
   * says that the same one counts as such.
   */
  choose(value, pause = 0, again = false) {
    const changed = again || value !== this.value;
    if (changed) {
      this.value = value;
      this.clicks += 1;
      this.pending = true;
    }
    clearTimeout(this.timer);
    if (pause) this.timer = setTimeout(() => this.flush(), pause);
    else this.flush();
    return changed;
  }

  flush() {
    clearTimeout(this.timer);
    if (!this.pending) return;
    this.pending = false;
    this.tell(this.value, this.clicks);
  }
}
