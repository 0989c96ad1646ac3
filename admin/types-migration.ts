// The JSON of migrations; the rules of types.ts hold here, too.
import type { GateVerdict, MigrationPhase } from '../model/migration-state.ts';

/** `/api/v1/migrations`; of one service: `/api/v1/migrations/NAME`. */
export interface MigrationJson {
  readonly service: string;
  readonly from: string;
  readonly to: string;
  readonly phase: MigrationPhase;
  /** From 1; 0 before the first one. */
  readonly step: number;
  readonly steps: readonly {
    readonly percent: number;
    readonly forSeconds: number;
    readonly approval: 'manual' | 'none';
  }[];
  /** Of the new side, 0 … 1: what data planes are told. */
  readonly share: number;
  /** What the step wants; more than `share` while the new side has not enough that is ready. */
  readonly wantedShare: number;
  /** What data planes reported since this step began; null: nothing yet. */
  readonly measured: {
    /** 0 … 1; null: no requests. */
    readonly share: number | null;
    readonly fromRequests: number;
    readonly toRequests: number;
    readonly fromErrors: number;
    readonly toErrors: number;
    readonly seconds: number;
  } | null;
  /** When this phase, or step, began. */
  readonly since: string;
  readonly attempt: number;
  readonly reason: string;
  /** Who brought it here; '' is the controller. */
  readonly by: string;
  /** '' when nothing keeps it from going on. */
  readonly waitsFor: string;
  /** As they stand now. */
  readonly gates: readonly GateVerdict[];
  /** As they stood when this phase began. */
  readonly decidedBy: readonly GateVerdict[];
  readonly onFailure: 'rollback' | 'pause';
  /** Which resource wants it. */
  readonly origin: string;
  /** '' before anything was decided. */
  readonly revision: string;
  /** Who steps; '' the replica that was asked. */
  readonly controller: string;
}
