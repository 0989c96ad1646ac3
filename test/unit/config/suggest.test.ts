import { describe, expect, it } from 'vitest';
import { didYouMean, editDistance, nearest } from '../../../config/suggest.ts';

describe('did you mean', () => {
  it.each([
    ['consul', 'consul', 0],
    ['consull', 'consul', 1],
    ['cosnul', 'consul', 1],
    ['kubernets', 'kubernetes', 1],
    ['', 'ab', 2],
  ])('%s → %s: %d edits', (a, b, edits) => {
    expect(editDistance(a, b)).toBe(edits);
    expect(editDistance(b, a)).toBe(edits);
  });

  it('gives up on words that only happen to be there', () => {
    expect(nearest('zookeeper', ['file', 'consul', 'kubernetes'])).toBeUndefined();
    expect(nearest('ab', ['cd'])).toBeUndefined();
  });

  it('lists what is known when it cannot guess', () => {
    expect(didYouMean('zookeeper', ['file', 'consul'])).toBe(' (known: file, consul)');
    expect(didYouMean('Consul', ['file', 'consul'])).toBe(', did you mean "consul"?');
    expect(didYouMean('x', [])).toBe('');
  });
});
