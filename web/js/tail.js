// Live entries that are not shown yet: a bounded queue that drops its oldest. Pure: no DOM.

export class Tail {
  #entries = [];
  #head = 0;
  #limit;

  constructor(limit) {
    this.#limit = limit;
  }

  get size() {
    return this.#entries.length - this.#head;
  }

  /** The next entry to show, or undefined. */
  get first() {
    return this.#entries[this.#head];
  }

  /** The line number of the first log line in it, or undefined. */
  get firstLine() {
    for (let at = this.#head; at < this.#entries.length; at += 1) {
      if (this.#entries[at].line) return this.#entries[at].line;
    }
    return undefined;
  }

  /** Returns whether the oldest had to go for it. */
  push(entry) {
    this.#entries.push(entry);
    if (this.size <= this.#limit) return false;
    this.#advance(1);
    return true;
  }

  /** Removes and returns up to `count` of the oldest. */
  take(count) {
    const taken = this.#entries.slice(this.#head, this.#head + count);
    this.#advance(taken.length);
    return taken;
  }

  /** Drops what has an offset up to `offset`. */
  dropThrough(offset) {
    let passed = 0;
    while (passed < this.size && this.#entries[this.#head + passed].offset <= offset) passed += 1;
    this.#advance(passed);
  }

  clear() {
    this.#entries = [];
    this.#head = 0;
  }

  /** Moves the head; copies only once half of the array is behind it. */
  #advance(count) {
    this.#head += count;
    if (this.#head * 2 < this.#entries.length) return;
    this.#entries = this.#entries.slice(this.#head);
    this.#head = 0;
  }
}
