// What the parts of the contract suite share: a registry with its listeners, which end with each test.
import { expect } from 'vitest';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { eventually } from '../support/eventually.ts';
import type { Fixture, Instance } from './fixture.ts';
import { Listener } from './listener.ts';

/** `npm run test:long`: every duration as the contract says it, not as CI can bear it. */
export const LONG = process.env['ISTHMUS_LONG'] === '1';
/** For tests that last as long as the contract says. */
export const LONG_TEST_MS = LONG ? 300_000 : 120_000;

export const A: Instance = { address: '10.1.0.1', port: 8080 };
export const B: Instance = { address: '10.1.0.2', port: 8080 };
export const C: Instance = { address: '10.1.0.3', port: 9090 };

let count = 0;

export class Rig {
  readonly fixture: Fixture;
  readonly #listeners: Listener[] = [];

  constructor(fixture: Fixture) {
    this.fixture = fixture;
  }

  /** A service that no other test uses. */
  newName(): string {
    count += 1;
    return `svc-${count}`;
  }

  async listen(): Promise<Listener> {
    const listener = new Listener(await this.fixture.discoverer());
    this.#listeners.push(listener);
    return listener;
  }

  /** A new service with two instances, and a listener that knows it. */
  async known() {
    const name = this.newName();
    const service = this.fixture.serviceOf(name);
    await this.fixture.set(name, [A, B]);
    const listener = await this.listen();
    await this.soon(() => listener.first === 'sync' && listener.keys(service).length === 2);
    listener.forgetLog();
    return { name, service, listener };
  }

  soon<T>(check: () => T) {
    return eventually(check, { withinMs: this.fixture.changeWithinMs, everyMs: 10 });
  }

  untilStale(listener: Listener) {
    return eventually(() => listener.stale, { withinMs: this.fixture.staleWithinMs, everyMs: 10 });
  }

  async stopAll(): Promise<void> {
    await Promise.all(this.#listeners.splice(0).map((listener) => listener.stop()));
  }
}

/** Within a second, not counting what the machine was busy with other things. */
export async function stopsInTime(listener: Listener): Promise<void> {
  const lag = monitorEventLoopDelay({ resolution: 10 });
  lag.enable();
  const began = performance.now();
  await listener.stop();
  const tookMs = performance.now() - began;
  lag.disable();
  expect(tookMs - lag.max / 1e6).toBeLessThan(1_000);
}
