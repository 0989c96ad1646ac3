// Hedged tries against a model: whichever order they end in, the first good answer wins, else the last failure is
// told, and nothing is left counted. Real sockets; the order is made by the test, not by time.
import type { ServerResponse } from 'node:http';
import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import { decode, encode } from '../../../../proto/codec.ts';
import type { HedgePolicy } from '../../../../proto/gen/types/envoy/config/route/v3/HedgePolicy.ts';
import type { RouteConfiguration__Output } from '../../../../proto/gen/types/envoy/config/route/v3/RouteConfiguration.ts';
import { K } from '../../../../proxy/upstream/counters.ts';
import { compileRoutes } from '../../../../proxy/xds/routes.ts';
import {
  cleanUp,
  cluster,
  host,
  httpServer,
  request,
  retries,
  startPlane,
  tables,
  until,
} from './support.ts';

afterEach(cleanUp);

type Outcome = 'good' | 'bad' | 'cut';

/** No connection is used again: one that is cut then is tried once more, which is no hedge. */
const CLOSE = { connection: 'close' };
const END: Readonly<Record<Outcome, (response: ServerResponse) => void>> = {
  good: (response) => void response.writeHead(200, CLOSE).end('good'),
  bad: (response) => void response.writeHead(500, CLOSE).end('bad'),
  cut: (response) => void response.socket?.destroy(),
};
const STATUS = { good: 200, bad: 500, cut: 503 } as const;

test('property: the first good answer wins, else the last failure is told; nothing stays counted', async () => {
  const held: ServerResponse[] = [];
  const { port: upstream } = await httpServer((_request, response) => void held.push(response));
  const retry = { ...retries(2, '5xx'), perTryMs: 1, hedges: true };
  const { port, plane } = await startPlane(tables(cluster([host(upstream)]), { retry }));
  const order = fc.shuffledSubarray([0, 1, 2], { minLength: 3, maxLength: 3 });
  const outcomes = fc.array(fc.constantFrom<Outcome>('good', 'bad', 'cut'), { minLength: 3, maxLength: 3 });
  await fc.assert(
    fc.asyncProperty(order, outcomes, async (places, ends) => {
      held.splice(0);
      const answer = request(port);
      await until(() => held.length === 3, 'three tries');
      // With the last one over its time, too, each is on its own.
      for (const [i, place] of places.entries()) {
        const response = held[place];
        const end = ends[i] ?? 'good';
        if (!response) throw new Error('no such try');
        const over = new Promise((resolve) => response.on('close', resolve));
        END[end](response);
        await over;
        const left = 2 - i;
        if (ends.slice(0, i + 1).includes('good')) break;
        await until(() => (plane.stats().clusters[0]?.hosts[0]?.activeRequests ?? 0) <= left, 'one try less');
      }
      const good = ends.includes('good');
      expect((await answer).status).toBe(STATUS[good ? 'good' : (ends[2] ?? 'good')]);
      const stats = plane.stats().clusters[0];
      expect(held).toHaveLength(3);
      expect(stats?.hosts[0]?.activeRequests).toBe(0);
      expect(stats?.breakers[0]).toMatchObject({ requests: 0, pending: 0, retries: 0 });
    }),
    { numRuns: 20 },
  );
  expect(plane.stats().clusters[0]?.counts[K.perTryTimeout]).toBe(0);
});

test('without a second try nothing is hedged', async () => {
  const held: ServerResponse[] = [];
  const { port: upstream } = await httpServer((_request, response) => void held.push(response));
  const retry = { ...retries(0, '5xx'), perTryMs: 1, hedges: true };
  const { port, plane } = await startPlane(tables(cluster([host(upstream)]), { retry }));
  const answer = request(port);
  await until(() => (plane.stats().clusters[0]?.counts[K.retryLimit] ?? 0) === 1, 'the time of a try');
  held[0]?.end('late');
  expect(await answer).toMatchObject({ status: 200, body: 'late' });
});

const ROUTES = 'envoy.config.route.v3.RouteConfiguration';
const compiled = (hedge_policy: HedgePolicy) =>
  compileRoutes(
    decode<RouteConfiguration__Output>(
      ROUTES,
      encode(ROUTES, {
        name: 'r',
        virtual_hosts: [
          {
            name: 'a',
            domains: ['*'],
            retry_policy: { retry_on: '5xx', per_try_timeout: { seconds: 1 } },
            hedge_policy,
            routes: [{ match: { prefix: '/' }, route: { cluster: 'c' } }],
          },
        ],
      }),
    ),
  ).lookup({ authority: 'a', path: '/', header: () => '' });

test('the policy of a virtual host counts for its routes', () => {
  expect(compiled({ hedge_on_per_try_timeout: true })?.retry?.hedges).toBe(true);
  expect(compiled({})?.retry?.hedges).toBeUndefined();
});

test.each<[string, HedgePolicy]>([
  ['initial_requests', { initial_requests: { value: 2 } }],
  ['additional_request_chance', { additional_request_chance: { numerator: 50, denominator: 'HUNDRED' } }],
])('%s is refused', (field, policy) => {
  expect(() => compiled(policy)).toThrow(`hedge_policy.${field}: not supported`);
});
