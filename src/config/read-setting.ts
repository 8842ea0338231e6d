/** Reads one setting from code or environment. */

import { ConfigurationError } from '../errors/configuration-error.ts';
import { durationMs } from './duration.ts';
import { environmentName, settings } from './settings.ts';
import type { Setting, SettingName } from './settings.ts';

/** Postgres takes timeouts as 32-bit integers; Node's timers go no further either. */
const MAX_TIMEOUT_MS = 2_147_483_647;
const MAX_RETENTION_MS = 100 * 365 * 86_400_000;

/** Returns the option, else the variable, else the default. @throws ConfigurationError naming which is wrong. */
export function readSetting(name: SettingName, option: unknown, variable: string | undefined): unknown {
  const setting: Setting = settings[name];
  if (option !== undefined) return check(setting, `The option \`${name}\``, name, option);
  if (variable === undefined || variable === '') return setting.default;
  const label = environmentName(name);
  switch (setting.kind) {
    case 'text':
      return check(setting, label, name, variable);
    case 'flag':
      return check(setting, label, name, { true: true, '1': true, false: false, '0': false }[variable]);
    case 'count':
      return check(setting, label, name, /^\d+$/.test(variable) ? Number(variable) : variable);
    case 'duration':
      return check(setting, label, name, /^\d+$/.test(variable) ? Number(variable) : variable);
  }
}

function check(setting: Setting, label: string, name: SettingName, value: unknown): unknown {
  switch (setting.kind) {
    case 'text':
      if (typeof value === 'string' && (value !== '' || setting.default === '')) return value;
      throw new ConfigurationError(`${label} expects text.`);
    case 'flag':
      if (typeof value === 'boolean') return value;
      throw new ConfigurationError(`${label} expects true or false.`);
    case 'count':
      if (Number.isSafeInteger(value) && (value as number) >= (setting.min ?? 0)) return value;
      throw new ConfigurationError(
        `${label} expects a whole number of at least ${setting.min ?? 0}, got ${String(value)}.`,
      );
    case 'duration': {
      const ms = typeof value === 'string' ? parse(label, value) : value;
      const max = name === 'ttl' || name === 'tombstoneTtl' ? MAX_RETENTION_MS : MAX_TIMEOUT_MS;
      if (typeof ms === 'number' && ms >= (setting.min ?? 0) && ms <= max) return Math.round(ms);
      throw new ConfigurationError(
        `${label} expects an ISO 8601 duration or milliseconds, at least ${setting.min ?? 0} and at most ${max} ms, got ${String(value)}.`,
      );
    }
  }
}

function parse(label: string, text: string): number {
  try {
    return durationMs(text);
  } catch (error) {
    throw new ConfigurationError(`${label} ${(error as Error).message}.`);
  }
}
