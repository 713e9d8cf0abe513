// Where the reader is in a scrolled element, and what moves it. Only a move of the reader's own counts as one:
// a position that this module set is known before its scroll event arrives.

const EDGE_PX = 400;
const BOTTOM_PX = 12;

export class ScrollPosition {
  #scroller;
  #knownTop = 0;

  /** @param {HTMLElement} scroller */
  constructor(scroller) {
    this.#scroller = scroller;
  }

  /** Takes note of a scroll event; returns which way the reader moved and which end is close. */
  update() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    const fromBottom = scrollHeight - scrollTop - clientHeight;
    const movedUp = scrollTop < this.#knownTop - 1;
    this.#knownTop = scrollTop;
    return { movedUp, nearTop: scrollTop < EDGE_PX, nearBottom: fromBottom < EDGE_PX, atBottom: fromBottom <= BOTTOM_PX };
  }

  toStart() {
    this.#scrollTo(0);
  }

  toEnd() {
    this.#scrollTo(this.#scroller.scrollHeight);
  }

  /** Brings `row` to the middle. */
  toRow(row) {
    this.#scrollTo(row.offsetTop - this.#scroller.clientHeight / 2);
  }

  /** Runs `change`, which adds or removes rows above what `findAnchor` finds before and after, and keeps that in its place. */
  keepInPlace(findAnchor, change) {
    const before = findAnchor()?.offsetTop ?? 0;
    change();
    const anchor = findAnchor();
    if (anchor) this.#scrollTo(this.#scroller.scrollTop + anchor.offsetTop - before);
  }

  #scrollTo(top) {
    this.#scroller.scrollTop = top;
    // The browser limits what it was given, so the value is read back.
    this.#knownTop = this.#scroller.scrollTop;
  }
}
