// A hand on a registry: what a test, a soak or a demo uses to change it, and to ask it what it knows, past
// the source under test. One file a kind; each speaks the registry's own protocol and shares nothing with
// the adapters.
import { fetch } from 'undici';

export interface Instance {
  readonly address: string;
  readonly port: number;
  /** An attribute that the registry can change without taking the instance out: its weight, or its zone. */
  readonly mark?: string;
}

export const DEFAULT_MARK = '1';

export interface Hand {
  /** From now on the registry offers exactly these instances of the service. Done twice is done once. */
  set(service: string, instances: readonly Instance[]): Promise<void>;
  /** What the registry answers now, by service, with all marks; empty services may be left out. */
  ask(): Promise<ReadonlyMap<string, readonly Required<Instance>[]>>;
  close(): Promise<void>;
}

export const idOf = ({ address, port }: Instance): string => `${address}:${port}`;

/** Those of `there` that `wanted` does not have. */
export function surplus<T extends Instance>(there: readonly T[], wanted: readonly Instance[]): readonly T[] {
  const keep = new Set(wanted.map(idOf));
  return there.filter((instance) => !keep.has(idOf(instance)));
}

/** Groups what a registry lists flatly. */
export function byService(
  listed: Iterable<readonly [string, Required<Instance>]>,
): ReadonlyMap<string, readonly Required<Instance>[]> {
  const groups = new Map<string, Required<Instance>[]>();
  for (const [service, instance] of listed) {
    const group = groups.get(service);
    if (group) group.push(instance);
    else groups.set(service, [instance]);
  }
  return groups;
}

/** One request on a connection of its own; rejects on any status that is not good, with what was said. */
export async function callHttp(
  method: string,
  url: string,
  body?: object,
  headers: Readonly<Record<string, string>> = {},
): Promise<string> {
  const answer = await fetch(url, {
    method,
    headers: { connection: 'close', 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(10_000),
  });
  const said = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${url}: HTTP ${answer.status} ${said.slice(0, 300)}`);
  return said;
}
