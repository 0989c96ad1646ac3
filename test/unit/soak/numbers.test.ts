import { describe, expect, it } from 'vitest';
import { columns, flatness, lows, median, percentile } from '../../soak/numbers.ts';
import { reportText } from '../../soak/report.ts';

describe('percentiles', () => {
  it('are values that were measured', () => {
    const values = [5, 1, 4, 2, 3];
    expect(median(values)).toBe(3);
    expect(percentile(values, 0.99)).toBe(5);
    expect(percentile(values, 1)).toBe(5);
    expect(percentile([7], 0.01)).toBe(7);
    expect(percentile([], 0.5)).toBeNaN();
  });
});

describe('flatness', () => {
  const margin = { share: 0.1, fixed: 5 };

  it('compares the second and the last quarter, whatever the first one did', () => {
    const warm = [500, 400, 100, 100, 300, 300, 104, 106];
    expect(flatness(warm, margin)).toEqual({ second: 100, last: 104, allowed: 110, flat: true });
  });

  it('finds a leak', () => {
    const leak = Array.from({ length: 40 }, (_, i) => 100 + i);
    expect(flatness(leak, margin).flat).toBe(false);
  });

  it('allows the fixed part where the share is less', () => {
    expect(flatness([1, 1, 1, 1, 1, 1, 6, 6], margin).flat).toBe(true);
  });

  it('is nothing that too few samples could show', () => {
    expect(flatness([1, 2, 3], margin).flat).toBe(false);
  });
});

describe('lows', () => {
  it('are the smallest of each few; a rest that is not whole is left out', () => {
    expect(lows([5, 1, 7, 3, 9, 2, 8], 3)).toEqual([1, 2]);
    expect(lows([4, 5], 1)).toEqual([4, 5]);
  });
});

describe('the summary', () => {
  it('counts lags, faults and violations', () => {
    const text = reportText({
      healed: new Map([['consul', 'an answer']]),
      outcomes: [
        { kind: 'consul', what: 'changes', changes: 3, lagMs: 100, seenDark: false },
        { kind: 'consul', what: 'killed', changes: 0, lagMs: 6_000, seenDark: true },
      ],
      memory: new Map([['open files', { second: 10, last: 30, allowed: 20, flat: false }]]),
      violations: ['open files is not flat'],
      looks: 7,
    });
    expect(text).toMatch(/consul +3 +1 +1 +0\.10 s +6\.00 s +6\.00 s +1\n/);
    expect(text).toMatch(/consul: killed +0 +1 +1 /);
    expect(text).toContain('NOT FLAT');
    expect(text).toContain('1 violations');
  });

  it('is in columns', () => {
    expect(
      columns([
        ['a', 'bb'],
        ['ccc', '1'],
      ]),
    ).toBe('a    bb\nccc   1');
  });
});
