/** Who is calling, and their unit of work. A real service would verify a token here. */

import type { IncomingMessage } from 'node:http';
import type { EntityManager } from '@mikro-orm/postgresql';
import { GraphQLError } from 'graphql';
import { orm } from './database.ts';

export interface Context {
  readonly user: string;
  readonly em: EntityManager;
}

export async function contextOf({ req }: { readonly req: IncomingMessage }): Promise<Context> {
  const user = /^Bearer (\S+)$/.exec(req.headers.authorization ?? '')?.[1];
  if (user !== undefined) return { user, em: orm.em.fork() };
  throw new GraphQLError('Say who you are with the header authorization: Bearer <user>', {
    extensions: { code: 'UNAUTHENTICATED', http: { status: 401 } },
  });
}
