// Pushes messages as ottoscaler does, which may have line ends in them: gRPC over HTTP/2, by hand.

import http2 from 'node:http2';
import { once } from 'node:events';

const PATH = '/ottoscaler.v1.OttoHandlerLogService/ForwardWorkerLogs';
const FIELDS = { worker: 1, task: 2, source: 5, message: 6 };

function varint(number) {
  const bytes = [];
  for (let rest = number; ; rest >>>= 7) {
    if (rest < 0x80) return Buffer.from([...bytes, rest]);
    bytes.push((rest & 0x7f) | 0x80);
  }
}

/** A length-prefixed protobuf message of text fields. */
function frame(entry) {
  const fields = Object.entries(FIELDS).filter(([name]) => entry[name]).flatMap(([name, number]) => {
    const text = Buffer.from(entry[name]);
    return [varint((number << 3) | 2), varint(text.length), text];
  });
  const body = Buffer.concat(fields);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
}

/** Resolves once all `entries`, `{worker, task, source, message}`, are acknowledged. */
export async function forward(address, entries) {
  const client = http2.connect(`http://${address}`);
  try {
    const call = client.request({ ':method': 'POST', ':path': PATH, 'content-type': 'application/grpc', te: 'trailers' });
    const trailers = once(call, 'trailers');
    call.resume().end(Buffer.concat(entries.map(frame)));
    const [{ 'grpc-status': status, 'grpc-message': message }] = await trailers;
    if (status !== '0') throw new Error(`the push ended with ${status}: ${message}`);
  } finally {
    client.close();
  }
}
