// One task's events over EventSource, for as long as the page is open.
//
// - A lost connection is opened again after a jittered, doubling delay, or at once when `wake` is called,
//   always with the last event id, so that nothing is skipped.
// - An event at or before the last offset is dropped, so that nothing is shown twice.
// - A connection that is silent for longer than the server's heartbeats allow counts as lost.
//
// EventSource gives up on any response but 200 and passes on neither status nor body. So each try uses a new one,
// and `errors=events` in the address makes the server send a refusal as an `error` event.

export const FIRST_DELAY_MS = 500;
export const LONGEST_DELAY_MS = 30_000;
export const SILENCE_MS = 45_000;

const EVENTS_WITH_OFFSET = ['log', 'status', 'gap', 'end'];
const SIGNED_OUT = new Set(['401', 'unauthorized', 'unauthenticated', 'token_expired', 'expired']);

/** The delay before try `attempt` (from 0): half of it is fixed, half is drawn by `random`. */
export function backoffMs(attempt, random) {
  const whole = Math.min(LONGEST_DELAY_MS, 2 * FIRST_DELAY_MS * 2 ** attempt);
  return Math.round(whole / 2 + (whole / 2) * random());
}

/** `<8 hex digits>-<offset>` as `{epoch, offset}`, or null. */
export function parseEventId(id) {
  const match = /^([0-9a-f]{8})-(\d+)$/i.exec(id);
  return match && { epoch: match[1].toLowerCase(), offset: Number(match[2]) };
}

export class LogStream {
  #options;
  #platform;
  #source = null;
  #retryTimer;
  #silenceTimer;
  #lastActivityMs = 0;
  #attempt = 0;
  #position = null;
  #lastEventId = '';
  #state = { phase: 'connecting' };

  /**
   * @param {{urlFor: (lastEventId: string) => string, onEvent: (type: string, data: object) => void, onState: (state: object) => void}} options
   *   `onEvent` gets `log`, `status`, `gap`, `end`, `partial`, `reset` and `complete`. `onState` gets `{phase}`: `connecting`, `live`,
   *   `waiting` (with `retryAtMs`, `reason`, and `gaveUp` when EventSource did: any status but 200, such as the
   *   204 of a finished task), `ended`, `refused` and `signed-out` (with `reason`).
   * @param {object} [platform] EventSource, timers, clock and random numbers, replaced in tests
   */
  constructor(options, platform = globalThis) {
    this.#options = options;
    this.#platform = platform;
  }

  get state() {
    return this.#state;
  }

  /** Connects, from the last event seen on. */
  open() {
    this.#drop();
    this.#setState({ phase: 'connecting' });
    const source = new this.#platform.EventSource(this.#options.urlFor(this.#lastEventId));
    this.#source = source;
    const listen = (type, handle) => source.addEventListener(type, (event) => {
      if (source === this.#source) handle(event);
    });
    listen('open', () => this.#onOpen());
    listen('error', (event) => (event.data === undefined ? this.#onConnectionError(source) : this.#onRefused(event)));
    listen('heartbeat', (event) => this.#onActivity(event));
    listen('reset', (event) => this.#onReset(event));
    listen('complete', (event) => this.#onComplete(event));
    listen('partial', (event) => this.#onPartial(event));
    for (const type of EVENTS_WITH_OFFSET) listen(type, (event) => this.#onEventWithOffset(type, event));
    this.#lastActivityMs = this.#platform.Date.now();
    this.#watchSilence();
  }

  /** Connects at once when it waits for the next try, or when the connection has been silent for too long. */
  wake() {
    const { phase } = this.#state;
    if (phase === 'waiting' || (phase === 'live' && this.#silentMs >= SILENCE_MS)) this.open();
  }

  /** Makes no more tries, because the task is known to have ended. */
  end() {
    this.#stopWith({ phase: 'ended' });
  }

  /** Disconnects without calling `onState`. */
  close() {
    this.#drop();
  }

  get #silentMs() {
    return this.#platform.Date.now() - this.#lastActivityMs;
  }

  #onOpen() {
    this.#lastActivityMs = this.#platform.Date.now();
    this.#setState({ phase: 'live' });
  }

  /** Any event but an error shows that the connection works. */
  #onActivity(event) {
    this.#attempt = 0;
    this.#lastActivityMs = this.#platform.Date.now();
    if (event.lastEventId) this.#lastEventId = event.lastEventId;
    if (this.#state.phase !== 'live') this.#setState({ phase: 'live' });
  }

  #onEventWithOffset(type, event) {
    const at = parseEventId(event.lastEventId);
    this.#onActivity(event);
    if (at && this.#position && at.epoch !== this.#position.epoch) this.#startOver();
    if (at && this.#position && at.offset <= this.#position.offset) return;
    if (at) this.#position = at;
    this.#options.onEvent(type, JSON.parse(event.data));
  }

  /** An unfinished line: not in the log, so there is nothing to resume at. */
  #onPartial(event) {
    this.#onActivity(event);
    this.#options.onEvent('partial', JSON.parse(event.data));
  }

  #onReset(event) {
    this.#onActivity(event);
    this.#startOver();
    this.#lastEventId = event.lastEventId;
  }

  #startOver() {
    this.#position = null;
    this.#options.onEvent('reset', {});
  }

  #onComplete(event) {
    this.#onActivity(event);
    this.#drop();
    this.#options.onEvent('complete', JSON.parse(event.data));
    this.#setState({ phase: 'ended' });
  }

  #onRefused(event) {
    const { code, message, retryable } = readError(event.data);
    const reason = message || code || 'no reason given';
    if (SIGNED_OUT.has(String(code).toLowerCase())) this.#stopWith({ phase: 'signed-out', reason });
    else if (retryable) this.#onLost(reason);
    else this.#stopWith({ phase: 'refused', reason });
  }

  #stopWith(state) {
    this.#drop();
    this.#setState(state);
  }

  #onConnectionError(source) {
    const gaveUp = source.readyState === this.#platform.EventSource.CLOSED;
    this.#onLost(gaveUp ? 'the server did not open the stream' : 'connection lost', gaveUp);
  }

  #onLost(reason, gaveUp = false) {
    this.#drop();
    const delayMs = backoffMs(this.#attempt, this.#platform.Math.random);
    this.#attempt += 1;
    this.#retryTimer = this.#platform.setTimeout(() => this.open(), delayMs);
    this.#setState({ phase: 'waiting', reason, gaveUp, retryAtMs: this.#platform.Date.now() + delayMs });
  }

  /** One timer that looks again later, instead of a new one per event. */
  #watchSilence() {
    const leftMs = SILENCE_MS - this.#silentMs;
    if (leftMs <= 0) this.#onLost('the server fell silent');
    else this.#silenceTimer = this.#platform.setTimeout(() => this.#watchSilence(), leftMs);
  }

  #drop() {
    this.#platform.clearTimeout(this.#retryTimer);
    this.#platform.clearTimeout(this.#silenceTimer);
    this.#source?.close();
    this.#source = null;
  }

  #setState(state) {
    this.#state = state;
    this.#options.onState(state);
  }
}

function readError(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return { message: text, retryable: true };
  }
}
