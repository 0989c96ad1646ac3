import { expect, test } from 'vitest';
import { nextUuid } from '../../../lib/uuid.ts';

test('UUIDs of version 4, over several batches, no two alike, every free bit used', () => {
  const seen = new Set<string>();
  let ones = 0n;
  let zeros = 0n;
  for (let i = 0; i < 1_000; i += 1) {
    const uuid = nextUuid();
    expect(uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    seen.add(uuid);
    const bits = BigInt(`0x${uuid.replaceAll('-', '')}`);
    ones |= bits;
    zeros |= ~bits;
  }
  expect(seen.size).toBe(1_000);
  const all = (1n << 128n) - 1n;
  // The four bits of the version and the two of the variant stay.
  const fixed = (0xfn << 76n) | (0x3n << 62n);
  expect(ones & zeros & all).toBe(all & ~fixed);
});
