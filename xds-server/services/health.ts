// The gRPC health checking protocol (grpc/grpc, doc/health-checking.md), by hand: its messages have one
// field each. Every service here is as healthy as the server: not before its sources answered, not while it stops.
import protobuf from 'protobufjs';
import { defineError } from '../../lib/errors.ts';
import { field, messageField, textField } from '../wire/writer.ts';
import type { SideCall, SideHandler, SideService } from './side-calls.ts';

export const HEALTH_REQUEST_INVALID = defineError(
  'ISTHMUS_XDS_HEALTH_INVALID',
  (what: string) => `bad health check: ${what}`,
);

export const HEALTH_UNKNOWN = defineError(
  'ISTHMUS_XDS_HEALTH_UNKNOWN',
  (service: string) => `no such gRPC service here: ${service}`,
);

/** HealthCheckResponse.ServingStatus */
const SERVING = 1;
const NOT_SERVING = 2;
const SERVICE_UNKNOWN = 3;

export class HealthService implements SideService {
  readonly stream = 'Watch';
  readonly unary = { Check: (request: Buffer) => this.#check(request), List: () => this.#list() };
  readonly #known: ReadonlySet<string>;
  readonly #watchers = new Set<() => void>();
  #serving = false;

  /** @param services that may be asked for by name; '' is the server as a whole. */
  constructor(services: Iterable<string>) {
    this.#known = new Set(['', ...services]);
  }

  /** Tells those who watch. */
  setServing(serving: boolean): void {
    if (this.#serving === serving) return;
    this.#serving = serving;
    for (const tell of this.#watchers) tell();
  }

  /** A watch goes on after its one request, and stays open for a service that is not known. */
  handle(call: SideCall): SideHandler {
    let forget = () => undefined as void;
    return {
      outlivesRequests: true,
      receive: (request) => {
        const service = readService(request);
        const tell = () => call.send(this.#response(service));
        forget();
        this.#watchers.add(tell);
        forget = () => void this.#watchers.delete(tell);
        tell();
      },
      over: () => forget(),
    };
  }

  #check(request: Buffer): Buffer {
    const service = readService(request);
    if (!this.#known.has(service)) throw HEALTH_UNKNOWN(service.slice(0, 200));
    return this.#response(service);
  }

  /** HealthListResponse.statuses 1, each an entry of its key 1 and its value 2. */
  #list(): Buffer {
    const entries = [...this.#known].map((service) =>
      messageField(1, [textField(1, service), field(2, this.#response(service))]),
    );
    return Buffer.concat(entries);
  }

  #response(service: string): Buffer {
    const status = this.#known.has(service) ? (this.#serving ? SERVING : NOT_SERVING) : SERVICE_UNKNOWN;
    return Buffer.from([1 << 3, status]);
  }
}

/** HealthCheckRequest.service 1 */
function readService(bytes: Buffer): string {
  try {
    const reader = protobuf.Reader.create(bytes);
    let service = '';
    while (reader.pos < reader.len) {
      const tag = reader.uint32();
      if (tag === ((1 << 3) | 2)) service = reader.string();
      else reader.skipType(tag & 7);
    }
    return service;
  } catch (cause) {
    throw HEALTH_REQUEST_INVALID.from(cause, 'it cannot be decoded');
  }
}
