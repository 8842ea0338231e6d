/** An order, as the API shows it. */

import { Field, ID, Int, ObjectType } from '@nestjs/graphql';

@ObjectType()
export class Order {
  @Field(() => ID)
  readonly id!: string;

  @Field()
  readonly product!: string;

  @Field(() => Int)
  readonly quantity!: number;

  @Field(() => Int)
  readonly points!: number;
}
