// The page of one task: its live log, the controls that scroll and filter it, and the state of the connection.

import { apiUrl, getJson } from './api.js';
import { element, setText } from './dom.js';
import { count, plural, shortId } from './format.js';
import { formatKeywords, keywordValues, parseKeywords } from './keywords.js';
import { exitText, workerEndText } from './log/entry_row.js';
import { LogStream } from './log/log_stream.js';
import { LogWindow } from './log/log_window.js';
import { PartJoiner } from './log/parts.js';
import { lostText, outcomeText, taskWord } from './outcome.js';

const FIRST_LINES = 2000;
const TYPING_PAUSE_MS = 400;
const REOPENING_POLL_MS = 3000;
const LEVELS = [['', 'All levels'], ['INFO,WARN,WARNING,ERROR,FATAL', 'Info and up'], ['WARN,WARNING,ERROR,FATAL', 'Warnings and up'], ['ERROR,FATAL', 'Errors']];

/** Shows the log of `taskId`; returns the function that ends it. */
export function showLog(host, taskId) {
  const page = new LogPage(host, taskId);
  return () => page.stop();
}

class LogPage {
  #taskId;
  #onSignedOut;
  #filter = filterOf(location.search);
  #stream = null;
  #window = null;
  #joiner = new PartJoiner();
  #workers = new Set();
  #lastLine = 0;
  #taskState = '';
  #typing;
  #ticker;
  #reopeningTimer;
  #parts;
  #listeners = new AbortController();

