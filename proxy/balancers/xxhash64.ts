// XXH64 of latin1 text, the hash that Envoy makes ring hash and maglev of. Works on pairs of 32-bit halves,
// since a BigInt per request would be garbage; results are left in HASH until the next call.
// Source: the xxHash specification, section "XXH64 algorithm description".

/** The result of the last call, as unsigned halves. */
export const HASH = { hi: 0, lo: 0 };

// Primes as halves.
const P1H = 0x9e3779b1;
const P1L = 0x85ebca87;
const P2H = 0xc2b2ae3d;
const P2L = 0x27d4eb4f;
const P3H = 0x165667b1;
const P3L = 0x9e3779f9;
const P4H = 0x85ebca77;
const P4L = 0xc2b2ae63;
const P5H = 0x27d4eb2f;
const P5L = 0x165667c5;

// The register that every step below reads and writes: signed halves.
let H = 0;
let L = 0;
const LANES = new Int32Array(8);
const TURNS = Uint8Array.of(1, 7, 12, 18);

function set(hi: number, lo: number): void {
  H = hi | 0;
  L = lo | 0;
}

function add(hi: number, lo: number): void {
  const low = (L >>> 0) + (lo >>> 0);
  H = (H + hi + (low > 0xffffffff ? 1 : 0)) | 0;
  L = low | 0;
}

function xor(hi: number, lo: number): void {
  H ^= hi;
  L ^= lo;
}

function multiply(hi: number, lo: number): void {
  const a1 = L >>> 16;
  const a0 = L & 0xffff;
  const b1 = lo >>> 16;
  const b0 = lo & 0xffff;
  // At most 2 · 2^32: exact in a double.
  const middle = a0 * b1 + a1 * b0 + ((a0 * b0) >>> 16);
  const high = a1 * b1 + Math.floor(middle / 0x10000);
  H = (high + Math.imul(H, lo) + Math.imul(L, hi)) | 0;
  L = Math.imul(L, lo);
}

/** @param n 1…31. */
function rotate(n: number): void {
  const hi = H;
  H = (hi << n) | (L >>> (32 - n));
  L = (L << n) | (hi >>> (32 - n));
}

/** @param n 1…33. */
function shiftXor(n: number): void {
  if (n >= 32) {
    L ^= H >>> (n - 32);
    return;
  }
  const low = (L >>> n) | (H << (32 - n));
  H ^= H >>> n;
  L ^= low;
}

const word = (text: string, i: number): number =>
  (text.charCodeAt(i) & 0xff) |
  ((text.charCodeAt(i + 1) & 0xff) << 8) |
  ((text.charCodeAt(i + 2) & 0xff) << 16) |
  ((text.charCodeAt(i + 3) & 0xff) << 24);

/** The register becomes round(register, hi:lo). */
function round(hi: number, lo: number): void {
  const accH = H;
  const accL = L;
  set(hi, lo);
  multiply(P2H, P2L);
  add(accH, accL);
  rotate(31);
  multiply(P1H, P1L);
}

/** The register becomes lane `i`, a pair of LANES. */
function load(i: number): void {
  set(LANES[2 * i] ?? 0, LANES[2 * i + 1] ?? 0);
}

function store(i: number): void {
  LANES[2 * i] = H;
  LANES[2 * i + 1] = L;
}

/** All whole stripes of 32 bytes, into the register. @returns bytes read. */
function stripes(text: string, seed: number): number {
  set(P1H, P1L);
  add(P2H, P2L);
  add(0, seed);
  store(0);
  set(P2H, P2L);
  add(0, seed);
  store(1);
  set(0, seed);
  store(2);
  // seed - P1: adds the two's complement.
  set(~P1H, ~P1L);
  add(0, 1);
  add(0, seed);
  store(3);
  let at = 0;
  for (; at + 32 <= text.length; at += 32) {
    for (let lane = 0; lane < 4; lane += 1) {
      load(lane);
      round(word(text, at + 8 * lane + 4), word(text, at + 8 * lane));
      store(lane);
    }
  }
  mergeLanes();
  return at;
}

function mergeLanes(): void {
  let sumH = 0;
  let sumL = 0;
  for (let lane = 0; lane < 4; lane += 1) {
    load(lane);
    rotate(TURNS[lane] ?? 1);
    add(sumH, sumL);
    sumH = H;
    sumL = L;
  }
  for (let lane = 0; lane < 4; lane += 1) {
    set(0, 0);
    round(LANES[2 * lane] ?? 0, LANES[2 * lane + 1] ?? 0);
    xor(sumH, sumL);
    multiply(P1H, P1L);
    add(P4H, P4L);
    sumH = H;
    sumL = L;
  }
}

/** What is left after the stripes, fewer than 32 bytes. */
function tail(text: string, from: number): void {
  let at = from;
  for (; at + 8 <= text.length; at += 8) {
    const accH = H;
    const accL = L;
    set(0, 0);
    round(word(text, at + 4), word(text, at));
    xor(accH, accL);
    rotate(27);
    multiply(P1H, P1L);
    add(P4H, P4L);
  }
  if (at + 4 <= text.length) {
    step(word(text, at), P1H, P1L);
    rotate(23);
    multiply(P2H, P2L);
    add(P3H, P3L);
    at += 4;
  }
  for (; at < text.length; at += 1) {
    step(text.charCodeAt(at) & 0xff, P5H, P5L);
    rotate(11);
    multiply(P1H, P1L);
  }
}

/** The register is xored with value × prime. */
function step(value: number, primeH: number, primeL: number): void {
  const accH = H;
  const accL = L;
  set(0, value);
  multiply(primeH, primeL);
  xor(accH, accL);
}

/**
 * Leaves the hash in HASH.
 * @param text each character one byte.
 * @param seed below 2^32.
 */
export function xxHash64(text: string, seed = 0): void {
  let at = 0;
  if (text.length >= 32) at = stripes(text, seed);
  else {
    set(P5H, P5L);
    add(0, seed);
  }
  add(0, text.length);
  tail(text, at);
  shiftXor(33);
  multiply(P2H, P2L);
  shiftXor(29);
  multiply(P3H, P3L);
  shiftXor(32);
  HASH.hi = H >>> 0;
  HASH.lo = L >>> 0;
}

/** hi:lo mod `n`, for n below 2^26. */
export function modulo(hi: number, lo: number, n: number): number {
  return ((hi % n) * (0x100000000 % n) + (lo % n)) % n;
}
