// Pushes and notifies as ottoscaler does: gRPC over HTTP/2, by hand.

import http2 from 'node:http2';
import net from 'node:net';
import { once } from 'node:events';

const SERVICE = '/ottoscaler.v1.OttoHandlerLogService';
const ENTRY = { worker: 1, task: 2, source: 5, message: 6, metadata: 8 };
const STATUS = { worker: 1, task: 2, state: 3, timestamp: 4, metadata: 6 };
const PAIR = { key: 1, value: 2 };
const STATES = ['CREATED', 'RUNNING', 'COMPLETED', 'FAILED', 'TERMINATED'];

function varint(number) {
  const bytes = [];
  for (let rest = number; ; rest >>>= 7) {
    if (rest < 0x80) return Buffer.from([...bytes, rest]);
    bytes.push((rest & 0x7f) | 0x80);
  }
}

/** A protobuf message of numbers, texts, and maps of texts; `numbers` has the fields' numbers. */
function encode(values, numbers) {
  const fields = Object.entries(numbers).filter(([name]) => values[name]);
  return Buffer.concat(fields.flatMap(([name, number]) => field(number, values[name])));
}

function field(number, value) {
  if (typeof value === 'number') return [varint(number << 3), varint(value)];
  if (typeof value === 'string') return bytesField(number, Buffer.from(value));
  return Object.entries(value).flatMap(([key, text]) => bytesField(number, encode({ key, value: text }, PAIR)));
}

function bytesField(number, bytes) {
  return [varint((number << 3) | 2), varint(bytes.length), bytes];
}

/** The message with the head that gRPC puts before it. */
function frame(body) {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
}

function call(client, method) {
  return client.request({ ':method': 'POST', ':path': `${SERVICE}/${method}`, 'content-type': 'application/grpc', te: 'trailers' });
}

async function connected(address, use) {
  const client = http2.connect(`http://${address}`);
  try {
    await use(client);
  } finally {
    client.close();
  }
}

/** Sends all `messages` and waits for the call's end. */
function complete(address, method, messages) {
  return connected(address, async (client) => {
    const calling = call(client, method);
    const trailers = once(calling, 'trailers');
    calling.resume().end(Buffer.concat(messages.map(frame)));
    const [{ 'grpc-status': status, 'grpc-message': reason }] = await trailers;
    if (status !== '0') throw new Error(`${method} ended with ${status}: ${reason}`);
  });
}

/** Resolves once all `entries`, `{worker, task, source, message, metadata}`, are acknowledged. */
export function forward(address, entries) {
  return complete(address, 'ForwardWorkerLogs', entries.map((entry) => encode(entry, ENTRY)));
}

/** Resolves once the `status`, `{worker, task, state, timestamp, metadata}`, is kept. */
export function notify(address, status) {
  return complete(address, 'NotifyWorkerStatus', [encode({ ...status, state: STATES.indexOf(status.state) }, STATUS)]);
}

/** Pushes an entry; its connection breaks off once it is acknowledged. A reset by Node would end the stream first. */
export async function forwardAndVanish(address, entry) {
  const [host, port] = address.split(':');
  const socket = net.connect(port, host);
  const client = http2.connect(`http://${address}`, { createConnection: () => socket });
  const calling = call(client, 'ForwardWorkerLogs');
  calling.write(frame(encode(entry, ENTRY)));
  await once(calling, 'data');
  for (const cut of [calling, client]) cut.on('error', () => {});
  socket.destroy();
}
