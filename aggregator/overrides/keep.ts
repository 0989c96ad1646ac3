// Overrides over a restart: what is written, and what of it is still in force when it is read back.
import type { Clock } from '../../lib/clock.ts';
import { describeError } from '../../lib/errors.ts';
import { MAX_OVERRIDE_MS } from '../../model/rules.ts';
import type { PlacedOverride } from '../../model/rules.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { OVERRIDES_WRITE } from './errors.ts';
import { readOverrides, writeOverrides } from './file.ts';

export interface KeepOptions {
  /** '': nowhere. */
  readonly file: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * What of the file is still in force. While the process was down the wall clock counts; was it set back
 * meanwhile, an override has what was left of it when the file was written, and no more.
 */
export async function restoredOverrides(options: KeepOptions, now: () => number): Promise<PlacedOverride[]> {
  const { file, clock, log } = options;
  const content = await readOverrides(file, options);
  if (!content) return [];
  const wall = clock.now();
  if (wall < content.writtenAt) {
    log.warn(
      { seconds: Math.round((content.writtenAt - wall) / 1_000) },
      'the clock was set back: overrides go on with what was left of them',
    );
  }
  const shift = now() - wall;
  const kept = content.overrides.flatMap((placed): PlacedOverride[] => {
    const { until } = placed.override;
    const left = Math.min(until - wall, until - content.writtenAt, MAX_OVERRIDE_MS);
    if (!(left > 0)) return [];
    return [
      { ...placed, since: placed.since + shift, override: { ...placed.override, until: now() + left } },
    ];
  });
  const ended = content.overrides.length - kept.length;
  if (content.overrides.length > 0) log.info({ inForce: kept.length, ended }, 'overrides were read');
  return kept;
}

export interface Saver {
  /** @returns why it is not saved; '' when it is. */
  save(): Promise<string>;
  /** The file does not say what is in force. */
  unsaved(): boolean;
  /** What is being written is written. */
  settled(): Promise<unknown>;
}

/** One writing at a time; what changes meanwhile goes with the next one. */
export function createSaver(
  { file, clock, log }: KeepOptions,
  now: () => number,
  all: () => readonly PlacedOverride[],
): Saver {
  let running: Promise<string> = Promise.resolve('');
  let queued: Promise<string> | undefined;
  let last = '';
  const write = async (): Promise<string> => {
    queued = undefined;
    const wall = clock.now();
    // Times by the wall clock of this moment: the next process knows no other.
    const shift = wall - now();
    const overrides = all().map((placed) => ({
      ...placed,
      since: placed.since + shift,
      override: { ...placed.override, until: placed.override.until + shift },
    }));
    try {
      await writeOverrides(file, { writtenAt: wall, overrides });
      if (last !== '') log.info({ file }, 'the overrides are written again');
      last = '';
    } catch (thrown) {
      const error = OVERRIDES_WRITE.from(thrown, file);
      const cause = describeError(error);
      if (cause !== last) log.warn({ code: error.code, cause, hint: error.hint }, 'overrides');
      last = cause;
    }
    return last;
  };
  return {
    save() {
      if (file === '') return Promise.resolve('no dataDir is configured');
      queued ??= running.then(write);
      running = queued;
      return queued;
    },
    unsaved: () => last !== '',
    settled: () => running,
  };
}
