// One xDS call: its stream logic, its share of a group, its timer. A bad request, or a bug met while serving it,
// ends it and nothing else; whatever way it ends, all that it had goes with it.
import { status } from '@grpc/grpc-js';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { Clock } from '../lib/clock.ts';
import { describeError } from '../lib/errors.ts';
import type { ProxyStatus } from '../model/proxies.ts';
import type { Scope } from '../model/scope.ts';
import type { Departure, SidecarDoor } from '../model/sidecars.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { callStatus, statusOf } from './call-status.ts';
import type { Changes } from './dialect.ts';
import type { FlowLimits } from './flow/limits.ts';
import { Outlet } from './flow/outlet.ts';
import type { Groups, ScopeRules } from './groups.ts';
import { besides } from './node.ts';
import type { ClientNode } from './node.ts';
import type { ClientState } from './stream/inspect.ts';
import type { Interest } from './stream/interest.ts';
import { keyOf } from './security/caller.ts';
import type { Caller } from './security/caller.ts';
import type { AnyRequest, Protocol } from './stream/protocol.ts';
import { XdsStream } from './stream/stream.ts';
import type { Change } from './stream/subscription.ts';
import type { Gate } from './stream/stream.ts';
import type { NamedSource } from './named/resources.ts';
import type { AnyType, NamedType, ResourceType } from './types.ts';
import type { GroupKey, View } from './view.ts';
import type { ResponseWriter } from './wire/response.ts';

export type Call = ServerDuplexStream<Buffer, Buffer>;

/** Metadata of a call: what a sidecar shows to be let in. */
const TOKEN = 'isthmus-token';
/** A client that has just come counts as such no longer than this. */
const START_MS = 2_000;

export interface ConnectionOptions {
  readonly log: Logger;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly groups: Groups;
  readonly writer: ResponseWriter;
  readonly limits: FlowLimits;
  gate(): Gate;
  /** What there is of types that are asked for by name alone. */
  readonly named: NamedSource;
  /** Told of data planes that stand beside a service. */
  readonly onSidecar: SidecarDoor;
}

export interface Opened {
  readonly call: Call;
  readonly caller: Caller;
  readonly only: AnyType | undefined;
  readonly id: string;
  /** It is not answered before begin(). */
  readonly held: boolean;
  readonly interested: (type: ResourceType) => ReturnType<Interest<Connection>['of']>;
  /** The client took the first message, of so many bytes. */
  readonly onStarted: (firstBytes: number) => void;
  readonly onOver: () => void;
}

export class Connection {
  readonly #o: ConnectionOptions;
  readonly #call: Call;
  readonly #caller: Caller;
  readonly #outlet: Outlet;
  /** Monotonic ms at which it is old enough. */
  readonly #oldAt: number;
  readonly #stream: Pick<
    XdsStream,
    | 'receive'
    | 'pump'
    | 'mark'
    | 'markNamed'
    | 'look'
    | 'wants'
    | 'status'
    | 'inspect'
    | 'differences'
    | 'close'
  >;
  readonly #onOver: () => void;
  readonly #onStarted: (firstBytes: number) => void;
  /** Monotonic ms of its begin. */
  #since: number;
  #held: boolean;
  #leave: () => void = () => undefined;
  readonly #release: () => void;
  #depart: (how: Departure) => void = () => undefined;
  #over = false;
  /** The only type of its messages; undefined on ADS. */
  readonly only: AnyType | undefined;
  view: View | undefined;
  #client: { readonly node: ClientNode; readonly scope: Scope } | undefined;

