// Runs once before all tests. The survey of true servers joins here.
export default function setup(): void {
  process.env.TZ = 'UTC';
}
