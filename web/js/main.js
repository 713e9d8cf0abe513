// Picks the page by the path, and shows the sign-in form instead where the server asks for a token.

import { BASE } from './api.js';
import { showDocs } from './docs_page.js';
import { element } from './dom.js';
import { showLog } from './log_page.js';
import { currentSession, sessionBadge, signInForm } from './session.js';
import { showTasks } from './tasks_page.js';

const view = document.getElementById('view');
const heading = document.getElementById('heading');
const sessionSlot = document.getElementById('session');
let stopPage = () => {};

function showPage() {
  clear();
  const host = { view, heading, onSignedOut: askForToken };
  const taskId = taskIdOf(location.pathname);
  if (location.pathname === BASE) stopPage = showTasks(host);
  else if (location.pathname === `${BASE}docs`) stopPage = showDocs(host);
  else if (taskId) stopPage = showLog(host, taskId);
  else view.replaceChildren(element('p', { class: 'panel' }, 'There is no such page. ', element('a', { href: BASE }, 'All tasks')));
  showSession();
}

function askForToken() {
  clear();
  sessionSlot.replaceChildren();
  view.replaceChildren(signInForm(showPage));
  document.getElementById('token').focus();
}

function clear() {
  stopPage();
  stopPage = () => {};
  heading.replaceChildren();
  view.replaceChildren();
}

async function showSession() {
  sessionSlot.replaceChildren(sessionBadge(await currentSession(), askForToken));
}

function taskIdOf(path) {
  const encoded = path.startsWith(BASE) && path.slice(BASE.length).match(/^tasks\/([^/]+)$/)?.[1];
  try {
    return encoded ? decodeURIComponent(encoded) : null;
  } catch {
    return null;
  }
}

showPage();
