// What a worker's terminal shows: the last rows, and the cursor. Knows nothing of the DOM.
//
// The model is that of the Rust module `terminal`, held by `tests/fixtures/terminal.json`; docs/adr/0017 has the reasons.
// Each message makes a *shown line*: the rows that it was the first to write in. A row that is written in again stays where it
// is, and its owner has changed.

import { parse } from './parser.js';
import { COLUMNS, Row, nextTabStop } from './row.js';
import { applySgr, parametersOf } from './style.js';
import { widthOf } from './widths.js';

/** The cursor reaches so many rows: a screen's height. */
const SCREEN_ROWS = 50;
/** How many columns one message may skip, which a row then has as blanks. */
const MAX_BLANKS = 20_000;
const NEEDS_WORK = /[\x00-\x08\x0a-\x1f\x7f-\x9f]/;
const FIRST_MARK = 0xad;
const LONGEST_LINK = 2048;

/** What one message shows. */
export class ShownLine {
  /** From the top; none for a message that only changed the rows of others. */
  rows = [];
}

export class Screen {
  #rows = [new Row()];
  #row = 0;
  /** Null is behind the last character, so that appending needs to know no columns. */
  #column = null;
  #style = null;
  #link = null;
  #saved = null;
  #blanksLeft = 0;
  #hasJumped = false;
  #hasReachedUp = false;
  #shown = null;
  #changed = new Set();

  /** The style that the next message begins with. */
  get style() {
    return this.#style;
  }

  /** Whether a message has written above the first row that has an owner. */
  get hasReachedUp() {
    return this.#hasReachedUp;
  }

  /** The rows that the cursor reaches, from the top, also those without an owner. */
  get allRows() {
    return this.#rows;
  }

  /** Of these, the rows with an owner. */
  get rows() {
    return this.#rows.filter((row) => row.owner !== null);
  }

  /** What was shown so far was only to know how the next message begins: its rows are nobody's. */
  begin() {
    this.release(() => true);
    this.#hasReachedUp = false;
  }

