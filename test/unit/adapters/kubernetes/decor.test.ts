import { describe, expect, it } from 'vitest';
import { KubeDecor } from '../../../../adapters/kubernetes/decor.ts';
import { slimNode, slimPod } from '../../../../adapters/kubernetes/objects.ts';

const pod = (name: string, version: string, namespace = 'shop') =>
  slimPod({ metadata: { name, namespace, labels: { app: 'orders', version } }, spec: {} });
const node = (name: string, zone: string) =>
  slimNode({ metadata: { name, labels: { 'topology.kubernetes.io/zone': zone } } });

describe('KubeDecor', () => {
  it('names the pods whose facts are new, and shares equal facts', () => {
    const d = new KubeDecor();
    expect(d.replacePods('*', [pod('a', 'v1'), pod('b', 'v1')])).toEqual(['shop/a', 'shop/b']);
    expect(d.replacePods('*', [pod('a', 'v1'), pod('b', 'v2')])).toEqual(['shop/b']);
    expect(d.putPod(pod('a', 'v1'))).toEqual([]);
    d.putPod(pod('b', 'v1'));
    expect(d.podOf('shop', 'b')).toBe(d.podOf('shop', 'a'));
  });

  it('forgets a deleted pod only when nobody lists it any more', () => {
    const d = new KubeDecor();
    d.replacePods('*', [pod('a', 'v1'), pod('b', 'v1'), pod('c', 'v1')]);
    d.deletePod(pod('a', 'v1'));
    d.replacePods('*', [pod('c', 'v1')]);
    d.sweepPods((key) => key === 'shop/a');
    expect(d.podOf('shop', 'a')?.labels['version']).toBe('v1');
    expect(d.podOf('shop', 'b')).toBeUndefined();
    d.sweepPods(() => false);
    expect(d.podOf('shop', 'a')).toBeUndefined();
    expect(d.podCount).toBe(1);
  });

  it('keeps a pod that was deleted and is back under its name', () => {
    const d = new KubeDecor();
    d.putPod(pod('a-0', 'v1'));
    d.deletePod(pod('a-0', 'v1'));
    expect(d.putPod(pod('a-0', 'v2'))).toEqual(['shop/a-0']);
    d.sweepPods(() => false);
    expect(d.podOf('shop', 'a-0')?.labels['version']).toBe('v2');
  });

  it('replaces the pods of one namespace and leaves the others', () => {
    const d = new KubeDecor();
    d.replacePods('shop', [pod('a', 'v1')]);
    d.replacePods('shop-2', [pod('a', 'v1', 'shop-2')]);
    d.replacePods('shop', []);
    d.sweepPods(() => false);
    expect(d.podOf('shop', 'a')).toBeUndefined();
    expect(d.podOf('shop-2', 'a')).toBeDefined();
  });

  it('does not remember what only former pods had', () => {
    const d = new KubeDecor();
    for (let i = 0; i < 1_000; i += 1) d.putPod(pod('a', `v${i}`));
    expect(d.sharedCount).toBeLessThan(200);
    expect(d.podOf('shop', 'a')?.labels['version']).toBe('v999');
  });

  it('names the nodes that moved, and keeps a missing one until the next list', () => {
    const d = new KubeDecor();
    expect(d.replaceNodes([node('n1', 'a'), node('n2', 'b')])).toEqual(['n1', 'n2']);
    expect(d.putNode(node('n1', 'a'))).toEqual([]);
    expect(d.replaceNodes([node('n2', 'c')])).toEqual(['n2']);
    expect(d.nodeOf('n1')?.zone).toBe('a');
    d.replaceNodes([node('n2', 'c')]);
    expect(d.nodeOf('n1')).toBeUndefined();
  });
});
