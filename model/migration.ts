// What is wanted of a migration: the spec, as config/ reads it and migration/ goes by it. Plain data. Percentages
// are 0…100, times milliseconds since the epoch.
import type { Labels } from './endpoint.ts';

export interface MigrationStep {
  /** Share of the traffic on the new side: more than 0, more than the step before; the last one is 100. */
  readonly percent: number;
  /** For so long the gates must hold before the next step. */
  readonly forMs: number;
  /** Then an operator must approve before it goes on. */
  readonly approval: 'manual' | 'none';
}

export interface SuccessRateGate {
  readonly minPercent: number;
  readonly windowMs: number;
  /** Fewer are "not enough traffic". */
  readonly minRequests: number;
  /** What then: wait for more, or count mirrored requests, too. */
  readonly onMissing: 'wait' | 'mirror';
}

export interface LatencyGate {
  /** p99 of the new side ÷ p99 of the old one. */
  readonly maxRatioToSource: number;
  readonly windowMs: number;
  /** When data planes report no latencies, or too few. */
  readonly onMissing: 'wait' | 'ignore';
}

export interface MigrationGates {
  /** Ready weight on the new side ÷ (share × ready weight on the old side when the migration started); 0: off. */
  readonly readyCapacity: number;
  readonly successRate?: SuccessRateGate | undefined;
  readonly latencyP99?: LatencyGate | undefined;
  /**
   * `permissive`: told, and nothing more. `strict`: an endpoint of the new side that answers as another service,
   * or whose address another service claims without proof, fails the gate. `proven`: moreover only endpoints that
   * answered a ping in the service's name count as capacity.
   */
  readonly identity: 'permissive' | 'strict' | 'proven';
}

/** While one of them lasts nothing goes forward. Rollbacks do not wait. */
export type FreezeWindow =
  /** From one moment to another. */
  | { readonly kind: 'once'; readonly from: number; readonly to: number }
  /** Minutes of the day in `zone` (IANA); days 0 (Sunday) … 6 on which it begins. `to` ≤ `from`: until the next day. */
  | {
      readonly kind: 'weekly';
      readonly days: readonly number[];
      readonly from: number;
      readonly to: number;
      readonly zone: string;
    };

export interface MigrationSpec {
  /** Canonical. */
  readonly service: string;
  /** Sides: names of sources, and of a canary the source's name and, as `to`, what splitSide() makes of it. */
  readonly from: string;
  readonly to: string;
  /** The new side is a part of the source `from`: what has these labels. */
  readonly canary?: Labels | undefined;
  /** Copies of requests to the new side first, whose answers nobody gets. */
  readonly mirror?: { readonly percent: number; readonly forMs: number } | undefined;
  /** At least one. */
  readonly steps: readonly MigrationStep[];
  readonly gates: MigrationGates;
  readonly onFailure: 'rollback' | 'pause';
  /** Callers with the same value of this header stay on the same side while the share stays. */
  readonly stickyBy?: { readonly header: string } | undefined;
  /** Canonical services whose migrations must be completed first. */
  readonly after: readonly string[];
  readonly freeze: readonly FreezeWindow[];
  readonly retry: {
    /** New attempts after a rollback; 0: an operator starts the next one. */
    readonly max: number;
    readonly coolDownMs: number;
  };
}
