// Copies of requests to other clusters (request_mirror_policies): sent when the whole request is here, told
// by `-shadow` in Host; their answers are counted and dropped, and nothing of them reaches the client.
import { WheelTimer } from '../../lib/timer-wheel.ts';
import type { TimerWheel } from '../../lib/timer-wheel.ts';
import { PickKey } from '../balancers/types.ts';
import type { Mirror } from '../route.ts';
import type { ClusterState } from '../upstream/cluster.ts';
import { K, bump } from '../upstream/counters.ts';
import { Attempt } from './attempt.ts';
import type { AttemptOwner } from './attempt.ts';
import type { RequestBody } from './request-body.ts';
import type { ResponseHead } from './response-head.ts';

export interface MirrorContext {
  readonly wheel: TimerWheel;
  cluster(name: string): ClusterState | undefined;
}

interface MirroredRequest {
  /** As sent upstream. */
  readonly head: string;
  readonly body: Buffer | undefined;
  readonly bodiless: boolean;
  /** 0: no limit. */
  readonly timeoutMs: number;
}

/** Copies of a request whose whole body was kept. @param head as sent upstream. @param timeoutMs 0: no limit. */
export function mirrorKept(
  context: MirrorContext,
  mirrors: readonly Mirror[],
  body: RequestBody,
  head: string,
  timeoutMs: number,
  method: string,
): void {
  const bodiless = method === 'HEAD';
  const request: MirroredRequest = { head: `${head}\r\n`, body: body.all(), bodiless, timeoutMs };
  for (const mirror of mirrors) {
    if (Math.random() >= mirror.part) continue;
    const cluster = context.cluster(mirror.cluster);
    if (cluster) new Shadow(context.wheel, request, mirror.suffix).start(cluster);
  }
}

/** `Host: a.b:80` → `Host: a.b-shadow:80`. */
export function shadowHead(head: string): string {
  return head.replace(/(\r\nhost:[\t ]*)(\[[^\]\r]*\]|[^:\r]*)/i, '$1$2-shadow');
}

class Shadow implements AttemptOwner {
  readonly #wheel: TimerWheel;
  readonly #request: MirroredRequest;
  readonly #suffix: boolean;
  readonly #attempt = new Attempt(this);
  readonly #timer = new WheelTimer(() => this.#end(0));
  #cluster: ClusterState | undefined;
  #status = 0;

  constructor(wheel: TimerWheel, request: MirroredRequest, suffix: boolean) {
    this.#wheel = wheel;
    this.#request = request;
    this.#suffix = suffix;
  }

  start(cluster: ClusterState): void {
    this.#cluster = cluster;
    bump(cluster.counters, K.requests);
    bump(cluster.counters, K.shadow);
    const host = cluster.pick(new PickKey());
    if (!host) return bump(cluster.counters, K.noHost);
    if (cluster.admission?.refuses()) return;
    if (this.#request.timeoutMs > 0) this.#wheel.arm(this.#timer, this.#request.timeoutMs);
    this.#attempt.start(cluster, host, cluster.breaker(0), false);
  }

  onReady(): void {
    const { head, body, bodiless } = this.#request;
    this.#attempt.send(this.#suffix ? shadowHead(head) : head, body, bodiless, true, false);
  }

  onInterim(): void {
    // Nobody waits for it.
  }

  onResponse(head: ResponseHead, _bytes: Buffer, _from: number, _to: number, done: boolean): void {
    this.#status = head.status;
    if (done) this.#end(head.status);
  }

  onBody(_bytes: Buffer, _from: number, _to: number, done: boolean): void {
    if (done) this.#end(this.#status);
  }

  onDrain(): void {
    // All was written at once.
  }

  onReset(): void {
    this.#attempt.blame('failed');
    this.#end(0);
  }

  #end(status: number): void {
    const cluster = this.#cluster;
    if (!cluster) return;
    this.#cluster = undefined;
    this.#wheel.disarm(this.#timer);
    if (status > 0) {
      this.#attempt.detach();
      const index = Math.trunc(status / 100);
      cluster.byClass[index] = (cluster.byClass[index] ?? 0) + 1;
    }
    this.#attempt.end();
  }
}
