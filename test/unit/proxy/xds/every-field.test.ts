// No field of what the proxy is sent is ignored in silence: each field of the descriptors, however deep, is read by a
// compiler, refused by its name, or listed below as one without effect. What is read is seen by watching the decoded
// messages; what goes through all fields only to refuse the rest does not count as reading.
import { describe, expect, test, vi } from 'vitest';
import type * as codec from '../../../../proto/codec.ts';
import { encode, packAny } from '../../../../proto/codec.ts';
import { compileCluster } from '../../../../proxy/xds/cluster.ts';
import { compileAssignment } from '../../../../proxy/xds/endpoints.ts';
import { compileListener } from '../../../../proxy/xds/listener.ts';
import { FieldRefusal } from '../../../../proxy/xds/refusal.ts';
import { compileRoutes } from '../../../../proxy/xds/routes.ts';
import { ROOTS } from './field-roots.ts';
import type { Plain, Root } from './field-roots.ts';
import { READ_UNSEEN, UNREAD, endsWith } from './field-seeds.ts';
import { findings, walk } from './field-walk.ts';

const seen = vi.hoisted(() => ({ paths: new Set<string>() }));

vi.mock('../../../../proto/codec.ts', async (original) => {
  const real = await original<typeof codec>();
  const { watched } = await import('./field-walk.ts');
  return {
    ...real,
    decode: (name: string, bytes: Uint8Array) =>
      watched(real.decode<object>(name, bytes), name, (path) => seen.paths.add(path)),
  };
});

const { decode } = await import('../../../../proto/codec.ts');
const COMPILERS: Readonly<Record<string, (message: object) => unknown>> = {
  'envoy.config.cluster.v3.Cluster': compileCluster,
  'envoy.config.endpoint.v3.ClusterLoadAssignment': compileAssignment,
  'envoy.config.listener.v3.Listener': (message) => compileListener(message, () => false),
  'envoy.config.route.v3.RouteConfiguration': compileRoutes,
};

/** Why it is refused; '' when it is taken. */
function verdictOn(root: Root, message: Plain): string {
  const { type, inside } = root;
  const [outer, whole] = inside ? [inside.type, inside.around(packAny(type, message))] : [type, message];
  const compile = COMPILERS[outer];
  if (!compile) throw new Error(`${outer} is compiled by nobody`);
  const bytes = encode(outer, whole);
  try {
    compile(decode(outer, bytes));
    return '';
  } catch (thrown) {
    if (thrown instanceof FieldRefusal) return thrown.message;
    throw thrown;
  }
}

describe('every field', () => {
  const unread = new Set<string>();
  test.each(ROOTS.map((root): [string, Root] => [root.name ?? root.type, root]))('of %s', (_, root) => {
    const found = findings();
    const asked = {
      verdictOn: (message: Plain) => verdictOn(root, message),
      isRead: (name: string) => seen.paths.has(name),
    };
    for (const base of root.bases) {
      expect(verdictOn(root, base)).toBe('');
      walk(root, base, asked, found);
    }
    expect(found.fields).toBeGreaterThan(0);
    const silent = [...found.silent].filter(([name]) => !found.fine.has(name));
    const shallow = [...found.shallow].filter(([name]) => !found.deep.has(name) && !found.refused.has(name));
    expect(Object.fromEntries([...silent, ...shallow])).toEqual({});
    const ignored = [...found.unread].filter((name) => !seen.paths.has(name) && !found.refused.has(name));
    for (const name of ignored) unread.add(name);
    const listed = [...Object.keys(UNREAD), ...READ_UNSEEN];
    expect(ignored.filter((name) => !listed.some(endsWith(name))).sort()).toEqual([]);
  });

  test('and none is listed as without effect that is read, or refused', () => {
    const names = [...unread];
    const listed = [...Object.keys(UNREAD), ...READ_UNSEEN];
    expect(listed.filter((end) => !names.some((name) => endsWith(name)(end)))).toEqual([]);
  });
});
