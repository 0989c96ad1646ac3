// A keeper with hands on it: words in short form, and what callers would get, in short form too.
import { Keeper } from '../../../../aggregator/keeper/keeper.ts';
import type { KeeperReport } from '../../../../aggregator/keeper/reports.ts';
import { DEFAULT_KEEPING } from '../../../../aggregator/keeper/settings.ts';
import type { KeeperSettings } from '../../../../aggregator/keeper/settings.ts';
import type { DiscoveryUpdate } from '../../../../model/discovery.ts';
import { compareEndpoints } from '../../../../model/endpoint.ts';
import type { Endpoint, EndpointGroup } from '../../../../model/endpoint.ts';
import type { Shard } from '../../../../model/shard.ts';

export const SECOND = 1_000;
export const MINUTE = 60_000;
export const DARK: DiscoveryUpdate = { type: 'stale', cause: new Error('connection refused') };

export function endpoint(address: string, over: Partial<Endpoint> = {}): Endpoint {
  return {
    address,
    port: 80,
    portName: '',
    network: '',
    health: 'healthy',
    weight: 1,
    labels: {},
    locality: { region: '', zone: '', subZone: '' },
    ...over,
  };
}

export function group(service: string, endpoints: readonly (string | Endpoint)[]): EndpointGroup {
  return {
    service,
    aliases: [],
    ports: [{ name: '', port: 0, protocol: '' }],
    primaryPort: '',
    endpoints: endpoints.map((e) => (typeof e === 'string' ? endpoint(e) : e)).sort(compareEndpoints),
  };
}

export const numbered = (from: number, count: number): string[] =>
  Array.from({ length: count }, (_, n) => `10.0.0.${from + n}`);

type Deep<T> = { readonly [K in keyof T]?: T[K] extends object ? Partial<T[K]> : T[K] };

export function settings(over: Deep<KeeperSettings> = {}): KeeperSettings {
  const { guard, damping } = DEFAULT_KEEPING;
  return {
    ...DEFAULT_KEEPING,
    ...over,
    guard: { ...guard, ...over.guard },
    damping: { ...damping, ...over.damping },
  };
}

export class World {
  readonly keeper: Keeper;
  readonly shards = new Map<string, Shard>();
  readonly reports: KeeperReport[] = [];
  /** Services that another source serves. */
  readonly elsewhere = new Set<string>();
  /** Shards that were handed out. */
  writes = 0;
  /** Endpoints that are settled at once. */
  most = Infinity;
  now = 1_000_000;

  constructor(over: Deep<KeeperSettings> = {}) {
    this.keeper = new Keeper(settings(over), (service) => this.elsewhere.has(service));
  }

  /** One batch. */
  say(...updates: readonly DiscoveryUpdate[]): void {
    for (const update of updates) this.keeper.hear(update, this.now);
    this.settle();
  }

  sync(services: Readonly<Record<string, readonly (string | Endpoint)[]>>): void {
    this.say({ type: 'sync', groups: Object.entries(services).map(([name, list]) => group(name, list)) });
  }

  settle(): void {
    const { shards, reports } = this.keeper.settle(this.now, this.most);
    for (const [service, shard] of shards) {
      this.writes += 1;
      if (shard) this.shards.set(service, shard);
      else this.shards.delete(service);
    }
    this.reports.push(...reports);
    if (this.keeper.hasNews) this.settle();
  }

  /** Runs every deadline on the way. */
  advance(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const next = this.keeper.nextDeadline;
      if (next === undefined || next > end) break;
      this.now = Math.max(this.now, next);
      this.settle();
    }
    this.now = end;
    this.settle();
  }

  /** Endpoints as `10.0.0.1`, with what their marks say: `10.0.0.1?` doubted, `!` expired, `x` quarantined, `*0.5` factors. */
  of(service: string): string[] {
    const shard = this.shards.get(service);
    return (shard?.group.endpoints ?? []).map(({ address, port, network }) => {
      const mark = shard?.marks.get(`${network === '' ? '' : `${network}/`}${address}:${port}`);
      return [
        address,
        mark?.doubted ? '?' : '',
        mark?.expired ? '!' : '',
        mark?.quarantined ? 'x' : '',
        mark?.damping === undefined ? '' : `*${mark.damping}`,
        mark?.warmUp === undefined ? '' : `~${mark.warmUp}`,
      ].join('');
    });
  }

  reported(): string[] {
    return this.reports.map(({ type }) => type);
  }
}
