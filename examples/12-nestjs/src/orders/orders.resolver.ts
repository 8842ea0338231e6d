/** The resolvers: a field is guarded by its extensions, which take what the directive takes in SDL. */

import { UseGuards, UseInterceptors } from '@nestjs/common';
import { Args, Context as Ctx, Extensions, Int, Mutation, Query, Resolver } from '@nestjs/graphql';
import type { Context } from '../context.ts';
import { Order } from './order.ts';
import { OrderingGuard } from './ordering.guard.ts';
import { OrdersService } from './orders.service.ts';
import { TimingInterceptor } from './timing.interceptor.ts';

@Resolver(() => Order)
export class OrdersResolver {
  constructor(private readonly service: OrdersService) {}

  @Query(() => [Order])
  orders(@Ctx() { user }: Context): Promise<Order[]> {
    return this.service.of(user);
  }

  @Mutation(() => Order)
  @Extensions({ idempotent: {} })
  @UseGuards(OrderingGuard)
  @UseInterceptors(TimingInterceptor)
  placeOrder(
    @Args('product') product: string,
    @Args('quantity', { type: () => Int }) quantity: number,
    @Ctx() { user }: Context,
  ): Promise<Order> {
    return this.service.place(user, product, quantity);
  }
}
