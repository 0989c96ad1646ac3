import { expect, test } from 'vitest';
import { Timeline, judge } from '../../soak/proxy/oracle.ts';

const always = (value: boolean) => new Timeline(value, 0);
const request = { fromMs: 5_000, toMs: 6_000 };

test('a request fails rightly when no host was well and told all the time', () => {
  const away = { name: 'away', well: always(true), told: always(false) };
  const ill = { name: 'ill', well: always(true), told: always(true) };
  ill.well.set(false, 5_500);
  ill.well.set(true, 5_510);
  expect(judge(request, [away, ill], [], 1_000)).toEqual({ kind: 'excused' });
});

test('a host that was there all the time is named', () => {
  const there = { name: 'there', well: always(false), told: always(true) };
  there.well.set(true, 3_999);
  there.well.set(false, 6_001);
  expect(judge(request, [there], [], 1_000)).toEqual({ kind: 'violation', host: 'there' });
  expect(judge(request, [there], [{ fromMs: 5_999, toMs: 7_000 }], 1_000)).toEqual({ kind: 'stalled' });
  expect(judge(request, [there], [{ fromMs: 6_001, toMs: 7_000 }], 1_000).kind).toBe('violation');
});

test('a host that was told too late to be known does not count', () => {
  const late = { name: 'late', well: always(true), told: always(false) };
  late.told.set(true, 4_500);
  expect(judge(request, [late], [], 1_000)).toEqual({ kind: 'excused' });
  expect(judge(request, [late], [], 400).kind).toBe('violation');
});

test('what nobody asks for any more is forgotten, and the value of the moment never', () => {
  const line = always(true);
  line.set(false, 10);
  line.set(true, 20);
  line.forget(20);
  expect(line.always(20, 30, (is) => is)).toBe(true);
  line.forget(1_000);
  expect(line.now).toBe(true);
  expect(line.always(900, 1_000, (is) => is)).toBe(true);
});
