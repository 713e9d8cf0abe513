// From a message to what happens on the screen: the state machine of Paul Williams (vt100.net/emu/dec_ansi_parser) in the
// variant of the crate `vte`, which the Rust side uses.

const CONTROL = /[\x00-\x1f\x7f]/g;
const C1 = /[\x80-\x9f]/;
const EACH_C1 = /[\x80-\x9f]/g;
const SIMPLE_CSI = /([0-9:;]*)([@-~])/y;
const OSC_END = /[\x07\x18\x1a\x1b]/g;
const STRING_END = /[\x18\x1a\x1b]/g;
const OTHER_C0 = /[\x00-\x1f]/g;
const [CAN, SUB, ESC, DEL] = [0x18, 0x1a, 0x1b, 0x7f];

/**
 * @param {string} message
 * @param {{print: (text: string) => void, execute: (code: number) => void, csi: (marks: string, parameters: string, final: string) => void,
 *   escape: (marks: string, final: string) => void, osc: (text: string) => void}} screen `print` gets text without control characters
 */
export function parse(message, screen) {
  // C1 control characters stand for escape sequences (ECMA-48 §5.3).
  const text = C1.test(message) ? message.replace(EACH_C1, (c) => `\x1b${String.fromCharCode(c.charCodeAt(0) - 0x40)}`) : message;
  let at = 0;
  while (at < text.length) {
    const end = indexOf(CONTROL, text, at);
    if (end > at) screen.print(text.slice(at, end));
    if (end === text.length) return;
    const code = text.charCodeAt(end);
    at = code === ESC ? escape(text, end + 1, screen) : end + 1;
    if (code !== ESC) screen.execute(code);
  }
}

function indexOf(pattern, text, from) {
  pattern.lastIndex = from;
  return pattern.exec(text)?.index ?? text.length;
}

// Each of the following reads on from `at` and returns where the text goes on: behind the sequence, or at the escape character
// that broke it off.

function escape(text, at, screen) {
  let marks = '';
  for (let next = at; next < text.length; next += 1) {
    const code = text.charCodeAt(next);
    if (code === CAN || code === SUB) return next + 1;
    if (code === ESC) marks = '';
    else if (code < 0x20) screen.execute(code);
    else if (code < 0x30) marks += text[next];
    else if (code < DEL) return afterEscape(text, next, marks, screen);
  }
  return text.length;
}

function afterEscape(text, at, marks, screen) {
  const final = text[at];
  if (marks === '') {
    if (final === '[') return control(text, at + 1, screen);
    if (final === ']') return command(text, at + 1, screen);
    if ('PX^_'.includes(final)) return afterString(text, indexOf(STRING_END, text, at));
  }
  screen.escape(marks, final);
  return at + 1;
}

function control(text, at, screen) {
  SIMPLE_CSI.lastIndex = at;
  const simple = SIMPLE_CSI.exec(text);
  if (simple === null) return anyControl(text, at, screen);
  screen.csi('', simple[1], simple[2]);
  return SIMPLE_CSI.lastIndex;
}

/** A control sequence that has a private marker, an intermediate or a control character in it. */
function anyControl(text, at, screen) {
  let [marks, parameters, state] = ['', '', 'entry'];
  for (let next = at; next < text.length; next += 1) {
    const code = text.charCodeAt(next);
    if (code === CAN || code === SUB) return next + 1;
    if (code === ESC) return next;
    if (code < 0x20) screen.execute(code);
    else if (code >= 0x40 && code < DEL) {
      if (state !== 'ignore') screen.csi(marks, parameters, text[next]);
      return next + 1;
    } else if (code < 0x40) {
      state = nextState(state, code);
      if (state === 'marked' || state === 'intermediate') marks += text[next];
      else if (state === 'parameters') parameters += text[next];
    }
  }
  return text.length;
}

/** The state after a character that is no final one; `marked` and `parameters` are one state but for what is kept. */
function nextState(state, code) {
  if (state === 'ignore') return state;
  if (code < 0x30) return 'intermediate';
  if (state === 'intermediate') return 'ignore';
  if (code < 0x3c) return 'parameters';
  return state === 'entry' ? 'marked' : 'ignore';
}

function command(text, at, screen) {
  const end = indexOf(OSC_END, text, at);
  if (end < text.length) screen.osc(text.slice(at, end).replace(OTHER_C0, ''));
  return afterString(text, end);
}

function afterString(text, end) {
  return text.charCodeAt(end) === ESC ? end : Math.min(end + 1, text.length);
}
