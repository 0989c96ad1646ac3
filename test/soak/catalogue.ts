// What the control plane under test says, by its admin API: the catalogue source by source, and its memory.
import type { EndpointJson, Items, SourceJson } from '../../admin/types.ts';
import { fetch } from 'undici';
import { markOf } from './registries/registry.ts';
import { keyOf } from './truth.ts';
import type { Held } from './truth.ts';

const ANSWER_MS = 10_000;

export interface Catalogue {
  /** By source; a source without endpoints has an entry too. */
  readonly held: ReadonlyMap<string, Held>;
  readonly live: ReadonlySet<string>;
  readonly causes: ReadonlyMap<string, string>;
}

async function get(url: string): Promise<string> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${url}: HTTP ${answer.status} ${text.slice(0, 200)}`);
  return text;
}

export async function readCatalogue(adminUrl: string): Promise<Catalogue> {
  const list = async <T>(path: string) => (JSON.parse(await get(`${adminUrl}${path}`)) as Items<T>).items;
  // The states first: a source that was live then and has everything now was live with it.
  const sources = await list<SourceJson>('/api/v1/sources');
  const endpoints = await list<EndpointJson>('/api/v1/endpoints');
  return {
    held: heldBySource(sources, endpoints),
    live: new Set(sources.filter(({ state }) => state === 'live').map(({ name }) => name)),
    causes: new Map(sources.map(({ name, cause }) => [name, cause])),
  };
}

/** Sources are called after their kind here. Of several witnesses it cannot be seen whose word counts. */
export function heldBySource(
  sources: readonly Pick<SourceJson, 'name'>[],
  endpoints: readonly EndpointJson[],
): ReadonlyMap<string, Held> {
  const held = new Map(sources.map(({ name }) => [name, new Map<string, string | undefined>()]));
  for (const endpoint of endpoints) {
    const service = endpoint.service.replace(/\.default$/, '');
    for (const source of endpoint.sources) {
      const mark = endpoint.sources.length === 1 ? markOf(source, endpoint) : undefined;
      held.get(source)?.set(keyOf(service, endpoint), mark);
    }
  }
  return held;
}

/** Gauges of the control plane's own process; units as in their names. */
export const GAUGES = {
  'RSS, MB': 'process_resident_memory_bytes',
  'heap used, MB': 'nodejs_heap_size_used_bytes',
  'open files': 'process_open_fds',
} as const;
export type GaugeName = keyof typeof GAUGES;

export async function readGauges(adminUrl: string): Promise<Readonly<Record<GaugeName, number>>> {
  const text = await get(`${adminUrl}/metrics`);
  const read = (name: GaugeName) => {
    const value = Number(new RegExp(`^${GAUGES[name]} (\\S+)$`, 'm').exec(text)?.[1]);
    return GAUGES[name].endsWith('_bytes') ? value / 2 ** 20 : value;
  };
  return {
    'RSS, MB': read('RSS, MB'),
    'heap used, MB': read('heap used, MB'),
    'open files': read('open files'),
  };
}
