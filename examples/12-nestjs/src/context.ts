/** Who is calling. A real service would verify a token here. */

import type { IncomingMessage } from 'node:http';
import { GraphQLError } from 'graphql';

export interface Context {
  readonly user: string;
}

export async function contextOf({ req }: { readonly req: IncomingMessage }): Promise<Context> {
  const user = /^Bearer (\S+)$/.exec(req.headers.authorization ?? '')?.[1];
  if (user !== undefined) return { user };
  throw new GraphQLError('Say who you are with the header authorization: Bearer <user>', {
    extensions: { code: 'UNAUTHENTICATED', http: { status: 401 } },
  });
}