  /** Lets rows go whose owner `isGone`: they belong to whoever writes in them next. */
  release(isGone) {
    for (const row of this.#rows) if (row.owner !== null && isGone(row.owner)) row.owner = null;
  }

  /** Shows a message; returns its shown line, and those of others that it changed. */
  write(message) {
    const text = withoutLineEnd(message);
    this.#shown = new ShownLine();
    this.#changed = new Set();
    this.#hasJumped = false;
    if (this.#isAtNewRow && !NEEDS_WORK.test(text)) this.#writePlain(text);
    else this.#writeAny(text);
    this.#endMessage();
    return { shown: this.#shown, changed: this.#changed };
  }

  /**
   * What a message would show that is not finished yet, without showing it: the rows of its own, and the rows that the shown
   * lines of others would have.
   */
  preview(message) {
    const copies = new Map(this.#rows.map((row) => [row, row.copy()]));
    const screen = new Screen();
    screen.#rows = [...copies.values()];
    [screen.#row, screen.#column, screen.#style] = [this.#row, this.#column, this.#style];
    const { shown, changed } = screen.write(message);
    const rowsOf = (other) => other.rows.map((row) => copies.get(row) ?? row);
    return { rows: shown.rows, changed: new Map([...changed].map((other) => [other, rowsOf(other)])) };
  }

  get #isAtNewRow() {
    const row = this.#rows[this.#row];
    return this.#isLastRow && row.owner === null && row.isEmpty && !this.#column;
  }

  #writePlain(text) {
    if (text !== '') this.#rows[this.#row].append(text, this.#style, null);
    this.#take();
  }

  #writeAny(text) {
    this.#saved = null;
    this.#link = null;
    this.#blanksLeft = MAX_BLANKS;
    parse(text, this);
    // The last row is shown although it is blank, unless the message shows others and only came back to it.
    if (this.#isLastRow && !(this.#hasJumped && this.#shown.rows.length > 0)) this.#take();
  }

  /** Does what a terminal does at a line's end, and forgets the rows that no cursor reaches. */
  #endMessage() {
    this.#toNextRow(false);
    this.#column = 0;
    if (this.#hasJumped && this.#shown.rows.length > 1) this.#sortRows();
    const surplus = this.#rows.length - SCREEN_ROWS;
    if (surplus > 0) {
      this.#rows.splice(0, surplus);
      this.#row -= surplus;
    }
  }

  #sortRows() {
    const order = new Map(this.#rows.map((row, at) => [row, at]));
    this.#shown.rows.sort((one, other) => order.get(one) - order.get(other));
  }

  // What the parser calls.

  print(text) {
    let at = 0;
    while (at < text.length) {
      const column = this.#columnToWrite();
      if (column === null) return this.#append(text.slice(at));
      const code = text.codePointAt(at);
      at += this.#putAt(column, code);
    }
  }

  execute(code) {
    if (code === 0x08) this.#moveLeft(1);
    else if (code === 0x09) this.#tab();
    else if (code >= 0x0a && code <= 0x0c) this.#lineFeed();
    else if (code === 0x0d) this.#toColumn(0);
  }

  csi(marks, parameters, final) {
    if (marks === '' && final === 'm') this.#style = applySgr(this.#style, parameters);
    else if (marks === '' || (marks === '?' && 'JK'.includes(final))) this.#control(final, parametersOf(parameters)[0][0]);
    else if (marks === '!' && final === 'p') this.#style = null;
  }

  escape(marks, final) {
    if (marks !== '') return;
    if (final === '7') this.#save();
    else if (final === '8') this.#restore();
    else if (final === 'D') this.#index();
    else if (final === 'E') this.#lineFeed();
    else if (final === 'M') this.#moveUp(1);
    else if (final === 'c') this.#style = null;
  }

  /** `8;parameters;address` begins a link, or ends one where the address is empty. */
  osc(text) {
    const link = /^8;[^;]*;(.*)$/s.exec(text);
    if (!link) return;
    const address = link[1];
    this.#link = /^https?:\/\/\S+$/i.test(address) && address.length <= LONGEST_LINK ? address : null;
  }

  #control(final, number) {
    const count = Math.max(1, number);
    switch (final) {
      case 'A': return this.#moveUp(count);
      case 'B': case 'e': return this.#moveDown(count);
      case 'C': case 'a': return this.#moveRight(count);
      case 'D': return this.#moveLeft(count);
      case 'E': this.#moveDown(count); return this.#toColumn(0);
      case 'F': this.#moveUp(count); return this.#toColumn(0);
      case 'G': case '`': return this.#toColumn(count - 1);
      case 'J': return number === 0 ? this.#eraseBelow() : undefined;
      case 'K': return [() => this.#eraseRight(), () => this.#eraseLeft(), () => this.#eraseRow()][number]?.();
      case 'P': return this.#changeCells((cells, column) => cells.delete(column, count));
      case 'X': return this.#changeCells((cells, column) => cells.erase(column, column + count));
      case '@': return this.#changeCells((cells, column) => cells.insert(column, count, COLUMNS));
      case 's': return this.#save();
      case 'u': return this.#restore();
      default: return undefined;
    }
  }

  // Writing.

  /** Writes behind the last character: characters without a width belong to that one. */
  #append(text) {
    const row = this.#rows[this.#row];
    let at = 0;
    while (at < text.length && text.charCodeAt(at) >= FIRST_MARK && widthOf(text.codePointAt(at)) === 0) {
      const mark = String.fromCodePoint(text.codePointAt(at));
      row.appendMark(mark);
      at += mark.length;
    }
    if (at === text.length) return;
    row.append(text.slice(at), this.#style, this.#link);
    this.#take();
  }

  /** Writes one character; returns how many units of text it has. */
  #putAt(column, code) {
    const row = this.#rows[this.#row];
    const character = String.fromCodePoint(code);
    const width = widthOf(code);
    if (width === 0) {
      row.columns().mark(column, character);
    } else {
      row.columns().put(column, character, width, this.#style, this.#link);
      this.#column = row.isTooLong() ? null : column + width;
      this.#take();
    }
    return character.length;
  }

  /** Moves to the next tab stop. Where there is nothing yet the tab itself is kept, so that text with tabs can be copied. */
  #tab() {
    const column = this.#columnToWrite();
    const row = this.#rows[this.#row];
    if (column === null) return row.append('\t', null, null);
    const stop = Math.min(nextTabStop(column), COLUMNS - 1);
    const cells = row.columns();
    if (column === cells.length && stop > column) cells.put(column, '\t', stop - column, null, null);
    this.#column = stop;
  }

  /** The row is the message's, unless it is another's: then that one has changed. */
  #take() {
    const row = this.#rows[this.#row];
    if (row.owner === null) {
      if (!this.#isLastRow) this.#hasReachedUp = true;
      row.owner = this.#shown;
      this.#shown.rows.push(row);
    } else if (row.owner !== this.#shown) this.#changed.add(row.owner);
  }

  #hasChanged(row) {
    if (row.owner !== null && row.owner !== this.#shown) this.#changed.add(row.owner);
  }

  // Moving.

  get #isLastRow() {
    return this.#row === this.#rows.length - 1;
  }

  #lineFeed() {
    this.#toNextRow(true);
    this.#column = 0;
  }

  #index() {
    this.#column = this.#columnOrEdge();
    this.#toNextRow(true);
  }

