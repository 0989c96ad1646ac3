// One cluster that a true Envoy refuses, among 50: it takes the 49 others, whether its words name the bad one
// or not, and is not sent the bad one again.
import { fetch } from 'undici';
import { afterAll, expect, it } from 'vitest';
import { encode } from '../../proto/codec.ts';
import type { Cluster } from '../../proto/gen/types/envoy/config/cluster/v3/Cluster.ts';
import { encodedResource } from '../../xds-server/resource.ts';
import type { EncodedResource } from '../../xds-server/resource.ts';
import { deltaProtocol } from '../../xds-server/stream/protocol.ts';
import { MESSAGE_NAME } from '../../xds-server/types.ts';
import { ENVOYS } from '../support/data-plane.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { isthmusSync } from '../support/isthmus.ts';
import { serveView, viewOf } from '../support/view-server.ts';
import type { ViewServer } from '../support/view-server.ts';

const nameOf = (i: number): string => `s${String(i).padStart(2, '0')}.default`;
const BAD = nameOf(33);

/** Responses about the runtime layers that a bootstrap names. */
const LAYERS = 2;

/** What is wrong with the one, and whether the words of the server's log may be kept from it. */
const CASES: readonly (readonly [string, Partial<Cluster>, boolean])[] = [
  ['a rule of the .proto is broken', { connect_timeout: {} }, true],
  ['the cluster makes no sense', { lb_policy: 'CLUSTER_PROVIDED' }, true],
  ['and its words never reach us', { lb_policy: 'CLUSTER_PROVIDED' }, false],
];

for (const kind of ENVOYS) {
  describePeers([kind], `one bad cluster among 50: ${kind}`, (start) => {
    const servers: ViewServer[] = [];
    afterAll(() => {
      for (const server of servers) server.stop();
    });

    it.each(CASES)('%s: 49 are taken', { timeout: 120_000 }, async (_title, wrong, words) => {
      const server = await serveView(words ? deltaProtocol : wordless, viewOf(clustersWith(wrong)));
      servers.push(server);
      const { port, streams } = server;
      const envoy = await start(kind, {
        files: {
          'envoy.yaml': (place) =>
            isthmusSync(
              ...['bootstrap', 'envoy', '--service', 'web', '--xds', `127.0.0.1:${port}`],
              ...['--admin-port', String(place.port('admin'))],
            ),
        },
      });
      const status = await eventually(
        () => {
          const cds = streams[0]?.status()?.types.cds;
          return cds?.refused?.length === 1 && cds;
        },
        { withinMs: 60_000, what: 'the guilty one to be found' },
      );
      expect(status).toMatchObject({ state: 'NACKED', resource: BAD });
      const good = Array.from({ length: 50 }, (_, i) => nameOf(i)).filter((name) => name !== BAD);
      await eventually(
        async () => {
          const taken = await clustersOf(envoy.url);
          return good.every((name) => taken.has(name)) && !taken.has(BAD);
        },
        { withinMs: 60_000, what: '49 clusters in Envoy' },
      );
      expect(server.sent()).toBeLessThanOrEqual((words ? 3 : 20) + LAYERS);
      expect(streams.length).toBe(1);
      await envoy.stop();
    });
  });
}

async function clustersOf(url: string): Promise<ReadonlySet<string>> {
  const answer = await fetch(`${url}/clusters?format=json`);
  const { cluster_statuses } = (await answer.json()) as { cluster_statuses?: { name: string }[] };
  return new Set((cluster_statuses ?? []).map(({ name }) => name));
}

function clustersWith(wrong: Partial<Cluster>): EncodedResource[] {
  return Array.from({ length: 50 }, (_, i) => {
    const name = nameOf(i);
    const cluster: Cluster = { name, type: 'STATIC', ...(name === BAD ? wrong : {}) };
    return encodedResource('cds', name, encode(MESSAGE_NAME.cds, cluster));
  });
}

/** Error texts are taken out of requests on their way. */
const wordless: typeof deltaProtocol = {
  ...deltaProtocol,
  read(bytes) {
    const request = deltaProtocol.read(bytes);
    if (request.error !== undefined) request.error = 'no';
    return request;
  },
};
