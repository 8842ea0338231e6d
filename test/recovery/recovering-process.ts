/** A process that can be killed while it executes, or while its `recover` callback looks something up. */

import { startService } from '../support/service.ts';

const hangsIn = process.env['HANGS_IN'];

const service = await startService({
  databaseUrl: process.env['TEST_URL']!,
  typeDefs: 'extend type Mutation { refuse(n: Int! = 1): Int @idempotent(mode: LEASE) }',
  resolvers: () => ({ Mutation: { refuse: () => wait('resolver') } }),
  options: {
    lease: 3000,
    claimTimeout: 900,
    recoverInterval: 0,
    recover: {
      'Mutation.refuse': async ({ attempt, abandonedAt }) => {
        process.send?.({ attempt, abandonedAt });
        await wait('recover');
        return { outcome: 'completed', result: 13 };
      },
    },
  },
});
process.send?.({ url: service.url });

async function wait(where: string): Promise<number> {
  if (where !== hangsIn) return 7;
  process.send?.({ at: where });
  return new Promise(() => {});
}
