// A way in which changes reach data planes. Each lane has a control plane and data planes of its own; all lanes
// tell the same world.
import type { DataPlane } from '../../support/data-plane.ts';
import type { Service } from './world.ts';

export interface Lane {
  readonly name: string;
  readonly planes: readonly DataPlane[];
  /** How long after a change a data plane may not have heard of it. Milliseconds. */
  readonly settleMs: number;
  tell(service: Service, what: 'endpoints' | 'policy'): void;
  /** Refusals since the last call. */
  refusals(): readonly string[];
  /** What the control plane itself says of a service's endpoints, one line; for people. */
  shown(service: Service): Promise<string>;
  stop(): Promise<void>;
}
