// Every route of the API, from the server's own description, and a form to try each.

import { BASE, request } from './api.js';
import { element } from './dom.js';

const SHOWN_CHARACTERS = 100_000;
const METHODS = ['get', 'post', 'delete'];

/** Shows the description; returns the function that ends it. */
export function showDocs({ view, heading }) {
  const running = new AbortController();
  heading.append(element('h1', {}, 'API'));
  const page = element('div', { class: 'docs' });
  view.append(page);
  fill(page, running.signal);
  addEventListener('hashchange', openLinked, { signal: running.signal });
  return () => running.abort();
}

async function fill(page, signal) {
  try {
    const response = await request(`${BASE}openapi.json`, { signal });
    const api = await response.json();
    const tags = api.tags.map(({ name, description }) => section(api, name, description, signal));
    const schemas = Object.entries(api.components.schemas).map(([name, schema]) => schemaEntry(name, schema));
    page.replaceChildren(
      element('p', {}, api.info.description, ' The whole description: ', element('a', { href: `${BASE}openapi.json` }, 'openapi.json'), ` (OpenAPI ${api.openapi}).`),
      ...tags, element('section', {}, element('h2', { id: 'schemas' }, 'Schemas'), ...schemas));
    openLinked();
  } catch (error) {
    if (!signal.aborted) page.replaceChildren(element('p', { class: 'notice' }, `The description could not be loaded: ${error.message}.`));
  }
}

function openLinked() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target?.tagName === 'DETAILS') target.open = true;
  target?.scrollIntoView();
}

function section(api, tag, description, signal) {
  const operations = Object.entries(api.paths).flatMap(([path, methods]) => METHODS
    .filter((method) => methods[method]?.tags.includes(tag))
    .map((method) => operationEntry(api, method, path, methods[method], signal)));
  return element('section', {}, element('h2', {}, tag), element('p', { class: 'soft' }, description), ...operations);
}

function operationEntry(api, method, path, operation, signal) {
  const responses = Object.entries(operation.responses).map(([status, response]) => responseRow(api, status, response));
  return element('details', { id: operation.operationId },
    element('summary', {}, element('span', { class: `method ${method}` }, method.toUpperCase()), element('code', {}, path), element('span', { class: 'soft' }, operation.summary)),
    operation.description && element('p', {}, operation.description),
    element('table', {}, element('caption', {}, 'Responses'), element('tbody', {}, ...responses)),
    operation.operationId === 'webSocket' ? parameterTable(operation) : tryForm(method, path, operation, signal));
}

function responseRow(api, status, response) {
  const { description, content = {} } = response.$ref ? resolve(api, response.$ref) : response;
  const kinds = Object.entries(content).flatMap(([type, { schema }]) => [element('code', {}, type), schemaLink(schema)]);
  return element('tr', {}, element('th', { scope: 'row' }, status), element('td', {}, description), element('td', {}, ...kinds));
}

function parameterTable({ parameters = [] }) {
  return element('table', {}, element('caption', {}, 'Parameters'),
    element('tbody', {}, ...parameters.map((parameter) => element('tr', {},
      element('th', { scope: 'row' }, parameter.name), element('td', {}, typeText(parameter.schema)), element('td', {}, parameter.description)))));
}

function tryForm(method, path, operation, signal) {
  const parameters = operation.parameters ?? [];
  const example = operation.requestBody?.content['application/json'].example;
  const fields = parameters.map((parameter) => parameterField(operation.operationId, parameter));
  const body = example && element('textarea', { rows: 3, 'aria-label': 'Body' });
  if (body) body.value = JSON.stringify(example);
  const status = element('span', { role: 'status' });
  const output = element('pre', { class: 'output', tabindex: '0', hidden: true });
  const stop = element('button', { type: 'button', hidden: true }, 'Stop');
  const form = element('form', { class: 'try' },
    ...fields, body, element('p', {}, element('button', { class: 'primary' }, 'Send'), stop, status), output);
  form.onsubmit = (event) => {
    event.preventDefault();
    const values = parameters.map((parameter) => [parameter, form.elements[fieldId(operation.operationId, parameter)].value]);
    send({ method, url: addressOf(path, values), headers: headersOf(values), body: body?.value, status, output, stop, signal });
  };
  return form;
}

