// Terminal text to styled segments. Pure: no DOM, no state between lines.
//
// SGR (ECMA-48 §8.3.117) sets style; every other escape sequence is dropped. Control characters that
// are left become their visible pictures (U+2400 on), so that nothing in a line is hidden.

// CSI, then OSC and the other strings (ended by BEL or ST, or by the line's end), then two-character escapes.
const ESCAPE = /(?:\x1b\[|\x9b)([0-?]*)[ -/]*([@-~])|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c|$)|\x1b[ -/]*[0-~]?/g;
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/g;
const C1 = /[\x80-\x9f]/g;
const NEEDS_WORK = /[\x00-\x08\x0a-\x1f\x7f-\x9f]/;

const FLAG_ON = { 1: 'bold', 2: 'dim', 3: 'italic', 4: 'underline', 7: 'inverse', 9: 'strike' };
const FLAGS_OFF = { 22: ['bold', 'dim'], 23: ['italic'], 24: ['underline'], 27: ['inverse'], 29: ['strike'] };
const CUBE = [0, 95, 135, 175, 215, 255];

/**
 * Splits a line into `{text, style}`. `style` is null for plain text, else it has flags
 * (`bold`, `dim`, `italic`, `underline`, `inverse`, `strike`) and `fg`, `bg`: an index 0–15 or `rgb(r, g, b)`.
 * @param {string} whole
 */
export function parseAnsi(whole) {
  const line = whole.includes('\r') ? lastOverwrite(whole) : whole;
  if (!NEEDS_WORK.test(line)) return line === '' ? [] : [{ text: line, style: null }];
  const segments = [];
  let style = null;
  let from = 0;
  for (const match of line.matchAll(ESCAPE)) {
    pushText(segments, line.slice(from, match.index), style);
    if (match[2] === 'm') style = applySgr(style, match[1]);
    from = match.index + match[0].length;
  }
  pushText(segments, line.slice(from), style);
  return segments;
}

// A progress bar rewrites its line after each carriage return; a terminal ends up with the last of them.
function lastOverwrite(line) {
  return line.split('\r').findLast((part) => part !== '') ?? '';
}

/** The line without escape sequences. */
export function stripAnsi(line) {
  return parseAnsi(line).map((segment) => segment.text).join('');
}

function pushText(segments, raw, style) {
  const text = visibleControls(raw);
  if (text === '') return;
  const last = segments.at(-1);
  if (last && last.style === style) last.text += text;
  else segments.push({ text, style });
}

function visibleControls(text) {
  return text.replace(C1, '\ufffd').replace(CONTROL, (control) => {
    const code = control.charCodeAt(0);
    return String.fromCharCode(code === 0x7f ? 0x2421 : 0x2400 + code);
  });
}

function applySgr(before, parameters) {
  const style = { ...before };
  const codes = numbersOf(parameters);
  for (let at = 0; at < codes.length; at += 1) {
    const code = codes[at];
    if (code === 38 || code === 48) at += applyExtended(style, code === 38 ? 'fg' : 'bg', codes, at + 1);
    else if (code === 0) clear(style);
    else if (code in FLAG_ON) style[FLAG_ON[code]] = true;
    else if (code in FLAGS_OFF) for (const flag of FLAGS_OFF[code]) delete style[flag];
    else applyColour(style, code);
  }
  return Object.keys(style).length === 0 ? null : style;
}

/** `38:2::r:g:b` has an empty colour space, which is dropped to give `38;2;r;g;b`; `4:0` becomes 24, underline off. */
function numbersOf(parameters) {
  const plain = parameters
    .replace(/([34]8:2:)\d*:(\d*:\d*:\d*)/g, '$1$2')
    .replace(/(^|;)4:0/g, '$124')
    .replace(/(^|;)4:\d+/g, '$14');
  return plain.split(/[;:]/).map((number) => (number === '' ? 0 : Number.parseInt(number, 10)));
}

function clear(style) {
  for (const key of Object.keys(style)) delete style[key];
}

function applyColour(style, code) {
  if (code >= 30 && code <= 37) style.fg = code - 30;
  else if (code === 39) delete style.fg;
  else if (code >= 40 && code <= 47) style.bg = code - 40;
  else if (code === 49) delete style.bg;
  else if (code >= 90 && code <= 97) style.fg = code - 90 + 8;
  else if (code >= 100 && code <= 107) style.bg = code - 100 + 8;
}

/** Reads `5;n` or `2;r;g;b` at `at`; returns how many numbers it used. */
function applyExtended(style, layer, codes, at) {
  if (codes[at] === 5) {
    const index = codes[at + 1];
    if (index >= 0 && index <= 255) style[layer] = indexedColour(index);
    return 2;
  }
  if (codes[at] === 2) {
    const rgb = codes.slice(at + 1, at + 4);
    if (rgb.length === 3 && rgb.every((part) => part >= 0 && part <= 255)) style[layer] = `rgb(${rgb.join(', ')})`;
    return 4;
  }
  return 0;
}

/** xterm's 256 colours: 16 named, a 6×6×6 cube, 24 greys. */
function indexedColour(index) {
  if (index < 16) return index;
  if (index >= 232) {
    const grey = 8 + (index - 232) * 10;
    return `rgb(${grey}, ${grey}, ${grey})`;
  }
  const cube = index - 16;
  return `rgb(${CUBE[Math.floor(cube / 36)]}, ${CUBE[Math.floor(cube / 6) % 6]}, ${CUBE[cube % 6]})`;
}
