// What will happen to one registry, drawn from a seed before anything is started. Pure. Registries have lanes
// of their own that run at the same time, so that faults meet.
import type { Instance } from '../support/hands/hand.ts';
import { Random } from './random.ts';

/** A fault of the registry can be made only in some layers at a time. */
export type Layer = 'server' | 'network' | 'answers' | 'access';

export interface FaultName {
  readonly name: string;
  readonly layer: Layer;
  /** The registry takes changes while it lasts. */
  readonly writable: boolean;
}

/** The whole new truth about one service. */
export interface Change {
  readonly service: string;
  readonly instances: readonly Instance[];
}

export type Step = {
  /** Before the step. */
  readonly restMs: number;
} & (
  | { readonly type: 'changes'; readonly changes: readonly Change[] }
  | {
      readonly type: 'fault';
      /** One, or two in different layers. */
      readonly faults: readonly string[];
      readonly lastsMs: number;
      /** Made while it lasts, in even steps. */
      readonly during: readonly Change[];
    }
);

export interface Lane {
  readonly kind: string;
  /** Services whose instances change; each may become empty. */
  readonly services: readonly string[];
  readonly faults: readonly FaultName[];
}

const ADDRESSES = 5;
const PORTS = [8080, 9090];

/** Steps for `minutes`, at least; the runner stops when time is over. */
export function plan(seed: number, lane: Lane, minutes: number): readonly Step[] {
  const random = Random.named(seed, lane.kind);
  const steps: Step[] = [];
  for (let at = 0; at < minutes * 60_000; ) {
    const step = drawStep(random, lane);
    steps.push(step);
    at += step.restMs + (step.type === 'fault' ? step.lastsMs : 0);
  }
  return steps;
}

function drawStep(random: Random, lane: Lane): Step {
  const restMs = random.between(500, 5_000);
  if (lane.faults.length === 0 || random.chance(0.4)) {
    return { type: 'changes', restMs, changes: drawChanges(random, lane, random.between(1, 6)) };
  }
  const first = drawFault(random, lane.faults);
  const others = lane.faults.filter(({ layer }) => layer !== first.layer);
  const faults = others.length > 0 && random.chance(0.25) ? [first, drawFault(random, others)] : [first];
  // Mostly short ones; some longer than any deadline.
  const lastsMs = random.chance(0.7) ? random.between(300, 6_000) : random.between(6_000, 25_000);
  const writable = faults.every((fault) => fault.writable);
  return {
    type: 'fault',
    restMs,
    faults: faults.map(({ name }) => name),
    lastsMs,
    during: writable ? drawChanges(random, lane, random.between(0, 4)) : [],
  };
}

/** Each layer as often as the others, however many faults it has. */
function drawFault(random: Random, faults: readonly FaultName[]): FaultName {
  const layer = random.pick([...new Set(faults.map((fault) => fault.layer))]);
  return random.pick(faults.filter((fault) => fault.layer === layer));
}

function drawChanges(random: Random, lane: Lane, count: number): Change[] {
  return Array.from({ length: count }, () => {
    const service = random.pick(lane.services);
    return { service, instances: drawInstances(random, service) };
  });
}

/** Of the service's own addresses, the same in all registries. None at all, now and then. */
export function drawInstances(random: Random, service: string): Instance[] {
  const net = Random.named(0, service).between(1, 250);
  const left = Array.from({ length: ADDRESSES }, (_, host) => `10.1.${net}.${host + 1}`);
  const count = random.between(0, ADDRESSES);
  return Array.from({ length: count }, () => {
    const [address = ''] = left.splice(random.between(0, left.length - 1), 1);
    return { address, port: random.pick(PORTS), mark: String(random.between(1, 9)) };
  });
}
