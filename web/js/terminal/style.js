// Styles, and Select Graphic Rendition (ECMA-48 §8.3.117, with xterm's colours), which changes them.
//
// A style is null, or has flags (`bold`, `dim`, `italic`, `underline`, `inverse`, `strike`), `fg` and `bg` (an index of
// 256 or `#rrggbb`), and `key`, by which styles are compared.

export const FLAGS = ['bold', 'dim', 'italic', 'underline', 'inverse', 'strike'];
const FLAG_ON = { 1: 'bold', 2: 'dim', 3: 'italic', 4: 'underline', 7: 'inverse', 9: 'strike', 21: 'underline' };
const FLAGS_OFF = { 22: ['bold', 'dim'], 23: ['italic'], 24: ['underline'], 27: ['inverse'], 29: ['strike'] };
const LAYERS = { 38: 'fg', 48: 'bg', 58: null };
const MOST_NUMBERS = 32;
const LARGEST_NUMBER = 65535;
const MOST_KNOWN = 1000;

/** Results of SGR sequences, by the style before and the sequence. */
let known = new Map();

/** Whether both look alike. */
export function isSameStyle(one, other) {
  return one === other || (one !== null && other !== null && one.key === other.key);
}

/** The style after the SGR sequence with the parameters `text`. */
export function applySgr(style, text) {
  const key = `${style?.key ?? ''}|${text}`;
  let result = known.get(key);
  if (result === undefined) {
    if (known.size >= MOST_KNOWN) known = new Map();
    result = applied(style, parametersOf(text));
    known.set(key, result);
  }
  return result;
}

/** Numbers with their subparameters: `1;38:5:2` is `[[1], [38, 5, 2]]`. What is left out is 0. */
export function parametersOf(text) {
  let left = MOST_NUMBERS;
  const parameters = [];
  for (const parameter of text.split(';')) {
    const numbers = parameter.split(':', left).map((number) => Math.min(Number(number), LARGEST_NUMBER));
    left -= numbers.length;
    if (numbers.length > 0) parameters.push(numbers);
    if (left === 0) break;
  }
  return parameters;
}

function applied(before, parameters) {
  const style = { ...before };
  let at = 0;
  const next = () => parameters[at++]?.[0];
  while (at < parameters.length) {
    const [code, ...rest] = parameters[at++];
    if (code in LAYERS) setColour(style, LAYERS[code], rest.length === 0 ? followingColour(next) : colourWithin(rest));
    else if (code === 0) FLAGS.concat('fg', 'bg').forEach((name) => delete style[name]);
    else if (code === 4 && rest[0] === 0) delete style.underline;
    else if (code in FLAG_ON) style[FLAG_ON[code]] = true;
    else if (code in FLAGS_OFF) FLAGS_OFF[code].forEach((flag) => delete style[flag]);
    else applyNamedColour(style, code);
  }
  return finished(style);
}

function applyNamedColour(style, code) {
  if (code >= 30 && code <= 37) style.fg = code - 30;
  else if (code === 39) delete style.fg;
  else if (code >= 40 && code <= 47) style.bg = code - 40;
  else if (code === 49) delete style.bg;
  else if (code >= 90 && code <= 97) style.fg = code - 90 + 8;
  else if (code >= 100 && code <= 107) style.bg = code - 100 + 8;
}

/** `layer` is null for the colour of an underline, which is drawn in the text's. */
function setColour(style, layer, colour) {
  if (layer !== null && colour !== undefined) style[layer] = colour;
}

/** The colour in the parameters that follow, `5;n` or `2;r;g;b`; undefined where a number is missing or too large. */
function followingColour(next) {
  const kind = next();
  if (kind === 5) return colourOfIndex(next());
  return kind === 2 ? colourOfRgb([next(), next(), next()]) : undefined;
}

/** The colour in subparameters: `5:n`, `2:r:g:b`, or `2:space:r:g:b` with a colour space (ITU T.416). */
function colourWithin([kind, ...numbers]) {
  if (kind === 5 && numbers.length === 1) return colourOfIndex(numbers[0]);
  if (kind !== 2 || numbers.length < 3) return undefined;
  return colourOfRgb(numbers.length === 3 ? numbers : numbers.slice(1, 4));
}

function colourOfIndex(index) {
  return index <= 255 ? index : undefined;
}

function colourOfRgb(parts) {
  return parts.every((part) => part <= 255) ? `#${parts.map((part) => part.toString(16).padStart(2, '0')).join('')}` : undefined;
}

function finished(style) {
  const words = FLAGS.filter((flag) => style[flag]);
  if (style.fg !== undefined) words.push(`fg=${style.fg}`);
  if (style.bg !== undefined) words.push(`bg=${style.bg}`);
  return words.length === 0 ? null : { ...style, key: words.join(' ') };
}
