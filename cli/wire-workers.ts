// Where the parent of several proxy workers is put together. It loads nothing of what the workers do.
export { startWorkersAdmin } from '../proxy/workers/admin.ts';
export { startWorkers } from '../proxy/workers/parent.ts';
