// `datacenters: all`: the sources that one entry of the config stands for. Asked at the start and again
// slowly; only ever adds, because a datacenter that is out of sight is dark, not gone. It watches no service.
import type { ConsulSource } from '../../config/schema.ts';
import { backoff } from '../../lib/backoff.ts';
import { sleep } from '../../lib/clock.ts';
import { toError } from '../../lib/errors.ts';
import type { SourceDeps } from '../source.ts';
import { readAccess } from './access.ts';
import { createConsulClient } from './client.ts';
import { consulLibrary } from './npm.ts';

export interface DatacenterTimings {
  /** Between two looks once one was answered. Default 60,000 ms. */
  readonly everyMs?: number;
  /** First wait after a fault, doubled up to 10,000 ms. Default 500 ms. */
  readonly backoffMs?: number;
  /** Default 10,000 ms. */
  readonly answerMs?: number;
}

/**
 * Yields the sources that were not known before, one for each datacenter, called NAME-DATACENTER. Ends with
 * `signal`. Faults go to `onFault` and are tried again; none of them ends it.
 */
export async function* consulDatacenters(
  config: ConsulSource,
  deps: Pick<SourceDeps, 'clock'>,
  onFault: (cause: Error) => void,
  signal: AbortSignal,
  timings: DatacenterTimings = {},
): AsyncGenerator<readonly ConsulSource[]> {
  const { everyMs = 60_000, backoffMs = 500, answerMs = 10_000 } = timings;
  const wait = backoff({ baseMs: backoffMs, maxMs: 10_000 });
  const known = new Set<string>();
  while (!signal.aborted) {
    const found = await askOnce(config, deps, { deadlineMs: answerMs, signal }).catch(toError);
    if (signal.aborted) return;
    if (found instanceof Error) onFault(found);
    else {
      wait.reset();
      const fresh = found.filter((datacenter) => !known.has(datacenter));
      for (const datacenter of fresh) known.add(datacenter);
      if (fresh.length > 0) yield fresh.map((datacenter) => sourceFor(config, datacenter));
    }
    const pause = found instanceof Error ? wait.next() : everyMs;
    await sleep(pause, signal, deps.clock).catch(() => undefined);
  }
}

function sourceFor(config: ConsulSource, datacenter: string): ConsulSource {
  const name = `${config.name}-${datacenter}`.toLowerCase();
  return { ...config, name, datacenter, datacenters: undefined };
}

async function askOnce(
  config: ConsulSource,
  { clock }: Pick<SourceDeps, 'clock'>,
  ask: { readonly deadlineMs: number; readonly signal: AbortSignal },
): Promise<string[]> {
  const here = { ...config, datacenter: '', namespace: '', partition: '' };
  const client = createConsulClient(await consulLibrary(), here, await readAccess(config), clock);
  try {
    return await client.datacenters(ask);
  } finally {
    client.close();
  }
}
