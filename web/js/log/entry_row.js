// One entry as one row. Log text becomes text nodes only, so that it can never inject markup.

import { parseAnsi } from '../ansi.js';
import { element } from '../dom.js';
import { clock, count, plural, shortId } from '../format.js';

/** Of a longer line only this much is shown, with a button for the rest. */
const SHOWN_CHARACTERS = 8192;
const WORKER_HUES = 6;
const LEVEL_CLASSES = {
  TRACE: 'quiet', DEBUG: 'quiet', WARN: 'warn', WARNING: 'warn',
  ERROR: 'error', SEVERE: 'error', FATAL: 'error', CRITICAL: 'error', PANIC: 'error',
};
const WORKER_STATES = {
  CREATED: 'was created', RUNNING: 'is running', COMPLETED: 'completed', FAILED: 'failed', TERMINATED: 'was terminated',
};

/** The row of an entry `{kind: 'log' | 'status' | 'gap' | 'note', ...data}`. */
export function renderEntry(entry) {
  if (entry.kind === 'log') return logRow(entry);
  if (entry.kind === 'status') return statusRow(entry);
  if (entry.kind === 'gap') return markerRow('gap', gapText(entry));
  return markerRow('note', entry.text);
}

/** How a worker ended, in words. */
export function workerStateText(state) {
  return WORKER_STATES[state] ?? 'did not report its end';
}

function logRow({ line, workerId = '', timestamp, level = 'INFO', source, message }) {
  const name = level.toUpperCase();
  const isError = source === 'stderr';
  const kind = ['row', LEVEL_CLASSES[name], isError && 'stderr'].filter(Boolean).join(' ');
  const text = element('span', { class: 'text' });
  appendMessage(text, message ?? '');
  return element('div', { class: kind, id: `L${line}` },
    element('a', { class: 'line', href: `#L${line}` }, String(line)),
    element('span', { class: 'time', title: timestamp }, clock(timestamp)),
    element('span', { class: `worker hue${hue(workerId)}`, title: workerId }, shortId(workerId)),
    element('span', { class: 'level' }, name === 'INFO' ? '' : name),
    element('span', { class: 'source', title: isError ? 'stderr' : null }, isError ? 'err' : ''),
    text);
}

function statusRow({ workerId, status, reason, timestamp }) {
  const tone = { FAILED: 'failed', TERMINATED: 'failed', COMPLETED: 'complete' }[status] ?? 'note';
  const text = `${workerId} ${workerStateText(status)}${reason ? `: ${reason}` : ''}`;
  return markerRow(`status ${tone}`, text, clock(timestamp));
}

function markerRow(kind, text, time) {
  return element('div', { class: `marker ${kind}` }, element('span', {}, text), time && element('span', { class: 'when' }, time));
}

function gapText({ lines, reason }) {
  const what = lines == null ? 'Some lines are missing' : `${plural(lines, 'line')} missing`;
  return `${what}: ${reason ?? 'no reason given'}`;
}

function appendMessage(parent, message) {
  if (message.length <= SHOWN_CHARACTERS) return appendStyled(parent, message);
  appendStyled(parent, message.slice(0, SHOWN_CHARACTERS));
  const showAll = () => {
    parent.replaceChildren();
    appendStyled(parent, message);
  };
  parent.append(element('button', { type: 'button', class: 'inline', onclick: showAll }, `show all ${count(message.length)} characters`));
}

function appendStyled(parent, message) {
  for (const { text, style } of parseAnsi(message)) parent.append(style ? styled(text, style) : text);
}

function styled(text, style) {
  const span = element('span', {}, text);
  const { fg, bg, ...flags } = style;
  span.classList.add(...Object.keys(flags));
  if (!flags.inverse) paintBoth(span, fg, bg);
  else if (fg === undefined && bg === undefined) span.classList.add('fg-page', 'bg-ink');
  else paintBoth(span, bg, fg);
  return span;
}

/** Black, white and unset text on a colour is made readable on it; other colours are kept. */
function paintBoth(span, fg, bg) {
  paint(span, 'bg', bg);
  if (bg === undefined || ![undefined, 0, 7, 15].includes(fg)) paint(span, 'fg', fg);
  else if (fg === undefined) span.classList.add(isLight(bg) ? 'on-light' : 'on-dark');
  else span.classList.add(fg === 0 ? 'on-light' : 'on-dark');
}

/** Named colours are classes, so that both schemes can have their own; others are set as they are. */
function paint(span, layer, colour) {
  if (colour === undefined) return;
  if (typeof colour === 'number') span.classList.add(`${layer}-${colour}`);
  else span.style[layer === 'fg' ? 'color' : 'backgroundColor'] = colour;
}

function isLight(colour) {
  if (typeof colour === 'number') return colour === 7 || colour === 15;
  const [red, green, blue] = colour.match(/\d+/g).map(Number);
  return red * 0.299 + green * 0.587 + blue * 0.114 > 140;
}

function hue(workerId) {
  let sum = 0;
  for (const character of workerId) sum = (sum * 31 + character.codePointAt(0)) >>> 0;
  return sum % WORKER_HUES;
}
