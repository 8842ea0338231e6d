/** Lets those order who may. Runs where the resolver runs, and so not on a replay. */

import type { CanActivate, ExecutionContext } from '@nestjs/common';
import { Injectable, Logger } from '@nestjs/common';
import { GqlExecutionContext } from '@nestjs/graphql';
import type { Context } from '../context.ts';
import { Permissions } from './permissions.ts';

@Injectable()
export class OrderingGuard implements CanActivate {
  readonly #logger = new Logger(OrderingGuard.name);

  constructor(private readonly permissions: Permissions) {}

  async canActivate(execution: ExecutionContext): Promise<boolean> {
    const { user } = GqlExecutionContext.create(execution).getContext<Context>();
    this.#logger.log(`asked for ${user}`);
    await this.permissions.demandOrdering(user);
    return true;
  }
}
