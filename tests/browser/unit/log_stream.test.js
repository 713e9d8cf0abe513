import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FIRST_DELAY_MS, LogStream, LONGEST_DELAY_MS, SILENCE_MS, backoffMs, parseEventId } from '../../../web/js/log/log_stream.js';

/** A clock, timers and EventSources that the test controls. */
class Platform {
  sources = [];
  timers = new Map();
  nowMs = 1_000_000;
  Date = { now: () => this.nowMs };
  Math = { random: () => 0 };

  constructor() {
    const { sources } = this;
    this.EventSource = class extends EventTarget {
      static CLOSED = 2;
      readyState = 0;
      constructor(url) {
        super();
        this.url = url;
        sources.push(this);
      }
      close() {
        this.readyState = 2;
      }
    };
  }

  setTimeout(run, delayMs) {
    const timer = Symbol('timer');
    this.timers.set(timer, { run, atMs: this.nowMs + delayMs });
    return timer;
  }

  clearTimeout(timer) {
    this.timers.delete(timer);
  }

  advance(ms) {
    this.nowMs += ms;
    for (const [timer, { run, atMs }] of [...this.timers]) {
      if (atMs <= this.nowMs && this.timers.delete(timer)) run();
    }
  }

  get source() {
    return this.sources.at(-1);
  }

  send(type, data, lastEventId = '') {
    this.source.dispatchEvent(Object.assign(new Event(type), { data: JSON.stringify(data), lastEventId }));
  }

  log(offset, epoch = '0000abcd') {
    this.send('log', { offset }, `${epoch}-${offset}`);
  }

  fail(readyState = 0) {
    this.source.readyState = readyState;
    this.source.dispatchEvent(new Event('error'));
  }
}

function opened() {
  const platform = new Platform();
  const events = [];
  const phases = [];
  const stream = new LogStream({
    urlFor: (lastEventId) => `/stream?lastEventId=${lastEventId}`,
    onEvent: (type, data) => events.push(type === 'log' ? data.offset : type),
    onState: (state) => phases.push(state.phase),
  }, platform);
  stream.open();
  platform.source.dispatchEvent(new Event('open'));
  return { platform, stream, events, phases };
}

test('the delay doubles, has jitter, and has a limit', () => {
  assert.equal(backoffMs(0, () => 0), FIRST_DELAY_MS);
  assert.equal(backoffMs(0, () => 1), 2 * FIRST_DELAY_MS);
  assert.equal(backoffMs(3, () => 0), 8 * FIRST_DELAY_MS);
  assert.equal(backoffMs(50, () => 1), LONGEST_DELAY_MS);
  assert.ok(backoffMs(50, () => 0) >= LONGEST_DELAY_MS / 2);
});

test('an event id is an epoch and an offset', () => {
  assert.deepEqual(parseEventId('00c0ffee-42'), { epoch: '00c0ffee', offset: 42 });
  for (const id of ['', '42', 'xyz-1', '00c0ffee-', '00c0ffee-1x']) assert.equal(parseEventId(id), null, id);
});

test('a lost connection is opened again from the last event', () => {
  const { platform, phases } = opened();
  platform.log(7);
  platform.fail();
  assert.equal(phases.at(-1), 'waiting');
  assert.equal(platform.sources.length, 1);
  platform.advance(FIRST_DELAY_MS);
  assert.equal(platform.sources.length, 2);
  assert.equal(platform.source.url, '/stream?lastEventId=0000abcd-7');
  assert.equal(platform.sources[0].readyState, 2);
});

test('an id-only frame moves the position to resume from', () => {
  const { platform } = opened();
  platform.log(7);
  platform.send('heartbeat', {}, '0000abcd-90');
  platform.fail();
  platform.advance(FIRST_DELAY_MS);
  assert.equal(platform.source.url, '/stream?lastEventId=0000abcd-90');
});

test('an entry that was shown is not shown again', () => {
  const { platform, events } = opened();
  for (const offset of [1, 2, 3, 2, 3, 4, 4]) platform.log(offset);
  assert.deepEqual(events, [1, 2, 3, 4]);
});