function parameterField(operationId, parameter) {
  const { name, description, required, schema, example } = parameter;
  const id = fieldId(operationId, parameter);
  const input = schema.enum || schema.type === 'boolean'
    ? element('select', { id, name: id }, ...['', ...(schema.enum ?? ['true', 'false'])].map((value) => element('option', { value }, value)))
    : element('input', { id, name: id, required, placeholder: [example ?? ''].flat().join(',') });
  return element('p', { class: 'field' },
    element('label', { for: id }, element('code', {}, name), required && ' (required)'), input,
    element('span', { class: 'soft' }, `${description} ${typeText(schema)}`));
}

function fieldId(operationId, { name }) {
  return `${operationId}.${name}`;
}

/** Shows the response while it comes: streams do not end by themselves. */
async function send({ method, url, headers, body, status, output, stop, signal }) {
  const abort = new AbortController();
  stop.onclick = () => abort.abort();
  signal.addEventListener('abort', stop.onclick);
  [stop.hidden, output.hidden] = [false, false];
  output.textContent = '';
  try {
    const response = await fetch(url, { method, headers: { ...headers, ...(body && { 'content-type': 'application/json' }) }, body, signal: abort.signal });
    status.textContent = `${response.status} · ${method.toUpperCase()} ${url}`;
    await show(response, output);
  } catch (error) {
    if (!abort.signal.aborted) status.textContent = `no response: ${error.message}`;
  }
  stop.hidden = true;
}

async function show(response, output) {
  if (!response.body) return;
  for await (const text of chunks(response.body.pipeThrough(new TextDecoderStream()))) {
    output.append(text);
    if (output.textContent.length > SHOWN_CHARACTERS) {
      output.append('\n… and more: not shown');
      return;
    }
  }
  if (response.headers.get('content-type')?.includes('json')) output.textContent = indented(output.textContent);
}

async function* chunks(stream) {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

function indented(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function addressOf(path, values) {
  const query = new URLSearchParams();
  let address = `${BASE}${path.slice(1)}`;
  for (const [{ name, in: place }, value] of values) {
    if (place === 'path') address = address.replace(`{${name}}`, encodeURIComponent(value));
    if (place === 'query' && value) query.append(name, value);
  }
  const search = query.toString();
  return search ? `${address}?${search}` : address;
}

function headersOf(values) {
  return Object.fromEntries(values.filter(([{ in: place }, value]) => place === 'header' && value).map(([{ name }, value]) => [name, value]));
}

function schemaEntry(name, schema) {
  const rows = Object.entries(schema.properties ?? {}).map(([member, of]) => element('tr', {},
    element('th', { scope: 'row' }, member), element('td', {}, schemaLink(of)), element('td', {}, of.description ?? '')));
  return element('details', { id: `schema-${name}` },
    element('summary', {}, element('code', {}, name), element('span', { class: 'soft' }, (schema.description ?? typeText(schema)).split('\n')[0])),
    schema.properties ? element('table', {}, element('tbody', {}, ...rows)) : element('pre', {}, schema.description ?? typeText(schema)));
}

function schemaLink(schema) {
  const name = schema.$ref?.split('/').pop() ?? schema.items?.$ref?.split('/').pop();
  if (!name) return element('span', {}, typeText(schema));
  return element('a', { href: `#schema-${name}` }, schema.items ? `list of ${name}` : name);
}

function typeText({ $ref, type = '', enum: values, minimum, maximum, default: standard, format, items }) {
  const kinds = [type].flat().map((kind) => (kind === 'array' ? `list of ${typeText(items)}` : kind)).join(' or ');
  return [
    $ref?.split('/').pop(), kinds, format, values && values.map(String).join(' | '),
    maximum <= Number.MAX_SAFE_INTEGER && `${minimum} to ${maximum}`, standard !== undefined && `default ${standard}`,
  ].filter(Boolean).join(', ');
}

function resolve(api, ref) {
  return ref.split('/').slice(1).reduce((found, name) => found[name], api);
}
