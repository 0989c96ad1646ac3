// The ports of a service over all its sources, without their endpoints. One source's primary port is every
// source's, whatever it is called there.
import type { ServicePort } from '../endpoint.ts';
import type { Shard } from '../shard.ts';
import type { MergedPort } from './types.ts';

export interface PortDraft<T> {
  readonly name: string;
  port: number;
  protocol: string;
  readonly numbers: number[];
  readonly found: T;
}

export class PortDrafts<T> {
  readonly primaryPort: string;
  readonly #byName = new Map<string, PortDraft<T>>();
  readonly #empty: () => T;

  /** @param empty what a port begins with. */
  constructor(shards: ReadonlyMap<string, Shard>, empty: () => T) {
    this.primaryPort = primaryPortOf(shards);
    this.#empty = empty;
  }

  get(name: string): PortDraft<T> | undefined {
    return this.#byName.get(name);
  }

  of(name: string): PortDraft<T> {
    let draft = this.#byName.get(name);
    if (!draft) {
      draft = { name, port: 0, protocol: '', numbers: [], found: this.#empty() };
      this.#byName.set(name, draft);
    }
    return draft;
  }

  add(name: string, { port, protocol }: ServicePort): void {
    const draft = this.of(name);
    if (draft.port === 0) draft.port = port;
    if (draft.protocol === '') draft.protocol = protocol;
    if (port !== 0 && !draft.numbers.includes(port)) draft.numbers.push(port);
  }

  /** The primary one first, then by name. */
  sorted(): PortDraft<T>[] {
    this.of(this.primaryPort);
    const rank = ({ name }: PortDraft<T>): number => (name === this.primaryPort ? 0 : 1);
    return [...this.#byName.values()].sort((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1));
  }
}

/** All of a merged port but its endpoints. */
export function finished<T>({
  name,
  port,
  protocol,
  numbers,
}: PortDraft<T>): Omit<MergedPort, 'endpoints' | 'withheld'> {
  return { name, port, protocol, numbers: numbers.sort((a, b) => a - b) };
}

/**
 * A source whose primary port is another one may still have a port that is called as the service's primary:
 * that one must not mix with it and is named after its source.
 */
export function mergedPortName(name: string, source: string, ownPrimary: string, primary: string): string {
  if (name === ownPrimary) return primary;
  return name === primary ? `${name}-${source}` : name;
}

/** A name if any source has one, so that `http` from Kubernetes names Consul's unnamed port too. */
function primaryPortOf(shards: ReadonlyMap<string, Shard>): string {
  for (const { group } of shards.values()) if (group.primaryPort !== '') return group.primaryPort;
  return '';
}
