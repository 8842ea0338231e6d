/**
 * The payments server, with one change that lets the demo step in: a charge with the reference `pause` stops
 * when its row is inserted and not yet committed, says so, and goes on when it is told to.
 */

import { resolvers } from '../resolvers.ts';
import { pause } from './pause.ts';

const charge = resolvers.Mutation.charge.bind(resolvers.Mutation);

resolvers.Mutation.charge = async (...call) => {
  const payment = await charge(...call);
  if (payment.reference === 'pause') await pause();
  return payment;
};

await import('../server.ts');
