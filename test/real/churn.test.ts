// Services come and go all the time while requests run through a true Envoy: a service that is known is served,
// one that is not is a 404, and never is there a 503 because a route was ahead of its cluster or behind it.
import { Agent, request } from 'node:http';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemClock } from '../../lib/clock.ts';
import { createLogger } from '../../telemetry/logger.ts';
import { createMetrics } from '../../telemetry/metrics.ts';
import { createXdsServer } from '../../xds-server/server.ts';
import type { XdsServer } from '../../xds-server/server.ts';
import { startBackend } from '../support/backends.ts';
import type { Backend } from '../support/backends.ts';
import { ENVOYS, startDataPlane } from '../support/data-plane.ts';
import type { DataPlane } from '../support/data-plane.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { service, snapshot } from '../unit/xds-server/services.ts';

/** Of a window that moves by one at each change. */
const AT_ONCE = 20;
const LONG = process.env['ISTHMUS_LONG'] === '1';
const CHANGES = LONG ? 1_000 : 120;

const nameOf = (i: number): string => `s${i}.default`;

for (const kind of LONG ? ENVOYS : (['envoy'] as const)) {
  describePeers([kind], `routes that change all the time: ${kind}`, (start) => {
    let server: XdsServer;
    let backend: Backend;
    let plane: DataPlane;
    const metrics = createMetrics();
    const agent = new Agent({ keepAlive: true, maxSockets: 8 });

    const show = (from: number) =>
      server.update(
        snapshot(
          Array.from({ length: AT_ONCE }, (_, i) => service(nameOf(from + i), `127.0.0.1:${backend.port}`)),
        ),
      );

    beforeAll(async () => {
      backend = await startBackend('backend');
      server = createXdsServer({ log: createLogger('silent'), clock: systemClock, metrics });
      show(0);
      server.setReady(true);
      const { port } = await server.listen('127.0.0.1:0');
      plane = await startDataPlane(kind, start, { xdsPort: port, service: 'web' });
      await eventually(async () => (await ask(nameOf(0))) === 200, {
        withinMs: 60_000,
        what: 'the first answer',
      });
    }, 120_000);
    afterAll(async () => {
      agent.destroy();
      await plane?.stop();
      await server?.close({ drainMs: 1_000 });
      await backend?.stop();
    }, 60_000);

    const ask = async (host: string): Promise<number> =>
      new Promise((resolve) => {
        const call = request({ agent, port: plane.port, host: '127.0.0.1', headers: { host } }, (answer) => {
          answer.resume();
          answer.on('end', () => resolve(answer.statusCode ?? 0));
        });
        call.on('error', () => resolve(0));
        call.end();
      });

    it('#37: no request fails but by 404, and known services by nothing', { timeout: 400_000 }, async () => {
      const seen = new Map<number, number>();
      const count = (code: number) => seen.set(code, (seen.get(code) ?? 0) + 1);
      let from = 0;
      let over = false;
      const callers = Array.from({ length: 4 }, async (_, caller) => {
        for (let i = caller; !over; i += 1) count(await ask(nameOf(from + (i % (AT_ONCE + 4)) - 2)));
      });
      for (let change = 1; change <= CHANGES; change += 1) {
        from = change;
        show(change);
        // The newest one is served in the end, the rest went on meanwhile: some changes are folded together.
        if (change % 10 !== 0) continue;
        const newest = nameOf(change + AT_ONCE - 1);
        await eventually(async () => (await ask(newest)) === 200, { withinMs: 60_000, what: newest });
      }
      over = true;
      await Promise.all(callers);
      expect([...seen.keys()].filter((code) => code !== 200 && code !== 404)).toEqual([]);
      expect(seen.get(200)).toBeGreaterThan(CHANGES);
      const stats = await plane.stats();
      expect(stats.get('cluster_manager.cds.update_rejected')).toBe(0);
      expect(stats.get('cluster_manager.warming_clusters')).toBe(0);
      const rejects = (await metrics.xds.rejects.get()).values;
      expect(rejects.reduce((sum, { value }) => sum + value, 0)).toBe(0);
    });
  });
}
