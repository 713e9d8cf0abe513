// One row of a screen. Most rows are only ever appended to and never have columns.

import { Cells } from './cells.js';
import { pushTabbedText } from './spans.js';
import { widthOf } from './widths.js';

/** A row with more columns is only appended to, until it is erased: it bounds what one escape sequence can cost. */
export const COLUMNS = 1000;
const TAB_COLUMNS = 8;

/** The first tab stop behind `column`. */
export function nextTabStop(column) {
  return (Math.floor(column / TAB_COLUMNS) + 1) * TAB_COLUMNS;
}

export class Row {
  /** The shown line that it belongs to, or null. */
  owner = null;
  #appended = [];
  #cells = null;
  #isLong = false;

  copy() {
    const copy = new Row();
    copy.owner = this.owner;
    copy.#appended = this.#appended.map((span) => ({ ...span }));
    copy.#cells = this.#cells?.copy() ?? null;
    copy.#isLong = this.#isLong;
    return copy;
  }

  /** Whether nothing was written since it was made or cleared. */
  get isEmpty() {
    return this.#cells === null && this.#appended.length === 0;
  }

  clear() {
    this.#appended = [];
    this.#cells = null;
    this.#isLong = false;
  }

  /** Writes behind the last character of a row that has no columns. */
  append(text, style, link) {
    pushTabbedText(this.#appended, text, style, link);
  }

  /** Adds a character without a width to the last one of a row that has no columns. */
  appendMark(mark) {
    const last = this.#appended.at(-1);
    if (last) last.text += mark;
  }

  /** The row's columns; null for one that is too long. */
  columns() {
    if (this.#cells === null && !this.#isLong) this.#divide();
    return this.#cells;
  }

  /** Gives the columns up where there are too many; returns whether there were. */
  isTooLong() {
    if (this.#cells === null || this.#cells.length <= COLUMNS) return false;
    this.#appended = this.#cells.spans();
    this.#cells = null;
    this.#isLong = true;
    return true;
  }

  spans() {
    return this.#cells ? this.#cells.spans() : this.#appended;
  }

  #divide() {
    const cells = new Cells();
    for (const { text, style, link } of this.#appended) {
      for (const character of text) {
        const column = cells.length;
        const width = character === '\t' ? nextTabStop(column) - column : widthOf(character.codePointAt(0));
        if (width === 0) cells.mark(column, character);
        else cells.put(column, character, width, style, link);
        if (cells.length > COLUMNS) {
          this.#isLong = true;
          return;
        }
      }
    }
    this.#cells = cells;
    this.#appended = [];
  }
}
