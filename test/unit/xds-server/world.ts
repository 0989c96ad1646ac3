// The stream logic without sockets: a catalogue, and streams driven by hand under a clock that stands still.
// Everything is synchronous, so "nothing was sent" is a fact and not a matter of waiting.
import { expect } from 'vitest';
import { ManualClock } from '../../../lib/clock.ts';
import type { ServiceShards } from '../../../model/snapshot.ts';
import type { ProxyTypeStatus } from '../../../model/proxies.ts';
import { createMetrics } from '../../../telemetry/metrics.ts';
import type { Changes } from '../../../xds-server/dialect.ts';
import { Catalogue } from '../../../xds-server/resources/catalogue.ts';
import { Groups } from '../../../xds-server/groups.ts';
import { NamedResources } from '../../../xds-server/named/resources.ts';
import type { RuntimeLayer } from '../../../model/runtime.ts';
import { deltaProtocol, sotwProtocol } from '../../../xds-server/stream/protocol.ts';
import type { AnyRequest, Protocol } from '../../../xds-server/stream/protocol.ts';
import { XdsStream } from '../../../xds-server/stream/stream.ts';
import type { Gate } from '../../../xds-server/stream/stream.ts';
import type { AnyType, ResourceType } from '../../../xds-server/types.ts';
import type { View } from '../../../xds-server/view.ts';
import { ResponseWriter } from '../../../xds-server/wire/response.ts';
import { NODE, decodeResponse, encodeRequest } from '../../support/xds-messages.ts';
import type { Received, RequestFields, Variant } from '../../support/xds-messages.ts';
import { snapshot } from './services.ts';

export class World {
  readonly clock = new ManualClock(1_000_000);
  readonly metrics = createMetrics();
  readonly faults: string[] = [];
  readonly catalogue = new Catalogue((name, error) => this.faults.push(`${name}: ${error.message}`));
  readonly groups = new Groups(this.catalogue);
  readonly writer = new ResponseWriter('test');
  readonly named = new NamedResources();
  readonly drivers: Driver[] = [];
  gate: Gate = 'open';

  constructor(...services: readonly ServiceShards[]) {
    this.update(...services);
  }

  /** The new state of the world: all services. */
  update(...services: readonly ServiceShards[]): void {
    const changes = this.catalogue.update(snapshot(services));
    this.groups.update(changes);
    for (const driver of this.drivers) driver.touch(changes);
  }

  /** The runtime layers there are, by name. */
  layers(layers: Readonly<Record<string, RuntimeLayer>>): void {
    const changed = this.named.setLayers(new Map(Object.entries(layers)));
    for (const { stream } of this.drivers) if (stream.markNamed('rtds', changed)) stream.pump();
  }

  open(gate: Gate): void {
    this.gate = gate;
    for (const { stream } of this.drivers) stream.pump();
  }

  delta(node: object = NODE): Driver {
    return new Driver(this, 'delta', deltaProtocol, node);
  }

  sotw(node: object = NODE): Driver {
    return new Driver(this, 'sotw', sotwProtocol, node);
  }
}

/** One stream and what it sent that was not looked at yet. */
export class Driver {
  readonly stream: XdsStream;
  readonly overdue: string[] = [];
  /** What the log is told of refusals. */
  readonly refused: string[] = [];
  /** The client has not taken the last message. */
  busy = false;
  readonly #variant: Variant;
  readonly #inbox: Received[] = [];
  #node: object | undefined;
  #view: View | undefined;

  constructor(world: World, variant: Variant, protocol: Protocol<AnyRequest>, node: object) {
    this.#variant = variant;
    this.#node = node;
    this.stream = new XdsStream({
      id: `s${world.drivers.length}`,
      protocol,
      writer: world.writer,
      named: world.named,
      clock: world.clock,
      metrics: world.metrics,
      gate: () => world.gate,
      join: (node) => (this.#view = world.groups.join(world.groups.keyOf(node)).view),
      send: (bytes) => void this.#inbox.push(decodeResponse(variant, bytes)),
      free: () => !this.busy,
      onRefused: (_node, type, error, names) => void this.refused.push(`${type} ${names.join()}: ${error}`),
      onOverdue: (_node, step) => void this.overdue.push(step),
    });
    world.drivers.push(this);
  }

  touch(changes: Changes): void {
    const own = this.#view?.changed(changes);
    if (own && own.size > 0) this.stream.touch(own);
  }

  /** The node goes with the first request only. */
  send(type: RequestFields['type'], fields: RequestFields = {}): this {
    const node = this.#node ? { node: this.#node } : {};
    this.#node = undefined;
    this.stream.receive(encodeRequest(this.#variant, { ...node, ...fields, ...(type ? { type } : {}) }));
    return this;
  }

  /** The next response, which must be of this type. */
  next(type: AnyType): Received {
    const response = this.#inbox.shift();
    expect(response?.type, 'type of the next response').toBe(type);
    if (!response) throw new Error('unreachable');
    return response;
  }

  /** The next response of any type; undefined when there is none. */
  maybe(): Received | undefined {
    return this.#inbox.shift();
  }

  ack(response: Received, fields: RequestFields = {}): this {
    return this.send(response.type, { nonce: response.nonce, version: response.version, ...fields });
  }

  nack(response: Received, error: string, fields: RequestFields = {}): this {
    return this.send(response.type, { nonce: response.nonce, error, ...fields });
  }

  /** The next response, which is acknowledged. SotW repeats its names with `fields`. */
  take(type: AnyType, fields: RequestFields = {}): Received {
    const response = this.next(type);
    this.ack(response, fields);
    return response;
  }

  /** Nothing was sent that next() has not returned. */
  silent(): this {
    expect(this.#inbox.map((r) => ({ type: r.type, names: r.names, removed: r.removed }))).toEqual([]);
    return this;
  }

  state(type: ResourceType): ProxyTypeStatus | undefined {
    return this.stream.status()?.types[type];
  }
}

/** A delta client as Envoy is one: all four types, everything acknowledged. Asks for `names` in EDS. */
export function likeEnvoy(world: World, names: readonly string[]): Driver {
  const client = world.delta();
  client.send('cds').take('cds');
  if (names.length > 0) client.send('eds', { subscribe: names }).take('eds');
  client.send('lds').take('lds');
  client.send('rds', { subscribe: ['outbound'] }).take('rds');
  return client.silent();
}
