// Loaded before a command whose wall clock is to be wrong: node --import. By TEST_SKEW_MS milliseconds ahead.
const real = Date.now;
const skew = Number(process.env.TEST_SKEW_MS ?? 0);
Date.now = () => real() + skew;