  constructor({ view, heading, onSignedOut }, taskId) {
    this.#taskId = taskId;
    this.#onSignedOut = onSignedOut;
    this.#parts = this.#build(view, heading);
    this.#setTaskState('');
    const signal = this.#listeners.signal;
    addEventListener('online', () => this.#stream.wake(), { signal });
    document.addEventListener('visibilitychange', () => this.#onVisible(), { signal });
    addEventListener('hashchange', () => this.#toHash(), { signal });
    this.#ticker = setInterval(() => this.#showCountdown(), 1000);
    this.#start();
    this.#toHash();
  }

  stop() {
    this.#listeners.abort();
    clearInterval(this.#ticker);
    clearTimeout(this.#reopeningTimer);
    clearTimeout(this.#typing);
    this.#stream.close();
    this.#window.stop();
  }

  #build(view, heading) {
    const button = (label, onclick, attributes = {}) => element('button', { type: 'button', onclick, ...attributes }, label);
    const parts = {
      state: element('span', { class: 'badge' }),
      lines: element('span', { class: 'count' }),
      connection: element('span', { class: 'connection', role: 'status', 'aria-live': 'polite' }),
      countdown: element('span', { class: 'countdown', 'aria-hidden': 'true' }),
      retry: button('Try now', () => this.#stream.open(), { hidden: true }),
      notice: element('p', { class: 'notice', role: 'status', hidden: true }),
      scroller: element('div', { class: 'log', tabindex: '0', role: 'region', 'aria-label': `Log of ${this.#taskId}`, onclick: (event) => this.#onLogClick(event) }),
      follow: button('', () => this.#window.follow(), { class: 'follow primary', hidden: true }),
      verdict: element('section', { class: 'verdict', 'aria-label': 'How the task ended', hidden: true }),
    };
    heading.append(
      element('h1', { title: this.#taskId }, this.#taskId), parts.state, parts.lines,
      element('span', { class: 'line-state' }, parts.connection, parts.countdown, parts.retry));
    view.append(element('div', { class: 'log-page' },
      this.#toolbar(button), parts.notice,
      element('div', { class: 'log-area' }, parts.scroller, parts.follow), parts.verdict));
    this.#restoreToggles(parts.scroller);
    return parts;
  }

  #toolbar(button) {
    const level = element('select', { 'aria-label': 'Level', onchange: () => this.#refilter({ level: level.value }) },
      ...LEVELS.map(([value, label]) => element('option', { value, selected: value === this.#filter.level }, label)));
    const keywords = element('input', {
      type: 'search', placeholder: 'Filter: words, comma-separated', 'aria-label': 'Words, any of them', value: this.#filter.keywords,
      title: 'Lines that contain any of these, separated by commas. A text with a comma stands in quotes: "3, found"',
      oninput: () => {
        clearTimeout(this.#typing);
        this.#typing = setTimeout(() => this.#refilter({ keywords: keywords.value.trim() }), TYPING_PAUSE_MS);
      },
    });
    const toggle = (name, label) => button(label, (event) => this.#toggle(name, event.currentTarget), { 'data-toggle': name, 'aria-pressed': String(isOn(name)) });
    return element('div', { class: 'toolbar', role: 'group', 'aria-label': 'What is shown' },
      level, keywords, element('span', { class: 'spacer' }),
      button('⇤ Start', () => this.#window.toStart(), { class: 'edge' }), button('End ⇥', () => this.#window.follow(), { class: 'edge' }),
      toggle('wrap', 'Wrap'), toggle('times', 'Times'),
      this.#download('Download', 'text', 'log', 'Lines as they were sent'), this.#download('Plain text', 'plain', 'txt', 'Lines as they are shown, without colours'));
  }

  #download(label, format, extension, title) {
    return element('a', { class: 'button', href: apiUrl(['tasks', this.#taskId, 'logs'], { format }), download: `${this.#taskId}.${extension}`, title }, label);
  }

  /** Opens window and stream for the filter in force. */
  #start() {
    this.#stream?.close();
    this.#window?.stop();
    this.#joiner.flush();
    this.#workers.clear();
    this.#lastLine = 0;
    this.#parts.scroller.classList.remove('many-workers', 'levels', 'sources');
    const filtered = Boolean(this.#filter.level || parseKeywords(this.#filter.keywords).length);
    this.#window = new LogWindow(this.#parts.scroller, {
      loadPage: filtered ? null : (query) => this.#loadPage(query),
      onChange: () => this.#showFollow(),
      onProblem: (error) => this.#onProblem(error),
    });
    this.#stream = new LogStream({
      urlFor: (lastEventId) => this.#streamUrl(lastEventId, filtered),
      onEvent: (type, data) => this.#onEvent(type, data),
      onState: (state) => this.#onState(state),
    });
    this.#stream.open();
  }

  #streamUrl(lastEventId, filtered) {
    const tail = lastEventId || filtered ? '' : FIRST_LINES;
    const keywords = keywordValues(parseKeywords(this.#filter.keywords));
    return apiUrl(['stream', this.#taskId], { ...this.#filter, keywords, errors: 'events', tail, lastEventId });
  }

  async #loadPage(query) {
    const lines = [];
    const gaps = [];
    let page = { nextAfterLine: query.afterLine };
    // The server ends a page of long lines early: the rest, up to `beforeLine`, takes further pages.
    do {
      page = await this.#historyOf({ ...query, afterLine: page.nextAfterLine });
      for (const entry of page.lines) lines.push({ ...entry, kind: 'log' });
      gaps.push(...(page.gaps ?? []));
    } while (query.beforeLine && page.nextAfterLine);
    lines.forEach((entry) => this.#showColumnsFor(entry));
    return { lines, gaps, totalLines: page.totalLines };
  }

  /** For a task that is not known yet this is a history without lines. */
  async #historyOf(query) {
    try {
      return await getJson(['tasks', this.#taskId, 'logs'], query);
    } catch (error) {
      if (error.status === 404) return { lines: [], totalLines: 0 };
      throw error;
    }
  }

  #onEvent(type, data) {
    if (type === 'complete') return this.#onComplete(data);
    if (type === 'reset') return this.#onReset();
    this.#showColumnsFor(data);
    if (type === 'partial') return this.#window.pushUnfinished(data);
    if (type === 'log') this.#onLine(data);
    for (const entry of this.#joiner.push({ ...data, kind: type })) this.#window.push(entry);
  }

  #onComplete(task) {
    for (const entry of this.#joiner.flush()) this.#window.push(entry);
    this.#window.forgetUnfinished();
    this.#showVerdict(task);
  }

  #onLine({ line }) {
    this.#lastLine = line;
    this.#reopenTask();
  }

  /** Hides the verdict, since a line that arrives after it shows that the task goes on. */
  #reopenTask() {
    if (this.#taskState === 'running') return;
    this.#parts.verdict.hidden = true;
    this.#setTaskState('running');
  }

  #onReset() {
    this.#joiner.flush();
    this.#window.clear();
    this.#lastLine = 0;
    this.#reopenTask();
    this.#window.push({ kind: 'note', text: 'The server has a new store: its log starts here' });
  }

  #onNewWorker(workerId) {
    this.#workers.add(workerId);
    const widest = Math.max(...[...this.#workers].map((id) => shortId(id).length));
    this.#parts.scroller.style.setProperty('--worker-width', `${widest + 2}ch`);
  }

  /** Shows a column from the first entry on that has a value for it. */
  #showColumnsFor({ workerId, level, source }) {
    if (workerId && !this.#workers.has(workerId)) this.#onNewWorker(workerId);
    const columns = [
      this.#workers.size > 1 && 'many-workers',
      level && level.toUpperCase() !== 'INFO' && 'levels',
      source === 'stderr' && 'sources',
    ];
    this.#parts.scroller.classList.add(...columns.filter(Boolean));
  }

  #onState(state) {
    if (state.phase === 'signed-out') return this.#onSignedOut();
    const { connection, retry } = this.#parts;
    connection.className = `connection ${state.phase}`;
    connection.title = state.reason ?? '';
    setText(connection, connectionText(state));
    retry.hidden = state.phase !== 'waiting' && state.phase !== 'refused';
    this.#showCountdown();
    if (state.gaveUp) this.#endIfComplete();
    if (state.phase === 'ended') this.#watchReopening();
  }

  #showCountdown() {
    const { phase, retryAtMs } = this.#stream?.state ?? {};
    const seconds = Math.max(0, Math.ceil((retryAtMs - Date.now()) / 1000));
    setText(this.#parts.countdown, phase === 'waiting' ? `in ${seconds} s` : '');
  }

  /** The stream of a finished task is refused with 204, which EventSource does not pass on, so this asks for the task. */
  async #endIfComplete() {
    const task = await this.#task();
    if (task?.state !== 'complete' || this.#stream.state.phase !== 'waiting') return;
    this.#stream.end();
    this.#showVerdict(task);
  }

  async #onVisible() {
    if (document.hidden) return;
    this.#stream.wake();
    await this.#openIfReopened();
  }

  /** A finished task's stream is closed, so the page asks now and then whether the task goes on, or has another end. */
  #watchReopening() {
    clearTimeout(this.#reopeningTimer);
    this.#reopeningTimer = setTimeout(async () => {
      if (!document.hidden) await this.#openIfReopened();
      if (this.#stream.state.phase === 'ended' && !this.#listeners.signal.aborted) this.#watchReopening();
    }, REOPENING_POLL_MS);
  }

  async #openIfReopened() {
    if (this.#stream.state.phase !== 'ended') return;
    const task = await this.#task();
    if (!task || this.#stream.state.phase !== 'ended') return;
    // Another end may have been told since, too.
    if (task.outcome === this.#taskState) return;
    if (task.state === 'running') this.#reopenTask();
    this.#stream.open();
  }

  async #task() {
    try {
      return await getJson(['tasks', this.#taskId]);
    } catch (error) {
      if (error.status === 401) this.#onSignedOut();
      return null;
    }
  }

  #showVerdict({ lines, lostLines, outcome, workerCounts: { cut }, workers = [] }) {
    this.#setTaskState(taskWord({ outcome }));
    const isIncomplete = lostLines > 0 || cut > 0;
    this.#parts.verdict.className = `verdict ${outcome}`;
    this.#parts.verdict.replaceChildren(
      element('strong', {}, outcomeText(outcome)),
      element('span', {}, plural(lines, 'line')),
      element('span', { class: isIncomplete ? 'lost' : '' }, isIncomplete ? `${lostText(lostLines, cut)} lost` : 'none lost'),
      element('ul', {}, ...workers.map(workerVerdict)));
    this.#parts.verdict.hidden = false;
  }

  #setTaskState(state) {
    this.#taskState = state;
    this.#parts.state.className = `badge ${state}`;
    setText(this.#parts.state, state);
    document.title = [this.#taskId, state, 'otto-handler'].filter(Boolean).join(' · ');
  }

  #showFollow() {
    const { follow, lines } = this.#parts;
    setText(lines, this.#lastLine ? plural(this.#lastLine, 'line') : 'no lines yet');
    follow.hidden = this.#window.following;
    const { unseen } = this.#window;
    const label = this.#stream?.state.phase === 'ended' ? '↓ End' : '↓ Follow';
    setText(follow, unseen ? `${label} · ${count(unseen)} new` : label);
  }

  #refilter(change) {
    this.#filter = { ...this.#filter, ...change };
    const search = new URLSearchParams(Object.entries(this.#filter).filter(([, value]) => value)).toString();
    history.replaceState(null, '', `${location.pathname}${search && `?${search}`}`);
    this.#start();
  }

  /** A click on a line number puts the link to that line into the address bar, without scrolling. */
  #onLogClick(event) {
    const link = event.target.closest('a.line');
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    history.replaceState(null, '', link.hash);
    this.#window.highlight(Number(link.textContent));
  }

  async #toHash() {
    const line = Number(location.hash.match(/^#L(\d+)$/)?.[1]);
    if (!line) return;
    this.#notify('');
    const found = await this.#window.toLine(line);
    if (!found && this.#parts.notice.hidden) this.#notify(`Line ${count(line)} is not in this log.`);
  }

  #onProblem(error) {
    if (error.status === 401) this.#onSignedOut();
    else this.#notify(`Lines could not be loaded: ${error.message}.`);
  }

  #notify(text) {
    setText(this.#parts.notice, text);
    this.#parts.notice.hidden = text === '';
  }

  #toggle(name, button) {
    const on = this.#parts.scroller.classList.toggle(name);
    button.setAttribute('aria-pressed', String(on));
    remember(name, on);
    if (this.#window.following) this.#window.follow();
  }

  #restoreToggles(scroller) {
    for (const name of ['wrap', 'times']) scroller.classList.toggle(name, isOn(name));
  }
}

/** A browser that is set to store nothing for sites throws on any use of its storage. */
function isOn(toggle) {
  try {
    return localStorage.getItem(`otto.${toggle}`) === '1';
  } catch {
    return false;
  }
}

function remember(toggle, on) {
  try {
    localStorage.setItem(`otto.${toggle}`, on ? '1' : '');
  } catch {
    // The choice is lost when the page is closed.
  }
}

/** The page's address has the text of the field; keywords that stand in it one by one, as the API takes them, become that text. */
function filterOf(search) {
  const query = new URLSearchParams(search);
  const keywords = query.getAll('keywords');
  const text = keywords.length > 1 ? formatKeywords(keywords.filter(Boolean)) : keywords[0] ?? '';
  return { level: query.get('level') ?? '', keywords: text };
}

function connectionText({ phase, reason }) {
  return {
    connecting: 'connecting', live: 'live', waiting: 'reconnecting', ended: 'ended', refused: `refused: ${reason}`,
  }[phase];
}

function workerVerdict({ workerId, state, lines, exitCode, cut, missing }) {
  const parts = [`${workerEndText(state)}${exitText(exitCode)}`, plural(lines, 'line')];
  if (missing) parts.push(`${plural(missing, 'line')} missing`);
  if (cut) parts.push('its sender cut the stream, what it had not sent is missing');
  return element('li', { class: (state ?? '').toLowerCase() },
    element('span', { class: 'name', title: workerId }, workerId), ` ${parts.join(', ')}`);
}
