// What the admin port asks of the proxy, page by page.
import { afterEach, expect, test } from 'vitest';
import { createProxyAdmin } from '../../../../proxy/admin/server.ts';
import type { ProxyAdmin } from '../../../../proxy/admin/server.ts';
import { createLogger } from '../../../../telemetry/logger.ts';

let admin: ProxyAdmin | undefined;
afterEach(() => admin?.close());

test('probes and actions do not add up statistics', async () => {
  let asked = 0;
  const nothing = (): void => undefined;
  admin = createProxyAdmin({
    listen: '127.0.0.1:0',
    state: () => {
      asked += 1;
      throw new Error('no state here');
    },
    phase: () => 'INITIALIZING',
    drain: nothing,
    failHealth: nothing,
    resetCounters: nothing,
    baseline: () => new Map(),
    reopenLogs: nothing,
    quit: nothing,
    log: createLogger('silent'),
  });
  const { port } = await admin.listen();
  const ask = async (path: string, method = 'GET') => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { method });
    return [response.status, await response.text()] as const;
  };
  expect(await ask('/ready')).toEqual([503, 'INITIALIZING\n']);
  expect((await ask('/help'))[0]).toBe(200);
  expect(await ask('/healthcheck/ok', 'POST')).toEqual([200, 'OK\n']);
  expect(asked).toBe(0);
  expect((await ask('/stats'))[0]).toBe(500);
  expect(asked).toBe(1);
});
