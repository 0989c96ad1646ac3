// A delta-ADS client that subscribes like Envoy, takes everything, and keeps a record of every response: what
// went over the wire, in order. Reconnects only when told to, with the versions it holds.
import { Client, credentials } from '@grpc/grpc-js';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import { decode, encode, typeUrl } from '../../proto/codec.ts';
import type { ClusterLoadAssignment__Output } from '../../proto/gen/types/envoy/config/endpoint/v3/ClusterLoadAssignment.ts';
import type { DeltaDiscoveryRequest } from '../../proto/gen/types/envoy/service/discovery/v3/DeltaDiscoveryRequest.ts';
import type { DeltaDiscoveryResponse__Output } from '../../proto/gen/types/envoy/service/discovery/v3/DeltaDiscoveryResponse.ts';

const CDS = typeUrl('envoy.config.cluster.v3.Cluster');
const EDS = typeUrl('envoy.config.endpoint.v3.ClusterLoadAssignment');
const LDS = typeUrl('envoy.config.listener.v3.Listener');
const RDS = typeUrl('envoy.config.route.v3.RouteConfiguration');
const ROUTES = 'outbound';
const PATH = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources';
const EDS_MESSAGE = 'envoy.config.endpoint.v3.ClusterLoadAssignment';

const SHORT: Readonly<Record<string, Seen['type']>> = {
  [CDS]: 'cds',
  [EDS]: 'eds',
  [LDS]: 'lds',
  [RDS]: 'rds',
};

export interface Seen {
  readonly type: 'cds' | 'eds' | 'lds' | 'rds' | 'other';
  /** name → version */
  readonly resources: ReadonlyMap<string, string>;
  readonly removed: readonly string[];
  /** EDS only: `address:port` → weight of every endpoint, by cluster. */
  readonly endpoints: ReadonlyMap<string, ReadonlyMap<string, number>>;
}

export class Observer {
  readonly #port: number;
  readonly #clusters: readonly string[];
  readonly #held = new Map<string, Map<string, string>>();
  #client: Client | undefined;
  #stream: ClientDuplexStream<Buffer, Buffer> | undefined;
  /** Everything received since the last connect(). */
  record: Seen[] = [];

  /** @param clusters whose endpoints it subscribes to by name. */
  constructor(port: number, clusters: readonly string[]) {
    this.#port = port;
    this.#clusters = clusters;
  }

  /** Versions held of a type, by name. */
  held(type: Seen['type']): ReadonlyMap<string, string> {
    const [url = ''] = Object.entries(SHORT).find(([, short]) => short === type) ?? [];
    return new Map(this.#held.get(url));
  }

  connect(): void {
    this.close();
    this.record = [];
    this.#client = new Client(`127.0.0.1:${this.#port}`, credentials.createInsecure(), {
      'grpc.max_receive_message_length': -1,
    });
    const through = (bytes: Buffer) => bytes;
    const stream = this.#client.makeBidiStreamRequest(PATH, through, through);
    this.#stream = stream;
    stream.on('data', (bytes: Buffer) => this.#receive(bytes));
    // The server goes away in these tests; the record simply ends there.
    stream.on('error', () => this.#stream === stream && (this.#stream = undefined));
    this.#first(CDS, [], { id: 'observer', cluster: 'observer' });
    this.#first(EDS, this.#clusters);
    this.#first(LDS, []);
    this.#first(RDS, [ROUTES]);
  }

  close(): void {
    this.#stream?.cancel();
    this.#client?.close();
    this.#stream = undefined;
    this.#client = undefined;
  }

  #first(type: string, subscribe: readonly string[], node?: DeltaDiscoveryRequest['node']): void {
    this.#send({
      ...(node ? { node } : {}),
      type_url: type,
      resource_names_subscribe: [...subscribe],
      initial_resource_versions: Object.fromEntries(this.#held.get(type) ?? []),
    });
  }

  #send(request: DeltaDiscoveryRequest): void {
    this.#stream?.write(encode('envoy.service.discovery.v3.DeltaDiscoveryRequest', request));
  }

  #receive(bytes: Buffer): void {
    const response = decode<DeltaDiscoveryResponse__Output>(
      'envoy.service.discovery.v3.DeltaDiscoveryResponse',
      bytes,
    );
    const type = response.type_url ?? '';
    const held = this.#held.get(type) ?? new Map<string, string>();
    this.#held.set(type, held);
    const resources = new Map<string, string>();
    const endpoints = new Map<string, ReadonlyMap<string, number>>();
    for (const { name = '', version = '', resource } of response.resources ?? []) {
      held.set(name, version);
      resources.set(name, version);
      const value = resource?.value;
      if (type === EDS && value) endpoints.set(name, weightsOf(value));
    }
    for (const name of response.removed_resources ?? []) held.delete(name);
    const short = SHORT[type] ?? 'other';
    this.record.push({ type: short, resources, removed: response.removed_resources ?? [], endpoints });
    this.#send({ type_url: type, response_nonce: response.nonce ?? '' });
  }
}

function weightsOf(bytes: Buffer): Map<string, number> {
  const assignment = decode<ClusterLoadAssignment__Output>(EDS_MESSAGE, bytes);
  const all = (assignment.endpoints ?? []).flatMap((locality) => locality.lb_endpoints ?? []);
  return new Map(
    all.map((e) => {
      const at = e.endpoint?.address?.socket_address;
      return [`${at?.address ?? ''}:${at?.port_value ?? 0}`, e.load_balancing_weight?.value ?? 1];
    }),
  );
}
