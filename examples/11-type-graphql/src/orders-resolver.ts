/** The resolvers: a field is guarded by its extensions, which take what the directive takes in SDL. */

import { Arg, Ctx, Extensions, Int, Mutation, Query, Resolver, UseMiddleware } from 'type-graphql';
import type { Context } from './context.ts';
import { Order } from './order.ts';
import { ordersOf, placeOrder } from './orders.ts';
import { timing } from './timing.ts';

@Resolver(() => Order)
export class OrdersResolver {
  @Query(() => [Order])
  orders(@Ctx() { user }: Context): Promise<Order[]> {
    return ordersOf(user);
  }

  @Mutation(() => Order)
  @Extensions({ idempotent: {} })
  @UseMiddleware(timing)
  placeOrder(
    @Arg('product') product: string,
    @Arg('quantity', () => Int) quantity: number,
    @Ctx() { user }: Context,
  ): Promise<Order> {
    return placeOrder(user, product, quantity);
  }
}
