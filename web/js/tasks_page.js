// The list of tasks, refreshed while its browser tab is visible.

import { BASE, getJson, taskPageUrl } from './api.js';
import { element, setText } from './dom.js';
import { ago, bytes, count, plural } from './format.js';
import { lostText, taskWord } from './outcome.js';

const POLL_MS = 2000;
const COLUMNS = ['Task', 'State', 'Workers', 'Lines', 'Size', 'Last line'];

/** Shows the list; returns the function that ends it. */
export function showTasks({ view, heading, onSignedOut }) {
  document.title = 'Tasks · otto-handler';
  heading.append(element('h1', {}, 'Tasks'));
  const page = new TasksPage(view);
  let timer;
  let stopped = false;

  const refresh = async () => {
    clearTimeout(timer);
    if (stopped || document.hidden) return;
    try {
      page.show(await getJson(['tasks']));
    } catch (error) {
      if (stopped) return;
      if (error.status === 401) return onSignedOut();
      page.showProblem(error);
    }
    if (!stopped) timer = setTimeout(refresh, POLL_MS);
  };

  document.addEventListener('visibilitychange', refresh);
  refresh();
  return () => {
    stopped = true;
    clearTimeout(timer);
    document.removeEventListener('visibilitychange', refresh);
  };
}

class TasksPage {
  #rows = new Map();
  #tasks = new Map();
  #next = undefined;
  #body = element('tbody');
  #table = element('table', { class: 'tasks', hidden: true },
    element('thead', {}, element('tr', {}, ...COLUMNS.map((name) => element('th', { scope: 'col' }, name)))),
    this.#body);
  #empty = new EmptyState();
  #problem = element('p', { class: 'problem', role: 'status' });
  #more = element('button', { type: 'button', hidden: true, onclick: () => this.#loadMore() }, 'Show more tasks');

  constructor(view) {
    view.append(element('div', { class: 'page' }, this.#problem, this.#table, this.#empty.node, this.#more));
  }

  show({ tasks, nextCursor }) {
    if (this.#next === undefined) this.#next = nextCursor ?? null;
    this.#update(tasks);
    setText(this.#problem, '');
  }

  showProblem(error) {
    setText(this.#problem, `The list may be out of date: ${error.message}.`);
  }

  async #loadMore() {
    try {
      const { tasks, nextCursor } = await getJson(['tasks'], { cursor: this.#next });
      this.#next = nextCursor ?? null;
      this.#update(tasks);
    } catch (error) {
      this.showProblem(error);
    }
  }

  #update(tasks) {
    for (const task of tasks) this.#tasks.set(task.taskId, task);
    const sorted = [...this.#tasks.values()].sort((a, b) => Date.parse(b.lastTime) - Date.parse(a.lastTime));
    sorted.forEach((task, index) => this.#putRow(this.#row(task), index));
    this.#table.hidden = sorted.length === 0;
    this.#empty.show(sorted.length === 0);
    this.#more.hidden = !this.#next;
  }

  /** Moves a row only when it is not at `index` yet: moving it would lose focus and selection. */
  #putRow(row, index) {
    const current = this.#body.children[index];
    if (current !== row) this.#body.insertBefore(row, current ?? null);
  }

  #row(task) {
    let cells = this.#rows.get(task.taskId);
    if (!cells) this.#rows.set(task.taskId, (cells = taskRow(task.taskId)));
    const state = taskWord(task);
    cells.state.className = `badge ${state}`;
    setText(cells.state, state);
    setText(cells.workers, workersText(task.workerCounts));
    setText(cells.lines, count(task.lines));
    const { cut } = task.workerCounts;
    setText(cells.lost, task.lostLines || cut ? ` ${lostText(task.lostLines, cut)} lost` : '');
    setText(cells.size, bytes(task.bytes));
    setText(cells.time, ago(task.lastTime, Date.now()));
    cells.time.title = task.lastTime ?? '';
    return cells.row;
  }
}

function taskRow(taskId) {
  const cells = Object.fromEntries(['state', 'workers', 'lines', 'lost', 'size', 'time'].map((name) => [name, element('span')]));
  cells.lost.className = 'lost';
  cells.row = element('tr', {},
    element('th', { scope: 'row' }, element('a', { href: taskPageUrl(taskId) }, taskId)),
    element('td', {}, cells.state),
    element('td', {}, cells.workers),
    element('td', { class: 'number' }, cells.lines, cells.lost),
    element('td', { class: 'number' }, cells.size),
    element('td', {}, cells.time));
  return cells;
}

function workersText({ total, failed }) {
  return plural(total, 'worker') + (failed ? `, ${count(failed)} failed` : '');
}

/** What is shown while there is no task: how to push one to this server. */
class EmptyState {
  #command = element('code');
  #isFilled = false;
  node = element('section', { class: 'panel', hidden: true },
    element('h2', {}, 'No logs yet'),
    element('p', {}, 'Push a first one from a shell; it shows up here by itself:'),
    element('pre', {}, this.#command),
    element('p', {}, 'ottoscaler pushes to the same address: its variable is ', element('code', {}, 'OTTO_HANDLER_HOST'), '.'));

  show(isShown) {
    this.node.hidden = !isShown;
    if (isShown && !this.#isFilled) this.#fill();
  }

  /** Asks the server where producers push to. */
  async #fill() {
    this.#isFilled = true;
    const { grpcAddr } = await getJson(['health']).catch(() => ({}));
    setText(this.#command, firstPush(grpcAddr, location));
  }
}

/** The command that pushes a first log to the server whose page is at `page`. */
export function firstPush(grpcAddr, { protocol, host, hostname }) {
  const to = `http://${reachable(grpcAddr ?? '127.0.0.1:8080', hostname)}`;
  const viewer = `${protocol}//${host}${BASE}`.replace(/\/$/, '');
  return `otto-handler push --to ${to} --viewer ${viewer} --task first-build -- ls -l`;
}

/** The address with this page's host where the server listens on every address. */
function reachable(address, hostname) {
  return address.replace(/^(0\.0\.0\.0|\[::\])(?=:)/, hostname);
}
