import { expect, test } from 'vitest';
import { readAnswer } from '../../../../adapters/eureka/answers.ts';
import { overdueLeases } from '../../../../adapters/eureka/leases.ts';

const NOW = 1_800_000_000_000;
const instance = (id: string, leaseInfo: unknown) => ({ instanceId: id, ipAddr: '10.0.0.1', leaseInfo });
const noticeOf = (...instances: object[]) =>
  overdueLeases(
    readAnswer(
      { applications: { apps__hashcode: '', application: [{ name: 'A', instance: instances }] } },
      'http://x',
    ),
    NOW,
  );
const renewed = (secondsAgo: number, durationInSecs: unknown = 90) => ({
  durationInSecs,
  lastRenewalTimestamp: NOW - secondsAgo * 1_000,
});

test.each([
  ['just renewed', renewed(1)],
  ['in the last minute of a lease that Eureka lets run twice as long', renewed(180 + 149)],
  ['by a clock that is ahead', renewed(-60)],
  ['never said', undefined],
  ['said in another shape', { durationInSecs: 'long', lastRenewalTimestamp: {} }],
  ['not renewed yet', { durationInSecs: 90, lastRenewalTimestamp: 0 }],
])('a lease %s is good', (_, leaseInfo) => {
  expect(noticeOf(instance('1', leaseInfo))).toBe('');
});

test('leases that have run out are counted, and one is named', () => {
  const notice = noticeOf(
    instance('1', renewed(1)),
    instance('2', renewed(180 + 151)),
    instance('3', renewed(3_600, '90')),
  );
  expect(notice).toMatch(/^2 of 3 instances are listed although their lease has run out, such as A\/2: /);
});
