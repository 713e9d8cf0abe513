// Signing in and out. The token goes into an HttpOnly cookie and is never kept by the page.

import { ApiError, apiUrl, getJson, request } from './api.js';
import { element } from './dom.js';

/** `{sub, auth}` of who is signed in, or null. */
export async function currentSession() {
  try {
    return await getJson(['session']);
  } catch (error) {
    if (error instanceof ApiError) return null;
    throw error;
  }
}

/** The form that asks for a token; calls `onSignedIn` once the server took it. */
export function signInForm(onSignedIn) {
  const token = element('input', {
    id: 'token', type: 'password', required: true, autocomplete: 'off', spellcheck: 'false',
  });
  const problem = element('p', { class: 'problem', role: 'alert' });
  const submit = async (event) => {
    event.preventDefault();
    problem.textContent = '';
    try {
      await signIn(token.value.trim());
      onSignedIn();
    } catch (error) {
      problem.textContent = error.status === 401 ? 'The server does not accept this token.' : error.message;
      token.select();
    }
  };
  return element('form', { class: 'panel sign-in', onsubmit: submit },
    element('h1', {}, 'Sign in'),
    element('p', {}, 'Logs are shown to holders of a token. Make one with ', element('code', {}, 'otto-handler token --sub me'), '.'),
    element('label', { for: 'token' }, 'Paste a token'),
    token,
    problem,
    element('button', { type: 'submit', class: 'primary' }, 'Sign in'));
}

/** The user's name and a sign-out button, or nothing where the server asks for no token. */
export function sessionBadge(session, onSignedOut) {
  if (session?.auth !== 'jwt') return '';
  const signOut = async () => {
    await request(apiUrl(['session']), { method: 'DELETE' }).catch(() => {});
    onSignedOut();
  };
  return element('span', { class: 'who' },
    element('span', { title: 'signed in' }, session.sub ?? ''),
    element('button', { type: 'button', onclick: signOut }, 'Sign out'));
}

function signIn(token) {
  return request(apiUrl(['session']), { method: 'POST', headers: { authorization: `Bearer ${token}` } });
}
