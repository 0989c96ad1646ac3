// The open calls of the services beside discovery (load reports, health checks, client status, reflection):
// each has a handler of its own, and what goes wrong in one ends that call and nothing else.
import { status } from '@grpc/grpc-js';
import type {
  Server,
  ServerDuplexStream,
  ServerUnaryCall,
  UntypedServiceImplementation,
  sendUnaryData,
} from '@grpc/grpc-js';
import { describeError } from '../../lib/errors.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { callStatus, statusOf } from '../call-status.ts';
import type { CallStatus } from '../call-status.ts';
import type { Caller, CallerOf } from '../security/caller.ts';
import { bidirectional, unary } from './bytes.ts';
import type { BytesMethod } from './bytes.ts';

type BytesCall = ServerDuplexStream<Buffer, Buffer>;
type BytesUnaryCall = ServerUnaryCall<Buffer, Buffer>;

export interface SideHandler {
  /** Throws an IsthmusError for a message that is none; the call ends with INVALID_ARGUMENT then. */
  receive(bytes: Buffer): void;
  /** The client has said all it has to say, and waits for the answer. */
  finish?(): void;
  /** Half-closing does not end the call. */
  readonly outlivesRequests?: boolean;
  /** Called once, however the call ended. */
  over?(): void;
}

/** What a handler may do with its call. */
export interface SideCall {
  readonly caller: Caller;
  /** Dropped once the call is over. */
  send(bytes: Buffer): void;
  /** Runs `work` as a message would be handled: what it throws ends the call. */
  guard(work: () => void): void;
}

export class SideCalls {
  readonly #log: Logger;
  readonly #metrics: Metrics;
  readonly #open = new Set<(code: status, details: string) => void>();

  constructor(log: Logger, metrics: Metrics) {
    this.#log = log;
    this.#metrics = metrics;
  }

  /** @param service for the log. */
  open(service: string, call: BytesCall, caller: Caller, handle: (side: SideCall) => SideHandler): void {
    let ended = false;
    const forget = () => {
      if (ended) return;
      ended = true;
      this.#open.delete(end);
      release();
      handler.over?.();
    };
    const end = (code: status, details: string) => {
      if (ended) return;
      forget();
      call.emit('error', callStatus(code, details));
    };
    const guard = (work: () => void) => {
      if (ended) return;
      try {
        work();
      } catch (thrown) {
        const { code, details } = this.fault(service, thrown);
        end(code, details);
      }
    };
    const handler = handle({
      caller,
      guard,
      send: (bytes) => {
        if (!ended) call.write(bytes);
      },
    });
    this.#open.add(end);
    const release = caller.hold(end);
    call.on('data', (bytes: Buffer) => {
      guard(() => handler.receive(bytes));
      // Who does not take its answers is not listened to meanwhile, so that they do not pile up here.
      if (ended || !call.writableNeedDrain) return;
      call.pause();
      call.once('drain', () => call.resume());
    });
    call.on('end', () => {
      if (handler.outlivesRequests) return;
      guard(() => handler.finish?.());
      forget();
      call.end();
    });
    call.on('error', forget);
    call.on('cancelled', forget);
    call.on('close', forget);
  }

  /** Counts and logs what went wrong; what the client is told of it. */
  fault(service: string, thrown: unknown): CallStatus {
    const of = statusOf(thrown);
    this.#metrics.xds.streamErrors.inc({ code: status[of.code] });
    this.#log.warn({ service, error: describeError(thrown) }, 'call ended');
    return of;
  }

  /** Ends every call, so that clients come back elsewhere or later. */
  endAll(code: status, details: string): void {
    for (const end of this.#open) end(code, details);
  }
}

/** A service of one method both ways and, where it has them, of unary methods beside it; see table.ts for its name. */
export interface SideService {
  readonly stream: string;
  handle(call: SideCall): SideHandler;
  /** By method; each throws what `receive` would. */
  readonly unary?: Readonly<Record<string, (request: Buffer, caller: Caller) => Buffer>>;
}

/** Puts a service on a server. @param service its full name. */
export function addService(
  server: Server,
  calls: SideCalls,
  service: string,
  side: SideService,
  callerOf: CallerOf,
): void {
  const { stream } = side;
  const methods: Record<string, BytesMethod> = { [stream]: bidirectional(service, stream) };
  const handlers: UntypedServiceImplementation = {
    [stream]: (call: BytesCall) => calls.open(service, call, callerOf(call), (own) => side.handle(own)),
  };
  for (const [name, answer] of Object.entries(side.unary ?? {})) {
    methods[name] = unary(service, name);
    handlers[name] = (call: BytesUnaryCall, done: sendUnaryData<Buffer>) => {
      try {
        done(null, answer(call.request, callerOf(call)));
      } catch (thrown) {
        done(calls.fault(service, thrown));
      }
    };
  }
  server.addService(methods, handlers);
}
