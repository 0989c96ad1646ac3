// The bundled proxy takes every golden resource: what it refused here it would refuse in production, with all
// that comes in the same response.
import { expect, test } from 'vitest';
import { decode } from '../../../../proto/codec.ts';
import { compileCluster } from '../../../../proxy/xds/cluster.ts';
import { compileAssignment } from '../../../../proxy/xds/endpoints.ts';
import { compileListener } from '../../../../proxy/xds/listener.ts';
import { compileRoutes } from '../../../../proxy/xds/routes.ts';
import { MESSAGE } from '../../../../proxy/xds/types.ts';
import { GOLDEN_CASES, resourcesOf } from '../../xds-server/golden-cases.ts';

const COMPILERS = {
  cds: (bytes: Uint8Array) => compileCluster(decode(MESSAGE.cds, bytes)),
  eds: (bytes: Uint8Array) => compileAssignment(decode(MESSAGE.eds, bytes)),
  lds: (bytes: Uint8Array) => compileListener(decode(MESSAGE.lds, bytes)),
  rds: (bytes: Uint8Array) => compileRoutes(decode(MESSAGE.rds, bytes)),
};

test.each(Object.entries(GOLDEN_CASES))('%s', (_name, golden) => {
  const resources = resourcesOf(golden);
  expect(resources.length).toBeGreaterThan(0);
  for (const { type, bytes } of resources) {
    if (type in COMPILERS) expect(() => COMPILERS[type](bytes)).not.toThrow();
  }
});
