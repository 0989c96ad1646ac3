// What there is of the types that are asked for by name alone: runtime layers, at the moment. Each is encoded once,
// whoever asks.
import type { RuntimeLayer, RuntimeValue } from '../../model/runtime.ts';
import type { Runtime } from '../../proto/gen/types/envoy/service/runtime/v3/Runtime.ts';
import type { Value } from '../../proto/gen/types/google/protobuf/Value.ts';
import { encodedResource } from '../resource.ts';
import type { EncodedResource } from '../resource.ts';
import type { ClientState } from '../stream/inspect.ts';
import { MESSAGE_NAME } from '../types.ts';
import type { NamedType } from '../types.ts';
import { encodeValid } from '../validate/index.ts';

export type NamedResource = EncodedResource<NamedType>;

export interface NamedSource {
  get(type: NamedType, name: string): NamedResource | undefined;
}

export class NamedResources implements NamedSource {
  #layers: ReadonlyMap<string, NamedResource> = new Map();

  get(type: NamedType, name: string): NamedResource | undefined {
    return type === 'rtds' ? this.#layers.get(name) : undefined;
  }

  /** In place of those before. @returns names of those that were added, changed or removed. */
  setLayers(layers: ReadonlyMap<string, RuntimeLayer>): ReadonlySet<string> {
    const before = this.#layers;
    this.#layers = new Map([...layers].map(([name, layer]) => [name, runtime(name, layer)]));
    const names = [...new Set([...before.keys(), ...layers.keys()])];
    return new Set(names.filter((name) => before.get(name)?.version !== this.#layers.get(name)?.version));
  }
}

/** What other layers in place of some would change, and for how many of these clients. */
export function previewLayers(
  source: NamedSource,
  layers: ReadonlyMap<string, RuntimeLayer>,
  clients: readonly ClientState[],
): readonly PreviewedLayer[] {
  return [...layers].flatMap(([name, layer]): PreviewedLayer[] => {
    const before = source.get('rtds', name);
    if (before?.version === runtime(name, layer).version) return [];
    const holds = ({ types }: ClientState) =>
      types.some(({ type, resources }) => type === 'rtds' && resources.some((one) => one.name === name));
    const proxies = clients.filter(holds).length;
    return [{ type: 'rtds', name, change: before ? 'changed' : 'added', proxies }];
  });
}

export interface PreviewedLayer {
  readonly type: 'rtds';
  readonly name: string;
  readonly change: 'added' | 'changed';
  /** Connected clients that asked for it. */
  readonly proxies: number;
}

/** envoy.service.runtime.v3.Runtime */
export function runtime(name: string, layer: RuntimeLayer): NamedResource {
  const sorted = [...layer].sort(([a], [b]) => (a < b ? -1 : 1));
  const fields = Object.fromEntries(sorted.map(([key, value]) => [key, valueOf(value)]));
  const message: Runtime = { name, layer: { fields } };
  return encodedResource('rtds', name, encodeValid(MESSAGE_NAME.rtds, message, name));
}

function valueOf(value: RuntimeValue): Value {
  if (typeof value === 'number') return { numberValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  if (typeof value === 'string') return { stringValue: value };
  // The data plane reads it as an envoy.type.v3.FractionalPercent.
  const { numerator, denominator } = value;
  return {
    structValue: {
      fields: { numerator: { numberValue: numerator }, denominator: { stringValue: denominator } },
    },
  };
}
