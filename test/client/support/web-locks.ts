/** Web Locks of one browser, as far as they are used: shared by its tabs, one holder of a name at a time. */

type Work = () => Promise<unknown>;

export interface WebLocks {
  request(name: string, options: Work | { readonly steal?: boolean }, work?: Work): Promise<unknown>;
  query(): Promise<{ readonly held: readonly { readonly name: string }[] }>;
}

export function webLocks(): WebLocks {
  const holders = new Map<string, Promise<unknown>>();
  return {
    async request(name, options, work = options as Work) {
      const stolen = typeof options === 'object' && options.steal === true;
      while (!stolen && holders.has(name)) await holders.get(name);
      const running = work();
      const held: Promise<void> = running
        .catch(() => undefined)
        .then(() => {
          if (holders.get(name) === held) holders.delete(name);
        });
      holders.set(name, held);
      return running;
    },
    query: async () => ({ held: [...holders.keys()].map((name) => ({ name })) }),
  };
}
