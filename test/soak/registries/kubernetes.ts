// A true kube-apiserver with its etcd as a registry of the soak. The source comes through plain HTTP, as
// behind `kubectl proxy`, with the rights of a reader that can lose them.
import { plainKubernetes } from '../../contract/fixtures/plain-kubernetes.ts';
import { documentedRoles } from '../../contract/fixtures/kubernetes-roles.ts';
import { kubernetesHand } from '../../support/hands/kubernetes.ts';
import { startPeer } from '../../support/start-peer.ts';
import { Way, serverFaults } from './registry.ts';
import type { SoakFault, StartRegistry } from './registry.ts';

export const startKubernetes: StartRegistry = async (mode) => {
  const kube = await startPeer('kubernetes', mode);
  const hand = kubernetesHand(kube);
  const roles = await documentedRoles('The whole cluster');
  for (const role of roles) await hand.api.create(role);
  const plain = await plainKubernetes(kube, kube.tokens.reader);
  const way = new Way();
  const port = await way.http(plain.url);
  const binding = roles.find(({ kind }) => kind === 'ClusterRoleBinding');
  if (!binding) throw new Error('the manual has no ClusterRoleBinding');
  const revoked: SoakFault = {
    name: 'rights revoked',
    layer: 'access',
    writable: true,
    begin: () => hand.api.remove({ kind: 'ClusterRoleBinding', name: binding.metadata.name }),
    end: async () => void (await hand.api.create(binding)),
  };
  return {
    hand,
    source: {
      kind: 'kubernetes',
      kubeconfig: await plain.kubeconfig(`http://127.0.0.1:${port}`),
      namespaces: ['*'],
      exclude: { services: ['kubernetes'] },
    },
    faults: [...serverFaults(kube), ...serverFaults(kube, 'etcd'), ...way.faults, revoked],
    healed: 'a list of all EndpointSlices',
    log: () => kube.log(),
    async stop() {
      await way.stop();
      await plain.stop();
      await hand.close();
      await kube.stop();
    },
  };
};
