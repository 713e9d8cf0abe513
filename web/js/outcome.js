// How a task ended and what is missing, in words. Only `succeeded` is shown in green.

import { count, plural } from './format.js';

const OUTCOMES = {
  succeeded: 'Succeeded',
  failed: 'Failed',
  terminated: 'Terminated: a worker was stopped before it ended',
  lost: 'Lost: a worker went away without reporting its end',
  unknown: 'Ended: nobody reported how',
};

/** One word for a task's badge: its outcome, or `running`, or `failing` where a worker failed already. */
export function taskWord({ outcome, failed }) {
  return outcome ?? (failed ? 'failing' : 'running');
}

/** A sentence for a complete task. */
export function outcomeText(outcome) {
  return OUTCOMES[outcome] ?? OUTCOMES.unknown;
}

/** How many lines of a task are lost; what `cut` workers had not sent is not in `lostLines`. */
export function lostText(lostLines, cut) {
  if (!cut) return count(lostLines);
  return lostLines ? `${count(lostLines)} or more` : 'some';
}

/** What a `gap` says, in words. */
export function gapText({ lines, reason }) {
  if (reason === 'cut') return 'The sender cut its stream here: what it had not sent is missing, how many lines is unknown';
  if (lines == null) return `Some lines are missing: ${reason ?? 'no reason given'}`;
  const missing = `${plural(lines, 'line')} missing`;
  if (reason === 'numbering') return `${missing}: the sender numbered them and they never came`;
  return `${missing}: ${reason ?? 'no reason given'}`;
}
