// DNS names as a source (README.md). This file only puts the parts together.
import type { DnsSource } from '../../config/schema.ts';
import { toError } from '../../lib/errors.ts';
import type { Discoverer } from '../../model/discovery.ts';
import { serviceFilter } from '../filter.ts';
import { canonicalName } from '../instance.ts';
import { supervisedSource } from '../source.ts';
import type { SourceDeps, SourceTimings } from '../source.ts';
import { createDnsClient } from './client.ts';
import { serviceKey } from './map.ts';
import { watchDns } from './watch.ts';
import type { DnsContext } from './watch.ts';

export interface DnsTimings extends SourceTimings {
  /** Default: the source's `pollSeconds`. */
  readonly pollMs?: number;
  /** Defaults 1,000 and 300,000 ms. */
  readonly minMs?: number;
  readonly maxMs?: number;
  /** One question, over all tries. Default 6,000 ms. */
  readonly answerMs?: number;
}

/** One bad zone must not look like a dead server. */
const PROBED = 3;

export function createDnsSource(config: DnsSource, deps: SourceDeps, timings: DnsTimings = {}): Discoverer {
  const {
    pollMs = config.pollSeconds * 1_000,
    minMs = 1_000,
    maxMs = 300_000,
    answerMs = 6_000,
    ...supervised
  } = timings;
  const { locality, network, serviceNamespace, servers } = config;
  const included = serviceFilter(config.include.services);
  const names = config.names.filter((entry) => included(canonicalName(serviceKey(entry), serviceNamespace)));
  const context: DnsContext = {
    names,
    servers: servers.length === 0 ? 'the name server of this machine' : servers.join(', '),
    instances: { locality, network, serviceNamespace },
    pollMs,
    minMs,
    maxMs,
    clock: deps.clock,
    known: new Map(),
    notice: '',
  };
  return supervisedSource({
    ...deps,
    source: config.name,
    kind: config.kind,
    timings: supervised,
    notice: () => context.notice,
    open() {
      const client = createDnsClient(servers, answerMs);
      return {
        watch: (emit, signal) => watchDns(context, client, emit, signal),
        // Times to live may be long; whether the server is there must show sooner.
        async probe() {
          const some = names.slice(0, PROBED).map((entry) => client.resolve(entry));
          if (some.length === 0) return;
          await Promise.any(some).catch((thrown: unknown) => {
            throw thrown instanceof AggregateError ? toError(thrown.errors[0]) : toError(thrown);
          });
        },
        close: () => client.close(),
      };
    },
  });
}
