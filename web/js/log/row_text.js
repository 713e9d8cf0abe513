// The rows of a line as elements. Log text becomes text nodes only, so that it can never inject markup.

import { element } from '../dom.js';
import { count } from '../format.js';
import { withLinks } from '../terminal/links.js';
import { FLAGS } from '../terminal/style.js';

/** Of a longer line only this much is shown, with a button for the rest. */
const SHOWN_CHARACTERS = 8192;
const SHOWN_SPANS = 400;
/** In longer rows addresses are not looked for. */
const LONGEST_LINKED_ROW = 65_536;
const CUBE = [0, 95, 135, 175, 215, 255];

/** Puts `rows`, which are lists of spans, in place of what `parent` has. */
export function drawRows(parent, rows) {
  const spans = joined(rows);
  const shown = cut(spans);
  parent.replaceChildren(...shown.map(drawn));
  if (shown === spans) return;
  const characters = spans.reduce((sum, span) => sum + span.text.length, 0);
  const showAll = () => parent.replaceChildren(...spans.map(drawn));
  parent.append(element('button', { type: 'button', class: 'inline', onclick: showAll }, `show all ${count(characters)} characters`));
}

/** All spans, with a line feed between rows. */
function joined(rows) {
  const spans = [];
  for (const row of rows) {
    if (row !== rows[0]) spans.push({ text: '\n', style: null, link: null });
    const characters = row.reduce((sum, span) => sum + span.text.length, 0);
    spans.push(...(characters <= LONGEST_LINKED_ROW ? withLinks(row) : row));
  }
  return spans;
}

/** The first of `spans`, as far as they are shown; `spans` itself when that is all. */
function cut(spans) {
  let left = SHOWN_CHARACTERS;
  for (const [at, span] of spans.entries()) {
    if (at === SHOWN_SPANS) return spans.slice(0, at);
    if (span.text.length > left) return [...spans.slice(0, at), { ...span, text: span.text.slice(0, left) }];
    left -= span.text.length;
  }
  return spans;
}

function drawn({ text, style, link }) {
  if (link !== null) return painted(element('a', { class: 'link', href: link, target: '_blank', rel: 'noopener noreferrer', title: link }, text), style);
  return style === null ? text : painted(element('span', {}, text), style);
}

function painted(node, style) {
  if (style === null) return node;
  node.classList.add(...FLAGS.filter((flag) => style[flag]));
  if (!style.inverse) paintBoth(node, style.fg, style.bg);
  else if (style.fg === undefined && style.bg === undefined) node.classList.add('fg-page', 'bg-ink');
  else paintBoth(node, style.bg, style.fg);
  return node;
}

/** Black, white and unset text on a colour is made readable on it; other colours are kept. */
function paintBoth(node, fg, bg) {
  paint(node, 'bg', bg);
  if (bg === undefined || ![undefined, 0, 7, 15].includes(fg)) paint(node, 'fg', fg);
  else if (fg === undefined) node.classList.add(isLight(bg) ? 'on-light' : 'on-dark');
  else node.classList.add(fg === 0 ? 'on-light' : 'on-dark');
}

/** Named colours are classes, so that both schemes can have their own; others are set as they are. */
function paint(node, layer, colour) {
  if (colour === undefined) return;
  if (colour < 16) node.classList.add(`${layer}-${colour}`);
  else node.style[layer === 'fg' ? 'color' : 'backgroundColor'] = `rgb(${rgbOf(colour).join(', ')})`;
}

function isLight(colour) {
  if (colour < 16) return colour === 7 || colour === 15;
  const [red, green, blue] = rgbOf(colour);
  return red * 0.299 + green * 0.587 + blue * 0.114 > 140;
}

/** Red, green and blue of `#rrggbb`, or of one of xterm's 256 colours: 16 named ones, a 6×6×6 cube, 24 greys. */
function rgbOf(colour) {
  if (typeof colour === 'string') return colour.slice(1).match(/../g).map((part) => Number.parseInt(part, 16));
  if (colour >= 232) return Array(3).fill(8 + (colour - 232) * 10);
  const cube = colour - 16;
  return [Math.floor(cube / 36), Math.floor(cube / 6) % 6, cube % 6].map((part) => CUBE[part]);
}
