/** The library as providers. Whoever asks for a `Pool` is given the one that joins the attempt's transaction. */

import { Global, Module } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import type { Idempotency } from 'graphql-idempotency';
import { createIdempotency } from 'graphql-idempotency';
import { Pool } from 'pg';
import type { Context } from './context.ts';
import { Permissions } from './orders/permissions.ts';

export const IDEMPOTENCY = Symbol('idempotency');

@Global()
@Module({
  providers: [
    {
      provide: IDEMPOTENCY,
      inject: [ModuleRef],
      useFactory: (modules: ModuleRef) =>
        createIdempotency<Context>({
          scope: ({ user }) => user,
          // Asked for when it is needed: it has a `Pool`, which comes from here.
          authorizeReplay: ({ user }) => modules.get(Permissions, { strict: false }).demandOrdering(user),
          migrate: true,
        }),
    },
    {
      provide: Pool,
      inject: [IDEMPOTENCY],
      useFactory: ({ pool }: Idempotency<Context>) => pool,
    },
  ],
  exports: [IDEMPOTENCY, Pool],
})
export class IdempotencyModule {}
