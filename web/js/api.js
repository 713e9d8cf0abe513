// The HTTP API, as the viewer uses it.

/** The path that the server answers below, with a slash at its end. */
export const BASE = globalThis.document?.documentElement?.dataset?.base ?? '/';

const PREFIX = `${BASE}api/v1/log-streaming`;

/** A request that failed: `status` is the response's, or 0 when there was no response. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** The address of a task's page. */
export function taskPageUrl(taskId) {
  return `${BASE}tasks/${encodeURIComponent(taskId)}`;
}

/** The address of `segments` below the API prefix; empty members of `query` are left out, and a list has a parameter for each. */
export function apiUrl(segments, query = {}) {
  const path = segments.map(encodeURIComponent).join('/');
  const known = Object.entries(query).filter(([, value]) => value != null && value !== '')
    .flatMap(([name, value]) => [value].flat().map((each) => [name, each]));
  const search = new URLSearchParams(known).toString();
  return `${PREFIX}/${path}${search && `?${search}`}`;
}

/** The JSON of a GET. Throws {@link ApiError}. */
export async function getJson(segments, query) {
  const response = await request(apiUrl(segments, query), { headers: { accept: 'application/json' } });
  return response.json();
}

/** Throws {@link ApiError}, with the message of the problem document where the response has one. */
export async function request(url, options) {
  const response = await fetch(url, { credentials: 'same-origin', ...options }).catch(() => {
    throw new ApiError(0, 'the server cannot be reached');
  });
  if (!response.ok) throw new ApiError(response.status, await problemText(response));
  return response;
}

async function problemText(response) {
  const problem = await response.json().catch(() => ({}));
  return problem.detail || problem.title || `the server responded with ${response.status}`;
}
