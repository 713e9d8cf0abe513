// Reads a task's stream with the npm package `eventsource` across a kill -9 of the server, while lines are pushed.
//
// Usage: node eventsource.js ADDR HTTP. It prints `restart` to have the server killed and started again on the same
// ports, and reads a line when that is done. What it received must equal the history, without a repeat or a gap.
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setImmediate } from 'node:timers/promises';
import { EventSource } from 'eventsource';
import { grpc, load, version } from './stack.js';

const TASK = 'eventsource-resume';
const RESTART_AFTER_LINES = 500;
const LINES_AFTER_RESTART = 300;
const LAST_MESSAGE = 'the end';
const CASE_LIMIT_MS = 60_000;
const BASE = `http://${process.argv[3]}/api/v1/log-streaming`;

const { ottoscaler } = load('log_handler.proto', new URL('../../../proto/ottoscaler/v1', import.meta.url).pathname);

class Producer {
  constructor(address) {
    this.client = new ottoscaler.v1.OttoHandlerLogService(address, grpc.credentials.createInsecure());
    this.sent = 0;
    this.acked = [];
  }

  open() {
    const deadline = Date.now() + CASE_LIMIT_MS;
    this.call = this.client.forwardWorkerLogs({ deadline }, { waitForReady: true });
    const inFlight = [];
    this.inFlight = inFlight;
    // The last ACK of an idle stream comes again, with a message.
    this.call.on('data', ({ sequence, message }) => message || this.acked.push(inFlight[sequence - 1]));
    this.ended = new Promise((resolve) => this.call.on('status', resolve).on('error', () => {}));
  }

  write(message) {
    this.inFlight.push(message);
    const entry = { workerId: `otto-agent-${TASK}-1`, taskId: TASK, message };
    return this.call.write(entry);
  }

  async writeUntilBroken() {
    let broken = false;
    this.ended.then(() => { broken = true; });
    while (!broken) {
      if (!this.write(`line ${++this.sent}`)) await Promise.race([once(this.call, 'drain'), this.ended]);
      await setImmediate();
    }
  }

  async writeRest() {
    for (let count = 0; count < LINES_AFTER_RESTART; count++) this.write(`line ${++this.sent}`);
    this.write(LAST_MESSAGE);
    this.call.end();
    const { code, details } = await this.ended;
    if (code !== grpc.status.OK) throw new Error(`the push after the restart ended with ${code} ${details}`);
  }
}

class Viewer {
  constructor() {
    this.received = [];
    this.opened = 0;
    this.source = new EventSource(`${BASE}/stream/${TASK}`);
    this.source.addEventListener('open', () => { this.opened++; });
    this.source.addEventListener('log', ({ data }) => this.received.push(JSON.parse(data)));
    this.refused = new Promise((_, reject) => {
      for (const name of ['gap', 'reset']) {
        this.source.addEventListener(name, ({ data }) => reject(new Error(`${name} event: ${data}`)));
      }
      this.source.addEventListener('error', ({ message }) => {
        if (this.source.readyState === EventSource.CLOSED) reject(new Error(`EventSource gave up: ${message}`));
      });
    });
  }

  /** Waits until what was received satisfies `enough`. */
  until(enough) {
    const wanted = new Promise((resolve) => {
      this.source.addEventListener('log', () => enough(this.received) && resolve());
    });
    return Promise.race([wanted, this.refused]);
  }
}

async function history() {
  const response = await fetch(`${BASE}/tasks/${TASK}/logs?format=ndjson&gaps=omit`);
  return (await response.text()).trim().split('\n').map((text) => JSON.parse(text));
}

async function restartServer() {
  console.log('restart');
  await once(createInterface({ input: process.stdin }), 'line');
}

async function resumeAfterKill(address) {
  const viewer = new Viewer();
  const producer = new Producer(address);
  producer.open();
  const broken = producer.writeUntilBroken();
  await viewer.until((received) => received.length >= RESTART_AFTER_LINES);
  await Promise.all([restartServer(), broken]);
  const seenBeforeRestart = viewer.received.length;
  producer.open();
  const ended = viewer.until((received) => received.at(-1).message === LAST_MESSAGE);
  await Promise.all([producer.writeRest(), ended]);
  viewer.source.close();
  check(viewer, producer, await history());
  return `${viewer.received.length} lines, ${seenBeforeRestart} of them before the restart`;
}

function check({ received, opened }, { acked }, kept) {
  if (opened < 2) throw new Error('EventSource did not reconnect');
  const name = ({ offset, line, message }) => `offset ${offset} line ${line} '${message}'`;
  const differs = received.findIndex((entry, index) => !kept[index] || name(entry) !== name(kept[index]));
  if (differs >= 0) throw new Error(`event ${differs + 1} is ${name(received[differs])}, kept is ${JSON.stringify(kept[differs])}`);
  if (received.length !== kept.length) throw new Error(`${received.length} events of ${kept.length} kept entries`);
  const misnumbered = kept.findIndex(({ line }, index) => line !== index + 1);
  if (misnumbered >= 0) throw new Error(`entry ${misnumbered + 1} is ${name(kept[misnumbered])}`);
  const messages = new Set(kept.map(({ message }) => message));
  const lost = acked.find((message) => !messages.has(message));
  if (lost) throw new Error(`'${lost}' was acked and is not kept`);
}

function limit(milliseconds) {
  return new Promise((_, reject) => {
    setTimeout(() => reject(new Error(`not done after ${milliseconds} ms`)), milliseconds).unref();
  });
}

console.log(`versions: eventsource ${version('eventsource')}, node ${process.versions.node}`);
try {
  const summary = await Promise.race([resumeAfterKill(process.argv[2]), limit(CASE_LIMIT_MS)]);
  console.log(`note: ${summary}`);
  console.log('resume: ok');
} catch (error) {
  console.log(`resume: FAIL ${error.message.replace(/\s+/g, ' ')}`);
}
process.exit(0);
