import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HealthRecord, waitMs } from '../../../../proxy/health/judge.ts';
import { BAD, LATE, SILENT, WELL } from '../../../../proxy/health/rules.ts';
import type { HealthRules } from '../../../../proxy/health/rules.ts';

const RULES = { rise: 2, fall: 3 };

const judged = (findings: readonly (typeof WELL)[], rules = RULES) => {
  const record = new HealthRecord();
  return { record, transitions: findings.map((finding) => record.take(finding, rules)) };
};

test('the first check decides alone', () => {
  expect(new HealthRecord().failed).toBe(true);
  expect(judged([WELL])).toMatchObject({ record: { failed: false }, transitions: ['changed'] });
  expect(judged([SILENT])).toMatchObject({ record: { failed: true }, transitions: ['none'] });
});

test('silence counts as one of several, a bad answer at once', () => {
  expect(judged([WELL, SILENT, LATE]).record.failed).toBe(false);
  expect(judged([WELL, SILENT, LATE, SILENT]).transitions).toEqual([
    'changed',
    'pending',
    'pending',
    'changed',
  ]);
  expect(judged([WELL, BAD])).toMatchObject({
    record: { failed: true },
    transitions: ['changed', 'changed'],
  });
});

test('a host that failed is back after so many successes in a row', () => {
  const { record, transitions } = judged([SILENT, WELL, SILENT, WELL, WELL]);
  expect(transitions).toEqual(['none', 'pending', 'none', 'pending', 'changed']);
  expect(record.failed).toBe(false);
});

test('what the host says of itself with an answer counts at once, until a check is good', () => {
  const { record } = judged([WELL]);
  expect([record.failNow(), record.failNow()]).toEqual([true, false]);
  expect(record).toMatchObject({ failed: true, excluded: true });
  record.take(WELL, RULES);
  expect(record).toMatchObject({ failed: true, excluded: false });
  record.take(WELL, RULES);
  expect(record.failed).toBe(false);
});

test('property: failed means that the last change was made by enough of its kind', () => {
  const finding = fc.constantFrom(WELL, BAD, SILENT);
  fc.assert(
    fc.property(
      fc.array(finding, { minLength: 1 }),
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 1, max: 4 }),
      (list, rise, fall) => {
        const { record } = judged(list, { rise, fall });
        let failed = !list[0]?.ok;
        let run = 0;
        for (const [i, { ok, mayBeChance }] of list.entries()) {
          if (i === 0) continue;
          run = ok === failed ? run + 1 : 0;
          if (run > 0 && (failed ? run >= rise : !mayBeChance || run >= fall)) {
            failed = !failed;
            run = 0;
          }
        }
        expect(record.failed).toBe(failed);
      },
    ),
  );
});

test('how long until the next check hangs on the answer and on whether anybody calls', () => {
  const rules: HealthRules = {
    intervalMs: 1,
    timeoutMs: 1,
    ...RULES,
    unhealthyMs: 2,
    unhealthyEdgeMs: 3,
    healthyEdgeMs: 4,
    noTrafficMs: 5,
    noTrafficHealthyMs: 6,
    initialJitterMs: 0,
    jitterMs: 10,
    jitterPercent: 100,
    reuse: true,
    question: { kind: 'tcp', send: Buffer.alloc(0), receive: [] },
  };
  const wait = (ok: boolean, transition: 'none' | 'pending', hasTraffic: boolean, random = 0) =>
    waitMs(rules, { ok, transition, hasTraffic }, () => random);
  expect(wait(true, 'none', true)).toBe(1);
  expect(wait(false, 'none', true)).toBe(2);
  expect(wait(false, 'pending', true)).toBe(3);
  expect(wait(true, 'pending', true)).toBe(4);
  expect(wait(false, 'none', false)).toBe(5);
  expect(wait(true, 'pending', false)).toBe(6);
  expect(wait(true, 'none', true, 0.5)).toBe(1 + 5 + 0.5);
});
