// Runs the interop cases with @grpc/grpc-js and @grpc/proto-loader, the stack of the original handler.
//
// Usage: node client.js ADDR TAP. TAP is ADDR by way of the runner's counting proxy.
// It prints `versions: ...`, then `case: ok` or `case: FAIL reason` for every case.
import { once } from 'node:events';
import { grpc, load, modulePath, version } from './stack.js';

const LOG_SERVICE = 'ottoscaler.v1.OttoHandlerLogService';
const PUSHED_LINES = 200;
const CANCELLED_LINES = 1000;
const CANCELLED_STREAMS = 10;
const UNACKNOWLEDGED_LINES = 100;
const CASE_LIMIT_MS = 30_000;
const STREAM_DEADLINE_MS = 30 * 60_000;

const { ottoscaler } = load('log_handler.proto', new URL('../../../proto/ottoscaler/v1', import.meta.url).pathname);
const { grpc: health } = load('health.proto', modulePath('grpc-health-check/proto/health/v1'));
const { grpc: reflection } = load('reflection.proto', modulePath('@grpc/reflection/build/proto/grpc/reflection/v1'));

const within = (milliseconds) => ({ deadline: Date.now() + milliseconds });

function entry(task, number, worker = 1) {
  const workerId = `otto-agent-${task}-${worker}`;
  const timestamp = '2025-09-01T12:34:56+09:00';
  return {
    workerId, taskId: task, timestamp, level: 'INFO', source: 'stdout', message: `line ${number}`,
    podMetadata: { podName: workerId, namespace: 'default', createdAt: timestamp },
  };
}

const lines = (task, first, last) => Array.from({ length: last - first + 1 }, (_, index) => entry(task, first + index));

async function push(client, entries, limit = CASE_LIMIT_MS) {
  const call = client.forwardWorkerLogs(within(limit));
  for (const item of entries) call.write(item);
  call.end();
  const responses = [];
  for await (const response of call) responses.push(response);
  return responses;
}

async function pushAcknowledgesEveryLine(client) {
  const responses = await push(client, lines('node-push', 1, PUSHED_LINES));
  expectResponses(responses, Array(PUSHED_LINES).fill('ACK'));
}

/** Only sends; the runner knows what reached the server and reads it back. */
async function cancelRightAfterHalfClose(client) {
  for (let worker = 1; worker <= CANCELLED_STREAMS; worker++) await pushAndCancel(client, worker);
}

/** At most UNACKNOWLEDGED_LINES are on their way: grpc-js throws away all that has not left it when the call is cancelled. */
async function pushAndCancel(client, worker) {
  const call = client.forwardWorkerLogs(within(STREAM_DEADLINE_MS));
  let acknowledged = 0;
  call.on('data', () => acknowledged++);
  const ended = once(call, 'error');
  for (let number = 1; number <= CANCELLED_LINES; number++) {
    call.write(entry('node-cancel', number, worker));
    while (number - acknowledged > UNACKNOWLEDGED_LINES) await once(call, 'data');
  }
  call.end();
  call.cancel();
  const [error] = await ended;
  expect(error.code, grpc.status.CANCELLED, 'end of the stream');
}

async function thirtyMinuteDeadline(client) {
  for (const first of [1, 11]) {
    const responses = await push(client, lines('node-deadline', first, first + 9), STREAM_DEADLINE_MS);
    expectResponses(responses, Array(10).fill('ACK'));
  }
}

async function dropLeavesTheStreamOpen(client) {
  const nameless = { ...entry('node-drop', 0), taskId: '' };
  const responses = await push(client, [entry('node-drop', 1), nameless, entry('node-drop', 2)]);
  expectResponses(responses, ['ACK', 'DROP', 'ACK']);
  const reason = responses[1].message;
  if (!reason.includes('task_id')) throw new Error(`the reason '${reason}' does not name task_id`);
}

async function statusReceivedThenIgnored(client) {
  const notification = {
    workerId: 'otto-agent-node-status-1', taskId: 'node-status', status: 'RUNNING',
    timestamp: '2025-09-01T12:34:56Z', reason: 'started',
  };
  for (const wanted of ['RECEIVED', 'IGNORED']) {
    const response = await unary(client, 'notifyWorkerStatus', notification);
    expect(response.status, wanted, `status (${response.message})`);
  }
}

async function healthIsServing(_, address) {
  const client = new health.health.v1.Health(address, grpc.credentials.createInsecure());
  for (const service of ['', LOG_SERVICE]) {
    expect((await unary(client, 'check', { service })).status, 'SERVING', `health of '${service}'`);
  }
  const refused = await unary(client, 'check', { service: 'no.such.Service' }).catch((error) => error);
  expect(refused.code, grpc.status.NOT_FOUND, 'health of an unknown service');
}

async function reflectionListsTheServices(_, address) {
  const client = new reflection.reflection.v1.ServerReflection(address, grpc.credentials.createInsecure());
  const call = client.serverReflectionInfo(within(CASE_LIMIT_MS));
  call.write({ listServices: '*' });
  call.end();
  const names = [];
  for await (const response of call) names.push(...response.listServicesResponse.service.map((service) => service.name));
  for (const wanted of [LOG_SERVICE, 'grpc.health.v1.Health']) {
    if (!names.includes(wanted)) throw new Error(`listed: ${names}`);
  }
}

function unary(client, method, request) {
  return new Promise((resolve, reject) => {
    client[method](request, within(CASE_LIMIT_MS), (error, response) => (error ? reject(error) : resolve(response)));
  });
}

function expectResponses(responses, statuses) {
  expect(responses.length, statuses.length, 'responses');
  responses.forEach((response, index) => {
    expect(`${response.sequence} ${response.status}`, `${index + 1} ${statuses[index]}`, 'a response');
  });
}

function expect(found, wanted, what) {
  if (found !== wanted) throw new Error(`${what}: ${found} instead of ${wanted}`);
}

/** Connections stay open until the program ends, as ottoscaler's does. */
async function run(name, check, address) {
  const client = new ottoscaler.v1.OttoHandlerLogService(address, grpc.credentials.createInsecure());
  try {
    await check(client, address);
    console.log(`${name}: ok`);
  } catch (error) {
    console.log(`${name}: FAIL ${error.message.replace(/\s+/g, ' ')}`);
  }
}

const [address, tap] = process.argv.slice(2);
console.log(`versions: @grpc/grpc-js ${version('@grpc/grpc-js')}, @grpc/proto-loader ${version('@grpc/proto-loader')}, node ${process.versions.node}`);
await run('push', pushAcknowledgesEveryLine, address);
await run('cancel', cancelRightAfterHalfClose, tap);
await run('deadline', thirtyMinuteDeadline, address);
await run('drop', dropLeavesTheStreamOpen, address);
await run('status', statusReceivedThenIgnored, address);
await run('health', healthIsServing, address);
await run('reflection', reflectionListsTheServices, address);
process.exit(0);
