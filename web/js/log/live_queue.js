// Live entries that have no row yet: a bounded queue that drops its oldest. Knows nothing of the DOM.

export class LiveQueue {
  #entries = [];
  #head = 0;
  #limit;

  /** @param {number} limit the most entries that it holds */
  constructor(limit) {
    this.#limit = limit;
  }

  get size() {
    return this.#entries.length - this.#head;
  }

  /** The oldest entry, or undefined. */
  get first() {
    return this.#entries[this.#head];
  }

  /** The line number of the oldest log line, or undefined. */
  get firstLine() {
    for (let index = this.#head; index < this.#entries.length; index += 1) {
      if (this.#entries[index].line) return this.#entries[index].line;
    }
    return undefined;
  }

  /** Adds an entry; returns whether the oldest one was dropped to make space for it. */
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

  /** Drops the entries whose offset is at most `offset`. */
  dropThrough(offset) {
    let passed = 0;
    while (passed < this.size && this.#entries[this.#head + passed].offset <= offset) passed += 1;
    this.#advance(passed);
  }

  clear() {
    this.#entries = [];
    this.#head = 0;
  }

  /** Moves the head. Copies the array only once half of it has been taken, so that taking stays cheap. */
  #advance(count) {
    this.#head += count;
    if (this.#head * 2 < this.#entries.length) return;
    this.#entries = this.#entries.slice(this.#head);
    this.#head = 0;
  }
}
