import { describe, expect, it } from 'vitest';
import { slimService, slimSlice } from '../../../../adapters/kubernetes/objects.ts';

describe('slimService', () => {
  it('keeps what the mapping needs and nothing else', () => {
    const slim = slimService({
      metadata: {
        name: 'orders',
        namespace: 'shop',
        uid: 'x',
        managedFields: [{ manager: 'kubectl' }],
        annotations: { 'isthmus.dev/port': 'grpc', 'kubectl.kubernetes.io/last-applied-configuration': '{}' },
        labels: { app: 'orders' },
      },
      spec: {
        type: 'ClusterIP',
        clusterIP: '10.0.0.1',
        ports: [
          { name: 'grpc', port: 90, targetPort: 'g', protocol: 'TCP', appProtocol: 'grpc', nodePort: 1 },
        ],
      },
      status: { loadBalancer: {} },
    });
    expect(JSON.parse(JSON.stringify(slim))).toEqual({
      metadata: { name: 'orders', namespace: 'shop', annotations: { 'isthmus.dev/port': 'grpc' } },
      spec: {
        type: 'ClusterIP',
        ports: [{ name: 'grpc', port: 90, protocol: 'TCP', appProtocol: 'grpc' }],
      },
    });
  });
});

describe('slimSlice', () => {
  it('reads null lists as empty ones', () => {
    const slim = slimSlice({ metadata: { name: 's', namespace: 'n' }, endpoints: null, ports: null });
    expect(slim.endpoints).toEqual([]);
    expect(slim.ports).toEqual([]);
  });

  it.each([
    null,
    7,
    [],
    {},
    { metadata: {} },
    { metadata: { name: 's' } },
    { metadata: { name: 's', namespace: 'n' }, endpoints: {} },
    { metadata: { name: 's', namespace: 'n' }, endpoints: [1] },
    { metadata: { name: 's', namespace: 'n' }, ports: ['http'] },
  ])('refuses %j', (object) => {
    expect(() => slimSlice(object)).toThrow(TypeError);
  });
});
