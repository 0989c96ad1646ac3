// How a check tells what is wrong.

/** @param path `circuit_breakers.thresholds[0].priority`. @param problem `no value of the enum`. */
export type Report = (path: string, problem: string) => void;
