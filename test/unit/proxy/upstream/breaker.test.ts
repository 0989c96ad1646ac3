// What a circuit breaker allows, by its rules alone.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Breaker, DEFAULT_BREAKER } from '../../../../proxy/upstream/breaker.ts';

test('without a budget so many retries at once', () => {
  const breaker = new Breaker({ ...DEFAULT_BREAKER, maxRetries: 2 });
  breaker.retries = 1;
  expect(breaker.canRetry()).toBe(true);
  breaker.retries = 2;
  expect(breaker.canRetry()).toBe(false);
});

test('connections are limited for the cluster and for each host', () => {
  const breaker = new Breaker({ ...DEFAULT_BREAKER, maxConnections: 3, maxConnectionsPerHost: 2 });
  expect(breaker.canConnect(1)).toBe(true);
  expect(breaker.canConnect(2)).toBe(false);
  breaker.connections = 3;
  expect(breaker.canConnect(0)).toBe(false);
});

test('property: a budget is the part of what is active, and never less than its minimum', () => {
  const rules = fc.record({ percent: fc.double({ min: 0, max: 100, noNaN: true }), minRetries: fc.nat(10) });
  fc.assert(
    fc.property(rules, fc.nat(10_000), fc.nat(10_000), fc.nat(200), (budget, requests, pending, more) => {
      const breaker = new Breaker({ ...DEFAULT_BREAKER, maxRetries: 0, budget });
      breaker.requests = requests;
      breaker.pending = pending;
      const most = breaker.maxRetries;
      expect(most).toBeGreaterThanOrEqual(budget.minRetries);
      expect(most).toBeLessThanOrEqual(Math.max(budget.minRetries, requests + pending));
      breaker.requests += more;
      expect(breaker.maxRetries).toBeGreaterThanOrEqual(most);
      breaker.retries = breaker.maxRetries;
      expect(breaker.canRetry()).toBe(false);
    }),
  );
});
