// The real program: a server that can be killed and started again, and the `push` command.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { forward } from './forward.js';

const ANY_PORT = '127.0.0.1:0';
export const REPOSITORY = fileURLToPath(new URL('../../../', import.meta.url));
const BINARY = process.env.OTTO_HANDLER_BIN ?? join(REPOSITORY, 'target/debug/otto-handler');

export class Server {
  #process = null;
  #dataDir = null;
  #addresses = { grpc: ANY_PORT, http: ANY_PORT };
  #auth;
  #environment;

  /** With a `jwtSecret` it asks for tokens. */
  constructor({ jwtSecret } = {}) {
    this.#auth = jwtSecret ? 'jwt' : 'none';
    this.#environment = jwtSecret ? { JWT_SECRET: jwtSecret } : {};
  }

  get url() {
    return `http://${this.#addresses.http}`;
  }

  /** Starts it; a second start uses the same addresses and the same data. */
  async start() {
    this.#dataDir ??= await mkdtemp(join(tmpdir(), 'otto-handler-browser-'));
    const { grpc, http } = this.#addresses;
    this.#process = this.#spawn(['serve', '--task-grace', '0s', '--auth', this.#auth, '--grpc-addr', grpc, '--http-addr', http,
      '--data-dir', this.#dataDir, '--print-addrs'], ['ignore', 'pipe', 'pipe']);
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
  async push(task, lines, { worker = 'worker-1', source = 'stdout', status = 'none' } = {}) {
    const pushing = this.#spawn(['push', '--to', `http://${this.#addresses.grpc}`, '--task', task,
      '--worker', worker, '--source', source, '--status', status]);
    pushing.stdin.on('error', () => {}); // It ended early: the exit code is checked below.
    pushing.stdin.end(lines.map((line) => `${line}\n`).join(''));
    await output(pushing);
  }

  /** Tells that `task` is over. */
  async tellEnd(task, outcome) {
    const url = `${this.url}/api/v1/log-streaming/tasks/${encodeURIComponent(task)}/end`;
    const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ outcome }) });
    if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
  }

  /** Pushes messages of several workers in their order, `[worker, message]`, whatever is in them. */
  async forward(task, messages) {
    await forward(this.#addresses.grpc, messages.map(([worker, message]) => ({ task, worker, message })));
  }

  /** A token that this server accepts. */
  async token() {
    return (await output(this.#spawn(['token', '--sub', 'reader@example.org']))).trim();
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
