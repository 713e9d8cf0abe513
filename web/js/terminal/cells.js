// A row's columns, for a row that is changed and not only appended to. A cell has `text` ('' where nothing was written),
// `width` (0 for the second and further columns of a character), `style` and `link`.

import { pushText } from './spans.js';

const blank = () => ({ text: '', width: 1, style: null, link: null });

export class Cells {
  #cells = [];

  get length() {
    return this.#cells.length;
  }

  copy() {
    const copy = new Cells();
    copy.#cells = this.#cells.map((cell) => ({ ...cell }));
    return copy;
  }

  /** Writes a character of `width` columns at `column`, which may be beyond the end. */
  put(column, text, width, style, link) {
    this.#fillTo(column);
    const end = column + width;
    for (let at = column; at < Math.min(end, this.length); at += 1) this.#free(at);
    this.#fillTo(end);
    this.#cells[column] = { text, width, style, link };
    for (let at = column + 1; at < end; at += 1) this.#cells[at] = { ...blank(), width: 0 };
  }

  /** Adds a character without a width to the one before `column`. */
  mark(column, mark) {
    let at = Math.min(column, this.length) - 1;
    while (at > 0 && this.#cells[at].width === 0) at -= 1;
    if (this.#cells[at]?.text) this.#cells[at].text += mark;
  }

  /** Makes the columns from `from` up to but not including `to` blank. */
  erase(from, to) {
    for (let at = from; at < Math.min(to, this.length); at += 1) this.#free(at);
    this.#trim();
  }

  truncate(column) {
    if (column >= this.length) return;
    this.#free(column);
    this.#cells.length = column;
    this.#trim();
  }

  /** Takes `count` columns away, which moves those behind them to the left. */
  delete(column, count) {
    const end = Math.min(column + count, this.length);
    if (column >= end) return;
    this.#untab(column);
    for (let at = column; at < end; at += 1) this.#free(at);
    this.#split(end);
    this.#cells.splice(column, end - column);
    this.#trim();
  }

  /** Makes room for `count` blank columns, which moves those behind them to the right, up to `limit` columns. */
  insert(column, count, limit) {
    if (column >= this.length) return;
    this.#untab(column);
    this.#split(column);
    const size = Math.min(count, Math.max(0, limit - column));
    this.#cells.splice(column, 0, ...Array.from({ length: size }, blank));
    this.truncate(limit);
  }

  /** The text up to the last column that was written in. */
  spans() {
    const spans = [];
    this.#trim();
    for (const { text, width, style, link } of this.#cells) {
      if (width > 0) pushText(spans, text || ' ', style, link);
    }
    return spans;
  }

  /** Gives up the columns behind the last one that was written in. */
  #trim() {
    while (this.#cells.at(-1)?.width === 1 && this.#cells.at(-1).text === '') this.#cells.pop();
  }

  #fillTo(length) {
    while (this.#cells.length < length) this.#cells.push(blank());
  }

  /** Makes blanks of the tabs from `column` on: one that is moved would end elsewhere. */
  #untab(column) {
    for (let at = column; at < this.length; at += 1) if (this.#cells[at].text === '\t') this.#free(at);
  }

  /** Makes sure that no character reaches over `column` from the left. */
  #split(column) {
    if (this.#cells[column]?.width === 0) this.#free(column);
  }

  /** Blanks the column and whatever else of its character there is. */
  #free(column) {
    let lead = column;
    while (lead > 0 && this.#cells[lead].width === 0) lead -= 1;
    const end = Math.min(lead + Math.max(1, this.#cells[lead].width), this.length);
    for (let at = lead; at < end; at += 1) this.#cells[at] = blank();
  }
}
