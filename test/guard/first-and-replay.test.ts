/** The promise in its shortest form, over HTTP. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDatabase, redisPrefix, redisUrl } from '../support/database.ts';
import { startService } from '../support/service.ts';
import type { Service } from '../support/service.ts';

describe.each(['Postgres alone', 'Redis in front'])('with %s', (tiers) => {
  let service: Service;
  beforeAll(async () => {
    const { url } = await createDatabase();
    service = await startService({
      databaseUrl: url,
      ...(tiers === 'Postgres alone' ? {} : { redis: redisUrl(), options: { redisPrefix: redisPrefix() } }),
    });
  });
  afterAll(() => service.stop());

  test('a retry gets the first answer and the resolver does not run again', async () => {
    const first = await service.send({ key: 'a' });
    const again = await service.send({ key: 'a' });
    expect(first.status).toBe(200);
    expect(first.headers.get('idempotent-replayed')).toBeNull();
    expect(first.body.extensions.idempotency.pay.outcome).toBe('executed');
    expect(again.body.data).toEqual(first.body.data);
    expect(again.headers.get('idempotent-replayed')).toBe('true');
    expect(again.body.extensions.idempotency.pay.outcome).toBe('replayed');
    expect(service.runs()).toBe(1);
    expect(await service.payments()).toHaveLength(1);
  });
});
