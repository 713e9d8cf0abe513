// The real program: a server that can be killed and started again, and the `push` command.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { forward, forwardAndVanish, notify } from './forward.js';

const ANY_PORT = '127.0.0.1:0';
const PATIENCE_MS = 20_000;
export const REPOSITORY = fileURLToPath(new URL('../../../', import.meta.url));
const BINARY = process.env.OTTO_HANDLER_BIN ?? join(REPOSITORY, 'target/debug/otto-handler');

export class Server {
  #process = null;
  #dataDir = null;
  #addresses = { grpc: ANY_PORT, http: ANY_PORT };
  #auth;
  #environment;
  #flags;
  #basePath;

  /** With a `jwtSecret` it asks for tokens, with a `basePath` such as `/logs` it answers below that; `flags` are those of `serve`. */
  constructor({ jwtSecret, basePath = '', flags = ['--task-grace', '0s'] } = {}) {
    this.#basePath = basePath;
    this.#auth = jwtSecret ? 'jwt' : 'none';
    this.#flags = flags;
    this.#environment = jwtSecret ? { JWT_SECRET: jwtSecret } : {};
  }

  get url() {
    return `http://${this.#addresses.http}${this.#basePath}`;
  }

  /** Where producers push. */
  get grpcUrl() {
    return `http://${this.#addresses.grpc}`;
  }

  /** Starts it; a second start uses the same addresses and the same data. */
  async start() {
    this.#dataDir ??= await mkdtemp(join(tmpdir(), 'otto-handler-browser-'));
    const { grpc, http } = this.#addresses;
    this.#process = this.#spawn(['serve', ...this.#flags, '--auth', this.#auth, '--grpc-addr', grpc, '--http-addr', http,
      '--data-dir', this.#dataDir, '--base-path', this.#basePath || '/', '--print-addrs'], ['ignore', 'pipe', 'pipe']);
    this.#addresses = await firstLine(this.#process);
  }

  /** Kills it with SIGKILL, as a crash would. */
  async kill() {
    const ended = this.#process;
    this.#process = null;
    if (!ended || ended.exitCode !== null) return;
    ended.kill('SIGKILL');
    await once(ended, 'exit');
  }

  async dispose() {
    await this.kill();
    if (this.#dataDir) await rm(this.#dataDir, { recursive: true, force: true });
  }

  /** Pushes `lines` and resolves once all are acknowledged; the worker stays running unless `status` ends it. */
  async push(task, lines, { worker = 'worker-1', source = 'stdout', status = 'none', endsTask = false } = {}) {
    const pushing = this.#spawnPush(task, worker, ['--source', source, '--status', status, ...(endsTask ? ['--end-task'] : [])]);
    pushing.stdin.on('error', () => {}); // It ended early: the exit code is checked below.
    pushing.stdin.end(lines.map((line) => `${line}\n`).join(''));
    await output(pushing);
  }

  /** Pushes a line and kills `push` with SIGKILL once it is kept. */
  async pushAndKill(task, line, { worker = 'worker-1' } = {}) {
    const pushing = this.#spawnPush(task, worker);
    pushing.stdin.write(`${line}\n`);
    await this.until(task, ({ lines }) => lines === 1);
    pushing.kill('SIGKILL');
    await once(pushing, 'exit');
  }

  /** Follows `task` with the command: `shows` waits for a text, `ended` for the exit code and what was printed. */
  tail(task) {
    const tailing = this.#spawn(['tail', '--url', this.url, '--wait', task]);
    const [stdout, stderr] = [collect(tailing.stdout), collect(tailing.stderr)];
    const ended = once(tailing, 'close').then(([code]) => ({ code, stdout: stdout(), stderr: stderr() }));
    const shows = async (text) => {
      while (!stdout().includes(text)) await once(tailing.stdout, 'data');
    };
    return { ended, shows, isRunning: () => tailing.exitCode === null };
  }

  /** Waits until `wanted` holds of what is told of `task`. */
  async until(task, wanted) {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const response = await fetch(this.#api(task));
      const told = await response.json();
      if (response.ok && wanted(told)) return told;
      if (Date.now() > deadline) throw new Error(`gave up on ${task}: ${JSON.stringify(told)}`);
    }
  }

  /** A `push` whose input stays open: `write` adds to it, `end` ends it and resolves once all is acknowledged. */
  pushing(task, { worker = 'worker-1', source = 'stdout', status = 'none' } = {}) {
    const child = this.#spawnPush(task, worker, ['--source', source, '--status', status]);
    const ended = output(child);
    const end = () => {
      child.stdin.end();
      return ended;
    };
    return { write: (text) => child.stdin.write(text), end };
  }

  /** Tells that `task` is over. */
  async tellEnd(task, outcome) {
    const response = await fetch(`${this.#api(task)}/end`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ outcome }) });
    if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
  }

  /** Pushes messages of several workers in their order, `[worker, message]`, whatever is in them. */
  async forward(task, messages) {
    await forward(this.#addresses.grpc, messages.map(([worker, message]) => ({ task, worker, message })));
  }

  /** Pushes an entry `{worker, message}`; its connection breaks off once it is acknowledged. */
  async forwardAndVanish(task, entry) {
    await forwardAndVanish(this.#addresses.grpc, { task, ...entry });
  }

  /** Pushes entries `{worker, message, metadata}` on a stream that ends as it should. */
  async forwardEntries(task, entries) {
    await forward(this.#addresses.grpc, entries.map((entry) => ({ task, ...entry })));
  }

  /** Notifies a status `{worker, state, timestamp, metadata}`. */
  async notify(task, status) {
    await notify(this.#addresses.grpc, { task, ...status });
  }

  /** A token that this server accepts. */
  async token() {
    return (await output(this.#spawn(['token', '--sub', 'reader@example.org']))).trim();
  }

  #api(task) {
    return `${this.url}/api/v1/log-streaming/tasks/${encodeURIComponent(task)}`;
  }

  #spawnPush(task, worker, more = []) {
    return this.#spawn(['push', '--to', `http://${this.#addresses.grpc}`, '--task', task, '--worker', worker, ...more]);
  }

  #spawn(args, stdio = 'pipe') {
    return spawn(BINARY, args, { stdio, env: { ...process.env, ...this.#environment } });
  }
}

async function firstLine(child) {
  const stderr = collect(child.stderr);
  const line = await Promise.race([
    once(createInterface({ input: child.stdout }), 'line').then(([text]) => text),
    once(child, 'exit').then(([code]) => {
      throw new Error(`the server ended with ${code}: ${stderr()}`);
    }),
  ]);
  return JSON.parse(line);
}

async function output(child) {
  const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)];
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`${child.spawnargs.slice(1, 2)} ended with ${code}: ${stderr()}`);
  return stdout();
}

function collect(stream) {
  let text = '';
  stream.setEncoding('utf8').on('data', (part) => (text += part));
  return () => text;
}
