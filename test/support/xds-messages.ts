// Discovery requests and responses as plain data, for tests that speak xDS by hand: built and read with the
// protobuf library, so that nothing of the server's own reading and writing is trusted.
import { decode, encode } from '../../proto/codec.ts';
import { MESSAGE_NAME, TYPE_URL, namedTypeOf, resourceTypeOf } from '../../xds-server/types.ts';
import type { AnyType } from '../../xds-server/types.ts';

export type Variant = 'delta' | 'sotw';

export interface RequestFields {
  readonly node?: object;
  /** A short name, or any type URL. */
  readonly type?: AnyType | (string & {});
  readonly nonce?: string;
  /** Text of error_detail. */
  readonly error?: string;
  /** SotW */
  readonly names?: readonly string[];
  readonly version?: string;
  /** Delta */
  readonly subscribe?: readonly string[];
  readonly unsubscribe?: readonly string[];
  readonly held?: Readonly<Record<string, string>>;
}

export interface Received {
  readonly type: AnyType;
  readonly nonce: string;
  /** version_info, or system_version_info. */
  readonly version: string;
  readonly controlPlane: string;
  /** Names in the order of the message. */
  readonly names: readonly string[];
  readonly removed: readonly string[];
  /** Delta: the version of each resource. */
  readonly versions: Readonly<Record<string, string>>;
  /** Decoded resource by name. */
  readonly resources: ReadonlyMap<string, Record<string, unknown>>;
  readonly bytes: Buffer;
}

const MESSAGES = 'envoy.service.discovery.v3.';

export const NODE = { id: 'node-1', cluster: 'web', user_agent_name: 'envoy' };

/** The node of a sidecar: `metadata.isthmus` as given. */
export function nodeWith(id: string, isthmus: Readonly<Record<string, string | number>>): object {
  const fields = Object.fromEntries(
    Object.entries(isthmus).map(([key, value]) => [
      key,
      typeof value === 'number' ? { numberValue: value } : { stringValue: value },
    ]),
  );
  return { ...NODE, id, metadata: { fields: { isthmus: { structValue: { fields } } } } };
}

export function encodeRequest(variant: Variant, fields: RequestFields): Buffer {
  const type = fields.type ?? '';
  const common = {
    ...(fields.node ? { node: fields.node } : {}),
    type_url: TYPE_URL[type as AnyType] ?? type,
    response_nonce: fields.nonce ?? '',
    ...(fields.error === undefined ? {} : { error_detail: { code: 3, message: fields.error } }),
  };
  if (variant === 'sotw') {
    return encode(`${MESSAGES}DiscoveryRequest`, {
      ...common,
      version_info: fields.version ?? '',
      resource_names: fields.names ?? [],
    });
  }
  return encode(`${MESSAGES}DeltaDiscoveryRequest`, {
    ...common,
    resource_names_subscribe: fields.subscribe ?? [],
    resource_names_unsubscribe: fields.unsubscribe ?? [],
    initial_resource_versions: fields.held ?? {},
  });
}

interface AnyMessage {
  readonly type_url: string;
  readonly value: Buffer;
}

interface ResponseMessage {
  readonly version_info?: string;
  readonly system_version_info?: string;
  readonly type_url?: string;
  readonly nonce?: string;
  readonly control_plane?: { readonly identifier?: string };
  readonly resources?: readonly unknown[];
  readonly removed_resources?: readonly string[];
}

interface DeltaEntry {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly version: string;
  readonly resource?: AnyMessage;
}

/** Throws on a response that no client could read: an unknown type, an inner type that differs (T10). */
export function decodeResponse(variant: Variant, bytes: Buffer): Received {
  const message = decode<ResponseMessage>(
    `${MESSAGES}${variant === 'sotw' ? 'DiscoveryResponse' : 'DeltaDiscoveryResponse'}`,
    bytes,
  );
  const type = resourceTypeOf(message.type_url ?? '') ?? namedTypeOf(message.type_url ?? '');
  if (!type) throw new Error(`response of unknown type ${message.type_url}`);
  const entries = (message.resources ?? []).map((entry) =>
    variant === 'sotw' ? open(type, entry as AnyMessage) : openEntry(type, entry as DeltaEntry),
  );
  for (const { name, own } of entries) {
    if (name !== own) throw new Error(`resource ${own} was sent under the name ${name}`);
  }
  return {
    type,
    nonce: message.nonce ?? '',
    version: message.version_info ?? message.system_version_info ?? '',
    controlPlane: message.control_plane?.identifier ?? '',
    names: entries.map(({ name }) => name),
    removed: message.removed_resources ?? [],
    versions: Object.fromEntries(entries.map(({ name, version }) => [name, version])),
    resources: new Map(entries.map(({ name, content }) => [name, { ...content }])),
    bytes,
  };
}

/** A virtual host that does not exist: an entry of its name, which is an alias, too, without a resource. */
function openEntry(type: AnyType, entry: DeltaEntry) {
  if (type === 'vhds' && !entry.resource) {
    return { own: entry.aliases?.[0] ?? '', content: {}, ...entry, version: entry.version ?? '' };
  }
  return { ...open(type, entry.resource), ...entry };
}

function open(type: AnyType, any: AnyMessage | undefined) {
  if (any?.type_url !== TYPE_URL[type]) throw new Error(`a ${any?.type_url} in a response of ${type}`);
  const content = decode<{ name?: string; cluster_name?: string }>(MESSAGE_NAME[type], any.value);
  const own = content.name ?? content.cluster_name ?? '';
  return { name: own, own, version: '', content };
}
