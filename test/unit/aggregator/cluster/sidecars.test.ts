// Replicas that tell each other of their sidecars, over a broker in memory that can be cut off from each of them.
import { afterEach, describe, expect, it } from 'vitest';
import { SharedSidecars } from '../../../../aggregator/cluster/sidecars.ts';
import { systemClock } from '../../../../lib/clock.ts';
import type { AdmittedSidecar, Departure } from '../../../../model/sidecars.ts';
import { createLogger } from '../../../../telemetry/logger.ts';
import { eventually } from '../../../support/eventually.ts';
import { MemoryBroker } from '../table/memory-bucket.ts';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const WITHIN = { withinMs: 20_000, everyMs: 5 };
const until = (check: () => boolean) => eventually(check, WITHIN);

const session = (node: string, weight = 1): AdmittedSidecar => ({
  node,
  peer: '10.0.0.1',
  address: '10.0.0.1',
  via: '',
  registration: {
    service: 'orders.default',
    address: '',
    port: 15_006,
    appPort: 8_080,
    healthPath: '/',
    protocol: '',
    labels: {},
    weight,
    locality: { region: '', zone: '', subZone: '' },
  },
});

function replicaOn(broker: MemoryBroker, replica: string, forgetMs = 2_000) {
  const way = broker.way();
  const open = new Map<AdmittedSidecar, string>();
  const left: (readonly [string, Departure])[] = [];
  const found: string[] = [];
  const shared = new SharedSidecars({
    replica,
    bucket: () => Promise.resolve(way),
    open(theirs) {
      open.set(theirs, theirs.node);
      return (how) => {
        open.delete(theirs);
        left.push([theirs.node, how]);
      };
    },
    found: (via, node, health) => void found.push(`${node}@${via} ${health}`),
    clock: systemClock,
    log: createLogger('silent'),
    beat: { beatMs: 20, silentMs: 1_500, forgetMs },
  });
  const controller = new AbortController();
  const running = shared.run(controller.signal);
  const stop = async () => {
    controller.abort(new Error('test over'));
    way.isUp = true;
    await running;
  };
  closers.push(stop);
  return {
    shared,
    way,
    left,
    found,
    stop,
    nodes: () => [...open.values()].sort(),
    open: () => [...open.keys()],
  };
}

describe('sidecars that replicas share', () => {
  it('are told to the others with what they said, and when they end or break off', async () => {
    const broker = new MemoryBroker(Date.now);
    const [a, b] = [replicaOn(broker, 'a'), replicaOn(broker, 'b')];
    const [one, two] = [session('one', 7), session('two')];
    a.shared.joined(one);
    a.shared.joined(two);
    await until(() => b.nodes().join() === 'one,two');
    expect(b.open()[0]).toEqual({ ...one, via: 'a' });
    expect(a.nodes()).toEqual([]);
    a.shared.found(one, 'unhealthy');
    await until(() => b.found.at(-1) === 'one@a unhealthy');
    expect(b.open()).toHaveLength(2);
    a.shared.left(one, 'ended');
    await until(() => b.nodes().join() === 'two');
    a.shared.left(two, 'broken');
    await until(() => b.nodes().length === 0);
    expect(b.left).toEqual([
      ['one', 'ended'],
      ['two', 'broken'],
    ]);
  });

  it('leave nothing behind in the bucket when they have gone long ago', async () => {
    const broker = new MemoryBroker(Date.now);
    const [a, b] = [replicaOn(broker, 'a', 50), replicaOn(broker, 'b', 50)];
    const sessions = Array.from({ length: 150 }, (_, n) => session(`n${n}`));
    for (const one of sessions) a.shared.joined(one);
    await until(() => b.nodes().length === 150);
    for (const one of sessions) a.shared.left(one, 'ended');
    await until(() => b.nodes().length === 0);
    await until(
      () =>
        broker
          .entries()
          .map(({ key }) => key)
          .sort()
          .join() === 'a,b',
    );
    a.shared.joined(session('later'));
    await until(() => b.nodes().join() === 'later');
  });

  it('those of others are not told on', async () => {
    const broker = new MemoryBroker(Date.now);
    const [a, b] = [replicaOn(broker, 'a'), replicaOn(broker, 'b')];
    a.shared.joined({ ...session('theirs'), via: 'c' });
    a.shared.joined(session('own'));
    await until(() => b.nodes().join() === 'own');
  });

  it('have broken off when their replica is silent, and are there again when it speaks', async () => {
    const broker = new MemoryBroker(Date.now);
    const [a, b] = [replicaOn(broker, 'a'), replicaOn(broker, 'b')];
    a.shared.joined(session('one'));
    await until(() => b.nodes().join() === 'one');
    a.way.isUp = false;
    await until(() => b.left.length === 1);
    expect(b.left).toEqual([['one', 'broken']]);
    a.way.isUp = true;
    await until(() => b.nodes().join() === 'one');
    expect(a.nodes()).toEqual([]);
  });

  it('a replica that stops in order says so: they break off at once', async () => {
    const broker = new MemoryBroker(Date.now);
    const [a, b] = [replicaOn(broker, 'a'), replicaOn(broker, 'b')];
    a.shared.joined(session('one'));
    await until(() => b.nodes().join() === 'one');
    await a.stop();
    expect(broker.entries().find(({ key }) => key === 'a')?.value).toBeUndefined();
    await until(() => b.left.length === 1);
    expect(b.left).toEqual([['one', 'broken']]);
    // What it left behind is removed in the end.
    await until(() => broker.entries().every(({ key, value }) => !key.startsWith('a') || !value));
  });

  it('a broker that lost everything is filled again', async () => {
    const broker = new MemoryBroker(Date.now);
    const [a, b] = [replicaOn(broker, 'a'), replicaOn(broker, 'b')];
    a.shared.joined(session('one'));
    b.shared.joined(session('two'));
    await until(() => b.nodes().join() === 'one' && a.nodes().join() === 'two');
    for (const { way } of [a, b]) way.isUp = false;
    broker.wipe();
    for (const { way } of [a, b]) way.isUp = true;
    await until(() => broker.entries().filter(({ key }) => key.includes('.')).length === 2);
    await until(() => b.nodes().join() === 'one' && a.nodes().join() === 'two');
    a.shared.joined(session('three'));
    await until(() => b.nodes().join() === 'one,three');
    // Nobody is told of what is its own.
    expect(a.nodes()).toEqual(['two']);
  });

  it('one that comes later knows those that broke off, too', async () => {
    const broker = new MemoryBroker(Date.now);
    const a = replicaOn(broker, 'a');
    const one = session('one');
    a.shared.joined(one);
    await until(() => broker.entries().some(({ key }) => key.includes('.')));
    a.shared.left(one, 'broken');
    const b = replicaOn(broker, 'b');
    await until(() => b.left.length > 0);
    expect(b.left[0]).toEqual(['one', 'broken']);
    expect(b.nodes()).toEqual([]);
  });

  it('what cannot be understood is left alone', async () => {
    const broker = new MemoryBroker(Date.now);
    const b = replicaOn(broker, 'b');
    for (const [index, text] of ['{', 'null', '{"session":{"node":"x"}}', '[]'].entries())
      broker.write(`z.${index}`, Buffer.from(text), 0);
    broker.write('z', Buffer.from('-'), 0);
    const a = replicaOn(broker, 'a');
    a.shared.joined(session('one'));
    await until(() => b.nodes().join() === 'one');
  });
});
