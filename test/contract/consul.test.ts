// The contract on a true Consul server, alone, with ACLs behind proxies that go wrong, and without a watch
// for each service.
import { describePeers } from '../support/describe-peer.ts';
import { consulBehindProxies, consulFixture } from './fixtures/consul.ts';
import { contract } from './suite.ts';

describePeers(['consul'], 'a Consul server', (start) => contract(consulFixture(start), consulFixture(start)));
describePeers(['consul'], 'a Consul server behind a bad network', (start) =>
  contract(consulBehindProxies(start)),
);
describePeers(['consul'], 'a Consul server, services asked in turn', (start) =>
  contract({ ...consulFixture(start, 1), faults: [] }),
);
