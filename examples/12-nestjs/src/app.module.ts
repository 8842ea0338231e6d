/** The application: GraphQL by Apollo Server, with the plugin of the library. */

import type { ApolloDriverConfig } from '@nestjs/apollo';
import { ApolloDriver } from '@nestjs/apollo';
import { Module } from '@nestjs/common';
import { GraphQLModule } from '@nestjs/graphql';
import type { Idempotency } from 'graphql-idempotency';
import type { Context } from './context.ts';
import { contextOf } from './context.ts';
import { IDEMPOTENCY, IdempotencyModule } from './idempotency.module.ts';
import { OrdersModule } from './orders/orders.module.ts';

@Module({
  imports: [
    IdempotencyModule,
    OrdersModule,
    GraphQLModule.forRootAsync<ApolloDriverConfig>({
      driver: ApolloDriver,
      inject: [IDEMPOTENCY],
      useFactory: (idempotency: Idempotency<Context>) => ({
        autoSchemaFile: true,
        context: contextOf,
        plugins: [idempotency.plugin()],
      }),
    }),
  ],
})
export class AppModule {}
