// At start: what each source was known to say when the last process ended. A file that cannot be used is set aside
// with one message and is as good as none; nothing here is ever fatal.
import { readdir } from 'node:fs/promises';
import { setAside } from '../../lib/atomic-file.ts';
import { IsthmusError, describeError, toError } from '../../lib/errors.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { LKG_BAD } from './errors.ts';
import { MAX_BYTES, fileOf } from './keep.ts';
import { readWhole } from './read.ts';
import type { LastKnownGood } from './read.ts';

export interface LoadOptions {
  readonly folder: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly maxAgeMs: number;
  /** Default 1 GiB. */
  readonly maxBytes?: number;
}

/** Of one source; undefined when there is nothing to be used. */
export async function loadLastKnownGood(
  source: string,
  kind: string,
  { folder, clock, log, maxAgeMs, maxBytes = MAX_BYTES }: LoadOptions,
): Promise<LastKnownGood | undefined> {
  const file = fileOf(folder, source);
  try {
    return await readWhole(file, { source, kind, maxBytes, notBefore: clock.now() - maxAgeMs });
  } catch (thrown) {
    const cause = describeError(thrown);
    const isBad = thrown instanceof IsthmusError && thrown.code === LKG_BAD.code;
    const aside = isBad ? await setAside(file, clock.now()).catch(toError) : undefined;
    const kept = aside instanceof Error ? `it cannot be renamed: ${aside.message}` : aside;
    log.warn({ source, cause, ...(kept !== undefined && { kept }) }, 'the last known good is not used');
    return undefined;
  }
}

/** Names of the sources that have a file; none when the folder cannot be read. */
export async function knownSources(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.flatMap((name) => (name.endsWith('.lkg') ? [decodeURIComponent(name.slice(0, -4))] : []));
}
