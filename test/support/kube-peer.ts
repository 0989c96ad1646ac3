// What the peer `kubernetes` has beyond the others: keys and tokens before its start, certificate and
// kubeconfig after it.
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from './eventually.ts';
import { kubeApi } from './kube-api.ts';
import type { KubernetesPeer, Peer } from './peer.ts';
import { KUBE_TOKENS } from './peers.ts';
import type { RunningServer } from './running-server.ts';

/** Files that kube-apiserver wants in its folder. */
export function kubeFiles(): Record<string, string> {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return {
    'sa.key': privateKey.export({ type: 'pkcs1', format: 'pem' }).toString(),
    'tokens.csv':
      `${KUBE_TOKENS.admin},admin,admin,"system:masters"\n` + `${KUBE_TOKENS.reader},reader,reader,\n`,
  };
}

export async function completeKubernetes(
  peer: Peer,
  own: { readonly server: RunningServer },
): Promise<KubernetesPeer> {
  const ca = await own.server.readFile('certs/apiserver.crt');
  const kubeconfig = (token: string = KUBE_TOKENS.admin) => kubeconfigText(peer.url, ca, token);
  const folder = await mkdtemp(join(tmpdir(), 'isthmus-kubeconfig-'));
  const kubeconfigFile = join(folder, 'config');
  await writeFile(kubeconfigFile, kubeconfig(), { mode: 0o600 });
  // Not a spread of `peer`: its getters must stay getters.
  const complete: KubernetesPeer = Object.create(peer, {
    ca: { value: ca, enumerable: true },
    tokens: { value: KUBE_TOKENS, enumerable: true },
    kubeconfig: { value: kubeconfig },
    kubeconfigFile: { value: kubeconfigFile, enumerable: true },
    stop: {
      value: async () => {
        await peer.stop();
        await rm(folder, { recursive: true, force: true });
      },
    },
  });
  // It says it is ready a moment before the namespace exists that everybody uses.
  const api = kubeApi(complete);
  try {
    await eventually(() => api.get({ kind: 'Namespace', name: 'default' }), { what: 'namespace default' });
  } finally {
    await api.close();
  }
  return complete;
}

/** JSON is YAML. */
function kubeconfigText(server: string, ca: string, token: string): string {
  const data = Buffer.from(ca).toString('base64');
  return JSON.stringify(
    {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'test', cluster: { server, 'certificate-authority-data': data } }],
      users: [{ name: 'test', user: { token } }],
      contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
      'current-context': 'test',
    },
    null,
    2,
  );
}
