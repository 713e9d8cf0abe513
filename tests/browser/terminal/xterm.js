// The independent terminal that the model is held against: xterm.js, wider than any input, with 50 rows, its cursor in the
// last of them.

import xterm from '@xterm/headless';

export const ROWS = 50;
const COLUMNS = 400;
const FLAGS = { bold: 'isBold', dim: 'isDim', italic: 'isItalic', underline: 'isUnderline', inverse: 'isInverse', strike: 'isStrikethrough' };

export class Xterm {
  #terminal = new xterm.Terminal({ cols: COLUMNS, rows: ROWS, scrollback: 1000, convertEol: true, logLevel: 'off', allowProposedApi: true });

  constructor() {
    this.#terminal.write('\n'.repeat(ROWS - 1));
  }

  /**
   * Shows a message, ends what it left unfinished, and does what a terminal does at a line's end. xterm.js underlines links,
   * and its API does not tell them from underlined text: they become another command, which it passes over.
   */
  async write(message) {
    const text = message.replace(/\r?\n$/, '').replace(/\x1b\]8;/g, '\x1b]9998;');
    await new Promise((done) => this.#terminal.write(`${text}\x1b\\\r\n`, done));
  }

  /** The screen's rows as lists of `{text, style}`, up to the last cell that was written in. */
  rows() {
    const buffer = this.#terminal.buffer.active;
    return Array.from({ length: ROWS }, (_, at) => rowOf(buffer.getLine(buffer.baseY + at)));
  }

  dispose() {
    this.#terminal.dispose();
  }
}

/** Inserting in the middle of a wide character leaves its second half behind, a column of its own without a width. */
function rowOf(line) {
  const cells = [];
  const end = 2 * line.translateToString(true).length; // A character takes two columns at most.
  let widthBefore = 1;
  for (let column = 0; column < Math.min(end, line.length); column += 1) {
    const cell = line.getCell(column);
    if (cell.getWidth() > 0 || widthBefore !== 2) cells.push({ text: cell.getChars(), style: styleOf(cell) });
    widthBefore = cell.getWidth();
  }
  return cells.slice(0, cells.findLastIndex(({ text }) => text !== '') + 1);
}

function styleOf(cell) {
  const words = Object.keys(FLAGS).filter((flag) => cell[FLAGS[flag]]());
  for (const [layer, name] of [['fg', 'Fg'], ['bg', 'Bg']]) {
    const colour = cell[`get${name}Color`]();
    if (cell[`is${name}RGB`]()) words.push(`${layer}=#${colour.toString(16).padStart(6, '0')}`);
    else if (cell[`is${name}Palette`]()) words.push(`${layer}=${colour}`);
  }
  return words.join(' ');
}
