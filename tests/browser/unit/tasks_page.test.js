import assert from 'node:assert/strict';
import { test } from 'node:test';
import { firstPush } from '../../../web/js/tasks_page.js';

test('the first push goes to this server, by the page\'s host where the server listens on every address', () => {
  const page = { protocol: 'https:', host: 'ci.example:8443', hostname: 'ci.example' };
  const command = (grpcAddr) => firstPush(grpcAddr, page);
  const expected = (to) => `otto-handler push --to http://${to} --viewer https://ci.example:8443 --task first-build -- ls -l`;
  assert.equal(command('0.0.0.0:21000'), expected('ci.example:21000'));
  assert.equal(command('[::]:21000'), expected('ci.example:21000'));
  assert.equal(command('127.0.0.1:9'), expected('127.0.0.1:9'));
  assert.equal(command('10.0.0.0:9'), expected('10.0.0.0:9'));
  assert.equal(command(undefined), expected('127.0.0.1:8080'));
});