test('the delay grows with every failed try and is reset by one that works', () => {
  const { platform, stream } = opened();
  const delays = [];
  for (let attempt = 0; attempt < 3; attempt += 1) {
    platform.fail();
    delays.push(stream.state.retryAtMs - platform.nowMs);
    platform.advance(delays.at(-1));
  }
  platform.log(1);
  platform.fail();
  delays.push(stream.state.retryAtMs - platform.nowMs);
  assert.deepEqual(delays, [1, 2, 4, 1].map((factor) => factor * FIRST_DELAY_MS));
});

test('waking connects at once when it waits, and changes nothing when it is live', () => {
  const { platform, stream } = opened();
  stream.wake();
  assert.equal(platform.sources.length, 1);
  platform.fail();
  stream.wake();
  assert.equal(platform.sources.length, 2);
  platform.advance(LONGEST_DELAY_MS);
  assert.equal(platform.sources.length, 2);
});

test('a silent connection counts as lost, unless heartbeats arrive', () => {
  const { platform, phases } = opened();
  platform.advance(SILENCE_MS - 1);
  platform.send('heartbeat', {});
  platform.advance(SILENCE_MS - 1);
  assert.equal(phases.at(-1), 'live');
  platform.advance(1);
  assert.equal(phases.at(-1), 'waiting');
});

test('a new store clears the view, and its offsets start again', () => {
  const { platform, events } = opened();
  platform.log(50);
  platform.send('reset', {});
  platform.log(1, '0000beef');
  assert.deepEqual(events, [50, 'reset', 1]);
});

test('an id of another epoch clears the view even without a reset event', () => {
  const { platform, events } = opened();
  platform.log(50);
  platform.log(1, '0000beef');
  assert.deepEqual(events, [50, 'reset', 1]);
});

test('after a complete event it does not connect again', () => {
  const { platform, events, phases } = opened();
  platform.send('complete', { lines: 1 });
  assert.deepEqual(events, ['complete']);
  assert.equal(phases.at(-1), 'ended');
  platform.advance(10 * LONGEST_DELAY_MS);
  assert.equal(platform.sources.length, 1);
  assert.equal(platform.timers.size, 0);
});

test('a refusal is not treated as a lost connection and not tried again', () => {
  const { platform, stream } = opened();
  platform.send('error', { code: 'forbidden', message: 'outside your tasks', retryable: false });
  assert.deepEqual(stream.state, { phase: 'refused', reason: 'outside your tasks' });
  platform.advance(10 * LONGEST_DELAY_MS);
  assert.equal(platform.sources.length, 1);
});

test('a retryable refusal is tried again', () => {
  const { platform, stream } = opened();
  platform.send('error', { code: 'too_many_streams', message: 'too many', retryable: true });
  assert.equal(stream.state.phase, 'waiting');
  assert.equal(stream.state.reason, 'too many');
  platform.advance(FIRST_DELAY_MS);
  assert.equal(platform.sources.length, 2);
});

test('without a valid token the user is asked to sign in', () => {
  const { platform, phases } = opened();
  platform.send('error', { code: 'unauthorized', message: 'no token', retryable: false });
  assert.equal(phases.at(-1), 'signed-out');
});

test('the state says when EventSource gave up, so that the page can ask for the reason', () => {
  const { platform, stream } = opened();
  platform.fail(2);
  assert.equal(stream.state.gaveUp, true);
  stream.end();
  platform.advance(10 * LONGEST_DELAY_MS);
  assert.equal(stream.state.phase, 'ended');
  assert.equal(platform.sources.length, 1);
});

test('an event of a source that was replaced is ignored', () => {
  const { platform, stream, events } = opened();
  const old = platform.source;
  stream.open();
  old.dispatchEvent(Object.assign(new Event('log'), { data: '{"offset":1}', lastEventId: '0000abcd-1' }));
  assert.deepEqual(events, []);
});
