// Where the bundled proxy is put together with the rest of the command. A proxy talks to its control plane
// over xDS only, also when both run in one process.
export { startProxy } from '../proxy/proxy.ts';
export { plainAccessLog } from '../proxy/observe/rules.ts';
