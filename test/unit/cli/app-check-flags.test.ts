import { expect, it } from 'vitest';
import { appCheckFlags } from '../../../cli/app-check-flags.ts';

it('say what they say, and nothing else', () => {
  expect(appCheckFlags({})).toBeUndefined();
  expect(appCheckFlags({ healthFall: '2' })).toEqual({ fall: 2 });
  const all = { healthCheck: 'tcp', healthInterval: '500ms', healthTimeout: '1s', healthRise: '3' };
  expect(appCheckFlags(all)).toEqual({ how: 'tcp', intervalMs: 500, timeoutMs: 1_000, rise: 3 });
});

it.each([
  [{ healthCheck: 'ping' }, '--health-check: expected one of http, tcp, grpc, off, got "ping"'],
  [{ healthInterval: '5' }, '--health-interval: expected a duration from 100ms to 10m, got "5"'],
  [{ healthTimeout: '1h' }, '--health-timeout: expected a duration from 10ms to 10m'],
  [{ healthRise: '0' }, '--health-rise: expected a number from 1 to 100, got "0"'],
])('%j is refused', (flags, text) => {
  expect(() => appCheckFlags(flags)).toThrow(text);
});
