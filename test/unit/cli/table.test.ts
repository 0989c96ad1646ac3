import { describe, expect, it } from 'vitest';
import { paint, wantsColour } from '../../../cli/paint.ts';
import { age, ageOf, percent, table } from '../../../cli/table.ts';

const columns = [
  { title: 'NAME', text: (r: { a: string; b: string }) => r.a },
  { title: 'STATE', text: (r: { a: string; b: string }) => r.b, colour: () => 'green' as const },
  { title: 'END', text: () => 'x' },
];

describe('tables', () => {
  it('has bare columns, and a dash for nothing', () => {
    const rows = [
      { a: 'one', b: '' },
      { a: 'a-longer-name', b: 'live' },
    ];
    expect(table(columns, rows, paint(false))).toBe(
      'NAME            STATE   END\n' + 'one             -       x\n' + 'a-longer-name   live    x\n',
    );
  });

  it('keeps its columns when painted', () => {
    const rows = [{ a: 'one', b: 'live' }];
    const painted = table(columns, rows, paint(true));
    expect(painted).toContain('\u001b[32mlive\u001b[0m');
    // oxlint-disable-next-line no-control-regex
    expect(painted.replace(/\u001b\[\d+m/g, '')).toBe(table(columns, rows, paint(false)));
  });

  it('never breaks a row, whatever a cell says', () => {
    expect(table(columns, [{ a: 'two\nlines\there', b: 'x' }], paint(false)).split('\n')).toHaveLength(3);
  });
});

describe('ages', () => {
  it.each([
    [0.4, '0s'],
    [12, '12s'],
    [119, '119s'],
    [180, '3m'],
    [200, '3m20s'],
    [3600, '60m'],
    [7200, '2h'],
    [3 * 86_400, '3d'],
  ])('%d s is %s', (seconds, text) => {
    expect(age(seconds)).toBe(text);
  });

  it('of a time, and of no time', () => {
    expect(ageOf('1970-01-01T00:00:10.000Z', 22_000)).toBe('12s');
    expect(ageOf(null, 0)).toBe('');
  });

  it('shares', () => {
    expect([0, 0.004, 0.05, 0.5, 1].map(percent)).toEqual(['0%', '0.4%', '5.0%', '50%', '100%']);
  });
});

describe('colour', () => {
  it.each([
    [true, {}, true],
    [true, { NO_COLOR: '1' }, false],
    [true, { NO_COLOR: '' }, true],
    [true, { TERM: 'dumb' }, false],
    [false, {}, false],
    [false, { FORCE_COLOR: '1' }, true],
    [true, { NO_COLOR: '1', FORCE_COLOR: '1' }, false],
  ])('terminal %s, %j: %s', (isTTY, env, wanted) => {
    expect(wantsColour({ isTTY }, env)).toBe(wanted);
  });
});
