import { expect, it } from 'vitest';
import { duration } from '../../../config/duration.ts';

const field = duration('30s');

it('reads text to milliseconds', () => {
  const texts = ['500ms', '30s', '1.5m', '12h', '7d', '0'];
  expect(texts.map((text) => field.parse(text))).toEqual([500, 30_000, 90_000, 43_200_000, 604_800_000, 0]);
  expect(field.parse(undefined)).toBe(30_000);
});

it('refuses what leaves the unit open', () => {
  for (const bad of ['30', '30 s', 'soon', '-1s', '1w', 30]) expect(field.safeParse(bad).success).toBe(false);
});
