/** Renders a hook in a real React root, and keeps what it returned. */

import type { ApolloClient } from '@apollo/client';
import { ApolloProvider } from '@apollo/client/react';
import { Activity, StrictMode, act, createElement } from 'react';
import type { ReactNode } from 'react';
import { createRoot } from 'react-dom/client';
import type { Container } from 'react-dom/client';

declare global {
  var IS_REACT_ACT_ENVIRONMENT: boolean;
}
globalThis.IS_REACT_ACT_ENVIRONMENT = true;

export interface Rendered<Props, Result> {
  /** What the last render returned. */
  current(): Result;
  /** What every render returned. */
  readonly renders: readonly Result[];
  rerender(props: Props): Promise<void>;
  /** Hides what is rendered and ends its effects, or shows it again; its state stays. */
  setMode(mode: 'visible' | 'hidden'): Promise<void>;
  unmount(): Promise<void>;
}

export async function renderHook<Props, Result>(
  client: ApolloClient,
  useIt: (props: Props) => Result,
  { props, strict = false }: { readonly props: Props; readonly strict?: boolean },
): Promise<Rendered<Props, Result>> {
  const { document } = globalThis as unknown as { document: { createElement(name: string): Container } };
  const root = createRoot(document.createElement('div'));
  const renders: Result[] = [];
  function Host({ given }: { given: Props }): ReactNode {
    renders.push(useIt(given));
    return null;
  }
  let given = props;
  let mode: 'visible' | 'hidden' = 'visible';
  const render = (): Promise<void> =>
    act(async () => {
      const shown = createElement(Activity, { mode, children: createElement(Host, { given }) });
      const host = createElement(ApolloProvider, { client, children: shown });
      root.render(strict ? createElement(StrictMode, null, host) : host);
    });
  await render();
  return {
    current: () => renders.at(-1)!,
    renders,
    rerender(next) {
      given = next;
      return render();
    },
    setMode(next) {
      mode = next;
      return render();
    },
    unmount: () => act(async () => root.unmount()),
  };
}
