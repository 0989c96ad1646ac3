// What a kind brings to the contract suite: a registry, the changes that can be made in it, and the faults
// that can befall it. Types only.
import type { Discoverer } from '../../model/discovery.ts';
import type { EndpointGroup } from '../../model/endpoint.ts';
import type { Fault } from './fault.ts';
import type { FaultyProxy } from './fixtures/faulty-proxy.ts';
import type { TcpProxy } from './fixtures/tcp-proxy.ts';

export type { Fault } from './fault.ts';

export interface Instance {
  readonly address: string;
  readonly port: number;
  /** An attribute that the registry can change without taking the instance out. Default '1'. */
  readonly mark?: string;
}

export interface Fixture {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** A new Discoverer on this registry, with timings short enough for tests. */
  discoverer(): Promise<Discoverer>;
  /** The registry now offers exactly these instances of the service; none: the last one leaves. */
  set(name: string, instances: readonly Instance[]): Promise<void>;
  /** The canonical name under which `name` appears. */
  serviceOf(name: string): string;
  /** How `mark` shows in an endpoint. */
  markOf(group: EndpointGroup, key: string): string;
  readonly faults: readonly Fault[];
  /** What the last instance's leaving looks like. */
  readonly lastLeaves: readonly ('group' | 'gone')[];
  /** A stale source must say so within this many milliseconds of the fault. */
  readonly staleWithinMs: number;
  /** Any change, and the return after a fault, must arrive within this many milliseconds. */
  readonly changeWithinMs: number;
  /** All of the source's bytes pass here. */
  readonly wire?: () => TcpProxy;
  /** All of the source's questions pass here, for registries over HTTP. */
  readonly http?: () => FaultyProxy;
  /** Whether a question to `http` is one of the probe's, which need not wait. */
  readonly isProbe?: (url: string) => boolean;
}

/** A registry by itself, with nothing in between; what may happen to it as a whole is tried on it. */
export interface RegistryFixture extends Fixture {
  /** The registry starts over without anything it knew; set() goes on from there. */
  startOver(): Promise<void>;
  /** What a registry without anything is: no services, or a fault, as it would be by mistake. */
  readonly emptyIs: 'empty' | 'fault';
}
