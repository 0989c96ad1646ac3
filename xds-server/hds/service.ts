// Health discovery (HDS): the control plane asks connected data planes to check endpoints, and is told what they
// found. Rule X15 of docs/xds.md: it has nothing to do with the health that EDS carries, except that whoever
// hears of it may draw conclusions.
import { encode } from '../../proto/codec.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { appCheckOf } from '../../model/sidecars.ts';
import type { AppReport, Registration } from '../../model/sidecars.ts';
import { besides, readNode } from '../node.ts';
import type { Beside } from '../node.ts';
import { keyOf } from '../security/caller.ts';
import type { SideCall, SideHandler, SideService } from '../services/side-calls.ts';
import { assign, targetKey } from './assign.ts';
import type { HealthTarget } from './assign.ts';
import { HEALTH_REPORT_INVALID, readMessage, reportIn, specifier } from './messages.ts';
import type { CheckSettings, Found, Misdirection, Report } from './messages.ts';

/** What one data plane found of one endpoint that it was asked to check. */
export interface HealthReport extends Found {
  /** node.id of who checked. */
  readonly node: string;
}

/** What the requests of one data plane met. */
export interface MisdirectionReport extends Misdirection {
  readonly node: string;
}

export interface HealthDiscoveryOptions extends CheckSettings {
  /** How many data planes look at one endpoint. */
  readonly checkers: number;
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** Told at every report, changed or not: about once in `intervalMs` for each endpoint and checker. */
  onHealth(report: HealthReport): void;
  /** How the app beside a sidecar is: at every report, changed or not. */
  onApp(report: AppReport): void;
  /** What a sidecar is taken to say, from what it says. Default: just that. */
  readonly complete?: ((said: Registration) => Registration) | undefined;
  /** Somebody answered a data plane's requests or checks in another name. */
  onMisdirected(report: MisdirectionReport): void;
}

type AppHealth = AppReport['health'];

interface Checker {
  readonly node: string;
  readonly call: SideCall;
  /** It says nothing of what it has not checked yet. */
  readonly knowsFirst: boolean;
  /** Of a sidecar: as it says it. */
  readonly claimed: readonly Beside[];
  /** As it is taken. */
  beside: readonly Beside[];
  /** Monotonic ms. */
  readonly since: number;
  /** targetKey() and since when; monotonic ms. */
  assigned: ReadonlyMap<string, number>;
  said: Buffer | undefined;
  /** What `said` was made of. */
  told: Told | undefined;
}

interface Told {
  readonly own: readonly HealthTarget[];
  readonly beside: readonly Beside[];
}

export class HealthDiscovery implements SideService {
  readonly stream = 'StreamHealthCheck';
  readonly #o: HealthDiscoveryOptions;
  readonly #checkers = new Set<Checker>();
  #targets: readonly HealthTarget[] = [];

  constructor(options: HealthDiscoveryOptions) {
    this.#o = options;
  }

