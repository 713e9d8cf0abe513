// Picks the page by the path, and puts the sign-in form in its place where the server asks for it.

import { element } from './dom.js';
import { showLog } from './log.js';
import { currentSession, sessionBadge, signInForm } from './session.js';
import { showTasks } from './tasks.js';

const view = document.getElementById('view');
const heading = document.getElementById('heading');
const sessionPlace = document.getElementById('session');
let stopPage = () => {};

function showPage() {
  clear();
  const place = { view, heading, onSignedOut: askForToken };
  const taskId = taskIdOf(location.pathname);
  if (location.pathname === '/') stopPage = showTasks(place);
  else if (taskId) stopPage = showLog(place, taskId);
  else view.replaceChildren(element('p', { class: 'panel' }, 'There is no such page. ', element('a', { href: '/' }, 'All tasks')));
  showSession();
}

function askForToken() {
  clear();
  sessionPlace.replaceChildren();
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
  sessionPlace.replaceChildren(sessionBadge(await currentSession(), askForToken));
}

function taskIdOf(path) {
  const encoded = path.match(/^\/tasks\/([^/]+)$/)?.[1];
  try {
    return encoded && decodeURIComponent(encoded);
  } catch {
    return null;
  }
}

showPage();
