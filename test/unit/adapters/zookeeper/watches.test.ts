import { expect, test } from 'vitest';
import { Watches } from '../../../../adapters/zookeeper/watches.ts';

test('each event tells whom it concerns, once', () => {
  const watches = new Watches();
  const told: string[] = [];
  const arm = () => {
    for (const path of ['/a', '/b']) {
      watches.registerDataWatcher(path, (changed) => told.push(`data ${changed}`));
      watches.registerChildWatcher(path, (changed) => told.push(`children ${changed}`));
    }
  };
  const after = (type: number) => {
    arm();
    told.length = 0;
    watches.emit({ type, path: '/a' });
    watches.emit({ type, path: '/a' });
    return told.join(', ');
  };
  expect(after(1)).toBe('data /a');
  expect(after(2)).toBe('data /a, children /a');
  expect(after(3)).toBe('data /a');
  expect(after(4)).toBe('children /a');
  expect(() => watches.emit({ type: 5, path: '/a' })).toThrow(TypeError);
});

test('a watch that is armed again while it fires stays armed', () => {
  const watches = new Watches();
  let told = 0;
  const again = (path: string) => {
    told += 1;
    watches.registerDataWatcher(path, again);
  };
  watches.registerDataWatcher('/a', again);
  for (let n = 0; n < 3; n += 1) watches.emit({ type: 3, path: '/a' });
  expect(told).toBe(3);
});
