// The terminals of a log's workers. Knows nothing of the DOM.

import { Screen } from '../terminal/screen.js';

/** Of more workers only those that wrote last are known: others begin anew. */
const MOST_SCREENS = 1000;

export class Terminals {
  #screens = new Map();
  #beginnings = new Map();

  /**
   * @param {object[]} context the lines right before the first one that is shown: they set styles, and what is written in
   *   their rows belongs to who writes it
   */
  constructor(context = []) {
    for (const entry of context) this.write(entry);
    for (const screen of this.#screens.values()) screen.begin();
    this.#beginnings.clear();
  }

  /** Shows a line; returns its shown line, and those of other lines that it changed. */
  write({ workerId = '', message = '' }) {
    const screen = this.#screens.get(workerId) ?? new Screen();
    if (!this.#beginnings.has(workerId)) this.#beginnings.set(workerId, styleKey(screen));
    this.#screens.delete(workerId);
    this.#screens.set(workerId, screen);
    if (this.#screens.size > MOST_SCREENS) this.#screens.delete(this.#screens.keys().next().value);
    return screen.write(message);
  }

  /** What an unfinished line would show, as `Screen.preview` gives it. */
  preview({ workerId = '', message = '' }) {
    return (this.#screens.get(workerId) ?? new Screen()).preview(message);
  }

  /** Lets rows go whose owner `isGone`. */
  release(isGone) {
    for (const screen of this.#screens.values()) screen.release(isGone);
  }

  /** What the first line of each worker began with, and whether one was written above its first row. */
  get beginning() {
    return { styles: this.#beginnings, hasReachedUp: [...this.#screens.values()].some((screen) => screen.hasReachedUp) };
  }

  /** Whether lines that began with `beginning` would have been shown alike after what these terminals have shown. */
  isFollowedBy({ styles, hasReachedUp }) {
    const isAlike = ([workerId, style]) => !this.#screens.has(workerId) || styleKey(this.#screens.get(workerId)) === style;
    return !hasReachedUp && [...styles].every(isAlike);
  }
}

function styleKey(screen) {
  return screen.style?.key ?? '';
}