  /** In place of those before. Endpoints that are checked already go on being checked by the same nodes. */
  setTargets(targets: readonly HealthTarget[]): void {
    const sorted = [...targets].sort((a, b) => (targetKey(a) < targetKey(b) ? -1 : 1));
    if (sameTargets(sorted, this.#targets)) return;
    this.#targets = sorted;
    this.#share();
  }

  /** What sidecars are taken to say is another than before. */
  retell(): void {
    for (const checker of this.#checkers) checker.beside = this.#complete(checker.claimed);
    this.#share();
  }

  #complete(claimed: readonly Beside[]): readonly Beside[] {
    const { complete } = this.#o;
    if (!complete) return claimed;
    return claimed.map(({ node, registration }) => ({ node, registration: complete(registration) }));
  }

  handle(call: SideCall): SideHandler {
    let checker: Checker | undefined;
    return {
      receive: (bytes) => {
        const { health_check_request: request, endpoint_health_response: response } = readMessage(bytes);
        if (!checker) {
          if (!request) throw HEALTH_REPORT_INVALID('the first message does not say who the client is');
          const node = readNode(encode('envoy.config.core.v3.Node', request.node ?? {}));
          call.caller.claim(node);
          const key = keyOf(call.caller, node);
          const claimed = besides({ ...node, id: key });
          checker = {
            node: key,
            call,
            knowsFirst: node.kind === 'isthmus',
            claimed,
            beside: this.#complete(claimed),
            since: this.#o.clock.monotonic(),
            assigned: new Map(),
            said: undefined,
            told: undefined,
          };
          this.#checkers.add(checker);
          this.#share();
        } else if (request) call.send((checker.said ??= specifier([], this.#o, checker.beside)));
        if (response) this.#hear(checker, reportIn(response));
      },
      over: () => {
        if (checker && this.#checkers.delete(checker)) this.#share();
      },
    };
  }

  #hear(checker: Checker, { found, apps, misdirected }: Report): void {
    for (const beside of checker.beside) {
      const app = apps.get(beside.registration.service);
      if (app) this.#hearApp(checker, beside, app);
    }
    for (const one of misdirected) this.#o.onMisdirected({ node: checker.node, ...one });
    const now = this.#o.clock.monotonic();
    const settleMs = this.#o.intervalMs + 2 * this.#o.timeoutMs;
    for (const one of found) {
      const since = checker.assigned.get(targetKey(one));
      // Nobody is asked about what it was not told to check.
      if (since === undefined) continue;
      // By an Envoy an endpoint is reported as unhealthy until its first check is over.
      if (one.health !== 'healthy' && !checker.knowsFirst && now - since < settleMs) continue;
      this.#o.metrics.hds.reports.inc({ health: one.health });
      this.#o.onHealth({ node: checker.node, ...one });
    }
  }

  #hearApp({ call, since, knowsFirst }: Checker, { node, registration }: Beside, health: AppHealth): void {
    const { how, intervalMs, timeoutMs } = appCheckOf(registration);
    if (how === 'off') return;
    const isSettled = this.#o.clock.monotonic() - since >= intervalMs + 2 * timeoutMs;
    if (health === 'unhealthy' && !isSettled && !knowsFirst) return;
    const validMs = 3 * Math.max(intervalMs, this.#o.intervalMs) + timeoutMs;
    this.#o.onApp({ node, peer: call.caller.address, health, validMs });
  }

  #share(): void {
    const now = this.#o.clock.monotonic();
    // Two streams of one node are one checker: the newest has the work.
    const byNode = new Map([...this.#checkers].map((checker) => [checker.node, checker]));
    const assigned = assign(this.#targets, [...byNode.keys()].sort(), this.#o.checkers);
    this.#o.metrics.hds.checkers.set(byNode.size);
    for (const checker of this.#checkers) {
      const own = byNode.get(checker.node) === checker ? (assigned.get(checker.node) ?? []) : [];
      const { told, beside } = checker;
      if (told?.beside === beside && sameItems(told.own, own)) continue;
      checker.told = { own, beside };
      checker.assigned = new Map(
        own.map((target) => [targetKey(target), checker.assigned.get(targetKey(target)) ?? now]),
      );
      const bytes = specifier(own, this.#o, beside);
      // A client without work is told nothing before it had some.
      if (checker.said ? checker.said.equals(bytes) : own.length === 0 && beside.length === 0) continue;
      checker.said = bytes;
      checker.call.send(bytes);
    }
  }
}

const sameItems = <T>(a: readonly T[], b: readonly T[]): boolean =>
  a.length === b.length && a.every((item, i) => item === b[i]);

function sameTargets(a: readonly HealthTarget[], b: readonly HealthTarget[]): boolean {
  const text = (target: HealthTarget) => `${targetKey(target)} ${target.path}`;
  return a.length === b.length && a.every((target, i) => text(target) === text(b[i] ?? target));
}
