import { describe, expect, it } from 'vitest';
import { withTemplate } from '../../../model/sidecars.ts';
import type { Registration } from '../../../model/sidecars.ts';

const SAID: Registration = {
  service: 'orders.default',
  address: '',
  port: 15_006,
  appPort: 8_080,
  healthPath: '/',
  protocol: '',
  labels: {},
  locality: { region: '', zone: '', subZone: '' },
};
const TEMPLATE = {
  labels: { environment: 'prod', version: 'v1' },
  region: 'eu',
  zone: 'a',
  weight: 7,
  protocol: 'http',
  healthPath: '/health',
  check: { how: 'http', fall: 5 },
} as const;

describe('a template for sidecars', () => {
  it('is what one says that says nothing', () => {
    expect(withTemplate(SAID, TEMPLATE)).toEqual({
      ...SAID,
      labels: TEMPLATE.labels,
      locality: { region: 'eu', zone: 'a', subZone: '' },
      weight: 7,
      protocol: 'http',
      healthPath: '/health',
      check: { how: 'http', fall: 5 },
    });
  });

  it('comes after what one says itself, field by field', () => {
    const own: Registration = {
      ...SAID,
      labels: { version: 'v2' },
      locality: { region: 'us', zone: '', subZone: 'x' },
      weight: 1,
      protocol: 'grpc',
      healthPath: '/ready',
      check: { how: 'tcp' },
    };
    expect(withTemplate(own, TEMPLATE)).toEqual({
      ...own,
      labels: { environment: 'prod', version: 'v2' },
      locality: { region: 'us', zone: 'a', subZone: 'x' },
      check: { how: 'tcp', fall: 5 },
    });
  });

  it('that is not there, or says nothing, changes nothing', () => {
    expect(withTemplate(SAID, undefined)).toBe(SAID);
    expect(withTemplate(SAID, {})).toEqual(SAID);
  });
});
