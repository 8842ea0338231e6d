/** A document for React beside a server: everything else, `fetch` above all, stays that of Node. */

import { Window } from 'happy-dom';

const window = new Window();
for (const [name, value] of Object.entries({
  window,
  document: window.document,
  navigator: window.navigator,
})) {
  // Newer Nodes have a navigator that can't be assigned to.
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
}
