// What explanations are made from beside the request. Functions only: admin knows no other stage.
import type { LeftOut } from '../../model/left-out.ts';
import type { EndpointNotes } from '../../model/notes.ts';
import type { FederationSnapshot } from '../../model/snapshot.ts';

export interface Explainer {
  /** Until when what was decided about an endpoint holds; undefined where this process does not know. */
  readonly notes: (source: string, service: string, key: string) => EndpointNotes | undefined;
  /** Who says what a service's policy is. */
  readonly policyOrigin: (service: string) => string;
  /** What the configs of the sources keep out. */
  readonly leftOut: {
    of(service: string): readonly LeftOut[];
    /** Services that are left out, as a whole or in part. */
    names(): readonly string[];
  };
}

export interface Context extends Explainer {
  readonly snapshot: FederationSnapshot;
  /** Milliseconds since the epoch. */
  readonly now: number;
}