  constructor(
    options: ConnectionOptions,
    protocol: Protocol<AnyRequest>,
    { call, caller, only, id, held, interested, onStarted, onOver }: Opened,
  ) {
    this.only = only;
    this.#o = options;
    this.#call = call;
    this.#caller = caller;
    this.#held = held;
    this.#onOver = onOver;
    this.#onStarted = onStarted;
    this.#since = options.clock.monotonic();
    const { log, clock, limits } = options;
    // After the GOAWAY, which comes within 10 % of the age, and before the end of its grace.
    const age = limits.maxConnectionAgeMs;
    this.#oldAt = age === 0 ? Infinity : clock.monotonic() + age * (1.15 + Math.random() / 10);
    this.#outlet = new Outlet(
      call,
      () => clock.monotonic(),
      () => {
        onStarted(this.#outlet.firstBytes);
        this.pump();
      },
    );
    this.#stream = new XdsStream({
      id,
      protocol,
      only,
      writer: options.writer,
      named: options.named,
      clock: {
        now: () => clock.now(),
        monotonic: () => clock.monotonic(),
        after: (ms, fn) => clock.after(ms, () => this.#guard(fn)),
      },
      metrics: options.metrics,
      gate: () => (this.#held ? 'waiting' : options.gate()),
      join: (node) => this.#join(node, protocol.name),
      interested,
      send: (bytes) => this.#outlet.send(bytes),
      free: () => this.#outlet.free,
      onRefused: (node, type, error, resources) =>
        log.warn({ node: node.id, type, resources, error }, 'xDS client refused a response'),
      onOverdue: (node, step) =>
        log.warn({ node: node.id, step }, 'xDS client does not acknowledge; going on without'),
    });
    this.#release = caller.hold((code, details) => this.end(code, details));
    call.on('data', (bytes: Buffer) => this.#guard(() => this.#stream.receive(bytes)));
    call.on('end', () => {
      // A connection that breaks ends its streams as well, and says a moment later that it broke.
      setImmediate(() => {
        this.#forget(call.cancelled ? 'broken' : 'ended');
        call.end();
      });
    });
    call.on('error', (error: Error) => {
      log.debug({ error: error.message }, 'xDS stream broke');
      this.#forget();
    });
    call.on('cancelled', () => this.#forget());
    call.on('close', () => this.#forget());
  }

  /** True when something changed for it, which the next pump() sends. */
  mark(changes: Changes): boolean {
    const own = this.view?.changed(changes);
    if (!own || own.size === 0) return false;
    this.#guard(() => this.#stream.mark(own));
    return true;
  }

  /** The same for a type that is asked for by name alone. */
  markNamed(type: NamedType, names: ReadonlySet<string>): boolean {
    return !this.#over && this.#stream.markNamed(type, names);
  }

  /** node.id; undefined before the first message. */
  get node(): string | undefined {
    return this.#client?.node.id;
  }

  /** True when it is told of other services from now on, which the next pump() sends. */
  rescope(): boolean {
    const client = this.#client;
    if (!client || this.#over) return false;
    const key = this.#o.groups.keyOf(client.node);
    const scope = key.scope ?? 'all';
    if (String(scope) === String(client.scope)) return false;
    const leave = this.#leave;
    const view = this.#see(client.node, key);
    this.#guard(() => this.#stream.look(view));
    leave();
    return true;
  }

  /** Its turn has come: it is answered from the next pump() on. */
  begin(): void {
    this.#held = false;
    this.#since = this.#o.clock.monotonic();
  }

  sweep(): void {
    const { clock, limits, log, metrics } = this.#o;
    // One that says nothing, or takes nothing, must not keep others out.
    if (clock.monotonic() - this.#since >= START_MS) this.#onStarted(0);
    if (this.#outlet.stalledMs >= limits.slowReaderMs) {
      metrics.xds.slowReaders.inc();
      log.warn(
        { node: this.status()?.node, bytes: this.#outlet.unsent },
        'xDS client takes nothing; cut off',
      );
      this.#forget();
      this.#outlet.cut();
    } else if (clock.monotonic() >= this.#oldAt) {
      this.end(status.UNAVAILABLE, 'old enough: come again, to whoever has room');
    }
  }

  pump(): void {
    this.#guard(() => this.#stream.pump());
  }

  wants(type: ResourceType, name: string): boolean {
    return this.#stream.wants(type, name);
  }

  status(): ProxyStatus | undefined {
    const status = this.#stream.status();
    const { identity } = this.#caller;
    return status && { ...status, scope: this.#client?.scope ?? 'all', ...(identity !== '' && { identity }) };
  }

  inspect(): ClientState | undefined {
    const state = this.#stream.inspect();
    return state && { ...state, scope: this.#client?.scope ?? 'all' };
  }

  /** What it would be told by other rules, were `viewOf` the way to what it sees then. */
  differences(rules: ScopeRules, viewOf: (key: GroupKey) => View): readonly Change[] {
    const client = this.#client;
    if (!client) return [];
    const key = this.#o.groups.keyOf(client.node, rules);
    return String(key.scope ?? 'all') === String(client.scope) ? [] : this.#stream.differences(viewOf(key));
  }

  end(code: status, details: string): void {
    if (this.#over) return;
    this.#forget();
    this.#call.emit('error', callStatus(code, details));
  }

  /** What goes wrong here stays here. */
  #guard(work: () => void): void {
    if (this.#over) return;
    try {
      work();
    } catch (thrown) {
      const { code, details } = statusOf(thrown);
      this.#o.metrics.xds.streamErrors.inc({ code: status[code] });
      this.#o.log.warn({ error: describeError(thrown) }, 'xDS stream ended');
      this.end(code, details);
    }
  }

  #join(node: ClientNode, protocol: string): View {
    this.#caller.claim(node);
    const view = this.#see(node, this.#o.groups.keyOf(node));
    const [token] = this.#call.metadata.get(TOKEN);
    const departs: ((how: Departure) => void)[] = [];
    // First, so that those who were let in leave also when the next one fails.
    this.#depart = (how) => {
      for (const depart of departs) depart(how);
    };
    for (const beside of besides({ ...node, id: keyOf(this.#caller, node) })) {
      const depart = this.#o.onSidecar({
        ...beside,
        peer: this.#caller.address,
        proven: this.#caller.isProven,
        token: typeof token === 'string' ? token : '',
      });
      departs.push(depart);
    }
    this.#o.log.info({ node: node.id, kind: node.kind, protocol }, 'xDS client connected');
    return view;
  }

  #see(node: ClientNode, key: GroupKey): View {
    const { view, leave } = this.#o.groups.join(key, node.id);
    this.view = view;
    this.#client = { node, scope: key.scope ?? 'all' };
    this.#leave = leave;
    return view;
  }

  #forget(how: Departure = 'broken'): void {
    if (this.#over) return;
    this.#over = true;
    this.#onOver();
    this.#release();
    this.#stream.close();
    this.#leave();
    this.#depart(how);
  }
}
