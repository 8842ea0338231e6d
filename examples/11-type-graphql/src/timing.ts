/** A middleware: says how long a resolver took. */

import type { MiddlewareFn } from 'type-graphql';
import type { Context } from './context.ts';

export const timing: MiddlewareFn<Context> = async ({ info, context: { user } }, next) => {
  const begin = performance.now();
  try {
    return await next();
  } finally {
    console.log(`timing: ${info.fieldName} of ${user} took ${Math.round(performance.now() - begin)} ms`);
  }
};
