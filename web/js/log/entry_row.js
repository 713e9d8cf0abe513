// One entry as one row.

import { element } from '../dom.js';
import { clock, shortId } from '../format.js';
import { gapText, outcomeText } from '../outcome.js';
import { drawRows } from './row_text.js';

const WORKER_HUES = 6;
const LEVEL_CLASSES = {
  TRACE: 'quiet', DEBUG: 'quiet', WARN: 'warn', WARNING: 'warn',
  ERROR: 'error', SEVERE: 'error', FATAL: 'error', CRITICAL: 'error', PANIC: 'error',
};
const WORKER_STATES = {
  CREATED: 'was created', RUNNING: 'is running', COMPLETED: 'completed', FAILED: 'failed', TERMINATED: 'was terminated',
};
const ENDS = ['COMPLETED', 'FAILED', 'TERMINATED'];

/** The row of a line, of which its terminal shows `rows`; a line without a number is not finished. */
export function renderLine(entry, rows) {
  const node = lineRow(entry);
  redrawLine(node, rows);
  return node;
}

/** Shows other rows in the row that `renderLine` made. */
export function redrawLine(node, rows) {
  drawRows(node.lastElementChild, rows.map((row) => row.spans()));
}

/** The row of an entry `{kind: 'status' | 'gap' | 'end' | 'note', ...data}`. */
export function renderMarker(entry) {
  if (entry.kind === 'status') return statusRow(entry);
  if (entry.kind === 'gap') return markerRow('gap', gapText(entry));
  if (entry.kind === 'end') return endRow(entry);
  return markerRow('note', entry.text);
}

/** How a worker ended, in words. */
export function workerEndText(state) {
  return ENDS.includes(state) ? WORKER_STATES[state] : 'did not report its end';
}

/** The exit code of a worker's process, as the end of a sentence; nothing where it is not known. */
export function exitText(exitCode) {
  return exitCode == null ? '' : ` with exit code ${exitCode}`;
}

function lineRow({ line, workerId = '', timestamp, level = 'INFO', source }) {
  const name = level.toUpperCase();
  const isError = source === 'stderr';
  const kind = ['row', LEVEL_CLASSES[name], isError && 'stderr'].filter(Boolean).join(' ');
  return element('div', { class: kind, id: line ? `L${line}` : null },
    line ? element('a', { class: 'line', href: `#L${line}` }, String(line)) : element('span', { class: 'line' }),
    element('span', { class: 'time', title: timestamp }, clock(timestamp)),
    element('span', { class: `worker hue${hue(workerId)}`, title: workerId }, shortId(workerId)),
    element('span', { class: 'level' }, name === 'INFO' ? '' : name),
    element('span', { class: 'source', title: isError ? 'stderr' : null }, isError ? 'err' : ''),
    element('span', { class: 'text' }));
}

function statusRow({ workerId, status, reason, timestamp, metadata }) {
  const tone = { FAILED: 'failed', TERMINATED: 'terminated', COMPLETED: 'succeeded' }[status] ?? 'note';
  const text = `${workerId} ${WORKER_STATES[status]}${exitText(metadata?.exit_code)}${reason ? `: ${reason}` : ''}`;
  return markerRow(`status ${tone}`, text, clock(timestamp));
}

function endRow({ outcome, receivedAt }) {
  const text = outcome ? `The end was told. ${outcomeText(outcome)}` : 'The end was told';
  return markerRow(`end ${outcome ?? 'note'}`, text, clock(receivedAt));
}

function markerRow(kind, text, time) {
  return element('div', { class: `marker ${kind}` }, element('span', {}, text), time && element('span', { class: 'when' }, time));
}

function hue(workerId) {
  let sum = 0;
  for (const character of workerId) sum = (sum * 31 + character.codePointAt(0)) >>> 0;
  return sum % WORKER_HUES;
}
