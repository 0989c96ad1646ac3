// States as they stand in a file or a bucket. What cannot be understood is none: it is never guessed.
import { z } from 'zod';
import { MIGRATION_PHASES } from '../model/migration-state.ts';
import type { MigrationState } from '../model/migration-state.ts';

const phase = z.enum(MIGRATION_PHASES);

const schema = z.object({
  service: z.string().min(1),
  state: z.object({
    phase,
    step: z.int().min(-1),
    since: z.number(),
    percent: z.number().min(0).max(100),
    attempt: z.int().min(1),
    baseline: z.number().min(0).exactOptional(),
    sourceP99Ms: z.number().min(0).exactOptional(),
    paused: z.object({ phase, elapsedMs: z.number().min(0) }).exactOptional(),
    reason: z.string(),
    approved: z.int().exactOptional(),
    by: z.string(),
    verdicts: z.array(
      z.object({
        gate: z.enum(['readyCapacity', 'successRate', 'latencyP99', 'identity']),
        verdict: z.enum(['pass', 'fail', 'wait']),
        text: z.string(),
        numbers: z.record(z.string(), z.number()),
      }),
    ),
    sides: z.string(),
  }),
});

export interface StoredState {
  /** Canonical. */
  readonly service: string;
  readonly state: MigrationState;
}

export const readState = (value: unknown): StoredState | undefined => schema.safeParse(value).data;
