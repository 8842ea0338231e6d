/** What is stored. */

import type { Relation } from 'typeorm';
import { Check, Column, Entity, JoinColumn, ManyToOne, OneToMany, PrimaryGeneratedColumn } from 'typeorm';

@Entity('orders')
export class Order {
  @PrimaryGeneratedColumn('uuid')
  id!: string;

  @Column('text')
  customer!: string;

  @Column('text')
  product!: string;

  @Column('integer')
  quantity!: number;

  @OneToMany(() => Points, (points) => points.order)
  points!: Relation<Points>[];
}

@Entity('points')
@Check('points_amount_check', 'amount <= 1000')
export class Points {
  @PrimaryGeneratedColumn('uuid')
  id!: string;

  @ManyToOne(() => Order, (order) => order.points)
  @JoinColumn({ name: 'order_id' })
  order!: Relation<Order>;

  @Column('integer')
  amount!: number;
}
