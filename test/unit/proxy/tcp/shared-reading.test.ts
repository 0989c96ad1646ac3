import { expect, test } from 'vitest';
import { SharedReading } from '../../../../proxy/tcp/shared-reading.ts';

test('what was read stays as it is while the next is read, and copies are used again', () => {
  const reading = new SharedReading(64 * 1024);
  const read = (fill: string, length: number) => {
    reading.buffer.fill(fill, 0, length);
    return reading.take(length);
  };
  const first = read('a', 50_000);
  const small = read('b', 10);
  const second = read('c', 60_000);
  expect(first.bytes.equals(Buffer.alloc(50_000, 'a'))).toBe(true);
  expect(small.bytes.toString()).toBe('b'.repeat(10));
  expect(second.bytes.equals(Buffer.alloc(60_000, 'c'))).toBe(true);
  first.done();
  small.done();
  const third = read('d', 40_000);
  expect(third.bytes.buffer).toBe(first.bytes.buffer);
  expect(third.bytes).toHaveLength(40_000);
  expect(second.bytes.equals(Buffer.alloc(60_000, 'c'))).toBe(true);
});
