/** What is kept of a result or an error in lease mode, where nothing can be rolled back. */

import { CODEC_VERSION, UnserializableError, encode } from '../../record/codec.ts';
import { encodeError } from '../../record/stored-error.ts';
import type { Outcome } from '../../store/lease-port.ts';
import type { AttemptSettings } from '../attempt-settings.ts';

/** The result, or that there was one: what is done must never be executed again for want of its result. */
export function resultToStore(value: unknown, settings: AttemptSettings, what: string): Outcome {
  let body: Buffer;
  try {
    body = encode(value);
  } catch (error) {
    const path = error instanceof UnserializableError ? error.path : '';
    const why = error instanceof UnserializableError ? error.message : 'it cannot be encoded';
    return omitted(settings, `${what}: result${path} cannot be stored: ${why}.`);
  }
  return fitting(body, 'result', settings, what);
}

export function errorToStore(error: unknown, settings: AttemptSettings, what: string): Outcome {
  let body: Buffer;
  try {
    body = encodeError(error);
  } catch {
    return omitted(settings, `${what}: the error cannot be stored: its extensions are not plain data.`);
  }
  return fitting(body, 'error', settings, what);
}

function fitting(
  body: Buffer,
  outcome: 'result' | 'error',
  settings: AttemptSettings,
  what: string,
): Outcome {
  const { maxResultBytes } = settings;
  if (body.length <= maxResultBytes) return { outcome, codecVersion: CODEC_VERSION, body };
  return omitted(
    settings,
    `${what}: the ${outcome} takes ${body.length} bytes, more than maxResultBytes (${maxResultBytes}).`,
  );
}

function omitted({ logger }: AttemptSettings, why: string): Outcome {
  logger.error(`${why} It is recorded as done, without it: retries cannot replay it.`);
  return { outcome: 'omitted', codecVersion: CODEC_VERSION, body: undefined };
}
