// Kubeconfig files, contexts, in-cluster accounts and credentials, by the official client. That package is
// loaded here, when the first source of this kind starts, and used for nothing but this: its watches and
// informers spin, swallow errors, and end for good (so adapters/kubernetes has its own).
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { OutgoingHttpHeaders } from 'node:http';
import type { RequestOptions } from 'node:https';
import type { KubeConfig } from '@kubernetes/client-node';
import type { KubernetesSource } from '../../config/schema.ts';
import { importClient } from '../../lib/import-client.ts';
import type { Hold } from '../../lib/retry-after.ts';
import { KUBE_CONFIG } from './errors.ts';
import { readToken, tokenFileOf } from './token-file.ts';
import { createTransport } from './transport.ts';
import type { KubeTransport } from './transport.ts';

/**
 * Reads the kubeconfig anew. @throws ISTHMUS_KUBE_CONFIG when it cannot be used, ISTHMUS_CLIENT_MISSING
 * when the client package is not installed.
 */
export async function connect(
  config: Pick<KubernetesSource, 'kubeconfig' | 'context'>,
  hold?: Hold,
): Promise<KubeTransport> {
  const client = await importClient(
    'kubernetes',
    '@kubernetes/client-node',
    () => import('@kubernetes/client-node'),
  );
  const kube = new client.KubeConfig();
  try {
    if (config.kubeconfig !== '') kube.loadFromFile(config.kubeconfig);
    else kube.loadFromDefault();
  } catch (thrown) {
    throw KUBE_CONFIG.from(thrown, config.kubeconfig || 'cannot be read');
  }
  const server = chooseContext(kube, config.context);
  const tokenFile = await tokenFileOf(kube.getCurrentUser(), config.kubeconfig);
  return createTransport({
    ...(hold ? { hold } : {}),
    server,
    request: server.protocol === 'http:' ? httpRequest : httpsRequest,
    // Anew for each request: tokens expire, exec plugins and files give new ones.
    credentials: () => credentials(kube, tokenFile),
  });
}

function chooseContext(kube: KubeConfig, wanted: string): URL {
  // What the client makes up when it finds no kubeconfig at all.
  if (kube.getCurrentContext() === 'loaded-context') {
    throw KUBE_CONFIG('none found: no `kubeconfig`, no KUBECONFIG, no ~/.kube/config, and not in a pod');
  }
  if (wanted !== '') kube.setCurrentContext(wanted);
  const context = kube.getContextObject(kube.getCurrentContext());
  if (!context) {
    const names = kube.contexts.map((c) => c.name).join(', ');
    throw KUBE_CONFIG(`no context ${JSON.stringify(kube.getCurrentContext() ?? '')}; it has: ${names}`);
  }
  const cluster = kube.getCurrentCluster();
  if (!cluster || !URL.canParse(cluster.server)) {
    throw KUBE_CONFIG(`context ${context.name} has no cluster with a server address`);
  }
  const server = new URL(cluster.server);
  if (server.protocol === 'http:') {
    // `kubectl proxy`: the client refuses plain HTTP unless told that nothing is to be verified.
    kube.clusters = kube.clusters.map((c) => (c === cluster ? { ...c, skipTLSVerify: true } : c));
  }
  if (!kube.getCurrentUser()) {
    // Without a user the client would forget the certificate authority as well.
    kube.users = [...kube.users, { name: context.user }];
  }
  return server;
}

async function credentials(kube: KubeConfig, tokenFile: string | undefined): Promise<RequestOptions> {
  const options: RequestOptions & { headers: OutgoingHttpHeaders } = { headers: {} };
  try {
    await kube.applyToHTTPSOptions(options);
  } catch (thrown) {
    throw KUBE_CONFIG.from(thrown, 'credentials cannot be had');
  }
  if (tokenFile !== undefined) options.headers['Authorization'] = `Bearer ${await readToken(tokenFile)}`;
  return options;
}
