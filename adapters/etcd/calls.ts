// The gRPC calls of one client: each carries the token and asks for a member that has a leader, tells its
// status, and can be cut off. Does not know what the calls ask.
import type * as Grpc from '@grpc/grpc-js';
import { plainWords } from '../plain-words.ts';
import { ETCD_ANSWER, ETCD_COMPACTED, ETCD_DENIED, ETCD_UNREACHABLE } from './errors.ts';

/** How a call ended, in the server's words or grpc-js's; the npm client's own errors lose the code. */
export interface CallNote {
  status: { readonly code: number; readonly details: string } | undefined;
}

export const newNote = (): CallNote => ({ status: undefined });

type Call = ReturnType<Grpc.NextCall>;

/** Of us: the call got no status. */
const NOT_SENT = -1;
const CANCELLED = 1;
const INVALID_ARGUMENT = 3;
const DEADLINE_EXCEEDED = 4;
const PERMISSION_DENIED = 7;
const OUT_OF_RANGE = 11;
const UNIMPLEMENTED = 12;
const UNAVAILABLE = 14;
const UNAUTHENTICATED = 16;

export class Calls {
  readonly #open = new Set<Call>();

  /** @param deadlineMs undefined: a stream without an end. */
  options(about: {
    readonly token: string;
    readonly note: CallNote;
    readonly deadlineMs?: number;
  }): Grpc.CallOptions {
    return {
      interceptors: [(options, next) => this.#follow(next(options), about) as Grpc.InterceptingCall],
      ...(about.deadlineMs === undefined ? {} : { deadline: Date.now() + about.deadlineMs }),
    };
  }

  /** A call that is under way would keep its connection open after its channel was closed. */
  cancelAll(): void {
    for (const call of this.#open) call.cancelWithStatus(CANCELLED, 'this try is over');
    this.#open.clear();
  }

  #follow(call: Call, { token, note }: { readonly token: string; readonly note: CallNote }): Call {
    const start = call.start.bind(call);
    this.#open.add(call);
    call.start = (metadata, listener) => {
      // etcd then ends the call when its member is cut off from the others.
      metadata.set('hasleader', 'true');
      if (token !== '') metadata.set('token', token);
      start(metadata, {
        onReceiveMetadata: (received) => listener?.onReceiveMetadata?.(received),
        onReceiveMessage: (message: unknown) => listener?.onReceiveMessage?.(message),
        onReceiveStatus: (status) => {
          this.#open.delete(call);
          note.status = { code: status.code, details: status.details };
          listener?.onReceiveStatus?.(disguised(status));
        },
      });
    };
    return call;
  }
}

const STALE_TOKEN = ['invalid auth token', 'revision of auth store is old'];

export function isStaleToken({ status }: CallNote): boolean {
  return status !== undefined && STALE_TOKEN.some((text) => status.details.includes(text));
}

/** The npm client, when it reads of a stale token, asks again with the same one without end. */
function disguised(status: Grpc.StatusObject): Grpc.StatusObject {
  return isStaleToken({ status }) ? { ...status, details: 'the token is no longer good' } : status;
}

export function explainStatus(
  status: CallNote['status'],
  { endpoint, prefix }: { readonly endpoint: string; readonly prefix: string },
): Error {
  const said = status?.details.replace(/\s+/g, ' ').slice(0, 300) ?? 'the call was never sent';
  switch (status?.code ?? NOT_SENT) {
    case PERMISSION_DENIED:
    case UNAUTHENTICATED:
      return ETCD_DENIED(endpoint, prefix, said);
    case INVALID_ARGUMENT:
      return /authentication|user name|auth/i.test(said)
        ? ETCD_DENIED(endpoint, prefix, said)
        : ETCD_ANSWER(endpoint, said);
    case OUT_OF_RANGE:
      return said.includes('compacted') ? ETCD_COMPACTED(endpoint) : ETCD_ANSWER(endpoint, said);
    case UNAVAILABLE:
      return ETCD_UNREACHABLE(endpoint, plain(said));
    case UNIMPLEMENTED:
      return ETCD_ANSWER(endpoint, `this is no etcd of version 3: ${said}`);
    case DEADLINE_EXCEEDED:
      return ETCD_ANSWER(endpoint, `no answer in time: ${said}`);
    default:
      return ETCD_ANSWER(endpoint, said);
  }
}

/** Without what grpc-js puts around the reason. */
function plain(said: string): string {
  const reason = said
    .replace(/^No connection established\. Last error: (Error: )?/, '')
    .replace(/\s*Resolution note:\s*$/, '')
    .replace(/\s*\(\d{4}-\d\d-\d\dT[^)]*\)/g, '')
    .replace(/\.$/, '');
  return plainWords(reason);
}
