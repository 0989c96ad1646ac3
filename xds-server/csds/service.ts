// Client status (CSDS) from the server's side: what each connected client was sent, took and refused. Rule X10
// of docs/xds.md. One answer for each request, in turn; nothing is kept between them.
import { decode } from '../../proto/codec.ts';
import type { Node__Output } from '../../proto/gen/types/envoy/config/core/v3/Node.ts';
import type { ClientStatusRequest__Output } from '../../proto/gen/types/envoy/service/status/v3/ClientStatusRequest.ts';
import { defineError } from '../../lib/errors.ts';
import type { Caller } from '../security/caller.ts';
import type { SideService } from '../services/side-calls.ts';
import type { ClientState, ResourceState, ResourceStatus } from '../stream/inspect.ts';
import { TYPE_URL } from '../types.ts';
import type { AnyType } from '../types.ts';
import { field, messageField, textField } from '../wire/writer.ts';
import { matchesNode } from './match.ts';

const REQUEST = 'envoy.service.status.v3.ClientStatusRequest';
/** An answer is put together at one go, and nobody else is served meanwhile. */
const MAX_RESOURCES = 50_000;

export const STATUS_REQUEST_INVALID = defineError(
  'ISTHMUS_XDS_STATUS_INVALID',
  (what: string) => `bad request for client status: ${what}`,
);

export const STATUS_TOO_LONG = defineError(
  'ISTHMUS_XDS_STATUS_TOO_LONG',
  () => `the answer would have more than ${MAX_RESOURCES} resources`,
  { hint: 'Ask for fewer clients: node_matchers takes a node id, whole or in part.' },
);

export function clientStatus(clients: { inspect(): Iterable<ClientState> }): SideService {
  const answer = (request: Buffer, caller: Caller) => {
    // It tells of every client, so it is for operators alone.
    caller.readAll();
    return answerStatus(request, clients.inspect());
  };
  return {
    stream: 'StreamClientStatus',
    handle: (call) => ({ receive: (request) => call.send(answer(request, call.caller)) }),
    unary: { FetchClientStatus: answer },
  };
}

/** Throws ISTHMUS_XDS_STATUS_… */
function answerStatus(bytes: Uint8Array, clients: Iterable<ClientState>): Buffer {
  const request = read(bytes);
  const contents = request.exclude_resource_contents !== true;
  const configs: Buffer[] = [];
  let count = 0;
  for (const client of clients) {
    const node = decode<Node__Output>('envoy.config.core.v3.Node', client.node);
    if (!matchesNode(request.node_matchers ?? [], node)) continue;
    count += client.types.reduce((sum, { resources }) => sum + resources.length, 0);
    if (count > MAX_RESOURCES) throw STATUS_TOO_LONG();
    configs.push(clientConfig(client, contents));
  }
  return Buffer.concat(configs);
}

/** ClientStatusResponse.config 1: ClientConfig{node 1, generic_xds_configs 3}. */
function clientConfig({ node, types }: ClientState, contents: boolean): Buffer {
  const all = types.flatMap(({ type, resources }) =>
    resources.map((one) => genericConfig(type, one, contents)),
  );
  return messageField(1, [field(1, node), ...all]);
}

/** envoy.service.status.v3.ConfigStatus and envoy.admin.v3.ClientResourceStatus. */
const CODES: Readonly<Record<ResourceState, { readonly config: number; readonly client: number }>> = {
  SYNCED: { config: 1, client: 3 },
  NOT_SENT: { config: 2, client: 1 },
  STALE: { config: 3, client: 1 },
  ERROR: { config: 4, client: 4 },
};

/** Its private keys are for the client alone. */
const isSecret = (type: AnyType): boolean => type === 'sds';

/**
 * ClientConfig.GenericXdsConfig: type_url 1, name 2, version_info 3, xds_config 4, config_status 6,
 * client_status 7, error_state 8 {failed_configuration 1, details 3, version_info 4}.
 */
function genericConfig(type: AnyType, one: ResourceStatus, contents: boolean): Buffer {
  const { name, state, resource, error } = one;
  const any = (number: number) =>
    resource && contents && !isSecret(type)
      ? [messageField(number, [textField(1, TYPE_URL[type]), field(2, resource.bytes)])]
      : [];
  const version = resource?.version ?? '';
  const refused = state === 'ERROR';
  return messageField(3, [
    textField(1, TYPE_URL[type]),
    textField(2, name),
    ...(refused ? [] : [textField(3, version), ...any(4)]),
    numberField(6, CODES[state].config),
    // DOES_NOT_EXIST: asked for, and told so.
    numberField(7, resource ? CODES[state].client : 2),
    ...(refused ? [messageField(8, [...any(1), textField(3, error), textField(4, version)])] : []),
  ]);
}

/** A small number as a varint field. */
const numberField = (number: number, value: number): Buffer => Buffer.from([number << 3, value]);

function read(bytes: Uint8Array): ClientStatusRequest__Output {
  try {
    return decode<ClientStatusRequest__Output>(REQUEST, bytes);
  } catch (cause) {
    throw STATUS_REQUEST_INVALID.from(cause, 'it cannot be decoded');
  }
}