  #toNextRow(takes) {
    if (this.#isLastRow) {
      if (takes) this.#take();
      this.#rows.push(new Row());
    }
    this.#row += 1;
  }

  #moveUp(count) {
    this.#column = this.#columnOrEdge();
    const room = Math.max(0, SCREEN_ROWS + this.#row - this.#rows.length);
    const rows = Math.min(count, room);
    const missing = Math.max(0, rows - this.#row);
    if (missing > 0) {
      this.#rows.unshift(...Array.from({ length: missing }, () => new Row()));
      if (this.#saved) this.#saved.row += missing;
    }
    this.#row += missing - rows;
    this.#hasJumped = true;
  }

  #moveDown(count) {
    this.#column = this.#columnOrEdge();
    this.#row = Math.min(this.#row + count, this.#rows.length - 1);
    this.#hasJumped = true;
  }

  #moveLeft(count) {
    const column = this.#knownColumn();
    if (column !== null) this.#column = Math.max(0, column - count);
  }

  #moveRight(count) {
    const column = this.#knownColumn();
    if (column !== null) this.#column = Math.min(column + count, COLUMNS - 1);
  }

  #toColumn(column) {
    this.#column = Math.min(column, COLUMNS - 1);
  }

  #save() {
    this.#saved = { row: this.#row, column: this.#columnOrEdge(), style: this.#style };
  }

  /** Back to where the cursor was saved, if it was, within the screen. */
  #restore() {
    if (!this.#saved) return;
    this.#row = Math.max(this.#saved.row, this.#rows.length - SCREEN_ROWS);
    this.#column = this.#saved.column;
    this.#style = this.#saved.style;
    this.#hasJumped = true;
  }

  // Erasing.

  #eraseRight() {
    const row = this.#rows[this.#row];
    if (this.#column === null) return;
    if (this.#column === 0) row.clear();
    else row.columns()?.truncate(this.#column);
    this.#hasChanged(row);
  }

  #eraseLeft() {
    this.#changeCells((cells, column) => cells.erase(0, column + 1));
  }

  #eraseRow() {
    const row = this.#rows[this.#row];
    this.#column = this.#knownColumn() ?? 0;
    row.clear();
    this.#hasChanged(row);
  }

  /** The rest of the row and the rows below it. */
  #eraseBelow() {
    this.#eraseRight();
    for (const row of this.#rows.slice(this.#row + 1)) {
      row.clear();
      this.#hasChanged(row);
    }
  }

  #changeCells(change) {
    const column = this.#knownColumn();
    const row = this.#rows[this.#row];
    const cells = column === null ? null : row.columns();
    if (cells === null) return;
    change(cells, column);
    this.#hasChanged(row);
  }

  // Columns.

  /** Where the next character goes; null where it is appended. */
  #columnToWrite() {
    if (this.#column === null) return null;
    const row = this.#rows[this.#row];
    const cells = this.#column === 0 && row.isEmpty ? null : row.columns();
    if (cells === null) this.#column = null;
    else {
      const blanks = Math.max(0, this.#column - cells.length);
      if (blanks <= this.#blanksLeft) this.#blanksLeft -= blanks;
      else this.#column = cells.length;
    }
    return this.#column;
  }

  /** The cursor's column; null in a row that is too long to have columns. */
  #knownColumn() {
    this.#column ??= this.#rows[this.#row].columns()?.length ?? null;
    return this.#column;
  }

  #columnOrEdge() {
    return this.#knownColumn() ?? COLUMNS - 1;
  }
}

/** `message` without the one line end at its end. */
function withoutLineEnd(message) {
  return message.endsWith('\n') ? message.slice(0, message.endsWith('\r\n') ? -2 : -1) : message;
}
