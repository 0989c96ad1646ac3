// Remembers what sources offer and their configs leave out, so that somebody who misses it can be told. Holds
// counts and a few addresses of what is left out now, by source; never what takes part.
import type { Shaping } from '../config/shaping.ts';
import { endpointKey } from '../model/endpoint.ts';
import type { Endpoint } from '../model/endpoint.ts';
import type { LeftOut } from '../model/left-out.ts';
import { serviceShape } from './shape-names.ts';

/** Of one service and reason; the count goes on. */
const ADDRESSES = 100;

type Found = Omit<LeftOut, 'source' | 'offered'>;

export class LeftOutBook {
  /** By source, then by the source's own name of the service. */
  readonly #found = new Map<string, Map<string, readonly Found[]>>();
  readonly #names = new Map<string, (service: string) => string | undefined>();

  /** A source of the config: what its `include.services` does not match is never seen, but can be told. */
  know(source: string, config: Shaping): void {
    this.#names.set(source, serviceShape(config).leftOutBy);
  }

  clear(source: string): void {
    this.#found.delete(source);
  }

  /** @param old the service's name in the source; nothing found forgets it. */
  set(source: string, old: string, found: readonly Found[]): void {
    const own = this.#found.get(source) ?? new Map<string, readonly Found[]>();
    if (found.length > 0) this.#found.set(source, own.set(old, found));
    else own.delete(old);
  }

  /** All that is known of one service by its canonical name, here or in a source. */
  of(service: string): readonly LeftOut[] {
    const seen = [...this.#found].flatMap(([source, services]) =>
      [...services.values()].flat().flatMap((found) => {
        return found.service === service ? [{ source, offered: true, ...found }] : [];
      }),
    );
    const unseen = [...this.#names].flatMap(([source, leftOutBy]) => {
      const by = leftOutBy(service);
      if (by === undefined || seen.some((found) => found.source === source)) return [];
      return [{ source, service, by, offered: false, endpoints: 0, addresses: [] }];
    });
    return [...seen, ...unseen];
  }

  /** Canonical names of all services that are left out, as a whole or in part. */
  names(): readonly string[] {
    const all = [...this.#found.values()].flatMap((services) => [...services.values()].flat());
    return [...new Set(all.map(({ service }) => service))];
  }
}

/** What is left out of one service, one entry per reason. */
export function foundLeftOut(service: string, endpoints: readonly Endpoint[], by: By): readonly Found[] {
  const keys = new Map<string, string[]>();
  for (const endpoint of endpoints) {
    const field = by(endpoint);
    if (field !== undefined) keys.set(field, [...(keys.get(field) ?? []), endpointKey(endpoint)]);
  }
  return [...keys].map(([field, all]) => ({
    service,
    by: field,
    endpoints: all.length,
    addresses: all.slice(0, ADDRESSES),
  }));
}

type By = (endpoint: Endpoint) => string | undefined;
