/** What is stored. */

import type { CreationOptional, InferAttributes, InferCreationAttributes, NonAttribute } from 'sequelize';
import { DataTypes, Model, literal } from 'sequelize';
import { sequelize } from './database.ts';

const id = { type: DataTypes.UUID, primaryKey: true, defaultValue: literal('gen_random_uuid()') };

export class Order extends Model<InferAttributes<Order>, InferCreationAttributes<Order>> {
  declare id: CreationOptional<string>;
  declare customer: string;
  declare product: string;
  declare quantity: number;
  declare points?: NonAttribute<Points[]>;
}

export class Points extends Model<InferAttributes<Points>, InferCreationAttributes<Points>> {
  declare id: CreationOptional<string>;
  declare orderId: string;
  declare amount: number;
}

Order.init(
  {
    id,
    customer: { type: DataTypes.TEXT, allowNull: false },
    product: { type: DataTypes.TEXT, allowNull: false },
    quantity: { type: DataTypes.INTEGER, allowNull: false },
  },
  { sequelize, tableName: 'orders', timestamps: false },
);

Points.init(
  {
    id,
    orderId: { type: DataTypes.UUID, allowNull: false, field: 'order_id' },
    amount: { type: DataTypes.INTEGER, allowNull: false },
  },
  { sequelize, tableName: 'points', timestamps: false },
);

Order.hasMany(Points, { as: 'points', foreignKey: 'orderId' });
