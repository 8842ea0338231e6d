/** Orders: their resolvers, and what these need. */

import { Module } from '@nestjs/common';
import { OrderingGuard } from './ordering.guard.ts';
import { OrdersResolver } from './orders.resolver.ts';
import { OrdersService } from './orders.service.ts';
import { Permissions } from './permissions.ts';
import { Tables } from './tables.ts';
import { TimingInterceptor } from './timing.interceptor.ts';

@Module({
  providers: [OrderingGuard, OrdersResolver, OrdersService, Permissions, Tables, TimingInterceptor],
})
export class OrdersModule {}
