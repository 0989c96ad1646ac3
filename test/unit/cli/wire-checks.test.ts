// What becomes of the aggregator's suspects when data planes look at them, and of what those say.
import { expect, it } from 'vitest';
import { sidecarChecks } from '../../../cli/wire-checks.ts';
import { configSchema } from '../../../config/schema.ts';
import { ManualClock } from '../../../lib/clock.ts';
import type { Suspect } from '../../../model/ping.ts';
import { DEFAULT_RULES } from '../../../model/rules.ts';
import { plainSlice } from '../../../model/snapshot.ts';
import type { HealthTarget } from '../../../xds-server/hds/assign.ts';
import type { MisdirectionReport } from '../../../xds-server/hds/service.ts';
import { eventually } from '../../support/eventually.ts';
import { endpoint } from '../admin/fixture.ts';

const config = configSchema.parse({ sources: [{ name: 'vms', kind: 'file', path: './vms.json' }] });

const suspect = (address: string, protocol = '', source = 'vms'): Suspect => ({
  source,
  service: 'orders.default',
  key: `${address}:8080`,
  endpoint: endpoint({ address }),
  protocol,
  aliases: [],
  cause: 'doubted',
  refuted: false,
});

type Aggregator = Parameters<typeof sidecarChecks>[1];

it('suspects are asked about in both ways, and only what is sure is told', async () => {
  const clock = new ManualClock();
  const said: unknown[] = [];
  const strictRules = { ...DEFAULT_RULES, identity: 'strict' as const };
  const services = new Map(
    (['carts.default', 'users.default'] as const).map((service, n) => {
      const endpoints = [endpoint({ address: n === 0 ? '10.1.0.1' : '10.2.0.1' })];
      const group = { service, aliases: [], ports: [], primaryPort: '', endpoints };
      const slice = plainSlice(service, new Map([['vms', group]]));
      return [service, n === 0 ? { ...slice, rules: strictRules } : slice];
    }),
  );
  const dark = [suspect('10.0.0.2', 'grpc'), suspect('10.0.0.3', 'udp'), suspect('169.254.169.254')];
  const aggregator = {
    current: { services },
    suspects: (ofDark: boolean) => (ofDark ? dark : [suspect('10.0.0.1')]),
    prove: (source: string, service: string, key: string, verdict: unknown, by: unknown) =>
      void said.push([source, service, key, verdict, by]),
  } as unknown as Aggregator;
  const leads: MisdirectionReport[] = [];
  const checks = sidecarChecks(config, aggregator, { clock, onLead: (lead) => void leads.push(lead) });
  const rounds: (readonly HealthTarget[])[] = [];
  const controller = new AbortController();
  const running = checks.run((targets) => rounds.push(targets), controller.signal);
  expect(rounds[0]?.map(({ address, how, path }) => [address, how, path])).toEqual([
    ['10.0.0.1', 'http', '/healthz'],
    ['10.0.0.1', 'tcp', '/healthz'],
    ['10.0.0.2', 'tcp', '/healthz'],
    ['10.1.0.1', 'http', '/healthz'],
  ]);

  const report = { node: 'envoy-1', service: 'orders.default', port: 8080 } as const;
  checks.hear({ ...report, address: '10.0.0.1', how: 'http', health: 'healthy' });
  checks.hear({ ...report, address: '10.0.0.1', how: 'http', health: 'unhealthy' });
  checks.hear({ ...report, address: '10.0.0.1', how: 'tcp', health: 'healthy' });
  checks.hear({ ...report, address: '10.0.0.1', how: 'tcp', health: 'timeout' });
  checks.hear({ ...report, address: '10.0.0.2', how: 'tcp', health: 'healthy' });
  checks.hear({ ...report, address: '10.0.0.9', how: 'tcp', health: 'unhealthy' });
  const by = { kind: 'sidecar', failing: 0, ageMs: 4 * config.probe.interval + 2 * config.probe.timeout };
  expect(said).toEqual([
    ['vms', 'orders.default', '10.0.0.1:8080', { kind: 'alive' }, by],
    ['vms', 'orders.default', '10.0.0.1:8080', { kind: 'refused' }, by],
    ['vms', 'orders.default', '10.0.0.2:8080', { kind: 'unproven' }, by],
  ]);

  // Of a strict service that is not in question: who does not answer in its name is a lead.
  const strict = { node: 'envoy-1', address: '10.1.0.1', port: 8080 };
  const { length } = said;
  checks.hear({ ...strict, service: 'carts.default', how: 'http', health: 'healthy' });
  checks.hear({ ...strict, service: 'carts.default', how: 'http', health: 'unhealthy' });
  expect(leads).toEqual([{ ...strict, cluster: 'carts.default', answeredAs: '' }]);
  expect(said).toHaveLength(length);

  clock.advance(config.probe.interval);
  await eventually(() => rounds.length === 2, { everyMs: 5 });
  controller.abort();
  await running;
  expect(clock.pending).toBe(0);
});
