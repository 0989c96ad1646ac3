// Does our validator agree with a true Envoy? Resources that use most of what we generate are mutated field by
// field; each mutant is offered to Envoy over xDS, which takes or refuses it, and to the validator.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { encode, messageType } from '../../proto/codec.ts';
import { problemsOf } from '../../xds-server/validate/index.ts';
import { describePeers } from '../support/describe-peer.ts';
import { isthmusSync } from '../support/isthmus.ts';
import { mutants } from '../support/mutations.ts';
import { startJudge } from '../support/verdicts.ts';
import type { Judge } from '../support/verdicts.ts';
import { RICH_CLUSTER, RICH_LISTENER, RICH_ROUTES } from '../support/rich-resources.ts';

const CLUSTER = 'envoy.config.cluster.v3.Cluster';
const LISTENER = 'envoy.config.listener.v3.Listener';
const ROUTES = 'envoy.config.route.v3.RouteConfiguration';
const HCM = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';

/** What we refuse and Envoy takes: gRPC refuses it, or Envoy's rules have become looser since our .proto files. */
const STRICTER: readonly RegExp[] = [
  /^load_assignment\.endpoints doubled$/,
  /^load_assignment\.endpoints\[0\]\.priority = 1$/,
  /^least_request_lb_config\.active_request_bias = \{\}$/,
];

/** What Envoy refuses and we take: it hangs on Envoy's machine or build, or on fields that we never write. */
const BLIND: readonly RegExp[] = [
  /cluster_specifier_plugin/,
  /\.(filename|environment_variable) = /,
  /^validate_clusters left out$/,
  /^max_direct_response_body_size_bytes = 1$/,
  /^(access_log|upgrade_configs|virtual_hosts.*extension_filter)/,
  /\.extension_filter = /,
  /\.(named_port = ""|additional_addresses|leds_cluster_locality_config)/,
  /_statuses = /,
];

interface Subject {
  readonly title: string;
  /** The type that is mutated. */
  readonly type: string;
  readonly base: object;
  /** Fields that are left alone: they need what this machine has not, or kill the listener of the test. */
  readonly skip: readonly string[];
  /** Puts a mutant into what is sent. */
  readonly wrap: (bytes: Buffer) => { readonly type: string; readonly bytes: Buffer };
}

const listenerOf = (manager: Buffer): Buffer =>
  encode(LISTENER, {
    name: 'probe',
    address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
    filter_chains: [
      {
        filters: [{ name: 'hcm', typed_config: { type_url: `type.googleapis.com/${HCM}`, value: manager } }],
      },
    ],
  });

const SUBJECTS: readonly Subject[] = [
  {
    title: 'clusters',
    type: CLUSTER,
    base: RICH_CLUSTER,
    skip: ['name', 'transport_socket_matches'],
    wrap: (bytes) => ({ type: CLUSTER, bytes }),
  },
  {
    title: 'routes',
    type: ROUTES,
    base: RICH_ROUTES,
    skip: [],
    wrap: (bytes) => {
      const routes = messageType(ROUTES).toObject(messageType(ROUTES).decode(bytes));
      const manager = encode(HCM, { ...RICH_LISTENER, route_config: routes, rds: undefined });
      return { type: LISTENER, bytes: listenerOf(manager) };
    },
  },
  {
    title: 'connection managers',
    type: HCM,
    base: RICH_LISTENER,
    skip: ['route_config'],
    wrap: (bytes) => ({ type: LISTENER, bytes: listenerOf(bytes) }),
  },
];

describePeers(['envoy'], 'the validator and Envoy', (start) => {
  let judge: Judge;
  beforeAll(async () => {
    judge = await startJudge();
    await start('envoy', {
      files: {
        'envoy.yaml': (place) =>
          isthmusSync(
            ...['bootstrap', 'envoy', '--service', 'web', '--xds', `127.0.0.1:${judge.port}`],
            ...['--admin-port', String(place.port('admin'))],
          ),
      },
    });
  }, 120_000);
  afterAll(() => judge?.stop());

  it.each(SUBJECTS)('agree on $title', { timeout: 240_000 }, async ({ type, base, skip, wrap }) => {
    const protobuf = messageType(type);
    const plain = protobuf.toObject(protobuf.fromObject(base), { longs: Number });
    const all = mutants(protobuf, plain, new Set(skip));
    const unexpected: string[] = [];
    let refused = 0;
    for (const { what, message } of [{ what: 'as it is', message: plain }, ...all]) {
      const sent = wrap(Buffer.from(protobuf.encode(message).finish()));
      const theirs = await judge.verdict(sent.type, 'probe', sent.bytes);
      const ours = problemsOf(sent.type, sent.bytes);
      if (theirs !== '') refused += 1;
      if (what === 'as it is') expect([theirs, ours]).toEqual(['', []]);
      if ((theirs !== '') === ours.length > 0) continue;
      const known = theirs === '' ? STRICTER : BLIND;
      if (!known.some((pattern) => pattern.test(what)))
        unexpected.push(`${what} | ${theirs} | ${ours.join()}`);
    }
    expect(unexpected).toEqual([]);
    // The mutants are worth something: many are refused, many are not.
    expect(refused).toBeGreaterThan(all.length / 10);
    expect(refused).toBeLessThan(all.length * 0.9);
  });
});
