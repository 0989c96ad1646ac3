// envoy.filters.http.on_demand: a request whose route leads to a cluster that is not there waits while the control
// plane is asked for it. Requests that find it there pay a look-up by name.
import type { Filter, Handler, Stream } from './types.ts';

/**
 * Asks for a cluster. True: it is not here yet and may come. False: it is here, or the control plane says that there
 * is none.
 */
export type Demand = (cluster: string) => boolean;

/** Ms between two looks: an answer takes some milliseconds, or it takes long. */
const STEPS = [1, 1, 2, 2, 4, 4, 8, 8, 16, 32, 64];
const LONG_STEP = 100;

/** @param timeoutMs of the wait, about; after it the request goes on without the cluster. */
export function onDemandFilter(demand: Demand, timeoutMs: number): Filter {
  const steps = stepsWithin(timeoutMs);
  const waits = (stream: Stream) => stream.route.reply === undefined && demand(stream.route.cluster);
  return (next) =>
    // One handler per look: how long a request has waited is where it is.
    steps.reduceRight<Handler>(
      (later, ms) => (stream, head) => {
        if (waits(stream)) stream.delay(ms, 0, later, head);
        else next(stream, head);
      },
      next,
    );
}

function stepsWithin(timeoutMs: number): readonly number[] {
  const steps: number[] = [];
  for (let left = timeoutMs; left > 0; left -= steps.at(-1) ?? left) {
    steps.push(Math.min(left, STEPS[steps.length] ?? LONG_STEP));
  }
  return steps;
}
