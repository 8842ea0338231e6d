/** Says how long a resolver took. Runs where the resolver runs, and so not on a replay. */

import type { CallHandler, ExecutionContext, NestInterceptor } from '@nestjs/common';
import { Injectable, Logger } from '@nestjs/common';
import { GqlExecutionContext } from '@nestjs/graphql';
import type { Observable } from 'rxjs';
import { finalize } from 'rxjs';
import type { Context } from '../context.ts';

@Injectable()
export class TimingInterceptor implements NestInterceptor {
  readonly #logger = new Logger(TimingInterceptor.name);

  intercept(execution: ExecutionContext, next: CallHandler): Observable<unknown> {
    const { user } = GqlExecutionContext.create(execution).getContext<Context>();
    const begin = performance.now();
    return next
      .handle()
      .pipe(finalize(() => this.#logger.log(`${Math.round(performance.now() - begin)} ms for ${user}`)));
  }
}
